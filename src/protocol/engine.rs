//! The messages between the page and the engine's worker: one enum each way, and nothing else is
//! shared. The worker's come in the envelope [`FromWorker`](crate::browser::from_worker::FromWorker).

use serde::{Deserialize, Serialize};

use crate::history;
use crate::metrics::Diversity;
use crate::picture::file::FileRequest;
use crate::picture::image::Image;
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::StepDigest;
use crate::recipe::{CellAddress, Recipe};
use crate::sampler::{ModelRole, SchedulerClass};
use crate::vocabulary::Vocabulary;

/// Raised with every change of the messages: a page that was loaded before a deploy must not talk
/// past a worker that was loaded after it.
pub const PROTOCOL_VERSION: u32 = 4;

/// Numbers the jobs of one page, counting up.
pub type JobId = u32;

/// Numbers the tasks of one page, counting up.
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
    /// Where the models run.
    pub kind: DeviceKind,
    /// The adapter as the browser describes it, or the CPU's feature set.
    pub description: String,
    /// Why WebGPU is not used, as a sentence for the visitor; none where it is.
    pub notice: Option<String>,
}

/// What the page shows of a pair, from its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairInfo {
    /// The pair's name.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Name of the licence.
    pub licence: String,
    /// Whom the training images are from and under which licences.
    pub attribution: String,
    /// Bytes over the network for a first visit.
    pub download_size: u64,
    /// Size of an image in pixels: width, height.
    pub image_size: (u32, u32),
    /// Prompts that show the pair well.
    pub example_prompts: Vec<String>,
    /// What the pair was trained to draw, where that can be listed.
    pub vocabulary: Option<Vocabulary>,
    /// The recipe that the page starts with.
    pub recipe: Recipe,
    /// The pair's own scheduler of the base model.
    pub base_scheduler: SchedulerClass,
    /// The pair's own scheduler of the distilled model.
    pub distilled_scheduler: SchedulerClass,
    /// Whether the distilled model takes its guidance scale as an input, as a full LCM model does,
    /// and not from a second pass.
    pub embeds_distilled_guidance: bool,
    /// The pairs to choose from, this one among them; empty: there is no choice.
    pub family: Vec<PairChoice>,
}

/// A pair that can be chosen in another's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairChoice {
    /// Its name.
    pub name: String,
    /// Path of its manifest, relative to the manifest that names it.
    pub manifest: String,
}

/// Where the bytes that are being loaded come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadingFrom {
    /// Downloaded, verified and stored.
    Network,
    /// Read from this browser's own store.
    Store,
}

/// How much of a recipe's grid a job draws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Whether cells go on from the latents that the engine keeps of this recipe. Without it, and
    /// where nothing is kept or the cell is finished, they start from their seeds; the pictures are
    /// the same.
    pub resumes: bool,
    /// The cells; none: all of them.
    pub cells: Option<Vec<CellAddress>>,
    /// Steps after which a cell rests, from 1; none: it is finished.
    pub depth: Option<u32>,
}

impl Extent {
    /// Whether the job draws a cell.
    pub fn includes(&self, cell: CellAddress) -> bool {
        self.cells
            .as_ref()
            .is_none_or(|cells| cells.contains(&cell))
    }
}

/// What a frame of a strip shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StripView {
    /// The Diffusion Target: what the model aims at (equation 2 of the paper).
    Target,
    /// The noisy latent that the model was given, decoded: the standard view of the paper's
    /// Figure 4.
    Sample,
}

/// Work beside the jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Decode the steps that a cell has taken: a [`TaskEvent::StripFrame`] for each, and
    /// [`TaskEvent::Convergence`] where the cell is finished and targets are asked for.
    Strip {
        /// The recipe of the cell.
        recipe: Recipe,
        /// The cell.
        cell: CellAddress,
        /// What to show of each step.
        view: StripView,
        /// Steps to leave out at the beginning.
        skip: u32,
    },
    /// Encode a file to save: [`TaskEvent::File`].
    File(Box<FileRequest>),
    /// Change or list the history of runs: [`Event::History`].
    History(history::Request),
}

/// From the page to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Choose the device and read the pair's manifest. It may come again between two jobs, to change
    /// the pair; what the device has compiled stays where the device is the same.
    Start {
        /// The device that the visitor asked for.
        device: DevicePreference,
        /// Address of the pair's manifest, absolute.
        manifest_url: String,
        /// The same address relative to the page, for the history.
        pair_address: String,
    },
    /// Draw a grid, or a part of it. A job that comes while another runs waits for it.
    Generate {
        /// Chosen by the page.
        job: JobId,
        /// What to draw.
        recipe: Recipe,
        /// How much of it.
        extent: Extent,
    },
    /// Hold the pair's weights in memory for as long as this worker lives, since they can't be
    /// stored.
    HoldWeights,
    /// A small piece of work, done between two steps of whatever job runs.
    Task {
        /// Chosen by the page.
        id: TaskId,
        /// What to do.
        task: Task,
    },
    /// End a running or waiting job; the running one ends within a step.
    Cancel {
        /// The job to end.
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
    /// Something that the visitor should know though the work goes on, such as a browser that
    /// stores nothing.
    Notice {
        /// A sentence that says what it means.
        message: String,
    },
    /// The history as it is now.
    History(Box<history::Listing>),
    /// What becomes of a job.
    Job {
        /// The job.
        job: JobId,
        /// What happened.
        event: JobEvent,
    },
    /// What becomes of a task.
    Task {
        /// The task.
        id: TaskId,
        /// What happened.
        event: TaskEvent,
    },
}

/// What becomes of a job. The last event is [`Done`](JobEvent::Done),
/// [`Cancelled`](JobEvent::Cancelled), [`Failed`](JobEvent::Failed) or
/// [`LacksWeights`](JobEvent::LacksWeights).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JobEvent {
    /// Weights of the pair are not in the store, so the job was not begun. The loader can bring
    /// them; then the job is to be sent again.
    LacksWeights,
    /// The job's turn has come.
    Started,
    /// Weights arrive or are read.
    Loading {
        /// Bytes so far.
        received: u64,
        /// Bytes in all.
        total: u64,
        /// Where they come from.
        from: LoadingFrom,
    },
    /// The weights go to the device and the first shaders compile.
    Compiling,
    /// The work on a cell begins.
    CellStarted {
        /// The cell.
        cell: CellAddress,
    },
    /// A step is done.
    Step {
        /// The cell.
        cell: CellAddress,
        /// Steps done, from 1.
        step: u32,
        /// Steps of this cell in all.
        steps: u32,
        /// The timestep that the model was given, of 1000.
        timestep: f32,
        /// The model that took the step.
        model: ModelRole,
        /// The decoded Diffusion Target (equation 2 of the paper).
        preview: Image,
        /// What another machine's same step can be compared by.
        digest: StepDigest,
    },
    /// A cell has been taken as deep as the job's extent says and rests, its latent kept.
    CellRests {
        /// The cell.
        cell: CellAddress,
    },
    /// A cell's image is done.
    Image {
        /// The cell.
        cell: CellAddress,
        /// The image.
        image: Image,
        /// Time of the model's steps and the last decode, without the previews' decodes.
        milliseconds: f64,
    },
    /// How different the finished images of a row are, after another one.
    Diversity {
        /// Index of the row.
        row: u32,
        /// Mean pairwise structural dissimilarity, with its interval.
        diversity: Diversity,
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

/// What becomes of a task. The last event is [`Done`](TaskEvent::Done) or
/// [`Failed`](TaskEvent::Failed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskEvent {
    /// A step of a strip.
    StripFrame {
        /// The step, from 1.
        step: u32,
        /// Steps of this cell in all.
        steps: u32,
        /// The timestep that the model was given, of 1000.
        timestep: f32,
        /// The model that took the step.
        model: ModelRole,
        /// The decoded latent.
        frame: Image,
    },
    /// How far the Diffusion Target of each step is from the final image (the paper's Figure 5).
    Convergence {
        /// Structural dissimilarity to the final image, a number per step.
        distances: Vec<f64>,
    },
    /// A file is encoded.
    File {
        /// The file's bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// All of it has come.
    Done,
    /// The task can't be done.
    Failed {
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
}
