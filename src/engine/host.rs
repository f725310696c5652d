//! What surrounds the job loop, and what it is asked for beside its job.

use crate::protocol::engine::{JobEvent, StripView, TaskEvent, TaskId};
use crate::protocol::stats::Phase;
use crate::recipe::{CellAddress, Recipe};

/// The surroundings of the job loop: the worker, or a test.
pub trait Host {
    /// Sends an event of the job to the page.
    fn emit(&mut self, event: JobEvent);
    /// Sends an event of a task to the page.
    fn emit_task(&mut self, id: TaskId, event: TaskEvent);
    /// Whether the job has been cancelled.
    fn is_cancelled(&self) -> bool;
    /// Lets the worker receive messages, such as a cancellation.
    fn pause(&self) -> impl Future<Output = ()>;
    /// A clock that never goes back, in milliseconds.
    fn milliseconds(&self) -> f64;
    /// Takes the next strip to decode. The job loop decodes it between two steps, outside their time.
    fn take_strip(&mut self) -> Option<StripRequest>;
    /// Whether phases are measured. Each then ends only when the device is done with it.
    fn measures(&self) -> bool {
        false
    }
    /// Takes the time of a phase that has just ended.
    fn took(&mut self, _phase: Phase, _milliseconds: f64) {}
}

/// A strip to decode: [`Task::Strip`](crate::protocol::engine::Task::Strip).
#[derive(Clone, Debug, PartialEq)]
pub struct StripRequest {
    /// The task whose events the frames are.
    pub task: TaskId,
    /// The recipe of the cell's grid.
    pub recipe: Recipe,
    /// The place of the cell in the grid.
    pub cell: CellAddress,
    /// Which latent of each step is decoded.
    pub view: StripView,
    /// Steps to leave out at the beginning: those that the page has already.
    pub skip: u32,
    /// Whether the frames are sent, and not the distances alone.
    pub sends_frames: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every image is done.
    Done,
    /// The job was cancelled; finished images stay.
    Cancelled,
}
