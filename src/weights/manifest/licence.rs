//! Under which terms a model may be used.

use serde::{Deserialize, Serialize};

/// A licence that is shown before a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Its name, with the model that it is for in brackets.
    pub name: String,
    /// Where its text is.
    pub url: String,
}
