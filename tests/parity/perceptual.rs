//! The networks that measure pictures, against DreamSim's and transformers' own code, and the pictures that
//! they are given, against torchvision and Pillow.

use burn::tensor::{Device, Tensor, TensorData};
use firststep::metrics::{Fit, ModelInput, cosine_distance, cosine_similarity};
use firststep::models::perceptual::{
    BranchHalf, VisionConfig, VisionModel, branch_half, centred, in_canonical_layout,
};
use firststep::models::{ClipTextConfig, ClipTextModel, Weights};
use firststep::picture::image::{ImageView, PixelFormat};
use firststep::weights::footprint::EXPANDED_LIMIT;

use crate::support::{Reference, assert_close, json, to_vec};

/// Relative to the largest value. Both sides compute in f32 and sum in another order, through up to twelve
/// layers.
pub const TOLERANCE: f32 = 1e-5;

const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const CLIP: ([f32; 3], [f32; 3]) = (
    [0.481_454_66, 0.457_827_5, 0.408_210_73],
    [0.268_629_54, 0.261_302_6, 0.275_777_1],
);

/// A picture that a script stored: its bytes, width and height.
pub fn picture(values: &Reference, name: &str) -> (Vec<u8>, [u32; 2]) {
    let shape = values.shape(name);
    let bytes = values.floats(name).iter().map(|&x| x as u8).collect();
    (bytes, [shape[1] as u32, shape[0] as u32])
}

fn input(side: usize, fit: Fit, (mean, deviation): ([f32; 3], [f32; 3])) -> ModelInput {
    ModelInput {
        side,
        fit,
        mean,
        deviation,
    }
}

/// All sources of a file of values, as the network takes them.
fn batch(values: &Reference, input: &ModelInput) -> Tensor<4> {
    let mut pixels = Vec::new();
    let mut count = 0;
    while values
        .shapes()
        .contains_key(format!("source.{count}").as_str())
    {
        let (bytes, [width, height]) = picture(values, &format!("source.{count}"));
        let view = ImageView::new(width, height, PixelFormat::Rgb, &bytes).expect("a picture");
        pixels.extend(input.values(view));
        count += 1;
    }
    let shape = [count, input.side, input.side, 3];
    Tensor::from_data(TensorData::new(pixels, shape), &Device::flex())
}

fn rows(values: &[f32], count: usize) -> Vec<&[f32]> {
    values.chunks_exact(values.len() / count).collect()
}

#[test]
fn pictures_are_resized_and_cropped_as_torchvision_and_pillow_do() {
    let values = Reference::read("perceptual/preprocessing.safetensors");
    let cases = json("perceptual/preprocessing.json");
    for (index, case) in cases.as_array().expect("cases").iter().enumerate() {
        let fit = serde_json::from_value(case["fit"].clone()).expect("a fit");
        let side = case["side"].as_u64().expect("a side") as usize;
        let (source, [width, height]) = picture(&values, &format!("{index}.source"));
        let source = ImageView::new(width, height, PixelFormat::Rgb, &source).expect("a picture");
        let square = input(side, fit, IMAGENET).square(source);
        let (expected, _) = picture(&values, &format!("{index}.square"));
        assert!(square.pixels == expected, "{index}: {case}");
    }
    let (source, [width, height]) = picture(&values, "emoji.source");
    let source = ImageView::new(width, height, PixelFormat::Rgb, &source).expect("a picture");
    let square = input(224, Fit::Stretch, IMAGENET).square(source);
    let every_sixteenth = square.pixels.chunks_exact(224 * 3).step_by(16);
    let (expected, _) = picture(&values, "emoji.rows");
    assert!(
        every_sixteenth.flatten().eq(&expected),
        "a picture of the emoji pair"
    );
}

fn dreamsim(folder: &str) -> VisionModel {
    let config = json(&format!("{folder}/config.json"));
    let config = VisionConfig::from_json(&config).expect("a config");
    let mut weights = Weights::new("dreamsim", &Device::flex(), EXPANDED_LIMIT);
    for tensor in Reference::read(&format!("{folder}/dino.safetensors")).below("") {
        if config.uses(&tensor.name) {
            weights
                .insert(in_canonical_layout(tensor))
                .expect("a tensor");
        }
    }
    let adapter = json(&format!("{folder}/adapter_config.json"));
    let scale = adapter["lora_alpha"].as_f64().expect("alpha") / adapter["r"].as_f64().expect("r");
    let mut halves = Reference::read(&format!("{folder}/adapter.safetensors")).below("");
    halves.sort_by_key(|tensor| branch_half(&tensor.name).map(|(name, half)| (name, half as u8)));
    assert!(halves.len() >= 2 * config.num_hidden_layers);
    for pair in halves.chunks_exact(2) {
        let (name, half) = branch_half(&pair[0].name).expect("a branch");
        assert_eq!(half, BranchHalf::Down);
        let [down, up] = [pair[0].clone(), pair[1].clone()];
        weights
            .insert_branch(name, down, up, scale as f32, None)
            .expect("a branch");
    }
    VisionModel::load(config, weights).expect("the tensors fit")
}

fn assert_dreamsim(folder: &str, tolerance: f32) {
    let model = dreamsim(folder);
    let values = Reference::read(&format!("{folder}/values.safetensors"));
    let input = input(model.config().image_size, Fit::Stretch, IMAGENET);
    let found = to_vec(model.forward(batch(&values, &input)));
    let found: Vec<Vec<f32>> = rows(&found, 3).into_iter().map(centred).collect();
    let expected = values.floats("embeddings");
    assert_close("dreamsim", &found.concat(), &expected, tolerance);
    let distances = [(0, 1), (0, 2), (1, 2)]
        .map(|(first, second)| cosine_distance(&found[first], &found[second]) as f32);
    assert_close(
        "distances",
        &distances,
        &values.floats("distances"),
        tolerance,
    );
}

#[test]
fn dreamsims_branch_with_its_adapter_gives_its_packages_embeddings_and_distances() {
    assert_dreamsim("perceptual/dreamsim", TOLERANCE);
}

fn assert_clip(folder: &str, tolerance: f32) {
    let values = Reference::read(&format!("{folder}/values.safetensors"));
    let file = Reference::read(&format!("{folder}/model.safetensors"));
    let config = json(&format!("{folder}/image_encoder.json"));
    let config = VisionConfig::from_json(&config).expect("a config");
    let weights = file.weights_where("image encoder", |name| config.uses(name));
    let model = VisionModel::load(config, weights).expect("the tensors fit");
    let input = input(model.config().image_size, Fit::Crop, CLIP);
    let pictures = to_vec(model.forward(batch(&values, &input)));
    let expected = values.floats("image_embeds");
    assert_close("pictures", &pictures, &expected, tolerance);

    let config = json(&format!("{folder}/text_encoder.json"));
    let config = ClipTextConfig::from_json(&config).expect("a config");
    let weights = file.weights_where("text encoder", |name| config.uses(name));
    let encoder = ClipTextModel::load(config, weights).expect("the tensors fit");
    let ids = values.rows_of_ids("input_ids");
    let texts = ids.iter().map(|ids| to_vec(encoder.encode(ids).pooled));
    let texts: Vec<f32> = texts.flatten().collect();
    assert_close("texts", &texts, &values.floats("text_embeds"), tolerance);

    let similarity: Vec<f32> = rows(&pictures, 2)
        .into_iter()
        .flat_map(|picture| {
            rows(&texts, 2)
                .into_iter()
                .map(|text| cosine_similarity(picture, text) as f32)
        })
        .collect();
    let expected = values.floats("similarity");
    for (found, expected) in similarity.iter().zip(expected) {
        // Of unit vectors, so that it is no matter how small it is.
        assert!(
            (found - expected).abs() <= tolerance,
            "{found} and {expected}"
        );
    }
}

#[test]
fn both_of_clips_encoders_are_those_of_transformers() {
    assert_clip("perceptual/clip", TOLERANCE);
}

/// The folder that `tools/reference/perceptual.py --full-size` wrote.
#[test]
#[ignore = "reads 2.7 GB that a script writes: for a run by hand, with FULL_SIZE=<folder>"]
fn networks_of_full_size_with_random_weights_give_the_same() {
    let folder = std::env::var("FULL_SIZE").expect("a folder");
    // Twelve to twenty-four layers of 768 to 1024 columns.
    assert_dreamsim(&format!("{folder}/dreamsim"), 1e-4);
    for name in ["clip-vit-base-patch32", "clip-vit-large-patch14"] {
        assert_clip(&format!("{folder}/{name}"), 1e-4);
    }
}
