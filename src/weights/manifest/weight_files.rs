//! Which files of a model's folder in diffusers' layout are its weights.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::weights::format::safetensors::ENDING;

/// Variants of a model's files, by what stands before their ending: half precision first.
pub const HALF_PRECISION_FIRST: [&str; 2] = [".fp16", ""];
/// As [`HALF_PRECISION_FIRST`], with the model's own precision first.
pub const OWN_PRECISION_FIRST: [&str; 2] = ["", ".fp16"];

/// Names of diffusers' and of transformers' files, without variant and ending.
pub const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The weights among the names of a folder's files: of the first variant that is there, the single
/// file or all shards in their order. Nothing where there are none, or where a shard is missing. Of
/// several whole sets of shards beside each other, the one of the fewest is taken: [`index_names`] has the
/// file that says which is meant.
pub fn weight_files<'a>(names: &[&'a str], variants: [&str; 2]) -> Vec<&'a str> {
    for variant in variants {
        for stem in STEMS {
            let single = format!("{stem}{variant}{ENDING}");
            if let Some(name) = names.iter().find(|name| **name == single) {
                return vec![name];
            }
            if let Some(shards) = shard_sets(names, stem, variant).into_iter().next() {
                return shards;
            }
        }
    }
    Vec::new()
}

/// The names that an index of a variant's shards can have, in today's spelling and in older ones.
pub fn index_names(variant: &str) -> Vec<String> {
    let mut names = Vec::new();
    for stem in STEMS {
        names.push(format!("{stem}{ENDING}.index{variant}.json"));
        if !variant.is_empty() {
            names.push(format!("{stem}{variant}{ENDING}.index.json"));
        }
    }
    names
}

/// The index among the names of a folder's files that has to be asked for the weights: where
/// [`weight_files`] finds shards, the index of their variant.
pub fn index_file<'a>(names: &[&'a str], variants: [&str; 2]) -> Option<&'a str> {
    let found = weight_files(names, variants);
    let is_half = |name: &str| name.contains(".fp16");
    let [first, _, ..] = found.as_slice() else {
        return None;
    };
    let indices = variants.into_iter().flat_map(index_names);
    let found = indices.filter_map(|index| names.iter().find(|name| **name == index));
    found.copied().find(|name| is_half(name) == is_half(first))
}

/// The files that an index names, in their order; nothing where it is no index of safetensors files.
pub fn files_in_index(json: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Ok(index) = serde_json::from_str::<Index>(json) else {
        return Vec::new();
    };
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    let are_plain = files
        .iter()
        .all(|name| name.ends_with(ENDING) && !name.contains(['/', '\\']));
    if are_plain {
        files.into_iter().collect()
    } else {
        Vec::new()
    }
}

/// The whole sets of a file's shards, those of the fewest first. A shard is
/// `model-00001-of-00002.safetensors`, of a variant `model.fp16-00001-of-00002.safetensors`, or by older
/// versions `model-00001-of-00002.fp16.safetensors`.
fn shard_sets<'a>(names: &[&'a str], stem: &str, variant: &str) -> Vec<Vec<&'a str>> {
    let mut sets: BTreeMap<(usize, bool), Vec<(usize, &str)>> = BTreeMap::new();
    for name in names {
        let numbers_of = |start: &str, end: &str| {
            let numbers = name.strip_prefix(start)?.strip_suffix(end)?;
            let (index, count) = numbers.split_once("-of-")?;
            Some((index.parse().ok()?, count.parse().ok()?))
        };
        let today = numbers_of(&format!("{stem}{variant}-"), ENDING);
        let older = || numbers_of(&format!("{stem}-"), &format!("{variant}{ENDING}"));
        if let Some((index, count)) = today {
            sets.entry((count, false)).or_default().push((index, name));
        } else if let Some((index, count)) = older() {
            sets.entry((count, true)).or_default().push((index, name));
        }
    }
    let sets = sets.into_iter().filter_map(|((count, _), mut shards)| {
        shards.sort_unstable();
        let is_whole = shards.len() == count
            && shards
                .iter()
                .zip(1..)
                .all(|((index, _), expected)| *index == expected);
        is_whole.then(|| shards.into_iter().map(|(_, name)| name).collect())
    });
    sets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_variant_comes_first_and_shards_in_their_order() {
        let unet = [
            "config.json",
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.fp16.safetensors",
        ];
        let half = weight_files(&unet, HALF_PRECISION_FIRST);
        assert_eq!(half, ["diffusion_pytorch_model.fp16.safetensors"]);
        let own = weight_files(&unet, OWN_PRECISION_FIRST);
        assert_eq!(own, ["diffusion_pytorch_model.safetensors"]);
        let shards = [
            "model.fp16-00002-of-00002.safetensors",
            "model.fp16-00001-of-00002.safetensors",
            "model.safetensors.index.fp16.json",
        ];
        let found = weight_files(&shards, OWN_PRECISION_FIRST);
        assert_eq!(found, [shards[1], shards[0]]);
        assert!(weight_files(&["diffusion_pytorch_model.bin"], OWN_PRECISION_FIRST).is_empty());
        assert_eq!(index_file(&shards, HALF_PRECISION_FIRST), Some(shards[2]));
        assert_eq!(index_file(&unet, HALF_PRECISION_FIRST), None);
    }

    #[test]
    fn a_model_without_one_of_its_shards_has_no_weights() {
        let shards = [
            "model-00001-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
        ];
        assert!(weight_files(&shards, HALF_PRECISION_FIRST).is_empty());
    }

    #[test]
    fn an_index_names_its_shards() {
        let index = r#"{"metadata": {"total_size": 9}, "weight_map": {
            "b": "model-00002-of-00002.safetensors", "a": "model-00001-of-00002.safetensors",
            "c": "model-00002-of-00002.safetensors"}}"#;
        assert_eq!(
            files_in_index(index),
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors"
            ]
        );
        for wrong in [
            "{}",
            "<html>",
            r#"{"weight_map": {"a": "../model.safetensors"}}"#,
            r#"{"weight_map": {"a": "pytorch_model.bin"}}"#,
        ] {
            assert!(files_in_index(wrong).is_empty(), "{wrong}");
        }
    }
}
