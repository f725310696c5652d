//! The controls, and the recipe that they spell.

pub mod actions;
pub mod adapter_field;
pub mod adapter_shelf;
pub mod axis_field;
pub mod controls;
pub mod example_prompts;
pub mod known_words;
pub mod mode_toggles;
pub mod number_field;
pub mod open_picture;
pub mod opened_files;
pub mod pair_field;
pub mod parameter_field;
pub mod prompt_combobox;
pub mod prompt_fields;
pub mod prompt_reading_toggles;
pub mod scheduler_field;
pub mod seed_fields;
pub mod settings;
pub mod size_field;
pub mod token_counter;
pub mod unknown_words;
pub mod wrong_field;
