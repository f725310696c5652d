//! The engine's side of networks that measure pictures: from manifests and files to embeddings.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use firststep::engine::{EngineError, PairFiles, Perceptual};
use firststep::metrics::{ModelInput, cosine_distance};
use firststep::models::perceptual::VisionConfig;
use firststep::models::{ClipTextConfig, TokenizerConfig};
use firststep::picture::image::{ImageView, PixelFormat};
use firststep::weights::format::tensor::StoredTensor;
use firststep::weights::manifest::verify::{FileContent, FileVerifier, split};
use firststep::weights::manifest::{Measure, PerceptualManifest};
use serde_json::{Value, json};

use crate::perceptual::{TOLERANCE, picture};
use crate::support::{Reference, assert_close, block_on, json, repository};

/// Tensors by the ids of their files.
struct Files(HashMap<String, Vec<StoredTensor>>);

impl PairFiles for Files {
    async fn tensor_names(&self, id: &str) -> Result<Vec<String>, EngineError> {
        Ok(self.0[id]
            .iter()
            .map(|tensor| tensor.name.clone())
            .collect())
    }

    async fn tensor(&self, id: &str, name: &str) -> Result<StoredTensor, EngineError> {
        let found = self.0[id].iter().find(|tensor| tensor.name == name);
        Ok(found.expect(name).clone())
    }

    async fn metadata(&self, _id: &str) -> Result<BTreeMap<String, String>, EngineError> {
        Ok(BTreeMap::new())
    }

    async fn stored_length(&self, _id: &str) -> Result<u64, EngineError> {
        Ok(0)
    }

    async fn blob(&self, id: &str) -> Result<Vec<u8>, EngineError> {
        panic!("{id} holds tensors")
    }
}

/// The bundled classifier, each file verified and split like a download.
fn classifier() -> Perceptual {
    let folder = repository("public/perceptual/emoji");
    let text = fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let manifest = PerceptualManifest::parse(&text).expect("a manifest");
    let mut files = HashMap::new();
    for file in manifest.files() {
        let bytes = fs::read(folder.join(&file.path)).expect(&file.path);
        let mut verifier = FileVerifier::new(file);
        verifier.update(&bytes).expect("the manifest's size");
        verifier.finish().expect("the manifest's hash");
        let FileContent::Tensors(tensors) = split(file, bytes).expect("readable weights") else {
            panic!("{} holds no tensors", file.path)
        };
        files.insert(file.id.clone(), tensors);
    }
    block_on(Perceptual::load(manifest, Device::flex(), &Files(files))).expect("a network")
}

/// The pictures of a file of values.
fn pictures(values: &Reference, count: usize) -> Vec<(Vec<u8>, [u32; 2])> {
    let names = (0..count).map(|index| format!("source.{index}"));
    names.map(|name| picture(values, &name)).collect()
}

fn views(pictures: &[(Vec<u8>, [u32; 2])]) -> impl Iterator<Item = ImageView<'_>> {
    pictures.iter().map(|(bytes, [width, height])| {
        ImageView::new(*width, *height, PixelFormat::Rgb, bytes).expect("a picture")
    })
}

const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
const CLIP: [[f64; 3]; 2] = [
    [0.481_454_66, 0.457_827_5, 0.408_210_73],
    [0.268_629_54, 0.261_302_6, 0.275_777_1],
];

/// A tiny DreamSim of these networks, as a manifest would name it: each with the file of its config.
fn dreamsim(
    folder: &str,
    networks: &[(&str, &str)],
    adapter: bool,
) -> Result<Perceptual, EngineError> {
    let mut files = HashMap::new();
    let mut component = |name: &str, config: Value| {
        let hub = json!({ "repository": "somebody/something", "revision": "main" });
        let path = format!("{name}.safetensors");
        let tensors = Reference::read(&format!("{folder}/{path}")).below("");
        files.insert(name.to_owned(), tensors);
        json!({
            "config": config,
            "files": [{ "path": path, "hub": hub }],
            "adapter_config": json(&format!("{folder}/adapter_config.json")),
        })
    };
    let mut encoders = networks
        .iter()
        .map(|(name, config)| component(name, json(&format!("{folder}/{config}.json"))));
    let mut components = json!({ "image_encoder": encoders.next().expect("a network") });
    let input = |[mean, deviation]: [[f64; 3]; 2]| json!({ "side": 48, "fit": "stretch", "mean": mean, "deviation": deviation });
    components["further_image_encoders"] = encoders
        .map(|encoder| json!({ "input": input(CLIP), "component": encoder }))
        .collect();
    if adapter {
        components["adapter"] = component("adapter", json!({}));
    }
    let manifest = json!({
        "format": 2,
        "id": "tiny",
        "name": "DreamSim",
        "description": "",
        "licence": { "name": "MIT", "url": "https://opensource.org/license/mit" },
        "attribution": "",
        "measure": "dream_sim",
        "input": input(IMAGENET),
        "components": components,
    });
    let manifest = PerceptualManifest::parse(&manifest.to_string()).expect("a manifest");
    // The store knows files by what the manifest has them called.
    let files = manifest
        .files()
        .into_iter()
        .map(|file| {
            let name = file.path.strip_suffix(".safetensors").expect("a name");
            (file.id.clone(), files[name].clone())
        })
        .collect();
    block_on(Perceptual::load(manifest, Device::flex(), &Files(files)))
}

const SINGLE: [(&str, &str); 1] = [("dino", "config")];

fn assert_distances(folder: &str, networks: &[(&str, &str)], tolerance: f32) {
    let values = Reference::read(&format!("{folder}/values.safetensors"));
    let network = dreamsim(folder, networks, true).expect("a network");
    let pictures = pictures(&values, 3);
    let found = block_on(network.embed(views(&pictures))).expect("embeddings");
    let expected = values.floats("embeddings");
    assert_close("embeddings", &found.concat(), &expected, tolerance);
    let distances = [(0, 1), (0, 2), (1, 2)]
        .map(|(first, second)| Perceptual::distance(&found[first], &found[second]) as f32);
    assert_close(
        "distances",
        &distances,
        &values.floats("distances"),
        tolerance,
    );
    assert!(block_on(network.embed_text("a dog")).is_err());
}

#[test]
fn dreamsims_distances_come_out_of_a_manifest_and_its_files() {
    assert_distances("perceptual/dreamsim", &SINGLE, TOLERANCE);
}

#[test]
fn the_ensembles_distances_are_those_of_three_networks_together() {
    let names = ["dino_vitb16", "clip_vitb16", "open_clip_vitb16"];
    // The networks' values are of unlike sizes, and what the largest are rounded by stays when the mean goes.
    let tolerance = 3.0 * TOLERANCE;
    assert_distances(
        "perceptual/ensemble",
        &names.map(|name| (name, name)),
        tolerance,
    );
}

#[test]
fn dreamsim_without_its_adapter_is_refused() {
    let error = dreamsim("perceptual/dreamsim", &SINGLE, false)
        .err()
        .expect("an error")
        .to_string();
    assert!(
        error.contains("DreamSim can't be used: its adapter"),
        "{error}"
    );
}

#[test]
fn the_bundled_classifier_says_what_torch_says() {
    let values = Reference::read("perceptual/classifier.safetensors");
    let network = classifier();
    let sources = pictures(&values, 3);
    let seen = block_on(network.see(views(&sources))).expect("what it sees");
    let found: Vec<f32> = seen.iter().flat_map(|it| it.embedding.clone()).collect();
    let expected = values.floats("embedding");
    // Twelve convolutions and a sum of 4096 terms.
    assert_close("embedding", &found, &expected, TOLERANCE);
    let judged: Vec<_> = seen.into_iter().filter_map(|it| it.judged).collect();
    for (head, found) in [
        (
            "concept",
            judged.iter().map(|it| it.concept.index).collect::<Vec<_>>(),
        ),
        ("style", judged.iter().map(|it| it.style.index).collect()),
        (
            "background",
            judged.iter().map(|it| it.background.index).collect(),
        ),
    ] {
        let logits = values.floats(head);
        let expected: Vec<usize> = logits
            .chunks(logits.len() / 3)
            .map(|row| {
                (0..row.len())
                    .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                    .expect("a class")
            })
            .collect();
        assert_eq!(found, expected, "{head}");
    }
    let placement: Vec<f32> = judged.iter().flat_map(|it| it.placement).collect();
    assert_close(
        "placement",
        &placement,
        &values.floats("placement"),
        TOLERANCE,
    );
}

#[test]
fn a_picture_has_the_same_embedding_whichever_pictures_are_measured_with_it() {
    let values = Reference::read("perceptual/classifier.safetensors");
    let network = classifier();
    // More than go through the network at once.
    let sources = pictures(&values, 3);
    let many: Vec<_> = sources.iter().cycle().take(19).cloned().collect();
    let together = block_on(network.embed(views(&many))).expect("embeddings");
    assert_eq!(together.len(), many.len());
    for (index, embedding) in together.iter().enumerate() {
        let alone = block_on(network.embed(views(&many[index..=index]))).expect("one");
        // Sums of a batch are made in another order.
        assert!(
            cosine_distance(embedding, &alone[0]).abs() < 1e-6,
            "{index}"
        );
    }
}

#[test]
fn the_published_networks_manifests_can_be_followed() {
    let folder = fs::read_dir(repository("public/perceptual")).expect("a folder");
    let mut measures = Vec::new();
    for path in folder.map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a manifest");
        let manifest = PerceptualManifest::parse(&text).expect("a manifest");
        let input: ModelInput = serde_json::from_value(manifest.input.clone()).expect("an input");
        let components = &manifest.components;
        let encoder = VisionConfig::from_json(&components.image_encoder.config).expect("a config");
        assert_eq!(encoder.image_size, input.side);
        for further in &components.further_image_encoders {
            let input: ModelInput =
                serde_json::from_value(further.input.clone()).expect("an input");
            let encoder = VisionConfig::from_json(&further.component.config).expect("a config");
            assert_eq!(encoder.image_size, input.side);
        }
        if let (Some(text), Some(tokenizer)) = (&components.text_encoder, &components.tokenizer) {
            let text = ClipTextConfig::from_json(&text.config).expect("a config");
            assert_eq!(text.pooled_size(), encoder.embedding_size());
            TokenizerConfig::from_json(&tokenizer.config).expect("a config");
        }
        for file in manifest.files() {
            let hub = file.hub.as_ref().expect("a repository");
            // A commit, which can't change under the page.
            assert_eq!(hub.revision.len(), 40, "{}", file.path);
        }
        measures.push(manifest.measure);
    }
    measures.sort_by_key(|measure| *measure as u8);
    let (single, ensemble) = (Measure::DreamSim, Measure::DreamSim);
    assert_eq!(measures, [single, ensemble, Measure::Clip, Measure::Clip]);
}

/// Pictures of the browser's tests, drawn by the emoji pair for four prompts.
#[test]
fn the_classifier_finds_pictures_of_one_prompt_nearer_than_those_of_others() {
    let network = classifier();
    let read = |name: &str| {
        let path = repository(&format!("tests/browser/reference/{name}.png"));
        let (bytes, size) = read_png(&path);
        (bytes, size)
    };
    let names = [
        "0-base-0", "0-base-1", "1-base-0", "1-base-1", "2-base-0", "2-base-1",
    ];
    let pictures: Vec<_> = names.map(read).to_vec();
    let found = block_on(network.embed(views(&pictures))).expect("embeddings");
    let distance = |a: usize, b: usize| Perceptual::distance(&found[a], &found[b]);
    let same = [distance(0, 1), distance(2, 3), distance(4, 5)];
    let other = [
        distance(0, 2),
        distance(1, 4),
        distance(3, 5),
        distance(2, 4),
    ];
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    println!("one prompt {same:?}, others {other:?}");
    assert!(mean(&same) < mean(&other), "{same:?}, {other:?}");
}

/// Red, green and blue of a picture without alpha, and its width and height.
fn read_png(path: &Path) -> (Vec<u8>, [u32; 2]) {
    let file = fs::File::open(path).expect("a picture");
    let decoder = png::Decoder::new(std::io::BufReader::new(file));
    let mut reader = decoder.read_info().expect("a picture");
    let mut bytes = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut bytes).expect("a picture");
    let channels = info.color_type.samples();
    let pixels = bytes.chunks_exact(channels);
    let colours = pixels.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]);
    (colours.collect(), [info.width, info.height])
}
