//! From a file's transferred bytes to its content: length and hash, gzip, tensors.

use std::io::Read;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use super::file::{Compression, ManifestFile};
use crate::weights::format::safetensors::{self, SafetensorsError};
use crate::weights::format::sha256::hexadecimal;
use crate::weights::format::tensor::StoredTensor;

/// The longest unpacked file in bytes, many times what [`pack`](super::pack) gzips. A gzip file of a
/// few megabytes can unpack to more than the browser's memory.
pub const MAXIMUM_UNPACKED_LENGTH: u64 = 512 * 1024 * 1024;

/// Why a file's bytes are not used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum VerifyError {
    /// The transfer ended early.
    #[error(
        "The file {path} arrived incomplete: {found} bytes of {expected}. Check the connection and \
         try again."
    )]
    Truncated {
        path: String,
        expected: u64,
        found: u64,
    },
    /// More bytes than the manifest says.
    #[error(
        "The file {path} is longer than the {expected} bytes that the manifest says, so it is not \
         the file that was meant. Reload the page, as the pair may have been updated."
    )]
    TooLong { path: String, expected: u64 },
    /// The right length and other bytes.
    #[error(
        "The file {path} arrived with other bytes than the manifest says (wrong SHA-256), so it is \
         not used. Try again; if that doesn't help, the file on the server is damaged."
    )]
    Hash { path: String },
    /// Not a gzip file, or one with an error in it.
    #[error("The file {path} can't be unpacked: {reason}. The file on the server is damaged.")]
    Gzip { path: String, reason: String },
    /// A gzip file that unpacks to too much.
    #[error(
        "The file {path} unpacks to more than {MAXIMUM_UNPACKED_LENGTH} bytes, so it is not used. \
         Split the component over several files."
    )]
    UnpackedTooLong { path: String },
    /// The bytes are right and the file is not.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
}

/// Checks a file against the manifest while it arrives.
pub struct FileVerifier {
    path: String,
    expected_length: u64,
    expected_hash: String,
    length: u64,
    hasher: Sha256,
}

impl FileVerifier {
    /// A verifier for a file, of which no byte has arrived yet.
    pub fn new(file: &ManifestFile) -> Self {
        FileVerifier {
            path: file.path.clone(),
            expected_length: file.size,
            expected_hash: file.sha256.clone(),
            length: 0,
            hasher: Sha256::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`VerifyError::TooLong`]: the rest of the transfer is not worth waiting for.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.length += bytes.len() as u64;
        if self.length > self.expected_length {
            return Err(VerifyError::TooLong {
                path: self.path.clone(),
                expected: self.expected_length,
            });
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Compares length and hash, once the transfer has ended.
    ///
    /// # Errors
    /// [`VerifyError::Truncated`] or [`VerifyError::Hash`].
    pub fn finish(self) -> Result<(), VerifyError> {
        if self.length < self.expected_length {
            return Err(VerifyError::Truncated {
                path: self.path,
                expected: self.expected_length,
                found: self.length,
            });
        }
        if hexadecimal(&self.hasher.finalize()) != self.expected_hash {
            return Err(VerifyError::Hash { path: self.path });
        }
        Ok(())
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum FileContent {
    /// Of a safetensors file.
    Tensors(Vec<StoredTensor>),
    /// Of any other file, such as a vocabulary.
    Blob(Vec<u8>),
}

/// Unpacks a verified file's bytes and splits them.
///
/// # Errors
/// The bytes can't be unpacked, or are not a sound safetensors file.
pub fn split(file: &ManifestFile, bytes: Vec<u8>) -> Result<FileContent, VerifyError> {
    let bytes = match file.compression {
        Some(Compression::Gzip) => gunzip(&file.path, &bytes, MAXIMUM_UNPACKED_LENGTH)?,
        None => bytes,
    };
    if file.holds_tensors() {
        Ok(FileContent::Tensors(safetensors::read(&file.path, &bytes)?))
    } else {
        Ok(FileContent::Blob(bytes))
    }
}

/// Unpacks one gzip member.
///
/// # Errors
/// [`VerifyError::Gzip`], also where anything follows the member, and
/// [`VerifyError::UnpackedTooLong`] as soon as the limit is passed.
pub fn gunzip(path: &str, bytes: &[u8], limit: u64) -> Result<Vec<u8>, VerifyError> {
    let failed = |reason: String| VerifyError::Gzip {
        path: path.into(),
        reason,
    };
    let mut unpacked = Vec::new();
    let mut limited = GzDecoder::new(bytes).take(limit.saturating_add(1));
    limited
        .read_to_end(&mut unpacked)
        .map_err(|error| failed(error.to_string()))?;
    if unpacked.len() as u64 > limit {
        return Err(VerifyError::UnpackedTooLong { path: path.into() });
    }
    if !limited.into_inner().into_inner().is_empty() {
        return Err(failed("something follows the packed data".into()));
    }
    Ok(unpacked)
}
