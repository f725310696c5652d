//! The messages between the page and the loader's worker: one enum each way, and nothing else is
//! shared. The worker's come in the envelope [`FromWorker`](crate::browser::from_worker::FromWorker).
//!
//! A pair is named by the *address* of its manifest relative to the page, as the engine's
//! [`Request::Start`](crate::protocol::engine::Request::Start) names it: `pairs/sdxl-dmd2.json`, or
//! `added/…` for one that the visitor added.

use serde::{Deserialize, Serialize};

use crate::browser::adapter_limits::AdapterLimits;

/// Raised with every change of the messages.
pub const PROTOCOL_VERSION: u32 = 2;

/// A licence that has to be accepted before a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Its name.
    pub name: String,
    /// Where its text is.
    pub url: String,
}

/// Where a pair in the list is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// It lies beside the page and is loaded without a question when it is first drawn with.
    Bundled,
    /// The page knows it; its files are on other hosts.
    Offered,
    /// The visitor gave it.
    Added,
}

/// How much of a pair this browser has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairState {
    /// Nothing that counts.
    Absent,
    /// Some of it: a load was paused or broke off, or another pair brought a part of it.
    Partial,
    /// All of it: it works without a network.
    Complete,
}

/// A pair in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairEntry {
    /// Its address.
    pub address: String,
    /// Its name.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Where it is from.
    pub origin: Origin,
    /// Name of the licence.
    pub licence: String,
    /// Width and height of an image in pixels.
    pub image_size: (u32, u32),
    /// How much of it is here.
    pub state: PairState,
    /// Bytes of a first load over the network; none where the hosts have not been asked yet.
    pub download_size: Option<u64>,
    /// Bytes that are still to be fetched; none where the hosts have not been asked yet.
    pub missing: Option<u64>,
    /// Bytes that it takes in the store now.
    pub stored: u64,
    /// The part of the stored bytes that other pairs use too.
    pub shared: u64,
    /// The names of the pairs that use them.
    pub shared_with: Vec<String>,
    /// When it was last drawn with or loaded, in milliseconds since 1970.
    pub last_used: Option<f64>,
    /// Whether a load of it was begun: its pre-flight has been seen and its licences accepted, so
    /// that a [`Request::Load`] goes on without either. False again once it is deleted.
    pub begun: bool,
}

/// What the browser says of its storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// Bytes that this site uses.
    pub usage: Option<f64>,
    /// Bytes that it may use.
    pub quota: Option<f64>,
    /// Whether the browser has promised not to evict it.
    pub is_persistent: bool,
}

/// All pairs, and the storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Library {
    /// Bundled ones first, then offered, then added.
    pub pairs: Vec<PairEntry>,
    /// The storage.
    pub storage: Storage,
}

/// Where a pair that the visitor adds comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairSource {
    /// What the visitor typed: a hub's `owner/name`, or an address with `https://`, of a manifest, of a
    /// folder in diffusers' layout, or of a single checkpoint file.
    Typed(String),
    /// The text of a manifest file that was dropped on the page.
    Manifest(String),
}

/// What a pair needs and whether this browser has it, before the first byte of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// The pair.
    pub address: String,
    /// Its name.
    pub name: String,
    /// Bytes to fetch.
    pub download: u64,
    /// Bytes of it that this browser has already, of this pair or of another.
    pub present: u64,
    /// Bytes that the store will take.
    pub disk_needed: u64,
    /// Bytes that the store may still take; none where the browser doesn't say.
    pub disk_free: Option<u64>,
    /// Bytes of GPU memory for the weights of the base and the distilled model with all others.
    pub gpu_weights: u64,
    /// Bytes of GPU memory for what is computed in between, about.
    pub gpu_activations: u64,
    /// The largest single buffer, in bytes.
    pub largest_buffer: u64,
    /// The adapter; none where there is no WebGPU.
    pub adapter: Option<AdapterLimits>,
    /// Whether it fits.
    pub verdict: Verdict,
    /// Licences to accept; empty where they have been accepted or none has to be.
    pub licences: Vec<Licence>,
    /// Files whose hosts publish no SHA-256: only their length can be checked.
    pub unproven: Vec<String>,
}

/// Whether a pair fits this browser and machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// It fits, with activations in single precision: slower, and twice their memory.
    FitsWithoutF16,
    /// It won't fit: a sentence for each reason.
    WontFit(Vec<String>),
}

/// What a load is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// Asks the hosts for sizes and hashes.
    Asking,
    /// Files arrive.
    Loading,
    /// A failed request waits to be made again: a sentence why.
    Retrying(String),
    /// The browser is offline; the load goes on by itself.
    Offline,
    /// Another tab loads; this one follows it, and takes over if it is closed.
    ElsewhereLoading,
    /// A file didn't have its published SHA-256, and is read once more to find where.
    Searching,
}

/// How far a load of a pair is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// The pair.
    pub address: String,
    /// What is being done.
    pub phase: Phase,
    /// The file that arrives, without folders.
    pub file: String,
    /// Bytes that are there, with what was there before.
    pub received: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes per second over the last seconds.
    pub speed: f64,
}

/// From the page to the loader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Open the store, before anything else is asked; [`Event::Library`] follows.
    Start {
        /// The page's own address, to which the pairs' addresses are relative.
        page_url: String,
    },
    /// List all pairs again: [`Event::Library`].
    List,
    /// Add a pair: [`Event::Added`], or [`Event::Failed`] without an address.
    Add(PairSource),
    /// Delete a pair's weights, but for what others use; one that was added is forgotten.
    Delete {
        /// The pair.
        address: String,
    },
    /// Find out what a pair needs: [`Event::Checked`].
    Check {
        /// The pair.
        address: String,
    },
    /// Load a pair, or go on with it.
    Load {
        /// The pair.
        address: String,
        /// Whether the visitor has accepted the licences that [`Preflight::licences`] lists.
        accepts_licences: bool,
    },
    /// Stop loading, here or in another tab; what is there stays.
    Pause {
        /// The pair.
        address: String,
    },
}

/// From the loader to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// All pairs as they are now.
    Library(Library),
    /// A pair was added.
    Added {
        /// Its address.
        address: String,
    },
    /// What a pair needs.
    Checked(Box<Preflight>),
    /// A load goes on. At most a few a second.
    Progress(LoadProgress),
    /// A mishap of a load that it has recovered from.
    Notice {
        /// The pair.
        address: String,
        /// What happened, and what was done.
        message: String,
    },
    /// All of a pair is here.
    Loaded {
        /// The pair.
        address: String,
    },
    /// A load was paused.
    Paused {
        /// The pair.
        address: String,
    },
    /// The disk, or the page's share of it, is full. What is there stays.
    Full {
        /// The pair.
        address: String,
        /// Bytes that are missing.
        missing: u64,
    },
    /// Something can't be done. What is there stays.
    Failed {
        /// The pair; none where no pair is concerned.
        address: Option<String>,
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
}
