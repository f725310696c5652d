//! The messages between the page and the engine's worker: [`Request`]s to the worker, and [`Event`]s
//! from it, in the envelope [`FromWorker`](crate::browser::from_worker::FromWorker). The two share
//! nothing else.

use serde::{Deserialize, Serialize};

use super::allowance::Allowance;
use crate::browser::adapter_limits::AdapterLimits;
use crate::history;
use crate::metrics::{Change, Diversity, RowDistances};
use crate::picture::file::FileRequest;
use crate::picture::image::Image;
use crate::protocol::stats::Measurement;
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::StepDigest;
use crate::recipe::size::ImageSizes;
use crate::recipe::{CellAddress, Prompt, Recipe};
use crate::sampler::{ModelRole, SchedulerChoice};
use crate::vocabulary::Vocabulary;

/// Raised with every change of the messages: a page that was loaded before a deploy must not
/// misunderstand a worker that was loaded after it.
pub const PROTOCOL_VERSION: u32 = 14;

/// The number of a job; each page counts its jobs from 1.
pub type JobId = u32;

/// The number of a task; each page counts its tasks from 1.
pub type TaskId = u32;

/// The kind of device that the models run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// burn-wgpu on WebGPU.
    WebGpu,
    /// burn's CPU backend in wasm.
    Cpu,
}

impl DeviceKind {
    /// The value of the page's `data-device`.
    pub fn key(self) -> &'static str {
        match self {
            DeviceKind::WebGpu => "webgpu",
            DeviceKind::Cpu => "cpu",
        }
    }
}

/// The device that the engine chose, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// WebGPU or the CPU.
    pub kind: DeviceKind,
    /// The adapter as the browser describes it, or the CPU's feature set.
    pub description: String,
    /// Features and limits of the adapter; none where WebGPU is not used.
    pub adapter: Option<AdapterLimits>,
    /// The forms of the kernels on it, as a text; none where WebGPU is not used.
    pub forms: Option<String>,
    /// Why WebGPU is not used, as a sentence for the visitor; none where it is.
    pub notice: Option<String>,
}

/// The facts about a pair that the page shows, from its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairInfo {
    /// The name, as the header and the footer show it.
    pub name: String,
    /// The manifest's description, a sentence or two.
    pub description: String,
    /// Name of the licence that decides what the pair may be used for.
    pub licence: String,
    /// Whom the training images are from and under which licences.
    pub attribution: String,
    /// The sizes of pictures that it draws.
    pub sizes: ImageSizes,
    /// Prompts to offer, for things that the pair was trained on.
    pub example_prompts: Vec<String>,
    /// The words that the pair was trained on; none where they can't be listed.
    pub vocabulary: Option<Vocabulary>,
    /// The pair's defaults, with which the page fills the controls.
    pub recipe: Recipe,
    /// The pair's own scheduler of the base model.
    pub base_scheduler: OwnScheduler,
    /// The pair's own scheduler of the distilled model.
    pub distilled_scheduler: OwnScheduler,
    /// Sentences about schedulers that the models name and that others take the places of.
    pub scheduler_notices: Vec<String>,
    /// Whether the distilled model takes its guidance scale as an input, as a full LCM model does,
    /// and not from a second pass.
    pub embeds_distilled_guidance: bool,
    /// Adapters that lie beside the pair.
    pub adapters: Vec<AdapterChoice>,
    /// The pairs to choose from, this one among them; empty where there is no choice.
    pub family: Vec<PairChoice>,
}

/// An adapter that lies beside a pair, to be tried with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterChoice {
    /// Path of its file, relative to the manifest.
    pub path: String,
    /// What it is called.
    pub title: String,
    /// What it does, in a sentence.
    pub description: String,
    /// A prompt that shows it.
    pub prompt: String,
    /// A strength that shows it.
    pub strength: f32,
}

/// The scheduler that a pair brings for one of its models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnScheduler {
    /// The choice that is nearest to it.
    pub choice: SchedulerChoice,
    /// Its name, with all that it tells.
    pub label: String,
}

/// A pair that the visitor can choose in place of the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairChoice {
    /// The name in the list of choices.
    pub name: String,
    /// Path of its manifest, relative to the manifest that names it.
    pub manifest: String,
}

/// The source of the bytes that are being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadingFrom {
    /// They are downloaded and verified, and stored where that is possible.
    Network,
    /// They are read from this browser's own store.
    Store,
}

/// The part of a recipe's grid that a job draws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Whether cells go on from the latents that the engine has of this recipe's grid. Otherwise, and
    /// where there is no latent or the cell is finished, cells start from their seeds; the pictures are
    /// the same.
    pub resumes: bool,
    /// The cells; none: all of them.
    pub cells: Option<Vec<CellAddress>>,
    /// The number of steps after which a cell rests, at least 1; none: cells are finished.
    pub depth: Option<u32>,
    /// Whether the grid is one of many that are kept elsewhere, and the history of runs not to have it.
    pub is_of_experiment: bool,
}

impl Extent {
    /// Whether the job draws a cell.
    pub fn includes(&self, cell: CellAddress) -> bool {
        self.cells
            .as_ref()
            .is_none_or(|cells| cells.contains(&cell))
    }
}

/// The numbers of a latent on their way between the page and the engine.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Latent {
    /// Each an `f32`, the least byte first. One array of bytes on the way, not an element per number.
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Latent {
    /// Takes the numbers.
    pub fn of(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Latent {
            bytes: bytes.collect(),
        }
    }

    /// The numbers.
    pub fn values(&self) -> Vec<f32> {
        let (values, _) = self.bytes.as_chunks();
        values.iter().copied().map(f32::from_le_bytes).collect()
    }
}

impl std::fmt::Debug for Latent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Latent({} bytes)", self.bytes.len())
    }
}

/// What it takes to go on with a cell after a step: the noise that the cell has drawn follows from its
/// seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The cell.
    pub cell: CellAddress,
    /// The number of its last step, from 1.
    pub step: u32,
    /// Time of its steps.
    pub milliseconds: f64,
    /// The latent after the step, and behind it what the scheduler remembers of the steps before:
    /// [`Sampling::state`](crate::sampler::Sampling::state).
    pub latent: Latent,
}

/// The latent of a step that a strip's frame shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StripView {
    /// The Diffusion Target: the picture that the model aims at (equation 2 of the paper).
    Target,
    /// The noisy latent that the model was given: the standard view of the paper's Figure 4.
    Sample,
}

/// The tokens of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// All of them, by each text encoder's tokenizer.
    pub tokens: [u32; 2],
    /// The most that are encoded together.
    pub room: u32,
    /// Chunks that are encoded.
    pub chunks: u32,
    /// The most chunks that are encoded.
    pub most_chunks: u32,
    /// The parts of the prompt that no text encoder reads.
    pub cut: Vec<String>,
}

/// Work that is not a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Decode the steps that a cell has taken: a [`TaskEvent::StripFrame`] for each. If the cell is
    /// finished, and all of its targets are decoded, [`TaskEvent::Convergence`] follows.
    Strip {
        /// The recipe of the cell's grid.
        recipe: Box<Recipe>,
        /// The place of the cell in the grid.
        cell: CellAddress,
        /// Which latent of each step is decoded.
        view: StripView,
        /// Steps to leave out at the beginning.
        skip: u32,
    },
    /// Measure how far each step's Diffusion Target is from the final image of a finished cell:
    /// [`TaskEvent::Convergence`], without the frames.
    Convergence {
        /// The recipe of the cell's grid.
        recipe: Box<Recipe>,
        /// The place of the cell in the grid.
        cell: CellAddress,
    },
    /// Encode a file to save: [`TaskEvent::File`].
    File(Box<FileRequest>),
    /// Change or list the history of runs: [`Event::History`].
    History(history::Request),
    /// Change or read the kept experiments: [`TaskEvent::Experiment`], or [`TaskEvent::File`].
    Experiment(history::experiments::Request),
    /// Count the tokens of prompts: [`TaskEvent::Tokens`]. Fails before [`Event::CountsTokens`].
    Tokens(Vec<Prompt>),
}

/// From the page to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Choose the device and read the pair's manifest. The request may come again between two jobs, to
    /// change the pair; on the same device compiled shaders stay.
    Start {
        /// The device that the link names; automatic where it names none.
        device: DevicePreference,
        /// Address of the pair's manifest, absolute.
        manifest_url: String,
        /// The same address relative to the page, for the history.
        pair_address: String,
        /// Whether the phases of the work are measured: [`Event::Measured`].
        measures: bool,
        /// The most that the engine may use of its device, where that has failed before.
        at_most: Option<Allowance>,
    },
    /// Draw a grid, or a part of it. A job that comes while another runs waits for it.
    Generate {
        /// The next number, which the page chooses.
        job: JobId,
        /// The recipe of the grid.
        recipe: Box<Recipe>,
        /// The part of the grid to draw.
        extent: Extent,
        /// Where cells of the extent had got to, for an engine that doesn't know: it was started after
        /// another one has failed.
        snapshots: Vec<Snapshot>,
    },
    /// Hold missing weights in memory for as long as this worker lives, as the store has no room for
    /// them.
    HoldWeights,
    /// A small piece of work that doesn't wait for the end of a running job.
    Task {
        /// The next number, which the page chooses.
        id: TaskId,
        /// The work to do.
        task: Task,
    },
    /// Cancel a running or waiting job; a running one ends after its current step.
    Cancel {
        /// The number of the job to cancel.
        job: JobId,
    },
}

/// From the engine to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The device that the models will run on.
    Device(DeviceInfo),
    /// The pair's manifest has been read.
    Pair(Box<PairInfo>),
    /// How much the engine uses of its device for this pair, not more than [`Request::Start`] allows.
    Allowance(Allowance),
    /// The device has failed, and fails for good: no event of this worker follows, and the page starts
    /// another one.
    DeviceFailed {
        /// The device's own words.
        reason: String,
    },
    /// How much of the pair is not here when its manifest has been read.
    Missing {
        /// Bytes over the network.
        bytes: u64,
    },
    /// The pair's tokenizers are there: from now on [`Task::Tokens`] is answered.
    CountsTokens,
    /// Something that the visitor should know and that doesn't stop the work, such as a browser that
    /// stores nothing.
    Notice {
        /// A sentence for the visitor.
        message: String,
    },
    /// The history after a change, or because the page has asked for it.
    History(Box<history::Listing>),
    /// The favourites after a change, or because the page has asked for them, the last one first.
    Favourites(Vec<history::favourite::Favourite>),
    /// A phase of a job or a task has ended, where [`Request::Start`] asks to measure them.
    Measured(Box<Measurement>),
    /// An event of a job.
    Job {
        /// The number from [`Request::Generate`].
        job: JobId,
        /// The job's progress or its end.
        event: JobEvent,
    },
    /// An event of a task.
    Task {
        /// The number from [`Request::Task`].
        id: TaskId,
        /// The task's result or its end.
        event: TaskEvent,
    },
}

/// The progress or the end of a job. The last event is [`Done`](JobEvent::Done),
/// [`Cancelled`](JobEvent::Cancelled), [`Failed`](JobEvent::Failed) or
/// [`LacksWeights`](JobEvent::LacksWeights).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JobEvent {
    /// Weights of the pair are not in the store, so the job was not begun. The page has the loader load
    /// them, and then sends the job again.
    LacksWeights {
        /// The JSON of the manifest that names them.
        manifest: String,
    },
    /// The job begins.
    Started,
    /// Weights arrive or are read.
    Loading {
        /// Bytes so far.
        received: u64,
        /// Bytes of all weights that the job still needs.
        total: u64,
        /// The network, or this browser's store.
        from: LoadingFrom,
    },
    /// The browser compiles programs for the graphics card before it launches them.
    Preparing {
        /// Programs that are compiled.
        done: u32,
        /// All programs that the job needs, as far as they are known; 0 before any is known.
        total: u32,
    },
    /// The number of all steps of a cell, by row: a recipe alone doesn't determine how many of its own steps
    /// the base model takes to the hand-over.
    Planned {
        /// Of each row.
        steps: Vec<u32>,
    },
    /// The work on a cell begins.
    CellStarted {
        /// The cell.
        cell: CellAddress,
    },
    /// A cell has taken a step.
    Step {
        /// The cell.
        cell: CellAddress,
        /// The number of the step, from 1.
        step: u32,
        /// The number of all steps of this cell.
        steps: u32,
        /// The timestep that the model was given, of 1000.
        timestep: f32,
        /// The model that took the step.
        model: ModelRole,
        /// The decoded Diffusion Target (equation 2 of the paper), of a large picture at a cell's size.
        preview: Image,
        /// A digest of the predicted original, to compare the step with another machine's.
        digest: StepDigest,
        /// Time of the cell's steps so far. Cells that are drawn together share that of a step.
        milliseconds: f64,
        /// The latent after the step, for a [`Snapshot`].
        latent: Latent,
    },
    /// A cell has taken as many steps as the job's extent allows, and rests; the engine has its latent.
    CellRests {
        /// The cell.
        cell: CellAddress,
    },
    /// A cell's image is done.
    Image {
        /// The cell.
        cell: CellAddress,
        /// The decoded picture.
        image: Image,
        /// Time of the model's steps and the last decode, without the previews' decodes.
        milliseconds: f64,
        /// The last latent, `[1, channels, height, width]`, as a file of NumPy's.
        #[serde(with = "serde_bytes")]
        latent: Vec<u8>,
    },
    /// The diversity of a row's finished images, after each further image.
    Diversity {
        /// Index of the row, from 0.
        row: u32,
        /// Mean pairwise structural dissimilarity, with its interval.
        diversity: Diversity,
        /// The dissimilarity of each pair.
        distances: RowDistances,
    },
    /// How much an adapter changes a row's finished images, after each further image.
    Change {
        /// Index of the row, from 0.
        row: u32,
        /// Mean structural dissimilarity to the images of the same seeds in the row of the same mode whose
        /// first adapter has strength 0.
        change: Change,
    },
    /// Every cell of the job is done.
    Done,
    /// The job was cancelled; what is finished stays.
    Cancelled,
    /// The job can't be finished.
    Failed {
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
}

/// The result or the end of a task. The last event is [`Done`](TaskEvent::Done) or
/// [`Failed`](TaskEvent::Failed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskEvent {
    /// A decoded step of a strip.
    StripFrame {
        /// The number of the step, from 1.
        step: u32,
        /// The number of all steps of this cell.
        steps: u32,
        /// The timestep that the model was given, of 1000.
        timestep: f32,
        /// The model that took the step.
        model: ModelRole,
        /// The decoded latent.
        frame: Image,
    },
    /// The distance of each step's Diffusion Target to the final image (the paper's Figure 5).
    Convergence {
        /// The structural dissimilarity, a number per step.
        distances: Vec<f64>,
        /// The targets and the final image, as they were compared, for networks to compare: a PNG of
        /// [`stacked`](crate::picture::stack::stacked). Empty after [`Task::Strip`], which has sent them.
        #[serde(with = "serde_bytes")]
        targets: Vec<u8>,
    },
    /// The tokens of each prompt of [`Task::Tokens`].
    Tokens(Vec<TokenCount>),
    /// The answer to [`Task::Experiment`].
    Experiment(history::experiments::Reply),
    /// The encoded file.
    File {
        /// The whole file.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// All results have been sent.
    Done,
    /// The task can't be done.
    Failed {
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
}
