//! Which of the two forms is the faster one on this adapter, measured once: the table can't know every
//! card.

use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};
use web_time::Instant;

use super::forms::{Budget, Choice, Form, Forms, Times};
use super::gpu::{forms, set_forms};
use super::layer::{After, Heads, Layer};
use super::operations;
use super::trial;
use crate::weights::format::encoding::Encoding;

/// The time of the measurements of a case.
const MEASURING: Duration = Duration::from_millis(250);
/// The time of the first runs of a case, each of which compiles a program.
const PREPARING: Duration = Duration::from_secs(2);
/// Times that are taken of a form.
const TIMES: usize = 5;
/// A time has so many launches that it takes at least this long: waiting for a result takes a millisecond
/// or two by itself.
const LEAST_TIME: Duration = Duration::from_millis(10);
/// Launches of one time at most.
const MOST_LAUNCHES: u32 = 64;

/// Tokens of both cases: SDXL's at 1024², where it has 1,280 channels.
const TOKENS: usize = 1024;
/// Channels of the matrix product.
const CHANNELS: usize = 640;
/// The heads of attention.
const HEADS: Heads = Heads {
    count: 8,
    size: 64,
    is_causal: false,
};

/// What is measured.
enum Case {
    /// A product with a weight of four bits, as most of a UNet's.
    Matmul(Tensor<3>, Box<Layer>),
    /// Attention over the tokens themselves.
    Attention(Tensor<3>),
}

impl Case {
    fn matmul(device: &Device) -> Result<Case, String> {
        let layer = trial::layer(&[CHANNELS, CHANNELS], Encoding::Q4, 1.0, device)
            .map_err(|error| error.to_string())?;
        Ok(Case::Matmul(rows(CHANNELS, device), Box::new(layer)))
    }

    fn attention(device: &Device) -> Case {
        Case::Attention(rows(3 * HEADS.count * HEADS.size, device))
    }

    /// Floating-point operations of one launch.
    fn work(&self) -> f64 {
        match self {
            Case::Matmul(..) => 2.0 * (TOKENS * CHANNELS * CHANNELS) as f64,
            Case::Attention(_) => 4.0 * (TOKENS * TOKENS * HEADS.count * HEADS.size) as f64,
        }
    }

    fn form(&self, forms: Forms) -> Form {
        match self {
            Case::Matmul(..) => forms.matmul,
            Case::Attention(_) => forms.attention,
        }
    }

    fn launch(&self, form: Form) -> Tensor<3> {
        let before = forms();
        set_forms(Forms::all(form));
        let result = match self {
            Case::Matmul(input, layer) => {
                operations::linear(input.clone(), layer, After::default())
            }
            Case::Attention(input) => operations::attention(input.clone(), None, HEADS),
        };
        set_forms(before);
        result
    }

    /// The time until the result of the last of these launches can be read.
    async fn time(&self, form: Form, launches: u32) -> Result<Duration, String> {
        let start = Instant::now();
        let mut result = self.launch(form);
        for _ in 1..launches {
            result = self.launch(form);
        }
        let few = result.narrow(1, 0, 1).narrow(2, 0, 4);
        let values = few.into_data_async().await;
        values.map_err(|error| error.to_string())?;
        Ok(start.elapsed())
    }

    /// Measures both forms in turns, the table's first, until there are enough times or the budget has
    /// ended.
    async fn measure(&self, table: Form, budget: &mut Budget) -> Result<Measured, String> {
        let mut measured = Measured {
            launches: 1,
            times: Times::default(),
        };
        for form in [table, table.other()] {
            if !budget.allows_preparation() {
                return Ok(measured);
            }
            budget.prepared(self.time(form, 1).await?);
        }
        let mut usual = self.time(table, 1).await?;
        budget.measured(usual);
        while usual < LEAST_TIME && measured.launches < MOST_LAUNCHES {
            measured.launches *= 2;
            usual = self.time(table, measured.launches).await?;
            budget.measured(usual);
        }
        measured.times.of_table.push(milliseconds(usual));
        for _ in 0..TIMES {
            for form in [table.other(), table] {
                if !budget.allows(usual) {
                    return Ok(measured);
                }
                let time = self.time(form, measured.launches).await?;
                budget.measured(time);
                let times = &mut measured.times;
                if form == table {
                    times.of_table.push(milliseconds(time));
                } else {
                    times.of_other.push(milliseconds(time));
                }
            }
        }
        Ok(measured)
    }
}

struct Measured {
    launches: u32,
    times: Times,
}

/// Launches what is measured, once in each form.
///
/// # Errors
/// As [`probe`].
pub fn launch_probe(device: &Device) -> Result<(), String> {
    for case in [Case::matmul(device)?, Case::attention(device)] {
        for form in [Form::Shared, Form::Registers] {
            drop(case.launch(form));
        }
    }
    Ok(())
}

/// Measures a matrix product and attention in both forms, for at most half a second, and chooses. A
/// convolution is a matrix product with other reads, and has its form.
///
/// # Errors
/// The adapter failed: in its own words.
pub async fn probe(device: &Device, known: Choice) -> Result<Choice, String> {
    let mut choice = known;
    for case in [Case::matmul(device)?, Case::attention(device)] {
        let table = case.form(known.forms);
        let measured = case
            .measure(table, &mut Budget::of(MEASURING, PREPARING))
            .await?;
        let form = measured.times.faster(table);
        match case {
            Case::Matmul(..) => {
                choice.forms.matmul = form;
                choice.forms.convolution = form;
                if let Some(time) = measured.times.of(form, table).filter(|&time| time > 0.0) {
                    choice.speed = case.work() * f64::from(measured.launches) * 1000.0 / time;
                }
            }
            Case::Attention(_) => choice.forms.attention = form,
        }
    }
    Ok(choice)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Activations.
///
/// # Shapes
/// `[1, TOKENS, columns]`
fn rows(columns: usize, device: &Device) -> Tensor<3> {
    let values = TensorData::new(trial::numbers(TOKENS * columns, 1.0), [1, TOKENS, columns]);
    operations::to_activations(Tensor::from_data(values, device))
}
