//! Why a file can't be loaded.

use crate::weights::download::retry::status_sentence;
use crate::weights::format::safetensors::SafetensorsError;
use crate::weights::manifest::verify::VerifyError;

/// Why a file can't be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// The server answered with something other than the file.
    #[error("{}", status_sentence(.file, *.status))]
    Status {
        /// The file.
        file: String,
        /// The HTTP status.
        status: u16,
        /// A hub's own word for the reason (`X-Error-Code`); empty where the server sends none.
        code: String,
        /// Seconds after which the server wants to be asked again; none where it doesn't say.
        retry_after: Option<f64>,
    },
    /// A file of the visitor's disk can't be read.
    #[error(
        "The file {file} can't be read from your disk any more: it was changed, moved or deleted after it \
         was opened. Open it again."
    )]
    Disk {
        /// The file.
        file: String,
    },
    /// A file of the visitor's disk that was opened at an earlier visit, or in another tab.
    #[error(
        "The file {file} is on your disk, and browsers forget such files with the page: open it again, and \
         the load goes on."
    )]
    NotOpened {
        /// The file.
        file: String,
    },
    /// There was no answer. Browsers don't tell scripts which of the reasons it was.
    #[error(
        "{file} can't be loaded: this browser is offline, its host can't be reached, or that host \
         doesn't allow this page to read its files (CORS). Check the connection and try again."
    )]
    Unreachable {
        /// The file.
        file: String,
    },
    /// The connection broke before the end of the body.
    #[error("The connection broke while {file} was loading. Check it and try again.")]
    Interrupted {
        /// The file.
        file: String,
    },
    /// The host has sent nothing for too long.
    #[error("The server of {file} stopped sending. Check the connection and try again.")]
    Stalled {
        /// The file.
        file: String,
    },
    /// The host sent another part than the requested one.
    #[error(
        "The server of {file} sent another part of it than was asked for. Try again later, or load \
         it from another host."
    )]
    WrongPart {
        /// The file.
        file: String,
    },
    /// The host doesn't say how long the file is.
    #[error(
        "The server of {file} doesn't tell this page how long the file is (it would have to expose \
         Content-Range), so it can't be loaded by parts. Use another host."
    )]
    NoLength {
        /// The file.
        file: String,
    },
    /// The address is not a URL.
    #[error("{address} is not an address that a file can be loaded from.")]
    Address {
        /// The text that is not a URL.
        address: String,
    },
    /// A text is longer than 4 MiB, or it is not UTF-8.
    #[error("{file} is not a text of a usable length. Check the address.")]
    NotText {
        /// The file.
        file: String,
    },
    /// The caller cancelled the load.
    #[error("Loading was cancelled.")]
    Cancelled,
    /// The file's length or hash is not the manifest's.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl SourceError {
    /// The same error about a file of this name, where the last part of its address says nothing to people.
    pub fn about(mut self, name: &str) -> Self {
        match &mut self {
            SourceError::Status { file, .. }
            | SourceError::Disk { file }
            | SourceError::NotOpened { file }
            | SourceError::Unreachable { file }
            | SourceError::Interrupted { file }
            | SourceError::Stalled { file }
            | SourceError::WrongPart { file }
            | SourceError::NoLength { file }
            | SourceError::NotText { file } => name.clone_into(file),
            SourceError::Address { .. } | SourceError::Cancelled | SourceError::Verify(_) => {}
        }
        self
    }

    /// The error as a clause of a sentence about a retry: without a full stop and without advice.
    pub fn as_clause(&self) -> String {
        match self {
            SourceError::Status { file, status, .. } => {
                format!("the server of {file} answered with HTTP status {status}")
            }
            SourceError::Unreachable { file } => format!(
                "the host of {file} can't be reached, or doesn't allow this page to read its files \
                 (CORS)"
            ),
            SourceError::Interrupted { file } => {
                format!("the connection broke while {file} was loading")
            }
            SourceError::Stalled { file } => format!("the server of {file} stopped sending"),
            SourceError::WrongPart { file } => {
                format!("the server of {file} sent another part of it than was asked for")
            }
            other => other.to_string().trim_end_matches('.').to_owned(),
        }
    }
}

/// Why a safetensors file's header can't be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// The host doesn't send it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bytes are not the header of a safetensors file.
    #[error(transparent)]
    Header(#[from] SafetensorsError),
}
