//! Which files of a model's folder in diffusers' layout are its weights.

use crate::weights::format::safetensors::ENDING;

/// Variants of a model's files, by what stands before their ending: half precision first.
pub const HALF_PRECISION_FIRST: [&str; 2] = [".fp16", ""];
/// As [`HALF_PRECISION_FIRST`], with the model's own precision first.
pub const OWN_PRECISION_FIRST: [&str; 2] = ["", ".fp16"];

/// Names of diffusers' and of transformers' files, without variant and ending.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The weights among the names of a folder's files: of the first variant that is there, the single
/// file or all shards in their order. Nothing where there are none, or where a shard is missing.
pub fn weight_files<'a>(names: &[&'a str], variants: [&str; 2]) -> Vec<&'a str> {
    for variant in variants {
        for stem in STEMS {
            let single = format!("{stem}{variant}{ENDING}");
            if let Some(name) = names.iter().find(|name| **name == single) {
                return vec![name];
            }
            let shards = shards(names, &format!("{stem}{variant}-"));
            if !shards.is_empty() {
                return shards;
            }
        }
    }
    Vec::new()
}

/// All shards of a file: `model-00001-of-00002.safetensors` and `model-00002-of-00002.safetensors`,
/// or `model.fp16-00001-of-00002.safetensors`; `start` is what stands before the numbers.
fn shards<'a>(names: &[&'a str], start: &str) -> Vec<&'a str> {
    let mut shards: Vec<(usize, usize, &str)> = names
        .iter()
        .filter_map(|name| {
            let numbers = name.strip_prefix(start)?.strip_suffix(ENDING)?;
            let (index, count) = numbers.split_once("-of-")?;
            Some((index.parse().ok()?, count.parse().ok()?, *name))
        })
        .collect();
    shards.sort_unstable();
    let count = shards.len();
    let is_whole = shards
        .iter()
        .zip(1..)
        .all(|((index, of, _), expected)| *index == expected && *of == count);
    if is_whole {
        shards.into_iter().map(|(_, _, name)| name).collect()
    } else {
        Vec::new()
    }
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
    }

    #[test]
    fn a_model_without_one_of_its_shards_has_no_weights() {
        let shards = [
            "model-00001-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
        ];
        assert!(weight_files(&shards, HALF_PRECISION_FIRST).is_empty());
    }
}
