//! How long the rest of a job takes, from the steps that were timed.

use std::collections::HashMap;

use web_time::{Duration, Instant};

/// How far the running job is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JobProgress {
    /// Steps that are done.
    pub done: u32,
    /// Steps in all.
    pub total: u32,
    /// Seconds that are left; none until a step has been timed.
    pub seconds_left: Option<f64>,
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    /// Index of the row.
    pub row: u32,
    /// Passes of a model in a step: two where it is guided.
    pub passes: u32,
    /// Steps that are done.
    pub done: u32,
    /// Steps that are left.
    pub left: u32,
}

/// Times the steps of a job, by row: a guided step of the base model takes two passes, so the rows
/// differ in how long a step takes.
pub struct StepClock {
    started: Instant,
    last_step: Option<Instant>,
    /// Sum and number of the timed steps.
    timed: HashMap<u32, (Duration, u32)>,
}

impl StepClock {
    /// Starts at the beginning of a job.
    pub fn start() -> Self {
        StepClock {
            started: Instant::now(),
            last_step: None,
            timed: HashMap::new(),
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A step is done. The first is not timed: it includes loading and compiling.
    pub fn step(&mut self, row: u32) {
        let now = Instant::now();
        if let Some(last) = self.last_step.replace(now) {
            let (sum, number) = self.timed.entry(row).or_default();
            *sum += now.duration_since(last);
            *number += 1;
        }
    }

    /// The progress of a job with these counts. A pass of a row without a timed step of its own is
    /// taken to be as fast as a step of the others is on the average: those that are drawn first are
    /// hardly ever guided.
    pub fn progress(&self, counts: &[StepCount]) -> JobProgress {
        let mean = |(sum, number): (Duration, u32)| {
            (number > 0).then(|| sum.as_secs_f64() / f64::from(number))
        };
        let all = self.timed.values().fold((Duration::ZERO, 0), |all, timed| {
            (all.0 + timed.0, all.1 + timed.1)
        });
        let seconds_left = mean(all).map(|overall| {
            counts
                .iter()
                .map(|count| {
                    let own = self.timed.get(&count.row).copied().and_then(mean);
                    own.unwrap_or(overall * f64::from(count.passes)) * f64::from(count.left)
                })
                .sum()
        });
        let done = counts.iter().map(|count| count.done).sum();
        JobProgress {
            done,
            total: done + counts.iter().map(|count| count.left).sum::<u32>(),
            seconds_left,
        }
    }
}
