//! Names of saved files: what is in them, in characters that every file system takes.

use crate::recipe::{CellAddress, Recipe};

/// The most characters that a name has of the prompt.
const MAXIMUM_PROMPT_CHARACTERS: usize = 48;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The image of a cell.
    Image(CellAddress),
    /// The steps of a cell, one after the other.
    Strip(CellAddress),
    /// The whole grid.
    Grid,
    /// All images of the grid, each in a file of its own.
    All,
    /// The steps of one cell or several, side by side.
    StripSheet(CellAddress),
}

/// A name such as `firststep-a-red-heart-hybrid-seed-3.png`: ASCII, without blanks, below 120
/// characters.
pub fn file_name(recipe: &Recipe, content: Content) -> String {
    let (cell, kind) = match content {
        Content::Image(cell) => (cell, None),
        Content::Strip(cell) => (cell, Some("strip")),
        Content::StripSheet(cell) => (cell, Some("steps")),
        Content::Grid => (CellAddress::default(), Some("grid")),
        Content::All => (CellAddress::default(), Some("all")),
    };
    let row = recipe.rows().into_iter().nth(cell.row as usize);
    let prompt = row.as_ref().map_or(&recipe.prompt, |row| &row.prompt);
    let row_key = match content {
        Content::Grid | Content::All => None,
        _ => row.as_ref().map(|row| slug(&row.key(), usize::MAX)),
    };
    let seed = format!("seed-{}", recipe.seed_of(cell.column));
    let parts = [
        Some("firststep".to_owned()),
        Some(slug(prompt, MAXIMUM_PROMPT_CHARACTERS)),
        row_key,
        Some(seed),
        kind.map(str::to_owned),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let extension = match content {
        Content::All => "zip",
        _ => "png",
    };
    format!("{}.{extension}", parts.join("-"))
}

/// The letters and digits of a text, hyphens between its words; whole words, as long as the first
/// one fits.
fn slug(text: &str, most: usize) -> String {
    let mut slug = String::new();
    for word in text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if slug.is_empty() {
            slug.extend(word.chars().take(most));
        } else if slug.len() + 1 + word.len() <= most {
            slug.push('-');
            slug.push_str(word);
        } else {
            break;
        }
    }
    slug.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::random::Random;
    use crate::recipe::{Axis, Mode};

    fn recipe(prompt: &str) -> Recipe {
        let mut recipe = Random(1).recipe();
        recipe.prompt = prompt.to_owned();
        recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
        recipe.axis = Axis::Modes;
        recipe.seed = 1;
        recipe.seed_count = 4;
        recipe
    }

    #[test]
    fn a_name_says_what_is_in_the_file() {
        let mut recipe = recipe("A red  heart!");
        let cell = CellAddress { row: 1, column: 2 };
        let name = |recipe: &Recipe, content| file_name(recipe, content);
        assert_eq!(
            name(&recipe, Content::Image(cell)),
            "firststep-a-red-heart-hybrid-seed-3.png"
        );
        assert_eq!(
            name(&recipe, Content::Strip(cell)),
            "firststep-a-red-heart-hybrid-seed-3-strip.png"
        );
        assert_eq!(
            name(&recipe, Content::StripSheet(cell)),
            "firststep-a-red-heart-hybrid-seed-3-steps.png"
        );
        assert_eq!(
            name(&recipe, Content::Grid),
            "firststep-a-red-heart-seed-1-grid.png"
        );
        recipe.axis = Axis::BaseGuidance(vec![0.5]);
        assert_eq!(
            name(&recipe, Content::Image(cell)),
            "firststep-a-red-heart-hybrid-g0-5-seed-3.png"
        );
        recipe.axis = Axis::Prompts(vec!["a bus".into()]);
        let second = CellAddress { row: 2, column: 0 };
        assert_eq!(
            name(&recipe, Content::Image(second)),
            "firststep-a-bus-distilled-p2-seed-1.png"
        );
    }

    #[test]
    fn a_name_is_short_and_plain_whatever_the_prompt() {
        for (prompt, expected) in [
            ("", "firststep-distilled-seed-1.png"),
            ("漢字", "firststep-distilled-seed-1.png"),
            (
                "../etc\\passwd:\0 con",
                "firststep-etc-passwd-con-distilled-seed-1.png",
            ),
            ("Äpfel é", "firststep-pfel-distilled-seed-1.png"),
        ] {
            let name = file_name(&recipe(prompt), Content::Image(CellAddress::default()));
            assert_eq!(name, expected);
        }
        let long = "extraordinary ".repeat(100);
        let name = file_name(&recipe(&long), Content::Strip(CellAddress::default()));
        assert!(name.len() < 120, "{name}");
        assert!(name.contains("extraordinary-extraordinary-extraordinary-distilled"));
        let name = file_name(
            &recipe(&"x".repeat(2000)),
            Content::Strip(CellAddress::default()),
        );
        assert!(name.is_ascii() && name.len() < 120, "{name}");
    }

    #[test]
    fn a_cell_that_is_not_there_still_has_a_name() {
        let outside = CellAddress { row: 9, column: 1 };
        assert_eq!(
            file_name(&recipe("a bus"), Content::Image(outside)),
            "firststep-a-bus-seed-2.png"
        );
    }
}
