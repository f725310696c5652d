//! The history of runs: their recipes with some small pictures, kept in this browser.
//!
//! This file decides what is kept and for how long, in plain values that are tested natively; `store`
//! keeps it in IndexedDB.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use favourite::Favourite;

use crate::picture::image::Image;
use crate::recipe::saved_recipe::{SavedRecipe, SavedRecipeError};
use crate::recipe::{Axis, Mode};

#[cfg(all(feature = "engine", target_family = "wasm"))]
pub mod experiment_store;
pub mod experiments;
pub mod favourite;
#[cfg(all(feature = "engine", target_family = "wasm"))]
pub mod favourite_store;
#[cfg(all(feature = "engine", target_family = "wasm"))]
pub mod store;

/// The most runs that are kept; the oldest go first.
pub const MAXIMUM_ENTRIES: usize = 100;
/// The most thumbnails of a run.
pub const MAXIMUM_THUMBNAILS: usize = 8;
/// The longer side of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 64;

/// Bytes of a run in the store beside its text and its pixels: numbers, names, the browser's own
/// records.
const BYTES_PER_ENTRY: usize = 200;

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was drawn. No two entries have the same.
    pub recipe: SavedRecipe,
    /// When it was drawn last, in milliseconds since 1970.
    pub drawn_at: f64,
    /// Images that were finished.
    pub images: u32,
    /// The first images of the rows, small.
    pub thumbnails: Vec<Image>,
}

impl Entry {
    /// Whether every word of a search occurs in the prompts, the pair's name or the modes, be it in
    /// upper or lower case. A search without a word finds everything.
    pub fn matches(&self, search: &str) -> bool {
        let SavedRecipe {
            recipe, pair_name, ..
        } = &self.recipe;
        let further: &[String] = match &recipe.axis {
            Axis::Prompts(further) => further,
            _ => &[],
        };
        let texts: Vec<String> = [&recipe.prompt, &recipe.negative_prompt, pair_name]
            .into_iter()
            .chain(further)
            .map(|text| text.to_lowercase())
            .chain(recipe.modes.iter().map(|mode| mode_words(*mode).to_owned()))
            .collect();
        search
            .to_lowercase()
            .split_whitespace()
            .all(|word| texts.iter().any(|text| text.contains(word)))
    }

    /// Bytes in the store, estimated.
    pub fn bytes(&self) -> u64 {
        let text = self.recipe.to_json().map_or(0, |text| text.len());
        let pixels: usize = self.thumbnails.iter().map(|frame| frame.rgba.len()).sum();
        (text + pixels + BYTES_PER_ENTRY) as u64
    }
}

/// The words that a mode is found by, in lower case.
fn mode_words(mode: Mode) -> &'static str {
    match mode {
        Mode::SkipFirstStep => "skip first step",
        Mode::Adaptive => "adaptive",
        other => other.key(),
    }
}

/// The text that identifies a run: its recipe's, as it is after one reading. So an entry of the list,
/// which has been read, has the same text as the run that was stored.
///
/// # Errors
/// A recipe that could not be read back.
pub fn key(recipe: &SavedRecipe) -> Result<String, SavedRecipeError> {
    SavedRecipe::from_json(&recipe.to_json()?)?.to_json()
}

/// Whether a picture can be drawn as a thumbnail: neither empty nor too large, with the bytes of its
/// size.
pub fn is_thumbnail(frame: &Image) -> bool {
    let sides = 1..=THUMBNAIL_SIDE;
    sides.contains(&frame.width)
        && sides.contains(&frame.height)
        && frame.rgba.len() == frame.width as usize * frame.height as usize * 4
}

/// The keys of the oldest runs beyond [`MAXIMUM_ENTRIES`], of all keys with their dates.
pub fn surplus(mut runs: Vec<(String, f64)>) -> Vec<String> {
    runs.sort_by(|(key, date), (other_key, other_date)| {
        newest_first(*date, *other_date).then_with(|| key.cmp(other_key))
    });
    let oldest = runs.into_iter().skip(MAXIMUM_ENTRIES);
    oldest.map(|(key, _)| key).collect()
}

fn newest_first(date: f64, other: f64) -> Ordering {
    other.total_cmp(&date)
}

/// What the page asks of the history. Each request is answered with a [`Listing`], or with the
/// [`Favourite`]s where it is about those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Change nothing.
    List,
    /// Forget a run.
    Delete(Box<SavedRecipe>),
    /// Forget all.
    Clear,
    /// Remember runs again that were forgotten, as they were.
    Restore(Vec<Entry>),
    /// Change nothing about the favourites.
    ListFavourites,
    /// Keep a picture as a favourite.
    Mark(Box<Favourite>),
    /// Keep it no longer.
    Unmark(Box<SavedRecipe>),
}

/// The history as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The runs, the last one first.
    pub entries: Vec<Entry>,
    /// Bytes in the store, estimated.
    pub bytes: u64,
}

impl Listing {
    /// Sorts the runs, which may come in any order.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|entry, other| newest_first(entry.drawn_at, other.drawn_at));
        Listing {
            bytes: entries.iter().map(Entry::bytes).sum(),
            entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;

    fn entry(prompt: &str, drawn_at: f64) -> Entry {
        let mut recipe = Random(3).recipe();
        recipe.prompt = prompt.to_owned();
        recipe.negative_prompt = "worm".into();
        recipe.modes = vec![Mode::Distilled, Mode::SkipFirstStep];
        recipe.axis = Axis::Prompts(vec!["a blue Bus".into()]);
        recipe.distilled_steps = 4;
        Entry {
            recipe: SavedRecipe::new("pairs/emoji/manifest.json", "Emoji DMD", recipe, None),
            drawn_at,
            images: 3,
            thumbnails: vec![Image {
                width: 2,
                height: 3,
                rgba: vec![9; 24],
            }],
        }
    }

    #[test]
    fn a_search_asks_for_every_word_wherever_it_stands() {
        let entry = entry("A red Äpfel", 1.0);
        for search in [
            "",
            "  ",
            "red",
            "RED a",
            "äpfel WORM",
            "dmd bus",
            "distilled",
            "skip first",
        ] {
            assert!(entry.matches(search), "{search}");
        }
        for search in ["green", "red green", "base", "hybrid", "manifest"] {
            assert!(!entry.matches(search), "{search}");
        }
    }

    #[test]
    fn the_last_run_comes_first_and_all_bytes_count() {
        let entries = vec![entry("a", 1.0), entry("b", 3.0), entry("c", 2.0)];
        let bytes: u64 = entries.iter().map(Entry::bytes).sum();
        let listing = Listing::new(entries);
        let prompts: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| entry.recipe.recipe.prompt.as_str())
            .collect();
        assert_eq!(prompts, ["b", "c", "a"]);
        assert_eq!(listing.bytes, bytes);

        let one = entry("a", 1.0);
        let text = one.recipe.to_json().unwrap();
        assert!(one.bytes() as usize >= text.len() + 24);
        assert!(one.bytes() as usize <= text.len() + 24 + 500);
    }

    #[test]
    fn the_oldest_runs_are_too_many() {
        let runs = |number: usize| -> Vec<(String, f64)> {
            (0..number)
                .map(|index| (format!("run {index}"), ((index * 7) % number) as f64))
                .collect()
        };
        assert!(surplus(runs(MAXIMUM_ENTRIES)).is_empty());
        // 102 = 2 · 3 · 17: the dates are 0 to 101, each once.
        let gone = surplus(runs(MAXIMUM_ENTRIES + 2));
        let dates: Vec<usize> = gone
            .iter()
            .map(|key| key["run ".len()..].parse::<usize>().unwrap() * 7 % 102)
            .collect();
        assert_eq!(dates, [1, 0]);
    }

    #[test]
    fn a_run_is_known_by_its_recipe_as_it_is_read_back() {
        let mut entry = entry("a", 1.0);
        let known = key(&entry.recipe).unwrap();
        entry.recipe.recipe.modes.reverse();
        assert_eq!(key(&entry.recipe).unwrap(), known);
        let read = SavedRecipe::from_json(&known).unwrap();
        assert_eq!(key(&read).unwrap(), known);
        entry.recipe.recipe.seed_count = 0;
        assert!(key(&entry.recipe).is_err());
    }

    #[test]
    fn only_small_pictures_are_thumbnails() {
        let frame = |width, height, bytes| Image {
            width,
            height,
            rgba: vec![0; bytes],
        };
        assert!(is_thumbnail(&frame(64, 1, 256)));
        assert!(!is_thumbnail(&frame(65, 1, 260)));
        assert!(!is_thumbnail(&frame(0, 4, 0)));
        assert!(!is_thumbnail(&frame(2, 2, 15)));
    }
}
