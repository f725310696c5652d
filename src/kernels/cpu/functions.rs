//! Functions of each value. They have no branches and call nothing: a loop over them becomes vector
//! instructions.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use crate::kernels::layer::Activation;

/// 3 · 2²²: what is added to it is rounded to an integer, which lies in the sum's lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// ln 2 in two parts, of which the first has few digits: its multiples are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// (eʳ − 1 − r) / r² for |r| ≤ ½ ln 2, the highest power first.
const EXPONENTIAL: [f32; 6] = [
    1.987_569_2e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
];

/// eˣ to two units in the last place; of what is too large or too small for `f32`, about its largest or
/// smallest value.
#[inline(always)]
pub fn exponential(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * LOG2_E + ROUNDING;
    let power = rounded - ROUNDING;
    let rest = x - power * LN_2[0] - power * LN_2[1];
    let value = polynomial(&EXPONENTIAL, rest) * rest * rest + rest + 1.0;
    value * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut value = 0.0;
    for &coefficient in coefficients {
        value = value * x + coefficient;
    }
    value
}

/// The error function's value is x · P(x²) / Q(x²) for |x| ≤ 4, and ±1 beyond: the numerator, the highest
/// power first.
const ERROR_NUMERATOR: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_4e-5,
    -7.349_906_4e-4,
    -2.954_600_2e-3,
    -1.609_603_4e-2,
];

/// The denominator of [`ERROR_NUMERATOR`].
const ERROR_DENOMINATOR: [f32; 5] = [
    -1.456_607_2e-5,
    -2.133_740_5e-4,
    -1.682_827_e-3,
    -7.373_329_3e-3,
    -1.426_473_9e-2,
];

#[inline(always)]
fn error_function(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    x * polynomial(&ERROR_NUMERATOR, square) / polynomial(&ERROR_DENOMINATOR, square)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + error_function(x * FRAC_1_SQRT_2))
}

/// Applies an activation to rows of `width` values. Of [`Activation::Geglu`]'s rows half the values are
/// left.
pub fn activate(mut values: Vec<f32>, width: usize, activation: Activation) -> Vec<f32> {
    match activation {
        Activation::Identity => {}
        Activation::Relu => apply(&mut values, |x| x.max(0.0)),
        Activation::Silu => apply(&mut values, |x| x * sigmoid(x)),
        Activation::Gelu => apply(&mut values, gelu),
        Activation::QuickGelu => apply(&mut values, |x| x * sigmoid(1.702 * x)),
        Activation::Geglu => return geglu(&values, width),
    }
    values
}

#[inline(always)]
fn apply(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

fn geglu(rows: &[f32], width: usize) -> Vec<f32> {
    let mut output = Vec::with_capacity(rows.len() / 2);
    for row in rows.chunks_exact(width.max(1)) {
        let (values, gates) = row.split_at(width / 2);
        let gated = values.iter().zip(gates);
        output.extend(gated.map(|(&value, &gate)| value * gelu(gate)));
    }
    output
}

/// Adds values one by one.
pub fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values between -limit and limit.
    fn values(limit: f64) -> impl Iterator<Item = f64> {
        (-20_000..=20_000).map(move |step| f64::from((f64::from(step) / 20_000.0 * limit) as f32))
    }

    #[test]
    fn exponentials_are_right_to_two_units() {
        for x in values(80.0) {
            let expected = x.exp();
            let error = (f64::from(exponential(x as f32)) - expected).abs();
            assert!(error <= 2.4e-7 * expected, "{x}: {error:e} of {expected:e}");
        }
    }

    #[test]
    fn exponentials_beyond_the_range_are_finite() {
        assert!(exponential(1e9).is_finite());
        assert!(exponential(-1e9) < 1e-37);
        assert!(exponential(f32::NAN).is_nan());
    }

    #[test]
    fn the_gelu_is_the_exact_one() {
        for x in values(12.0) {
            // The error function as its integral, by Simpson's rule.
            let end = (x / 2f64.sqrt()).clamp(-6.0, 6.0);
            let at = |part: usize| (-(end * part as f64 / 400.0).powi(2)).exp();
            let sum: f64 = (0..400)
                .step_by(2)
                .map(|part| at(part) + 4.0 * at(part + 1) + at(part + 2))
                .sum();
            let error_function = sum * end / 1200.0 * 2.0 / std::f64::consts::PI.sqrt();
            let expected = 0.5 * x * (1.0 + error_function);
            let error = (f64::from(gelu(x as f32)) - expected).abs();
            assert!(error <= 1e-6 * x.abs().max(1.0), "{x}: {error:e}");
        }
    }

    #[test]
    fn silu_ends_at_nothing_and_at_itself() {
        let silu = activate(vec![-200.0, -1.0, 0.0, 1.0, 200.0], 5, Activation::Silu);
        let expected = [0.0, -0.268_941_43, 0.0, 0.731_058_6, 200.0];
        for (value, expected) in silu.iter().zip(expected) {
            assert!((value - expected).abs() <= 1e-6, "{value}, {expected}");
        }
    }
}
