//! Notices an engine that has died or hangs without a word: no event tells the page of that. Pure;
//! `page::workers::watch` lets a second pass and carries out what follows.
//!
//! What counts is how long the engine has been silent while it owes an event. A step of a large picture on
//! a slow device may take minutes, and one of the emoji pair a hundredth of a second: so the bound on a
//! step follows the longest that this engine has taken. Seconds are counted as they pass on the page, so
//! that a computer that has slept counts none.

use super::jobs::Activity;
use super::units;

/// The module and the pair's manifest may come over a slow network.
const START: u32 = 180;
/// An engine without a job answers at once.
const ANSWER: u32 = 60;
/// Between two jobs: a large file takes its time to be encoded.
const TASK: u32 = 300;
/// Bytes that are read are reported five times a second.
const READING: u32 = 60;
/// Drivers take minutes to compile the shaders of a large pair, and nothing is heard meanwhile.
const COMPILING: u32 = 900;
/// The first step compiles what no earlier one has.
const FIRST_STEP: u32 = 600;
/// The least bound on a further step: a row may be the first to need some shader.
const STEP: u32 = 180;
/// How many times its longest step the engine may take for one.
const STEPS: u32 = 10;
/// The least bound on the end of a cancelled job; it ends after the step that runs.
const CANCEL: u32 = 30;
/// How many of its longest steps the engine may take to end a cancelled job.
const STEPS_TO_CANCEL: u32 = 3;
/// The bound on the end of a job that was cancelled before its first step.
const CANCEL_BEFORE_STEP: u32 = 90;
/// Hangs without a step between them after which no further worker is started by itself.
const MOST_HANGS: u32 = 2;

/// What the page does about an engine that is silent for too long. Each has the sentence for the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterHang {
    /// It starts another worker, which goes on with the work.
    GoOn(String),
    /// It starts another worker, which draws nothing: the visitor has cancelled the job.
    Cancel(String),
    /// It starts none before the visitor asks for it.
    GiveUp(String),
}

/// How long the engine has been silent.
#[derive(Debug, Default)]
pub struct EngineWatch {
    /// Seconds since the engine was last heard, while it owed an event.
    silent: u32,
    /// Seconds of the longest step so far; none before the second step.
    longest_step: Option<u32>,
    /// Whether the running job has taken a step.
    has_stepped: bool,
    /// Hangs since the last step.
    hangs: u32,
}

impl EngineWatch {
    /// The engine was heard, or has been asked for something else.
    pub fn heard(&mut self) {
        self.silent = 0;
    }

    /// A job begins.
    pub fn job_begins(&mut self) {
        self.heard();
        self.has_stepped = false;
    }

    /// The engine has taken a step.
    pub fn step(&mut self) {
        if self.has_stepped {
            // What is left of a second counts as one.
            let took = self.silent + 1;
            self.longest_step = Some(self.longest_step.map_or(took, |longest| longest.max(took)));
        }
        self.has_stepped = true;
        self.hangs = 0;
        self.heard();
    }

    /// Another worker takes the place of this one.
    pub fn replaced(&mut self) {
        self.heard();
        self.has_stepped = false;
        self.longest_step = None;
    }

    /// A second has passed. `activity` is what the engine does, `runs` whether a job has begun, and
    /// `owes_answers` whether tasks wait for theirs. Returns what to do about an engine that has been
    /// silent for too long.
    pub fn second_passed(
        &mut self,
        activity: &Activity,
        runs: bool,
        owes_answers: bool,
    ) -> Option<AfterHang> {
        let Some(bound) = self.bound(activity, runs, owes_answers) else {
            self.heard();
            return None;
        };
        self.silent += 1;
        if self.silent < bound {
            return None;
        }
        let silence = units::duration(f64::from(self.silent));
        self.replaced();
        if *activity == Activity::Cancelling {
            return Some(AfterHang::Cancel(
                "The engine didn't answer Cancel, so it was ended and started anew. Finished images stay; \
                 go on with the others or draw something else."
                    .to_owned(),
            ));
        }
        self.hangs += 1;
        if matches!(activity, Activity::Starting { .. }) {
            return Some(AfterHang::GiveUp(format!(
                "The engine has not started within {silence}. Check the connection and try again, or \
                 reload the page."
            )));
        }
        if self.hangs >= MOST_HANGS {
            return Some(AfterHang::GiveUp(format!(
                "The engine fell silent again, for {silence}, before it had taken a step. Finished images \
                 stay. Try again, choose a smaller size, or add device=cpu to the address to do without the \
                 graphics processor."
            )));
        }
        Some(AfterHang::GoOn(format!(
            "The engine was not heard for {silence}, so it was ended and started anew; it goes on from the \
             last steps."
        )))
    }

    /// The seconds after which silence is a hang; none where the engine owes nothing.
    fn bound(&self, activity: &Activity, runs: bool, owes_answers: bool) -> Option<u32> {
        let steps = |number: u32| self.longest_step.map(|step| step.saturating_mul(number));
        let step = if self.has_stepped {
            steps(STEPS).unwrap_or(0).max(STEP)
        } else {
            steps(STEPS).unwrap_or(0).max(FIRST_STEP)
        };
        match activity {
            Activity::Starting { .. } => Some(START),
            Activity::Waiting if runs => Some(step),
            Activity::Waiting => Some(ANSWER),
            Activity::Loading { .. } => Some(READING),
            Activity::Preparing { .. } => Some(COMPILING),
            Activity::Drawing => Some(step),
            Activity::Cancelling => Some(match steps(STEPS_TO_CANCEL) {
                Some(bound) => bound.max(CANCEL),
                None if self.has_stepped => CANCEL,
                None => CANCEL_BEFORE_STEP,
            }),
            Activity::Idle | Activity::Done { .. } | Activity::Cancelled | Activity::Failed => {
                owes_answers.then_some(TASK)
            }
            // The loader has a watch of its own.
            Activity::Stopped | Activity::Fetching(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until something follows from the silence, of at most an hour.
    fn seconds(
        watch: &mut EngineWatch,
        activity: &Activity,
        runs: bool,
    ) -> Option<(u32, AfterHang)> {
        (1..=3600).find_map(|second| {
            let after = watch.second_passed(activity, runs, false)?;
            Some((second, after))
        })
    }

    #[test]
    fn a_step_may_take_ten_times_the_longest_before_it() {
        let mut watch = EngineWatch::default();
        watch.job_begins();
        watch.step();
        for _ in 0..19 {
            assert_eq!(watch.second_passed(&Activity::Drawing, true, false), None);
        }
        watch.step();
        let (second, after) = seconds(&mut watch, &Activity::Drawing, true).expect("a hang");
        assert_eq!(second, 200);
        assert!(matches!(after, AfterHang::GoOn(sentence) if sentence.contains("3 min")));
        // The next worker has to show how fast it is.
        watch.job_begins();
        watch.step();
        let (second, after) = seconds(&mut watch, &Activity::Drawing, true).expect("a hang");
        assert_eq!(second, STEP);
        assert!(matches!(after, AfterHang::GoOn(_)), "it had taken a step");
    }

    #[test]
    fn an_engine_that_hangs_twice_at_one_place_is_given_up() {
        let mut watch = EngineWatch::default();
        watch.job_begins();
        assert!(matches!(
            seconds(&mut watch, &Activity::Preparing { done: 0, total: 0 }, true),
            Some((COMPILING, AfterHang::GoOn(_)))
        ));
        watch.job_begins();
        assert!(matches!(
            seconds(&mut watch, &Activity::Waiting, true),
            Some((FIRST_STEP, AfterHang::GiveUp(_)))
        ));
        let starting = Activity::Starting { draws_next: true };
        assert!(matches!(
            seconds(&mut EngineWatch::default(), &starting, false),
            Some((START, AfterHang::GiveUp(_)))
        ));
    }

    #[test]
    fn a_job_that_is_cancelled_ends_soon() {
        let mut watch = EngineWatch::default();
        watch.job_begins();
        watch.step();
        watch.step();
        let (second, after) = seconds(&mut watch, &Activity::Cancelling, true).expect("an end");
        assert_eq!(second, CANCEL);
        assert!(matches!(after, AfterHang::Cancel(_)));
    }

    #[test]
    fn an_engine_that_owes_nothing_may_be_silent() {
        let mut watch = EngineWatch::default();
        for activity in [Activity::Idle, Activity::Failed, Activity::Stopped] {
            assert_eq!(seconds(&mut watch, &activity, false), None, "{activity:?}");
        }
        let after = (1..).find(|_| watch.second_passed(&Activity::Idle, false, true).is_some());
        assert_eq!(after, Some(TASK));
    }
}
