//! Round numbers along an axis.

/// The most ticks of an axis.
const MOST: f64 = 8.0;

/// An axis's ends and what is written along it: multiples of 1, 2 or 5 times a power of ten, from one at
/// or below the lowest number to one at or above the highest, apart by at least `least_step`.
pub fn ticks(low: f64, high: f64, least_step: f64) -> Vec<f64> {
    let (low, high) = if high > low {
        (low, high)
    } else {
        // A single number is in the middle, where that leaves the axis on its side of 0.
        let below = low - 0.5;
        let below = if low >= 0.0 { below.max(0.0) } else { below };
        (below, low + 0.5)
    };
    let least = ((high - low) / MOST).max(least_step);
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power);
    let first = (low / step).floor();
    let count = ((high / step).ceil() - first) as usize;
    (0..=count)
        .map(|index| {
            let tick = (first + index as f64) * step;
            // Without what rounding adds to its end.
            (tick / step).round() * step
        })
        .collect()
}

/// The digits after the point that tell ticks apart.
pub fn digits(ticks: &[f64]) -> usize {
    let step = ticks.windows(2).map(|pair| match pair {
        [a, b] => (b - a).abs(),
        _ => 1.0,
    });
    let step = step.fold(f64::INFINITY, f64::min);
    (0..6)
        .find(|digits| {
            let scaled = step * 10f64.powi(*digits);
            (scaled - scaled.round()).abs() < 1e-6 && scaled.round() >= 1.0
        })
        .unwrap_or(6) as usize
}
