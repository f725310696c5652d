//! The tables and figures of an experiment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::aggregate::{average, change, difference, diversity, time};
use super::curve::{mean_curve, share_until};
use super::figure::{Axis, Figure, Places, Point, Series};
use super::records::{COSINE_OF, PictureRecord, Results, STRUCTURAL, Score};
use super::table::{Cell, Column, Table};
use crate::metrics::Estimate;
use crate::recipe::Mode;
use crate::recipe::experiment::{Condition, Experiment, ExperimentError, Setting, Study};
use crate::sampler::ModelRole;

/// What an experiment has found, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it was about.
    pub title: String,
    /// What was drawn, with n, and what the numbers are.
    pub summary: String,
    /// Its tables, the study's own first.
    pub tables: Vec<Table>,
    /// Its figures, the study's own first.
    pub figures: Vec<Figure>,
}

/// What n is where numbers of pictures are brought together.
const COUNTED: &str = "n counts prompts, where there are at least three, or else pictures.";

/// The tables and figures of what has been found so far.
///
/// # Errors
/// The results' manifest has no experiment that can be run.
pub fn report(results: &Results) -> Result<Report, ExperimentError> {
    let experiment = results.manifest.experiment()?;
    let making = Making {
        conditions: experiment.conditions(),
        experiment: &experiment,
        results,
    };
    Ok(making.report())
}

struct Making<'a> {
    experiment: &'a Experiment,
    conditions: Vec<Condition>,
    results: &'a Results,
}

impl Making<'_> {
    fn report(&self) -> Report {
        let mut tables = Vec::new();
        let mut figures = Vec::new();
        // What people judge by comes before its stand-in.
        let mut measures = self.results.measures();
        measures.sort_by_key(|measure| *measure == STRUCTURAL);
        let networks = measures.iter().filter(|measure| **measure != STRUCTURAL);
        // Targets are measured before there are pairs of pictures.
        for measure in networks.chain([&STRUCTURAL]) {
            if let Some((table, shares, figure)) = self.convergence(measure) {
                tables.extend([shares, table]);
                figures.push(figure);
            }
        }
        for measure in measures {
            tables.extend(self.scores(measure));
            if matches!(self.experiment.study, Study::Transfer(_)) {
                tables.push(self.changes(measure));
                figures.push(self.change_figure(measure));
            }
            tables.extend([self.diversities(measure), self.differences(measure)]);
            figures.push(match &self.experiment.study {
                Study::Adaptive(_) => self.switch_figure(measure),
                study if study.is_of_hybrid() => self.sweep_figure(measure),
                _ => self.prompt_figure(measure),
            });
        }
        if matches!(self.experiment.study, Study::Adaptive(_)) {
            tables.insert(0, self.switches());
        }
        let times = self.times();
        if self.experiment.study == Study::Time {
            tables.insert(0, times);
            figures.insert(0, self.time_figure());
        } else {
            tables.push(times);
            figures.push(self.time_figure());
        }
        Report {
            title: self.experiment.study.name().to_owned(),
            summary: self.summary(),
            tables,
            figures,
        }
    }

    fn summary(&self) -> String {
        let experiment = self.experiment;
        let expected = experiment.passes().pictures;
        let found = self.results.pictures.len() as u64;
        let done = if found < expected {
            format!(" So far {found} of {expected} pictures are there.")
        } else {
            String::new()
        };
        format!(
            "{}: {}, {} of each under {}, seeds from {} on, {} × {} \
             pixels, on {} ({}).{done} Intervals are of 95 %.",
            self.results.manifest.pair_name,
            prompts(experiment.prompts.len()),
            counted(experiment.images as usize, "image", "images"),
            match self.conditions.len() {
                1 => "one condition".to_owned(),
                many => format!("each of {many} conditions"),
            },
            experiment.settings.seed,
            self.results.manifest.image_size[0],
            self.results.manifest.image_size[1],
            self.results.manifest.device.kind,
            self.results.manifest.device.name,
        )
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Condition)> {
        (0..).zip(&self.conditions)
    }

    fn measure_words(&self, measure: &str) -> String {
        let words = self.results.manifest.measures.get(measure);
        words.map_or_else(|| measure.to_owned(), Clone::clone)
    }

    /// A title that tells the measures apart, the one without a model by none.
    fn title(&self, name: &str, measure: &str) -> String {
        if measure == STRUCTURAL {
            name.to_owned()
        } else {
            format!("{name}: {}", self.short(measure))
        }
    }

    /// A measure in a word or two.
    fn short<'b>(&'b self, measure: &'b str) -> &'b str {
        if measure == STRUCTURAL {
            return "1 − MS-SSIM";
        }
        let words = self.results.manifest.measures.get(measure);
        words.map_or(measure, |words| {
            words.strip_prefix(COSINE_OF).unwrap_or(words)
        })
    }

    /// What a network says beside its distances; none of a network that says nothing.
    fn scores(&self, measure: &str) -> Option<Table> {
        let own = || {
            self.results
                .scores
                .iter()
                .filter(|it| it.measure == measure)
        };
        let kinds: BTreeSet<Score> = own().map(|it| it.score).collect();
        if kinds.is_empty() {
            return None;
        }
        let estimate = |condition: u32, kind: Score| {
            let found = own().filter(|it| it.condition == condition && it.score == kind);
            let groups: Vec<Vec<f64>> = found.map(|it| it.values.clone()).collect();
            Estimate::of_groups(&groups)
        };
        let rows = self.numbered().map(|(index, condition)| {
            let cells = kinds.iter().map(|kind| estimate(index, *kind).into());
            std::iter::once(Cell::Text(condition.name()))
                .chain(cells)
                .collect()
        });
        let (title, note) = if kinds.contains(&Score::Clip) {
            (
                "CLIP score",
                "100 × the cosine of a picture's embedding and its prompt's, at least 0: the mean over \
                 prompts.",
            )
        } else {
            (
                "What the pictures of a prompt cover",
                "Styles and backgrounds of which the network is sure in at least one picture, and the \
                 deviation of the thing's place and size: the mean over prompts.",
            )
        };
        let columns = kinds.iter().map(|kind| {
            let (key, name) = match kind {
                Score::Clip => ("score", "CLIP score"),
                Score::Styles => ("styles", "Styles"),
                Score::Backgrounds => ("backgrounds", "Backgrounds"),
                Score::Place => ("place", "Place, of the picture's side"),
                Score::Size => ("size", "Size, of the picture's side"),
            };
            Column::estimate(key, name)
        });
        Some(Table {
            key: Self::key("scores", measure),
            title: self.title(title, measure),
            note: note.to_owned(),
            columns: std::iter::once(Column::plain("condition", "Condition"))
                .chain(columns)
                .collect(),
            rows: rows.collect(),
        })
    }

    /// A key that tells the measures apart, the one without a model by none.
    fn key(name: &str, measure: &str) -> String {
        if measure == STRUCTURAL {
            name.to_owned()
        } else {
            format!("{name}-{measure}")
        }
    }

    fn diversities(&self, measure: &str) -> Table {
        let mut columns = vec![Column::plain("prompt", "Prompt")];
        for condition in &self.conditions {
            columns.push(Column::estimate(&condition.key(), &condition.name()));
        }
        let row = |name: &str, estimate: &dyn Fn(u32) -> Option<Estimate>| {
            let cells = self.numbered().map(|(index, _)| estimate(index).into());
            std::iter::once(Cell::Text(name.to_owned()))
                .chain(cells)
                .collect()
        };
        let mut rows: Vec<Vec<Cell>> = (0..)
            .zip(&self.experiment.prompts)
            .map(|(prompt, text)| {
                row(text, &|condition| {
                    diversity(self.results, measure, prompt, condition)
                })
            })
            .collect();
        if self.experiment.prompts.len() > 1 {
            rows.push(row("Average", &|condition| {
                average(self.results, measure, condition)
            }));
        }
        Table {
            key: Self::key("diversity", measure),
            title: self.title("Sample diversity", measure),
            note: format!(
                "Mean distance of all pairs of a prompt's pictures: {}. A prompt's interval is the \
                 jackknife's over its {} images, from four on; the average's is Student's over {}, from three on.",
                self.measure_words(measure),
                self.experiment.images,
                prompts(self.experiment.prompts.len())
            ),
            columns,
            rows,
        }
    }

    fn differences(&self, measure: &str) -> Table {
        let rows = self.numbered().filter_map(|(index, condition)| {
            let reference = self.experiment.reference_of(condition)?;
            let name = self.conditions.get(reference)?.name();
            let found = difference(self.results, measure, index, reference as u32);
            Some(vec![
                Cell::Text(condition.name()),
                Cell::Text(name),
                found.into(),
            ])
        });
        Table {
            key: Self::key("differences", measure),
            title: self.title("Differences of diversity", measure),
            note: "How much more diverse each condition is than the one that it is compared with, prompt \
                   by prompt with the same seeds. Where the interval leaves 0 out, the modes differ."
                .to_owned(),
            columns: vec![
                Column::plain("condition", "Condition"),
                Column::plain("reference", "Compared with"),
                Column::estimate("difference", "Difference"),
            ],
            rows: rows.collect(),
        }
    }

    fn prompt_figure(&self, measure: &str) -> Figure {
        let series = self.numbered().map(|(index, condition)| Series {
            name: condition.name(),
            points: (0..self.experiment.prompts.len())
                .filter_map(|prompt| {
                    let y = diversity(self.results, measure, prompt as u32, index)?;
                    Some(Point {
                        x: prompt as f64,
                        y,
                    })
                })
                .collect(),
            is_level: false,
        });
        Figure {
            key: Self::key("diversity", measure),
            title: self.title("Sample diversity by prompt", measure),
            description: format!(
                "Mean distance of all pairs of each prompt's {} pictures, with the jackknife's 95 % \
                 interval where they are enough for one.",
                self.experiment.images
            ),
            x: Axis::new("Prompt", ""),
            places: Places::Names(self.experiment.prompts.clone()),
            y: Axis::new("Mean pairwise distance", self.short(measure)),
            series: series.collect(),
        }
    }

    /// A study of the hybrid: the values along the axis, and the other modes as lines across.
    fn sweep_figure(&self, measure: &str) -> Figure {
        let place = |(index, condition): (u32, &Condition)| {
            let y = average(self.results, measure, index)?;
            let x = condition.value().unwrap_or_default();
            Some(Point { x, y })
        };
        let levels = self
            .numbered()
            .filter(|(_, condition)| condition.setting == Setting::Own)
            .map(|it| Series {
                name: it.1.name(),
                points: place(it).into_iter().collect(),
                is_level: true,
            });
        let swept = self
            .numbered()
            .filter(|(_, condition)| condition.setting != Setting::Own);
        let mut points: Vec<Point> = swept.filter_map(place).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let hybrid = Series {
            name: "Hybrid".to_owned(),
            points,
            is_level: false,
        };
        Figure {
            key: Self::key(
                &format!("diversity-by-{}", self.experiment.study.key()),
                measure,
            ),
            title: self.title(self.experiment.study.name(), measure),
            description: format!(
                "Mean pairwise distance, averaged over {} of {} images, with Student's 95 % \
                 interval over prompts, from three on. Modes without the setting are lines across with their intervals.",
                prompts(self.experiment.prompts.len()),
                self.experiment.images
            ),
            x: Axis::new(axis_of(&self.experiment.study), ""),
            places: Places::Numbers,
            y: Axis::new("Mean pairwise distance", self.short(measure)),
            series: std::iter::once(hybrid).chain(levels).collect(),
        }
    }

    /// How many steps the base model took, by condition.
    fn switches(&self) -> Table {
        let rows = self.numbered().map(|(index, condition)| {
            let steps = base_steps(self.results, index);
            let mut found: Vec<u64> = Vec::new();
            for picture in self
                .results
                .pictures
                .iter()
                .filter(|it| it.id.condition == index)
            {
                found.push(steps_of_base(picture));
            }
            let ends = found.iter().min().zip(found.iter().max());
            let (least, most) = ends.map_or((Cell::Empty, Cell::Empty), |(least, most)| {
                (Cell::Count(*least), Cell::Count(*most))
            });
            vec![Cell::Text(condition.name()), steps.into(), least, most]
        });
        Table {
            key: "switches".to_owned(),
            title: "Where the base model hands over".to_owned(),
            note: "Steps of the base model before the hand-over. The adaptive switch hands over once a \
                   base step has changed the Diffusion Target's latent by less than its threshold, \
                   relative to its length."
                .to_owned(),
            columns: vec![
                Column::plain("condition", "Condition"),
                Column::estimate("base_steps", "Base steps"),
                Column::plain("least", "Least"),
                Column::plain("most", "Most"),
            ],
            rows: rows.collect(),
        }
    }

    /// The adaptive switch beside fixed k: diversity against the steps that the base model took.
    fn switch_figure(&self, measure: &str) -> Figure {
        let of = |name: &str, is_own: fn(&Condition) -> bool| {
            let own = self.numbered().filter(|(_, condition)| is_own(condition));
            let mut points: Vec<Point> = own
                .filter_map(|(index, _)| {
                    let x = base_steps(self.results, index)?.mean;
                    let y = average(self.results, measure, index)?;
                    Some(Point { x, y })
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            Series {
                name: name.to_owned(),
                points,
                is_level: false,
            }
        };
        Figure {
            key: Self::key("diversity-by-base-steps-taken", measure),
            title: self.title("Adaptive switch beside fixed k", measure),
            description: format!(
                "Mean pairwise distance, averaged over {} of {} images with Student's 95 % \
                 interval over prompts, from three on, against the mean number of steps that the base model took.",
                prompts(self.experiment.prompts.len()),
                self.experiment.images
            ),
            x: Axis::new("Steps of the base model", "mean"),
            places: Places::Numbers,
            y: Axis::new("Mean pairwise distance", self.short(measure)),
            series: vec![
                of("Hybrid, fixed k", |it| matches!(it.setting, Setting::K(_))),
                of("Adaptive, by threshold", |it| {
                    matches!(it.setting, Setting::Threshold(_))
                }),
                of("Distilled", |it| it.mode == Mode::Distilled),
            ],
        }
    }

    fn changes(&self, measure: &str) -> Table {
        let rows = self.numbered().filter_map(|(index, condition)| {
            self.experiment.reference_of(condition)?;
            let found = change(self.results, measure, index);
            Some(vec![
                Cell::Text(condition.mode.name().to_owned()),
                condition.value().map_or(Cell::Empty, Cell::Number),
                found.into(),
            ])
        });
        Table {
            key: Self::key("changes", measure),
            title: self.title("What the adapter changes", measure),
            note: format!(
                "Mean distance to the picture of the same prompt, mode and seed without the adapter: {}.",
                self.measure_words(measure)
            ),
            columns: vec![
                Column::plain("mode", "Mode"),
                Column::plain("strength", "Strength"),
                Column::estimate("change", "Change"),
            ],
            rows: rows.collect(),
        }
    }

    fn change_figure(&self, measure: &str) -> Figure {
        let mut series: Vec<Series> = Vec::new();
        for (index, condition) in self.numbered() {
            let name = condition.mode.name();
            if series.last().is_none_or(|last| last.name != name) {
                series.push(Series {
                    name: name.to_owned(),
                    points: Vec::new(),
                    is_level: false,
                });
            }
            if let (Some(last), Some(y), Some(x)) = (
                series.last_mut(),
                change(self.results, measure, index),
                condition.value(),
            ) {
                last.points.push(Point { x, y });
                last.points.sort_by(|a, b| a.x.total_cmp(&b.x));
            }
        }
        Figure {
            key: Self::key("change-by-strength", measure),
            title: self.title("Change by the adapter's strength", measure),
            description:
                "Mean distance to the picture of the same prompt, mode and seed without the \
                          adapter, with its 95 % interval."
                    .to_owned(),
            x: Axis::new("Strength of the adapter", ""),
            places: Places::Numbers,
            y: Axis::new("Mean distance", self.short(measure)),
            series,
        }
    }

    fn convergence(&self, measure: &str) -> Option<(Table, Table, Figure)> {
        let curves: Vec<_> = self
            .numbered()
            .map(|(index, condition)| (condition, mean_curve(self.results, measure, index)))
            .filter(|(_, curve)| !curve.is_empty())
            .collect();
        if curves.is_empty() {
            return None;
        }
        let mut rows = Vec::new();
        for (condition, curve) in &curves {
            for (step, point) in (1..).zip(curve) {
                rows.push(vec![
                    Cell::Text(condition.name()),
                    Cell::Count(step),
                    Cell::Number(point.share),
                    Cell::Estimate(point.distance),
                ]);
            }
        }
        let words = "The distance of each step's decoded Diffusion Target to the final image";
        let table = Table {
            key: Self::key("convergence", measure),
            title: self.title("Distance of each target to the final image", measure),
            note: format!("{words}: {}. {COUNTED}", self.measure_words(measure)),
            columns: vec![
                Column::plain("condition", "Condition"),
                Column::plain("step", "Step"),
                Column::plain("share", "Share of steps"),
                Column::estimate("distance", "Distance"),
            ],
            rows,
        };
        let first_of_distilled = curves
            .iter()
            .find(|(condition, _)| condition.key() == "distilled")
            .and_then(|(_, curve)| curve.first())
            .map(|point| point.distance.mean);
        let shares = curves.iter().map(|(condition, curve)| {
            let reached = first_of_distilled.and_then(|distance| share_until(curve, distance));
            let first = curve.first().map(|point| point.distance);
            vec![
                Cell::Text(condition.name()),
                first.into(),
                reached.map_or(Cell::Empty, Cell::Number),
            ]
        });
        let shares = Table {
            key: Self::key("shares", measure),
            title: self.title("How early the picture is decided", measure),
            note: format!(
                "The distance after the first step, and the share of the steps after which a condition's \
                 mean curve is as near to its final image as the distilled model's after its first step. \
                 {COUNTED}"
            ),
            columns: vec![
                Column::plain("condition", "Condition"),
                Column::estimate("first", "Distance after the first step"),
                Column::plain("share", "Share of steps until then"),
            ],
            rows: shares.collect(),
        };
        let figure = Figure {
            key: Self::key("convergence", measure),
            title: self.title("Distance of each target to the final image", measure),
            description: format!(
                "{words}, against the share of the steps that are done, with 95 % intervals."
            ),
            x: Axis::new("Steps done", "% of all"),
            places: Places::Numbers,
            y: Axis::new("Distance to the final image", self.short(measure)),
            series: curves
                .iter()
                .map(|(condition, curve)| Series {
                    name: condition.name(),
                    points: curve
                        .iter()
                        .map(|point| Point {
                            x: 100.0 * point.share,
                            y: point.distance,
                        })
                        .collect(),
                    is_level: false,
                })
                .collect(),
        };
        Some((table, shares, figure))
    }

    fn times(&self) -> Table {
        let rows = self.numbered().map(|(index, condition)| {
            let found = time(self.results, index);
            vec![
                Cell::Text(condition.name()),
                found.map(|(mean, _)| mean).into(),
                found.map_or(Cell::Empty, |(_, median)| Cell::Number(median)),
            ]
        });
        Table {
            key: "time".to_owned(),
            title: "Time per image".to_owned(),
            note:
                "Seconds of the models' steps and the last decode, without loading and without the \
                   previews of steps; the interval is over images."
                    .to_owned(),
            columns: vec![
                Column::plain("condition", "Condition"),
                Column::estimate("seconds", "Mean (s)"),
                Column::plain("median", "Median (s)"),
            ],
            rows: rows.collect(),
        }
    }

    fn time_figure(&self) -> Figure {
        let points = self.numbered().filter_map(|(index, _)| {
            let (y, _) = time(self.results, index)?;
            Some(Point {
                x: f64::from(index),
                y,
            })
        });
        Figure {
            key: "time".to_owned(),
            title: "Time per image".to_owned(),
            description:
                "Mean time of an image without loading, with its 95 % interval over images."
                    .to_owned(),
            x: Axis::new("Condition", ""),
            places: Places::Names(self.conditions.iter().map(Condition::name).collect()),
            y: Axis::from_nothing("Time", "s"),
            series: vec![Series {
                name: "Mean".to_owned(),
                points: points.collect(),
                is_level: false,
            }],
        }
    }
}

/// The steps that the base model took of a picture.
fn steps_of_base(picture: &PictureRecord) -> u64 {
    let steps = picture.steps.iter();
    steps.filter(|step| step.model == ModelRole::Base).count() as u64
}

/// The mean number of steps that the base model took under a condition.
fn base_steps(results: &Results, condition: u32) -> Option<Estimate> {
    let pictures = results.pictures.iter();
    let steps: Vec<f64> = pictures
        .filter(|it| it.id.condition == condition)
        .map(|it| steps_of_base(it) as f64)
        .collect();
    Estimate::of(&steps)
}

/// What stands along the axis of a study of the hybrid.
fn axis_of(study: &Study) -> &'static str {
    match study {
        Study::BaseGuidance(_) => "Guidance scale of the base model's steps",
        Study::K(_) => "k, steps of the distilled model that are replaced",
        Study::BaseSteps(_) => "Base steps in place of each replaced step",
        Study::Adaptive(_) => "Threshold of the adaptive switch",
        Study::Transfer(_) => "Strength of the adapter",
        Study::Diversity | Study::Convergence | Study::Time => "Condition",
    }
}

/// “1 prompt”, “2 prompts”.
fn prompts(count: usize) -> String {
    counted(count, "prompt", "prompts")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
