//! A network that measures pictures, on the device: built from a manifest and its files, it turns pictures, and
//! CLIP's also texts, into embeddings.
//!
//! However many pictures there are, [`MOST`] at a time are made ready, go through the network, and are read back:
//! beside the embeddings themselves, memory doesn't grow with their number.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::components::{load_tokenizer, load_weights, own_name, read_tensor, tensors_of};
use super::error::EngineError;
use super::pair_files::PairFiles;
use crate::metrics::{Class, Judged, ModelInput, cosine_distance};
use crate::models::perceptual::{
    BranchHalf, ClassifierConfig, EmojiClassifier, Judgement, VisionConfig, VisionModel,
    branch_half, centred, in_canonical_layout, network_of,
};
use crate::models::{ClipTextConfig, ClipTextModel, ClipTokenizer, ModelError, Weights};
use crate::picture::image::ImageView;
use crate::weights::footprint::EXPANDED_LIMIT;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::manifest::{Component, Measure, PerceptualManifest};

/// The most pictures that go through a network together. Of CLIP's ViT-L/14, which is the largest, the
/// activations of so many take some 100 MB.
const MOST: usize = 8;

enum Network {
    /// Encoders whose embeddings stand one after the other: one, or those of DreamSim's ensemble.
    Vision(Vec<(ModelInput, VisionModel)>),
    Classifier(ModelInput, Box<EmojiClassifier>),
}

/// What a network makes of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Where the network puts it.
    pub embedding: Vec<f32>,
    /// What the classifier takes it for, by the classes of [`Perceptual::classes`]; none of another network.
    pub judged: Option<Judged>,
}

/// A network that measures pictures.
pub struct Perceptual {
    manifest: PerceptualManifest,
    network: Network,
    text: Option<(ClipTokenizer, ClipTextModel)>,
    device: Device,
}

impl Perceptual {
    /// Reads the network to the device.
    ///
    /// # Errors
    /// A component is missing or its files are not what its config says, or the manifest's `input` isn't
    /// one.
    pub async fn load(
        manifest: PerceptualManifest,
        device: Device,
        files: &impl PairFiles,
    ) -> Result<Self, EngineError> {
        let components = &manifest.components;
        let encoder = &components.image_encoder;
        let network = if manifest.measure == Measure::EmojiClassifier {
            let config = ClassifierConfig::from_json(&encoder.config)?;
            let weights = load_weights(
                "classifier",
                encoder,
                &device,
                EXPANDED_LIMIT,
                files,
                |_| true,
            )
            .await?;
            let input = input_of(&manifest, &manifest.input, config.image_size)?;
            let model = EmojiClassifier::load(config, weights)?;
            Network::Classifier(input, Box::new(model))
        } else {
            let further = components.further_image_encoders.iter();
            let further = further.map(|it| (&it.input, &it.component));
            let all = std::iter::once((&manifest.input, encoder)).chain(further);
            let mut models = Vec::new();
            for (index, (input, encoder)) in all.enumerate() {
                let config = VisionConfig::from_json(&encoder.config)?;
                let input = input_of(&manifest, input, config.image_size)?;
                let mut weights = vision_weights(encoder, &config, &device, files).await?;
                if manifest.measure == Measure::DreamSim {
                    let lacks = || {
                        wrong(
                            &manifest,
                            "its adapter's file isn't there or lacks something, without which it is DINO or CLIP",
                        )
                    };
                    let adapter = components.adapter.as_ref().ok_or_else(lacks)?;
                    let branches = put_beside(&mut weights, adapter, index, files).await?;
                    if branches != config.num_hidden_layers {
                        return Err(lacks());
                    }
                }
                models.push((input, VisionModel::load(config, weights)?));
            }
            Network::Vision(models)
        };
        let text = match (&components.text_encoder, &components.tokenizer) {
            (Some(encoder), Some(tokenizer)) => {
                let config = ClipTextConfig::from_json(&encoder.config)?;
                let wanted = |name: &str| config.uses(name);
                let name = "text_encoder";
                let weights =
                    load_weights(name, encoder, &device, EXPANDED_LIMIT, files, wanted).await?;
                let tokenizer = load_tokenizer(tokenizer, files).await?;
                if tokenizer.length() > config.max_position_embeddings
                    || tokenizer.vocabulary_size() > config.vocab_size
                {
                    return Err(wrong(
                        &manifest,
                        "its tokenizer belongs to another text encoder",
                    ));
                }
                Some((tokenizer, ClipTextModel::load(config, weights)?))
            }
            _ => None,
        };
        Ok(Self {
            manifest,
            network,
            text,
            device,
        })
    }

    /// What the network is.
    pub fn manifest(&self) -> &PerceptualManifest {
        &self.manifest
    }

    /// What the classifier can tell apart; none of another network.
    pub fn classes(&self) -> Option<&ClassifierConfig> {
        match &self.network {
            Network::Classifier(_, classifier) => Some(classifier.config()),
            Network::Vision(_) => None,
        }
    }

    /// The embeddings of pictures of any sizes, in their order. Their cosine distance is the network's
    /// measure; DreamSim's have its centring.
    ///
    /// # Errors
    /// The device fails.
    pub async fn embed<'a>(
        &self,
        pictures: impl IntoIterator<Item = ImageView<'a>>,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let seen = self.see(pictures).await?;
        Ok(seen.into_iter().map(|it| it.embedding).collect())
    }

    /// What the network makes of pictures of any sizes, in their order.
    ///
    /// # Errors
    /// The device fails.
    pub async fn see<'a>(
        &self,
        pictures: impl IntoIterator<Item = ImageView<'a>>,
    ) -> Result<Vec<Seen>, EngineError> {
        let mut seen = Vec::new();
        let mut pictures = pictures.into_iter();
        loop {
            let batch: Vec<ImageView<'_>> = pictures.by_ref().take(MOST).collect();
            if batch.is_empty() {
                return Ok(seen);
            }
            match &self.network {
                Network::Vision(models) => {
                    let mut together = vec![Vec::new(); batch.len()];
                    for (input, model) in models {
                        let found = rows(model.forward(self.values(input, &batch))).await?;
                        for (embedding, part) in together.iter_mut().zip(found) {
                            embedding.extend(part);
                        }
                    }
                    let is_centred = self.manifest.measure == Measure::DreamSim;
                    seen.extend(together.into_iter().map(|row| Seen {
                        embedding: if is_centred { centred(&row) } else { row },
                        judged: None,
                    }));
                }
                Network::Classifier(input, classifier) => {
                    let values = self.values(input, &batch);
                    seen.extend(judged(classifier.judge(values)).await?);
                }
            }
        }
    }

    /// The embedding of a text, of which what is over CLIP's 77 tokens is cut off.
    ///
    /// # Errors
    /// The network takes no texts, the text can't be cut into tokens, or the device fails.
    pub async fn embed_text(&self, text: &str) -> Result<Vec<f32>, EngineError> {
        let Some((tokenizer, encoder)) = &self.text else {
            return Err(wrong(&self.manifest, "it takes no texts"));
        };
        let pooled = encoder.encode(&tokenizer.encode(text)?).pooled;
        let mut rows = rows(crate::kernels::to_f32(pooled)).await?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// The distance of two embeddings, from 0 to 2: 1 − cos.
    pub fn distance(first: &[f32], second: &[f32]) -> f64 {
        cosine_distance(first, second)
    }

    /// Pictures as an encoder takes them.
    fn values(&self, input: &ModelInput, pictures: &[ImageView<'_>]) -> Tensor<4> {
        let values = pictures.iter().flat_map(|picture| input.values(*picture));
        let shape = [pictures.len(), input.side, input.side, 3];
        Tensor::from_data(TensorData::new(values.collect(), shape), &self.device)
    }
}

/// How pictures are made ready for an encoder that takes them with this side.
fn input_of(
    manifest: &PerceptualManifest,
    input: &serde_json::Value,
    side: usize,
) -> Result<ModelInput, EngineError> {
    let input = serde_json::from_value(input.clone());
    let input: ModelInput = input.map_err(|error| ModelError::Config {
        component: "pictures' input",
        reason: error.to_string(),
    })?;
    if input.side == side {
        Ok(input)
    } else {
        Err(wrong(
            manifest,
            "it takes pictures of another size than its manifest says",
        ))
    }
}

async fn judged(judgement: Judgement) -> Result<Vec<Seen>, EngineError> {
    let embeddings = rows(judgement.embedding).await?;
    let concepts = rows(judgement.concept).await?;
    let styles = rows(judgement.style).await?;
    let backgrounds = rows(judgement.background).await?;
    let placements = rows(judgement.placement).await?;
    let heads = concepts
        .iter()
        .zip(&styles)
        .zip(&backgrounds)
        .zip(&placements);
    let all = embeddings.into_iter().zip(heads);
    Ok(all
        .map(
            |(embedding, (((concept, style), background), placement))| Seen {
                embedding,
                judged: Some(Judged {
                    concept: Class::of(concept),
                    style: Class::of(style),
                    background: Class::of(background),
                    placement: [0, 1, 2].map(|index| placement.get(index).copied().unwrap_or(0.0)),
                }),
            },
        )
        .collect())
}

fn wrong(manifest: &PerceptualManifest, reason: &'static str) -> EngineError {
    EngineError::Perceptual {
        name: manifest.name.clone(),
        reason,
    }
}

/// The rows of a matrix, read from the device.
async fn rows(matrix: Tensor<2>) -> Result<Vec<Vec<f32>>, EngineError> {
    let failed = |reason: String| EngineError::Device { reason };
    let [_, size] = matrix.dims();
    let data = matrix.into_data_async().await;
    let data = data.map_err(|error| failed(error.to_string()))?;
    let values: Vec<f32> = data
        .try_into_vec()
        .map_err(|error| failed(error.to_string()))?;
    Ok(values
        .chunks_exact(size.max(1))
        .map(<[f32]>::to_vec)
        .collect())
}

async fn vision_weights(
    component: &Component,
    config: &VisionConfig,
    device: &Device,
    files: &impl PairFiles,
) -> Result<Weights, EngineError> {
    let mut weights = Weights::new("image_encoder", device, EXPANDED_LIMIT);
    for (id, name) in tensors_of(component, files).await? {
        if config.uses(own_name(component, &name)) {
            let tensor = read_tensor(component, files, id, &name).await?;
            weights.insert(in_canonical_layout(tensor))?;
        }
    }
    Ok(weights)
}

/// Puts an adapter's branches beside the weights of one of DreamSim's networks. Returns how many there were.
async fn put_beside(
    weights: &mut Weights,
    component: &Component,
    network: usize,
    files: &impl PairFiles,
) -> Result<usize, EngineError> {
    let config = component.adapter_config.as_ref();
    let number = |name: &str| config?.get(name)?.as_f64();
    // Where nothing is said of it, the change is taken as it is.
    let alpha = number("lora_alpha");
    let mut halves: BTreeMap<String, [Option<StoredTensor>; 2]> = BTreeMap::new();
    for (id, name) in tensors_of(component, files).await? {
        if network_of(&name) == network
            && let Some((weight, half)) = branch_half(own_name(component, &name))
        {
            let tensor = read_tensor(component, files, id, &name).await?;
            let [down, up] = halves.entry(weight).or_default();
            match half {
                BranchHalf::Down => *down = Some(tensor),
                BranchHalf::Up => *up = Some(tensor),
            }
        }
    }
    let mut count = 0;
    for (weight, halves) in halves {
        if let [Some(down), Some(up)] = halves {
            let rank = down.shape.first().copied().unwrap_or(1).max(1) as f64;
            let scale = alpha.map_or(1.0, |alpha| alpha / rank);
            weights.insert_branch(weight, down, up, scale as f32, None)?;
            count += 1;
        }
    }
    Ok(count)
}
