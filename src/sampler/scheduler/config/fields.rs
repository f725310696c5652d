//! Typed access to the fields of a configuration.

use serde_json::{Map, Value};

use super::names::SchedulerClass;
use crate::sampler::scheduler::error::SchedulerError;

/// The fields of a configuration; null counts as absent.
pub(super) struct Fields<'a>(pub &'a Map<String, Value>);

/// diffusers' classes that are not implemented here and that sample a model of the same kind as
/// [`SchedulerClass::EulerDiscrete`] does: `EulerDiscreteScheduler.from_config` takes their
/// configurations.
const DRAWN_WITH_EULER: [&str; 11] = [
    "DDIMParallelScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
];

/// The beginnings of the names of diffusers' classes whose models know noise by other formulas.
const OTHER_MODELS: [(&str, &str); 4] = [
    ("EDM", "EDM"),
    ("CosineDPM", "EDM"),
    ("FlowMatch", "flow matching"),
    ("FlowMap", "flow matching"),
];

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The class that samples the model, and what the configuration names in its place where that is
    /// none of the known ones.
    pub(super) fn class(&self) -> Result<(SchedulerClass, Option<&'static str>), SchedulerError> {
        const NAME: &str = "_class_name";
        let name = self.get(NAME).and_then(Value::as_str).unwrap_or_default();
        let other = OTHER_MODELS
            .iter()
            .find(|(start, _)| name.starts_with(start));
        let other = other.map(|(_, kind)| *kind);
        // Whatever the class: only models of this kind are told the deviation of their data.
        if let Some(kind) = other.or(self.get("sigma_data").map(|_| "EDM")) {
            return Err(SchedulerError::OtherModel {
                class: shortened(&Value::from(name)),
                kind,
            });
        }
        if let Some(known) = DRAWN_WITH_EULER.into_iter().find(|known| *known == name) {
            return Ok((SchedulerClass::EulerDiscrete, Some(known)));
        }
        let class = self
            .named(
                NAME,
                &SchedulerClass::ALL.map(|class| (class.class_name(), class)),
            )?
            .ok_or(SchedulerError::NoClass)?;
        let is =
            |field: &str, values: &[Value]| self.get(field).is_some_and(|it| values.contains(it));
        let noise = ["dpmsolver", "sde-dpmsolver"].map(Value::from);
        Ok(match class {
            SchedulerClass::DpmSolverMultistep if is("algorithm_type", &noise) => (
                SchedulerClass::EulerDiscrete,
                Some("DPMSolverMultistepScheduler without ++"),
            ),
            SchedulerClass::UniPcMultistep if is("predict_x0", &[Value::from(false)]) => (
                SchedulerClass::EulerDiscrete,
                Some("UniPCMultistepScheduler without predict_x0"),
            ),
            class => (class, None),
        })
    }

    /// Options of diffusers that would change the pictures but have no implementation here. Each
    /// is refused unless it has the value under which it does nothing.
    pub(super) fn refuse_unimplemented(&self) -> Result<(), SchedulerError> {
        let idle_values = [
            ("thresholding", Value::from(false)),
            ("trained_betas", Value::Null),
            ("use_flow_sigmas", Value::from(false)),
            ("use_dynamic_shifting", Value::from(false)),
            ("solver_p", Value::Null),
        ];
        for (name, idle) in idle_values {
            match self.get(name) {
                Some(value) if *value != idle => {
                    return Err(SchedulerError::Unimplemented {
                        name,
                        value: shortened(value),
                        idle: idle.to_string(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A short list of whole numbers.
    pub(super) fn counts(
        &self,
        name: &'static str,
        maximum: u32,
    ) -> Result<Option<Vec<u32>>, SchedulerError> {
        self.read(
            name,
            || format!("a list of whole numbers up to {maximum}"),
            |value| {
                let numbers = value.as_array()?.iter();
                numbers
                    .map(|number| {
                        u32::try_from(number.as_u64()?)
                            .ok()
                            .filter(|it| *it <= maximum)
                    })
                    .collect()
            },
        )
    }

    pub(super) fn finite(&self, name: &'static str) -> Result<Option<f64>, SchedulerError> {
        self.read(name, || "a number".into(), Value::as_f64)
    }

    pub(super) fn named<T: Copy>(
        &self,
        name: &'static str,
        known: &[(&'static str, T)],
    ) -> Result<Option<T>, SchedulerError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        known
            .iter()
            .find(|(text, _)| value.as_str() == Some(text))
            .map(|(_, meaning)| Some(*meaning))
            .ok_or_else(|| SchedulerError::UnknownName {
                name,
                value: shortened(value),
                known: known
                    .iter()
                    .map(|(text, _)| *text)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    pub(super) fn count(
        &self,
        name: &'static str,
        minimum: u32,
        maximum: u32,
    ) -> Result<Option<u32>, SchedulerError> {
        self.read(
            name,
            || format!("a whole number from {minimum} to {maximum}"),
            |value| {
                value
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| (minimum..=maximum).contains(number))
            },
        )
    }

    pub(super) fn fraction(&self, name: &'static str) -> Result<Option<f64>, SchedulerError> {
        self.read(
            name,
            || "a number between 0 and 1".into(),
            |value| {
                value
                    .as_f64()
                    .filter(|number| 0.0 < *number && *number < 1.0)
            },
        )
    }

    pub(super) fn positive(&self, name: &'static str) -> Result<Option<f64>, SchedulerError> {
        self.read(
            name,
            || "a number above 0 and at most 1000000".into(),
            |value| {
                value
                    .as_f64()
                    .filter(|number| 0.0 < *number && *number <= 1e6)
            },
        )
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, SchedulerError> {
        self.read(name, || "true or false".into(), Value::as_bool)
    }

    fn read<T>(
        &self,
        name: &'static str,
        expected: impl Fn() -> String,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, SchedulerError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        convert(value)
            .map(Some)
            .ok_or_else(|| SchedulerError::InvalidField {
                name,
                value: shortened(value),
                expected: expected(),
            })
    }
}

/// A value for a sentence: a list of a thousand numbers would hide what the sentence says.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 40;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}
