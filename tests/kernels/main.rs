//! Every operation natively, against torch's values: the plain operations on the CPU, and with the feature
//! `gpu` the kernels on a graphics card, in both forms and precisions. `tests/dawn/kernels.test.mjs` does
//! the same in the build for the browser.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be, and says how far from it all else is"
)]

mod cases;
mod numbers;

use burn::tensor::Device;
use cases::{Cases, TOLERANCE};

/// Computes all cases on a device, and fails on those that are further from torch's values than they may
/// be.
fn assert_torchs_values(on: &str, device: &Device, tolerance: f64) {
    let all = Cases::read().unwrap();
    let mut failed = Vec::new();
    for case in &all.cases {
        let (values, numbers) = case.compute(device).unwrap().into_parts();
        let values: Vec<f32> = values.into_data().try_into_vec().unwrap();
        let error = all.error(case, numbers, &values).unwrap();
        let line = format!("{on}, {}: {error:.1e}", case.name);
        println!("{line}");
        if error.is_nan() || error > tolerance {
            failed.push(line);
        }
    }
    assert!(failed.is_empty(), "further than {tolerance:e}: {failed:#?}");
}

#[test]
fn plain_operations_are_torchs() {
    assert_torchs_values("CPU", &Device::flex(), TOLERANCE);
}

#[cfg(feature = "gpu")]
mod card {
    use std::sync::{Mutex, OnceLock, PoisonError};

    use burn::tensor::{Device, FloatDType};
    use firststep::kernels::{self, Form, Forms};

    use super::assert_torchs_values;
    use super::cases::{HALF_TOLERANCE, TOLERANCE};

    fn card() -> Device {
        static DEVICE: OnceLock<Device> = OnceLock::new();
        DEVICE
            .get_or_init(|| Device::wgpu_options().init().unwrap())
            .clone()
    }

    fn assert_on_card(form: Form) {
        // One form at a time.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let card = card();
        kernels::set_forms(Forms::all(form));
        assert_torchs_values(&format!("{form}, f32"), &card, TOLERANCE);
        if card.supports_dtype(FloatDType::F16) {
            kernels::set_half(true);
            assert_torchs_values(&format!("{form}, f16"), &card, HALF_TOLERANCE);
            kernels::set_half(false);
        }
    }

    #[test]
    fn kernels_with_tiles_in_shared_memory_are_torchs() {
        assert_on_card(Form::Shared);
    }

    #[test]
    fn kernels_in_registers_are_torchs() {
        assert_on_card(Form::Registers);
    }
}
