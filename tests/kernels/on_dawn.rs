//! What the test calls.

use burn::tensor::{Device, FloatDType};
use firststep::kernels::{self, Form, Forms};
use wasm_bindgen::prelude::*;

use crate::cases::{Case, Cases, HALF_TOLERANCE, OnDawn, TOLERANCE};

/// The cases, and the device of `navigator.gpu`.
#[wasm_bindgen]
pub struct Kernels {
    cases: Cases,
    card: Device,
}

#[wasm_bindgen]
impl Kernels {
    /// Reads the cases and asks for the device, as the worker does.
    pub async fn start() -> Result<Kernels, JsError> {
        console_error_panic_hook::set_once();
        let options = Device::wgpu_options().tasks_max(kernels::TASKS);
        Ok(Self {
            cases: Cases::read().map_err(failure)?,
            card: options.init_async().await.map_err(failure)?,
        })
    }

    /// The names of all cases.
    pub fn names(&self) -> Vec<String> {
        let cases = self.cases.cases.iter();
        cases.map(|case| case.name.clone()).collect()
    }

    /// Whether a case is to be computed in this form and precision, or on the CPU.
    pub fn has(&self, index: usize, form: Option<String>, is_half: bool) -> Result<bool, JsError> {
        let case = self.case(index)?;
        let Some(form) = form else { return Ok(true) };
        let form = form_of(&form)?;
        Ok(case.on_dawn.contains(&OnDawn { form, is_half }))
    }

    /// Whether the device has half precision.
    #[wasm_bindgen(js_name = hasHalf)]
    pub fn has_half(&self) -> bool {
        self.card.supports_dtype(FloatDType::F16)
    }

    /// How far a result may be from torch's.
    pub fn tolerance(is_half: bool) -> f64 {
        if is_half { HALF_TOLERANCE } else { TOLERANCE }
    }

    /// Computes a case, and gives how far the result is from torch's: on the device with this form of the
    /// kernels and this precision, or without a form on the CPU.
    pub async fn error(
        &self,
        index: usize,
        form: Option<String>,
        is_half: bool,
    ) -> Result<f64, JsError> {
        let cpu = Device::flex();
        let device = match form {
            Some(form) => self.with(form_of(&form)?, is_half),
            None => &cpu,
        };
        let case = self.case(index)?;
        let (values, numbers) = case.compute(device).map_err(failure)?.into_parts();
        let values = values.into_data_async().await.map_err(failure)?;
        let values: Vec<f32> = values
            .try_into_vec()
            .map_err(|error| failure(format!("{error:?}")))?;
        self.cases.error(case, numbers, &values).map_err(failure)
    }

    fn case(&self, index: usize) -> Result<&Case, JsError> {
        let case = self.cases.cases.get(index);
        case.ok_or_else(|| failure("there is no such case"))
    }

    fn with(&self, form: Form, is_half: bool) -> &Device {
        kernels::set_forms(Forms::all(form));
        kernels::set_half(is_half);
        // Buffers of earlier cases are not used again: what no kernel has written is zero.
        self.card.memory_cleanup();
        &self.card
    }
}

fn form_of(name: &str) -> Result<Form, JsError> {
    match name {
        "Shared" => Ok(Form::Shared),
        "Registers" => Ok(Form::Registers),
        _ => Err(failure(format!("there is no form {name}"))),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "errors are handed over, as map_err has them"
)]
fn failure(reason: impl ToString) -> JsError {
    JsError::new(&reason.to_string())
}
