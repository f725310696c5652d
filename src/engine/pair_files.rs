//! Where a pair's files are read from.

use std::collections::BTreeMap;

use super::error::EngineError;
use crate::weights::format::tensor::StoredTensor;

/// The source of a pair's files, which are complete and verified: the browser's store, or memory.
/// Files are named by their [`ManifestFile::id`](crate::weights::manifest::ManifestFile::id).
pub trait PairFiles {
    /// Names of the tensors in a file.
    fn tensor_names(&self, id: &str) -> impl Future<Output = Result<Vec<String>, EngineError>>;
    /// One tensor of a file, in the encoding in which it is stored.
    fn tensor(
        &self,
        id: &str,
        name: &str,
    ) -> impl Future<Output = Result<StoredTensor, EngineError>>;
    /// What the header of a file with tensors says beside them.
    fn metadata(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, EngineError>>;
    /// Bytes of a file as it is stored.
    fn stored_length(&self, id: &str) -> impl Future<Output = Result<u64, EngineError>>;
    /// The bytes of a file that holds no tensors, such as a tokenizer's vocabulary.
    fn blob(&self, id: &str) -> impl Future<Output = Result<Vec<u8>, EngineError>>;
    /// The [outlines](StoredTensor::outline) of a file's tensors; none where they are not known without
    /// reading the tensors.
    fn outlines(
        &self,
        _id: &str,
    ) -> impl Future<Output = Result<Option<Vec<StoredTensor>>, EngineError>> {
        async { Ok(None) }
    }
    /// Called for each component whose tensors are stored in the order of earlier versions, and had to be
    /// quantized anew.
    fn note_requantized(&self) {}
    /// Called when the device had no room for both UNets, and one of them was given up that the job doesn't
    /// need: so many bytes are read again when it is needed next.
    fn note_swap(&self, _bytes: u64) {}
}
