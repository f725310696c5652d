//! The jobs of the page: which one runs, which ones wait, and which ones a dead worker left undone.
//! Pure, so that every change of state has a native test; `page::workers::engine` posts the requests
//! and shows the [`Activity`].

use std::collections::VecDeque;
use std::mem;

use crate::protocol::engine::{Extent, JobId, LoadingFrom, Request, Snapshot};
use crate::protocol::loader::LoadProgress;
use crate::recipe::Recipe;

/// What the engine is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// There is no worker.
    Stopped,
    /// The worker loads, chooses its device and reads the pair's manifest.
    Starting {
        /// Whether drawing begins by itself afterwards.
        draws_next: bool,
    },
    /// The engine has no job.
    Idle,
    /// The next job has been sent and has not begun.
    Waiting,
    /// The loader fetches weights that the store lacks.
    Fetching(LoadProgress),
    /// The engine reads the weights, or loads those that can't be stored.
    Loading {
        /// Bytes so far.
        received: u64,
        /// Bytes of all weights to load.
        total: u64,
        /// The network, or this browser's store.
        from: LoadingFrom,
    },
    /// The browser compiles programs for the graphics card.
    Preparing {
        /// Programs that are compiled.
        done: u32,
        /// All that the job needs; 0 while that is not known.
        total: u32,
    },
    /// Steps are being taken.
    Drawing,
    /// The running job ends after its current step.
    Cancelling,
    /// The last job is finished.
    Done {
        /// Finished images of the job's grid.
        images: usize,
        /// Time from the job's start to its end.
        seconds: f64,
    },
    /// The last job was cancelled.
    Cancelled,
    /// The last job failed.
    Failed,
}

/// A job as it was ordered. `Grid` is the page's grid of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Order<Grid> {
    /// The job's number; 0 before it has one.
    pub id: JobId,
    /// The recipe of the grid.
    pub recipe: Recipe,
    /// The part of the grid that the job draws.
    pub extent: Extent,
    /// The grid that the job goes on with; none: a new one.
    pub grid: Option<Grid>,
    /// Where that grid's cells have got to.
    pub snapshots: Vec<Snapshot>,
}

/// What the page does after an order.
#[derive(Debug, PartialEq)]
pub enum Ordered {
    /// It posts the request.
    Post(Request),
    /// Nothing: [`Jobs::takes_jobs`] or [`Jobs::fetched`] returns the request later.
    PostLater,
    /// It starts a worker, as there is none.
    StartWorker,
}

/// What the page does to cancel a job.
#[derive(Debug, PartialEq)]
pub enum Cancelling {
    /// It posts the request; the engine's answer ends the job.
    Post(Request),
    /// Nothing: the engine hadn't got the job yet, and it has ended.
    Ended,
    /// It stops the loading of weights, for which no job waits any more.
    StopFetching,
    /// Nothing: there was no job to cancel.
    Nothing,
}

/// What the page does where the engine lacks weights for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingWeights {
    /// It has the loader fetch them.
    Fetch,
    /// Nothing: they are being fetched, or the job was cancelled.
    NothingToDo,
    /// It fails the job. Weights were fetched for this very job, and now others are missing; fetching
    /// again could go on for ever.
    GiveUp,
}

/// Whether the engine takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// There is no worker.
    Stopped,
    /// The worker starts, or reads a pair's manifest.
    Starting,
    TakesJobs,
    /// The engine takes no jobs before the pair's weights are in the store.
    LacksWeights,
}

/// All jobs that have not ended.
#[derive(Debug)]
pub struct Jobs<Grid> {
    engine: Engine,
    /// The number of the next job.
    next: JobId,
    running: Option<JobId>,
    /// Jobs that have not begun, the next one first.
    waiting: VecDeque<Order<Grid>>,
    /// The jobs, or the rest of them, that a dead worker or a failure left undone.
    undone: Vec<Order<Grid>>,
    /// The last job for which weights were fetched.
    fetched_for: JobId,
    activity: Activity,
}

impl<Grid> Default for Jobs<Grid> {
    fn default() -> Self {
        Jobs {
            engine: Engine::Stopped,
            next: 1,
            running: None,
            waiting: VecDeque::new(),
            undone: Vec::new(),
            fetched_for: 0,
            activity: Activity::Stopped,
        }
    }
}

impl<Grid> Jobs<Grid> {
    /// What the status line shows.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// The running job's number; none where no job has begun.
    pub fn running(&self) -> Option<JobId> {
        self.running
    }

    /// Whether the engine takes jobs and has none, so that it can change its pair.
    pub fn is_idle(&self) -> bool {
        matches!(self.engine, Engine::TakesJobs)
            && self.running.is_none()
            && self.waiting.is_empty()
    }

    /// The number of jobs that wait for the running one, or for the next one where none runs.
    pub fn queued(&self) -> usize {
        let next_to_run = usize::from(self.running.is_none());
        self.waiting.len().saturating_sub(next_to_run)
    }

    /// Whether there is anything to cancel.
    pub fn is_busy(&self) -> bool {
        self.queued() > 0
            || matches!(
                self.activity,
                Activity::Starting { draws_next: true }
                    | Activity::Waiting
                    | Activity::Fetching(_)
                    | Activity::Loading { .. }
                    | Activity::Preparing { .. }
                    | Activity::Drawing
            )
    }

    /// The engine's worker starts, or changes its pair. No job is posted before [`Jobs::takes_jobs`].
    pub fn starting(&mut self) {
        self.engine = Engine::Starting;
        self.activity = Activity::Starting {
            draws_next: !self.waiting.is_empty(),
        };
    }

    /// Sets whether a starting worker draws by itself afterwards, though no job has been ordered yet.
    pub fn draw_next(&mut self, draws_next: bool) {
        if let Activity::Starting { draws_next: shown } = &mut self.activity {
            *shown = draws_next || !self.waiting.is_empty();
        }
    }

    /// The engine takes jobs from now on. Returns the requests of the jobs that wait, to be posted.
    pub fn takes_jobs(&mut self) -> Vec<Request> {
        self.engine = Engine::TakesJobs;
        self.activity = if self.waiting.is_empty() {
            Activity::Idle
        } else {
            Activity::Waiting
        };
        self.waiting.iter().map(Order::request).collect()
    }

    /// Orders a new job. Undone jobs are forgotten.
    pub fn order(
        &mut self,
        recipe: Recipe,
        extent: Extent,
        grid: Option<Grid>,
        snapshots: Vec<Snapshot>,
    ) -> Ordered {
        self.undone.clear();
        self.append(Order {
            id: 0,
            recipe,
            extent,
            grid,
            snapshots,
        })
    }

    fn append(&mut self, mut order: Order<Grid>) -> Ordered {
        order.id = self.next;
        self.next += 1;
        let request = order.request();
        self.waiting.push_back(order);
        match self.engine {
            Engine::TakesJobs => {
                if self.running.is_none() {
                    self.activity = Activity::Waiting;
                }
                Ordered::Post(request)
            }
            Engine::Starting => {
                self.draw_next(true);
                Ordered::PostLater
            }
            Engine::LacksWeights => Ordered::PostLater,
            Engine::Stopped => Ordered::StartWorker,
        }
    }

    /// Orders the undone jobs again, under new numbers.
    pub fn go_on(&mut self) -> Vec<Ordered> {
        mem::take(&mut self.undone)
            .into_iter()
            .map(|order| self.append(order))
            .collect()
    }

    /// Forgets the undone jobs.
    pub fn forget_undone(&mut self) {
        self.undone.clear();
    }

    /// The engine has begun a job. None for a job that was cancelled meanwhile.
    pub fn started(&mut self, id: JobId) -> Option<Order<Grid>> {
        let position = self.waiting.iter().position(|order| order.id == id)?;
        let order = self.waiting.remove(position)?;
        self.running = Some(id);
        self.activity = Activity::Waiting;
        Some(order)
    }

    /// Sets what the running job does now. Late reports of another job are ignored.
    pub fn reports(&mut self, id: JobId, activity: Activity) {
        if self.running == Some(id) && self.activity != Activity::Cancelling {
            self.activity = activity;
        }
    }

    /// The engine lacks weights for a job, and begins none of the waiting jobs.
    pub fn lacks_weights(&mut self, id: JobId) -> MissingWeights {
        if id <= self.fetched_for {
            return MissingWeights::GiveUp;
        }
        let is_next = self.engine == Engine::TakesJobs
            && self.running.is_none()
            && self.waiting.iter().any(|order| order.id == id);
        if !is_next {
            return MissingWeights::NothingToDo;
        }
        self.engine = Engine::LacksWeights;
        self.activity = Activity::Waiting;
        MissingWeights::Fetch
    }

    /// Whether jobs wait for the pair's weights.
    pub fn waits_for_weights(&self) -> bool {
        self.engine == Engine::LacksWeights
    }

    /// Sets the progress of the load for which jobs wait.
    pub fn fetches(&mut self, progress: LoadProgress) {
        if self.waits_for_weights() {
            self.activity = Activity::Fetching(progress);
        }
    }

    /// The weights are in the store. Returns the requests of the jobs that wait, to be posted.
    pub fn fetched(&mut self) -> Vec<Request> {
        if self.waits_for_weights() {
            let last = self.waiting.back().map(|order| order.id);
            self.fetched_for = last.unwrap_or(self.fetched_for);
            self.takes_jobs()
        } else {
            Vec::new()
        }
    }

    /// The weights can't be loaded: the jobs that waited for them become undone.
    pub fn fetch_failed(&mut self) {
        self.stop_waiting(Activity::Failed);
    }

    /// The visitor paused the load of the weights: the jobs that waited for them become undone.
    pub fn fetch_paused(&mut self) {
        self.stop_waiting(Activity::Cancelled);
    }

    fn stop_waiting(&mut self, activity: Activity) {
        if self.waits_for_weights() {
            self.engine = Engine::TakesJobs;
            self.undone.extend(self.waiting.drain(..));
            self.activity = activity;
        }
    }

    /// Cancels the running job. Where that is ending already, or no job runs, cancels the one that was
    /// ordered last.
    pub fn cancel(&mut self) -> Cancelling {
        if let Some(job) = self.running
            && self.activity != Activity::Cancelling
        {
            self.activity = Activity::Cancelling;
            return Cancelling::Post(Request::Cancel { job });
        }
        let Some(job) = self.waiting.back().map(|order| order.id) else {
            self.draw_next(false);
            return Cancelling::Nothing;
        };
        match self.engine {
            // The engine's answer takes the job out of the queue.
            Engine::TakesJobs => return Cancelling::Post(Request::Cancel { job }),
            Engine::LacksWeights => {
                self.waiting.pop_back();
                if self.waiting.is_empty() {
                    self.engine = Engine::TakesJobs;
                    self.activity = Activity::Cancelled;
                    return Cancelling::StopFetching;
                }
            }
            Engine::Starting | Engine::Stopped => {
                self.waiting.pop_back();
                self.draw_next(false);
            }
        }
        Cancelling::Ended
    }

    /// A job is done. Returns whether it was the running one.
    pub fn done(&mut self, id: JobId, images: usize, seconds: f64) -> bool {
        let was_running = self.end_if_running(id);
        if was_running {
            self.activity = Activity::Done { images, seconds };
        }
        was_running
    }

    /// A job was cancelled. Returns whether it was the running one.
    pub fn cancelled(&mut self, id: JobId) -> bool {
        let was_running = self.end_if_running(id);
        if !was_running {
            self.waiting.retain(|order| order.id != id);
        }
        if self.running.is_none() && self.engine == Engine::TakesJobs {
            self.activity = Activity::Cancelled;
        }
        was_running
    }

    /// A job has failed. Returns whether it was the running one: then its `rest` becomes undone. A job
    /// that had not begun becomes undone as a whole.
    pub fn failed(&mut self, id: JobId, rest: impl FnOnce() -> Option<Order<Grid>>) -> bool {
        let was_running = self.end_if_running(id);
        let undone = if was_running {
            rest()
        } else {
            let position = self.waiting.iter().position(|order| order.id == id);
            position.and_then(|position| self.waiting.remove(position))
        };
        self.undone.extend(undone);
        if self.running.is_none() {
            self.activity = Activity::Failed;
        }
        was_running
    }

    /// There is no worker any more. The running job's `rest` and all waiting jobs become undone. Returns
    /// whether a job ran.
    pub fn stopped(&mut self, rest: impl FnOnce() -> Option<Order<Grid>>) -> bool {
        let was_running = self.running.take().is_some();
        if was_running {
            self.undone.extend(rest());
        }
        self.undone.extend(self.waiting.drain(..));
        self.engine = Engine::Stopped;
        self.activity = Activity::Stopped;
        was_running
    }

    fn end_if_running(&mut self, id: JobId) -> bool {
        let is_running = self.running == Some(id);
        if is_running {
            self.running = None;
        }
        is_running
    }
}

impl<Grid> Order<Grid> {
    fn request(&self) -> Request {
        Request::Generate {
            job: self.id,
            recipe: Box::new(self.recipe.clone()),
            extent: self.extent.clone(),
            snapshots: self.snapshots.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::engine::Latent;
    use crate::protocol::loader::Phase;
    use crate::recipe::CellAddress;
    use crate::recipe::random::Random;

    type TestJobs = Jobs<&'static str>;

    fn recipe(seed: u32) -> Recipe {
        Recipe {
            seed,
            ..Random(1).recipe()
        }
    }

    fn order(jobs: &mut TestJobs, seed: u32) -> Ordered {
        jobs.order(recipe(seed), Extent::default(), None, Vec::new())
    }

    fn request(job: JobId, seed: u32) -> Request {
        Request::Generate {
            job,
            recipe: Box::new(recipe(seed)),
            extent: Extent::default(),
            snapshots: Vec::new(),
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            cell: CellAddress::default(),
            step: 2,
            milliseconds: 5.0,
            latent: Latent::of(&[0.5, -1.5]),
        }
    }

    fn progress(received: u64) -> LoadProgress {
        LoadProgress {
            address: "pair".into(),
            phase: Phase::Loading,
            file: "unet".into(),
            received,
            total: 10,
            speed: 1.0,
        }
    }

    fn rest_of(seed: u32) -> Option<Order<&'static str>> {
        Some(Order {
            id: 0,
            recipe: recipe(seed),
            extent: Extent {
                resumes: true,
                ..Extent::default()
            },
            grid: Some("grid"),
            snapshots: vec![snapshot()],
        })
    }

    fn no_rest() -> Option<Order<&'static str>> {
        panic!("nothing runs")
    }

    /// An engine that takes jobs.
    fn ready() -> TestJobs {
        let mut jobs = TestJobs::default();
        jobs.starting();
        assert_eq!(jobs.takes_jobs(), []);
        assert_eq!(*jobs.activity(), Activity::Idle);
        jobs
    }

    /// Job 1 runs, 2 and 3 wait.
    fn running() -> TestJobs {
        let mut jobs = ready();
        for seed in 1..=3 {
            order(&mut jobs, seed);
        }
        jobs.started(1).expect("it waits");
        jobs.reports(1, Activity::Drawing);
        jobs
    }

    #[test]
    fn a_job_is_posted_started_and_done() {
        let mut jobs = ready();
        assert!(jobs.is_idle() && !jobs.is_busy());
        assert_eq!(order(&mut jobs, 7), Ordered::Post(request(1, 7)));
        assert_eq!(*jobs.activity(), Activity::Waiting);
        assert!(jobs.is_busy() && !jobs.is_idle());
        assert_eq!(jobs.queued(), 0);
        assert_eq!(jobs.started(1).map(|order| order.recipe), Some(recipe(7)));
        jobs.reports(1, Activity::Drawing);
        assert_eq!(*jobs.activity(), Activity::Drawing);
        assert!(jobs.done(1, 4, 2.5));
        assert_eq!(
            *jobs.activity(),
            Activity::Done {
                images: 4,
                seconds: 2.5
            }
        );
        assert!(jobs.is_idle() && !jobs.is_busy());
    }

    #[test]
    fn jobs_wait_for_the_running_one_in_their_order() {
        let mut jobs = running();
        assert_eq!(jobs.queued(), 2);
        // Another order changes nothing of what is shown.
        assert_eq!(order(&mut jobs, 4), Ordered::Post(request(4, 4)));
        assert_eq!(*jobs.activity(), Activity::Drawing);
        jobs.done(1, 1, 1.0);
        assert_eq!(jobs.started(2).map(|order| order.id), Some(2));
        assert_eq!(*jobs.activity(), Activity::Waiting);
        // Late reports of the last one don't count.
        jobs.reports(1, Activity::Preparing { done: 0, total: 0 });
        assert_eq!(*jobs.activity(), Activity::Waiting);
        assert!(!jobs.done(1, 9, 9.0));
        assert_eq!(jobs.running(), Some(2));
    }

    #[test]
    fn jobs_that_were_ordered_early_are_posted_when_the_engine_takes_them() {
        let mut jobs = TestJobs::default();
        assert_eq!(*jobs.activity(), Activity::Stopped);
        assert_eq!(order(&mut jobs, 1), Ordered::StartWorker);
        jobs.starting();
        assert_eq!(*jobs.activity(), Activity::Starting { draws_next: true });
        assert_eq!(order(&mut jobs, 2), Ordered::PostLater);
        assert_eq!(jobs.queued(), 1);
        assert_eq!(jobs.takes_jobs(), [request(1, 1), request(2, 2)]);
        assert_eq!(*jobs.activity(), Activity::Waiting);
    }

    #[test]
    fn cancelling_ends_the_running_job_and_then_the_last_ones() {
        let mut jobs = running();
        assert_eq!(jobs.cancel(), Cancelling::Post(Request::Cancel { job: 1 }));
        assert_eq!(*jobs.activity(), Activity::Cancelling);
        // It still reports, and is still ending.
        jobs.reports(1, Activity::Drawing);
        assert_eq!(*jobs.activity(), Activity::Cancelling);
        assert_eq!(jobs.cancel(), Cancelling::Post(Request::Cancel { job: 3 }));
        assert!(!jobs.cancelled(3));
        assert_eq!(*jobs.activity(), Activity::Cancelling);
        assert_eq!(jobs.queued(), 1);
        assert!(jobs.cancelled(1));
        assert_eq!(*jobs.activity(), Activity::Cancelled);
        // The other one goes on.
        assert!(jobs.started(2).is_some());
        assert!(jobs.started(3).is_none());
    }

    #[test]
    fn a_job_that_the_engine_has_not_heard_of_is_cancelled_at_once() {
        let mut jobs = TestJobs::default();
        jobs.starting();
        order(&mut jobs, 1);
        assert!(jobs.is_busy());
        assert_eq!(jobs.cancel(), Cancelling::Ended);
        assert_eq!(*jobs.activity(), Activity::Starting { draws_next: false });
        assert!(!jobs.is_busy());
        assert_eq!(jobs.takes_jobs(), []);
        assert_eq!(jobs.cancel(), Cancelling::Nothing);
        assert_eq!(*jobs.activity(), Activity::Idle);
    }

    #[test]
    fn drawing_that_only_waits_for_the_pair_can_be_called_off() {
        let mut jobs = TestJobs::default();
        jobs.starting();
        jobs.draw_next(true);
        assert!(jobs.is_busy());
        assert_eq!(jobs.cancel(), Cancelling::Nothing);
        assert_eq!(*jobs.activity(), Activity::Starting { draws_next: false });
    }

    #[test]
    fn what_a_dead_worker_left_undone_is_ordered_anew() {
        let mut jobs = running();
        assert!(jobs.stopped(|| rest_of(1)));
        assert_eq!(*jobs.activity(), Activity::Stopped);
        assert_eq!(jobs.queued(), 0);
        jobs.starting();
        jobs.takes_jobs();
        let again = jobs.go_on();
        let requests: Vec<_> = again
            .into_iter()
            .map(|ordered| match ordered {
                Ordered::Post(Request::Generate {
                    job,
                    recipe,
                    extent,
                    snapshots,
                }) => (job, recipe.seed, extent.resumes, snapshots),
                other => panic!("{other:?}"),
            })
            .collect();
        // The rest of the grid resumes its latents, which the new worker is told; the numbers are new.
        let none = Vec::new;
        assert_eq!(
            requests,
            [
                (4, 1, true, vec![snapshot()]),
                (5, 2, false, none()),
                (6, 3, false, none())
            ]
        );
        assert_eq!(jobs.started(4).and_then(|order| order.grid), Some("grid"));
        // Once.
        assert_eq!(jobs.go_on(), []);
    }

    #[test]
    fn a_new_order_or_another_pair_forgets_what_was_undone() {
        let mut jobs = running();
        jobs.stopped(|| rest_of(1));
        assert_eq!(order(&mut jobs, 9), Ordered::StartWorker);
        jobs.starting();
        assert_eq!(jobs.takes_jobs(), [request(4, 9)]);
        jobs.stopped(no_rest);
        jobs.forget_undone();
        assert_eq!(jobs.go_on(), []);
    }

    #[test]
    fn a_worker_that_dies_idle_leaves_nothing() {
        let mut jobs = ready();
        assert!(!jobs.stopped(no_rest));
        assert_eq!(jobs.go_on(), []);
    }

    #[test]
    fn a_failed_job_can_be_tried_again() {
        let mut jobs = running();
        assert!(jobs.failed(1, || rest_of(1)));
        assert_eq!(*jobs.activity(), Activity::Failed);
        // One that had not begun fails as a whole, and what is shown is still the running one's.
        jobs.started(2);
        jobs.reports(2, Activity::Drawing);
        assert!(!jobs.failed(3, no_rest));
        assert_eq!(*jobs.activity(), Activity::Drawing);
        let again = jobs.go_on();
        assert_eq!(again.len(), 2);
        assert!(again.iter().all(|it| matches!(it, Ordered::Post(_))));
        assert_eq!(jobs.queued(), 2);
    }

    #[test]
    fn jobs_wait_for_weights_and_are_posted_again_when_they_are_there() {
        let mut jobs = ready();
        order(&mut jobs, 1);
        order(&mut jobs, 2);
        // The engine answers so to each job.
        assert_eq!(jobs.lacks_weights(1), MissingWeights::Fetch);
        assert_eq!(jobs.lacks_weights(2), MissingWeights::NothingToDo);
        assert!(jobs.waits_for_weights());
        jobs.fetches(progress(3));
        assert!(jobs.is_busy());
        assert_eq!(order(&mut jobs, 3), Ordered::PostLater);
        assert_eq!(*jobs.activity(), Activity::Fetching(progress(3)));
        assert_eq!(
            jobs.fetched(),
            [request(1, 1), request(2, 2), request(3, 3)]
        );
        assert_eq!(*jobs.activity(), Activity::Waiting);
        // Loads of no concern to any job change nothing.
        jobs.started(1);
        jobs.reports(1, Activity::Drawing);
        jobs.fetches(progress(4));
        assert_eq!(jobs.fetched(), []);
        assert_eq!(*jobs.activity(), Activity::Drawing);
    }

    #[test]
    fn weights_are_not_fetched_for_the_same_job_again_and_again() {
        let mut jobs = ready();
        order(&mut jobs, 1);
        assert_eq!(jobs.lacks_weights(1), MissingWeights::Fetch);
        assert_eq!(jobs.fetched(), [request(1, 1)]);
        assert_eq!(jobs.lacks_weights(1), MissingWeights::GiveUp);
        assert!(!jobs.failed(1, no_rest));
        assert_eq!(*jobs.activity(), Activity::Failed);
        // Tried again, it is another job.
        assert_eq!(jobs.go_on(), [Ordered::Post(request(2, 1))]);
        assert_eq!(jobs.lacks_weights(2), MissingWeights::Fetch);
    }

    #[test]
    fn cancelling_the_last_job_stops_the_fetching() {
        let mut jobs = ready();
        order(&mut jobs, 1);
        order(&mut jobs, 2);
        jobs.lacks_weights(1);
        assert_eq!(jobs.cancel(), Cancelling::Ended);
        assert_eq!(jobs.cancel(), Cancelling::StopFetching);
        assert_eq!(*jobs.activity(), Activity::Cancelled);
        assert_eq!(order(&mut jobs, 3), Ordered::Post(request(3, 3)));
    }

    #[test]
    fn weights_that_can_not_be_had_leave_the_jobs_undone() {
        let mut jobs = ready();
        order(&mut jobs, 1);
        jobs.lacks_weights(1);
        jobs.fetch_failed();
        assert_eq!(*jobs.activity(), Activity::Failed);
        assert_eq!(jobs.go_on(), [Ordered::Post(request(2, 1))]);
        // A pause is no failure, and leaves them undone too.
        jobs.lacks_weights(2);
        jobs.fetch_paused();
        assert_eq!(*jobs.activity(), Activity::Cancelled);
        assert_eq!(jobs.go_on(), [Ordered::Post(request(3, 1))]);
    }
}
