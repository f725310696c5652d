//! The Fréchet distance of two sets of features, each taken for normally distributed: FID, where the
//! features are those of Inception (Heusel et al., "GANs trained by a two time-scale update rule converge
//! to a local Nash equilibrium", 2017). Nothing here computes features.
//!
//! ```text
//! |μ₁ − μ₂|² + tr(Σ₁) + tr(Σ₂) − 2·tr((Σ₁·Σ₂)^½)
//! ```
//!
//! The eigenvalues of Σ₁·Σ₂ are those of Lᵀ·Σ₂·L with Σ₁ = L·Lᵀ, which is symmetric: they are found by
//! Householder's tridiagonal form and the QL algorithm with implicit shifts, without vectors.

/// Mean and covariance of a set of features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStatistics {
    mean: Vec<f64>,
    /// `[size, size]`, symmetric.
    covariance: Vec<f64>,
}

/// Why there is no Fréchet distance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrechetError {
    /// Numbers that are no table of features, or no mean with its covariance.
    #[error(
        "The features have to be a table of at least two rows, or a mean of n numbers with a covariance of n × n; {found} were found."
    )]
    Shape {
        /// What was found instead.
        found: String,
    },
    /// Features of different models.
    #[error(
        "Features of {first} numbers can't be compared with features of {second}: both have to be of the same model."
    )]
    Sizes {
        /// Numbers of a feature of the first set.
        first: usize,
        /// Numbers of a feature of the second set.
        second: usize,
    },
    /// Numbers that no features have.
    #[error("The features' covariance has no square root: it is damaged, or it is none.")]
    NotPositive,
}

impl FeatureStatistics {
    /// Of features, `[count, size]` one after the other; the covariance is the sample's, with count − 1.
    ///
    /// # Errors
    /// Fewer than two features, or numbers that fill no row.
    pub fn of_features(features: &[f64], size: usize) -> Result<Self, FrechetError> {
        let count = features.len().checked_div(size).unwrap_or_default();
        if count < 2 || count * size != features.len() {
            return Err(FrechetError::Shape {
                found: format!("{} numbers", features.len()),
            });
        }
        let mut mean = vec![0.0; size];
        for row in features.chunks_exact(size) {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += value / count as f64;
            }
        }
        let mut covariance = vec![0.0; size * size];
        let mut centred = vec![0.0; size];
        for row in features.chunks_exact(size) {
            for (place, (value, mean)) in centred.iter_mut().zip(row.iter().zip(&mean)) {
                *place = value - mean;
            }
            for (line, own) in covariance.chunks_exact_mut(size).zip(&centred) {
                let own = own / (count - 1) as f64;
                for (sum, other) in line.iter_mut().zip(&centred) {
                    *sum += own * other;
                }
            }
        }
        Ok(FeatureStatistics { mean, covariance })
    }

    /// Of a mean and a covariance, row by row.
    ///
    /// # Errors
    /// The covariance is not square, or of another size.
    pub fn new(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self, FrechetError> {
        if mean.is_empty() || covariance.len() != mean.len() * mean.len() {
            return Err(FrechetError::Shape {
                found: format!("{} and {} numbers", mean.len(), covariance.len()),
            });
        }
        Ok(FeatureStatistics { mean, covariance })
    }
}

/// The Fréchet distance of two sets of features; see the module's description.
///
/// # Errors
/// Features of different sizes, or a covariance that is none.
pub fn frechet_distance(
    first: &FeatureStatistics,
    second: &FeatureStatistics,
) -> Result<f64, FrechetError> {
    let size = first.mean.len();
    if size != second.mean.len() {
        return Err(FrechetError::Sizes {
            first: size,
            second: second.mean.len(),
        });
    }
    let means = first.mean.iter().zip(&second.mean);
    let apart: f64 = means.map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |matrix: &[f64]| matrix.iter().step_by(size + 1).sum::<f64>();
    let root = cholesky(&first.covariance, size).ok_or(FrechetError::NotPositive)?;
    let mut product = between(&root, &second.covariance, size);
    let eigenvalues = eigenvalues(&mut product, size).ok_or(FrechetError::NotPositive)?;
    // Rounding takes the smallest ones below 0.
    let root_trace: f64 = eigenvalues.iter().map(|it| it.max(0.0).sqrt()).sum();
    let distance = apart + trace(&first.covariance) + trace(&second.covariance) - 2.0 * root_trace;
    distance
        .is_finite()
        .then_some(distance)
        .ok_or(FrechetError::NotPositive)
}

/// L with L·Lᵀ of a matrix that may be singular: where fewer features than numbers were counted, columns
/// without a remainder are zeros. None where it has a negative direction.
fn cholesky(matrix: &[f64], size: usize) -> Option<Vec<f64>> {
    let largest = matrix.iter().step_by(size + 1).copied().fold(0.0, f64::max);
    /// Of the largest variance: what rounding leaves where nothing is.
    const NEGLIGIBLE: f64 = 1e-11;
    let negligible = largest * NEGLIGIBLE;
    let mut root = vec![0.0; size * size];
    for column in 0..size {
        let own: Vec<f64> = root[column * size..column * size + column].to_vec();
        let dot = |row: &[f64]| row.iter().zip(&own).map(|(a, b)| a * b).sum::<f64>();
        let pivot = matrix[column * size + column] - dot(&own);
        if pivot < -1e3 * negligible || pivot.is_nan() {
            return None;
        }
        if pivot <= negligible {
            continue;
        }
        let pivot = pivot.sqrt();
        root[column * size + column] = pivot;
        for row in column + 1..size {
            let rest = matrix[row * size + column] - dot(&root[row * size..row * size + column]);
            root[row * size + column] = rest / pivot;
        }
    }
    Some(root)
}

/// Lᵀ·M·L of a lower triangle L.
fn between(root: &[f64], matrix: &[f64], size: usize) -> Vec<f64> {
    let product = |left: &dyn Fn(usize, usize) -> f64, right: &[f64]| {
        let mut result = vec![0.0; size * size];
        for (row, line) in result.chunks_exact_mut(size).enumerate() {
            for (index, other) in right.chunks_exact(size).enumerate() {
                let factor = left(row, index);
                if factor != 0.0 {
                    for (sum, value) in line.iter_mut().zip(other) {
                        *sum += factor * value;
                    }
                }
            }
        }
        result
    };
    let right = product(&|row, index| matrix[row * size + index], root);
    product(&|row, index| root[index * size + row], &right)
}

/// The eigenvalues of a symmetric matrix, whose values are lost; none where they don't converge.
fn eigenvalues(matrix: &mut [f64], size: usize) -> Option<Vec<f64>> {
    let (mut diagonal, mut beside) = tridiagonal(matrix, size);
    const MOST_ROUNDS: usize = 100;
    for low in 0..size {
        for _ in 0..MOST_ROUNDS {
            let end = (low..size.saturating_sub(1))
                .find(|&index| {
                    let around = diagonal[index].abs() + diagonal[index + 1].abs();
                    beside[index].abs() <= f64::EPSILON * around
                })
                .unwrap_or(size - 1);
            if end == low {
                break;
            }
            let slope = (diagonal[low + 1] - diagonal[low]) / (2.0 * beside[low]);
            let length = slope.hypot(1.0).copysign(slope);
            let mut shift = diagonal[end] - diagonal[low] + beside[low] / (slope + length);
            let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
            let mut is_split = false;
            for index in (low..end).rev() {
                let (outer, inner) = (sine * beside[index], cosine * beside[index]);
                let length = outer.hypot(shift);
                beside[index + 1] = length;
                if length == 0.0 {
                    diagonal[index + 1] -= moved;
                    beside[end] = 0.0;
                    is_split = true;
                    break;
                }
                (sine, cosine) = (outer / length, shift / length);
                let level = diagonal[index + 1] - moved;
                let turned = (diagonal[index] - level) * sine + 2.0 * cosine * inner;
                moved = sine * turned;
                diagonal[index + 1] = level + moved;
                shift = cosine * turned - inner;
            }
            if !is_split {
                diagonal[low] -= moved;
                beside[low] = shift;
                beside[end] = 0.0;
            }
        }
    }
    diagonal.iter().all(|it| it.is_finite()).then_some(diagonal)
}

/// The diagonal of a symmetric matrix in Householder's tridiagonal form, and what stands beside it: the
/// number at an index is between that index and the next.
fn tridiagonal(matrix: &mut [f64], size: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; size];
    for step in 0..size.saturating_sub(2) {
        let mut reflected: Vec<f64> = (step + 1..size)
            .map(|row| matrix[row * size + step])
            .collect();
        let norm = reflected.iter().map(|it| it * it).sum::<f64>().sqrt();
        let sign = -norm.copysign(reflected[0]);
        beside[step] = sign;
        if norm == 0.0 {
            beside[step] = 0.0;
            continue;
        }
        reflected[0] -= sign;
        let squares: f64 = reflected.iter().map(|it| it * it).sum();
        if squares == 0.0 {
            continue;
        }
        let first = step + 1;
        let along: Vec<f64> = (first..size)
            .map(|row| {
                let line = &matrix[row * size + first..(row + 1) * size];
                let dot: f64 = line.iter().zip(&reflected).map(|(a, b)| a * b).sum();
                2.0 * dot / squares
            })
            .collect();
        let dot: f64 = along.iter().zip(&reflected).map(|(a, b)| a * b).sum();
        let along: Vec<f64> = along
            .iter()
            .zip(&reflected)
            .map(|(a, b)| a - dot / squares * b)
            .collect();
        for row in first..size {
            let (own, other) = (reflected[row - first], along[row - first]);
            let line = &mut matrix[row * size + first..(row + 1) * size];
            for (value, (a, b)) in line.iter_mut().zip(along.iter().zip(&reflected)) {
                *value -= own * a + other * b;
            }
        }
    }
    if size > 1 {
        beside[size - 2] = matrix[(size - 1) * size + size - 2];
    }
    let diagonal = matrix.iter().step_by(size + 1).copied().collect();
    (diagonal, beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_distance_of_scipy() {
        let reference = include_str!("../../tests/parity/values/estimates.json");
        let reference: serde_json::Value = serde_json::from_str(reference).expect("JSON");
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            let rows = value.as_array().expect("rows").iter();
            rows.flat_map(|row| row.as_array().expect("a row"))
                .map(|it| it.as_f64().expect("a number"))
                .collect()
        };
        for case in reference["frechet"].as_array().expect("cases") {
            let size = case["size"].as_u64().expect("a size") as usize;
            let [first, second] = ["first", "second"].map(|name| {
                FeatureStatistics::of_features(&numbers(&case[name]), size).expect("features")
            });
            let expected = case["distance"].as_f64().expect("a distance");
            let found = frechet_distance(&first, &second).expect("a distance");
            // Square roots of eigenvalues that are zero but for rounding are as large as that.
            assert!(
                (found - expected).abs() < 1e-5 * expected,
                "{found}, not {expected}"
            );
            assert!(frechet_distance(&first, &first).expect("none").abs() < 1e-5);
            let again = FeatureStatistics::new(first.mean.clone(), first.covariance.clone());
            assert_eq!(again, Ok(first));
        }
    }

    #[test]
    fn what_is_no_set_of_features_is_a_sentence() {
        assert!(FeatureStatistics::of_features(&[1.0, 2.0, 3.0], 2).is_err());
        assert!(FeatureStatistics::of_features(&[], 0).is_err());
        assert!(FeatureStatistics::new(vec![0.0; 2], vec![0.0; 3]).is_err());
        let good = FeatureStatistics::new(vec![0.0; 2], vec![1.0, 0.0, 0.0, 1.0]).expect("good");
        let bad = FeatureStatistics::new(vec![0.0; 2], vec![1.0, 2.0, 2.0, 1.0]).expect("square");
        assert_eq!(
            frechet_distance(&bad, &good),
            Err(FrechetError::NotPositive)
        );
        let other = FeatureStatistics::new(vec![0.0], vec![1.0]).expect("good");
        let error = frechet_distance(&good, &other).expect_err("other sizes");
        assert!(error.to_string().contains("same model"), "{error}");
    }
}
