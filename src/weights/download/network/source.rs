//! Files over HTTP, in a worker of the browser. Only this module calls `fetch`.

use std::ops::{ControlFlow, Range};
use std::pin::pin;

use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ReadableStreamDefaultReader, Request, RequestCache, RequestInit, Response, Url,
    WorkerGlobalScope,
};

use crate::browser::globals::js;
use crate::weights::download::content_range::ContentRange;
use crate::weights::format::safetensors::{Header, SafetensorsError};
use crate::weights::manifest::verify::{FileVerifier, VerifyError};
use crate::weights::manifest::{ManifestFile, hub};

/// Bytes of the longest text that is accepted; a real manifest has some ten thousand.
const MAXIMUM_TEXT_LENGTH: usize = 4 * 1024 * 1024;

/// The interval in which a caller that waits for a silent server can cancel the wait.
pub(super) const SILENCE_MILLISECONDS: u32 = 250;

/// Why a file can't be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// The server answered with something other than the file.
    #[error(
        "The server has no usable {file}: it answered with HTTP status {status}. Check the address, or try again later."
    )]
    Status {
        /// The file.
        file: String,
        /// The HTTP status.
        status: u16,
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
    /// The error as a clause of a sentence about a retry: without a full stop and without advice.
    pub fn as_clause(&self) -> String {
        match self {
            SourceError::Status { file, status } => {
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

/// The absolute address of a file, whose path is relative to its manifest.
///
/// # Errors
/// [`SourceError::Address`] where the manifest's address is not a URL.
pub fn file_address(manifest_url: &str, path: &str) -> Result<String, SourceError> {
    Url::new_with_base(path, manifest_url)
        .map(|url| url.href())
        .map_err(|_| SourceError::Address {
            address: manifest_url.into(),
        })
}

/// Loads a file and checks its bytes against the manifest while they arrive. `on_progress` gets the
/// number of bytes so far after each piece and while the server is silent; when it breaks, the load
/// is cancelled.
///
/// The request bypasses the browser's HTTP cache: the store keeps the file, and a stale copy under
/// the same name would fail the check.
///
/// # Errors
/// Everything that [`SourceError`] lists but [`SourceError::NotText`].
pub async fn fetch_file(
    url: &str,
    file: &ManifestFile,
    mut on_progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Vec<u8>, SourceError> {
    let mut verifier = FileVerifier::new(file);
    let mut bytes = Vec::new();
    let request = HttpRequest::whole(url, RequestCache::NoStore);
    let open = Body::open(&request);
    let mut body = until_cancelled(open, || on_progress(0))
        .await?
        .error_for_status()?;
    while let Some(piece) = until_cancelled(body.next(), || on_progress(bytes.len() as u64)).await?
    {
        verifier.update(&piece)?;
        bytes.extend_from_slice(&piece);
        if on_progress(bytes.len() as u64).is_break() {
            return Err(SourceError::Cancelled);
        }
    }
    verifier.finish()?;
    Ok(bytes)
}

/// Waits for the network until `on_silence` breaks: a server can be silent for ever.
pub(super) async fn until_cancelled<T>(
    network: impl Future<Output = Result<T, SourceError>>,
    mut on_silence: impl FnMut() -> ControlFlow<()>,
) -> Result<T, SourceError> {
    let mut network = pin!(network);
    loop {
        match select(network.as_mut(), TimeoutFuture::new(SILENCE_MILLISECONDS)).await {
            Either::Left((result, _)) => return result,
            Either::Right(_) if on_silence().is_break() => return Err(SourceError::Cancelled),
            Either::Right(_) => {}
        }
    }
}

/// Loads a text; the browser's HTTP cache has to ask the server whether it has changed.
///
/// # Errors
/// Everything that [`SourceError`] lists but what concerns verification and cancelling.
pub async fn fetch_text(url: &str) -> Result<String, SourceError> {
    let mut bytes = Vec::new();
    let mut body = Body::open(&HttpRequest::whole(url, RequestCache::NoCache))
        .await?
        .error_for_status()?;
    let not_text = || SourceError::NotText {
        file: file_name(url),
    };
    while let Some(piece) = body.next().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAXIMUM_TEXT_LENGTH {
            return Err(not_text());
        }
    }
    String::from_utf8(bytes).map_err(|_| not_text())
}

/// What a host publishes about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, where the host publishes it in a header.
    pub sha256: Option<String>,
    /// The validator (`ETag`); empty where the host sends none.
    pub validator: String,
}

/// Finds out a file's length, hash and validator by requesting its first byte: fewer hosts answer
/// `HEAD`.
///
/// # Errors
/// The file can't be loaded, or its host doesn't say how long it is.
pub async fn probe(url: &str) -> Result<Probe, SourceError> {
    let body = Body::open(&HttpRequest {
        range: Some(0..1),
        ..HttpRequest::whole(url, RequestCache::NoStore)
    })
    .await?;
    let size = match body.status() {
        206 => body
            .header("Content-Range")
            .and_then(|header| ContentRange::parse(&header)?.total),
        200 => body
            .header("Content-Length")
            .and_then(|header| header.parse().ok()),
        status => {
            return Err(SourceError::Status {
                file: file_name(url),
                status,
            });
        }
    };
    let size = size.ok_or_else(|| SourceError::NoLength {
        file: file_name(url),
    })?;
    let validator = body.header("ETag").unwrap_or_default();
    let sha256 = ["X-Linked-ETag", "X-Checksum-Sha256"]
        .into_iter()
        .find_map(|name| hub::hash_in_header(&body.header(name)?))
        .or_else(|| hub::hash_in_header(&validator));
    Ok(Probe {
        size,
        sha256,
        validator,
    })
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

/// Loads the beginning of a safetensors file, up to the end of its header.
///
/// # Errors
/// The file can't be loaded, or it ends before the end of its header.
pub async fn fetch_header(url: &str) -> Result<Vec<u8>, HeaderError> {
    let file = file_name(url);
    let mut bytes = Vec::new();
    let mut end = 8;
    while (bytes.len() as u64) < end {
        let range = bytes.len() as u64..end;
        let mut body = Body::open(&HttpRequest {
            range: Some(range),
            ..HttpRequest::whole(url, RequestCache::NoStore)
        })
        .await?;
        if !matches!(body.status(), 200 | 206) {
            let status = body.status();
            return Err(SourceError::Status { file, status }.into());
        }
        let before = bytes.len();
        while let Some(piece) = body.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 >= end {
                break;
            }
        }
        if bytes.len() == before {
            return Err(SourceError::Interrupted { file }.into());
        }
        if let Some(header) = Header::end(&file, &bytes)? {
            end = header;
        }
    }
    bytes.truncate(end as usize);
    Ok(bytes)
}

/// A GET request for a file or a part of one.
pub(super) struct HttpRequest<'a> {
    pub url: &'a str,
    pub cache: RequestCache,
    /// The bytes for `Range`; none: the whole file.
    pub range: Option<Range<u64>>,
    /// `If-Range`: a host whose file has another validator sends the whole file instead of the part.
    pub if_range: Option<&'a str>,
}

impl<'a> HttpRequest<'a> {
    pub fn whole(url: &'a str, cache: RequestCache) -> Self {
        HttpRequest {
            url,
            cache,
            range: None,
            if_range: None,
        }
    }

    fn to_web(&self, signal: &JsValue) -> Result<Request, JsValue> {
        let init = RequestInit::new();
        init.set_cache(self.cache);
        js::set(&init, "signal", signal);
        let request = Request::new_with_str_and_init(self.url, &init)?;
        if let Some(Range { start, end }) = &self.range {
            let last = end.saturating_sub(1);
            request
                .headers()
                .set("Range", &format!("bytes={start}-{last}"))?;
        }
        if let Some(validator) = self.if_range {
            request.headers().set("If-Range", validator)?;
        }
        Ok(request)
    }
}

/// An `AbortController` that aborts its request, and the answer's body, when it is dropped.
struct AbortOnDrop(JsValue);

impl AbortOnDrop {
    fn new() -> Result<Self, JsValue> {
        js::construct("AbortController", &[]).map(AbortOnDrop)
    }

    fn signal(&self) -> Result<JsValue, JsValue> {
        js::get(&self.0, "signal").ok_or(JsValue::UNDEFINED)
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        // No one waits for the aborted request, so its error interests no one.
        let _ = js::call(&self.0, "abort", &[]);
    }
}

/// An answer, whose body is read piece by piece. Dropping it aborts the transfer.
pub(super) struct Body {
    file: String,
    response: Response,
    /// None where the answer has no body at all.
    reader: Option<ReadableStreamDefaultReader>,
    _abort: AbortOnDrop,
}

impl Body {
    /// Sends the request and waits for the answer's headers, whatever its status.
    pub async fn open(request: &HttpRequest<'_>) -> Result<Self, SourceError> {
        let file = file_name(request.url);
        let address = || SourceError::Address {
            address: request.url.into(),
        };
        let unreachable = || SourceError::Unreachable { file: file.clone() };
        let abort = AbortOnDrop::new().map_err(|_| unreachable())?;
        let signal = abort.signal().map_err(|_| unreachable())?;
        let request = request.to_web(&signal).map_err(|_| address())?;
        let scope: WorkerGlobalScope = js_sys::global().dyn_into().map_err(|_| unreachable())?;
        let response: Response = JsFuture::from(scope.fetch_with_request(&request))
            .await
            .and_then(JsCast::dyn_into)
            .map_err(|_| unreachable())?;
        let reader = match response.body() {
            None => None,
            Some(stream) => Some(stream.get_reader().dyn_into().map_err(|_| unreachable())?),
        };
        Ok(Body {
            file,
            response,
            reader,
            _abort: abort,
        })
    }

    /// This body, if the status is 200: other statuses of success have no body, or a part of the
    /// file.
    pub fn error_for_status(self) -> Result<Self, SourceError> {
        match self.status() {
            200 => Ok(self),
            status => Err(SourceError::Status {
                file: self.file.clone(),
                status,
            }),
        }
    }

    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// The address after all redirects.
    pub fn url(&self) -> String {
        self.response.url()
    }

    /// A header's value; none also where the host doesn't expose the header to other sites.
    pub fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name).ok().flatten()
    }

    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(reader) = &self.reader else {
            return Ok(None);
        };
        let read = async {
            let result = JsFuture::from(reader.read()).await?;
            if js::get(&result, "done").is_some_and(|done| done.is_truthy()) {
                return Ok(None);
            }
            let piece: Uint8Array = js::get(&result, "value")
                .ok_or(JsValue::UNDEFINED)?
                .dyn_into()?;
            Ok(Some(piece.to_vec()))
        };
        read.await.map_err(|_: JsValue| SourceError::Interrupted {
            file: self.file.clone(),
        })
    }
}

/// The last segment of a URL's path, without query and fragment.
pub fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).into()
}
