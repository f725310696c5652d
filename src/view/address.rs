//! The part of the address after `#` beside the controls: which of the two follows the other, and
//! when. Pure, so that every change of state has a native test; `page::shell::address` reads and
//! writes the browser's address.

use crate::recipe::bounds::{SEED, SEED_COUNT};
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::StepDigest;
use crate::recipe::link::Link;
use crate::recipe::parameters::{PARAMETERS, place};
use crate::recipe::saved_recipe::SavedRecipe;
use crate::recipe::{Mode, Recipe};

/// The manifest of the pair that the page opens with, relative to the page.
pub const OWN_PAIR_ADDRESS: &str = "pairs/emoji/manifest.json";

/// What a link says of the run that it was copied from.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// What that run drew.
    pub recipe: Recipe,
    /// Of the steps of its first cell.
    pub digests: Vec<StepDigest>,
}

/// A device and a pair that the engine is to turn to.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The device.
    pub device: DevicePreference,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
}

/// What the visitor has in the controls while another pair is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed {
    /// The prompt.
    pub prompt: String,
    /// The negative prompt.
    pub negative_prompt: String,
    /// The text of the first seed.
    pub seed: String,
    /// The text of the number of seeds.
    pub seed_count: String,
    /// The rows.
    pub modes: Vec<Mode>,
}

/// What goes into the controls.
#[derive(Clone, Debug, PartialEq)]
pub struct Filling {
    /// Every control's value.
    pub recipe: Recipe,
    /// What the link says of the run that it was copied from, if anything.
    pub followed: Option<Followed>,
    /// Why the recipe can't be drawn, as a sentence.
    pub problem: Option<String>,
}

/// The link that the page stands at, and what has become of it.
#[derive(Debug)]
pub struct Address {
    link: Link,
    /// What the controls spelled when they were filled or last written: only a change by the visitor
    /// is worth a new address. None: whatever they spell is written.
    known: Option<String>,
    /// Whether the visitor has chosen what comes next on the page, instead of following a link.
    is_chosen: bool,
    /// Whether the controls have had their values once.
    has_filled: bool,
    /// Whether the controls hold more than the link and the defaults say.
    is_changed: bool,
}

impl Address {
    /// The page is opened with this hash. A sentence for each part of it that can't be read.
    pub fn open(hash: &str) -> (Self, Vec<String>) {
        let (link, sentences) = read(hash);
        let address = Address {
            link,
            known: None,
            is_chosen: false,
            has_filled: false,
            is_changed: false,
        };
        (address, sentences)
    }

    /// The device and the pair of the link.
    pub fn turn(&self) -> Turn {
        Turn {
            device: self.link.device.unwrap_or_default(),
            pair: self
                .link
                .pair
                .clone()
                .unwrap_or_else(|| OWN_PAIR_ADDRESS.to_owned()),
        }
    }

    /// The prompt and the negative prompt of the link: they don't wait for the pair, and neither has
    /// the visitor to.
    pub fn prompts(&self) -> [String; 2] {
        let recipe = self.link.recipe.values();
        [recipe.prompt.clone(), recipe.negative_prompt.clone()]
    }

    /// Another link has come into the address: where the engine is to turn, if it is to, and a
    /// sentence for each part that can't be read.
    pub fn follow(&mut self, hash: &str) -> (Option<Turn>, Vec<String>) {
        let (link, sentences) = read(hash);
        let before = self.turn();
        self.link = link;
        self.is_chosen = false;
        let turn = self.turn();
        ((turn != before).then_some(turn), sentences)
    }

    /// The visitor chooses a pair: its defaults are to fill the controls, but for the prompts, the
    /// seeds and the rows. The hash to write at once, so that a reload asks for the same pair, also
    /// where it can't be loaded.
    pub fn choose_pair(&mut self, pair: String, typed: Typed) -> (Turn, String) {
        let seed = SEED.parse(&typed.seed);
        let seed_count = SEED_COUNT.parse(&typed.seed_count);
        let is_kept = [
            (place::PROMPT, true),
            (place::NEGATIVE_PROMPT, true),
            (place::SEED, seed.is_some()),
            (place::SEED_COUNT, seed_count.is_some()),
            (place::MODES, !typed.modes.is_empty()),
        ];
        let kept = Recipe {
            prompt: typed.prompt,
            negative_prompt: typed.negative_prompt,
            seed: seed.unwrap_or_default(),
            seed_count: seed_count.unwrap_or_default(),
            modes: typed.modes,
            ..Recipe::default()
        };
        self.link = Link {
            pair: on_page(pair),
            device: self.link.device,
            ..Link::default()
        };
        for (place, _) in is_kept.into_iter().filter(|(_, is_kept)| *is_kept) {
            if let Some(parameter) = PARAMETERS.get(place) {
                self.link.recipe.copy(parameter, &kept);
            }
        }
        self.is_chosen = true;
        (self.turn(), self.link.to_string())
    }

    /// The visitor opens a recipe that was saved. Where it is of another pair than the page's, the
    /// engine is to turn to that, and the hash is written at once.
    pub fn open_recipe(
        &mut self,
        saved: &SavedRecipe,
        current_pair: &str,
    ) -> Option<(Turn, String)> {
        let moved = saved.pair != current_pair;
        let pair = on_page(saved.pair.clone());
        let device = self.link.device.unwrap_or_default();
        // All of it is said, so that no default of the pair can change it.
        self.link = Link::complete(&saved.recipe, device, pair.as_deref(), &[]);
        self.is_chosen = true;
        moved.then(|| (self.turn(), self.link.to_string()))
    }

    /// What goes into the controls now that the pair's defaults are known. A prompt that was typed
    /// before they came stays.
    pub fn fill(&mut self, defaults: &Recipe, typed_prompts: [&str; 2]) -> Filling {
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
        let followed = (!self.link.digests.is_empty()).then(|| Followed {
            recipe: recipe.clone(),
            digests: self.link.digests.clone(),
        });
        let problem = recipe.validate().err().map(|error| error.to_string());
        Filling {
            recipe,
            followed,
            problem,
        }
    }

    /// The controls have been filled, and spell this hash, if they spell a recipe.
    pub fn filled(&mut self, spelled: Option<String>) {
        self.known = if self.is_changed { None } else { spelled };
    }

    /// The hash of a recipe in the controls: what differs from the pair's defaults.
    pub fn spell(&self, recipe: &Recipe, defaults: &Recipe) -> String {
        let device = self.link.device.unwrap_or_default();
        Link::of(recipe, defaults, device, self.link.pair.as_deref()).to_string()
    }

    /// Whether a hash that the controls spell is to be written into the address.
    pub fn is_news(&self, spelled: &str) -> bool {
        self.known.as_deref() != Some(spelled)
    }

    /// The hash was written.
    pub fn written(&mut self, hash: String) {
        self.known = Some(hash);
    }
}

/// The pair of a link, which doesn't name the page's own.
pub fn on_page(pair: String) -> Option<String> {
    (pair != OWN_PAIR_ADDRESS).then_some(pair)
}

fn read(hash: &str) -> (Link, Vec<String>) {
    let (link, errors) = Link::parse(hash);
    (link, errors.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// Fills the controls without anything that was typed, as the page does.
    fn fill(address: &mut Address) -> Recipe {
        let Filling {
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
            address.turn(),
            Turn {
                device: DevicePreference::Cpu,
                pair: OTHER.into()
            }
        );
        assert_eq!(address.prompts(), ["blue bus", ""]);
        let recipe = fill(&mut address);
        assert_eq!((recipe.prompt.as_str(), recipe.seed), ("blue bus", 7));
        assert_eq!(recipe.seed_count, defaults().seed_count);
        let spelled = address.spell(&recipe, &defaults());
        assert!(!address.is_news(&spelled), "{spelled}");
    }

    #[test]
    fn a_change_by_the_visitor_is_written_once() {
        let mut address = open("");
        assert_eq!(address.turn().pair, OWN_PAIR_ADDRESS);
        let mut recipe = fill(&mut address);
        recipe.seed = 99;
        let spelled = address.spell(&recipe, &defaults());
        assert_eq!(spelled, "seed=99");
        assert!(address.is_news(&spelled));
        address.written(spelled.clone());
        assert!(!address.is_news(&spelled));
    }

    #[test]
    fn what_was_typed_before_the_pair_came_stays_and_is_written() {
        let mut address = open("prompt=blue+bus");
        let filling = address.fill(&defaults(), ["green frog", ""]);
        assert_eq!(filling.recipe.prompt, "green frog");
        let spelled = address.spell(&filling.recipe, &defaults());
        address.filled(Some(spelled.clone()));
        assert!(address.is_news(&spelled));
        // Later links overwrite it: whoever follows one wants its prompt.
        address.follow("prompt=red+house");
        let filling = address.fill(&defaults(), ["green frog", ""]);
        assert_eq!(filling.recipe.prompt, "red house");
    }

    #[test]
    fn the_engine_turns_only_to_another_pair_or_device() {
        let mut address = open("");
        fill(&mut address);
        assert_eq!(address.follow("seed=3").0, None);
        assert_eq!(fill(&mut address).seed, 3);
        assert_eq!(address.follow("pair=pairs/emoji/manifest.json").0, None);
        let (turn, _) = address.follow("pair=pairs/emoji/lcm.json");
        assert_eq!(turn.map(|turn| turn.pair), Some(OTHER.into()));
        let (turn, _) = address.follow("pair=pairs/emoji/lcm.json&device=webgpu");
        assert_eq!(turn.map(|turn| turn.device), Some(DevicePreference::WebGpu));
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
        let filling = address.fill(&defaults(), ["", ""]);
        assert_eq!(filling.recipe.k, 3);
        assert!(
            filling
                .problem
                .is_some_and(|sentence| sentence.ends_with('.'))
        );
    }

    #[test]
    fn another_pair_keeps_the_prompts_the_seeds_and_the_rows() {
        let mut address = open("device=cpu&k=2");
        fill(&mut address);
        let typed = Typed {
            prompt: "blue bus".into(),
            negative_prompt: "worm".into(),
            seed: "12".into(),
            seed_count: "many".into(),
            modes: vec![Mode::Base],
        };
        let (turn, hash) = address.choose_pair(OTHER.into(), typed);
        assert_eq!(turn.pair, OTHER);
        assert_eq!(turn.device, DevicePreference::Cpu);
        assert!(hash.contains("pair=pairs/emoji/lcm.json"), "{hash}");
        let recipe = fill(&mut address);
        assert_eq!(recipe.prompt, "blue bus");
        assert_eq!(recipe.negative_prompt, "worm");
        assert_eq!(recipe.seed, 12);
        assert_eq!(recipe.modes, [Mode::Base]);
        // Everything else is the pair's.
        assert_eq!(recipe.seed_count, defaults().seed_count);
        assert_eq!(recipe.k, defaults().k);
        // What the controls spell then is written, whatever it is.
        assert!(address.is_news(&address.spell(&recipe, &defaults())));
    }

    #[test]
    fn the_own_pair_is_not_named() {
        let mut address = open("pair=pairs/emoji/lcm.json");
        fill(&mut address);
        let (turn, hash) = address.choose_pair(OWN_PAIR_ADDRESS.into(), Typed::default());
        assert_eq!(turn.pair, OWN_PAIR_ADDRESS);
        assert!(!hash.contains("pair="), "{hash}");
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
        // One of another pair turns to it.
        let saved = SavedRecipe::new(OTHER, "LCM", recipe.clone(), None);
        let (turn, hash) = address
            .open_recipe(&saved, OWN_PAIR_ADDRESS)
            .expect("another pair");
        assert_eq!(turn.pair, OTHER);
        assert_eq!(turn.device, DevicePreference::Cpu);
        assert!(open(&hash).turn() == turn);
        assert_eq!(fill(&mut address), recipe);
    }

    #[test]
    fn the_digests_of_a_link_go_with_its_recipe() {
        let recipe = Random(11).recipe();
        let digests = [StepDigest([1, 2, 3])];
        let device = DevicePreference::Automatic;
        let link = Link::complete(&recipe, device, None, &digests).to_string();
        let mut address = open(&link);
        let followed = address.fill(&defaults(), ["", ""]).followed;
        assert_eq!(
            followed,
            Some(Followed {
                recipe,
                digests: digests.to_vec()
            })
        );
        address.follow("seed=1");
        assert_eq!(address.fill(&defaults(), ["", ""]).followed, None);
    }
}
