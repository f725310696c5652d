//! UniPC (Zhao and others, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of
//! Diffusion Models") in the predicted original sample. A step first corrects the sample that the step
//! before it predicted, by what the model says there, and then predicts the next.

use super::config::{SchedulerConfig, SolverType};
use super::error::SchedulerError;
use super::memory::Memory;
use super::output::StepOutput;
use super::solver_levels::SolverLevels;
use super::timesteps::Timesteps;

#[derive(Clone, Debug)]
pub(super) struct UniPc {
    pub levels: SolverLevels,
    order: usize,
    solver_type: SolverType,
    lower_order_final: bool,
    disable_corrector: Vec<u32>,
}

/// The part of a step that predictor and corrector have in common: from the level before step `from` to
/// the one after it, with the outputs of that step and of those before it.
struct Stretch<'a> {
    /// `sigma_t / sigma_s`.
    sample: f32,
    /// `alpha_t`.
    alpha: f32,
    /// `exp(-h) - 1`.
    growth: f32,
    /// The paper's B(h).
    scale: f32,
    /// The newest output.
    newest: &'a [f32],
    /// Differences to the earlier ones.
    differences: Vec<Vec<f32>>,
    /// Powers of the earlier outputs' distances, and the right side: the equations of the weights.
    matrix: Vec<Vec<f32>>,
    right: Vec<f32>,
}

impl UniPc {
    pub(super) fn new(
        config: &SchedulerConfig,
        requested: &Timesteps,
    ) -> Result<(Vec<f32>, UniPc), SchedulerError> {
        let (timesteps, levels) = SolverLevels::new(config, requested)?;
        let solver = UniPc {
            levels,
            order: config.solver_order(),
            solver_type: config.solver_type(),
            lower_order_final: config.lower_order_final(),
            disable_corrector: config.disable_corrector().to_vec(),
        };
        Ok((timesteps, solver))
    }

    /// What is kept after so many steps: the predicted originals, and before them the sample that the
    /// last step began with.
    pub(super) fn kept_after(&self, steps: usize) -> usize {
        match steps {
            0 => 0,
            steps => 1 + steps.min(self.order),
        }
    }

    /// The order of step `index`, for which so many outputs are there with its own.
    fn order_of(&self, index: usize, outputs: usize) -> usize {
        let (from, to) = (self.levels.at(index), self.levels.at(index + 1));
        let distance = to.lambda - from.lambda;
        // Earlier outputs are weighted by their distances in terms of this one. Where it is none, or
        // beyond all, diffusers' weights are no numbers; the first order is exact there.
        if !distance.is_finite() || distance == 0.0 {
            return 1;
        }
        let highest = if self.lower_order_final {
            self.order.min(self.levels.steps() - index)
        } else {
            self.order
        };
        highest.min(outputs)
    }

    pub(super) fn step(
        &self,
        index: usize,
        model_output: &[f32],
        sample: &[f32],
        memory: &mut Memory,
    ) -> StepOutput {
        let predicted_original = self.levels.predicted_original(index, model_output, sample);
        let mut kept = std::mem::take(&mut memory.kept).into_iter();
        let last_sample = kept.next();
        let mut outputs: Vec<Vec<f32>> = kept.collect();
        let sample = match (last_sample, index.checked_sub(1)) {
            (Some(last_sample), Some(before))
                if !outputs.is_empty() && !self.disable_corrector.contains(&(before as u32)) =>
            {
                let order = self.order_of(before, outputs.len());
                self.corrected(before, order, &last_sample, &outputs, &predicted_original)
            }
            _ => sample.to_vec(),
        };
        outputs.push(predicted_original.clone());
        let surplus = outputs.len().saturating_sub(self.order);
        outputs.drain(..surplus);
        let order = self.order_of(index, outputs.len());
        let previous_sample = self.predicted(index, order, &sample, &outputs);
        memory.kept = [sample].into_iter().chain(outputs).collect();
        StepOutput {
            previous_sample,
            predicted_original,
        }
    }

    /// `outputs` ends with that of step `from`.
    fn stretch<'a>(&self, from: usize, order: usize, outputs: &'a [Vec<f32>]) -> Stretch<'a> {
        let (start, end) = (self.levels.at(from), self.levels.at(from + 1));
        let distance = end.lambda - start.lambda;
        let newest = outputs[outputs.len() - 1].as_slice();
        let mut ratios = Vec::new();
        let mut differences = Vec::new();
        for steps in 1..order {
            let ratio = (self.levels.at(from - steps).lambda - start.lambda) / distance;
            let earlier = &outputs[outputs.len() - 1 - steps];
            let difference = earlier.iter().zip(newest);
            differences.push(
                difference
                    .map(|(earlier, newest)| (earlier - newest) / ratio)
                    .collect(),
            );
            ratios.push(ratio);
        }
        ratios.push(1.0);
        let h = -distance;
        let growth = h.exp_m1();
        let scale = match self.solver_type {
            SolverType::Bh1 => h,
            _ => growth,
        };
        let mut phi = growth / h - 1.0;
        let mut factorial = 1.0;
        let mut matrix = Vec::new();
        let mut right = Vec::new();
        for power in 1..=order {
            matrix.push(
                ratios
                    .iter()
                    .map(|ratio| ratio.powi(power as i32 - 1))
                    .collect(),
            );
            right.push(phi * factorial / scale);
            factorial *= (power + 1) as f32;
            phi = phi / h - 1.0 / factorial;
        }
        Stretch {
            sample: end.sigma / start.sigma,
            alpha: end.alpha,
            growth,
            scale,
            newest,
            differences,
            matrix,
            right,
        }
    }

    fn predicted(
        &self,
        index: usize,
        order: usize,
        sample: &[f32],
        outputs: &[Vec<f32>],
    ) -> Vec<f32> {
        let stretch = self.stretch(index, order, outputs);
        let weights = match order {
            1 => Vec::new(),
            // diffusers' simplification.
            2 => vec![0.5],
            _ => {
                let unknown = order - 1;
                let rows = stretch.matrix.iter().take(unknown);
                let matrix = rows.map(|row| row[..unknown].to_vec()).collect();
                solved(matrix, stretch.right[..unknown].to_vec())
            }
        };
        stretch.ended(sample, &weights, None)
    }

    /// The sample after step `from`, which began with `last_sample`: by the outputs up to that step, and
    /// by what the model makes of the sample that was predicted.
    fn corrected(
        &self,
        from: usize,
        order: usize,
        last_sample: &[f32],
        outputs: &[Vec<f32>],
        predicted_original: &[f32],
    ) -> Vec<f32> {
        let stretch = self.stretch(from, order, outputs);
        let mut weights = match order {
            // diffusers' simplification.
            1 => vec![0.5],
            _ => solved(stretch.matrix.clone(), stretch.right.clone()),
        };
        let own = weights.pop().unwrap_or_default();
        stretch.ended(last_sample, &weights, Some((own, predicted_original)))
    }
}

impl Stretch<'_> {
    /// The sample at the end: of the one at the beginning, the weighted differences, and the output at
    /// the end where it is known.
    fn ended(&self, sample: &[f32], weights: &[f32], at_end: Option<(f32, &[f32])>) -> Vec<f32> {
        (0..sample.len())
            .map(|place| {
                let newest = self.newest[place];
                let differences = self.differences.iter().zip(weights);
                let mut change: f32 = differences
                    .map(|(difference, weight)| weight * difference[place])
                    .sum();
                if let Some((weight, output)) = at_end {
                    change += weight * (output[place] - newest);
                }
                self.sample * sample[place]
                    - self.alpha * self.growth * newest
                    - self.alpha * self.scale * change
            })
            .collect()
    }
}

/// The solution of at most three linear equations, by elimination with the largest pivot, in single
/// precision as in torch.
fn solved(mut matrix: Vec<Vec<f32>>, mut right: Vec<f32>) -> Vec<f32> {
    let count = right.len();
    for column in 0..count {
        let pivot = (column..count).fold(column, |best, row| {
            if matrix[row][column].abs() > matrix[best][column].abs() {
                row
            } else {
                best
            }
        });
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let (above, below) = matrix.split_at_mut(column + 1);
        let pivot = &above[column];
        for (row, values) in (column + 1..).zip(below) {
            let factor = values[column] / pivot[column];
            for (value, pivot) in values.iter_mut().zip(pivot).skip(column) {
                *value -= factor * pivot;
            }
            right[row] -= factor * right[column];
        }
    }
    for row in (0..count).rev() {
        for place in row + 1..count {
            right[row] -= matrix[row][place] * right[place];
        }
        right[row] /= matrix[row][row];
    }
    right
}
