//! The speed of a load over its last five seconds.

use std::collections::VecDeque;

/// The time over which the speed is averaged, in milliseconds.
const WINDOW: f64 = 5_000.0;

/// A moving average of the bytes that arrive per second.
#[derive(Debug, Default)]
pub struct Speed {
    /// Pairs of a time in milliseconds and the bytes that had arrived by then, the oldest first.
    samples: VecDeque<(f64, u64)>,
}

impl Speed {
    /// Adds the sample of `received` bytes at `now` (in milliseconds), and returns the bytes per second.
    /// A count that is smaller than the last one, as of a file that starts over, begins a new average.
    pub fn at(&mut self, now: f64, received: u64) -> f64 {
        if self
            .samples
            .back()
            .is_some_and(|(_, last)| received < *last)
        {
            self.samples.clear();
        }
        self.samples.push_back((now, received));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|it| now - it.0 > WINDOW) {
            self.samples.pop_front();
        }
        match self.samples.front() {
            Some((then, before)) if now > *then => {
                (received - before) as f64 / (now - then) * 1000.0
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_of_the_last_seconds() {
        let mut speed = Speed::default();
        assert_eq!(speed.at(0.0, 0), 0.0);
        assert_eq!(speed.at(1_000.0, 2_000), 2_000.0);
        // A stall counts, and old samples don't.
        for second in 2..20 {
            speed.at(f64::from(second) * 1000.0, 2_000);
        }
        assert_eq!(speed.at(20_000.0, 2_000), 0.0);
        assert_eq!(speed.at(21_000.0, 0), 0.0);
        assert_eq!(speed.at(22_000.0, 500), 500.0);
    }
}
