//! Files over HTTP: whole ones, texts, headers, and what their hosts tell of them.

use std::ops::ControlFlow;

use gloo_timers::future::TimeoutFuture;
use web_sys::{RequestCache, Url};

use super::disk::DiskFile;
use super::http::{Body, HttpRequest, SILENCE_MILLISECONDS, is_offline, until_cancelled};
use crate::browser::globals::js;
use crate::weights::download::content_range::ContentRange;
use crate::weights::download::retry::{is_transient, wait_milliseconds};
use crate::weights::format::safetensors::Header;
use crate::weights::manifest::verify::FileVerifier;
use crate::weights::manifest::{ManifestFile, hub};

pub use super::error::{HeaderError, SourceError};
pub use super::http::file_name;

/// Bytes of the longest text that is accepted; a real manifest has some ten thousand.
const MAXIMUM_TEXT_LENGTH: usize = 4 * 1024 * 1024;

/// Bytes of a file by which it is told whether it is one of safetensors, and how long its header is.
const FIRST_BYTES: u64 = 64;

/// How often a busy host is asked, in about ten seconds.
const ASKS: u32 = 5;
/// How often a host is asked that can't be reached: it may also be one that lets no other site read its files,
/// which browsers don't tell.
const ASKS_OF_UNREACHABLE: u32 = 2;
/// The longest that an answer to a question may take.
const LONGEST_ANSWER_MILLISECONDS: u32 = 30_000;
/// The longest wait that a host can ask for between two questions.
const LONGEST_PAUSE_SECONDS: f64 = 30.0;

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

/// Fetches a file of whatever length, not into this program's memory but into the browser's keeping, which
/// is read by slices like a file of the disk.
///
/// # Errors
/// The host can't be reached, or answers with an error.
pub async fn fetch_blob(name: &str, url: &str) -> Result<DiskFile, SourceError> {
    let request = HttpRequest::whole(url, RequestCache::NoStore);
    let mut body = Body::open(&request).await?.error_for_status()?;
    let pieces = js_sys::Array::new();
    let mut size = 0;
    while let Some(piece) = body.next().await? {
        size += piece.len() as u64;
        pieces.push(&js_sys::Uint8Array::from(piece.as_slice()));
    }
    let unreadable = |_| SourceError::Disk { file: name.into() };
    Ok(DiskFile {
        name: name.into(),
        size,
        file: js::construct("Blob", &[pieces.into()]).map_err(unreadable)?,
    })
}

/// Asks a host, and again where it is busy, fails or is silent.
///
/// # Errors
/// The error of the last answer.
pub async fn patiently<T, F>(file: &str, ask: impl Fn() -> F) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, SourceError>>,
{
    let mut asks = 0;
    loop {
        asks += 1;
        let mut waited = 0;
        let answer = until_cancelled(ask(), || {
            waited += SILENCE_MILLISECONDS;
            if waited >= LONGEST_ANSWER_MILLISECONDS {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let error = match answer.await {
            Ok(answer) => return Ok(answer),
            Err(SourceError::Cancelled) => SourceError::Stalled { file: file.into() },
            Err(error) => error,
        };
        let (most, pause) = match &error {
            SourceError::Status {
                status,
                retry_after,
                ..
            } if is_transient(*status) => (ASKS, *retry_after),
            SourceError::Stalled { .. } | SourceError::Interrupted { .. } => (ASKS, None),
            SourceError::Unreachable { .. } if !is_offline() => (ASKS_OF_UNREACHABLE, None),
            _ => return Err(error),
        };
        if asks >= most {
            return Err(error);
        }
        let random = js_sys::Math::random();
        let wait = wait_milliseconds(asks, random, pause, LONGEST_PAUSE_SECONDS);
        TimeoutFuture::new(wait as u32).await;
    }
}

/// The answer, or none where the host says that it has no such file: with a 404, and with nothing else.
///
/// # Errors
/// Every other error.
pub fn unless_missing<T>(answer: Result<T, SourceError>) -> Result<Option<T>, SourceError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(SourceError::Status { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text, and what its answer says of it.
pub struct Answer {
    /// The text.
    pub text: String,
    /// The address after all redirects.
    pub url: String,
    /// The header `Link`; empty where there is none.
    pub link: String,
}

/// Loads a text; the browser's HTTP cache has to ask the server whether it has changed.
///
/// # Errors
/// Everything that [`SourceError`] lists but what concerns verification and cancelling.
pub async fn fetch_text(url: &str) -> Result<String, SourceError> {
    Ok(fetch_answer(url).await?.text)
}

/// As [`fetch_text`], with what the answer says of the text.
///
/// # Errors
/// As [`fetch_text`].
pub async fn fetch_answer(url: &str) -> Result<Answer, SourceError> {
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
    Ok(Answer {
        text: String::from_utf8(bytes).map_err(|_| not_text())?,
        url: body.url(),
        link: body.header("Link").unwrap_or_default(),
    })
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
        _ => return Err(body.refusal()),
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

/// Loads the beginning of a safetensors file, up to the end of its header. A busy host is asked again.
///
/// # Errors
/// The file can't be loaded, it ends before the end of its header, or it is none.
pub async fn fetch_header(url: &str) -> Result<Vec<u8>, HeaderError> {
    let file = file_name(url);
    let cut_off = || SourceError::Interrupted { file: file.clone() };
    let first = patiently(&file, || beginning(url, FIRST_BYTES)).await?;
    let end = Header::end(&file, &first)?.ok_or_else(cut_off)?;
    if end <= first.len() as u64 {
        return Ok(first);
    }
    let header = patiently(&file, || beginning(url, end)).await?;
    if (header.len() as u64) < end {
        return Err(cut_off().into());
    }
    Ok(header)
}

/// The first bytes of a file, as many as `end` says, or all of a shorter one.
async fn beginning(url: &str, end: u64) -> Result<Vec<u8>, SourceError> {
    let mut body = Body::open(&HttpRequest {
        range: Some(0..end),
        ..HttpRequest::whole(url, RequestCache::NoStore)
    })
    .await?;
    if !matches!(body.status(), 200 | 206) {
        return Err(body.refusal());
    }
    let mut bytes = Vec::new();
    // A host that doesn't send parts sends the whole file: the rest of it is not waited for.
    while (bytes.len() as u64) < end {
        let Some(piece) = body.next().await? else {
            break;
        };
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(end as usize);
    Ok(bytes)
}
