//! The progress of a job, and an estimate of the time left from the steps that were timed.

use std::collections::HashMap;

use web_time::{Duration, Instant};

/// The progress of the running job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JobProgress {
    /// Finished steps of all cells.
    pub done: u32,
    /// Steps of all cells.
    pub total: u32,
    /// An estimate of the time left; none until a step has been timed.
    pub seconds_left: Option<f64>,
}

/// The progress of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    /// Index of the row, from 0.
    pub row: u32,
    /// Passes of a model in a step: two where it is guided.
    pub passes: u32,
    /// Finished steps of the row's cells.
    pub done: u32,
    /// Steps of the row's cells that are left.
    pub left: u32,
}

/// Times the steps of a job, by row: a guided step of the base model takes two passes, so the rows
/// differ in how long a step takes.
pub struct StepClock {
    started: Instant,
    last_step: Option<Instant>,
    /// The next steps that are not timed.
    untimed: u32,
    /// By row, the sum and the number of the timed steps.
    timed: HashMap<u32, (Duration, u32)>,
}

impl StepClock {
    /// A clock that starts now, at the beginning of a job, of which the steps of `batch` cells come
    /// together.
    pub fn start(batch: u32) -> Self {
        StepClock {
            started: Instant::now(),
            last_step: None,
            untimed: batch,
            timed: HashMap::new(),
        }
    }

    /// Time since the beginning of the job.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A step is done. The first one is not timed, as it includes loading and compiling, nor those that
    /// come with it: nearly all of their time was before the first.
    pub fn step(&mut self, row: u32) {
        let now = Instant::now();
        let last = self.last_step.replace(now);
        if self.untimed > 0 {
            self.untimed -= 1;
        } else if let Some(last) = last {
            let (sum, number) = self.timed.entry(row).or_default();
            *sum += now.duration_since(last);
            *number += 1;
        }
    }

    /// The progress of a job with these counts. Where a row has no timed step, each of its passes is
    /// taken to be as long as the mean step of the other rows: the rows that are drawn first are hardly
    /// ever guided, so a step of theirs is one pass.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_of_the_first_batch_tells_how_long_the_others_take() {
        let counts = [StepCount {
            row: 0,
            passes: 1,
            done: 2,
            left: 6,
        }];
        let mut clock = StepClock::start(2);
        clock.step(0);
        clock.step(0);
        assert_eq!(clock.progress(&counts).seconds_left, None);
        clock.step(0);
        assert!(clock.progress(&counts).seconds_left.is_some());
    }
}
