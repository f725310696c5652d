//! The arguments of `run`, and what it says while it works.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use burn::tensor::Device;
use firststep::batch::{
    BatchError, DrawOptions, PairFolder, Progress, RunFolder, Shard, Source, draw, measured, merge,
    run_manifest, write_report,
};
use firststep::engine::describe;
use firststep::recipe::experiment::Experiment;
use firststep::results::manifest::RunDevice;

const USAGE: &str = "Usage: run <what> --out <folder> [--pair <manifest>] [--shard 1/4] \
    [--device cpu|gpu] [--batch <n>] [--latents] [--adapter <file> …] [--plan]\n       \
    run merge <folder> [<folder of a shard> …]\n\
    <what> is an experiment's file, a run.json, a saved recipe, a picture with its recipe, or a link.";

/// Where the pairs of the page are, relative to the folder in which the program is started.
const PAGE: &str = "public";

/// Carries out the arguments; an error is a sentence.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let arguments: Vec<String> = arguments.collect();
    let done = match arguments.as_slice() {
        [first, ..] if matches!(first.as_str(), "--help" | "-h") => {
            say(USAGE);
            Ok(())
        }
        [first] if first == "merge" => return Err(USAGE.to_owned()),
        [first, into, from @ ..] if first == "merge" => run_merge(into, from),
        _ => run_draw(&Arguments::parse(&arguments)?),
    };
    done.map_err(|error| error.to_string())
}

struct Arguments {
    what: String,
    out: Option<PathBuf>,
    pair: Option<PathBuf>,
    shard: Shard,
    device: String,
    batch: u32,
    saves_latents: bool,
    adapters: Vec<PathBuf>,
    only_plans: bool,
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            what: String::new(),
            out: None,
            pair: None,
            shard: Shard::WHOLE,
            device: "cpu".to_owned(),
            batch: 1,
            saves_latents: false,
            adapters: Vec::new(),
            only_plans: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| USAGE.to_owned());
            match argument.as_str() {
                "--out" => parsed.out = Some(value()?.into()),
                "--pair" => parsed.pair = Some(value()?.into()),
                "--shard" => {
                    let shard = value()?.parse();
                    parsed.shard = shard.map_err(|error: BatchError| error.to_string())?;
                }
                "--device" => value()?.clone_into(&mut parsed.device),
                "--batch" => {
                    let batch = value()?.parse().ok().filter(|it| (1..=1024).contains(it));
                    parsed.batch =
                        batch.ok_or_else(|| "--batch takes a number from 1 to 1024.".to_owned())?;
                }
                "--latents" => parsed.saves_latents = true,
                "--adapter" => parsed.adapters.push(value()?.into()),
                "--plan" => parsed.only_plans = true,
                option if option.starts_with("--") => {
                    return Err(format!("There is no option {option}.\n{USAGE}"));
                }
                what if parsed.what.is_empty() => what.clone_into(&mut parsed.what),
                _ => return Err(USAGE.to_owned()),
            }
        }
        let lacks_folder = parsed.out.is_none() && !parsed.only_plans;
        if parsed.what.is_empty() || lacks_folder {
            return Err(USAGE.to_owned());
        }
        Ok(parsed)
    }
}

fn run_draw(arguments: &Arguments) -> Result<(), BatchError> {
    let source = Source::read(&arguments.what)?;
    let own = Path::new(PAGE).join(source.pair());
    if arguments.pair.is_none() && !own.exists() {
        return Err(BatchError::NoPair { path: own });
    }
    let mut pair = PairFolder::read(arguments.pair.as_deref().unwrap_or(&own))?;
    let experiment = source.experiment(&describe(&pair.manifest)?.recipe)?;
    say_plan(&experiment);
    let Some(out) = arguments.out.as_ref().filter(|_| !arguments.only_plans) else {
        return Ok(());
    };
    let (device, run_device) = choose(&arguments.device, arguments.batch)?;
    let folder = RunFolder::new(out);
    folder.begin(&run_manifest(&experiment, &pair, run_device)?)?;
    let options = DrawOptions {
        shard: arguments.shard,
        device,
        batch: arguments.batch,
        saves_latents: arguments.saves_latents,
        adapters: arguments.adapters.clone(),
    };
    let drawing = draw(&experiment, &mut pair, &folder, &options, say_progress);
    futures::executor::block_on(drawing)?;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    if arguments.shard == Shard::WHOLE {
        finish(&folder)
    } else {
        say("The shard is done. `run merge` measures all of them.");
        Ok(())
    }
}

fn run_merge(into: &str, from: &[String]) -> Result<(), BatchError> {
    let into = RunFolder::new(Path::new(into));
    let from: Vec<RunFolder> = from
        .iter()
        .map(|it| RunFolder::new(Path::new(it)))
        .collect();
    merge(&into, &from)?;
    finish(&into)
}

fn finish(folder: &RunFolder) -> Result<(), BatchError> {
    let results = measured(folder)?;
    write_report(folder, &results)?;
    let expected = results.manifest.experiment()?.passes().pictures;
    say(&format!(
        "{} of {expected} pictures. The tables and figures are in {}.",
        results.pictures.len(),
        folder.path().join("report").display()
    ));
    Ok(())
}

/// Whoever reads it may have read enough, as `head`: that ends no run.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn say_plan(experiment: &Experiment) {
    let passes = experiment.passes();
    say(&format!(
        "{}: {} pictures, of {} prompts, {} conditions and {} seeds, on {} pages; about {} passes of the \
         base model and {} of the distilled one.",
        experiment.study.name(),
        passes.pictures,
        experiment.prompts.len(),
        experiment.conditions().len(),
        experiment.images,
        experiment.pages().len(),
        passes.base,
        passes.distilled
    ));
}

fn say_progress(progress: Progress) {
    let left = progress
        .left
        .map(|left| format!(", {} left", duration(left)));
    let text = format!(
        "{} of {} pictures{}",
        progress.done,
        progress.total,
        left.unwrap_or_default()
    );
    let mut out = std::io::stderr();
    if out.is_terminal() {
        eprint!("\r{text}        ");
    } else if progress.done.is_multiple_of(50) || progress.done == progress.total {
        // A log has a line now and then.
        eprintln!("{text}");
    }
    let _ = out.flush();
}

fn duration(left: Duration) -> String {
    let seconds = left.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// The device of a name.
fn choose(name: &str, batch: u32) -> Result<(Device, RunDevice), BatchError> {
    let run_device = |description: String| RunDevice {
        kind: name.to_owned(),
        name: description,
        batch,
        limits: Default::default(),
    };
    match name {
        "cpu" => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let description = format!(
                "{} on {}, {cores} cores",
                std::env::consts::ARCH,
                std::env::consts::OS
            );
            Ok((Device::flex(), run_device(description)))
        }
        #[cfg(feature = "gpu")]
        "gpu" => {
            let options = Device::wgpu_options().tasks_max(firststep::kernels::TASKS);
            let device = options.init().map_err(|error| BatchError::Device {
                name: name.to_owned(),
                reason: error.to_string(),
            })?;
            let description = format!("{device:?}");
            Ok((device, run_device(description)))
        }
        other => Err(BatchError::Device {
            name: other.to_owned(),
            reason: "it is cpu, or gpu where the program was built with --features gpu".to_owned(),
        }),
    }
}
