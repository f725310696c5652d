//! The envelope of the messages that every worker sends to the page.

use serde::{Deserialize, Serialize};

/// A message of a worker; `Event` is the type of its program's events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker<Event> {
    /// The worker's module runs and receives messages; those that were posted before are lost.
    Ready {
        /// The worker's version of the messages.
        version: u32,
    },
    /// The program panicked and receives no more messages.
    Panicked {
        /// The panic's message and place.
        message: String,
    },
    /// The program can't go on; the page has to start another worker.
    Stopped {
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
    /// An event of the program.
    Event(Event),
}
