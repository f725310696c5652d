//! What the page knows of a worker, and what it does next with it: pure, so that every change of
//! state has a native test. `page::workers::link` carries it out.

use std::mem;

/// What is to be done with a request.
#[derive(Debug, PartialEq)]
pub enum Sending<Request> {
    /// Post it.
    Post(Request),
    /// The worker's module is being loaded: the request is kept until it hears messages.
    Kept,
    /// There is no worker: the request is kept, and a worker is to be started.
    StartWorker,
}

/// What is to be done when a worker has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It never came so far as to be of use: the next one would only die again.
    GiveUp,
    /// Another one is to be started.
    Restart,
}

/// The page and the worker are of different versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongVersion;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no worker.
    Stopped,
    /// Messages that were posted now would be lost while the worker's module loads.
    Starting,
    /// It takes messages.
    Hearing,
}

/// The state of one worker and its successors.
#[derive(Debug)]
pub struct WorkerLinkState<Request> {
    /// The version of the messages that the page speaks.
    version: u32,
    state: State,
    /// Whether the worker has come so far that a successor is worth starting.
    is_proven: bool,
    /// Requests that wait until the worker hears messages.
    kept: Vec<Request>,
}

impl<Request> WorkerLinkState<Request> {
    /// No worker yet. `version` is that of the messages.
    pub fn new(version: u32) -> Self {
        WorkerLinkState {
            version,
            state: State::Stopped,
            is_proven: false,
            kept: Vec::new(),
        }
    }

    /// Whether there is a worker, be it one that still loads.
    pub fn has_worker(&self) -> bool {
        self.state != State::Stopped
    }

    /// Whether the worker takes messages.
    pub fn hears(&self) -> bool {
        self.state == State::Hearing
    }

    /// A worker was started.
    pub fn started(&mut self) {
        self.state = State::Starting;
        self.is_proven = false;
    }

    /// The worker's module runs: the requests that were kept for it.
    ///
    /// # Errors
    /// It speaks another version of the messages.
    pub fn ready(&mut self, version: u32) -> Result<Vec<Request>, WrongVersion> {
        if version != self.version {
            return Err(WrongVersion);
        }
        self.state = State::Hearing;
        Ok(mem::take(&mut self.kept))
    }

    /// The worker has shown that it works: should it die, another one is started.
    pub fn prove(&mut self) {
        self.is_proven = true;
    }

    /// A request for the worker.
    pub fn send(&mut self, request: Request) -> Sending<Request> {
        match self.state {
            State::Hearing => Sending::Post(request),
            State::Starting => {
                self.kept.push(request);
                Sending::Kept
            }
            State::Stopped => {
                self.kept.push(request);
                Sending::StartWorker
            }
        }
    }

    /// The worker is gone, with everything that it was sent and that was kept for it.
    pub fn stopped(&mut self) {
        self.state = State::Stopped;
        self.kept.clear();
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

/// What is to be done when a watch finds that nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The worker may just have been heard, or have nothing to say.
    Natural,
    /// It is asked for a sign of life.
    Ask,
    /// It was asked and has not answered: it is taken for dead.
    Dead,
}

/// Notices a worker that was ended from outside, of which no event tells.
#[derive(Debug, Default)]
pub struct Watch {
    /// Times that nothing was heard, on end.
    silences: u32,
}

impl Watch {
    /// The worker was heard, or a new one was started.
    pub fn heard(&mut self) {
        self.silences = 0;
    }

    /// Some time has passed. A worker of which nothing is expected may be silent.
    pub fn passed(&mut self, is_expected: bool) -> Silence {
        if is_expected {
            self.silences += 1;
        }
        match self.silences {
            0 | 1 => Silence::Natural,
            2 => Silence::Ask,
            _ => Silence::Dead,
        }
    }
}

/// Why a worker died, for the middle of a sentence: with a blank before it and in brackets, or
/// nothing where nobody knows.
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

    fn hearing() -> WorkerLinkState<&'static str> {
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
        assert!(link.has_worker() && !link.hears());
        assert_eq!(link.send("b"), Sending::Kept);
        assert_eq!(link.ready(VERSION), Ok(vec!["a", "b"]));
        assert_eq!(link.send("c"), Sending::Post("c"));
        // They are not posted to a second worker again.
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
        assert_eq!(link.send("b"), Sending::Kept);
    }

    #[test]
    fn only_a_worker_that_was_of_use_is_replaced() {
        let mut link = hearing();
        assert_eq!(link.died(), Death::GiveUp);
        let mut link = hearing();
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
        let mut watch = Watch::default();
        for _ in 0..5 {
            assert_eq!(watch.passed(false), Silence::Natural);
        }
        assert_eq!(watch.passed(true), Silence::Natural);
        assert_eq!(watch.passed(true), Silence::Ask);
        assert_eq!(watch.passed(true), Silence::Dead);
        watch.heard();
        assert_eq!(watch.passed(true), Silence::Natural);
    }

    #[test]
    fn a_reason_stands_in_brackets_if_there_is_one() {
        assert_eq!(in_brackets(" out of memory. "), " (out of memory)");
        assert_eq!(in_brackets(" . "), "");
    }
}
