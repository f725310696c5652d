//! A file by parts over HTTP, in spite of what networks and hosts do: parts are asked for again where
//! they broke off, after a while that grows and is never quite the same, and a file that changes
//! under way is noticed.

use std::cell::{Cell, RefCell};
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use web_sys::RequestCache;

use super::source::{Asked, Body, SILENCE_MILLISECONDS, SourceError, while_wanted};
use crate::browser::globals::js;
use crate::weights::download::content_range::ContentRange;

/// How often a part is asked for without getting a byte further.
const ATTEMPTS: u32 = 6;
/// The wait before the second attempt; each further one is twice as long. Half of it to one and a half
/// of it: hosts that were overrun are not overrun again by all at once.
const FIRST_WAIT_MILLISECONDS: f64 = 500.0;
const LONGEST_WAIT_MILLISECONDS: f64 = 30_000.0;
/// The longest that a host's own word (`Retry-After`) is obeyed.
const LONGEST_OBEYED_SECONDS: f64 = 300.0;
/// A host that sends nothing for so long has stalled.
const STALL_MILLISECONDS: u32 = 15_000;

/// Why a part can't be had.
#[derive(Clone, Debug, PartialEq)]
pub enum TransferError {
    /// The visitor asked to stop.
    Paused,
    /// The file is another one than at the beginning, or the host sends the whole of it: what has
    /// arrived is of no use. A sentence.
    StartOver(String),
    /// The host won't give it.
    Source(SourceError),
}

/// What a transfer goes through.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Bytes arrive.
    Flows,
    /// A part waits to be asked for again: what happened, as [`SourceError::happening`] says it.
    Retries(String),
    /// The browser is offline.
    Offline,
}

/// Ends transfers from outside.
#[derive(Default)]
pub struct Control {
    is_paused: Cell<bool>,
}

impl Control {
    /// Has every transfer end.
    pub fn pause(&self) {
        self.is_paused.set(true);
    }

    /// Whether it was.
    pub fn is_paused(&self) -> bool {
        self.is_paused.get()
    }
}

/// What the attempts at one file share.
pub struct Transfer {
    /// The file's name in sentences.
    file: String,
    address: String,
    size: u64,
    /// Where the address led, so that the parts need not be led there each.
    direct: RefCell<Option<String>>,
    validator: RefCell<String>,
    /// Whether to say in the request which version of the file is meant. Other sites have to allow
    /// that; the answer's headers tell as much.
    uses_if_range: Cell<bool>,
    control: Rc<Control>,
    /// Ends the parts of a stream that was given up.
    is_dropped: Cell<bool>,
    /// Bytes that have arrived and are not taken yet.
    arrived: Cell<u64>,
    was_sent_whole: Cell<bool>,
    report: Rc<dyn Fn(Report)>,
}

/// What becomes of one attempt that failed.
enum Failure {
    Final(TransferError),
    /// A sentence why, and how long the host wants to be left alone, in seconds.
    Passing(SourceError, Option<f64>),
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Failure::Final(error)
    }
}

impl Transfer {
    /// A transfer of `file` from `address`, of so many bytes; `validator` is what its host gave with
    /// earlier parts, or empty.
    pub fn new(
        file: &str,
        address: String,
        size: u64,
        validator: String,
        control: Rc<Control>,
        report: Rc<dyn Fn(Report)>,
    ) -> Self {
        Transfer {
            file: file.into(),
            address,
            size,
            direct: RefCell::new(None),
            validator: RefCell::new(validator),
            uses_if_range: Cell::new(true),
            control,
            is_dropped: Cell::new(false),
            arrived: Cell::new(0),
            was_sent_whole: Cell::new(false),
            report,
        }
    }

    /// The validator of the file that arrives; empty: the host gives none.
    pub fn validator(&self) -> String {
        self.validator.borrow().clone()
    }

    /// Bytes of parts that have arrived and were not handed over yet.
    pub fn arrived(&self) -> u64 {
        self.arrived.get()
    }

    /// Whether the host sent the whole file for a part of it, though it wasn't asked to where the file
    /// has changed.
    pub fn was_sent_whole(&self) -> bool {
        self.was_sent_whole.get()
    }

    /// Has the parts that are under way end.
    pub fn give_up(&self) {
        self.is_dropped.set(true);
    }

    /// A part of the file.
    ///
    /// # Errors
    /// Everything that [`TransferError`] lists.
    pub async fn part(&self, range: Range<u64>) -> Result<Vec<u8>, TransferError> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut attempts = 0;
        loop {
            let before = bytes.len();
            let failure = match self.attempt(&range, &mut bytes).await {
                Ok(()) => {
                    self.arrived.set(self.arrived.get() - bytes.len() as u64);
                    return Ok(bytes);
                }
                Err(failure) => failure,
            };
            let (error, wait) = match failure {
                Failure::Final(error) => return Err(error),
                Failure::Passing(error, wait) => (error, wait),
            };
            attempts = if bytes.len() > before {
                1
            } else {
                attempts + 1
            };
            if attempts >= ATTEMPTS && !is_offline() {
                return Err(TransferError::Source(error));
            }
            self.wait(attempts, wait, &error).await?;
        }
    }

    /// The whole file from its beginning, for a host that doesn't send parts.
    ///
    /// # Errors
    /// Everything that [`TransferError`] lists.
    pub async fn whole(self: Rc<Self>) -> Result<Whole, TransferError> {
        let asked = Asked::whole(&self.address, RequestCache::NoStore);
        let body = self.wanted(Body::open(&asked)).await;
        let body = body.map_err(final_error)?;
        let body = body.found().map_err(TransferError::Source)?;
        Ok(Whole {
            transfer: self,
            body,
        })
    }

    async fn attempt(&self, range: &Range<u64>, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let wanted = range.start + bytes.len() as u64..range.end;
        let validator = self.validator();
        // A weak one says only that a file is much the same.
        let if_range =
            (self.uses_if_range.get() && validator.starts_with('"')).then_some(validator.as_str());
        let direct = self.direct.borrow().clone();
        let asked = Asked {
            url: direct.as_deref().unwrap_or(&self.address),
            cache: RequestCache::NoStore,
            range: Some(wanted.clone()),
            if_range,
        };
        let mut body = match self.wanted(Body::open(&asked)).await {
            Ok(body) => body,
            Err(Failure::Passing(error, _)) => {
                // The place where the address led may be gone, and the browser may have been told
                // not to say which version is meant: the next attempt does without both.
                *self.direct.borrow_mut() = None;
                if if_range.is_some() {
                    self.uses_if_range.set(false);
                }
                return Err(Failure::Passing(error, None));
            }
            Err(failure) => return Err(failure),
        };
        if body.status() == 200 && if_range.is_none() {
            self.was_sent_whole.set(true);
        }
        self.check(&body, &wanted, direct.is_some())?;
        *self.direct.borrow_mut() = Some(body.url()).filter(|url| !url.is_empty());
        (self.report)(Report::Flows);
        while (bytes.len() as u64) < range.end - range.start {
            let Some(piece) = self.wanted(body.next()).await? else {
                return Err(Failure::Passing(
                    SourceError::Interrupted {
                        file: self.file.clone(),
                    },
                    None,
                ));
            };
            let room = (range.end - range.start) as usize - bytes.len();
            let piece = &piece[..piece.len().min(room)];
            bytes.extend_from_slice(piece);
            self.arrived.set(self.arrived.get() + piece.len() as u64);
            (self.report)(Report::Flows);
        }
        Ok(())
    }

    /// Whether the answer is the part that was asked for, of the file that is being loaded.
    fn check(&self, body: &Body, wanted: &Range<u64>, is_direct: bool) -> Result<(), Failure> {
        let file = self.file.clone();
        let status = body.status();
        let refused = SourceError::Status { file, status };
        match status {
            206 => {}
            200 => {
                return Err(TransferError::StartOver(format!(
                    "The server sent the whole of {} instead of the part that was asked for, as it \
                     does when the file has changed, so the file is loaded from its beginning.",
                    self.file
                ))
                .into());
            }
            416 => return Err(self.changed().into()),
            408 | 425 | 429 | 500..=599 => {
                let wait = body.header("Retry-After").and_then(|text| seconds(&text));
                return Err(Failure::Passing(refused, wait));
            }
            // The place where the address led is open for a while only.
            400..=499 if is_direct => {
                *self.direct.borrow_mut() = None;
                return Err(Failure::Passing(refused, Some(0.0)));
            }
            _ => return Err(TransferError::Source(refused).into()),
        }
        if let Some(header) = body.header("Content-Range") {
            let Some(sent) = ContentRange::parse(&header) else {
                return Err(Failure::Passing(self.wrong_part(), None));
            };
            if sent.total.is_some_and(|total| total != self.size) {
                return Err(self.changed().into());
            }
            if sent.range != *wanted {
                return Err(Failure::Passing(self.wrong_part(), None));
            }
        }
        if let Some(validator) = body.header("ETag").filter(|it| !it.is_empty()) {
            let mut known = self.validator.borrow_mut();
            if known.is_empty() {
                *known = validator;
            } else if *known != validator {
                return Err(self.changed().into());
            }
        }
        Ok(())
    }

    fn changed(&self) -> TransferError {
        TransferError::StartOver(format!(
            "The file {} has changed on its server while it was loading, so it is loaded from its \
             beginning.",
            self.file
        ))
    }

    fn wrong_part(&self) -> SourceError {
        SourceError::WrongPart {
            file: self.file.clone(),
        }
    }

    /// Waits for the network for as long as it is wanted and shows a sign of life.
    async fn wanted<T>(
        &self,
        network: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, Failure> {
        let mut silent = 0;
        let mut has_stalled = false;
        let result = while_wanted(network, || {
            silent += SILENCE_MILLISECONDS;
            has_stalled = silent >= STALL_MILLISECONDS;
            if has_stalled || self.is_ended() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .await;
        if self.is_ended() {
            return Err(TransferError::Paused.into());
        }
        let error = match result {
            Ok(value) => return Ok(value),
            Err(SourceError::Cancelled) if has_stalled => SourceError::Stalled {
                file: self.file.clone(),
            },
            Err(SourceError::Unreachable { .. }) => SourceError::Unreachable {
                file: self.file.clone(),
            },
            Err(SourceError::Interrupted { .. }) => SourceError::Interrupted {
                file: self.file.clone(),
            },
            Err(error @ (SourceError::Address { .. } | SourceError::Status { .. })) => {
                return Err(TransferError::Source(error).into());
            }
            Err(error) => error,
        };
        Err(Failure::Passing(error, None))
    }

    fn is_ended(&self) -> bool {
        self.control.is_paused() || self.is_dropped.get()
    }

    async fn wait(
        &self,
        attempts: u32,
        obeyed_seconds: Option<f64>,
        error: &SourceError,
    ) -> Result<(), TransferError> {
        let own = FIRST_WAIT_MILLISECONDS * f64::from(2u32.pow(attempts.clamp(1, 10) - 1));
        let own = own.min(LONGEST_WAIT_MILLISECONDS) * (0.5 + js_sys::Math::random());
        let mut left = match obeyed_seconds {
            Some(seconds) => seconds.min(LONGEST_OBEYED_SECONDS) * 1000.0,
            None => own,
        };
        loop {
            if self.is_ended() {
                return Err(TransferError::Paused);
            }
            if is_offline() {
                (self.report)(Report::Offline);
                left = left.max(f64::from(SILENCE_MILLISECONDS));
            } else if left <= 0.0 {
                return Ok(());
            } else {
                (self.report)(Report::Retries(error.happening()));
            }
            let pause = left.clamp(1.0, f64::from(SILENCE_MILLISECONDS));
            TimeoutFuture::new(pause as u32).await;
            left -= pause;
        }
    }
}

/// The body of a whole file.
pub struct Whole {
    transfer: Rc<Transfer>,
    body: Body,
}

impl Whole {
    /// The next bytes; none: the file has ended.
    ///
    /// # Errors
    /// Everything that [`TransferError`] lists; a connection that breaks means starting over.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        let piece = self.transfer.wanted(self.body.next()).await;
        (self.transfer.report)(Report::Flows);
        match piece {
            Ok(piece) => Ok(piece),
            Err(Failure::Passing(error, _)) => Err(TransferError::StartOver(format!(
                "Since {}, and it doesn't send parts of a file, the file is loaded from its beginning.",
                error.happening()
            ))),
            Err(failure) => Err(final_error(failure)),
        }
    }
}

fn final_error(failure: Failure) -> TransferError {
    match failure {
        Failure::Final(error) => error,
        Failure::Passing(error, _) => TransferError::Source(error),
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
fn is_offline() -> bool {
    js::global("navigator")
        .and_then(|navigator| js::get(&navigator, "onLine"))
        .is_some_and(|on_line| on_line.as_bool() == Some(false))
}
