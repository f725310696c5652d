//! The transfer of a file in parts over HTTP, with retries. A part is requested again from the byte
//! where it broke off, after a wait that doubles each time and is partly random; and the transfer
//! notices when the file changes on its host meanwhile.

use std::cell::{Cell, RefCell};
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use web_sys::RequestCache;

use super::disk::DiskFile;
use super::error::SourceError;
use super::http::{Body, HttpRequest, SILENCE_MILLISECONDS, is_offline, until_cancelled};
use crate::weights::download::content_range::ContentRange;
use crate::weights::download::retry::{
    LONGEST_RETRY_AFTER_SECONDS, is_transient, wait_milliseconds,
};
use crate::weights::manifest::verify::VerifyError;

/// The number of successive attempts without a byte after which a part is given up.
const ATTEMPTS: u32 = 6;
/// A host that sends nothing for this long has stalled.
const STALL_MILLISECONDS: u32 = 15_000;

/// Why a part can't be loaded.
#[derive(Clone, Debug, PartialEq)]
pub enum TransferError {
    /// The visitor paused the load.
    Paused,
    /// The file has changed since its first part, or the host sends the whole file instead of a part,
    /// so the bytes so far can't be used. Holds a sentence with the reason.
    StartOver(String),
    /// The host doesn't send it.
    Source(SourceError),
}

/// The state of a transfer.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Bytes arrive.
    Flows,
    /// A part waits for its next attempt. Holds [`SourceError::as_clause`] of the last one.
    Retries(String),
    /// The browser is offline.
    Offline,
}

/// Pauses the transfers of a load from outside.
#[derive(Default)]
pub struct Control {
    is_paused: Cell<bool>,
}

impl Control {
    /// Makes every transfer end with [`TransferError::Paused`].
    pub fn pause(&self) {
        self.is_paused.set(true);
    }

    /// Whether [`Control::pause`] was called.
    pub fn is_paused(&self) -> bool {
        self.is_paused.get()
    }
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum FileOrigin {
    /// A host, at this absolute address.
    Address(String),
    /// The visitor's disk.
    Disk(DiskFile),
    /// The visitor's disk, where the file has to be opened again.
    NotOpened,
}

/// The transfer of one file: the state that all requests for its parts share.
pub struct Transfer {
    /// The file's name in sentences.
    file: String,
    origin: FileOrigin,
    size: u64,
    /// The address after its redirects, so that they aren't followed again for each part.
    redirected: RefCell<Option<String>>,
    validator: RefCell<String>,
    /// Whether requests have `If-Range`. Hosts on other sites may not allow that header; without it
    /// the validator in the answer still shows a change.
    uses_if_range: Cell<bool>,
    control: Rc<Control>,
    /// Whether [`Transfer::give_up`] was called.
    is_dropped: Cell<bool>,
    /// Bytes of the parts that [`Transfer::part`] has not returned yet.
    arrived: Cell<u64>,
    was_sent_whole: Cell<bool>,
    /// Whether a part has come of the file of the expected size.
    has_answered: Cell<bool>,
    report: Rc<dyn Fn(Report)>,
}

/// Why an attempt failed, and whether another one is worth making.
enum Failure {
    Permanent(TransferError),
    /// The reason, and the host's `Retry-After` in seconds; none where it sent none.
    Transient(SourceError, Option<f64>),
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Failure::Permanent(error)
    }
}

impl Transfer {
    /// A transfer of `file`, of `size` bytes. `validator` is the `ETag` of earlier
    /// parts, or empty.
    pub fn new(
        file: &str,
        origin: FileOrigin,
        size: u64,
        validator: String,
        control: Rc<Control>,
        report: Rc<dyn Fn(Report)>,
    ) -> Self {
        Transfer {
            file: file.into(),
            origin,
            size,
            redirected: RefCell::new(None),
            validator: RefCell::new(validator),
            uses_if_range: Cell::new(true),
            control,
            is_dropped: Cell::new(false),
            arrived: Cell::new(0),
            was_sent_whole: Cell::new(false),
            has_answered: Cell::new(false),
            report,
        }
    }

    /// The file's validator (`ETag`); empty where its host sends none.
    pub fn validator(&self) -> String {
        self.validator.borrow().clone()
    }

    /// Bytes that have arrived of parts that are not complete yet.
    pub fn arrived(&self) -> u64 {
        self.arrived.get()
    }

    /// Whether the host answered a request for a part, one without `If-Range`, with the whole file.
    pub fn was_sent_whole(&self) -> bool {
        self.was_sent_whole.get()
    }

    /// Ends the requests of all parts.
    pub fn give_up(&self) {
        self.is_dropped.set(true);
    }

    /// Loads a part of the file, in as many attempts as that takes.
    ///
    /// # Errors
    /// Everything that [`TransferError`] lists.
    pub async fn part(&self, range: Range<u64>) -> Result<Vec<u8>, TransferError> {
        match &self.origin {
            FileOrigin::Address(_) => {}
            FileOrigin::Disk(_) if self.is_ended() => return Err(TransferError::Paused),
            FileOrigin::Disk(file) => {
                let bytes = file.slice(range).await.map_err(TransferError::Source)?;
                (self.report)(Report::Flows);
                return Ok(bytes);
            }
            FileOrigin::NotOpened => return Err(self.not_opened()),
        }
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
                Failure::Permanent(error) => return Err(error),
                Failure::Transient(error, wait) => (error, wait),
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
    pub async fn whole(self: Rc<Self>) -> Result<WholeFile, TransferError> {
        let address = self.address()?;
        let request = HttpRequest::whole(address, RequestCache::NoStore);
        let body = self.unless_ended(Body::open(&request)).await;
        let body = body.map_err(final_error)?;
        let body = body.error_for_status().map_err(TransferError::Source)?;
        Ok(WholeFile {
            transfer: self,
            body,
        })
    }

    /// The address of a file of a host; one of the disk is never asked for as a whole.
    fn address(&self) -> Result<&str, TransferError> {
        match &self.origin {
            FileOrigin::Address(address) => Ok(address),
            FileOrigin::Disk(_) | FileOrigin::NotOpened => Err(self.not_opened()),
        }
    }

    fn not_opened(&self) -> TransferError {
        TransferError::Source(SourceError::NotOpened {
            file: self.file.clone(),
        })
    }

    async fn attempt(&self, range: &Range<u64>, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let wanted = range.start + bytes.len() as u64..range.end;
        let validator = self.validator();
        // A weak validator doesn't promise the same bytes.
        let if_range =
            (self.uses_if_range.get() && validator.starts_with('"')).then_some(validator.as_str());
        let redirected = self.redirected.borrow().clone();
        let address = self.address()?;
        let request = HttpRequest {
            url: redirected.as_deref().unwrap_or(address),
            cache: RequestCache::NoStore,
            range: Some(wanted.clone()),
            if_range,
        };
        let mut body = match self.unless_ended(Body::open(&request)).await {
            Ok(body) => body,
            Err(Failure::Transient(error, _)) => {
                // The address after the redirects may have expired, and the host may not allow
                // `If-Range`: the next attempt uses neither.
                *self.redirected.borrow_mut() = None;
                if if_range.is_some() {
                    self.uses_if_range.set(false);
                }
                return Err(Failure::Transient(error, None));
            }
            Err(failure) => return Err(failure),
        };
        if body.status() == 200 && if_range.is_none() {
            self.was_sent_whole.set(true);
        }
        self.check(&body, &wanted, redirected.is_some())?;
        *self.redirected.borrow_mut() = Some(body.url()).filter(|url| !url.is_empty());
        (self.report)(Report::Flows);
        while (bytes.len() as u64) < range.end - range.start {
            let Some(piece) = self.unless_ended(body.next()).await? else {
                return Err(Failure::Transient(
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

    /// Checks that the answer is the requested part of an unchanged file.
    fn check(&self, body: &Body, wanted: &Range<u64>, is_redirected: bool) -> Result<(), Failure> {
        let status = body.status();
        let refused = body.refusal().about(&self.file);
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
            _ if is_transient(status) => {
                let wait = match &refused {
                    SourceError::Status { retry_after, .. } => *retry_after,
                    _ => None,
                };
                return Err(Failure::Transient(refused, wait));
            }
            // The address after the redirects is valid for a limited time.
            400..=499 if is_redirected => {
                *self.redirected.borrow_mut() = None;
                return Err(Failure::Transient(refused, Some(0.0)));
            }
            _ => return Err(TransferError::Source(refused).into()),
        }
        if let Some(header) = body.header("Content-Range") {
            let Some(sent) = ContentRange::parse(&header) else {
                return Err(Failure::Transient(self.wrong_part(), None));
            };
            if let Some(found) = sent.total.filter(|total| *total != self.size) {
                let is_first = wanted.start == 0 && !self.has_answered.get();
                return Err(if is_first {
                    TransferError::Source(self.other_length(found).into()).into()
                } else {
                    self.changed().into()
                });
            }
            if sent.range != *wanted {
                return Err(Failure::Transient(self.wrong_part(), None));
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
        self.has_answered.set(true);
        Ok(())
    }

    /// The file never had the size that was expected.
    fn other_length(&self, found: u64) -> VerifyError {
        let (path, expected) = (self.file.clone(), self.size);
        if found < expected {
            VerifyError::Truncated {
                path,
                expected,
                found,
            }
        } else {
            VerifyError::TooLong { path, expected }
        }
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

    /// Waits for the network until the transfer ends or the host stalls.
    async fn unless_ended<T>(
        &self,
        network: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, Failure> {
        let mut silent = 0;
        let mut has_stalled = false;
        let result = until_cancelled(network, || {
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
        Err(Failure::Transient(error, None))
    }

    fn is_ended(&self) -> bool {
        self.control.is_paused() || self.is_dropped.get()
    }

    async fn wait(
        &self,
        attempts: u32,
        retry_after: Option<f64>,
        error: &SourceError,
    ) -> Result<(), TransferError> {
        let random = js_sys::Math::random();
        let limit = LONGEST_RETRY_AFTER_SECONDS;
        let mut left = wait_milliseconds(attempts, random, retry_after, limit);
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
                (self.report)(Report::Retries(error.as_clause()));
            }
            let pause = left.clamp(1.0, f64::from(SILENCE_MILLISECONDS));
            TimeoutFuture::new(pause as u32).await;
            left -= pause;
        }
    }
}

/// A whole file in one body, for a host that doesn't send parts.
pub struct WholeFile {
    transfer: Rc<Transfer>,
    body: Body,
}

impl WholeFile {
    /// The next bytes; none at the end of the file.
    ///
    /// # Errors
    /// Everything that [`TransferError`] lists; a connection that breaks means starting over.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        let piece = self.transfer.unless_ended(self.body.next()).await;
        (self.transfer.report)(Report::Flows);
        match piece {
            Ok(piece) => Ok(piece),
            Err(Failure::Transient(error, _)) => Err(TransferError::StartOver(format!(
                "Since {}, and it doesn't send parts of a file, the file is loaded from its beginning.",
                error.as_clause()
            ))),
            Err(failure) => Err(final_error(failure)),
        }
    }
}

fn final_error(failure: Failure) -> TransferError {
    match failure {
        Failure::Permanent(error) => error,
        Failure::Transient(error, _) => TransferError::Source(error),
    }
}
