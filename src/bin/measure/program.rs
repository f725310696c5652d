//! The arguments of `measure`, and its answers.

use std::fs;
use std::path::Path;

use firststep::batch::{
    BatchError, RunFolder, add_network, measured, read_network, read_pictures, write_report,
};
use firststep::metrics::{FeatureStatistics, MEASURE, frechet_distance, inception_score};
use firststep::results::npy::{self, Array};
use firststep::results::{Cell, Results, markdown, report, row_distances};

const USAGE: &str = "Usage: measure <folder or results.json>\n       \
    measure --network <manifest of DreamSim, CLIP or the emoji classifier> <folder of a run> [--write]\n       \
    measure fid <features.npy> <features.npy>\n       \
    measure fid --statistics <mean.npy> <covariance.npy> <mean.npy> <covariance.npy>\n       \
    measure inception-score <probabilities.npy> [parts]";

/// Parts of the pictures whose scores are averaged, as the paper of the Inception Score has them.
const PARTS: usize = 10;

/// The answer to the arguments; an error is a sentence.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<String, String> {
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--help" | "-h", ..] => Ok(USAGE.to_owned()),
        [
            "fid",
            "--statistics",
            mean,
            covariance,
            other_mean,
            other_covariance,
        ] => {
            let first = statistics(mean, covariance)?;
            fid(&first, &statistics(other_mean, other_covariance)?)
        }
        ["fid", first, second] => fid(&features(first)?, &features(second)?),
        ["inception-score", file] => score(file, PARTS),
        ["inception-score", file, parts] => score(file, parts.parse().map_err(|_| USAGE)?),
        ["--network", manifest, folder] => {
            by_network(Path::new(manifest), Path::new(folder), false)
        }
        ["--network", manifest, folder, "--write"] => {
            by_network(Path::new(manifest), Path::new(folder), true)
        }
        [path] if !path.starts_with('-') => pictures(Path::new(path)),
        _ => Err(USAGE.to_owned()),
    }
}

fn array(path: &str) -> Result<Array, String> {
    let bytes = fs::read(path).map_err(|error| format!("{path} can't be read: {error}."))?;
    npy::read(&bytes).map_err(|error| format!("{path}: {error}"))
}

fn features(path: &str) -> Result<FeatureStatistics, String> {
    let array = array(path)?;
    let size = array.shape.last().copied().unwrap_or_default();
    FeatureStatistics::of_features(&array.values, size).map_err(|error| format!("{path}: {error}"))
}

fn statistics(mean: &str, covariance: &str) -> Result<FeatureStatistics, String> {
    FeatureStatistics::new(array(mean)?.values, array(covariance)?.values)
        .map_err(|error| format!("{mean}: {error}"))
}

fn fid(first: &FeatureStatistics, second: &FeatureStatistics) -> Result<String, String> {
    let distance = frechet_distance(first, second).map_err(|error| error.to_string())?;
    Ok(format!("Fréchet distance: {distance:.4}"))
}

fn score(path: &str, parts: usize) -> Result<String, String> {
    let array = array(path)?;
    let classes = array.shape.last().copied().unwrap_or_default();
    let found =
        inception_score(&array.values, classes, parts).map_err(|error| error.to_string())?;
    Ok(format!(
        "Inception Score: {}, mean of {} parts",
        Cell::Estimate(found).text(),
        found.n
    ))
}

/// The report of a run's folder with a network's distances, and what else the network says. It is written into
/// the folder where that is wished, beside what other networks have said of the same pictures.
fn by_network(manifest: &Path, folder: &Path, writes: bool) -> Result<String, String> {
    let found = futures::executor::block_on(async {
        let network = read_network(manifest).await?;
        let folder = RunFolder::new(folder);
        let mut results = measured(&folder)?;
        add_network(&mut results, &folder, &network).await?;
        if writes {
            write_report(&folder, &results)?;
        }
        Ok::<_, BatchError>(results)
    });
    let results = found.map_err(|error| error.to_string())?;
    let report = report(&results).map_err(|error| error.to_string())?;
    Ok(markdown(&report, "figures"))
}

fn pictures(path: &Path) -> Result<String, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    if path.is_file() {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{} can't be read: {error}.", path.display()))?;
        let results = Results::from_json(&text).map_err(|error| words(&error))?;
        let report = report(&results).map_err(|error| words(&error))?;
        return Ok(markdown(&report, "figures"));
    }
    let folder = RunFolder::new(path);
    if folder.manifest().is_ok() {
        let results = measured(&folder).map_err(|error| words(&error))?;
        let report = report(&results).map_err(|error| words(&error))?;
        return Ok(markdown(&report, "figures"));
    }
    let pictures = read_pictures(path).map_err(|error| words(&error))?;
    let distances = row_distances(&pictures).map_err(|error| words(&error))?;
    let diversity = distances.diversity().ok_or_else(|| {
        format!(
            "{} has fewer than two pictures as PNG, so there is no distance between them.",
            path.display()
        )
    })?;
    Ok(format!(
        "{}: {} pictures, mean distance of all pairs {}; {MEASURE}.",
        path.display(),
        diversity.pictures,
        Cell::Estimate(diversity.into()).text()
    ))
}
