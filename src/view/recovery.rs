//! What the page does when the graphics processor has failed: how much less the next worker may use of
//! it, and when it is enough. Pure; `page::workers::engine` carries it out.

use super::worker_link::in_brackets;
use crate::protocol::allowance::Allowance;

/// Failures with the least that the engine can use after which no further worker is started by itself.
const MOST_FAILURES: u32 = 2;

/// What the page does after a failure of the device. Each has the sentence for the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It starts another worker, which goes on.
    GoOn(String),
    /// It starts none before the visitor asks for it.
    GiveUp(String),
}

/// The failures of the device so far.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What the running worker uses; none before it has said so.
    used: Option<Allowance>,
    at_most: Option<Allowance>,
    /// Failures with [`Allowance::LEAST`] since the last job that got done.
    failures: u32,
}

impl Recovery {
    /// The most that the next worker may use of the device; none: what it finds right.
    pub fn at_most(&self) -> Option<Allowance> {
        self.at_most
    }

    /// The samples that go through a UNet together.
    pub fn batch(&self) -> u32 {
        self.used.map_or(1, |used| used.batch)
    }

    /// The worker has said what it uses.
    pub fn uses(&mut self, allowance: Allowance) {
        self.used = Some(allowance);
    }

    /// The device works: a job got done, or the visitor has asked to try again.
    pub fn is_well(&mut self) {
        self.failures = 0;
    }

    /// The device failed. `is_loading`: before anything was drawn, so that a smaller batch would fail
    /// as well.
    pub fn failed(&mut self, reason: &str, is_loading: bool) -> AfterFailure {
        let reason = in_brackets(reason);
        let used = self.used.take().unwrap_or(Allowance::LEAST);
        let smaller = used.smaller();
        let next = match smaller {
            Some(_) if is_loading => Allowance::LEAST,
            Some(smaller) => smaller,
            None => {
                self.failures += 1;
                if self.failures >= MOST_FAILURES {
                    return AfterFailure::GiveUp(format!(
                        "The graphics processor failed again{reason}, though the engine used as \
                         little of it as it can. Close what else uses it and try again, or add \
                         device=cpu to the address to do without it; finished images stay."
                    ));
                }
                Allowance::LEAST
            }
        };
        self.at_most = Some(next);
        let change = if next.batch < used.batch && next.batch == 1 {
            ", one image at a time"
        } else if next.batch < used.batch {
            ", with fewer images at a time"
        } else if next.largest_map < used.largest_map {
            ", decoding images in smaller parts"
        } else {
            ""
        };
        AfterFailure::GoOn(format!(
            "The graphics processor failed{reason}. The engine was started anew and goes on from the \
             last steps{change}."
        ))
    }
}

/// The reason in a panic's message where the graphics processor is to blame: wgpu reports an allocation
/// that was refused, and all that follows from it, in no other way.
pub fn device_failure(panic: &str) -> Option<&str> {
    let (_, rest) = panic.split_once("wgpu error: ")?;
    rest.lines().next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::allowance::LARGEST_MAP;

    fn allowance(batch: u32, largest_map: u32) -> Allowance {
        Allowance { batch, largest_map }
    }

    /// Lets a worker fail, which uses as much as it may of `planned`.
    fn fail(recovery: &mut Recovery, planned: Allowance, is_loading: bool) -> AfterFailure {
        let used = recovery
            .at_most()
            .map_or(planned, |most| planned.at_most(most));
        recovery.uses(used);
        recovery.failed("lost.", is_loading)
    }

    #[test]
    fn each_failure_makes_do_with_less_and_the_last_ones_end_it() {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.at_most(), None);
        let planned = allowance(4, LARGEST_MAP);
        let mut seen = Vec::new();
        let end = loop {
            match fail(&mut recovery, planned, false) {
                AfterFailure::GoOn(sentence) => {
                    let most = recovery.at_most().expect("a limit");
                    seen.push((most.batch, most.largest_map >> 20, sentence));
                }
                AfterFailure::GiveUp(sentence) => break sentence,
            }
            assert!(seen.len() < 10, "it has to end: {seen:?}");
        };
        let expected = [
            (2, 128, ", with fewer images at a time."),
            (1, 128, ", one image at a time."),
            (1, 64, ", decoding images in smaller parts."),
            (1, 32, ", decoding images in smaller parts."),
            (1, 32, "goes on from the last steps."),
        ];
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for (found, expected) in seen.iter().zip(expected) {
            assert_eq!((found.0, found.1), (expected.0, expected.1));
            assert!(found.2.ends_with(expected.2), "{}", found.2);
            assert!(
                found
                    .2
                    .starts_with("The graphics processor failed (lost). ")
            );
        }
        assert!(end.contains("device=cpu"), "{end}");
    }

    #[test]
    fn a_job_that_gets_done_is_a_new_beginning_with_what_worked() {
        let mut recovery = Recovery::default();
        let least = Allowance::LEAST;
        assert!(matches!(
            fail(&mut recovery, least, false),
            AfterFailure::GoOn(_)
        ));
        recovery.is_well();
        assert!(matches!(
            fail(&mut recovery, least, false),
            AfterFailure::GoOn(_)
        ));
        assert!(matches!(
            fail(&mut recovery, least, false),
            AfterFailure::GiveUp(_)
        ));
        assert_eq!(recovery.at_most(), Some(least));
    }

    #[test]
    fn weights_that_do_not_fit_are_not_loaded_for_every_size_of_a_batch() {
        let mut recovery = Recovery::default();
        let planned = allowance(8, LARGEST_MAP);
        assert!(matches!(
            fail(&mut recovery, planned, true),
            AfterFailure::GoOn(_)
        ));
        assert_eq!(recovery.at_most(), Some(Allowance::LEAST));
    }

    #[test]
    fn a_refused_buffer_is_no_mistake_of_the_program() {
        let panic =
            "panicked at src/compute/device_poison.rs:42:17:\nwgpu error: Out of Memory\n\nmore";
        assert_eq!(device_failure(panic), Some("Out of Memory"));
        assert_eq!(device_failure("index out of bounds"), None);
    }
}
