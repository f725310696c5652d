//! A started engine: it has a device, a manifest with its files, and from the first job on the pair.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use super::device;
use super::host::{JobFiles, QuietFiles, ReadingProgress, WorkerHost};
use super::meter::Meter;
use super::preparation::{Outlined, Preparation, Wanted};
use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::globals::worker_scope::WorkerScope;
use crate::engine::allowance::allowance;
use crate::engine::components::load_tokenizers;
use crate::engine::described::{describe, image_sizes};
use crate::engine::error::EngineError;
use crate::engine::generate::{generate, restore, strip};
use crate::engine::grid_state::GridState;
use crate::engine::host::{Host, Outcome, StripRequest};
use crate::engine::pair::Pair;
use crate::engine::perceptual::Perceptual;
use crate::engine::prompt::{AdaptedPrompt, prompts_of};
use crate::engine::run_manifest::{count_encodings, run_manifest};
use crate::history::{self, MAXIMUM_THUMBNAILS, THUMBNAIL_SIDE};
use crate::kernels;
use crate::models::ClipTokenizer;
use crate::protocol::allowance::Allowance;
use crate::protocol::engine::{DeviceKind, Event, Extent, JobEvent, LoadingFrom, Snapshot};
use crate::protocol::stats::Phase;
use crate::recipe::device::DevicePreference;
use crate::recipe::experiment::Experiment;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::recipe::size::ImageSize;
use crate::recipe::{Mode, Recipe};
use crate::results::manifest::{RunDevice, RunManifest};
use crate::sampler::ModelRole;
use crate::weights::manifest::{Manifest, ManifestFile};
use crate::weights::stored::files::{Files, Presence};

/// The address of a pair's manifest.
pub(super) struct PairAddress {
    /// Absolute.
    pub manifest_url: String,
    /// Relative to the page.
    pub on_page: String,
}

/// The outcome of a job that didn't fail.
pub(super) enum JobOutcome {
    /// The job was begun, and has ended.
    Ended(Outcome),
    /// The job was not begun: the loader has to load weights first.
    LacksWeights {
        /// The JSON of the manifest that names them.
        manifest: String,
    },
}

pub(super) struct StartedEngine {
    preference: DevicePreference,
    device: burn::tensor::Device,
    kind: DeviceKind,
    /// What the device calls itself.
    device_name: String,
    /// The limits of the device's adapter; none on the CPU.
    adapter: Option<AdapterLimits>,
    /// The most that the page allows to use of the device.
    at_most: Option<Allowance>,
    files: Files,
    manifest: Manifest,
    manifest_text: String,
    address: PairAddress,
    /// Boxed: moved by value, the models would take a third of a megabyte of the stack each time.
    pair: Option<Box<Pair>>,
    grid: GridState,
    /// None where nothing is measured.
    meter: Option<Rc<Meter>>,
    /// None on the CPU, and where programs can't be compiled ahead.
    preparation: Option<Preparation>,
}

impl StartedEngine {
    pub async fn start(
        scope: &WorkerScope<Event>,
        preference: DevicePreference,
        address: PairAddress,
        measures: bool,
        at_most: Option<Allowance>,
    ) -> Result<Self, EngineError> {
        let (device, info) = device::select(preference).await?;
        let adapter = info.adapter.clone();
        let (kind, device_name) = (info.kind, info.description.clone());
        let meter = measures.then(|| Rc::new(Meter::of(info.kind)));
        scope.post(Event::Device(info));
        let files = Files::open().await;
        if let Some(message) = files.renewal() {
            scope.post(Event::Notice {
                message: message.into(),
            });
        }
        let (manifest, manifest_text) = files.manifest(&address.manifest_url).await?;
        scope.post(Event::Pair(Box::new(describe(&manifest)?)));
        let bytes = files.missing_bytes(&manifest).await?;
        scope.post(Event::Missing { bytes });
        let started = Self {
            preference,
            device,
            kind,
            device_name,
            adapter,
            at_most,
            files,
            manifest,
            manifest_text,
            address,
            pair: None,
            grid: GridState::default(),
            meter,
            preparation: None,
        };
        let started = started.with_preparation();
        scope.post(Event::Allowance(started.allowance(None)?));
        Ok(started)
    }

    /// Forgets the programs of a pair before this one.
    fn with_preparation(self) -> Self {
        let preparation = self.adapter.as_ref().and_then(|_| Preparation::new());
        Self {
            preparation,
            ..self
        }
    }

    /// The pair's tokenizers, as far as their files are here: so that a prompt's tokens can be counted
    /// before the first job. Where they can't be read, the job says why.
    pub async fn tokenizers(&self) -> Option<Arc<[ClipTokenizer; 2]>> {
        let components = &self.manifest.components;
        for component in [&components.tokenizer, &components.tokenizer_2] {
            for file in &component.files {
                if !self.files.has(&file.id).await.ok()? {
                    return None;
                }
            }
        }
        let files = QuietFiles(&self.files);
        let tokenizers = load_tokenizers(&self.manifest, &files).await;
        tokenizers.ok().map(Arc::new)
    }

    /// What the pair may use of the device for pictures of a recipe's size.
    fn allowance(&self, size: Option<ImageSize>) -> Result<Allowance, EngineError> {
        let adapter = self.adapter.as_ref().map(|adapter| AdapterLimits {
            // Half precision that can't be used saves no memory.
            has_f16: kernels::is_half(),
            ..adapter.clone()
        });
        let ImageSize { width, height } = image_sizes(&self.manifest).drawn(size)?;
        let planned = allowance(&self.manifest, [width, height], adapter.as_ref())?;
        Ok(match self.at_most {
            Some(most) => planned.at_most(most),
            None => planned,
        })
    }

    pub fn preference(&self) -> DevicePreference {
        self.preference
    }

    pub fn meter(&self) -> Option<Rc<Meter>> {
        self.meter.clone()
    }

    /// Whether the visitor has been told that this browser stores nothing.
    pub fn stores_nothing(&self) -> bool {
        self.files.notice().is_some()
    }

    pub fn hold_weights(&mut self) {
        self.files.give_up_storing();
    }

    /// Replaces the pair; device and files stay.
    pub async fn change_pair(
        mut self,
        scope: &WorkerScope<Event>,
        address: PairAddress,
        at_most: Option<Allowance>,
    ) -> Result<Self, EngineError> {
        self.pair = None;
        self.at_most = at_most;
        self.grid.clear();
        self.files.renew().await;
        (self.manifest, self.manifest_text) = self.files.manifest(&address.manifest_url).await?;
        self.address = address;
        self = self.with_preparation();
        scope.post(Event::Pair(Box::new(describe(&self.manifest)?)));
        let bytes = self.files.missing_bytes(&self.manifest).await?;
        scope.post(Event::Missing { bytes });
        scope.post(Event::Allowance(self.allowance(None)?));
        Ok(self)
    }

    pub async fn run(
        &mut self,
        recipe: &Recipe,
        extent: &Extent,
        snapshots: &[Snapshot],
        host: &mut WorkerHost<'_>,
    ) -> Result<JobOutcome, EngineError> {
        if host.is_cancelled() {
            return Ok(JobOutcome::Ended(Outcome::Cancelled));
        }
        recipe.validate()?;
        let allowance = self.allowance(recipe.size)?;
        self.files.renew().await;
        let url = &self.address.manifest_url;
        // A pair that is loaded reads further models as they are needed, and what was stored of them may
        // have been deleted meanwhile.
        let is_here = match &self.pair {
            Some(_) => {
                let prompts = plain_prompts(recipe);
                self.has_all(self.read_by(&recipe.modes, &prompts)).await?
            }
            None => false,
        };
        let presence = if is_here {
            Presence::Complete
        } else {
            self.files.presence(&self.manifest, url).await?
        };
        if presence == Presence::Storable {
            let manifest = self.manifest_text.clone();
            return Ok(JobOutcome::LacksWeights { manifest });
        }
        host.allow(allowance);
        host.post(JobEvent::Started);
        let drawn = self.draw(recipe, extent, snapshots, presence, host).await;
        match drawn {
            // A job that is cancelled while files are read or loaded has not failed.
            Err(EngineError::Files(error)) if error.is_cancelled() => {
                Ok(JobOutcome::Ended(Outcome::Cancelled))
            }
            drawn => drawn.map(JobOutcome::Ended),
        }
    }

    async fn draw(
        &mut self,
        recipe: &Recipe,
        extent: &Extent,
        snapshots: &[Snapshot],
        presence: Presence,
        host: &mut WorkerHost<'_>,
    ) -> Result<Outcome, EngineError> {
        if presence == Presence::Unstorable {
            self.hold(host).await?;
        }
        if let Some(pair) = &mut self.pair {
            // What leaves for other adapters is read again.
            pair.attach(&recipe.adapters, &QuietFiles(&self.files))
                .await?;
        }
        let prompts: Vec<AdaptedPrompt> = match &self.pair {
            Some(pair) => pair.adapted_prompts(recipe),
            None => plain_prompts(recipe),
        };
        let reading = self.reading(&recipe.modes, &prompts).await?;
        let files = JobFiles {
            files: &self.files,
            host,
            reading: &reading,
            is_requantization_noted: Cell::new(false),
        };
        if let Some(preparation) = &self.preparation {
            preparation.count_anew();
        }
        let start = host.milliseconds();
        let mut reads_weights = self.pair.is_none();
        let allowance = self.allowance(recipe.size)?;
        let wanted = Wanted { recipe, extent };
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => {
                self.files.note_use(&self.address.manifest_url).await;
                let tokenizers = match host.tokenizers() {
                    Some(tokenizers) => tokenizers,
                    None => Arc::new(load_tokenizers(&self.manifest, &files).await?),
                };
                host.count_with(&tokenizers);
                if let Some(preparation) = &mut self.preparation {
                    host.post(JobEvent::Preparing { done: 0, total: 0 });
                    let outlined = Outlined {
                        manifest: &self.manifest,
                        tokenizers: &tokenizers,
                        device: &self.device,
                        allowance,
                    };
                    preparation
                        .begin_with_outlines(&outlined, &files, &wanted)
                        .await?;
                }
                let (manifest, device) = (self.manifest.clone(), self.device.clone());
                Box::new(Pair::load_with(tokenizers, manifest, device, &files).await?)
            }
        };
        let pair = self.pair.insert(pair);
        pair.draw_in(recipe.size)?;
        pair.attach(&recipe.adapters, &files).await?;
        let prompts = pair.adapted_prompts(recipe);
        pair.allow(allowance);
        // Before the UNets, as the text encoders may leave them their memory.
        let loaded = match pair.encode_prompts(&prompts, &files).await {
            Ok(()) => pair.load_unets(&recipe.modes, &files).await,
            Err(error) => Err(error),
        };
        match loaded {
            Ok(loaded) => reads_weights |= loaded,
            Err(error) => {
                // A damaged record has been discarded, so the next job has to check for all files again.
                self.pair = None;
                return Err(error);
            }
        }
        if reads_weights {
            host.took(Phase::ReadingWeights, host.milliseconds() - start);
        }
        if let Some(preparation) = &mut self.preparation {
            preparation.complete(pair, &wanted, host).await?;
        }
        if extent.resumes {
            restore(pair, recipe, snapshots, &mut self.grid)?;
        }
        generate(pair, recipe, extent, &mut self.grid, host).await
    }

    /// Loads the files into memory that can't be stored.
    async fn hold(&mut self, host: &WorkerHost<'_>) -> Result<(), EngineError> {
        let on_progress = |received, total| {
            host.post(JobEvent::Loading {
                received,
                total,
                from: LoadingFrom::Network,
            });
            if host.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let url = &self.address.manifest_url;
        self.files.hold(&self.manifest, url, on_progress).await?;
        if let Some(message) = self.files.notice() {
            host.notice(message);
        }
        Ok(())
    }

    pub async fn decode_strip(
        &self,
        request: &StripRequest,
        host: &mut WorkerHost<'_>,
    ) -> Result<(), EngineError> {
        let pair = self.pair.as_deref().ok_or(EngineError::StepsDiscarded)?;
        strip(pair, &self.grid, request, host).await
    }

    /// What an experiment runs with here, from the text of its file.
    pub async fn run_manifest(&self, experiment: &str) -> Result<RunManifest, EngineError> {
        let experiment = Experiment::from_json(experiment)?;
        let settings = &experiment.settings;
        let mut encodings = BTreeMap::new();
        for file in self.manifest.files() {
            // Where they are not known without reading the tensors, nothing is said of them.
            if let Ok(Some(tensors)) = self.files.outlines(&file.id).await {
                encodings.insert(file.id.clone(), count_encodings(&tensors));
            }
        }
        let limits = self.adapter.iter().flat_map(|adapter| {
            [
                ("maxBufferSize", adapter.buffer),
                ("maxStorageBufferBindingSize", adapter.binding),
                ("maxComputeWorkgroupStorageSize", adapter.workgroup_storage),
                (
                    "maxComputeInvocationsPerWorkgroup",
                    adapter.workgroup_invocations,
                ),
            ]
        });
        let device = RunDevice {
            kind: match self.kind {
                DeviceKind::WebGpu => "gpu".to_owned(),
                DeviceKind::Cpu => "cpu".to_owned(),
            },
            name: self.device_name.clone(),
            batch: self.allowance(settings.size)?.batch,
            limits: limits
                .map(|(name, limit)| (name.to_owned(), limit))
                .collect(),
        };
        run_manifest(&experiment, &self.manifest, &encodings, device)
    }

    /// A network that measures pictures, read to the device.
    pub async fn network(&mut self, manifest_url: &str) -> Result<Perceptual, EngineError> {
        self.files.renew().await;
        let manifest = self.files.network(manifest_url).await?;
        let files = QuietFiles(&self.files);
        Perceptual::load(manifest, self.device.clone(), &files).await
    }

    /// The history's entry for the grid of this recipe; none where no image of it is finished.
    pub fn history_entry(&self, recipe: &Recipe) -> Option<history::Entry> {
        let images = u32::try_from(self.grid.images()).ok()?;
        if images == 0 || !self.grid.is_of(recipe) {
            return None;
        }
        let (address, name) = (&self.address.on_page, &self.manifest.name);
        Some(history::Entry {
            recipe: SavedRecipe::new(address, name, recipe.clone(), None),
            drawn_at: js_sys::Date::now(),
            images,
            thumbnails: self.grid.thumbnails(MAXIMUM_THUMBNAILS, THUMBNAIL_SIDE),
        })
    }

    /// The bytes that a job with these modes and prompts reads from the store.
    async fn reading(
        &self,
        modes: &[Mode],
        prompts: &[AdaptedPrompt],
    ) -> Result<ReadingProgress, EngineError> {
        let mut total = 0;
        for file in self.read_by(modes, prompts) {
            total += self.files.stored_size(&file.id).await?;
        }
        Ok(ReadingProgress::of(total))
    }

    /// Whether all of these files can be read.
    async fn has_all(&self, files: Vec<&ManifestFile>) -> Result<bool, EngineError> {
        for file in files {
            if !self.files.has(&file.id).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files that a job with these modes and prompts reads: those of models that aren't loaded.
    fn read_by(&self, modes: &[Mode], prompts: &[AdaptedPrompt]) -> Vec<&ManifestFile> {
        let pair = self.pair.as_ref();
        let reads_text_encoder =
            |index| pair.is_none_or(|pair| pair.reads_text_encoder(index, prompts));
        let has_base = pair.is_some_and(|pair| pair.shares_base());
        let components = &self.manifest.components;
        let lacks = |role| pair.is_none_or(|pair| pair.unet(role).is_err());
        let distilled =
            modes.iter().any(|mode| mode.needs_distilled()) && lacks(ModelRole::Distilled);
        let adapts = distilled && components.unet_distilled.adapter_on.is_some();
        let base = modes.iter().any(|mode| mode.needs_base()) || adapts;
        let mut files = Vec::new();
        for (name, component) in components.iter() {
            let is_read = match name {
                "unet" => base && lacks(ModelRole::Base) && !has_base,
                "unet_distilled" => distilled,
                "text_encoder" => reads_text_encoder(0),
                "text_encoder_2" => reads_text_encoder(1),
                _ => pair.is_none(),
            };
            files.extend(component.files.iter().filter(|_| is_read));
        }
        files
    }
}

/// The prompts of a recipe as text encoders without adapters read them.
fn plain_prompts(recipe: &Recipe) -> Vec<AdaptedPrompt> {
    prompts_of(recipe).into_iter().map(Into::into).collect()
}
