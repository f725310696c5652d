//! A file's bytes in order, with several parts under way at once.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use futures::channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use super::transfer::{Transfer, TransferError, Whole};

/// The most parts under way at once: what browsers open to one host.
const PARALLEL_PARTS: usize = 6;

/// A file's bytes in order: several parts are under way at once, or the whole of it in one body.
pub(super) enum Bytes {
    Parts {
        transfer: Rc<Transfer>,
        /// Of a part.
        length: u64,
        /// What has not been asked for.
        rest: Range<u64>,
        asked: VecDeque<oneshot::Receiver<Result<Vec<u8>, TransferError>>>,
    },
    Whole(Box<Whole>),
}

impl Bytes {
    /// The bytes of a range of the file, by parts of so many bytes.
    pub fn parts(transfer: &Rc<Transfer>, range: Range<u64>, length: u64) -> Self {
        Bytes::Parts {
            transfer: transfer.clone(),
            length,
            rest: range,
            asked: VecDeque::new(),
        }
    }

    /// The next bytes, while no more than `window` bytes beyond `committed` are asked for; none: the
    /// end, or nothing can be asked for before more is committed.
    pub async fn next(
        &mut self,
        committed: u64,
        window: u64,
    ) -> Result<Option<Vec<u8>>, TransferError> {
        let (transfer, length, rest, asked) = match self {
            Bytes::Whole(body) => return body.next().await,
            Bytes::Parts {
                transfer,
                length,
                rest,
                asked,
            } => (transfer, *length, rest, asked),
        };
        while !rest.is_empty() && asked.len() < PARALLEL_PARTS {
            let end = (rest.start + length).min(rest.end).min(committed + window);
            if end <= rest.start {
                break;
            }
            let (sender, part) = oneshot::channel();
            let (transfer, range) = (transfer.clone(), rest.start..end);
            spawn_local(async move {
                // Nobody listens once the arrival was given up.
                let _ = sender.send(transfer.part(range).await);
            });
            asked.push_back(part);
            rest.start = end;
        }
        match asked.pop_front() {
            None => Ok(None),
            Some(part) => part.await.unwrap_or(Err(TransferError::Paused)).map(Some),
        }
    }

    pub fn is_at_end(&self) -> bool {
        match self {
            Bytes::Parts { rest, asked, .. } => rest.is_empty() && asked.is_empty(),
            Bytes::Whole(_) => true,
        }
    }
}
