//! The loads that a page has requested, and which of them go on when the loader's worker dies.

use std::collections::{BTreeMap, BTreeSet};

/// The number of workers that may die at the same point of a load; with the next one it is given up.
const MAXIMUM_DEATHS: u32 = 2;

/// The loads that have not ended, by the addresses of their pairs.
#[derive(Debug, Default)]
pub struct RequestedLoads {
    loads: BTreeMap<String, RequestedLoad>,
    /// Those that the page has paused while the loader hasn't said that they are.
    pausing: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct RequestedLoad {
    accepts_licences: bool,
    /// The most bytes that the load has reported.
    received: u64,
    /// Workers that have died since `received` last grew.
    deaths: u32,
}

/// What the page does with a load when its worker has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeath {
    /// It requests the load from the next worker.
    GoesOn {
        /// Whether the visitor has accepted the pair's licences.
        accepts_licences: bool,
    },
    /// It gives the load up: the next worker would die at the same point.
    GivenUp {
        /// Workers that have died at that point.
        deaths: u32,
    },
}

impl RequestedLoads {
    /// The visitor requests a load, perhaps again; its deaths are forgotten.
    pub fn request(&mut self, address: &str, accepts_licences: bool) {
        let load = self.loads.entry(address.to_owned()).or_default();
        load.accepts_licences |= accepts_licences;
        load.deaths = 0;
    }

    /// A load has ended.
    pub fn end(&mut self, address: &str) {
        self.loads.remove(address);
        self.pausing.remove(address);
    }

    /// The page pauses a load.
    pub fn pause(&mut self, address: &str) {
        self.loads.remove(address);
        self.pausing.insert(address.to_owned());
    }

    /// The loader says that a load was paused. Returns whether it rests: where the page has paused it and
    /// requested it again since, this is the answer to the pause, and the load goes on.
    pub fn paused(&mut self, address: &str) -> bool {
        let rests = !(self.pausing.remove(address) && self.contains(address));
        if rests {
            self.end(address);
        }
        rests
    }

    /// Forgets all loads.
    pub fn clear(&mut self) {
        self.loads.clear();
        self.pausing.clear();
    }

    /// Whether a load was requested and has not ended.
    pub fn contains(&self, address: &str) -> bool {
        self.loads.contains_key(address)
    }

    /// Whether every requested load has ended.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    /// A load has reported the bytes that are there.
    pub fn progress(&mut self, address: &str, received: u64) {
        if let Some(load) = self.loads.get_mut(address)
            && received > load.received
        {
            load.received = received;
            load.deaths = 0;
        }
    }

    /// The worker died. Returns every load's address with what the page does; loads that it gives up are
    /// forgotten.
    pub fn worker_died(&mut self) -> Vec<(String, AfterDeath)> {
        let mut outcomes = Vec::new();
        self.loads.retain(|address, load| {
            load.deaths += 1;
            let goes_on = load.deaths <= MAXIMUM_DEATHS;
            let outcome = if goes_on {
                AfterDeath::GoesOn {
                    accepts_licences: load.accepts_licences,
                }
            } else {
                AfterDeath::GivenUp {
                    deaths: load.deaths,
                }
            };
            outcomes.push((address.clone(), outcome));
            goes_on
        });
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_is_requested_again_before_its_pause_is_answered_goes_on() {
        let mut loads = RequestedLoads::default();
        loads.request("a", true);
        loads.pause("a");
        loads.request("a", true);
        assert!(!loads.paused("a"), "the answer to the pause before it");
        assert!(loads.contains("a"));
        assert!(loads.paused("a"), "another tab has paused it");
        assert!(!loads.contains("a"));

        loads.request("b", false);
        loads.pause("b");
        assert!(loads.paused("b"));
    }

    const GOES_ON: AfterDeath = AfterDeath::GoesOn {
        accepts_licences: false,
    };

    fn outcomes(loads: &mut RequestedLoads) -> Vec<AfterDeath> {
        let outcomes = loads.worker_died();
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    #[test]
    fn a_load_that_kills_workers_in_the_same_place_is_given_up() {
        let mut loads = RequestedLoads::default();
        loads.request("a", false);
        loads.progress("a", 10);
        assert_eq!(outcomes(&mut loads), [GOES_ON]);
        // It only came as far as before.
        loads.progress("a", 10);
        assert_eq!(outcomes(&mut loads), [GOES_ON]);
        assert_eq!(outcomes(&mut loads), [AfterDeath::GivenUp { deaths: 3 }]);
        assert!(loads.is_empty());
    }

    #[test]
    fn a_load_that_comes_further_each_time_goes_on() {
        let mut loads = RequestedLoads::default();
        loads.request("a", false);
        for received in 1..10 {
            loads.progress("a", received);
            assert_eq!(outcomes(&mut loads), [GOES_ON]);
        }
    }

    #[test]
    fn a_load_that_is_asked_for_again_has_new_tries_and_keeps_its_licences() {
        let mut loads = RequestedLoads::default();
        loads.request("a", true);
        loads.worker_died();
        loads.worker_died();
        loads.request("a", false);
        let accepted = AfterDeath::GoesOn {
            accepts_licences: true,
        };
        assert_eq!(loads.worker_died(), [("a".to_owned(), accepted)]);
    }

    #[test]
    fn what_has_ended_does_not_go_on() {
        let mut loads = RequestedLoads::default();
        loads.request("a", false);
        loads.request("b", false);
        loads.end("a");
        assert!(!loads.contains("a"));
        assert_eq!(loads.worker_died(), [("b".to_owned(), GOES_ON)]);
    }
}
