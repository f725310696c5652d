//! The page's state of a worker, and the page's next action: pure, so that every change of state has a
//! native test. `page::workers::link` carries the actions out.

use std::mem;

/// What the page does with a request.
#[derive(Debug, PartialEq)]
pub enum Sending<Request> {
    /// It posts the request to the worker.
    Post(Request),
    /// The worker's module is being loaded: the request waits until the worker is ready.
    Deferred,
    /// There is no worker: the request waits, and the page has to start one.
    StartWorker,
}

/// What the page does when a worker has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The worker died before it had shown that it works, so the next one would die, too.
    GiveUp,
    /// The page starts another worker.
    Restart,
}

/// The page and the worker have different versions of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongVersion;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no worker.
    Stopped,
    /// The worker's module loads; messages that are posted now would be lost.
    Starting,
    /// The worker receives messages.
    Ready,
}

/// The state of one worker and its successors.
#[derive(Debug)]
pub struct WorkerLinkState<Request> {
    /// The page's version of the messages.
    version: u32,
    state: State,
    /// Whether the worker has shown that it works, so that a successor is worth starting.
    is_proven: bool,
    /// Requests that wait until the worker is ready, in their order.
    deferred: Vec<Request>,
}

impl<Request> WorkerLinkState<Request> {
    /// The state without a worker. `version` is the page's version of the messages.
    pub fn new(version: u32) -> Self {
        WorkerLinkState {
            version,
            state: State::Stopped,
            is_proven: false,
            deferred: Vec::new(),
        }
    }

    /// Whether there is a worker, even one that still loads.
    pub fn has_worker(&self) -> bool {
        self.state != State::Stopped
    }

    /// Whether the worker receives messages.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// A worker was started.
    pub fn started(&mut self) {
        self.state = State::Starting;
        self.is_proven = false;
    }

    /// The worker's module runs. Returns the deferred requests, which are to be posted now.
    ///
    /// # Errors
    /// The worker has another version of the messages.
    pub fn ready(&mut self, version: u32) -> Result<Vec<Request>, WrongVersion> {
        if version != self.version {
            return Err(WrongVersion);
        }
        self.state = State::Ready;
        Ok(mem::take(&mut self.deferred))
    }

    /// The worker has shown that it works: if it dies, another one is started.
    pub fn prove(&mut self) {
        self.is_proven = true;
    }

    /// Decides what the page does with a request, and defers it where the worker isn't ready.
    pub fn send(&mut self, request: Request) -> Sending<Request> {
        match self.state {
            State::Ready => Sending::Post(request),
            State::Starting => {
                self.deferred.push(request);
                Sending::Deferred
            }
            State::Stopped => {
                self.deferred.push(request);
                Sending::StartWorker
            }
        }
    }

    /// The worker is gone. Its deferred requests are dropped, as those are lost that it was sent.
    pub fn stopped(&mut self) {
        self.state = State::Stopped;
        self.deferred.clear();
    }

    /// The worker died by itself.
    pub fn died(&mut self) -> Death {
        let was_proven = self.is_proven;
        self.stopped();
        if was_proven {
            Death::Restart
        } else {
            Death::GiveUp
        }
    }
}

/// The watchdog's verdict about a worker after an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The worker has been heard lately, or has nothing to send.
    Harmless,
    /// The worker has been silent: the page sends it a request that it has to answer.
    Ping,
    /// The worker hasn't answered that request, and counts as dead.
    Dead,
}

/// Notices a worker that the browser has ended: no event tells the page of that.
#[derive(Debug, Default)]
pub struct Watchdog {
    /// Silent intervals since the worker was last heard.
    silences: u32,
}

impl Watchdog {
    /// The worker was heard, or a new one was started.
    pub fn heard(&mut self) {
        self.silences = 0;
    }

    /// An interval has passed. It counts as silent only where events were expected.
    pub fn interval_passed(&mut self, is_expected: bool) -> Silence {
        if is_expected {
            self.silences += 1;
        }
        match self.silences {
            0 | 1 => Silence::Harmless,
            2 => Silence::Ping,
            _ => Silence::Dead,
        }
    }
}

/// The reason for a worker's death as a part of a sentence: in brackets behind a blank, or nothing where
/// the reason is unknown.
pub fn in_brackets(reason: &str) -> String {
    let reason = reason.trim().trim_end_matches('.');
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u32 = 3;

    fn ready() -> WorkerLinkState<&'static str> {
        let mut link = WorkerLinkState::new(VERSION);
        link.started();
        assert_eq!(link.ready(VERSION), Ok(Vec::new()));
        link
    }

    #[test]
    fn requests_wait_until_the_worker_hears() {
        let mut link = WorkerLinkState::new(VERSION);
        assert!(!link.has_worker());
        assert_eq!(link.send("a"), Sending::StartWorker);
        link.started();
        assert!(link.has_worker() && !link.is_ready());
        assert_eq!(link.send("b"), Sending::Deferred);
        assert_eq!(link.ready(VERSION), Ok(vec!["a", "b"]));
        assert_eq!(link.send("c"), Sending::Post("c"));
        // A second worker doesn't get the first one's requests.
        link.stopped();
        link.started();
        assert_eq!(link.ready(VERSION), Ok(Vec::new()));
    }

    #[test]
    fn a_worker_of_another_version_is_told_nothing() {
        let mut link = WorkerLinkState::new(VERSION);
        assert_eq!(link.send("a"), Sending::StartWorker);
        link.started();
        assert_eq!(link.ready(VERSION + 1), Err(WrongVersion));
        assert_eq!(link.send("b"), Sending::Deferred);
    }

    #[test]
    fn only_a_worker_that_was_of_use_is_replaced() {
        let mut link = ready();
        assert_eq!(link.died(), Death::GiveUp);
        let mut link = ready();
        link.prove();
        assert_eq!(link.died(), Death::Restart);
        assert!(!link.has_worker());
        // The next one has to prove itself, too.
        link.started();
        assert_eq!(link.died(), Death::GiveUp);
    }

    #[test]
    fn what_a_dead_worker_was_not_told_is_gone() {
        let mut link = WorkerLinkState::new(VERSION);
        link.send("a");
        link.started();
        link.died();
        link.started();
        assert_eq!(link.ready(VERSION), Ok(Vec::new()));
    }

    #[test]
    fn a_silent_worker_is_asked_before_it_is_given_up() {
        let mut watchdog = Watchdog::default();
        for _ in 0..5 {
            assert_eq!(watchdog.interval_passed(false), Silence::Harmless);
        }
        assert_eq!(watchdog.interval_passed(true), Silence::Harmless);
        assert_eq!(watchdog.interval_passed(true), Silence::Ping);
        assert_eq!(watchdog.interval_passed(true), Silence::Dead);
        watchdog.heard();
        assert_eq!(watchdog.interval_passed(true), Silence::Harmless);
    }

    #[test]
    fn a_reason_stands_in_brackets_if_there_is_one() {
        assert_eq!(in_brackets(" out of memory. "), " (out of memory)");
        assert_eq!(in_brackets(" . "), "");
    }
}
