//! The emoji pair's own classifier (`tools/train/classifier.py`): what a picture of 64 × 64 pixels shows, in
//! which style and on which background, and an embedding of all that.
//!
//! Its batch normalizations are folded into the layers before them when it is exported.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::Deserialize;

use crate::kernels::{self, Activation, After, Sampling};
use crate::models::error::{ModelError, parse_config};
use crate::models::layers::{Conv2d, Linear};
use crate::models::weights::Weights;

const COMPONENT: &str = "classifier";
/// Red, green and blue.
const CHANNELS: usize = 3;

/// The config of the classifier.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClassifierConfig {
    /// Side of the pictures in pixels.
    pub image_size: usize,
    /// Channels after each halving of the size.
    pub channels: Vec<usize>,
    /// Width of the embedding.
    pub embedding_size: usize,
    /// The things that it tells apart.
    pub concepts: Vec<String>,
    /// The styles that it tells apart.
    pub styles: Vec<String>,
    /// The backgrounds that it tells apart.
    pub backgrounds: Vec<String>,
}

impl ClassifierConfig {
    /// Reads a config.
    ///
    /// # Errors
    /// A field is missing or malformed, or the size can't be halved so often.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let parsed: Self = parse_config(COMPONENT, config)?;
        let halvings = parsed.channels.len() as u32;
        let whole = 1usize.checked_shl(halvings).unwrap_or(0);
        if whole < 2 || parsed.image_size == 0 || !parsed.image_size.is_multiple_of(whole) {
            return Err(ModelError::Config {
                component: COMPONENT,
                reason: "image_size can't be halved once for each of its channels".into(),
            });
        }
        Ok(parsed)
    }
}

/// A convolution that halves the size, and in all stages but the first two more around a residual.
struct Stage {
    halving: Conv2d,
    residual: Option<[Conv2d; 2]>,
}

impl Stage {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let activated = || After::activation(Activation::Relu);
        let hidden = self.halving.forward(input, activated());
        match &self.residual {
            Some([first, second]) => {
                let inner = first.forward(hidden.clone(), activated());
                relu(second.forward(inner, After::residual(hidden)))
            }
            None => hidden,
        }
    }
}

/// What the classifier says of a batch of pictures.
pub struct Judgement {
    /// Not of unit length: `[batch, embedding_size]`. Unrelated pictures are about at right angles.
    pub embedding: Tensor<2>,
    /// Logits: `[batch, concepts]`.
    pub concept: Tensor<2>,
    /// Logits: `[batch, styles]`.
    pub style: Tensor<2>,
    /// Logits: `[batch, backgrounds]`.
    pub background: Tensor<2>,
    /// Centre of the thing from -1 to 1, across and down, and its size as a share of the picture's:
    /// `[batch, 3]`.
    pub placement: Tensor<2>,
}

/// The classifier.
pub struct EmojiClassifier {
    config: ClassifierConfig,
    stages: Vec<Stage>,
    embedding: Linear,
    concept: Linear,
    style: Linear,
    background: Linear,
    placement: Linear,
}

impl EmojiClassifier {
    /// Builds the classifier from all of its tensors.
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: ClassifierConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let mut stages = Vec::new();
        let mut before = CHANNELS;
        for (index, &channels) in config.channels.iter().enumerate() {
            let path = format!("stages.{index}");
            let mut conv = |name: &str, input| {
                Conv2d::load(&mut weights, &format!("{path}.{name}"), input, channels)
            };
            let halving = conv("halving", before)?.halving(Sampling::Halved);
            let residual = if index == 0 {
                None
            } else {
                Some([conv("residual.0", channels)?, conv("residual.1", channels)?])
            };
            stages.push(Stage { halving, residual });
            before = channels;
        }
        let side = config.image_size >> config.channels.len();
        let size = config.embedding_size;
        let mut linear =
            |name: &str, input, output| Linear::load(&mut weights, name, input, output);
        let classifier = Self {
            embedding: linear("embedding", side * side * before, size)?,
            concept: linear("concept", size, config.concepts.len())?,
            style: linear("style", size, config.styles.len())?,
            background: linear("background", size, config.backgrounds.len())?,
            placement: linear("placement", size, 3)?,
            stages,
            config,
        };
        weights.finish()?;
        Ok(classifier)
    }

    /// The config that the classifier was built from.
    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    /// The embeddings of pictures alone, as [`Judgement::embedding`] has them, `f32`.
    ///
    /// # Shapes
    /// - pictures: `[batch, image_size, image_size, 3]`, from -1 to 1
    /// - output: `[batch, embedding_size]`
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        kernels::to_f32(self.state(pictures))
    }

    /// What pictures show. The values are `f32`.
    ///
    /// # Shapes
    /// - pictures: `[batch, image_size, image_size, 3]`, from -1 to 1
    pub fn judge(&self, pictures: Tensor<4>) -> Judgement {
        let state = self.state(pictures);
        let head = |layer: &Linear| {
            kernels::to_f32(layer.forward_vectors(state.clone(), Activation::Identity))
        };
        Judgement {
            concept: head(&self.concept),
            style: head(&self.style),
            background: head(&self.background),
            placement: head(&self.placement),
            embedding: kernels::to_f32(state),
        }
    }

    fn state(&self, pictures: Tensor<4>) -> Tensor<2> {
        let mut hidden = kernels::to_activations(pictures);
        for stage in &self.stages {
            hidden = stage.forward(hidden);
        }
        let [batch, height, width, channels] = hidden.dims();
        let flat = hidden.reshape([batch, height * width * channels]);
        self.embedding.forward_vectors(flat, Activation::Identity)
    }
}
