//! Why a safetensors file can't be read or written, and what a file is that is none.

use crate::weights::format::tensor::TensorError;

/// The longest header that is read, in bytes: the format's own limit.
pub const MAXIMUM_HEADER_LENGTH: u64 = 100_000_000;

/// The format of that list which this program writes; it reads those before it, too.
pub const QUANTIZED_FORMAT: u64 = 2;

/// Why a safetensors file can't be read or written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum SafetensorsError {
    /// The header's length is over the limit.
    #[error(
        "The header of {file} claims to be {length} bytes long; more than \
         {MAXIMUM_HEADER_LENGTH} are refused. This is not a usable safetensors file."
    )]
    HeaderTooLong { file: String, length: u64 },
    /// The file ends before its header or its last tensor does.
    #[error(
        "The file {file} is cut off or no safetensors file: it has {found} bytes of {expected}. Get it \
         again; if that doesn't help, the copy at its source is incomplete."
    )]
    Truncated {
        file: String,
        expected: u64,
        found: u64,
    },
    /// Bytes after the last tensor.
    #[error(
        "The file {file} goes on for {surplus} bytes after its last tensor, so its header doesn't \
         belong to it. Get the file again from its source."
    )]
    Surplus { file: String, surplus: u64 },
    /// A web page in a file's place.
    #[error(
        "What was found at the address of {file} is a web page, and no safetensors file: it may be the \
         page about the file, or one that asks for a login. Use the address of the file itself."
    )]
    WebPage { file: String },
    /// A Git LFS pointer in a file's place.
    #[error(
        "What was found at the address of {file} is a Git LFS pointer, a text that stands for the file \
         where its host keeps large files apart. Use the address that its host gives for downloading."
    )]
    LfsPointer { file: String },
    /// A file in another format.
    #[error(
        "{file} is {kind}, and no safetensors file. Files in that format are not read: get the model as \
         safetensors."
    )]
    OtherFormat { file: String, kind: &'static str },
    /// 8-bit weights that are scaled by tensors of their own.
    #[error(
        "The weights in {file} are 8-bit ones with scales of their own ({tensor}), as some programs write \
         them for themselves. Get the model in half precision, or in plain fp8."
    )]
    ScaledWeights { file: String, tensor: String },
    /// The header is not the JSON of a safetensors file.
    #[error("The header of {file} can't be read: {reason}. This is not a usable safetensors file.")]
    Header { file: String, reason: String },
    /// Quantized tensors in a form that only a later version knows.
    #[error(
        "The quantized tensors in {file} have format {found}; this version reads format \
         {QUANTIZED_FORMAT} and earlier ones. Reload the page, or get the newest version of the program."
    )]
    Format { file: String, found: u64 },
    /// A tensor's entry in the header is malformed.
    #[error("The entry of the tensor {tensor} in the header of {file} can't be read: {reason}.")]
    Entry {
        file: String,
        tensor: String,
        reason: String,
    },
    /// A dtype that no model here uses.
    #[error(
        "The tensor {tensor} in {file} has the dtype {dtype}, which is not supported for weights: F64, \
         F32, F16, BF16, F8_E4M3 and F8_E5M2 are. A model that another program has quantized has to be got \
         in half precision."
    )]
    Dtype {
        file: String,
        tensor: String,
        dtype: String,
    },
    /// A tensor begins before the one before it ends.
    #[error(
        "The tensors {first} and {second} in {file} overlap, so the file is damaged or was made to \
         mislead. Get it again from a source that you trust."
    )]
    Overlap {
        file: String,
        first: String,
        second: String,
    },
    /// Bytes that belong to no tensor.
    #[error(
        "The file {file} has {length} bytes before the tensor {tensor} that belong to no tensor, \
         so the file is damaged. Get it again from its source."
    )]
    Hole {
        file: String,
        tensor: String,
        length: u64,
    },
    /// A tensor's bytes don't fit its shape.
    #[error(
        "The tensor {tensor} in {file} of shape {shape:?} has {found} bytes, which doesn't fit its \
         dtype {dtype}. The file is damaged; get it again from its source."
    )]
    Length {
        file: String,
        tensor: String,
        shape: Vec<usize>,
        dtype: String,
        found: u64,
    },
    /// A tensor's bytes don't fit its encoding.
    #[error("{file}: {error}")]
    Tensor { file: String, error: TensorError },
}

/// What a file is that begins in none of the ways in which a safetensors file does.
pub(super) fn other_format(file: &str, bytes: &[u8]) -> Option<SafetensorsError> {
    let file = file.to_owned();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii_start();
    let kind = match text {
        [b'<', ..] => return Some(SafetensorsError::WebPage { file }),
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => {
            return Some(SafetensorsError::LfsPointer { file });
        }
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            "a file in torch's own format (.ckpt, .pt, .bin)"
        }
        [b'G', b'G', b'U', b'F', ..] => "a GGUF file",
        [0x1f, 0x8b, ..] => "a packed file (gzip)",
        [b'R', b'a', b'r', b'!', ..] | [b'7', b'z', 0xbc, 0xaf, ..] => "a packed archive",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => "a picture",
        [b'{', b'"' | b'\n' | b'\r', ..] => "a JSON text",
        _ => return None,
    };
    Some(SafetensorsError::OtherFormat { file, kind })
}
