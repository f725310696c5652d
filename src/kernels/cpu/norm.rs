//! Normalizations.

use super::functions::add;

/// The normalized values of `inputs` beside each other, for one image. The statistics of each group of
/// channels are over all pixels.
///
/// # Shapes
/// - inputs: `[pixels, channels]`, with their channels
/// - weight, bias: `[channels of all inputs]`
/// - output: `[pixels, channels of all inputs]`
pub fn group(
    inputs: &[(&[f32], usize)],
    weight: &[f32],
    bias: &[f32],
    groups: usize,
    epsilon: f64,
    output: &mut [f32],
) {
    let channels = weight.len();
    let of_group = channels / groups.max(1);
    let pixels = output.len() / channels.max(1);
    let mean_of_groups = |sums: &[f32]| -> Vec<f32> {
        sums.chunks(of_group)
            .map(|sums| sums.iter().sum::<f32>() / (pixels * of_group) as f32)
            .collect()
    };
    let mut sums = vec![0.0; channels];
    each_input(inputs, |values, own, first| {
        for pixel in values.chunks_exact(own) {
            add(&mut sums[first..][..own], pixel);
        }
    });
    let means: Vec<f32> = mean_of_groups(&sums)
        .into_iter()
        .flat_map(|mean| std::iter::repeat_n(mean, of_group))
        .collect();
    sums.fill(0.0);
    each_input(inputs, |values, own, first| {
        let sums = &mut sums[first..][..own];
        let means = &means[first..][..own];
        for pixel in values.chunks_exact(own) {
            for ((sum, &value), &mean) in sums.iter_mut().zip(pixel).zip(means) {
                *sum += (value - mean) * (value - mean);
            }
        }
    });
    let scales: Vec<f32> = mean_of_groups(&sums)
        .into_iter()
        .flat_map(|variance| std::iter::repeat_n((variance + epsilon as f32).sqrt(), of_group))
        .zip(weight)
        .map(|(deviation, &weight)| weight / deviation)
        .collect();
    each_input(inputs, |values, own, first| {
        let (means, scales) = (&means[first..][..own], &scales[first..][..own]);
        let bias = &bias[first..][..own];
        for (pixel, output) in values
            .chunks_exact(own)
            .zip(output.chunks_exact_mut(channels))
        {
            affine(pixel, means, scales, bias, &mut output[first..][..own]);
        }
    });
}

/// Calls with each input, its channels, and the number of channels before it.
fn each_input(inputs: &[(&[f32], usize)], mut call: impl FnMut(&[f32], usize, usize)) {
    let mut first = 0;
    for &(values, channels) in inputs {
        call(values, channels, first);
        first += channels;
    }
}

fn affine(values: &[f32], means: &[f32], scales: &[f32], bias: &[f32], output: &mut [f32]) {
    let parameters = means.iter().zip(scales).zip(bias);
    for ((output, &value), ((&mean, &scale), &bias)) in
        output.iter_mut().zip(values).zip(parameters)
    {
        *output = (value - mean) * scale + bias;
    }
}

/// The normalized rows.
///
/// # Shapes
/// - values, output: `[rows, size]`
/// - weight, bias: `[size]`
pub fn layer(values: &[f32], weight: &[f32], bias: &[f32], epsilon: f64, output: &mut [f32]) {
    let size = weight.len();
    let rows = output.chunks_exact_mut(size.max(1));
    for (output, row) in rows.zip(values.chunks_exact(size.max(1))) {
        let mean = sum(row, |value| value) / size as f32;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / size as f32;
        let scale = 1.0 / (variance + epsilon as f32).sqrt();
        let parameters = weight.iter().zip(bias);
        for ((output, &value), (&weight, &bias)) in output.iter_mut().zip(row).zip(parameters) {
            *output = (value - mean) * scale * weight + bias;
        }
    }
}

/// The sum of a function's values, eight sums at a time: one would wait for each addition.
#[inline(always)]
pub fn sum(values: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &value) in sums.iter_mut().zip(block) {
            *sum += function(value);
        }
    }
    let rest: f32 = rest.iter().map(|&value| function(value)).sum();
    sums.iter().sum::<f32>() + rest
}
