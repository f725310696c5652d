//! CLIP's byte-level BPE with SDXL's two padding rules, on the `tokenizers` crate.

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;
use tokenizers::{
    AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
    models::bpe::{BPE, Vocab},
    normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern},
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence as PreTokenizers,
        split::{Split, SplitPattern},
    },
};

use super::error::ModelError;
use super::error::parse_config;

/// How CLIP cuts a text into words before the merges.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// A token that is given as its text, or as transformers' object around it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum TokenText {
    /// The text alone.
    Plain(String),
    /// An `AddedToken` object.
    Added {
        /// The text.
        content: String,
    },
}

impl TokenText {
    fn text(&self) -> &str {
        match self {
            TokenText::Plain(text) => text,
            TokenText::Added { content } => content,
        }
    }
}

/// `tokenizer/tokenizer_config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TokenizerConfig {
    /// The token before a text.
    pub bos_token: TokenText,
    /// The token after a text.
    pub eos_token: TokenText,
    /// The token that fills a text up: SDXL's two tokenizers differ here.
    pub pad_token: TokenText,
    /// What an unknown token becomes.
    pub unk_token: TokenText,
    /// Length in tokens, the first and the last included.
    pub model_max_length: usize,
}

impl TokenizerConfig {
    /// Reads a `tokenizer_config.json`.
    ///
    /// # Errors
    /// A field is missing or malformed.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let parsed: Self = parse_config("tokenizer", config)?;
        if !(2..=1024).contains(&parsed.model_max_length) {
            return Err(ModelError::Config {
                component: "tokenizer",
                reason: format!("model_max_length is {}", parsed.model_max_length),
            });
        }
        Ok(parsed)
    }
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    /// The bytes of the text that it stands for.
    pub bytes: Range<usize>,
}

/// Turns a prompt into the token ids of a text encoder.
pub struct ClipTokenizer {
    tokenizer: Tokenizer,
    bos_id: u32,
    eos_id: u32,
    pad_id: u32,
    length: usize,
    vocabulary_size: usize,
}

impl ClipTokenizer {
    /// Builds the tokenizer from the texts of `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// One of them is malformed, or lacks a token that the config names.
    pub fn new(
        config: &TokenizerConfig,
        vocabulary: &str,
        merges: &str,
    ) -> Result<Self, ModelError> {
        let malformed = |reason: String| ModelError::Tokenizer { reason };
        let vocabulary: HashMap<String, u32> = serde_json::from_str(vocabulary)
            .map_err(|error| malformed(format!("vocab.json is not a list of tokens ({error})")))?;
        let vocabulary_size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
        let id = |token: &TokenText| {
            vocabulary
                .get(token.text())
                .copied()
                .ok_or_else(|| malformed(format!("the vocabulary lacks {:?}", token.text())))
        };
        let (bos_id, eos_id, pad_id) = (
            id(&config.bos_token)?,
            id(&config.eos_token)?,
            id(&config.pad_token)?,
        );
        let merges = merges
            .lines()
            .filter(|line| !line.starts_with("#version") && !line.is_empty())
            .map(|line| match line.split_once(' ') {
                Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
                None => Err(malformed(format!("merges.txt has the line {line:?}"))),
            })
            .collect::<Result<Vec<_>, _>>()?;

        let failed = |error: tokenizers::Error| malformed(error.to_string());
        let bpe = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges)
            .unk_token(config.unk_token.text().to_owned())
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix("</w>".into())
            .build()
            .map_err(failed)?;
        let mut tokenizer = Tokenizer::new(bpe);
        let white_space =
            Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(failed)?;
        tokenizer
            .with_normalizer(Some(Normalizers::new(vec![
                NormalizerWrapper::NFC(NFC),
                NormalizerWrapper::Replace(white_space),
                NormalizerWrapper::Lowercase(Lowercase),
            ])))
            .map_err(failed)?;
        let words = Split::new(
            SplitPattern::Regex(WORDS.into()),
            SplitDelimiterBehavior::Removed,
            true,
        )
        .map_err(failed)?;
        tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
            PreTokenizerWrapper::Split(words),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
        ])));
        // transformers treats these as special inside of a text as well. For the second tokenizer
        // that includes its padding, "!": "!!" is one token to the first and two to the second.
        let special = [
            &config.bos_token,
            &config.eos_token,
            &config.pad_token,
            &config.unk_token,
        ];
        tokenizer
            .add_special_tokens(
                special
                    .into_iter()
                    .map(|token| AddedToken::from(token.text(), true)),
            )
            .map_err(failed)?;
        Ok(Self {
            tokenizer,
            bos_id,
            eos_id,
            pad_id,
            length: config.model_max_length,
            vocabulary_size,
        })
    }

    /// Number of ids of every chunk.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Number of a text's own tokens in a chunk: all but the first and the last.
    pub fn room(&self) -> usize {
        self.length - 2
    }

    /// One more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// The tokens of a text, however many.
    ///
    /// # Errors
    /// The text can't be cut into tokens.
    pub fn tokens(&self, text: &str) -> Result<Vec<Token>, ModelError> {
        let encoding =
            self.tokenizer
                .encode(text, false)
                .map_err(|error| ModelError::Tokenizer {
                    reason: error.to_string(),
                })?;
        let ids = encoding.get_ids().iter().copied();
        let bytes = encoding.get_offsets().iter().map(|&(from, to)| from..to);
        Ok(ids
            .zip(bytes)
            .map(|(id, bytes)| Token { id, bytes })
            .collect())
    }

    /// The ids of a chunk: the first token, at most [`ClipTokenizer::room`] of a text's, the last token,
    /// and padding.
    pub fn chunk(&self, tokens: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut ids = vec![self.bos_id];
        ids.extend(tokens.into_iter().take(self.room()));
        ids.push(self.eos_id);
        ids.resize(self.length, self.pad_id);
        ids
    }

    /// The ids of a prompt that is cut where its first chunk ends, as transformers cuts it.
    ///
    /// # Errors
    /// The text can't be cut into tokens.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.chunk(self.tokens(prompt)?.into_iter().map(|token| token.id)))
    }
}
