//! Everything that is found, as files for people and programs. `bin/run` writes them below its folder, and the
//! page puts them into a ZIP.

use super::error::ResultsError;
use super::figure::svg;
use super::markdown::markdown;
use super::records::{PictureRecord, Results, STRUCTURAL};
use super::report::report;
use super::table::{Cell, Column, Table};
use crate::recipe::digest;
use crate::recipe::experiment::{Experiment, PictureId};

/// The manifest, the tables as CSV and JSON, the figures as SVG and a page of Markdown with all of them, each
/// with its path.
///
/// # Errors
/// The results' manifest has no experiment that can be run.
pub fn files(results: &Results) -> Result<Vec<(String, Vec<u8>)>, ResultsError> {
    let report = report(results)?;
    let mut files = vec![(
        "run.json".to_owned(),
        results.manifest.to_json()?.into_bytes(),
    )];
    let mut further = vec![pictures_table(results)?, distances_table(results)?];
    further.extend(targets_table(results)?);
    for table in report.tables.iter().chain(&further) {
        files.push((
            format!("tables/{}.csv", table.key),
            table.csv().into_bytes(),
        ));
    }
    let tables: Vec<serde_json::Value> = report.tables.iter().map(Table::json).collect();
    let tables = serde_json::to_vec_pretty(&tables)?;
    files.push(("tables.json".to_owned(), tables));
    for figure in &report.figures {
        files.push((
            format!("figures/{}.svg", figure.key),
            svg(figure).into_bytes(),
        ));
    }
    let page = markdown(&report, "figures").into_bytes();
    files.push(("README.md".to_owned(), page));
    Ok(files)
}

/// The names of a picture's prompt and condition, for whoever reads a table alone.
fn names(experiment: &Experiment, prompt: u32, condition: u32) -> [Cell; 2] {
    let conditions = experiment.conditions();
    let condition = conditions.get(condition as usize).map(|it| it.key());
    let prompt = experiment.prompts.get(prompt as usize).cloned();
    [prompt, condition].map(|text| text.map_or(Cell::Empty, Cell::Text))
}

/// A line for each picture.
fn pictures_table(results: &Results) -> Result<Table, ResultsError> {
    let experiment = results.manifest.experiment()?;
    let row = |record: &PictureRecord| {
        let [prompt, condition] = names(&experiment, record.id.prompt, record.id.condition);
        let digests: Vec<_> = record.steps.iter().map(|step| step.digest).collect();
        vec![
            prompt,
            condition,
            Cell::Count(u64::from(record.seed)),
            Cell::Number(record.milliseconds),
            Cell::Count(record.steps.len() as u64),
            Cell::Text(digest::to_text(&digests)),
        ]
    };
    Ok(Table {
        key: "pictures".to_owned(),
        title: "Pictures".to_owned(),
        note: String::new(),
        columns: [
            ("prompt", "Prompt"),
            ("condition", "Condition"),
            ("seed", "Seed"),
            ("milliseconds", "Time (ms)"),
            ("steps", "Steps"),
            ("digest", "Digest"),
        ]
        .map(|(key, name)| Column::plain(key, name))
        .into(),
        rows: results.pictures.iter().map(row).collect(),
    })
}

/// A line for each step of a picture by each measure; none where targets were not measured.
fn targets_table(results: &Results) -> Result<Option<Table>, ResultsError> {
    let experiment = results.manifest.experiment()?;
    let mut rows = Vec::new();
    let mut add = |id: PictureId, measure: &str, step: u64, distance: f64| {
        let [prompt, condition] = names(&experiment, id.prompt, id.condition);
        rows.push(vec![
            prompt,
            condition,
            Cell::Count(u64::from(experiment.seed_of(id.image))),
            Cell::Text(measure.to_owned()),
            Cell::Count(step),
            Cell::Number(distance),
        ]);
    };
    for picture in &results.pictures {
        for (step, record) in (1..).zip(&picture.steps) {
            if let Some(distance) = record.distance {
                add(picture.id, STRUCTURAL, step, distance);
            }
        }
    }
    for targets in &results.targets {
        for (step, distance) in (1..).zip(&targets.distances) {
            add(targets.id, &targets.measure, step, *distance);
        }
    }
    Ok((!rows.is_empty()).then(|| Table {
        key: "targets".to_owned(),
        title: "Targets".to_owned(),
        note: String::new(),
        columns: [
            ("prompt", "Prompt"),
            ("condition", "Condition"),
            ("seed", "Seed"),
            ("measure", "Measure"),
            ("step", "Step"),
            ("distance", "Distance to the final image"),
        ]
        .map(|(key, name)| Column::plain(key, name))
        .into(),
        rows,
    }))
}

/// A line for each pair of pictures of a row.
fn distances_table(results: &Results) -> Result<Table, ResultsError> {
    let experiment = results.manifest.experiment()?;
    let mut rows = Vec::new();
    for record in &results.rows {
        for (first, second, distance) in record.distances.pairs() {
            let [prompt, condition] = names(&experiment, record.prompt, record.condition);
            let seed = |image| Cell::Count(u64::from(experiment.seed_of(image)));
            rows.push(vec![
                prompt,
                condition,
                Cell::Text(record.measure.clone()),
                seed(first),
                seed(second),
                Cell::Number(distance),
            ]);
        }
    }
    Ok(Table {
        key: "distances".to_owned(),
        title: "Distances".to_owned(),
        note: String::new(),
        columns: [
            ("prompt", "Prompt"),
            ("condition", "Condition"),
            ("measure", "Measure"),
            ("first_seed", "First seed"),
            ("second_seed", "Second seed"),
            ("distance", "Distance"),
        ]
        .map(|(key, name)| Column::plain(key, name))
        .into(),
        rows,
    })
}
