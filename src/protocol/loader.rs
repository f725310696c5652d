//! The messages between the page and the loader's worker: [`Request`]s to the worker, and [`Event`]s
//! from it, in the envelope [`FromWorker`](crate::browser::from_worker::FromWorker). The two share
//! nothing else.
//!
//! A network that measures pictures is loaded and deleted by the requests for pairs.
//!
//! A pair is named by the *address* of its manifest relative to the page, as the engine's
//! [`Request::Start`](crate::protocol::engine::Request::Start) names it: `pairs/sdxl-dmd2.json`, or
//! `added/…` for one that the visitor added.

use serde::{Deserialize, Serialize};

use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::opened_file::OpenedFile;
use crate::recipe::size::ImageSize;

/// Raised with every change of the messages, as the engine's
/// [`PROTOCOL_VERSION`](crate::protocol::engine::PROTOCOL_VERSION).
pub const PROTOCOL_VERSION: u32 = 7;

/// A licence that has to be accepted before a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The name that the checkbox shows.
    pub name: String,
    /// The address of its text.
    pub url: String,
}

/// The origin of a pair in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The pair's files are beside the page, and are loaded without a question when it is first drawn
    /// with.
    Bundled,
    /// The page's index has the pair; its files are on other hosts.
    Offered,
    /// The visitor added the pair.
    Added,
}

/// How much of a pair this browser has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairState {
    /// Nothing, or before its first load only files that other pairs use, too.
    Absent,
    /// A part: a load was paused or broke off, or another pair has files of this one.
    Partial,
    /// All files: the pair works without a network.
    Complete,
}

/// A pair in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairEntry {
    /// The address of its manifest relative to the page.
    pub address: String,
    /// The manifest's name for the pair.
    pub name: String,
    /// The manifest's description, a sentence or two.
    pub description: String,
    /// As [`Preflight::notices`].
    pub notices: Vec<String>,
    /// Bundled, offered or added.
    pub origin: Origin,
    /// Name of the licence that decides what the pair may be used for.
    pub licence: String,
    /// Width and height of an image in pixels.
    pub image_size: (u32, u32),
    /// How much of the pair this browser has.
    pub state: PairState,
    /// Bytes of a first load over the network; none where the hosts have not been asked yet.
    pub download_size: Option<u64>,
    /// Bytes that are still to be fetched; none where the hosts have not been asked yet.
    pub missing: Option<u64>,
    /// Bytes that the pair takes in the store now.
    pub stored: u64,
    /// The part of `stored` that other pairs use too.
    pub shared: u64,
    /// The names of the pairs that use the shared bytes.
    pub shared_with: Vec<String>,
    /// The last time that the pair was drawn with or loaded, in milliseconds since 1970; none where it
    /// never was.
    pub last_used: Option<f64>,
    /// Whether a load of it was begun: its pre-flight has been seen and its licences accepted, so
    /// that a [`Request::Load`] goes on without either. False again once it is deleted.
    pub begun: bool,
}

/// The storage of this site, as the browser reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// Bytes that this site uses; none where the browser doesn't say.
    pub usage: Option<f64>,
    /// Bytes that this site may use; none where the browser doesn't say.
    pub quota: Option<f64>,
    /// Whether the browser has promised not to evict the site's data.
    pub is_persistent: bool,
}

/// All pairs, and the storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Library {
    /// The pairs of the page's index in its order, then those that only the store knows.
    pub pairs: Vec<PairEntry>,
    /// The adapters that the visitor has brought, by their names.
    pub adapters: Vec<AdapterEntry>,
    /// The storage that all pairs share.
    pub storage: Storage,
}

/// An adapter that the visitor has brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterEntry {
    /// SHA-256 of its file in lower-case hexadecimal digits.
    pub hash: String,
    /// What its file is called.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Bytes that it takes in the store.
    pub stored: u64,
}

/// A network that measures pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkEntry {
    /// The address of its manifest relative to the page.
    pub address: String,
    /// Its name in results.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Name of its licence.
    pub licence: String,
    /// Licences to accept before it is loaded.
    pub licences: Vec<Licence>,
    /// How much of it this browser has.
    pub state: PairState,
    /// Whether its manifest says of every part where it is. A network of which a part is published nowhere
    /// can't be loaded.
    pub is_whole: bool,
    /// Bytes of a first load over the network; none where the hosts have not been asked yet.
    pub download_size: Option<u64>,
    /// Bytes that are still to be fetched; none where the hosts have not been asked yet.
    pub missing: Option<u64>,
    /// Bytes that it takes in the store.
    pub stored: u64,
}

/// The source of an adapter that the visitor brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AdapterSource {
    /// A hub's `owner/name`, or an address of a file with `https://`.
    Typed(String),
    /// The path of a file of the page's own, relative to the page, and what it is called.
    Bundled(String, String),
    /// A file of the visitor's disk.
    Disk(OpenedFile),
}

/// The source of a pair that the visitor adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PairSource {
    /// A text that the visitor typed: a hub's `owner/name`, or an address with `https://`, of a manifest, of a
    /// folder in diffusers' layout, or of a single checkpoint file.
    Typed(String),
    /// The text of a manifest file that was dropped on the page.
    Manifest(String),
    /// Files of the visitor's disk: a checkpoint, an adapter or both, or a folder in diffusers' layout.
    Disk(Vec<OpenedFile>),
}

/// The needs of a pair, and whether this browser meets them, before the first byte of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// The pair's address.
    pub address: String,
    /// The manifest's name for the pair.
    pub name: String,
    /// Bytes to fetch over the network.
    pub download: u64,
    /// Bytes to read of files of the visitor's disk.
    pub from_disk: u64,
    /// Bytes of the pair's files that this browser has already, from this pair or another.
    pub present: u64,
    /// Bytes that missing files will take in the store.
    pub disk_needed: u64,
    /// Bytes that the store may still take; none where the browser doesn't say.
    pub disk_free: Option<u64>,
    /// Width and height in pixels of the pictures that the memory is counted for.
    pub image_size: ImageSize,
    /// Bytes of GPU memory for the weights that stay as long as the pair, with those of adapters.
    pub gpu_weights: u64,
    /// The part of it that is of adapters.
    pub gpu_adapters: u64,
    /// The most bytes of GPU memory beside them: for activations, or for a text encoder before.
    pub gpu_activations: u64,
    /// The largest map of a picture of that size, in bytes.
    pub largest_buffer: u64,
    /// The adapter; none where there is no WebGPU.
    pub adapter: Option<AdapterLimits>,
    /// Whether the pair fits.
    pub verdict: Verdict,
    /// Sentences about what will differ from what the models name, such as a scheduler.
    pub notices: Vec<String>,
    /// Licences to accept; empty where they have been accepted or none has to be.
    pub licences: Vec<Licence>,
    /// Files whose hosts publish no SHA-256: only their length can be checked.
    pub unproven: Vec<String>,
}

/// Whether a pair fits this browser and machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The pair fits.
    Fits,
    /// The pair fits, but the adapter has no half precision: activations take twice the memory, and
    /// drawing is slower.
    FitsWithoutF16,
    /// The pair doesn't fit. Holds a sentence for each reason.
    WontFit(Vec<String>),
}

/// The phase of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// The loader asks the files' hosts for sizes and hashes.
    Asking,
    /// Files arrive.
    Loading,
    /// A failed request waits to be made again. Holds a sentence with the reason.
    Retrying(String),
    /// The browser is offline; the load goes on by itself once it is online.
    Offline,
    /// Another tab loads; this one shows its progress, and takes over if it is closed.
    ElsewhereLoading,
    /// A file didn't have its published SHA-256, and is loaded a second time to find the wrong bytes.
    Searching,
}

/// The progress of a pair's load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// The pair's address.
    pub address: String,
    /// What the load is doing.
    pub phase: Phase,
    /// The name of the file that arrives, without folders; empty before the first file.
    pub file: String,
    /// Bytes of the pair that are here, those of earlier loads included.
    pub received: u64,
    /// Bytes of all files of the pair; 0 before they are known.
    pub total: u64,
    /// Bytes per second over the last seconds.
    pub speed: f64,
}

/// From the page to the loader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Open the store. This is the first request; [`Event::Library`] follows.
    Start {
        /// The page's own address, to which the pairs' addresses are relative.
        page_url: String,
    },
    /// List all pairs again: [`Event::Library`].
    List,
    /// List the networks that measure pictures: [`Event::Networks`], also after every later change.
    ListNetworks {
        /// Addresses of manifests that the visitor has typed, to be listed from now on.
        further: Vec<String>,
    },
    /// Add a pair: [`Event::Added`], or [`Event::Failed`] without an address.
    Add(PairSource),
    /// Delete a pair's record, and its weights except those that other pairs use. An added pair leaves
    /// the list.
    Delete {
        /// The pair.
        address: String,
    },
    /// Find out what a pair needs: [`Event::Checked`].
    Check {
        /// The pair.
        address: String,
        /// The size of pictures to count the memory for; none, or one that the pair doesn't draw: its
        /// own.
        size: Option<ImageSize>,
        /// The hashes of the adapters that are put beside its models.
        adapters: Vec<String>,
    },
    /// Start or resume the load of a pair.
    Load {
        /// The pair.
        address: String,
        /// Whether the visitor has accepted the licences that [`Preflight::licences`] lists.
        accepts_licences: bool,
        /// The JSON of the pair's manifest, where the page has it; none: the loader fetches it. That of
        /// a pinned or an added pair comes from the store all the same.
        manifest: Option<String>,
    },
    /// Store an adapter: [`Event::AdapterAdded`] or [`Event::AdapterFailed`].
    AddAdapter(AdapterSource),
    /// Delete an adapter.
    DeleteAdapter {
        /// [`AdapterEntry::hash`].
        hash: String,
    },
    /// Pause a load, in this tab or another; loaded bytes stay.
    Pause {
        /// The pair.
        address: String,
    },
}

/// From the loader to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// All pairs and the storage, after a request or a change.
    Library(Library),
    /// The networks that measure pictures.
    Networks(Vec<NetworkEntry>),
    /// An adapter was stored.
    AdapterAdded(AdapterEntry),
    /// An adapter could not be stored.
    AdapterFailed {
        /// Why, as a sentence.
        message: String,
    },
    /// A pair was added.
    Added {
        /// Its address, which the loader has chosen.
        address: String,
    },
    /// The pre-flight of a pair.
    Checked(Box<Preflight>),
    /// The progress of a load, a few times a second.
    Progress(LoadProgress),
    /// A mishap that a load has recovered from.
    Notice {
        /// The pair; empty where no pair is concerned.
        address: String,
        /// A sentence that says what happened and what was done.
        message: String,
    },
    /// A pair is complete.
    Loaded {
        /// The pair.
        address: String,
    },
    /// A load was paused.
    Paused {
        /// The pair.
        address: String,
    },
    /// The disk, or the page's share of it, is full. Loaded bytes stay.
    Full {
        /// The pair.
        address: String,
        /// Bytes of the pair that are still to be fetched.
        missing: u64,
    },
    /// A request has failed. Loaded bytes stay.
    Failed {
        /// The pair; none where no pair is concerned.
        address: Option<String>,
        /// A sentence that says what is wrong and what to do.
        message: String,
    },
}
