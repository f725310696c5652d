//! What the page knows of a load beside its progress.

use crate::protocol::loader::{LoadProgress, Preflight};

/// The pre-flight that the panel shows.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPreflight {
    /// The pair's address.
    pub address: String,
    /// None until the files' hosts have answered.
    pub preflight: Option<Preflight>,
}

/// The reason why a pair can't be loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadProblem {
    /// A sentence that says what is wrong and what to do.
    pub sentence: String,
    /// Whether the store has no room, so that deleting another pair would help.
    pub is_full: bool,
}

/// News of the load that the engine waits for.
pub enum AwaitedLoad {
    /// The load has progressed.
    Progress(LoadProgress),
    /// The pair is complete.
    Loaded,
    /// The store has no room for the pair.
    NotStored,
    /// The load was paused.
    Paused,
    /// The pair can't be loaded. Holds a sentence that says what is wrong and what to do.
    Failed(String),
}
