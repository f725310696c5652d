//! Prompts as the text encoders read them: in chunks of as many tokens as an encoder takes, each token
//! with its weight; and what the encoders have made of them.
//!
//! Chunks are encoded one by one and their states joined, as AUTOMATIC1111's web UI does it and diffusers'
//! community pipelines after it. Pooled text is the first chunk's, as there: it is what the web UI's
//! pictures are made with, and a prompt begins with its subject. Where a comma stands near the end of a
//! chunk the web UI moves what follows it to the next one; here a chunk ends where it is full, as in
//! diffusers' pipelines.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use super::error::EngineError;
use crate::models::{ClipTextModel, ClipTokenizer, TextEncoding};
use crate::protocol::engine::TokenCount;
use crate::recipe::{Prompt, PromptReading, Recipe, Row, prompt_syntax};
use crate::sampler::is_guided;

/// The most chunks of a prompt: 600 tokens. The keys and values of SDXL's cross-attentions take 55 MB for
/// each chunk of each picture of a batch.
pub const MAXIMUM_CHUNKS: usize = 8;

/// Prompts whose encodings are kept at least: a chunk of one of SDXL's takes 0.6 MB.
pub const KEPT_PROMPTS: usize = 32;

/// As many tokens as a text encoder takes at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    ids: Vec<u32>,
    weights: Vec<f32>,
}

impl Chunk {
    fn of(tokenizer: &ClipTokenizer, tokens: &[(u32, f32)]) -> Self {
        let ids = tokenizer.chunk(tokens.iter().map(|(id, _)| *id));
        let own = tokens.iter().map(|(_, weight)| *weight);
        let mut weights: Vec<f32> = std::iter::once(1.0).chain(own).collect();
        weights.resize(ids.len(), 1.0);
        Chunk { ids, weights }
    }

    /// The tokens with the first, the last and the padding.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// What the states of each token are multiplied by.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The chunk of a text without a token, which fills up the shorter one of two prompts.
    pub fn empty(tokenizer: &ClipTokenizer) -> Self {
        Chunk::of(tokenizer, &[])
    }
}

/// A prompt in one tokenizer's tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenized {
    /// What is encoded, at least one chunk.
    pub chunks: Vec<Chunk>,
    /// The number of all tokens of the prompt, also of those that are cut.
    pub tokens: usize,
    /// The bytes of the prompt that are cut.
    pub cut: Vec<Range<usize>>,
}

/// Cuts a prompt into chunks.
///
/// # Errors
/// The text can't be cut into tokens.
pub fn tokenized(tokenizer: &ClipTokenizer, prompt: &Prompt) -> Result<Tokenized, EngineError> {
    let PromptReading { long, weighted } = prompt.reading;
    let sections = if weighted {
        prompt_syntax::weighted(&prompt.text)
    } else {
        prompt_syntax::plain(&prompt.text)
    };
    let room = tokenizer.room();
    let last = sections.len() - 1;
    let mut all = Tokenized {
        chunks: Vec::new(),
        tokens: 0,
        cut: Vec::new(),
    };
    for (index, pieces) in sections.into_iter().enumerate() {
        let mut tokens = Vec::new();
        let mut places = Vec::new();
        for piece in pieces {
            for token in tokenizer.tokens(&piece.text)? {
                tokens.push((token.id, piece.weight));
                places.push(piece.in_prompt(token.bytes));
            }
        }
        all.tokens += tokens.len();
        // Nothing follows a BREAK at the end.
        let is_nothing = tokens.is_empty() && index == last && !all.chunks.is_empty();
        let free = MAXIMUM_CHUNKS - all.chunks.len();
        let allowed = if long { free } else { free.min(1) };
        let kept = tokens.len().min(allowed * room);
        if let (Some(first), Some(end)) = (places.get(kept), places.last()) {
            all.cut.push(first.start..end.end);
        }
        tokens.truncate(kept);
        if tokens.is_empty() && allowed > 0 && !is_nothing {
            all.chunks.push(Chunk::empty(tokenizer));
        }
        let chunks = tokens.chunks(room);
        all.chunks
            .extend(chunks.map(|tokens| Chunk::of(tokenizer, tokens)));
    }
    Ok(all)
}

/// A prompt in the tokens of both tokenizers, with as many chunks in each: where one has fewer, because it
/// needs fewer tokens for the same text, empty ones follow.
///
/// # Errors
/// As [`tokenized`].
pub fn tokenized_by_both(
    tokenizers: &[ClipTokenizer; 2],
    prompt: &Prompt,
) -> Result<[Tokenized; 2], EngineError> {
    let [first, second] = tokenizers;
    let mut both = [tokenized(first, prompt)?, tokenized(second, prompt)?];
    let most = both.iter().map(|it| it.chunks.len()).max().unwrap_or(1);
    for (own, tokenizer) in both.iter_mut().zip(tokenizers) {
        own.chunks.resize_with(most, || Chunk::empty(tokenizer));
    }
    Ok(both)
}

/// What the page shows of a prompt's tokens.
///
/// # Errors
/// As [`tokenized`].
pub fn count(tokenizers: &[ClipTokenizer; 2], prompt: &Prompt) -> Result<TokenCount, EngineError> {
    let both = tokenized_by_both(tokenizers, prompt)?;
    let [first, second] = tokenizers;
    let [own, other] = &both;
    // What only one of them cuts has an effect still.
    let cut = if own.cut.first().map(|cut| cut.start) > other.cut.first().map(|cut| cut.start) {
        &own.cut
    } else {
        &other.cut
    };
    let is_cut_by_both = both.iter().all(|own| !own.cut.is_empty());
    let cut = cut.iter().filter(|_| is_cut_by_both);
    Ok(TokenCount {
        tokens: both.each_ref().map(|own| own.tokens as u32),
        room: first.room().min(second.room()) as u32,
        chunks: own.chunks.len() as u32,
        most_chunks: MAXIMUM_CHUNKS as u32,
        cut: cut
            .filter_map(|range| prompt.text.get(range.clone()))
            .map(str::to_owned)
            .collect(),
    })
}

/// What a text encoder makes of chunks: the states of all, weighted and joined, and the first one's pooled
/// text. None of no chunk.
pub fn encode(encoder: &ClipTextModel, chunks: &[Chunk]) -> Option<TextEncoding> {
    let mut states = Vec::with_capacity(chunks.len());
    let mut pooled = None;
    for chunk in chunks {
        let encoding = encoder.encode(&chunk.ids);
        states.push(weighed(encoding.penultimate, &chunk.weights));
        pooled.get_or_insert(encoding.pooled);
    }
    Some(TextEncoding {
        pooled: pooled?,
        penultimate: Tensor::cat(states, 1),
    })
}

/// Multiplies each token's states by its weight, and all of them by what keeps their mean.
///
/// # Shapes
/// - states: `[1, tokens, hidden]`
/// - weights: one per token
fn weighed(states: Tensor<3>, weights: &[f32]) -> Tensor<3> {
    // Without weights the states stay diffusers' own, bit by bit.
    if weights.iter().all(|&weight| weight == 1.0) {
        return states;
    }
    let factors = TensorData::new(weights.to_vec(), [1, weights.len(), 1]);
    let factors: Tensor<3> = Tensor::from_data(factors, &states.device());
    let mean = |states: &Tensor<3>| states.clone().mean().reshape([1, 1, 1]);
    let weighed = states.clone() * factors;
    let mean_after = mean(&weighed);
    // Weights that leave a mean of nothing have none to be divided by.
    let is_zero = mean_after.clone().equal_elem(0.0);
    let scale = (mean(&states) / mean_after).mask_fill(is_zero, 1.0);
    weighed * scale
}

/// A prompt as text encoders with adapters on them read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdaptedPrompt {
    /// The text, and how it is read.
    pub prompt: Prompt,
    /// The bits of the strengths with which the recipe's adapters act on the text encoders; empty where
    /// none does.
    pub strengths: Vec<u32>,
}

impl AdaptedPrompt {
    /// Another text of the recipe, read with the same adapters.
    pub fn with_text(&self, recipe: &Recipe, text: &str) -> Self {
        AdaptedPrompt {
            prompt: recipe.read_prompt(text),
            strengths: self.strengths.clone(),
        }
    }

    /// Which of the adapters act.
    pub fn acting(&self) -> Vec<bool> {
        let strengths = self.strengths.iter().copied().map(f32::from_bits);
        strengths.map(|strength| strength != 0.0).collect()
    }
}

impl From<Prompt> for AdaptedPrompt {
    fn from(prompt: Prompt) -> Self {
        AdaptedPrompt {
            prompt,
            strengths: Vec::new(),
        }
    }
}

/// What the text encoders have made of prompts, those that were used last at the end.
#[derive(Default)]
pub struct EncodedPrompts(Vec<(AdaptedPrompt, EncodedPrompt)>);

/// What the UNets are told of a prompt.
#[derive(Clone)]
pub struct EncodedPrompt {
    /// `[1, tokens, widths of both encoders]`.
    pub context: Tensor<3>,
    /// `[1, pooled]`.
    pub pooled: Tensor<2>,
}

impl EncodedPrompt {
    /// Of both encoders' encodings.
    pub fn of([first, second]: [TextEncoding; 2]) -> Self {
        Self {
            context: Tensor::cat(vec![first.penultimate, second.penultimate], 2),
            pooled: second.pooled,
        }
    }
}

impl EncodedPrompts {
    /// The encoding of a prompt, if it is kept.
    pub fn get(&self, prompt: &AdaptedPrompt) -> Option<&EncodedPrompt> {
        let mut all = self.0.iter();
        all.find(|(own, _)| own == prompt)
            .map(|(_, encoded)| encoded)
    }

    /// Adds prompts, and moves those that are `used` to the end. Others are dropped beyond
    /// [`KEPT_PROMPTS`], the oldest first.
    pub fn add(&mut self, added: Vec<(AdaptedPrompt, EncodedPrompt)>, used: &[AdaptedPrompt]) {
        self.0.extend(added);
        self.0.sort_by_key(|(prompt, _)| used.contains(prompt));
        let kept = KEPT_PROMPTS.max(used.len());
        self.0.drain(..self.0.len().saturating_sub(kept));
    }
}

/// Whether any step of a recipe's grid takes a second pass, without the prompt.
pub fn is_any_guided(recipe: &Recipe, rows: &[Row]) -> bool {
    [recipe.base_guidance, recipe.distilled_guidance]
        .into_iter()
        .chain(rows.iter().map(|row| row.hybrid_base_guidance))
        .any(is_guided)
}

/// The texts that a recipe's grid needs: its rows' prompts, and where any step is guided the negative one,
/// and the empty one that fills up the shorter of the two.
pub fn prompts_of(recipe: &Recipe) -> Vec<Prompt> {
    let rows = recipe.rows();
    let reading = recipe.prompt_reading();
    let is_guided = is_any_guided(recipe, &rows);
    let negative = is_guided.then(|| recipe.negative_prompt.clone());
    let may_be_filled_up = is_guided && (reading.long || reading.weighted);
    let filler = may_be_filled_up.then(String::new);
    let mut prompts = Vec::new();
    let texts = rows.into_iter().map(|row| row.prompt).chain(negative);
    for text in texts.chain(filler) {
        let prompt = Prompt { text, reading };
        if !prompts.contains(&prompt) {
            prompts.push(prompt);
        }
    }
    prompts
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn encodings_are_kept_for_a_job_and_some_time_after() {
        let prompt = |number: usize| AdaptedPrompt::from(Prompt::plain(&number.to_string()));
        let encoded = |number: usize| {
            let encoded = EncodedPrompt {
                context: Tensor::zeros([1, 1, 1], &Device::flex()),
                pooled: Tensor::zeros([1, 1], &Device::flex()),
            };
            (prompt(number), encoded)
        };
        let mut kept = EncodedPrompts::default();
        for number in 0..KEPT_PROMPTS {
            kept.add(vec![encoded(number)], &[prompt(number)]);
        }
        // The first one is used again, so that the second is the oldest.
        kept.add(Vec::new(), &[prompt(0)]);
        kept.add(vec![encoded(100)], &[prompt(100)]);
        assert_eq!(kept.0.len(), KEPT_PROMPTS);
        assert!(kept.get(&prompt(0)).is_some() && kept.get(&prompt(1)).is_none());
        // The same text, read in another way, is another prompt.
        let mut weighted = prompt(0);
        weighted.prompt.reading.weighted = true;
        assert!(kept.get(&weighted).is_none());
        let mut adapted = prompt(0);
        adapted.strengths = vec![1.0f32.to_bits()];
        assert!(kept.get(&adapted).is_none());
        // A job's own are all kept, however many.
        let many: Vec<_> = (200..300).map(encoded).collect();
        let used: Vec<_> = many.iter().map(|(prompt, _)| prompt.clone()).collect();
        kept.add(many, &used);
        assert!(used.iter().all(|prompt| kept.get(prompt).is_some()));
    }

    #[test]
    fn nothing_divides_by_a_mean_of_nothing() {
        let states = TensorData::new(vec![1.0_f32, 1.0, -3.0, 2.0], [1, 2, 2]);
        let states: Tensor<3> = Tensor::from_data(states, &Device::flex());
        // 1 + 1 on one token, −1 on the other: twice the second leaves nothing.
        let values = weighed(states, &[1.0, 2.0])
            .into_data()
            .try_into_vec::<f32>();
        assert_eq!(values.unwrap(), [1.0, 1.0, -6.0, 4.0]);
    }
}
