//! Files over HTTP, in the browser's worker. The only module that knows the network.

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

/// The longest manifest in bytes; a real one has some ten thousand.
const MAXIMUM_TEXT_LENGTH: usize = 4 * 1024 * 1024;

/// How long a server may be silent before the caller is asked whether it still waits.
pub(super) const SILENCE_MILLISECONDS: u32 = 250;

/// Why a file can't be had.
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
    /// No answer: browsers don't tell scripts apart why.
    #[error(
        "{file} can't be loaded: this browser is offline, its host can't be reached, or that host \
         doesn't allow this page to read its files (CORS). Check the connection and try again."
    )]
    Unreachable {
        /// The file.
        file: String,
    },
    /// The answer broke off.
    #[error("The connection broke while {file} was loading. Check it and try again.")]
    Interrupted {
        /// The file.
        file: String,
    },
    /// The host fell silent.
    #[error("The server of {file} stopped sending. Check the connection and try again.")]
    Stalled {
        /// The file.
        file: String,
    },
    /// Another part than was asked for.
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
    /// An address that is none.
    #[error("{address} is not an address that a file can be loaded from.")]
    Address {
        /// What was given.
        address: String,
    },
    /// Too long or not UTF-8.
    #[error("{file} is not a text of a usable length. Check the address.")]
    NotText {
        /// The file.
        file: String,
    },
    /// The caller asked to stop.
    #[error("Loading was cancelled.")]
    Cancelled,
    /// Not the bytes of the manifest.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl SourceError {
    /// What happened, for a sentence about something that is tried again; without a full stop.
    pub fn happening(&self) -> String {
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

/// The address of a file of a pair, relative to its manifest's.
///
/// # Errors
/// [`SourceError::Address`] where the manifest's address is none.
pub fn file_address(manifest_url: &str, path: &str) -> Result<String, SourceError> {
    Url::new_with_base(path, manifest_url)
        .map(|url| url.href())
        .map_err(|_| SourceError::Address {
            address: manifest_url.into(),
        })
}

/// Loads a file and checks it against the manifest while it arrives. `on_progress` gets the bytes so
/// far after each piece, and while the server is silent; when it breaks, the transfer is ended.
///
/// The browser's HTTP cache is passed by: the store keeps the file, and a stale copy under the same
/// name would fail the check.
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
    let asked = Asked::whole(url, RequestCache::NoStore);
    let open = Body::open(&asked);
    let mut body = while_wanted(open, || on_progress(0)).await?.found()?;
    while let Some(piece) = while_wanted(body.next(), || on_progress(bytes.len() as u64)).await? {
        verifier.update(&piece)?;
        bytes.extend_from_slice(&piece);
        if on_progress(bytes.len() as u64).is_break() {
            return Err(SourceError::Cancelled);
        }
    }
    verifier.finish()?;
    Ok(bytes)
}

/// Waits for the network, and gives up when the caller says so: a server can be silent for ever.
pub(super) async fn while_wanted<T>(
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

/// Loads a text, asking the server each time whether it has changed.
///
/// # Errors
/// Everything that [`SourceError`] lists but what concerns verification and cancelling.
pub async fn fetch_text(url: &str) -> Result<String, SourceError> {
    let mut bytes = Vec::new();
    let mut body = Body::open(&Asked::whole(url, RequestCache::NoCache))
        .await?
        .found()?;
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

/// What a host says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Bytes.
    pub size: u64,
    /// SHA-256, where the host publishes it in a header.
    pub sha256: Option<String>,
    /// The validator (`ETag`); empty: none.
    pub validator: String,
}

/// Asks a host for a file's length and what it publishes of it, by the file's first byte: `HEAD` is
/// answered by fewer hosts.
///
/// # Errors
/// The file can't be had, or its host doesn't say how long it is.
pub async fn probe(url: &str) -> Result<Probe, SourceError> {
    let body = Body::open(&Asked {
        range: Some(0..1),
        ..Asked::whole(url, RequestCache::NoStore)
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

/// Why a safetensors file's header can't be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// Its host won't give it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is none.
    #[error(transparent)]
    Header(#[from] SafetensorsError),
}

/// Loads the beginning of a safetensors file, up to the end of its header.
///
/// # Errors
/// The file can't be had, or it ends before its header.
pub async fn fetch_header(url: &str) -> Result<Vec<u8>, HeaderError> {
    let file = file_name(url);
    let mut bytes = Vec::new();
    let mut end = 8;
    while (bytes.len() as u64) < end {
        let range = bytes.len() as u64..end;
        let mut body = Body::open(&Asked {
            range: Some(range),
            ..Asked::whole(url, RequestCache::NoStore)
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

/// What is asked for.
pub(super) struct Asked<'a> {
    pub url: &'a str,
    pub cache: RequestCache,
    /// A part of the file; none: the whole.
    pub range: Option<Range<u64>>,
    /// The validator that the part has to be of; else the whole is to come.
    pub if_range: Option<&'a str>,
}

impl<'a> Asked<'a> {
    pub fn whole(url: &'a str, cache: RequestCache) -> Self {
        Asked {
            url,
            cache,
            range: None,
            if_range: None,
        }
    }

    fn request(&self, signal: &JsValue) -> Result<Request, JsValue> {
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

/// Ends a request and its answer when it is dropped.
struct Abort(JsValue);

impl Abort {
    fn new() -> Result<Self, JsValue> {
        js::construct("AbortController", &[]).map(Abort)
    }

    fn signal(&self) -> Result<JsValue, JsValue> {
        js::get(&self.0, "signal").ok_or(JsValue::UNDEFINED)
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        // Nobody waits for the end of a transfer that nobody wants.
        let _ = js::call(&self.0, "abort", &[]);
    }
}

/// An answer, whose body comes piece by piece; when dropped early, the transfer is ended.
pub(super) struct Body {
    file: String,
    response: Response,
    /// None where the answer has no body at all.
    reader: Option<ReadableStreamDefaultReader>,
    _abort: Abort,
}

impl Body {
    /// Waits for the answer, whatever its status.
    pub async fn open(asked: &Asked<'_>) -> Result<Self, SourceError> {
        let file = file_name(asked.url);
        let address = || SourceError::Address {
            address: asked.url.into(),
        };
        let unreachable = || SourceError::Unreachable { file: file.clone() };
        let abort = Abort::new().map_err(|_| unreachable())?;
        let signal = abort.signal().map_err(|_| unreachable())?;
        let request = asked.request(&signal).map_err(|_| address())?;
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

    /// The body, if the answer is the whole file. Other statuses of success have no body or a part of
    /// one.
    pub fn found(self) -> Result<Self, SourceError> {
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

    /// Where the answer came from in the end, after redirections.
    pub fn url(&self) -> String {
        self.response.url()
    }

    /// A header; none also where the host doesn't let scripts of other sites read it.
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

/// The last part of an address's path.
pub fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).into()
}
