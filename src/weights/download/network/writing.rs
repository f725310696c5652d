//! A commit that is being written while the next one's bytes arrive.

use std::rc::Rc;

use futures::channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use crate::weights::download::plan::FileProgress;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::stored::store::{Store, StoreError};

/// A commit that is being written while the next one's bytes arrive.
pub(super) struct Writing {
    /// What is committed before it is done.
    before: u64,
    /// What is committed then.
    after: u64,
    outcome: oneshot::Receiver<Result<(), StoreError>>,
    is_done: bool,
}

impl Writing {
    pub fn begin(
        store: Rc<Store>,
        id: String,
        header: Option<Vec<u8>>,
        records: Vec<StoredTensor>,
        progress: FileProgress,
        before: u64,
    ) -> Self {
        let (sender, outcome) = oneshot::channel();
        let after = progress.position;
        spawn_local(async move {
            let outcome = store
                .commit(&id, header.as_deref(), &records, &progress)
                .await;
            // An arrival that was given up meanwhile doesn't ask; what is written is written.
            let _ = sender.send(outcome);
        });
        Writing {
            before,
            after,
            outcome,
            is_done: false,
        }
    }

    /// Bytes of the file that are committed by now.
    pub fn committed(&mut self) -> Result<u64, StoreError> {
        if !self.is_done
            && let Ok(Some(outcome)) = self.outcome.try_recv()
        {
            outcome?;
            self.is_done = true;
        }
        Ok(if self.is_done {
            self.after
        } else {
            self.before
        })
    }

    pub async fn wait(&mut self) -> Result<(), StoreError> {
        if self.is_done {
            return Ok(());
        }
        self.is_done = true;
        // The task above always answers.
        (&mut self.outcome).await.unwrap_or(Ok(()))
    }
}
