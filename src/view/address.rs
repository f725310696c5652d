//! Keeps the page's link (the part of its address after `#`) and the controls in sync: decides which of
//! the two changes the other, and when. Pure, so that every change of state has a native test;
//! `page::shell::address` reads and writes the browser's address.

use crate::recipe::adapters::AdapterUse;
use crate::recipe::bounds::{SEED, SEED_COUNT};
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::StepDigest;
use crate::recipe::experiment::Experiment;
use crate::recipe::link::Link;
use crate::recipe::parameters::{PARAMETERS, place};
use crate::recipe::saved_recipe::SavedRecipe;
use crate::recipe::{Axis, Mode, PromptReading, Recipe};

/// The manifest of the pair that the page opens with, relative to the page.
pub const OWN_PAIR_ADDRESS: &str = "pairs/emoji/manifest.json";

/// The run that a link was copied from, for comparison with this browser's.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedRun {
    /// The recipe of that run.
    pub recipe: Recipe,
    /// A digest of each step of its first cell.
    pub digests: Vec<StepDigest>,
    /// Whether the link has the checksum that shows that nobody has edited it since.
    pub is_whole: bool,
}

/// The device and the pair that the engine has to use, and whether it measures what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineTarget {
    /// The device that the link asks for; automatic where it names none.
    pub device: DevicePreference,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
    /// Whether the page shows what the engine measures.
    pub shows_stats: bool,
}

/// The visitor's values in the controls that stay when another pair is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VisitorInput {
    /// The first prompt.
    pub prompt: String,
    /// The negative prompt; empty for none.
    pub negative_prompt: String,
    /// How both are read.
    pub reading: PromptReading,
    /// The text of the first seed's field, which may not be a number.
    pub seed: String,
    /// The text of the field with the number of seeds, which may not be a number.
    pub seed_count: String,
    /// The modes that are ticked.
    pub modes: Vec<Mode>,
    /// What rows differ in; [`Axis::Modes`] where its fields hold no values.
    pub axis: Axis,
    /// The adapters: to see one on another pair is what they are compared for.
    pub adapters: Vec<AdapterUse>,
}

/// The values for the controls.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlValues {
    /// Every control's value.
    pub recipe: Recipe,
    /// The run that the link was copied from; none where the link has no digests.
    pub shared_run: Option<SharedRun>,
    /// A sentence that says why the recipe can't be drawn; none where it can.
    pub problem: Option<String>,
}

/// The page's link, and whether the controls have changed since it was applied to them.
#[derive(Debug)]
pub struct Address {
    link: Link,
    /// Whether the link has a checksum; one that doesn't fit has its own sentence.
    has_checksum: bool,
    /// The hash of the controls when they were filled or last written: only a change by the visitor is
    /// worth a new address. None: whatever they spell is written.
    last_spelled: Option<String>,
    /// Whether the link is of the visitor's choice on the page, and not of a followed link.
    is_chosen: bool,
    /// Whether the controls have been filled once.
    has_filled: bool,
    /// Whether the controls hold values that neither the link nor the defaults have.
    is_changed: bool,
}

impl Address {
    /// The page is opened with this hash. Also returns a sentence for each part that can't be read.
    pub fn open(hash: &str) -> (Self, Vec<String>) {
        let (link, sentences) = read(hash);
        let address = Address {
            link,
            has_checksum: has_checksum(hash),
            last_spelled: None,
            is_chosen: false,
            has_filled: false,
            is_changed: false,
        };
        (address, sentences)
    }

    /// Opens the page with a link to an experiment: of it, the address takes the pair alone. One that can't
    /// be read has none.
    pub fn of_experiment(hash: &str) -> Self {
        let experiment = Experiment::from_link(hash).ok();
        let link = Link {
            pair: experiment.and_then(|experiment| on_page(experiment.pair)),
            ..Link::default()
        };
        Address::open(&link.to_string()).0
    }

    /// The link's device and pair, or the defaults of either.
    pub fn engine_target(&self) -> EngineTarget {
        EngineTarget {
            device: self.link.device.unwrap_or_default(),
            pair: self
                .link
                .pair
                .clone()
                .unwrap_or_else(|| OWN_PAIR_ADDRESS.to_owned()),
            shows_stats: self.link.shows_stats,
        }
    }

    /// The link's prompt and negative prompt. They fill their controls before the pair's manifest has
    /// come, so that the visitor can type at once.
    pub fn prompts(&self) -> [String; 2] {
        let recipe = self.link.recipe.values();
        [recipe.prompt.clone(), recipe.negative_prompt.clone()]
    }

    /// The visitor follows another link. Returns the engine's new target where it is another one, and a
    /// sentence for each part that can't be read.
    pub fn follow(&mut self, hash: &str) -> (Option<EngineTarget>, Vec<String>) {
        let (link, sentences) = read(hash);
        let before = self.engine_target();
        self.link = link;
        self.has_checksum = has_checksum(hash);
        self.is_chosen = false;
        let target = self.engine_target();
        ((target != before).then_some(target), sentences)
    }

    /// The visitor chooses a pair: its defaults will fill the controls, but for the prompts, the seeds
    /// and the rows. Returns the engine's target, and the hash to write at once: a reload then asks for
    /// the same pair, even one that can't be loaded.
    pub fn choose_pair(&mut self, pair: String, typed: VisitorInput) -> (EngineTarget, String) {
        let seed = SEED.parse(&typed.seed);
        let seed_count = SEED_COUNT.parse(&typed.seed_count);
        // How many steps there are to take over is the pair's.
        let keeps_axis = !matches!(typed.axis, Axis::Modes | Axis::K(_));
        let carries_over = [
            (place::AXIS, keeps_axis),
            (place::ADAPTERS, !typed.adapters.is_empty()),
            (place::PROMPT, true),
            (place::NEGATIVE_PROMPT, true),
            (place::LONG_PROMPTS, typed.reading.long),
            (place::WEIGHTED_PROMPT, typed.reading.weighted),
            (place::SEED, seed.is_some()),
            (place::SEED_COUNT, seed_count.is_some()),
            (place::MODES, !typed.modes.is_empty()),
        ];
        let input = Recipe {
            prompt: typed.prompt,
            negative_prompt: typed.negative_prompt,
            long_prompts: typed.reading.long,
            weighted_prompt: typed.reading.weighted,
            seed: seed.unwrap_or_default(),
            seed_count: seed_count.unwrap_or_default(),
            modes: typed.modes,
            axis: typed.axis,
            adapters: typed.adapters,
            ..Recipe::default()
        };
        self.link = Link {
            pair: on_page(pair),
            device: self.link.device,
            shows_stats: self.link.shows_stats,
            ..Link::default()
        };
        for (place, _) in carries_over
            .into_iter()
            .filter(|(_, carries_over)| *carries_over)
        {
            if let Some(parameter) = PARAMETERS.get(place) {
                self.link.recipe.copy(parameter, &input);
            }
        }
        self.is_chosen = true;
        (self.engine_target(), self.link.to_string())
    }

    /// The link's pair can't be opened: the page's own takes its place, with all else that the link says.
    /// The address stays as it is until the visitor changes something.
    pub fn fall_back(&mut self) -> EngineTarget {
        self.link.pair = None;
        // Those of another pair's steps.
        self.link.digests.clear();
        self.engine_target()
    }

    /// The visitor opens a saved recipe. Where it is of another pair than the page's, returns the
    /// engine's target and the hash to write at once.
    pub fn open_recipe(
        &mut self,
        saved: &SavedRecipe,
        current_pair: &str,
    ) -> Option<(EngineTarget, String)> {
        let moved = saved.pair != current_pair;
        let pair = on_page(saved.pair.clone());
        let device = self.link.device.unwrap_or_default();
        // The link names every parameter, so that no default of the pair can change the recipe.
        self.link = Link {
            shows_stats: self.link.shows_stats,
            ..Link::complete(&saved.recipe, device, pair.as_deref(), &[])
        };
        self.is_chosen = true;
        moved.then(|| (self.engine_target(), self.link.to_string()))
    }

    /// The values for the controls, now that the pair's defaults are known. A prompt that was typed
    /// before they came stays.
    pub fn fill(&mut self, defaults: &Recipe, typed_prompts: [&str; 2]) -> ControlValues {
        let mut recipe = self.link.applied_to(defaults);
        let is_chosen = std::mem::take(&mut self.is_chosen);
        self.is_changed = is_chosen;
        if !self.has_filled || is_chosen {
            let places = [&mut recipe.prompt, &mut recipe.negative_prompt];
            for (place, typed) in places.into_iter().zip(typed_prompts) {
                if !typed.is_empty() && typed != *place {
                    *place = typed.to_owned();
                    self.is_changed = true;
                }
            }
        }
        self.has_filled = true;
        let shared_run = (!self.link.digests.is_empty()).then(|| SharedRun {
            recipe: recipe.clone(),
            digests: self.link.digests.clone(),
            is_whole: self.has_checksum,
        });
        let problem = recipe.validate().err().map(|error| error.to_string());
        ControlValues {
            recipe,
            shared_run,
            problem,
        }
    }

    /// The controls have been filled. `spelled` is their hash; none where they have no valid recipe.
    pub fn filled(&mut self, spelled: Option<String>) {
        self.last_spelled = if self.is_changed { None } else { spelled };
    }

    /// The hash of a recipe in the controls: its differences from the pair's defaults.
    pub fn spell(&self, recipe: &Recipe, defaults: &Recipe) -> String {
        let device = self.link.device.unwrap_or_default();
        let link = Link {
            shows_stats: self.link.shows_stats,
            ..Link::of(recipe, defaults, device, self.link.pair.as_deref())
        };
        link.to_string()
    }

    /// Whether the hash of the controls has to be written into the address.
    pub fn needs_writing(&self, spelled: &str) -> bool {
        self.last_spelled.as_deref() != Some(spelled)
    }

    /// The hash was written into the address.
    pub fn written(&mut self, hash: String) {
        self.last_spelled = Some(hash);
    }
}

/// The pair that a link names; none for the page's own, which no link names.
pub fn on_page(pair: String) -> Option<String> {
    (pair != OWN_PAIR_ADDRESS).then_some(pair)
}

fn read(hash: &str) -> (Link, Vec<String>) {
    let (link, errors) = Link::parse(hash);
    let mut sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if !link.digests.is_empty() && !has_checksum(hash) {
        sentences.push(
            "The link carries the steps of a run, but its checksum was taken off: it may have been edited \
             since, and then its pictures are not the sender's. Ask for the link again to compare them."
                .to_owned(),
        );
    }
    (link, sentences)
}

/// Whether a hash has a checksum.
fn has_checksum(hash: &str) -> bool {
    hash.trim_start_matches('#')
        .split('&')
        .any(|part| part.starts_with("sum="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::experiment::Study;
    use crate::recipe::random::Random;
    use crate::recipe::{Axis, CellAddress};

    const OTHER: &str = "pairs/emoji/lcm.json";

    fn defaults() -> Recipe {
        Recipe {
            prompt: "red apple".into(),
            negative_prompt: String::new(),
            seed: 1,
            seed_count: 4,
            modes: vec![Mode::Distilled, Mode::Hybrid],
            axis: Axis::Modes,
            k: 1,
            distilled_steps: 4,
            ..Random(5).recipe()
        }
    }

    fn open(hash: &str) -> Address {
        let (address, sentences) = Address::open(hash);
        assert!(sentences.is_empty(), "{sentences:?}");
        address
    }

    /// Fills the controls of a visitor who has typed nothing, as the page does.
    fn fill(address: &mut Address) -> Recipe {
        let ControlValues {
            recipe, problem, ..
        } = address.fill(&defaults(), ["", ""]);
        assert_eq!(problem, None);
        address.filled(Some(address.spell(&recipe, &defaults())));
        recipe
    }

    #[test]
    fn a_link_fills_the_controls_and_is_not_written_again() {
        let mut address = open("prompt=blue+bus&seed=7&device=cpu&pair=pairs/emoji/lcm.json");
        assert_eq!(
            address.engine_target(),
            EngineTarget {
                device: DevicePreference::Cpu,
                pair: OTHER.into(),
                shows_stats: false,
            }
        );
        assert_eq!(address.prompts(), ["blue bus", ""]);
        let recipe = fill(&mut address);
        assert_eq!((recipe.prompt.as_str(), recipe.seed), ("blue bus", 7));
        assert_eq!(recipe.seed_count, defaults().seed_count);
        let spelled = address.spell(&recipe, &defaults());
        assert!(!address.needs_writing(&spelled), "{spelled}");
    }

    #[test]
    fn a_change_by_the_visitor_is_written_once() {
        let mut address = open("");
        assert_eq!(address.engine_target().pair, OWN_PAIR_ADDRESS);
        let mut recipe = fill(&mut address);
        recipe.seed = 99;
        let spelled = address.spell(&recipe, &defaults());
        assert_eq!(spelled, "seed=99");
        assert!(address.needs_writing(&spelled));
        address.written(spelled.clone());
        assert!(!address.needs_writing(&spelled));
    }

    #[test]
    fn what_was_typed_before_the_pair_came_stays_and_is_written() {
        let mut address = open("prompt=blue+bus");
        let values = address.fill(&defaults(), ["green frog", ""]);
        assert_eq!(values.recipe.prompt, "green frog");
        let spelled = address.spell(&values.recipe, &defaults());
        address.filled(Some(spelled.clone()));
        assert!(address.needs_writing(&spelled));
        // A later link overwrites the prompt: whoever follows a link wants its prompt.
        address.follow("prompt=red+house");
        let values = address.fill(&defaults(), ["green frog", ""]);
        assert_eq!(values.recipe.prompt, "red house");
    }

    #[test]
    fn the_engine_turns_only_to_another_pair_or_device() {
        let mut address = open("");
        fill(&mut address);
        assert_eq!(address.follow("seed=3").0, None);
        assert_eq!(fill(&mut address).seed, 3);
        assert_eq!(address.follow("pair=pairs/emoji/manifest.json").0, None);
        let (target, _) = address.follow("pair=pairs/emoji/lcm.json");
        assert_eq!(target.map(|target| target.pair), Some(OTHER.into()));
        let (target, _) = address.follow("pair=pairs/emoji/lcm.json&device=webgpu");
        assert_eq!(
            target.map(|target| target.device),
            Some(DevicePreference::WebGpu)
        );
    }

    #[test]
    fn where_a_pair_is_not_there_the_pages_own_draws_the_links_recipe() {
        let mut address = open("prompt=blue+bus&seed=7&pair=pairs/nothing.json");
        assert_eq!(address.fall_back().pair, OWN_PAIR_ADDRESS);
        let mut recipe = fill(&mut address);
        assert_eq!((recipe.prompt.as_str(), recipe.seed), ("blue bus", 7));
        let spelled = address.spell(&recipe, &defaults());
        assert!(!address.needs_writing(&spelled));
        recipe.seed = 8;
        let spelled = address.spell(&recipe, &defaults());
        assert!(
            address.needs_writing(&spelled) && !spelled.contains("pair="),
            "{spelled}"
        );
    }

    #[test]
    fn what_can_not_be_read_is_told() {
        let (address, sentences) = Address::open("seed=many&prompt=cat");
        assert_eq!(sentences.len(), 1);
        assert_eq!(address.prompts(), ["cat", ""]);
        let mut address = address;
        let (_, sentences) = address.follow("k=0&steps=3");
        assert_eq!(sentences.len(), 2);
    }

    #[test]
    fn numbers_that_do_not_go_together_are_told_and_still_fill_the_controls() {
        let mut address = open("k=3&distilled-steps=2");
        let values = address.fill(&defaults(), ["", ""]);
        assert_eq!(values.recipe.k, 3);
        assert!(
            values
                .problem
                .is_some_and(|sentence| sentence.ends_with('.'))
        );
    }

    #[test]
    fn another_pair_keeps_the_prompts_the_seeds_and_the_rows() {
        let mut address = open("device=cpu&k=2");
        fill(&mut address);
        let typed = VisitorInput {
            prompt: "blue bus".into(),
            negative_prompt: "worm".into(),
            reading: PromptReading {
                long: false,
                weighted: true,
            },
            seed: "12".into(),
            seed_count: "many".into(),
            modes: vec![Mode::Base],
            axis: Axis::AdapterStrength(vec![0.0, 1.0]),
            adapters: vec![AdapterUse::new(&"a".repeat(64), "style")],
        };
        let (target, hash) = address.choose_pair(OTHER.into(), typed);
        assert_eq!(target.pair, OTHER);
        assert_eq!(target.device, DevicePreference::Cpu);
        assert!(hash.contains("pair=pairs/emoji/lcm.json"), "{hash}");
        let recipe = fill(&mut address);
        assert_eq!(recipe.prompt, "blue bus");
        assert_eq!(recipe.negative_prompt, "worm");
        assert!(recipe.weighted_prompt);
        assert!(!hash.contains("long-prompts"), "{hash}");
        assert_eq!(recipe.seed, 12);
        assert_eq!(recipe.modes, [Mode::Base]);
        assert_eq!(recipe.adapters.len(), 1);
        assert_eq!(recipe.axis, Axis::AdapterStrength(vec![0.0, 1.0]));
        // Everything else is the pair's.
        assert_eq!(recipe.seed_count, defaults().seed_count);
        assert_eq!(recipe.k, defaults().k);
        // The hash of the controls is written then, whatever it is.
        assert!(address.needs_writing(&address.spell(&recipe, &defaults())));
    }

    #[test]
    fn the_own_pair_is_not_named() {
        let mut address = open("pair=pairs/emoji/lcm.json");
        fill(&mut address);
        let (target, hash) = address.choose_pair(OWN_PAIR_ADDRESS.into(), VisitorInput::default());
        assert_eq!(target.pair, OWN_PAIR_ADDRESS);
        assert!(!hash.contains("pair="), "{hash}");
    }

    #[test]
    fn measurements_stay_asked_for_and_are_no_part_of_a_recipe() {
        let mut address = open("seed=7&stats&device=cpu");
        assert!(address.engine_target().shows_stats);
        let mut recipe = fill(&mut address);
        recipe.seed = 8;
        let spelled = address.spell(&recipe, &defaults());
        assert_eq!(spelled, "seed=8&device=cpu&stats");
        let (target, hash) = address.choose_pair(OTHER.into(), VisitorInput::default());
        assert!(target.shows_stats && hash.ends_with("&stats"), "{hash}");
        let saved = SavedRecipe::new(OWN_PAIR_ADDRESS, "Emoji", recipe, None);
        let (target, hash) = address.open_recipe(&saved, OTHER).expect("another pair");
        assert!(target.shows_stats && hash.ends_with("&stats"), "{hash}");
        assert!(open(&hash).engine_target().shows_stats);
        // Without them the engine has to be another one.
        let (target, _) = address.follow("seed=8&device=cpu");
        assert_eq!(target.map(|target| target.shows_stats), Some(false));
    }

    #[test]
    fn a_saved_recipe_fills_every_control() {
        let mut address = open("device=cpu&seed=5");
        fill(&mut address);
        let recipe = Random(9).recipe();
        let cell = Some(CellAddress::default());
        let saved = SavedRecipe::new(OWN_PAIR_ADDRESS, "Emoji", recipe.clone(), cell);
        assert_eq!(address.open_recipe(&saved, OWN_PAIR_ADDRESS), None);
        assert_eq!(fill(&mut address), recipe);
        // A recipe of another pair changes the pair.
        let saved = SavedRecipe::new(OTHER, "LCM", recipe.clone(), None);
        let (target, hash) = address
            .open_recipe(&saved, OWN_PAIR_ADDRESS)
            .expect("another pair");
        assert_eq!(target.pair, OTHER);
        assert_eq!(target.device, DevicePreference::Cpu);
        assert!(open(&hash).engine_target() == target);
        assert_eq!(fill(&mut address), recipe);
    }

    #[test]
    fn a_link_to_an_experiment_names_the_pair_alone() {
        let experiment = Experiment {
            study: Study::Diversity,
            pair: OTHER.into(),
            prompts: vec!["a dog".into()],
            images: 4,
            settings: Recipe {
                seed: 77,
                ..defaults()
            },
        };
        let link = experiment.to_link().expect("a link");
        let mut address = Address::of_experiment(&link);
        assert_eq!(address.engine_target().pair, OTHER);
        assert_eq!(fill(&mut address), defaults());
        let damaged = Address::of_experiment(&link.replace("dog", "cat"));
        assert_eq!(damaged.engine_target().pair, OWN_PAIR_ADDRESS);
    }

    #[test]
    fn the_digests_of_a_link_go_with_its_recipe() {
        let recipe = Random(11).recipe();
        let digests = [StepDigest([1, 2, 3])];
        let device = DevicePreference::Automatic;
        let link = Link::complete(&recipe, device, None, &digests).to_string();
        let mut address = open(&link);
        let shared_run = address.fill(&defaults(), ["", ""]).shared_run;
        assert_eq!(
            shared_run,
            Some(SharedRun {
                recipe,
                digests: digests.to_vec(),
                is_whole: true,
            })
        );
        // Whoever takes the checksum off may have changed the rest as well, which is said.
        let (bare, _) = link.rsplit_once("&sum=").expect("a checksum");
        let (_, sentences) = address.follow(bare);
        assert!(
            sentences
                .iter()
                .any(|it| it.contains("checksum was taken off")),
            "{sentences:?}"
        );
        let shared_run = address.fill(&defaults(), ["", ""]).shared_run;
        assert!(shared_run.is_some_and(|run| !run.is_whole));
        address.follow("seed=1");
        assert_eq!(address.fill(&defaults(), ["", ""]).shared_run, None);
    }
}
