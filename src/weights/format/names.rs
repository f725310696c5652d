//! How a file names its tensors, and what they are stored as.
//!
//! The components of a single-file [`checkpoint`](super::checkpoint) are stored with `unet.`, `vae.`,
//! `text_encoder.` and `text_encoder_2.` before diffusers' names. open_clip keeps a layer's queries,
//! keys and values in one tensor, which becomes three of a third of its rows each.

use super::checkpoint::{COMPONENTS, Form};

/// How a file names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As diffusers and transformers do, or any other: the names stay.
    Plain,
    /// A single-file checkpoint.
    Checkpoint,
}

/// A name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    /// diffusers' name, of a checkpoint's tensor with the component before it.
    pub name: String,
    /// How the values lie in the file.
    pub form: Form,
}

impl Naming {
    /// What a file with these tensors has.
    pub fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        let [unet, ..] = &*COMPONENTS;
        if names.any(|name| name.starts_with(unet.prefix)) {
            Naming::Checkpoint
        } else {
            Naming::Plain
        }
    }

    /// What a tensor is stored as; more than one where the file keeps several in one, row after row;
    /// none where nothing here uses it.
    pub fn stored_names(self, name: &str) -> Vec<StoredName> {
        if self == Naming::Plain {
            return vec![StoredName {
                name: name.to_owned(),
                form: Form::Same,
            }];
        }
        let component = COMPONENTS
            .iter()
            .find_map(|component| Some((component, name.strip_prefix(component.prefix)?)));
        let Some((component, rest)) = component else {
            return Vec::new();
        };
        let (names, form) = component.to_diffusers(rest);
        names
            .into_iter()
            .map(|name| StoredName {
                name: format!("{}.{name}", component.name),
                form,
            })
            .collect()
    }
}
