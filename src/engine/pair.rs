//! A pair of models on the device, built from a manifest and its files.

use std::sync::Arc;

use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Tensor};

use super::attached::Attached;
use super::components::{adapt, load_tokenizers, load_weights, stored_length, tensors_of};
use super::described::image_sizes;
use super::error::EngineError;
use super::pair_files::PairFiles;
use super::prompt::{
    self, AdaptedPrompt, Chunk, EncodedPrompt, EncodedPrompts, prompts_of, tokenized_by_both,
};
use crate::kernels::Strengths;
use crate::models::{
    AutoencoderConfig, AutoencoderKlDecoder, AutoencoderKlEncoder, ClipTextConfig, ClipTextModel,
    ClipTokenizer, Conditioning, TextEncoding, TinyDecoder, TinyDecoderConfig,
    UNet2DConditionConfig, UNet2DConditionModel, Weights, is_of_gated_layer,
};
use crate::protocol::allowance::{Allowance, LARGEST_MAP};
use crate::recipe::size::ImageSize;
use crate::recipe::{Mode, PromptReading, Recipe};
use crate::sampler::ModelRole;
use crate::weights::manifest::{AdapterBase, Component, Manifest};

/// The models of a pair. The UNets are loaded when the first job needs them.
pub struct Pair {
    manifest: Manifest,
    device: Device,
    /// Shared with whoever counts a prompt's tokens while a job runs.
    tokenizers: Arc<[ClipTokenizer; 2]>,
    text_encoders: [TextEncoder; 2],
    encoded: EncodedPrompts,
    base: Option<UNet2DConditionModel>,
    /// The base's weights where they are held and the distilled model is an adapter on them, so that
    /// both models share them; else none.
    held_base: Option<Weights>,
    distilled: Option<UNet2DConditionModel>,
    /// Whether the device had no room for both UNets: then one leaves before the other comes.
    swaps: bool,
    vae: AutoencoderKlDecoder,
    tiny_decoder: Option<TinyDecoder>,
    /// Of the pictures that are drawn now.
    image_size: ImageSize,
    allowance: Allowance,
    pub(super) attached: Attached,
}

/// A text encoder, which is on the device or can be read again.
struct TextEncoder {
    config: ClipTextConfig,
    model: Option<ClipTextModel>,
    /// How strongly adapters act on it.
    strengths: Strengths,
    /// Whether it is large, so that it leaves the device after it has encoded.
    is_held: bool,
}

impl TextEncoder {
    async fn load(
        index: usize,
        manifest: &Manifest,
        device: &Device,
        attached: &Attached,
        files: &impl PairFiles,
    ) -> Result<Self, EngineError> {
        let components = &manifest.components;
        let (name, component) = match index {
            0 => ("text_encoder", &components.text_encoder),
            _ => ("text_encoder_2", &components.text_encoder_2),
        };
        let config = ClipTextConfig::from_json(&component.config)?;
        let limit = manifest.expanded_limit();
        let wanted = |name: &str| config.uses(name);
        let mut weights = load_weights(name, component, device, limit, files, wanted).await?;
        let is_held = weights.is_held();
        attached
            .put_beside_encoder(&mut weights, index, files)
            .await?;
        Ok(Self {
            strengths: weights.strengths().clone(),
            model: Some(ClipTextModel::load(config.clone(), weights)?),
            config,
            is_held,
        })
    }
}

impl Pair {
    /// Loads all but the UNets.
    ///
    /// # Errors
    /// A component is missing or its files are not what its config says.
    pub async fn load(
        manifest: Manifest,
        device: Device,
        files: &impl PairFiles,
    ) -> Result<Self, EngineError> {
        let tokenizers = Arc::new(load_tokenizers(&manifest, files).await?);
        Self::load_with(tokenizers, manifest, device, files).await
    }

    /// As [`Pair::load`], where the tokenizers are there already.
    ///
    /// # Errors
    /// As [`Pair::load`].
    pub async fn load_with(
        tokenizers: Arc<[ClipTokenizer; 2]>,
        manifest: Manifest,
        device: Device,
        files: &impl PairFiles,
    ) -> Result<Self, EngineError> {
        // Frees the memory of an earlier pair.
        device.memory_cleanup();
        let limit = manifest.expanded_limit();
        let text_encoders = [
            TextEncoder::load(0, &manifest, &device, &Attached::default(), files).await?,
            TextEncoder::load(1, &manifest, &device, &Attached::default(), files).await?,
        ];
        let component = &manifest.components.vae;
        let config = AutoencoderConfig::from_json(&component.config)?;
        // Nothing encodes pictures here.
        let wanted = |name: &str| !AutoencoderKlEncoder::owns(name);
        let weights = load_weights("vae", component, &device, limit, files, wanted).await?;
        let vae = AutoencoderKlDecoder::load(config, weights)?;
        let tiny_decoder = match &manifest.components.tiny_decoder {
            Some(component) => {
                let config = TinyDecoderConfig::from_json(&component.config)?;
                let wanted = TinyDecoder::owns;
                let weights =
                    load_weights("tiny_decoder", component, &device, limit, files, wanted).await?;
                Some(TinyDecoder::load(&config, weights)?)
            }
            None => None,
        };
        let image_size = image_sizes(&manifest).own;
        let pair = Self {
            image_size,
            manifest,
            device,
            tokenizers,
            text_encoders,
            encoded: EncodedPrompts::default(),
            base: None,
            held_base: None,
            distilled: None,
            swaps: false,
            vae,
            tiny_decoder,
            allowance: Allowance {
                batch: 1,
                largest_map: LARGEST_MAP,
            },
            attached: Attached::default(),
        };
        pair.check()?;
        Ok(pair)
    }

    /// Checks that all models but the UNets fit each other, so that no later computation meets shapes
    /// that don't.
    fn check(&self) -> Result<(), EngineError> {
        let mismatch = |reason: &str| {
            Err(EngineError::Mismatch {
                reason: reason.into(),
            })
        };
        let [first, second] = self.tokenizers.as_ref();
        if first.length() != second.length() {
            return mismatch("its tokenizers pad to different lengths");
        }
        for (tokenizer, encoder) in self.tokenizers.iter().zip(&self.text_encoders) {
            let config = &encoder.config;
            if tokenizer.length() > config.max_position_embeddings
                || tokenizer.vocabulary_size() > config.vocab_size
            {
                return mismatch("a tokenizer gives more tokens than its text encoder knows");
            }
        }
        let vae = self.vae.config();
        if vae.in_channels != 3 || vae.out_channels != 3 {
            return mismatch("its VAE is not one for pictures in red, green and blue");
        }
        let factor = vae.downscale_factor();
        if self
            .manifest
            .image_size
            .iter()
            .any(|size| size % factor != 0)
        {
            return mismatch("its image size is no multiple of what a latent pixel covers");
        }
        Ok(())
    }

    /// Checks that a UNet fits the text encoders and the VAE.
    fn check_unet(&self, unet: &UNet2DConditionConfig) -> Result<(), EngineError> {
        let [first, second] = self.text_encoders.each_ref().map(|it| &it.config);
        let channels = self.vae.config().latent_channels;
        if unet.cross_attention_dim != first.hidden_size + second.hidden_size
            || unet.pooled_dim() != Some(second.pooled_size())
            || unet.in_channels != channels
            || unet.out_channels != channels
        {
            return Err(EngineError::Mismatch {
                reason: "a UNet is made for other text encoders or another VAE".into(),
            });
        }
        Ok(())
    }

    /// Loads the UNets that the modes need and that are not loaded yet. Returns whether there were any.
    /// Both stay on the device, unless it fails while one is loaded that would do without the other: then
    /// that one leaves, and is read again when it is needed.
    ///
    /// # Errors
    /// A component is missing or its files are not what its config says, or the device fails.
    pub async fn load_unets(
        &mut self,
        modes: &[Mode],
        files: &impl PairFiles,
    ) -> Result<bool, EngineError> {
        let needs = |role: ModelRole| match role {
            ModelRole::Base => modes.iter().any(|mode| mode.needs_base()),
            ModelRole::Distilled => modes.iter().any(|mode| mode.needs_distilled()),
        };
        let mut loaded = false;
        for (role, other) in [
            (ModelRole::Base, ModelRole::Distilled),
            (ModelRole::Distilled, ModelRole::Base),
        ] {
            if !needs(role) || self.unet(role).is_ok() {
                continue;
            }
            // Models that share the base's weights would free little.
            let can_swap = !needs(other) && self.held_base.is_none();
            if can_swap && self.swaps {
                self.drop_unet(other);
            }
            let outcome = self.load_unet(role, files).await;
            match outcome {
                Err(EngineError::Device { .. }) if can_swap && self.unet(other).is_ok() => {
                    self.drop_unet(other);
                    self.swaps = true;
                    let component = self.component_of(other).clone();
                    files.note_swap(stored_length(&component, files).await?);
                    self.load_unet(role, files).await?;
                }
                outcome => outcome?,
            }
            loaded = true;
        }
        Ok(loaded)
    }

    fn component_of(&self, role: ModelRole) -> &Component {
        match role {
            ModelRole::Base => &self.manifest.components.unet,
            ModelRole::Distilled => &self.manifest.components.unet_distilled,
        }
    }

    async fn load_unet(
        &mut self,
        role: ModelRole,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        let config = UNet2DConditionConfig::from_json(&self.component_of(role).config)?;
        self.check_unet(&config)?;
        let mut weights = match role {
            ModelRole::Base => self.load_base_weights(files).await?,
            ModelRole::Distilled => self.load_distilled_weights(files).await?,
        };
        self.attached.put_beside(&mut weights, role, files).await?;
        let unet = Some(UNet2DConditionModel::load(config, weights)?);
        match role {
            ModelRole::Base => self.base = unet,
            ModelRole::Distilled => self.distilled = unet,
        }
        // What the model has put in another order is not needed any more as it came.
        self.device.memory_cleanup();
        // A device that has failed says so when something is read of it.
        let one = Tensor::<1>::zeros([1], &self.device)
            .into_data_async()
            .await;
        if let Err(error) = one {
            self.drop_unet(role);
            return Err(EngineError::Device {
                reason: error.to_string(),
            });
        }
        Ok(())
    }

    pub(super) fn drop_unet(&mut self, role: ModelRole) {
        match role {
            ModelRole::Base => self.base = None,
            ModelRole::Distilled => self.distilled = None,
        }
        self.device.memory_cleanup();
    }

    /// Whether the base's weights are on the device, of which both models are made.
    pub fn shares_base(&self) -> bool {
        self.held_base.is_some()
    }

    /// Encodes prompts that [`Pair::encode_prompt`] will be asked for, with text encoders that don't stay on
    /// the device: they are read where they are not there, one after the other, and leave again. Encodings
    /// are kept, so that prompts that come again need no text encoder; those of a pair whose text encoders
    /// are small stay with it, and nothing is done here.
    ///
    /// # Errors
    /// A prompt can't be cut into tokens, or the files are not what the config says.
    pub async fn encode_prompts(
        &mut self,
        prompts: &[AdaptedPrompt],
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        if !self.text_encoders.iter().any(|encoder| encoder.is_held) {
            return Ok(());
        }
        let lacking: Vec<AdaptedPrompt> = self.lacking(prompts).cloned().collect();
        let mut encodings = Vec::new();
        for index in 0..self.text_encoders.len() {
            encodings.push(self.encode_with(index, &lacking, files).await?);
        }
        let mut encodings = encodings.into_iter();
        let (first, second) = (encodings.next(), encodings.next());
        let both = first
            .into_iter()
            .flatten()
            .zip(second.into_iter().flatten());
        let added = lacking
            .into_iter()
            .zip(both.map(|(first, second)| EncodedPrompt::of([first, second])))
            .collect();
        self.encoded.add(added, prompts);
        Ok(())
    }

    /// Of prompts, those that are not encoded yet.
    fn lacking<'a>(&self, prompts: &'a [AdaptedPrompt]) -> impl Iterator<Item = &'a AdaptedPrompt> {
        prompts
            .iter()
            .filter(|prompt| self.encoded.get(prompt).is_none())
    }

    /// Whether [`Pair::encode_prompts`] reads a text encoder for these prompts, counted from 0.
    pub fn reads_text_encoder(&self, index: usize, prompts: &[AdaptedPrompt]) -> bool {
        let encoder = self.text_encoders.get(index);
        encoder.is_some_and(|encoder| encoder.model.is_none())
            && self.lacking(prompts).next().is_some()
    }

    async fn encode_with(
        &mut self,
        index: usize,
        prompts: &[AdaptedPrompt],
        files: &impl PairFiles,
    ) -> Result<Vec<TextEncoding>, EngineError> {
        if self.reads_text_encoder(index, prompts) {
            // Its copies of the shared weights are made again without reading anything.
            if self.held_base.is_some() {
                self.drop_unet(ModelRole::Base);
            }
            self.load_text_encoder(index, files).await?;
        }
        let Some(encoder) = self.text_encoders.get_mut(index) else {
            return Err(EngineError::NotLoaded);
        };
        let mut encodings = Vec::new();
        for prompt in prompts {
            let model = encoder.model.as_ref().ok_or(EngineError::NotLoaded)?;
            encoder.strengths.set(&floats(&prompt.strengths));
            let both = tokenized_by_both(&self.tokenizers, &prompt.prompt)?;
            let own = both.get(index);
            let encoding = own.and_then(|own| prompt::encode(model, &own.chunks));
            encodings.push(encoding.ok_or(EngineError::NotLoaded)?);
        }
        if encoder.is_held && encoder.model.take().is_some() {
            self.device.memory_cleanup();
        }
        Ok(encodings)
    }

    /// Reads a text encoder, counted from 0, with the attached adapters on it.
    pub(super) async fn load_text_encoder(
        &mut self,
        index: usize,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        let (manifest, device, attached) = (&self.manifest, &self.device, &self.attached);
        let encoder = TextEncoder::load(index, manifest, device, attached, files).await?;
        if let Some(place) = self.text_encoders.get_mut(index) {
            *place = encoder;
        }
        Ok(())
    }

    /// Forgets what was encoded with other adapters, and reads the text encoders again that are there.
    pub(super) async fn renew_text_encoders(
        &mut self,
        files: &impl PairFiles,
    ) -> Result<(), EngineError> {
        self.encoded = EncodedPrompts::default();
        for index in 0..self.text_encoders.len() {
            let encoder = self.text_encoders.get(index);
            if encoder.is_some_and(|encoder| encoder.model.is_some()) {
                self.load_text_encoder(index, files).await?;
            }
        }
        Ok(())
    }

    async fn load_base_weights(&mut self, files: &impl PairFiles) -> Result<Weights, EngineError> {
        if let Some(weights) = &self.held_base {
            return Ok(weights.clone());
        }
        let component = &self.manifest.components.unet;
        let limit = self.manifest.expanded_limit();
        let mut weights =
            load_weights("unet", component, &self.device, limit, files, |_| true).await?;
        let is_shared =
            self.manifest.components.unet_distilled.adapter_on == Some(AdapterBase::Unet);
        if is_shared && weights.is_held() {
            let adapter = &self.manifest.components.unet_distilled;
            let adapter = tensors_of(adapter, files).await?;
            // An adapter that brings such a tensor itself brings it in the order of the files.
            if !adapter.iter().any(|(_, name)| is_of_gated_layer(name)) {
                weights.arrange_gated_layers();
            }
            self.held_base = Some(weights.clone());
        }
        Ok(weights)
    }

    async fn load_distilled_weights(
        &mut self,
        files: &impl PairFiles,
    ) -> Result<Weights, EngineError> {
        const NAME: &str = "unet_distilled";
        let component = self.manifest.components.unet_distilled.clone();
        match component.adapter_on {
            None => {
                let limit = self.manifest.expanded_limit();
                load_weights(NAME, &component, &self.device, limit, files, |_| true).await
            }
            Some(AdapterBase::Unet) => {
                let mut weights = self.load_base_weights(files).await?.of_component(NAME);
                adapt(&mut weights, &component, files).await?;
                Ok(weights)
            }
        }
    }

    /// The manifest that the pair was loaded from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The device that has the models' weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How much of the device is used at once: what any device has, unless [`Pair::allow`] was called.
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Sets how much of the device is used at once.
    pub fn allow(&mut self, allowance: Allowance) {
        self.allowance = allowance;
    }

    /// The size of the pictures that are drawn from now on; at first it is the pair's own.
    ///
    /// # Errors
    /// The pair doesn't draw it.
    pub fn draw_in(&mut self, size: Option<ImageSize>) -> Result<(), EngineError> {
        self.image_size = image_sizes(&self.manifest).drawn(size)?;
        Ok(())
    }

    /// The UNet of a role.
    ///
    /// # Errors
    /// [`Pair::load_unets`] has not loaded it.
    pub fn unet(&self, role: ModelRole) -> Result<&UNet2DConditionModel, EngineError> {
        let unet = match role {
            ModelRole::Base => &self.base,
            ModelRole::Distilled => &self.distilled,
        };
        unet.as_ref().ok_or(EngineError::NotLoaded)
    }

    /// The shape of one latent of [`Pair::draw_in`]'s size.
    ///
    /// # Shapes
    /// `[1, channels, height, width]`.
    pub fn latent_shape(&self) -> [usize; 4] {
        let config = self.vae.config();
        let factor = config.downscale_factor();
        let ImageSize { width, height } = self.image_size;
        [
            1,
            config.latent_channels,
            (height / factor) as usize,
            (width / factor) as usize,
        ]
    }

    /// What both text encoders make of a prompt. Where they don't stay on the device, that is what
    /// [`Pair::encode_prompts`] has kept.
    ///
    /// # Errors
    /// The prompt can't be cut into tokens, or the text encoders have left and didn't encode it.
    pub fn encode_prompt(&self, prompt: &AdaptedPrompt) -> Result<Conditioning, EngineError> {
        let EncodedPrompt { context, pooled } = match self.encoded.get(prompt) {
            Some(encoded) => encoded.clone(),
            None => EncodedPrompt::of(self.encode_with_both(prompt)?),
        };
        let ImageSize { width, height } = self.image_size;
        let [width, height] = [width, height].map(|side| side as f32);
        Ok(Conditioning {
            context,
            pooled,
            // Original size, crop and target size, as diffusers' SDXL pipeline sets them where it is
            // told of no others.
            time_ids: vec![[height, width, 0.0, 0.0, height, width]],
            guidance: None,
        })
    }

    /// Encodes the negative prompt of classifier-free guidance. SDXL takes zeros for an empty one; a
    /// pair's manifest can ask for the encoded empty text instead.
    ///
    /// # Errors
    /// As [`Pair::encode_prompt`].
    pub fn encode_negative_prompt(
        &self,
        prompt: &AdaptedPrompt,
    ) -> Result<Conditioning, EngineError> {
        let mut conditioning = self.encode_prompt(prompt)?;
        if prompt.prompt.text.is_empty() && self.manifest.force_zeros_for_empty_prompt {
            conditioning.context = conditioning.context.zeros_like();
            conditioning.pooled = conditioning.pooled.zeros_like();
        }
        Ok(conditioning)
    }

    /// Chunks of the longest of a recipe's prompts.
    ///
    /// # Errors
    /// A prompt can't be cut into tokens.
    pub fn most_chunks(&self, recipe: &Recipe) -> Result<usize, EngineError> {
        let mut most = 1;
        if recipe.prompt_reading() != PromptReading::default() {
            for prompt in prompts_of(recipe) {
                let [tokenized, _] = tokenized_by_both(&self.tokenizers, &prompt)?;
                most = most.max(tokenized.chunks.len());
            }
        }
        Ok(most)
    }

    fn encode_with_both(&self, prompt: &AdaptedPrompt) -> Result<[TextEncoding; 2], EngineError> {
        let [first, second] = tokenized_by_both(&self.tokenizers, &prompt.prompt)?;
        let encoded = |encoder: &TextEncoder, chunks: &[Chunk]| {
            let model = encoder.model.as_ref()?;
            encoder.strengths.set(&floats(&prompt.strengths));
            prompt::encode(model, chunks)
        };
        let [encoder, encoder_2] = &self.text_encoders;
        match (
            encoded(encoder, &first.chunks),
            encoded(encoder_2, &second.chunks),
        ) {
            (Some(first), Some(second)) => Ok([first, second]),
            _ => Err(EngineError::NotLoaded),
        }
    }

    /// The tokenizers, which stay wherever the text encoders are.
    pub fn tokenizers(&self) -> &Arc<[ClipTokenizer; 2]> {
        &self.tokenizers
    }

    /// Decodes a latent with the VAE, to a picture in about −1…1.
    ///
    /// # Shapes
    /// `[1, channels, height, width]` → `[1, 3, f · height, f · width]`.
    pub fn decode(&self, latent: Tensor<4>) -> Tensor<4> {
        self.vae.decode(latent, self.allowance.largest_map as usize)
    }

    /// A picture of a latent at about the size at which a grid shows it: the latent of a larger one is
    /// averaged first, as each doubling of a side has the decoder take four times as long.
    ///
    /// # Shapes
    /// `[1, channels, height, width]` → `[1, 3, f · height / n, f · width / n]` with n of `averaged`.
    pub fn decode_small(&self, latent: Tensor<4>) -> Tensor<4> {
        let factor = self.vae.config().downscale_factor() as usize;
        let [_, _, height, width] = latent.dims();
        let side = averaged([height, width], PREVIEW_SIDE / factor);
        let latent = if side == 1 {
            latent
        } else {
            avg_pool2d(latent, AvgPoolOptions::new([side; 2]))
        };
        self.decode_preview(latent)
    }

    /// As [`Pair::decode`], but faster and less exact where the pair has a tiny decoder.
    pub fn decode_preview(&self, latent: Tensor<4>) -> Tensor<4> {
        match &self.tiny_decoder {
            Some(decoder) => decoder.decode(latent, LARGEST_MAP as usize),
            None => self.decode(latent),
        }
    }
}

/// Numbers of their bits.
fn floats(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|bits| f32::from_bits(*bits)).collect()
}

/// Pixels of a preview's longer side at most: twice what a cell is wide on most screens.
const PREVIEW_SIDE: usize = 512;

/// The side of the squares of a latent that become one pixel each, a power of two, so that its longer side
/// has at most so many: none of them is cut off.
fn averaged([height, width]: [usize; 2], most: usize) -> usize {
    let mut side = 1;
    while height.max(width) / side > most
        && height.is_multiple_of(2 * side)
        && width.is_multiple_of(2 * side)
    {
        side *= 2;
    }
    side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_of_about_a_cells_size_and_whole() {
        assert_eq!(averaged([8, 8], 64), 1, "a small picture is shown as it is");
        assert_eq!(averaged([64, 64], 64), 1);
        assert_eq!(averaged([128, 128], 64), 2);
        assert_eq!(averaged([80, 192], 64), 4);
        assert_eq!(averaged([104, 152], 64), 4);
        assert_eq!(
            averaged([152, 106], 64),
            2,
            "no pixel of the latent is left out"
        );
    }
}
