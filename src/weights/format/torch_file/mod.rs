//! Reading what `torch.save` writes: a zip archive with a pickle of names and shapes, and each storage's
//! values as a member of its own. LoRAs and Concept Sliders are shared as `.pt`, `.bin` and `.ckpt` of that.
//!
//! Nothing of the file is ever run: the pickle's reader knows the few instructions and names that a state
//! dict needs, describes what they would give, and refuses all others by their names. The tensors' values are
//! not touched: [`TorchFile::to_safetensors`] gives the header of a safetensors file and the ranges of this
//! one that follow it, so that all that comes after knows one format alone. Dtypes that are none of weights
//! are listed like the others; the reader of safetensors has the rule for them.
//!
//! The file is read by slices: a [`Reading`] says which bytes it needs next, wherever they lie.

mod cursor;
mod error;
mod pickle;
mod state_dict;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;
use serde::Serialize;

use super::safetensors::METADATA_KEY;
use super::tensor::{TensorError, zeros};
use error::shown;
use zip::{BYTE_ORDER, Contents, Directory, PICKLE};

pub use error::{
    MAXIMUM_COPIES, MAXIMUM_DIMENSIONS, MAXIMUM_DIRECTORY_LENGTH, MAXIMUM_PICKLE_LENGTH,
    TorchFileError,
};

/// Bytes at a file's beginning by which [`is_torch_file`] tells what it is.
pub const BEGINNING_LENGTH: u64 = 16;

/// What a zip archive begins with: its first member's header.
const ARCHIVE: &[u8] = b"PK\x03\x04";

/// What torch before version 1.6 began its files with: a pickled number of its own.
const OLD_FORMAT: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// The longest text of a byte order that is looked at.
const LONGEST_BYTE_ORDER: u64 = 16;

/// Safetensors headers end at a multiple of so many bytes, so that values lie as their dtypes need them.
const ALIGNMENT: usize = 8;

/// A tensor and its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchTensor {
    /// Its name: the keys of the dicts that it lies in, joined by dots.
    pub name: String,
    /// The dtype of its values, which are little-endian.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its bytes, counted from the beginning of the file. With [`Self::strides`] there may be others between
    /// them.
    pub range: Range<u64>,
    /// Values from one to the next along each dimension, where they aren't in row-major order without gaps:
    /// then [`Self::row_major`] puts them into that order.
    pub strides: Option<Vec<usize>>,
}

/// What was saved in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchFile {
    /// The tensors in the order in which the file names them.
    pub tensors: Vec<TorchTensor>,
}

/// A safetensors file with the same tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct SafetensorsParts {
    /// Its beginning, up to the first tensor's bytes.
    pub header: Vec<u8>,
    /// The tensors whose values follow, in this order, each as [`TorchTensor::row_major`] gives them.
    pub tensors: Vec<TorchTensor>,
}

/// A file that is being read.
pub struct Reading {
    file: String,
    size: u64,
    range: Range<u64>,
    stage: Stage,
}

/// What comes after a slice.
pub enum Step {
    /// Another slice.
    Read(Reading),
    /// Nothing more.
    Done(TorchFile),
}

/// What the bytes of a [`Reading`] are.
enum Stage {
    Beginning,
    Tail,
    Directory(Directory),
    Headers(Contents),
    ByteOrder(Contents),
    Pickle(Contents),
}

/// Whether a file is torch's or a pickle, by its first [`BEGINNING_LENGTH`] bytes: a [`Reading`] reads it or
/// says why not.
pub fn is_torch_file(beginning: &[u8]) -> bool {
    beginning.starts_with(ARCHIVE) || is_pickle(beginning)
}

fn is_pickle(beginning: &[u8]) -> bool {
    matches!(beginning, [0x80, 2..=5, ..])
}

impl Reading {
    /// Begins with a file of this size in bytes; `file` is the name in the sentences.
    pub fn new(file: &str, size: u64) -> Self {
        Reading {
            file: file.into(),
            size,
            range: 0..size.min(BEGINNING_LENGTH),
            stage: Stage::Beginning,
        }
    }

    /// The bytes of the file that are needed next.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Takes the bytes of [`Reading::range`].
    ///
    /// # Errors
    /// Everything that [`TorchFileError`] lists.
    pub fn take(self, bytes: &[u8]) -> Result<Step, TorchFileError> {
        let Reading {
            file,
            size,
            range,
            stage,
        } = self;
        if bytes.len() as u64 != range.end - range.start {
            return Err(TorchFileError::CutOff { file });
        }
        let (stage, range) = match stage {
            Stage::Beginning => {
                check_beginning(&file, bytes)?;
                (Stage::Tail, zip::tail(size))
            }
            Stage::Tail => {
                let directory = Directory::find(&file, size, bytes)?;
                let range = directory.range.clone();
                (Stage::Directory(directory), range)
            }
            Stage::Directory(directory) => {
                after_headers(&file, Contents::parse(&file, &directory, bytes)?)?
            }
            Stage::Headers(mut contents) => {
                contents.read_headers(&file, &range, bytes)?;
                after_headers(&file, contents)?
            }
            Stage::ByteOrder(contents) => {
                if bytes.trim_ascii() != b"little" {
                    return Err(TorchFileError::BigEndian { file });
                }
                before_pickle(&file, contents)?
            }
            Stage::Pickle(contents) => {
                let pickle = pickle::read(&file, bytes)?;
                let tensors = state_dict::tensors(&file, size, &pickle, bytes.len(), &contents)?;
                return Ok(Step::Done(TorchFile { tensors }));
            }
        };
        Ok(Step::Read(Reading {
            file,
            size,
            range,
            stage,
        }))
    }
}

fn check_beginning(file: &str, bytes: &[u8]) -> Result<(), TorchFileError> {
    let file = file.to_owned();
    if bytes.starts_with(ARCHIVE) {
        Ok(())
    } else if bytes.starts_with(OLD_FORMAT) {
        Err(TorchFileError::OldFormat { file })
    } else if is_pickle(bytes) {
        Err(TorchFileError::PlainPickle { file })
    } else {
        Err(TorchFileError::NotTorch { file })
    }
}

/// The next local headers, or what comes after the last ones.
fn after_headers(file: &str, contents: Contents) -> Result<(Stage, Range<u64>), TorchFileError> {
    if let Some(range) = contents.next_headers() {
        return Ok((Stage::Headers(contents), range));
    }
    match contents.member(BYTE_ORDER) {
        Some(range) if range.end - range.start > LONGEST_BYTE_ORDER => {
            Err(TorchFileError::BigEndian { file: file.into() })
        }
        Some(range) => Ok((Stage::ByteOrder(contents), range)),
        None => before_pickle(file, contents),
    }
}

fn before_pickle(file: &str, contents: Contents) -> Result<(Stage, Range<u64>), TorchFileError> {
    let file = file.to_owned();
    let Some(range) = contents.member(PICKLE) else {
        return Err(TorchFileError::NoPickle { file });
    };
    let length = range.end - range.start;
    if length > MAXIMUM_PICKLE_LENGTH {
        return Err(TorchFileError::TooLong {
            file,
            part: "pickle",
            length,
            maximum: MAXIMUM_PICKLE_LENGTH,
        });
    }
    Ok((Stage::Pickle(contents), range))
}

impl TorchTensor {
    /// Length of its values in bytes, without others between them.
    pub fn length(&self) -> u64 {
        let count: u64 = self.shape.iter().map(|&size| size as u64).product();
        count * self.width() as u64
    }

    /// Bytes of one value.
    fn width(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// Its values in row-major order, of the bytes of [`Self::range`].
    ///
    /// # Errors
    /// There are more or fewer bytes, or too little memory.
    pub fn row_major(&self, bytes: Vec<u8>) -> Result<Vec<u8>, TensorError> {
        let wrong = || TensorError::Values {
            name: self.name.clone(),
            shape: self.shape.clone(),
            found: bytes.len() / self.width(),
        };
        if bytes.len() as u64 != self.range.end - self.range.start {
            return Err(wrong());
        }
        let Some(strides) = &self.strides else {
            return Ok(bytes);
        };
        let length = usize::try_from(self.length()).map_err(|_| wrong())?;
        let mut ordered: Vec<u8> = zeros(&self.name, &self.shape, length)?;
        let mut indices = vec![0; self.shape.len()];
        for place in ordered.chunks_exact_mut(self.width()) {
            let index: usize = indices
                .iter()
                .zip(strides)
                .map(|(i, stride)| i * stride)
                .sum();
            let value = bytes.get(index * self.width()..).ok_or_else(wrong)?;
            place.copy_from_slice(value.get(..self.width()).ok_or_else(wrong)?);
            for (index, &size) in indices.iter_mut().zip(&self.shape).rev() {
                *index += 1;
                if *index < size {
                    break;
                }
                *index = 0;
            }
        }
        Ok(ordered)
    }
}

/// A tensor in a safetensors header.
#[derive(Serialize)]
struct Entry<'a> {
    dtype: String,
    shape: &'a [usize],
    data_offsets: [u64; 2],
}

/// What a safetensors header has under one name.
#[derive(Serialize)]
#[serde(untagged)]
enum HeaderEntry<'a> {
    Tensor(Entry<'a>),
    Metadata(BTreeMap<&'static str, &'static str>),
}

impl TorchFile {
    /// The same tensors as a safetensors file, those with wide values first, so that all are aligned. Its
    /// header names torch as other programs do.
    ///
    /// # Errors
    /// A tensor has the name that the header's own entry has.
    pub fn to_safetensors(self, file: &str) -> Result<SafetensorsParts, TorchFileError> {
        let mut tensors = self.tensors;
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.width()));
        let metadata = HeaderEntry::Metadata(BTreeMap::from([("format", "pt")]));
        let mut entries = BTreeMap::from([(METADATA_KEY, metadata)]);
        let mut end = 0;
        for tensor in &tensors {
            let start = end;
            end += tensor.length();
            let entry = HeaderEntry::Tensor(Entry {
                dtype: tensor.dtype.to_string(),
                shape: &tensor.shape,
                data_offsets: [start, end],
            });
            if entries.insert(&tensor.name, entry).is_some() {
                return Err(TorchFileError::Twice {
                    file: file.into(),
                    tensor: shown(&tensor.name),
                });
            }
        }
        // Texts and numbers alone: writing them doesn't fail.
        let mut json = serde_json::to_vec(&entries).unwrap_or_default();
        json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.append(&mut json);
        Ok(SafetensorsParts { header, tensors })
    }
}

/// Reads a file that lies in memory.
///
/// # Errors
/// Everything that [`TorchFileError`] lists; `file` is the name in the sentences.
pub fn read(file: &str, bytes: &[u8]) -> Result<TorchFile, TorchFileError> {
    let mut reading = Reading::new(file, bytes.len() as u64);
    loop {
        let range = reading.range();
        let part = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .and_then(|(start, end)| bytes.get(start..end));
        match reading.take(part.unwrap_or_default())? {
            Step::Read(next) => reading = next,
            Step::Done(file) => return Ok(file),
        }
    }
}
