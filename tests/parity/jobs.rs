//! What jobs leave behind and take up again: first looks, cancelled runs, rows along an axis and
//! strips, by the engine's own job loop on the bundled pair.

use std::collections::BTreeMap;

use burn::tensor::Device;
use firststep::engine::EngineError;
use firststep::engine::GridState;
use firststep::engine::{Outcome, StripRequest, generate, restore, strip};
use firststep::engine::{Pair, describe};
use firststep::picture::image::Image;
use firststep::protocol::allowance::Allowance;
use firststep::protocol::engine::{
    Extent, JobEvent, Latent, Snapshot, StripView, TaskEvent, TaskId,
};
use firststep::recipe::digest::{self, Agreement, StepDigest};
use firststep::recipe::{Axis, CellAddress, Mode, Recipe};
use firststep::sampler::{ModelRole, SchedulerChoice};

use crate::support::{BundledPair, Recorder, block_on};

/// What a test looks for in the events of a job.
trait RecordedJob {
    fn images(&self) -> BTreeMap<CellAddress, &Image>;
    fn previews(&self, wanted: CellAddress) -> Vec<&Image>;
    fn resting(&self) -> usize;
}

impl RecordedJob for Recorder {
    fn images(&self) -> BTreeMap<CellAddress, &Image> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Image { cell, image, .. } => Some((*cell, image)),
                _ => None,
            })
            .collect()
    }

    fn previews(&self, wanted: CellAddress) -> Vec<&Image> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Step { cell, preview, .. } if *cell == wanted => Some(preview),
                _ => None,
            })
            .collect()
    }

    fn resting(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, JobEvent::CellRests { .. }))
            .count()
    }
}

fn load() -> (Pair, Recipe) {
    let bundled = BundledPair::read();
    let pair = block_on(async {
        let mut pair = Pair::load(bundled.manifest.clone(), Device::flex(), &bundled).await?;
        pair.load_unets(&Mode::ALL, &bundled).await?;
        Ok::<_, EngineError>(pair)
    });
    let mut recipe = describe(&bundled.manifest).expect("a pair").recipe;
    recipe.modes = vec![Mode::Distilled, Mode::Hybrid];
    recipe.seed_count = 2;
    (pair.expect("the bundled pair loads"), recipe)
}

fn run(
    pair: &Pair,
    recipe: &Recipe,
    extent: &Extent,
    grid: &mut GridState,
    recorder: &mut Recorder,
) -> Outcome {
    block_on(generate(pair, recipe, extent, grid, recorder)).expect("no failure")
}

#[test]
fn cells_that_rested_and_cells_that_were_cancelled_end_as_a_full_run_does() {
    let (pair, recipe) = load();
    let mut whole = Recorder::default();
    let all = Extent::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut whole);
    assert_eq!(whole.images().len(), 4);

    let mut grid = GridState::default();
    let mut looks = Recorder::default();
    let first_look = Extent {
        depth: Some(1),
        ..Extent::default()
    };
    run(&pair, &recipe, &first_look, &mut grid, &mut looks);
    assert_eq!((looks.resting(), looks.images().len()), (4, 0));

    // Two of them, of which the second is cancelled after one further step.
    let chosen = [(0, 1), (1, 0)].map(|(row, column)| CellAddress { row, column });
    let finish = Extent {
        resumes: true,
        cells: Some(chosen.to_vec()),
        ..Extent::default()
    };
    let mut first = Recorder {
        // The start and one step.
        cancel_after: Some(2),
        ..Recorder::default()
    };
    let outcome = run(&pair, &recipe, &finish, &mut grid, &mut first);
    assert_eq!(outcome, Outcome::Cancelled);
    let mut second = Recorder::default();
    run(&pair, &recipe, &finish, &mut grid, &mut second);
    let expected: BTreeMap<_, _> = whole
        .images()
        .into_iter()
        .filter(|(cell, _)| chosen.contains(cell))
        .collect();
    assert_eq!(second.images(), expected);
    // Of 4 steps each: one at the first look, one before the cancellation.
    let steps = |recorder: &Recorder| {
        chosen
            .iter()
            .map(|cell| recorder.previews(*cell).len())
            .sum::<usize>()
    };
    assert_eq!((steps(&first), steps(&second)), (1, 5));

    // A finished cell that a job names again is drawn again.
    let again = Extent {
        cells: Some(chosen[..1].to_vec()),
        ..finish
    };
    let mut third = Recorder::default();
    run(&pair, &recipe, &again, &mut grid, &mut third);
    assert_eq!(third.previews(chosen[0]).len(), 4);
    assert_eq!(third.images()[&chosen[0]], expected[&chosen[0]]);

    let row = second
        .events
        .iter()
        .any(|event| matches!(event, JobEvent::Diversity { .. }));
    assert!(!row, "one image of a row has nothing to differ from");
}

/// The cells in the order of the events that `of` picks.
fn order(recorder: &Recorder, of: fn(&JobEvent) -> Option<CellAddress>) -> Vec<(u32, u32)> {
    let cells = recorder.events.iter().filter_map(of);
    cells.map(|cell| (cell.row, cell.column)).collect()
}

fn started(event: &JobEvent) -> Option<CellAddress> {
    match event {
        JobEvent::CellStarted { cell } => Some(*cell),
        _ => None,
    }
}

fn stepped(event: &JobEvent) -> Option<CellAddress> {
    match event {
        JobEvent::Step { cell, .. } => Some(*cell),
        _ => None,
    }
}

/// The digests of a recorder's steps, by cell.
fn digests(recorder: &Recorder) -> BTreeMap<CellAddress, Vec<StepDigest>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for event in &recorder.events {
        if let JobEvent::Step { cell, digest, .. } = event {
            found.entry(*cell).or_default().push(*digest);
        }
    }
    found
}

/// Asserts that the pictures of both are the same, up to what batches differ by: sums in another order.
fn assert_same_pictures(found: &Recorder, expected: &Recorder) {
    let (found, expected) = (found.images(), expected.images());
    assert!(found.keys().eq(expected.keys()));
    for (cell, image) in found {
        assert_same_picture(cell, image, expected[&cell]);
    }
}

fn assert_same_picture(cell: CellAddress, found: &Image, expected: &Image) {
    let bytes = found.rgba.iter().zip(&expected.rgba);
    let most = bytes.map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(1), "{cell:?} differs by {most:?}");
}

#[test]
fn a_batch_gives_the_pictures_of_single_cells() {
    let (mut pair, mut recipe) = load();
    // Guided steps of the base model's, whose two passes are of the same batch.
    recipe.modes = vec![Mode::Distilled, Mode::Hybrid, Mode::Base];
    recipe.hybrid_base_guidance = 4.0;
    recipe.base_guidance = 3.0;
    recipe.base_steps = 3;
    recipe.seed_count = 3;
    let all = Extent::default();
    let mut single = Recorder::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut single);
    // Row by row: base, distilled, hybrid.
    let fast = |column| [(1, column), (2, column)];
    let base = [(0, 0), (0, 1), (0, 2)];
    let one_by_one = [&fast(0)[..], &fast(1), &fast(2), &base].concat();
    assert_eq!(order(&single, started), one_by_one);

    pair.allow(Allowance {
        batch: 4,
        ..pair.allowance()
    });
    let mut batched = Recorder::default();
    run(
        &pair,
        &recipe,
        &all,
        &mut GridState::default(),
        &mut batched,
    );
    assert_same_pictures(&batched, &single);
    let (found, expected) = (digests(&batched), digests(&single));
    for (cell, digests) in &expected {
        let agreement = digest::compare(&found[cell], digests);
        assert_eq!(agreement, Agreement::Agrees(digests.len()), "{cell:?}");
    }
    // Two guided cells are a batch of four.
    let distilled = [(1, 0), (1, 1), (1, 2)];
    let hybrid = [(2, 0), (2, 1), (2, 2)];
    let together = [distilled, hybrid, base].concat();
    assert_eq!(order(&batched, started), together);
    // Three cells take a step as two and one: none is more than a step ahead.
    let steps = order(&batched, stepped);
    assert_eq!(steps[..6], [distilled, distilled].concat());

    // Cells of a row that have got to different steps end together.
    let mut grid = GridState::default();
    let cell = |column| CellAddress { row: 1, column };
    let part = |columns: &[u32], depth| Extent {
        resumes: true,
        cells: Some(columns.iter().copied().map(cell).collect()),
        depth,
        ..Extent::default()
    };
    let mut first = Recorder::default();
    run(&pair, &recipe, &part(&[1], Some(2)), &mut grid, &mut first);
    let mut cancelled = Recorder {
        // The starts of two cells, and the step of the first pass.
        cancel_after: Some(3),
        ..Recorder::default()
    };
    let ended = run(
        &pair,
        &recipe,
        &part(&[0, 1], None),
        &mut grid,
        &mut cancelled,
    );
    assert_eq!(ended, Outcome::Cancelled);
    let mut rest = Recorder::default();
    run(&pair, &recipe, &part(&[0, 1], None), &mut grid, &mut rest);
    let steps = order(&rest, stepped);
    assert_eq!(steps, [(1, 0), (1, 0), (1, 1), (1, 0), (1, 1)]);
    for (cell, image) in rest.images() {
        assert_same_picture(cell, image, single.images()[&cell]);
    }
}

/// What another engine draws that knows these steps alone.
fn resumed(pair: &Pair, recipe: &Recipe, known: &[Snapshot]) -> Recorder {
    let mut grid = GridState::default();
    restore(pair, recipe, known, &mut grid).expect("the recipe fits");
    let extent = Extent {
        resumes: true,
        ..Extent::default()
    };
    let mut rest = Recorder::default();
    run(pair, recipe, &extent, &mut grid, &mut rest);
    rest
}

/// What the page knows of each step.
fn snapshots(recorder: &Recorder) -> BTreeMap<(CellAddress, u32), Snapshot> {
    let mut snapshots = BTreeMap::new();
    for event in &recorder.events {
        if let JobEvent::Step {
            cell,
            step,
            milliseconds,
            latent,
            ..
        } = event
        {
            let snapshot = Snapshot {
                cell: *cell,
                step: *step,
                milliseconds: *milliseconds,
                latent: latent.clone(),
            };
            snapshots.insert((*cell, *step), snapshot);
        }
    }
    snapshots
}

#[test]
fn solvers_with_a_memory_or_two_passes_a_step_draw_together_and_go_on() {
    let (mut pair, mut recipe) = load();
    pair.allow(Allowance {
        batch: 2,
        ..pair.allowance()
    });
    recipe.modes = vec![Mode::Hybrid];
    recipe.seed_count = 3;
    // Base steps 0 and on of eight in all, then three of the distilled model.
    recipe.hybrid_base_steps = 2;
    for choice in [
        SchedulerChoice::DpmSolverSde,
        SchedulerChoice::UniPc,
        SchedulerChoice::Heun,
    ] {
        recipe.base_scheduler = Some(choice);
        recipe.distilled_scheduler = Some(choice);
        let all = Extent::default();
        let mut whole = Recorder::default();
        run(&pair, &recipe, &all, &mut GridState::default(), &mut whole);
        let snapshots = snapshots(&whole);
        let last = snapshots
            .keys()
            .map(|(_, step)| *step)
            .max()
            .expect("steps");
        assert_eq!(
            snapshots.len(),
            3 * last as usize,
            "{choice:?}: no step is missing"
        );
        for column in 0..3 {
            let cell = CellAddress { row: 0, column };
            assert_eq!(whole.previews(cell).len(), last as usize, "{choice:?}");
        }
        // In the base model's stretch, with one step behind it, and where the image alone is left.
        for step in [1, last] {
            let known: Vec<Snapshot> = (0..3)
                .map(|column| snapshots[&(CellAddress { row: 0, column }, step)].clone())
                .collect();
            let rest = resumed(&pair, &recipe, &known);
            assert_eq!(rest.images(), whole.images(), "{choice:?} from step {step}");
            let taken = rest.previews(CellAddress { row: 0, column: 0 }).len();
            assert_eq!(taken, (last - step) as usize, "{choice:?}");
        }
    }
}

#[test]
fn an_engine_goes_on_where_another_one_failed() {
    let (pair, recipe) = load();
    let all = Extent::default();
    let mut whole = Recorder::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut whole);

    // Four cells of four steps: what the page knows after the last step of the second.
    let mut failed = Recorder {
        cancel_after: Some(1 + 4 + 1 + 1 + 4),
        ..Recorder::default()
    };
    run(&pair, &recipe, &all, &mut GridState::default(), &mut failed);
    let snapshots = snapshots(&failed);
    let [first, second] = [(0, 0), (1, 0)].map(|(row, column)| CellAddress { row, column });
    assert_eq!(snapshots.len(), 8);
    // The first cell has got to each of its steps in turn, the second one only lacks its image.
    for step in 1..=4 {
        let mut known = vec![
            snapshots[&(first, step)].clone(),
            snapshots[&(second, 4)].clone(),
        ];
        // What doesn't fit is of no use, and does no harm.
        known.push(Snapshot {
            cell: CellAddress { row: 0, column: 1 },
            latent: Latent::of(&[1.0]),
            ..known[0].clone()
        });
        known.push(Snapshot {
            cell: CellAddress { row: 9, column: 0 },
            ..known[0].clone()
        });
        let rest = resumed(&pair, &recipe, &known);
        assert_eq!(rest.images(), whole.images(), "from step {step}");
        let taken = [first, second].map(|cell| rest.previews(cell).len());
        assert_eq!(taken, [4 - step as usize, 0]);
    }
}

#[test]
fn a_row_tells_its_diversity_from_the_second_image_on() {
    let (pair, mut recipe) = load();
    recipe.modes = vec![Mode::Distilled];
    recipe.seed_count = 3;
    let mut recorder = Recorder::default();
    let all = Extent::default();
    run(
        &pair,
        &recipe,
        &all,
        &mut GridState::default(),
        &mut recorder,
    );
    let numbers: Vec<_> = recorder
        .events
        .iter()
        .filter_map(|event| match event {
            JobEvent::Diversity { row, diversity, .. } => Some((*row, diversity.pictures)),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [(0, 2), (0, 3)]);
}

#[test]
fn rows_along_an_axis_are_the_runs_that_they_stand_for() {
    let (pair, mut recipe) = load();
    recipe.seed_count = 1;
    recipe.axis = Axis::K(vec![1, 3]);
    let mut spread = Recorder::default();
    let all = Extent::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut spread);
    let row = |row| CellAddress { row, column: 0 };
    let spread_images = spread.images();
    assert_eq!(spread_images.len(), 3);

    recipe.axis = Axis::Modes;
    recipe.k = 3;
    let mut plain = Recorder::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut plain);
    assert_eq!(spread_images[&row(0)], plain.images()[&row(0)], "distilled");
    assert_eq!(spread_images[&row(2)], plain.images()[&row(1)], "k = 3");
    assert_ne!(spread_images[&row(1)], spread_images[&row(2)]);

    recipe.axis = Axis::Prompts(vec!["red apple".into()]);
    let mut prompts = Recorder::default();
    run(
        &pair,
        &recipe,
        &all,
        &mut GridState::default(),
        &mut prompts,
    );
    let images = prompts.images();
    assert_eq!(images.len(), 4);
    assert_eq!(images[&row(1)], plain.images()[&row(1)], "the first prompt");
    recipe.axis = Axis::Modes;
    recipe.prompt = "red apple".into();
    let mut apple = Recorder::default();
    run(&pair, &recipe, &all, &mut GridState::default(), &mut apple);
    assert_eq!(images[&row(3)], apple.images()[&row(1)], "the second");
}

/// A frame of a strip: its step, timestep and model, and the picture.
type Labelled<'a> = (u32, f32, ModelRole, &'a Image);

/// The frames of a strip and its distances.
fn frames(events: &[(TaskId, TaskEvent)]) -> (Vec<Labelled<'_>>, Option<&Vec<f64>>) {
    let frames = events
        .iter()
        .filter_map(|(_, event)| match event {
            TaskEvent::StripFrame {
                step,
                timestep,
                model,
                frame,
                ..
            } => Some((*step, *timestep, *model, frame)),
            _ => None,
        })
        .collect();
    let distances = events.iter().find_map(|(_, event)| match event {
        TaskEvent::Convergence { distances, .. } => Some(distances),
        _ => None,
    });
    (frames, distances)
}

#[test]
fn a_strip_has_a_frame_per_step_and_ends_at_the_image() {
    let (pair, mut recipe) = load();
    recipe.modes = vec![Mode::Hybrid];
    recipe.seed_count = 1;
    let cell = CellAddress::default();
    let request = |view, skip| StripRequest {
        task: 5,
        recipe: recipe.clone(),
        cell,
        view,
        skip,
        sends_frames: true,
    };
    let mut grid = GridState::default();
    let mut recorder = Recorder::default();
    // Requested in the middle of the job: a strip of the steps so far.
    recorder.strips.push_back(request(StripView::Target, 0));
    let all = Extent::default();
    run(&pair, &recipe, &all, &mut grid, &mut recorder);
    let (early, no_distances) = frames(&recorder.task_events);
    assert_eq!(early.len(), 1);
    assert!(no_distances.is_none(), "there is no image to be far from");

    let decode = |request: StripRequest| {
        let mut host = Recorder::default();
        block_on(strip(&pair, &grid, &request, &mut host)).expect("a strip");
        assert!(matches!(
            host.task_events.last(),
            Some((5, TaskEvent::Done))
        ));
        host
    };
    let targets = decode(request(StripView::Target, 0));
    let (found, distances) = frames(&targets.task_events);
    let previews = recorder.previews(cell);
    let shown: Vec<_> = found.iter().map(|(.., frame)| *frame).collect();
    assert_eq!(shown, previews, "the targets of the steps themselves");
    let labels: Vec<_> = found
        .iter()
        .map(|(step, t, model, _)| (*step, *t, *model))
        .collect();
    let distilled = ModelRole::Distilled;
    assert_eq!(
        labels,
        [
            (1, 999.0, ModelRole::Base),
            (2, 599.0, distilled),
            (3, 399.0, distilled),
            (4, 199.0, distilled)
        ]
    );
    let distances = distances.expect("a finished cell has a curve");
    assert_eq!(distances.len(), 4);
    assert!(distances[0] > 0.2, "{distances:?}");
    // LCM's last step ends at the target itself.
    assert!(distances[3] < 1e-6, "{distances:?}");

    let samples = decode(request(StripView::Sample, 1));
    let (found, distances) = frames(&samples.task_events);
    let steps: Vec<_> = found.iter().map(|(step, ..)| *step).collect();
    assert_eq!(steps, [2, 3, 4]);
    assert!(distances.is_none());
    assert!(found.iter().all(|(.., frame)| !previews.contains(frame)));
}

#[test]
fn a_strip_of_another_recipe_is_a_sentence() {
    let (pair, recipe) = load();
    let request = StripRequest {
        task: 1,
        recipe,
        cell: CellAddress::default(),
        view: StripView::Target,
        skip: 0,
        sends_frames: true,
    };
    let mut host = Recorder::default();
    block_on(strip(&pair, &GridState::default(), &request, &mut host))
        .expect("no failure of the device");
    match host.task_events.as_slice() {
        [(1, TaskEvent::Failed { message })] => {
            assert!(message.contains("Draw it again"), "{message}");
        }
        events => panic!("{events:?}"),
    }
}
