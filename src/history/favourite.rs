//! Pictures that the visitor has marked: they are kept larger than a run's thumbnails, and don't go with the
//! oldest runs.

use serde::{Deserialize, Serialize};

use crate::picture::image::Image;
use crate::recipe::saved_recipe::SavedRecipe;

/// The most favourites that are kept: no further one is taken before another goes.
pub const MAXIMUM_FAVOURITES: usize = 48;
/// The longer side of a favourite's picture, in pixels.
pub const FAVOURITE_SIDE: u32 = 384;

/// A picture that the visitor has marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Favourite {
    /// What it is, with its cell: no two favourites have the same.
    pub recipe: SavedRecipe,
    /// When it was marked, in milliseconds since 1970.
    pub marked_at: f64,
    /// The picture, of at most [`FAVOURITE_SIDE`] pixels.
    pub image: Image,
}

impl Favourite {
    /// Whether it can be shown: it names a cell, and its picture has the bytes of its size.
    pub fn is_sound(&self) -> bool {
        let Image {
            width,
            height,
            rgba,
        } = &self.image;
        let sides = 1..=FAVOURITE_SIDE;
        self.recipe.cell.is_some()
            && self.marked_at.is_finite()
            && sides.contains(width)
            && sides.contains(height)
            && rgba.len() == *width as usize * *height as usize * 4
    }
}

/// Sorts favourites, the one that was marked last first.
pub fn sort(favourites: &mut [Favourite]) {
    favourites.sort_by(|one, other| other.marked_at.total_cmp(&one.marked_at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::CellAddress;
    use crate::recipe::random::Random;

    fn favourite(marked_at: f64) -> Favourite {
        let recipe = Random(3).recipe();
        let cell = Some(CellAddress::default());
        Favourite {
            recipe: SavedRecipe::new("pairs/emoji/manifest.json", "Emoji", recipe, cell),
            marked_at,
            image: Image {
                width: 2,
                height: 1,
                rgba: vec![0; 8],
            },
        }
    }

    #[test]
    fn the_last_one_comes_first_and_what_is_no_picture_is_not_shown() {
        let mut favourites = [favourite(1.0), favourite(3.0), favourite(2.0)];
        sort(&mut favourites);
        assert_eq!(favourites.map(|it| it.marked_at), [3.0, 2.0, 1.0]);
        assert!(favourite(1.0).is_sound());
        let mut cut = favourite(1.0);
        cut.image.rgba.pop();
        assert!(!cut.is_sound());
        let mut grid = favourite(1.0);
        grid.recipe.cell = None;
        assert!(!grid.is_sound());
    }
}
