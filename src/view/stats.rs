//! The engine's measurements as the page shows them, and as a report to copy.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::rows::model_key;
use super::units;
use crate::protocol::engine::DeviceInfo;
use crate::protocol::stats::{GpuCounts, Measurement, Phase};
use crate::sampler::ModelRole;

/// Times that a report has of each phase: the last ones.
const KEPT_TIMES: usize = 50;

/// Complaints of the GPU that a report has: the first ones, which say what went wrong.
const KEPT_ERRORS: usize = 16;

/// Headings of [`Line::counts`].
pub const COUNT_HEADINGS: [&str; 6] = [
    "Launches",
    "Submits",
    "Pipelines",
    "Compiled",
    "Bytes bound",
    "Largest binding",
];

/// Everything that an engine has measured.
#[derive(Debug, Default)]
pub struct Stats {
    lines: BTreeMap<What, Totals>,
    /// The last pass with its previews, of which there is one for each cell: any other phase ends it.
    pass: Option<Pass>,
    /// None while the GPU has not been asked for anything.
    buffers: Option<BufferBytes>,
    errors: Vec<String>,
}

/// A pass of a UNet with the previews after it.
#[derive(Clone, Copy, Debug)]
struct Pass {
    model: ModelRole,
    batch: u32,
    milliseconds: f64,
    counts: Option<Counts>,
    has_preview: bool,
}

/// What a line is about, in the order of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Phase(Phase),
    /// A pass and its previews.
    Step {
        model: ModelRole,
        batch: u32,
    },
}

impl What {
    fn name(self) -> String {
        let of_model = |what: &str, model: ModelRole, batch: u32| match batch {
            1 => format!("{what}, {}", model_key(model)),
            _ => format!("{what}, {}, batch of {batch}", model_key(model)),
        };
        match self {
            What::Phase(Phase::ReadingWeights) => "Reading weights".to_owned(),
            What::Phase(Phase::PreparingPrograms) => "Preparing the graphics card".to_owned(),
            What::Phase(Phase::TextEncoding) => "Text encoding".to_owned(),
            What::Phase(Phase::UnetPass { model, batch }) => of_model("UNet pass", model, batch),
            What::Phase(Phase::Preview) => "Preview".to_owned(),
            What::Phase(Phase::ImageDecode) => "Image decode".to_owned(),
            What::Phase(Phase::StripFrame) => "Strip frame".to_owned(),
            What::Step { model, batch } => of_model("Whole step", model, batch),
        }
    }
}

/// All measurements of one kind.
#[derive(Debug, Default)]
struct Totals {
    runs: u64,
    fastest: Option<f64>,
    /// The last ones, in milliseconds.
    times: VecDeque<f64>,
    /// Of the last run; none on the CPU.
    counts: Option<Counts>,
    /// All counts of the last run, where they are of one phase alone.
    gpu: Option<GpuCounts>,
}

impl Totals {
    fn add(&mut self, milliseconds: f64, counts: Option<Counts>) {
        self.runs += 1;
        self.fastest = Some(self.fastest.map_or(milliseconds, |it| it.min(milliseconds)));
        if self.times.len() == KEPT_TIMES {
            self.times.pop_front();
        }
        self.times.push_back(milliseconds);
        self.counts = counts;
    }
}

/// The counts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    launches: u64,
    submits: u64,
    /// Different ones that were launched.
    pipelines: u64,
    compiled_pipelines: u64,
    bytes_bound: u64,
    largest_binding: u64,
}

impl Counts {
    fn of(gpu: &GpuCounts) -> Self {
        Counts {
            launches: gpu.launches.total,
            submits: gpu.submits,
            pipelines: gpu.pipelines.launched,
            compiled_pipelines: gpu.pipelines.created,
            bytes_bound: gpu.bindings.bytes,
            largest_binding: gpu.bindings.largest_bytes,
        }
    }

    /// Those of two phases that follow each other. A pipeline that both have launched counts for each.
    fn and(self, next: Self) -> Self {
        Counts {
            launches: self.launches + next.launches,
            submits: self.submits + next.submits,
            pipelines: self.pipelines + next.pipelines,
            compiled_pipelines: self.compiled_pipelines + next.compiled_pipelines,
            bytes_bound: self.bytes_bound + next.bytes_bound,
            largest_binding: self.largest_binding.max(next.largest_binding),
        }
    }
}

/// Bytes of the buffers on the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BufferBytes {
    now: u64,
    peak: u64,
    largest: u64,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// How often.
    pub runs: u64,
    /// The time of the last run.
    pub last: String,
    /// The time of the fastest run: the first one compiles.
    pub fastest: String,
    /// What the last run asked of the GPU, under [`COUNT_HEADINGS`]; none on the CPU.
    pub counts: Option<[String; 6]>,
}

/// What a report says beside the measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The page's [`version`].
    pub version: String,
    /// The browser, in its own words.
    pub user_agent: String,
    /// Address of the pair's manifest, relative to the page.
    pub pair: String,
    /// Width and height of an image in pixels; none before the manifest has been read.
    pub image_size: Option<(u32, u32)>,
    /// None before it was chosen.
    pub device: Option<DeviceInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(flatten)]
    about: &'a About,
    buffer_bytes: Option<BufferBytes>,
    errors: &'a [String],
    phases: Vec<ReportedPhase<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportedPhase<'a> {
    name: String,
    runs: u64,
    fastest_milliseconds: Option<f64>,
    /// Of the last runs.
    milliseconds: Vec<f64>,
    /// Of the last run.
    counts: Option<Counts>,
    /// The same in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<&'a GpuCounts>,
}

/// The version of the page and of its engine, with the commit where `make build` has built them.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("FIRSTSTEP_COMMIT").filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
}

impl Stats {
    /// Takes a measurement.
    pub fn take(&mut self, measurement: Measurement) {
        if let Some(gpu) = &measurement.gpu {
            let buffers = self.buffers.get_or_insert_default();
            buffers.now = gpu.buffers.bytes;
            buffers.peak = buffers.peak.max(gpu.buffers.peak_bytes);
            buffers.largest = buffers.largest.max(gpu.buffers.largest_bytes);
            let room = KEPT_ERRORS.saturating_sub(self.errors.len());
            self.errors.extend(gpu.errors.iter().take(room).cloned());
        }
        let counts = measurement.gpu.as_ref().map(Counts::of);
        if measurement.phase == Phase::Preview {
            if let Some(pass) = &mut self.pass {
                pass.has_preview = true;
                pass.milliseconds += measurement.milliseconds;
                pass.counts = pass.counts.zip(counts).map(|(all, next)| all.and(next));
            }
        } else if let Some(pass) = self.pass.take()
            && pass.has_preview
        {
            let Pass { model, batch, .. } = pass;
            let step = self.lines.entry(What::Step { model, batch }).or_default();
            step.add(pass.milliseconds, pass.counts);
        }
        if let Phase::UnetPass { model, batch } = measurement.phase {
            self.pass = Some(Pass {
                model,
                batch,
                milliseconds: measurement.milliseconds,
                counts,
                has_preview: false,
            });
        }
        let line = self.lines.entry(What::Phase(measurement.phase));
        let line = line.or_default();
        line.add(measurement.milliseconds, counts);
        line.gpu = measurement.gpu;
    }

    /// The lines of the table.
    pub fn lines(&self) -> Vec<Line> {
        let time = |milliseconds: Option<f64>| {
            milliseconds.map_or_else(String::new, |it| units::duration(it / 1000.0))
        };
        let line = |(what, totals): (&What, &Totals)| Line {
            name: what.name(),
            runs: totals.runs,
            last: time(totals.times.back().copied()),
            fastest: time(totals.fastest),
            counts: totals.counts.map(|counts| {
                [
                    counts.launches.to_string(),
                    counts.submits.to_string(),
                    counts.pipelines.to_string(),
                    counts.compiled_pipelines.to_string(),
                    units::size(counts.bytes_bound),
                    units::size(counts.largest_binding),
                ]
            }),
        };
        self.lines.iter().map(line).collect()
    }

    /// Facts beside the table, each with its name.
    pub fn facts(&self, about: &About) -> Vec<(&'static str, String)> {
        let mut facts = vec![("Page", about.version.clone())];
        if let Some(device) = &about.device {
            facts.push(("Device", device.description.clone()));
        }
        if let Some(adapter) = about.device.as_ref().and_then(|it| it.adapter.as_ref()) {
            let has = |has, what: &str| format!("{} {what}", if has { "with" } else { "without" });
            let mut can = vec![has(adapter.has_f16, "half precision")];
            can.push(match adapter.subgroups {
                Some([least, most]) if least == most => format!("subgroups of {most}"),
                Some([least, most]) => format!("subgroups of {least} to {most}"),
                None => has(false, "subgroups"),
            });
            facts.push(("Shaders", can.join(", ")));
            facts.push((
                "Limits",
                format!(
                    "buffer {}, binding {}, {} and {} threads a workgroup",
                    units::size(adapter.buffer),
                    units::size(adapter.binding),
                    units::size(adapter.workgroup_storage),
                    adapter.workgroup_invocations,
                ),
            ));
        }
        if let Some(forms) = about.device.as_ref().and_then(|it| it.forms.as_ref()) {
            facts.push(("Kernels", forms.clone()));
        }
        if let Some(BufferBytes { now, peak, largest }) = self.buffers {
            let [now, peak, largest] = [now, peak, largest].map(units::size);
            facts.push((
                "GPU buffers",
                format!("{now} now, {peak} at the peak, the largest {largest}"),
            ));
        }
        if let Some(error) = self.errors.first() {
            facts.push(("The GPU complained", error.clone()));
        }
        facts
    }

    /// The report: JSON.
    ///
    /// # Errors
    /// As serde_json has them; text and numbers have none.
    pub fn report(&self, about: &About) -> Result<String, serde_json::Error> {
        // Browsers don't tell the time more exactly.
        let rounded = |milliseconds: f64| (milliseconds * 100.0).round() / 100.0;
        let phases = self.lines.iter().map(|(what, totals)| ReportedPhase {
            name: what.name(),
            runs: totals.runs,
            fastest_milliseconds: totals.fastest.map(rounded),
            milliseconds: totals.times.iter().copied().map(rounded).collect(),
            counts: totals.counts,
            gpu: totals.gpu.as_ref(),
        });
        serde_json::to_string_pretty(&Report {
            about,
            buffer_bytes: self.buffers,
            errors: &self.errors,
            phases: phases.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::engine::DeviceKind;

    const PASS: Phase = Phase::UnetPass {
        model: ModelRole::Base,
        batch: 2,
    };

    fn about() -> About {
        About {
            version: "1.2.3".into(),
            user_agent: "a browser".into(),
            pair: "pairs/emoji/manifest.json".into(),
            image_size: Some((128, 128)),
            device: Some(DeviceInfo {
                kind: DeviceKind::Cpu,
                description: "CPU, WebAssembly with SIMD".into(),
                adapter: None,
                forms: None,
                notice: None,
            }),
        }
    }

    fn measured(phase: Phase, milliseconds: f64, launches: u64) -> Measurement {
        let mut gpu = GpuCounts::default();
        gpu.launches.total = launches;
        gpu.bindings.largest_bytes = 1000 * launches;
        gpu.buffers.bytes = 1_000_000;
        gpu.buffers.peak_bytes = 1_000_000 * launches;
        gpu.errors = vec![format!("error {launches}")];
        Measurement {
            phase,
            milliseconds,
            gpu: Some(gpu),
        }
    }

    fn report(stats: &Stats) -> serde_json::Value {
        let text = stats.report(&about()).expect("plain values");
        serde_json::from_str(&text).expect("is JSON")
    }

    #[test]
    fn a_step_is_a_pass_and_its_previews() {
        let mut stats = Stats::default();
        for (phase, milliseconds, launches) in [
            (Phase::TextEncoding, 50.0, 3),
            (PASS, 2000.0, 900),
            (Phase::Preview, 100.0, 80),
            (PASS, 400.0, 700),
            (Phase::StripFrame, 90.0, 70),
            (Phase::Preview, 100.0, 80),
            (PASS, 500.0, 700),
            (Phase::Preview, 50.0, 80),
            (Phase::Preview, 50.0, 80),
            (Phase::ImageDecode, 300.0, 200),
        ] {
            stats.take(measured(phase, milliseconds, launches));
        }
        let lines = stats.lines();
        let found: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.name.as_str(),
                    line.runs,
                    line.last.as_str(),
                    line.fastest.as_str(),
                )
            })
            .collect();
        // The second pass has no preview of its own: a strip came between.
        assert_eq!(
            found,
            [
                ("Text encoding", 1, "50 ms", "50 ms"),
                ("UNet pass, base, batch of 2", 3, "500 ms", "400 ms"),
                ("Preview", 4, "50 ms", "50 ms"),
                ("Image decode", 1, "300 ms", "300 ms"),
                ("Strip frame", 1, "90 ms", "90 ms"),
                ("Whole step, base, batch of 2", 2, "600 ms", "600 ms"),
            ]
        );
        let counts = lines.last().and_then(|line| line.counts.clone());
        let [launches, _, _, _, _, largest] = counts.expect("WebGPU's counts");
        assert_eq!((launches.as_str(), largest.as_str()), ("860", "700 kB"));
    }

    #[test]
    fn the_report_has_everything() {
        let mut stats = Stats::default();
        stats.take(measured(PASS, 2000.126, 9));
        stats.take(measured(PASS, 400.0, 7));
        let report = report(&stats);
        assert_eq!(report["version"], "1.2.3");
        assert_eq!(report["device"]["kind"], "Cpu");
        assert_eq!(report["bufferBytes"]["now"], 1_000_000);
        assert_eq!(report["bufferBytes"]["peak"], 9_000_000);
        assert_eq!(report["errors"], serde_json::json!(["error 9", "error 7"]));
        let pass = &report["phases"][0];
        assert_eq!(pass["name"], "UNet pass, base, batch of 2");
        assert_eq!(pass["milliseconds"], serde_json::json!([2000.13, 400.0]));
        assert_eq!(pass["fastestMilliseconds"], 400.0);
        assert_eq!(pass["counts"]["launches"], 7);
        assert_eq!(pass["gpu"]["launches"]["byKernel"], serde_json::json!({}));
        let facts = stats.facts(&about());
        let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["Page", "Device", "GPU buffers", "The GPU complained"]
        );
    }

    #[test]
    fn a_long_run_keeps_the_last_times() {
        let mut stats = Stats::default();
        for run in 0..200 {
            let mut measurement = measured(Phase::Preview, f64::from(run), 1);
            measurement.gpu = None;
            stats.take(measurement);
        }
        let report = report(&stats);
        let times = report["phases"][0]["milliseconds"]
            .as_array()
            .expect("a list");
        assert_eq!(times.len(), KEPT_TIMES);
        assert_eq!(times.last(), Some(&serde_json::json!(199.0)));
        assert_eq!(report["phases"][0]["fastestMilliseconds"], 0.0);
        assert_eq!(report["bufferBytes"], serde_json::Value::Null);
        assert!(stats.lines().iter().all(|line| line.counts.is_none()));
    }
}
