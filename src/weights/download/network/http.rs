//! Requests and answers, in a worker of the browser. Only this module calls `fetch`.

use std::ops::{ControlFlow, Range};
use std::pin::pin;

use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ReadableStreamDefaultReader, Request, RequestCache, RequestInit, Response, WorkerGlobalScope,
};

use super::error::SourceError;
use crate::browser::globals::js;

/// The interval in which a caller that waits for a silent server can cancel the wait.
pub(super) const SILENCE_MILLISECONDS: u32 = 250;

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
            _ => Err(self.refusal()),
        }
    }

    /// The error of an answer that is none of the file.
    pub fn refusal(&self) -> SourceError {
        SourceError::Status {
            file: self.file.clone(),
            status: self.status(),
            code: self.header("X-Error-Code").unwrap_or_default(),
            retry_after: self.header("Retry-After").and_then(|text| seconds(&text)),
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

/// `Retry-After` in seconds from now: a number, or a date.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(f64::from(seconds));
    }
    let date = js_sys::Date::parse(text);
    (!date.is_nan()).then(|| ((date - js_sys::Date::now()) / 1000.0).max(0.0))
}

/// Whether the browser knows that it has no network.
pub(super) fn is_offline() -> bool {
    js::global("navigator")
        .and_then(|navigator| js::get(&navigator, "onLine"))
        .is_some_and(|on_line| on_line.as_bool() == Some(false))
}

/// The last segment of a URL's path, without query and fragment.
pub fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).into()
}
