//! What every worker of the page says, whatever its program is about.

use serde::{Deserialize, Serialize};

/// A message of a worker; `Event` is what its program has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker<Event> {
    /// The worker's module runs and takes messages; those that were posted before are lost.
    Ready {
        /// The version of the messages that the worker speaks.
        version: u32,
    },
    /// The program panicked and takes no more messages.
    Panicked {
        /// The panic's own words.
        message: String,
    },
    /// The program can't go on and is to be replaced.
    Stopped {
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
    /// What the program says.
    Event(Event),
}
