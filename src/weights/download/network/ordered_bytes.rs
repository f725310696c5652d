//! A file's bytes in order, while several of its parts are requested at once.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use futures::channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use super::transfer::{Transfer, TransferError, WholeFile};

/// The most parts that are requested at once: browsers open six connections to one host.
const PARALLEL_PARTS: usize = 6;

/// A file's bytes in order: from several requests for parts, or from one body with the whole file.
pub(super) enum OrderedBytes {
    Parts {
        transfer: Rc<Transfer>,
        /// Bytes of a part.
        length: u64,
        /// The bytes of the file that have not been requested yet.
        remaining: Range<u64>,
        /// The parts that have been requested, in the order of the file.
        pending: VecDeque<oneshot::Receiver<Result<Vec<u8>, TransferError>>>,
    },
    Whole(Box<WholeFile>),
}

impl OrderedBytes {
    /// The bytes of a range of the file, in parts of `length` bytes.
    pub fn parts(transfer: &Rc<Transfer>, range: Range<u64>, length: u64) -> Self {
        OrderedBytes::Parts {
            transfer: transfer.clone(),
            length,
            remaining: range,
            pending: VecDeque::new(),
        }
    }

    /// The next bytes. Requests reach no further than `window` bytes beyond `committed`. None: the
    /// range has ended, or nothing can be requested before more is committed.
    pub async fn next(
        &mut self,
        committed: u64,
        window: u64,
    ) -> Result<Option<Vec<u8>>, TransferError> {
        let (transfer, length, remaining, pending) = match self {
            OrderedBytes::Whole(body) => return body.next().await,
            OrderedBytes::Parts {
                transfer,
                length,
                remaining,
                pending,
            } => (transfer, *length, remaining, pending),
        };
        while !remaining.is_empty() && pending.len() < PARALLEL_PARTS {
            let end = (remaining.start + length)
                .min(remaining.end)
                .min(committed + window);
            if end <= remaining.start {
                break;
            }
            let (sender, part) = oneshot::channel();
            let (transfer, range) = (transfer.clone(), remaining.start..end);
            spawn_local(async move {
                // The receiver is gone once the arrival was given up.
                let _ = sender.send(transfer.part(range).await);
            });
            pending.push_back(part);
            remaining.start = end;
        }
        match pending.pop_front() {
            None => Ok(None),
            Some(part) => part.await.unwrap_or(Err(TransferError::Paused)).map(Some),
        }
    }

    pub fn is_at_end(&self) -> bool {
        match self {
            OrderedBytes::Parts {
                remaining, pending, ..
            } => remaining.is_empty() && pending.is_empty(),
            OrderedBytes::Whole(_) => true,
        }
    }
}
