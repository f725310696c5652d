//! The programs of the graphics card, compiled before a picture needs them: while weights are read, as far
//! as it is known by then which they are.

use std::pin::pin;
use std::sync::Arc;

use burn::tensor::Device;
use futures::future::{Either, select};
use gloo_timers::future::TimeoutFuture;

use super::host::{JobFiles, WorkerHost};
use crate::browser::globals::gpu_programs::{Compiled, GpuPrograms};
use crate::engine::error::EngineError;
use crate::engine::host::Host;
use crate::engine::pair::Pair;
use crate::engine::rehearsal::{OutlineFiles, Rehearsed};
use crate::kernels;
use crate::models::ClipTokenizer;
use crate::protocol::allowance::Allowance;
use crate::protocol::engine::{Extent, JobEvent};
use crate::protocol::stats::Phase;
use crate::recipe::Recipe;
use crate::weights::manifest::Manifest;

/// The longest time between two looks at whether the job was cancelled.
const LOOK_MILLISECONDS: u32 = 100;

/// Compiles what is launched, and waits for it; nothing is computed. Where programs can't be compiled ahead,
/// they are compiled where they are launched.
///
/// # Errors
/// Why a program can't be compiled, in the browser's words.
pub(super) async fn compile(device: &Device, launches: impl FnOnce() + Send) -> Result<(), String> {
    let Some(programs) = GpuPrograms::own() else {
        return Ok(());
    };
    programs.forget();
    {
        let _ahead = programs.ahead();
        kernels::Rehearsal::new().launch(device, launches);
    }
    while programs.compiled().done < programs.compiled().total {
        programs.next().await;
    }
    let failure = programs.failure();
    // What comes after it can do without these programs.
    programs.forget();
    failure.map_or(Ok(()), Err)
}

/// The programs of one pair on a graphics card.
pub(super) struct Preparation {
    programs: GpuPrograms,
    rehearsed: Rehearsed,
}

/// What a job launches.
pub(super) struct Wanted<'a> {
    pub recipe: &'a Recipe,
    pub extent: &'a Extent,
}

/// A pair whose weights have not been read.
pub(super) struct Outlined<'a> {
    pub manifest: &'a Manifest,
    pub tokenizers: &'a Arc<[ClipTokenizer; 2]>,
    pub device: &'a Device,
    pub allowance: Allowance,
}

impl Preparation {
    /// None where programs can't be compiled ahead.
    pub fn new() -> Option<Self> {
        Some(Self {
            programs: GpuPrograms::own()?,
            rehearsed: Rehearsed::default(),
        })
    }

    /// Begins to compile what a job needs, before the weights of its pair are read, and waits for the few
    /// programs that arrange them. What else is wrong with the pair is left to be found when it is loaded,
    /// and a pair of which more has to be read to know its operations waits for
    /// [`Preparation::complete`].
    ///
    /// # Errors
    /// A program that arranges weights can't be compiled.
    pub async fn begin_with_outlines(
        &mut self,
        pair: &Outlined<'_>,
        files: &JobFiles<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<(), EngineError> {
        let Ok(Some(outlines)) =
            OutlineFiles::of(pair.manifest, &wanted.recipe.adapters, files).await
        else {
            return Ok(());
        };
        let loaded = {
            let _launches = kernels::Rehearsal::new();
            let _ahead = self.programs.ahead();
            let (manifest, device) = (pair.manifest.clone(), pair.device.clone());
            match Pair::load_with(pair.tokenizers.clone(), manifest, device, &outlines).await {
                Ok(mut own) => {
                    let attached = own.attach(&wanted.recipe.adapters, &outlines).await;
                    let unets = own.load_unets(&wanted.recipe.modes, &outlines).await;
                    (attached.is_ok() && unets.is_ok()).then_some(own)
                }
                Err(_) => None,
            }
        };
        self.wait(files.host).await?;
        if let Some(mut own) = loaded
            && own.draw_in(wanted.recipe.size).is_ok()
        {
            own.allow(pair.allowance);
            // A recipe that doesn't fit the pair fails where it is drawn.
            let _ = self.begin(&own, wanted, files.host).await;
        }
        Ok(())
    }

    /// Compiles all else that a job needs, of a pair whose weights have been read, and waits for all of it.
    /// Where a program in half precision can't be compiled, single precision takes its place.
    ///
    /// # Errors
    /// A program can't be compiled, or the recipe doesn't fit the pair.
    pub async fn complete(
        &mut self,
        pair: &Pair,
        wanted: &Wanted<'_>,
        host: &mut WorkerHost<'_>,
    ) -> Result<(), EngineError> {
        self.begin(pair, wanted, host).await?;
        match self.finish(host).await {
            Err(EngineError::Program { reason }) if kernels::is_half() => {
                kernels::set_half(false);
                host.notice(&format!(
                    "The browser could not compile a program in half precision for the graphics \
                     processor ({reason}), so the models use twice the memory for what they compute."
                ));
                self.programs.forget();
                self.rehearsed = Rehearsed::default();
                self.begin(pair, wanted, host).await?;
                self.finish(host).await
            }
            finished => finished,
        }
    }

    /// Begins to compile what a job needs and no job before it has needed.
    async fn begin(
        &mut self,
        pair: &Pair,
        wanted: &Wanted<'_>,
        host: &WorkerHost<'_>,
    ) -> Result<(), EngineError> {
        let programs = &self.programs;
        self.rehearsed
            .rehearse(
                pair,
                wanted.recipe,
                wanted.extent,
                || programs.ahead(),
                async || {
                    host.pause().await;
                    !host.is_cancelled()
                },
            )
            .await
    }

    /// Counts anew for a job, where nothing that was begun is left to wait for. What could not be compiled
    /// is not forgotten: nothing compiles it again.
    pub fn count_anew(&self) {
        let compiled = self.programs.compiled();
        if compiled.done == compiled.total && self.programs.failure().is_none() {
            self.programs.forget();
        }
    }

    /// Waits for what was begun, and tells the page how far it is. It ends early where the job is cancelled:
    /// the browser goes on with what it has begun.
    ///
    /// # Errors
    /// A program can't be compiled.
    async fn finish(&self, host: &mut WorkerHost<'_>) -> Result<(), EngineError> {
        let start = host.milliseconds();
        let finished = self.wait(host).await;
        if matches!(finished, Ok(true)) {
            host.took(Phase::PreparingPrograms, host.milliseconds() - start);
        }
        finished.map(drop)
    }

    /// As [`Preparation::finish`]. Gives whether there was anything to wait for.
    ///
    /// # Errors
    /// A program can't be compiled.
    async fn wait(&self, host: &WorkerHost<'_>) -> Result<bool, EngineError> {
        let mut has_waited = false;
        loop {
            let Compiled { done, total } = self.programs.compiled();
            if total > 0 {
                host.post(JobEvent::Preparing { done, total });
            }
            if done == total || self.programs.failure().is_some() || host.is_cancelled() {
                break;
            }
            has_waited = true;
            let (next, look) = (self.programs.next(), TimeoutFuture::new(LOOK_MILLISECONDS));
            // A timer's future ends when it is dropped; the other one has nothing to end.
            let (Either::Left(_) | Either::Right(_)) = select(pin!(next), pin!(look)).await;
        }
        match self.programs.failure() {
            None => Ok(has_waited),
            Some(reason) => Err(EngineError::Program { reason }),
        }
    }
}
