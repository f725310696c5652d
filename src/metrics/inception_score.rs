//! The Inception Score (Salimans et al., "Improved techniques for training GANs", 2016) of class
//! probabilities that somebody else's Inception has found: exp of the mean Kullback-Leibler divergence of
//! each picture's classes from those of all pictures.

use super::estimate::Estimate;

/// Probabilities that are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InceptionScoreError {
    /// Numbers that are no table of probabilities.
    #[error(
        "The probabilities have to be a table with a row for each picture, and each row has to add up to 1."
    )]
    NoProbabilities,
}

/// The score of each of so many parts of the pictures, in their order, as the paper has ten; the mean of
/// the parts with its interval. `probabilities` is `[pictures, classes]`.
///
/// # Errors
/// Rows that don't add up to 1, or fewer pictures than parts.
pub fn inception_score(
    probabilities: &[f64],
    classes: usize,
    parts: usize,
) -> Result<Estimate, InceptionScoreError> {
    let pictures = probabilities.len().checked_div(classes).unwrap_or_default();
    if pictures * classes != probabilities.len() || parts == 0 || pictures < parts {
        return Err(InceptionScoreError::NoProbabilities);
    }
    // What single precision makes of a sum of a thousand probabilities.
    const TOLERANCE: f64 = 1e-3;
    let is_probability = |row: &[f64]| {
        row.iter().all(|it| *it >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() < TOLERANCE
    };
    if !probabilities.chunks_exact(classes).all(is_probability) {
        return Err(InceptionScoreError::NoProbabilities);
    }
    let scores: Vec<f64> = (0..parts)
        .map(|part| {
            let start = part * pictures / parts * classes;
            let end = (part + 1) * pictures / parts * classes;
            score(&probabilities[start..end], classes)
        })
        .collect();
    Estimate::of(&scores).ok_or(InceptionScoreError::NoProbabilities)
}

fn score(probabilities: &[f64], classes: usize) -> f64 {
    let pictures = (probabilities.len() / classes) as f64;
    let mut mean = vec![0.0; classes];
    for row in probabilities.chunks_exact(classes) {
        for (sum, value) in mean.iter_mut().zip(row) {
            *sum += value / pictures;
        }
    }
    let divergence: f64 = probabilities
        .chunks_exact(classes)
        .flat_map(|row| row.iter().zip(&mean))
        .filter(|(own, _)| **own > 0.0)
        .map(|(own, mean)| own * (own.ln() - mean.ln()))
        .sum();
    (divergence / pictures).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_pictures_of_all_classes_have_the_best_score() {
        let sure = [1.0, 0.0, 0.0, 1.0];
        let found = inception_score(&sure, 2, 1).expect("a score");
        assert!((found.mean - 2.0).abs() < 1e-12 && found.interval.is_none());
        let unsure = [0.5; 4];
        let found = inception_score(&unsure, 2, 1).expect("a score");
        assert!((found.mean - 1.0).abs() < 1e-12);
        // scipy.stats.entropy of [0.9, 0.1] and [0.2, 0.8] from [0.55, 0.45]: the mean is 0.275339.
        let found = inception_score(&[0.9, 0.1, 0.2, 0.8], 2, 1).expect("a score");
        let entropy = |p: f64, q: f64| p * (p / 0.55).ln() + q * (q / 0.45).ln();
        let expected = ((entropy(0.9, 0.1) + entropy(0.2, 0.8)) / 2.0).exp();
        assert!((found.mean - expected).abs() < 1e-12);
    }

    #[test]
    fn logits_are_no_probabilities() {
        let error = Err(InceptionScoreError::NoProbabilities);
        assert_eq!(inception_score(&[2.0, -1.0], 2, 1), error);
        assert_eq!(inception_score(&[0.5, 0.5], 2, 2), error);
        assert_eq!(inception_score(&[], 0, 1), error);
    }
}
