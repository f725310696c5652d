//! The curve of the paper's Figure 5 as text that other programs read.

use serde::Serialize;

use crate::sampler::ModelRole;

/// What the distance is, in words.
pub const MEASURE: &str =
    "structural dissimilarity, 1 − MS-SSIM on luma and chroma: a proxy, not DreamSim";

/// How far a run's Diffusion Targets are from its final image.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What the row is called.
    pub row: String,
    /// The seed.
    pub seed: u32,
    /// What was drawn.
    pub prompt: String,
    /// Of each step, of 1000.
    pub timesteps: Vec<f32>,
    /// Who took each step.
    pub models: Vec<ModelRole>,
    /// Of each step's target to the final image; see [`MEASURE`].
    pub distances: Vec<f64>,
}

impl Curve {
    /// Share of the steps that are done with the one of this index.
    pub fn share(&self, index: usize) -> f64 {
        (index + 1) as f64 / self.distances.len().max(1) as f64
    }

    /// Timestep, model and distance of each step.
    pub fn points(&self) -> impl Iterator<Item = (f32, ModelRole, f64)> {
        self.timesteps
            .iter()
            .zip(&self.models)
            .zip(&self.distances)
            .map(|((&timestep, &model), &distance)| (timestep, model, distance))
    }
}

/// The upper end of an axis that begins at 0: a full tenth that no value is over.
pub fn axis_top(curves: &[Curve]) -> f64 {
    let largest = curves
        .iter()
        .flat_map(|curve| &curve.distances)
        .copied()
        .fold(0.0, f64::max);
    (largest * 10.0).ceil().max(1.0) / 10.0
}

/// A line per step, in the form of RFC 4180.
pub fn csv(curves: &[Curve]) -> String {
    let mut lines = String::from("row,seed,prompt,step,steps,timestep,model,share,distance\r\n");
    for curve in curves {
        let (row, prompt) = (quoted(&curve.row), quoted(&curve.prompt));
        for (index, (timestep, model, distance)) in curve.points().enumerate() {
            lines.push_str(&format!(
                "{row},{},{prompt},{},{},{timestep},{},{},{distance}\r\n",
                curve.seed,
                index + 1,
                curve.distances.len(),
                key(model),
                curve.share(index),
            ));
        }
    }
    lines
}

#[derive(Serialize)]
struct Report<'a> {
    measure: &'static str,
    strips: Vec<Strip<'a>>,
}

#[derive(Serialize)]
struct Strip<'a> {
    row: &'a str,
    seed: u32,
    prompt: &'a str,
    steps: usize,
    timesteps: &'a [f32],
    models: Vec<&'static str>,
    distances: &'a [f64],
}

/// The same as JSON.
///
/// # Errors
/// As serde_json has them; text and numbers have none.
pub fn json(curves: &[Curve]) -> Result<String, serde_json::Error> {
    let strips = curves.iter().map(|curve| Strip {
        row: &curve.row,
        seed: curve.seed,
        prompt: &curve.prompt,
        steps: curve.distances.len(),
        timesteps: &curve.timesteps,
        models: curve.models.iter().copied().map(key).collect(),
        distances: &curve.distances,
    });
    serde_json::to_string_pretty(&Report {
        measure: MEASURE,
        strips: strips.collect(),
    })
}

fn key(model: ModelRole) -> &'static str {
    match model {
        ModelRole::Base => "base",
        ModelRole::Distilled => "distilled",
    }
}

/// A field that may hold anything.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Curve {
        Curve {
            row: "Hybrid, k = 1".to_owned(),
            seed: 7,
            prompt: "a \"red\" heart,\nplease".to_owned(),
            timesteps: vec![999.0, 748.6],
            models: vec![ModelRole::Base, ModelRole::Distilled],
            distances: vec![0.25, 0.0],
        }
    }

    #[test]
    fn a_table_has_a_line_per_step_and_quotes_what_is_typed() {
        let expected = "row,seed,prompt,step,steps,timestep,model,share,distance\r\n\
            \"Hybrid, k = 1\",7,\"a \"\"red\"\" heart,\nplease\",1,2,999,base,0.5,0.25\r\n\
            \"Hybrid, k = 1\",7,\"a \"\"red\"\" heart,\nplease\",2,2,748.6,distilled,1,0\r\n";
        assert_eq!(csv(&[curve()]), expected);
    }

    #[test]
    fn the_report_says_what_was_measured() {
        let text = json(&[curve()]).expect("JSON");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(
            report["measure"]
                .as_str()
                .is_some_and(|it| it.contains("not DreamSim"))
        );
        let strip = &report["strips"][0];
        assert_eq!(strip["prompt"], "a \"red\" heart,\nplease");
        assert_eq!(strip["steps"], 2);
        assert_eq!(strip["timesteps"][1].to_string(), "748.6");
        assert_eq!(strip["models"][0], "base");
        assert_eq!(strip["distances"][1], 0.0);
    }

    #[test]
    fn an_axis_ends_at_a_tenth_above_every_value() {
        assert_eq!(axis_top(&[]), 0.1);
        assert_eq!(axis_top(&[curve()]), 0.3);
    }
}
