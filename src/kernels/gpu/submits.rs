//! How much work a graphics card is given at once.
//!
//! A submit is not interrupted: while it runs, nothing else is drawn on the screen, and where it takes
//! seconds, a watchdog of the browser or of the system resets the card. So the launches that wait are
//! submitted when their estimated work comes to a tenth of a second. One launch that is longer by itself is
//! a submit of its own.

use std::sync::{Mutex, PoisonError};

use cubecl::client::Client;

/// Launches that are submitted together at most. What comes first waits for the last of them, so that a
/// card has nothing to do meanwhile: that is a millisecond or two.
pub const TASKS: usize = 128;

/// Seconds that a submit should take at most.
const LONGEST: f64 = 0.1;

/// Least and most floating-point operations of a submit, whatever was measured.
const BOUNDS: [f64; 2] = [0.25e9, 2e12];

/// The work of a kernel that reads and writes a value and computes little: the floating-point operations of
/// a matrix product that take as long. An integrated card moves 50 GB in a second in which it computes 1 T.
const MOVED_VALUE: f64 = 100.0;

/// The work that waits to be submitted.
struct Pending {
    work: f64,
    most: f64,
}

impl Pending {
    /// Adds a launch; says whether what was there has to be submitted before it.
    fn add(&mut self, work: f64) -> bool {
        let is_full = self.work > 0.0 && self.work + work > self.most;
        self.work = if is_full { work } else { self.work + work };
        is_full
    }
}

/// Until something is known of the adapter, what a slow card does in [`LONGEST`].
static PENDING: Mutex<Pending> = Mutex::new(Pending {
    work: 0.0,
    most: 10e9,
});

/// Says how many floating-point operations a second the adapter reaches.
pub fn set_speed(speed: f64) {
    let [least, most] = BOUNDS;
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    // `max` also makes a number of what is none.
    pending.most = (speed * LONGEST).max(least).min(most);
}

/// Called before a launch of so many floating-point operations.
pub fn before(client: &Client, work: f64) {
    let mut pending = PENDING.lock().unwrap_or_else(PoisonError::into_inner);
    if pending.add(work) {
        // A device that has failed says so when a result is read.
        let _ = client.flush();
    }
}

/// Called before the launches of a kernel that reads and writes so many values.
pub fn before_moving(client: &Client, values: usize) {
    before(client, MOVED_VALUE * values as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_submitted_before_it_is_too_much() {
        let mut pending = Pending {
            work: 0.0,
            most: 10.0,
        };
        assert!(!pending.add(4.0) && !pending.add(6.0));
        assert!(pending.add(1.0), "what waits comes to the most");
        assert!(!pending.add(9.0));
        assert!(pending.add(50.0), "a long launch is not added to others");
        assert!(pending.add(1.0), "and none is added to it");
    }

    #[test]
    fn a_long_launch_alone_submits_nothing_before_it() {
        let mut pending = Pending {
            work: 0.0,
            most: 10.0,
        };
        assert!(!pending.add(50.0));
    }
}
