//! Files and links of an earlier version of the page are still read. `tests/earlier/` has a picture
//! that it saved and the link that it copied, both of one grid.

use firststep::picture::find_recipe::{FoundRecipe, find_recipe};
use firststep::recipe::link::Link;
use firststep::recipe::saved_recipe::SavedRecipe;
use firststep::recipe::{CellAddress, Mode};

const PICTURE: &[u8] = include_bytes!("earlier/picture.png");
const LINK: &str = include_str!("earlier/link.txt");

#[test]
fn an_earlier_picture_and_link_give_the_recipe_that_they_were_made_with() {
    let Ok(FoundRecipe::Recipe(text)) = find_recipe(PICTURE) else {
        panic!("the picture holds a recipe of this page");
    };
    let saved = SavedRecipe::from_json(&text).expect("the recipe is sound");
    assert_eq!(saved.pair, "pairs/emoji/manifest.json");
    assert_eq!(saved.cell, Some(CellAddress { row: 1, column: 0 }));
    let recipe = &saved.recipe;
    assert_eq!(recipe.negative_prompt, "worm");
    assert_eq!(recipe.modes, [Mode::Distilled, Mode::Hybrid]);
    assert_eq!((recipe.seed, recipe.k, recipe.distilled_steps), (7, 2, 3));

    let (link, errors) = Link::parse(LINK.trim_end());
    assert_eq!(errors, []);
    assert_eq!(link.digests.len(), 3);
    // The link names every parameter: the recipe is the picture's, whatever the defaults are.
    let mut defaults = recipe.clone();
    defaults.prompt = "another".into();
    defaults.seed_count = 9;
    defaults.k = 1;
    assert_eq!(link.applied_to(&defaults), *recipe);
}
