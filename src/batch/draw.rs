//! Draws the pictures of a shard that are not there yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::error::BatchError;
use super::folder::{RunFolder, Shard};
use super::host::BatchHost;
use super::pair_folder::PairFolder;
use crate::engine::{GridState, Pair, allowance, describe, generate, strip};
use crate::protocol::engine::Extent;
use crate::recipe::CellAddress;
use crate::recipe::experiment::{Experiment, Page, PictureFile, PictureId};

/// How a shard is drawn.
#[derive(Clone, Debug)]
pub struct DrawOptions {
    /// The part to draw.
    pub shard: Shard,
    /// Where the models run.
    pub device: Device,
    /// Cells that take a step together.
    pub batch: u32,
    /// Whether the last latents are saved.
    pub saves_latents: bool,
    /// Further files of adapters.
    pub adapters: Vec<PathBuf>,
}

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Pictures that are there.
    pub done: usize,
    /// Pictures of the shard.
    pub total: usize,
    /// Time that the rest takes, by what was drawn so far.
    pub left: Option<Duration>,
}

/// Draws what a shard lacks. It may be killed at any moment: the next call goes on, and the pictures are
/// the same. `on_progress` is told of each picture.
///
/// # Errors
/// The pair doesn't fit the experiment, the device fails, or the folder can't be written.
pub async fn draw(
    experiment: &Experiment,
    source: &mut PairFolder,
    folder: &RunFolder,
    options: &DrawOptions,
    mut on_progress: impl FnMut(Progress),
) -> Result<(), BatchError> {
    let pages = experiment.pages();
    let pages = pages
        .iter()
        .filter(|page| options.shard.includes(page.number));
    let pages: Vec<&Page> = pages.collect();
    let known = folder.records()?.into_keys();
    // A picture that was drawn without its latent is drawn again for it.
    let known: BTreeSet<PictureId> = known
        .filter(|it| {
            let latent = || experiment.path_of(PictureFile::Latent, *it);
            !options.saves_latents || folder.path().join(latent()).is_file()
        })
        .collect();
    let mut work = Work::of(experiment, &pages, &known);
    on_progress(work.progress());
    if work.done == work.total {
        return Ok(());
    }
    source.add_adapters(&experiment.settings.adapters, &options.adapters)?;
    let info = describe(&source.manifest)?;
    let (manifest, files) = (source.manifest.clone(), &source.files);
    let mut pair = Pair::load(manifest, options.device.clone(), files).await?;
    let size = experiment.settings.size.unwrap_or(info.sizes.own);
    let mut allowed = allowance(&source.manifest, [size.width, size.height], None)?;
    allowed.batch = options.batch.max(1);
    pair.allow(allowed);
    pair.draw_in(experiment.settings.size)?;
    pair.attach(&experiment.settings.adapters, files).await?;
    let mut records = folder.open_records(options.shard)?;
    work.start = Instant::now();
    for page in pages {
        let lacking: Vec<CellAddress> = page
            .cells()
            .filter(|(_, picture)| !known.contains(picture))
            .map(|(cell, _)| cell)
            .collect();
        if lacking.is_empty() {
            continue;
        }
        let prompts = pair.adapted_prompts(&page.recipe);
        pair.encode_prompts(&prompts, files).await?;
        pair.load_unets(&page.recipe.modes, files).await?;
        let mut on_picture = |condition| {
            work.count(condition);
            on_progress(work.progress());
        };
        let mut host = BatchHost {
            experiment,
            page,
            pair: &info,
            folder,
            records: &mut records,
            saves_latents: options.saves_latents,
            start: Instant::now(),
            on_picture: &mut on_picture,
            cells: BTreeMap::new(),
            strips: VecDeque::new(),
            tasks: BTreeMap::new(),
            error: None,
        };
        let extent = Extent {
            cells: Some(lacking),
            ..Extent::default()
        };
        let mut grid = GridState::default();
        generate(&pair, &page.recipe, &extent, &mut grid, &mut host).await?;
        // The last picture's strip comes after the job.
        while let Some(request) = host.strips.pop_front() {
            strip(&pair, &grid, &request, &mut host).await?;
        }
        if let Some(error) = host.error {
            return Err(error);
        }
    }
    Ok(())
}

/// What a shard has to do, weighed by the passes of the models.
struct Work {
    /// The cost of a picture, by condition.
    costs: Vec<f64>,
    done: usize,
    total: usize,
    drawn: f64,
    left: f64,
    start: Instant,
}

impl Work {
    fn of(experiment: &Experiment, pages: &[&Page], known: &BTreeSet<PictureId>) -> Work {
        let costs: Vec<f64> = experiment
            .conditions()
            .iter()
            .map(|condition| {
                let (base, distilled) = experiment.passes_of(condition);
                // The last decode is another one.
                (base + distilled + 1) as f64
            })
            .collect();
        let mut work = Work {
            costs,
            done: 0,
            total: 0,
            drawn: 0.0,
            left: 0.0,
            start: Instant::now(),
        };
        for (_, picture) in pages.iter().flat_map(|page| page.cells()) {
            work.total += 1;
            if known.contains(&picture) {
                work.done += 1;
            } else {
                work.left += work.cost(picture.condition);
            }
        }
        work
    }

    fn cost(&self, condition: u32) -> f64 {
        self.costs.get(condition as usize).copied().unwrap_or(1.0)
    }

    fn count(&mut self, condition: u32) {
        let cost = self.cost(condition);
        self.done += 1;
        self.drawn += cost;
        self.left -= cost;
    }

    fn progress(&self) -> Progress {
        let each = self.start.elapsed().as_secs_f64() / self.drawn;
        let left = (self.drawn > 0.0).then(|| Duration::from_secs_f64(each * self.left.max(0.0)));
        Progress {
            done: self.done,
            total: self.total,
            left,
        }
    }
}
