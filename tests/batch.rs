//! Experiments drawn into folders: shards are a whole run, a killed run goes on, and what is written is
//! read back.

#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use firststep::batch::{RunFolder, Source, add_network, collect, merge, read_network};
use firststep::engine::describe;
use firststep::picture::find_recipe::{FoundRecipe, find_recipe};
use firststep::recipe::Mode;
use firststep::recipe::experiment::{Experiment, PictureFile, PictureId, Study, prompts};
use firststep::recipe::saved_recipe::SavedRecipe;
use firststep::results::{PictureRecord, npy, report};
use firststep::weights::manifest::Manifest;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder that is empty, and goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Scratch(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Few steps of few pictures, on a page for each prompt.
fn experiment(study: Study) -> Experiment {
    let manifest = fs::read_to_string(format!("{ROOT}/public/pairs/emoji/manifest.json"));
    let manifest = Manifest::parse(&manifest.expect("a manifest")).expect("a manifest");
    let mut settings = describe(&manifest).expect("a pair").recipe;
    settings.modes = vec![Mode::Base, Mode::Distilled, Mode::Hybrid];
    settings.base_steps = 2;
    settings.hybrid_base_steps = 1;
    settings.distilled_steps = 2;
    settings.k = 1;
    Experiment {
        study,
        pair: "pairs/emoji/manifest.json".into(),
        prompts: vec!["image of a dog face".into(), "red, \"apple\"".into()],
        images: 3,
        settings,
    }
}

fn write(scratch: &Scratch, experiment: &Experiment) -> PathBuf {
    let path = scratch.path("experiment.json");
    fs::write(&path, experiment.to_json().expect("JSON")).expect("a file");
    path
}

fn command(experiment: &Path, out: &Path, further: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_run"));
    command.current_dir(ROOT).arg(experiment);
    command.arg("--out").arg(out).args(further);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(experiment: &Path, out: &Path, further: &[&str]) {
    let status = command(experiment, out, further).status();
    assert!(status.expect("it starts").success());
}

/// Records without their times.
fn records(folder: &Path) -> BTreeMap<PictureId, PictureRecord> {
    let records = RunFolder::new(folder).records().expect("records");
    let timeless = records.into_iter().map(|(id, record)| {
        assert!(record.milliseconds > 0.0);
        let milliseconds = 0.0;
        (
            id,
            PictureRecord {
                milliseconds,
                ..record
            },
        )
    });
    timeless.collect()
}

/// Asserts that two folders hold the same pictures and numbers.
fn assert_same(found: &Path, expected: &Path) {
    let (ours, theirs) = (records(found), records(expected));
    assert_eq!(ours, theirs);
    for record in ours.values() {
        let file = record.file.as_ref().expect("a file");
        let [ours, theirs] = [found, expected].map(|it| fs::read(it.join(file)).expect("a file"));
        assert_eq!(ours, theirs, "{file}");
    }
    let rows = |folder: &Path| collect(&RunFolder::new(folder)).expect("results").rows;
    assert_eq!(rows(found), rows(expected));
}

#[test]
fn shards_are_a_whole_run_and_its_files_are_read_back() {
    let scratch = Scratch::new("shards");
    let experiment = experiment(Study::Convergence);
    let file = write(&scratch, &experiment);
    let whole = scratch.path("whole");
    run(&file, &whole, &["--latents"]);
    let all = records(&whole);
    assert_eq!(all.len(), 2 * 3 * 3);
    for record in all.values() {
        let distances: Option<Vec<f64>> = record.steps.iter().map(|it| it.distance).collect();
        let distances = distances.expect("each step was measured");
        assert_eq!(distances.len(), 2);
        let latent = whole.join(experiment.path_of(PictureFile::Latent, record.id));
        let latent = fs::read(latent).expect("a latent");
        let latent = npy::read(&latent).expect("an array");
        assert_eq!(latent.shape, [1, 4, 16, 16]);
        // Its recipe draws the very picture.
        let file = record.file.as_ref().expect("a file");
        let picture = fs::read(whole.join(file)).expect("a picture");
        let Ok(FoundRecipe::Recipe(recipe)) = find_recipe(&picture) else {
            panic!("{file} has no recipe");
        };
        let saved = SavedRecipe::from_json(&recipe).expect("a recipe");
        let cell = saved.cell.expect("a cell");
        assert_eq!(saved.recipe.seed_of(cell.column), record.seed);
        let row = &saved.recipe.rows()[cell.row as usize];
        assert_eq!(row.prompt, experiment.prompts[record.id.prompt as usize]);
    }

    // Two processes at once in folders of their own, and two in one.
    let [first, second, together] = ["first", "second", "together"].map(|it| scratch.path(it));
    let mut running: Vec<_> = [("1/2", &first), ("2/2", &second), ("1/2", &together)]
        .map(|(shard, out)| command(&file, out, &["--shard", shard, "--latents"]).spawn())
        .into();
    for process in &mut running {
        let process = process.as_mut().expect("it starts");
        assert!(process.wait().expect("it ends").success());
    }
    assert!(records(&first).len() < all.len());
    run(&file, &together, &["--shard", "2/2"]);
    assert_same(&together, &whole);
    // The second shard's latents are had later.
    run(&file, &together, &["--latents"]);
    assert_same(&together, &whole);
    for record in all.values() {
        let latent = experiment.path_of(PictureFile::Latent, record.id);
        let [ours, theirs] =
            [&together, &whole].map(|it| fs::read(it.join(&latent)).expect("a latent"));
        assert_eq!(ours, theirs, "{latent}");
    }
    let merged = scratch.path("merged");
    let folders = [first, second].map(|it| RunFolder::new(&it));
    merge(&RunFolder::new(&merged), &folders).expect("they belong together");
    assert_same(&merged, &whole);
    assert!(merged.join("latents").is_dir());
    for record in all.values() {
        let targets = experiment.path_of(PictureFile::Targets, record.id);
        let [ours, theirs] =
            [&merged, &whole].map(|it| fs::read(it.join(&targets)).expect("targets"));
        assert_eq!(ours, theirs, "{targets}");
    }

    // What the report has is read by programs.
    let distances = fs::read_to_string(whole.join("report/tables/distances.csv"));
    let lines = prompts::read_csv(&distances.expect("a table")).expect("a table");
    assert_eq!(lines.len(), 1 + 2 * 3 * 3);
    assert!(lines.iter().any(|line| line[0] == "red, \"apple\""));
    assert!(lines.iter().all(|line| line.len() == 6));
    assert!(whole.join("report/figures/convergence.svg").is_file());
    let again = Source::read(&whole.join("run.json").to_string_lossy()).expect("a source");
    assert_eq!(again, Source::Whole(Box::new(experiment)));
}

#[test]
fn a_network_adds_its_distances_and_says_what_the_pictures_cover() {
    let scratch = Scratch::new("network");
    let file = write(&scratch, &experiment(Study::Convergence));
    let out = scratch.path("out");
    run(&file, &out, &[]);
    let folder = RunFolder::new(&out);
    let mut results = collect(&folder).expect("results");
    let structural = results.rows.len();
    futures::executor::block_on(async {
        let path = Path::new(ROOT).join("public/perceptual/emoji");
        let network = read_network(&path).await.expect("the bundled network");
        add_network(&mut results, &folder, &network)
            .await
            .expect("they are measured");
    });
    let report = report(&results).expect("a report");
    let covered = report.tables.iter().find(|it| it.key == "scores-emoji");
    let covered = covered.expect("of a classifier");
    // Two prompts, three modes: each has a row of the network's beside the structural one.
    assert_eq!((structural, results.rows.len()), (6, 12));
    for row in results.rows.iter().skip(structural) {
        assert_eq!(row.distances.columns, [0, 1, 2]);
        let distances = &row.distances.distances;
        assert!(distances.len() == 3 && distances.iter().all(|it| (0.0..=2.0).contains(it)));
        assert!(
            distances.iter().any(|it| *it > 0.0),
            "three seeds are not one picture"
        );
    }
    assert_eq!(covered.rows.len(), 3, "a line for each mode");
    assert_eq!(
        covered.columns.len(),
        5,
        "styles, backgrounds, place and size"
    );
    // The last target is the image but for the noise that the base's last step leaves.
    assert_eq!(results.targets.len(), results.pictures.len());
    for record in &results.targets {
        let [first, last] = record.distances.as_slice() else {
            panic!("two steps: {record:?}");
        };
        assert!(*last < 0.01 && first > last, "{record:?}");
    }
    let mut figures = report.figures.iter().map(|it| it.key.as_str());
    assert_eq!(figures.next(), Some("convergence-emoji"));
    assert_eq!(figures.next(), Some("convergence"));
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_the_same() {
    let scratch = Scratch::new("killed");
    let file = write(&scratch, &experiment(Study::Diversity));
    let [whole, killed] = ["whole", "killed"].map(|it| scratch.path(it));
    run(&file, &whole, &[]);
    let all = records(&whole).len();
    let mut random = 17u64;
    for _ in 0..10 {
        let before = RunFolder::new(&killed).records().expect("records").len();
        let mut process = command(&file, &killed, &[]).spawn().expect("it starts");
        // Until it has drawn something new, and a moment longer.
        while RunFolder::new(&killed).records().expect("records").len() == before {
            if process.try_wait().expect("a process").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_millis(random >> 57));
        let _ = process.kill();
        process.wait().expect("it ends");
    }
    // What the last one had begun to write.
    let records = killed.join("records/1-of-1.jsonl");
    let mut text = fs::read(&records).expect("records");
    text.extend(b"{\"prompt\":0,\"cond");
    fs::write(&records, text).expect("written");
    run(&file, &killed, &[]);
    assert_same(&killed, &whole);
    assert_eq!(
        fs::read_to_string(&records)
            .expect("records")
            .lines()
            .count(),
        all
    );
}

#[test]
fn what_cannot_be_run_is_a_sentence() {
    let scratch = Scratch::new("sentences");
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_run"))
            .current_dir(ROOT)
            .args(arguments)
            .output()
            .expect("it starts");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let out = scratch.path("out");
    let out = out.to_string_lossy();
    let link = experiment(Study::K(vec![1])).to_link().expect("a link");
    assert!(said(&[&link, "--out", &out, "--shard", "3/2"]).contains("such as 1/4"));
    assert!(said(&["nothing", "--out", &out]).contains("is no experiment"));
    assert!(said(&[&link, "--out", &out, "--device", "abacus"]).contains("no device"));
    assert!(said(&["merge", &out, &out]).contains("holds no run"));
    // Cut off within the settings, and within what stands before them.
    for end in [link.len() / 2, 30] {
        let said = said(&[&link[..end], "--out", &out]);
        assert!(said.contains("link"), "{said}");
    }
}
