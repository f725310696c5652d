//! Writes a commit while the bytes of the next one arrive.

use std::rc::Rc;

use futures::channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use crate::weights::download::plan::FileProgress;
use crate::weights::format::tensor::StoredTensor;
use crate::weights::stored::store::{Store, StoreError};

/// A commit that is being written while the next one's bytes arrive.
pub(super) struct Writing {
    /// Committed bytes of the file before this commit is written.
    before: u64,
    /// Committed bytes of the file once it is written.
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
            // The receiver is gone where the arrival was given up; the commit is written all the same.
            let _ = sender.send(outcome);
        });
        Writing {
            before,
            after,
            outcome,
            is_done: false,
        }
    }

    /// The committed bytes of the file at this moment.
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
