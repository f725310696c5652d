//! The part of the page's address after `#`, as `prompt=red+apple&seed=3`: every control by name.
//!
//! There are two kinds of links, of the same parameters:
//!
//! - The address of the page follows its controls and can be typed: it says what differs from the
//!   pair's defaults, and what is absent keeps them ([`Link::of`]).
//! - A link to share is complete: it says its version and every parameter, so that it means the same
//!   when the defaults have changed, and ends with a checksum ([`Link::complete`]). The same recipe
//!   gives the same text.
//!
//! A parameter that can't be read is reported and left out; the rest of the link still counts. But
//! nothing counts of a link whose version is unknown or whose checksum doesn't fit: half of a recipe
//! that somebody shared would be another recipe.
//!
//! The recipe's parameters stand by the names of [`PARAMETERS`]; beside them there are
//!
//! | parameter | what |
//! |---|---|
//! | `v` | [`LINK_VERSION`], in complete links |
//! | `pair` | the manifest's address, relative to the page |
//! | `prompt-2` to `prompt-8` | further prompts, each with rows of its own |
//! | `k-values`, `base-guidance-values` | comma list: a row of the hybrid for each |
//! | `device` | `automatic`, `webgpu` or `cpu` |
//! | `digest` | the first cell's steps, to compare by: [`to_text`](super::digest::to_text) |
//! | `sum` | checksum of all before it, at the end of complete links |
//! | `stats` | no value: the page shows what the engine measures |
//!
//! `stats` is no part of what is shared: it may be put on any link, behind its checksum too.
//!
//! A complete link leaves out an optional parameter ([`is_optional`](super::parameters::Parameter::is_optional)) that is as in
//! [`Recipe::default`]: one that names neither an axis nor the values of one means that rows differ
//! in their mode alone.
//!
//! `k-values`, `base-guidance-values`, further prompts and `axis` exclude each other. The checksum is
//! FNV-1a in 32 bits as eight hexadecimal digits: it notices every change of one character, and all
//! but one in four billion of the others. (Base 64 would be shorter, but programs that look for
//! links in a text leave an underscore at their end out.) It is made of the text in the encoding of
//! [`Link`]'s `Display`, so that a program that encodes more or fewer characters on a link's way does
//! no harm.

pub(super) mod encoding;
pub mod error;
mod names;
mod part;
pub(super) mod reading;
#[cfg(test)]
mod tests;
mod writing;

use super::Recipe;
use super::device::DevicePreference;
use super::digest::StepDigest;
use super::parameters::PARAMETERS;
use super::partial::PartialRecipe;

/// Raised when a link comes to mean something else.
pub const LINK_VERSION: u32 = 1;

/// What a link says; none where it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// The parameters of the recipe.
    pub recipe: PartialRecipe,
    /// Where the models shall run.
    pub device: Option<DevicePreference>,
    /// The manifest's address, relative to the page: a link can't name another host.
    pub pair: Option<String>,
    /// The digests of the first cell's steps, from the first; empty where the link has none.
    pub digests: Vec<StepDigest>,
    /// Whether the page shows what the engine measures.
    pub shows_stats: bool,
    /// Whether the link says its version, as those to share do; it is written with a checksum then.
    pub is_versioned: bool,
}

impl Link {
    /// The link of the controls: what differs from the pair's defaults, a device other than
    /// automatic, and a pair other than the page's own (which is none).
    pub fn of(
        recipe: &Recipe,
        defaults: &Recipe,
        device: DevicePreference,
        pair: Option<&str>,
    ) -> Link {
        Link {
            recipe: PartialRecipe::difference(recipe, defaults),
            // No part of the recipe, and what their absence means never changes.
            device: (device != DevicePreference::Automatic).then_some(device),
            pair: pair.map(str::to_owned),
            digests: Vec::new(),
            shows_stats: false,
            is_versioned: false,
        }
    }

    /// The link to share: the version, every number and text of the recipe, also those that its rows
    /// don't need, a device other than automatic, a pair other than the page's own (which is none),
    /// the digests of the first cell's steps as far as there are any, and a checksum.
    ///
    /// A recipe that [`Recipe::validate`] allows comes back whole from its text.
    pub fn complete(
        recipe: &Recipe,
        device: DevicePreference,
        pair: Option<&str>,
        digests: &[StepDigest],
    ) -> Link {
        Link {
            recipe: PartialRecipe::whole(recipe),
            digests: digests.to_vec(),
            is_versioned: true,
            ..Link::of(recipe, recipe, device, pair)
        }
    }

    /// Whether the link says its version and all of a recipe, so that no default counts.
    #[cfg(test)]
    fn is_complete(&self) -> bool {
        self.is_versioned && self.first_missing().is_none()
    }

    /// The first parameter of a recipe that the link doesn't say.
    fn first_missing(&self) -> Option<&'static str> {
        PARAMETERS
            .iter()
            .find(|parameter| !self.recipe.has(parameter))
            .map(|parameter| parameter.name)
    }

    /// The recipe of this link on a pair with these defaults. Bounds that hold between parameters
    /// (k and the number of steps) are [`Recipe::validate`]'s.
    pub fn applied_to(&self, defaults: &Recipe) -> Recipe {
        self.recipe.applied_to(defaults)
    }
}
