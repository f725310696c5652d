//! How different the pictures of a row are: the mean distance of all pairs, and how sure it is.
//!
//! # The interval
//!
//! n pictures have n·(n − 1)/2 distances, but each picture takes part in n − 1 of them: one outlier
//! makes all of those long. An interval that takes the pairs for independent measurements is far
//! too narrow; with 16 pictures it holds the truth about every second time instead of 19 times
//! of 20.
//!
//! What is independent are the pictures, one per seed. The mean over pairs is a U-statistic of
//! degree 2, and its variance comes from the jackknife over pictures (Arvesen, "Jackknifing
//! U-statistics", 1969): leave out one picture at a time and see how much the mean moves. With rᵢ
//! the mean distance of picture i to the others and r the mean of all pairs, the mean without
//! picture i is (n·r − 2·rᵢ)/(n − 2), and the jackknife's variance becomes
//!
//! ```text
//! 4·(n − 1) / (n·(n − 2)²) · Σ (rᵢ − r)²
//! ```
//!
//! The margin is its root times the quantile of Student's t with n − 1 degrees of freedom, as Tukey
//! proposed for the jackknife. A closed form needs no random numbers, so the same row always has
//! the same interval; a bootstrap over pictures would draw some of them twice, at the distance 0
//! that no two seeds have, and so make the pictures nearer than they are.
//!
//! Where every picture is as far from the others as any, as in a row that falls into two equal
//! groups, the jackknife sees no variance. So it is taken to be at least that of independent pairs,
//! the distances' own variance by their number, which the variance of a U-statistic never falls
//! below.
//!
//! The interval is about the seeds of one prompt and the settings of one row. It is too narrow
//! where few pictures can't show what there is: a row of four that are alike says little about the
//! one seed of ten that would be different. Where the seeds fall into two unequal groups, three of
//! ten and seven of ten, intervals of 16 pictures hold the truth four times of five.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

/// How often intervals hold the true mean.
const CONFIDENCE: f64 = 0.95;

/// The fewest pictures whose interval is worth a look: that of three is wider than all distances that
/// there are, whatever the pictures show.
const FEWEST_WITH_INTERVAL: usize = 4;

/// The mean pairwise distance of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Mean distance over all pairs of pictures.
    pub mean: f64,
    /// Half the width of the 95 % interval around the mean, which may leave the range of distances; none
    /// for fewer than four pictures, which say next to nothing of how much others would differ.
    pub margin: Option<f64>,
    /// Number of pictures, n.
    pub pictures: usize,
}

impl Diversity {
    /// The 95 % interval as far as it lies among the structural dissimilarities there are, from 0 to 1.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.interval_up_to(1.0)
    }

    /// The 95 % interval as far as it lies among distances from 0 to a largest one.
    pub fn interval_up_to(&self, largest: f64) -> Option<[f64; 2]> {
        let margin = self.margin?;
        Some([self.mean - margin, self.mean + margin].map(|end| end.clamp(0.0, largest)))
    }
}

/// The distances between the pictures of a row, of which one after the other arrives. It keeps no
/// pictures, and takes distances of any kind, and differences of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairwiseDistances {
    /// For each picture the sum of its distances to all others.
    sums: Vec<f64>,
    /// Sum over pairs of the distances' squares.
    squares: f64,
    /// Of each picture the distances to those before it, one picture after the other.
    all: Vec<f64>,
}

impl PairwiseDistances {
    /// Adds a picture by its distance to each one before it; `distance_to` is called with their
    /// places, from 0.
    ///
    /// # Errors
    /// The first that `distance_to` returns. The picture is then not added.
    pub fn push<E>(&mut self, distance_to: impl FnMut(usize) -> Result<f64, E>) -> Result<(), E> {
        let distances: Vec<f64> = (0..self.sums.len())
            .map(distance_to)
            .collect::<Result<_, E>>()?;
        for (sum, distance) in self.sums.iter_mut().zip(&distances) {
            *sum += distance;
        }
        self.sums.push(distances.iter().sum());
        self.squares += distances
            .iter()
            .map(|distance| distance * distance)
            .sum::<f64>();
        self.all.extend(distances);
        Ok(())
    }

    /// The distances of the second picture to the first, of the third to the first and the second, and so
    /// on.
    pub fn all(&self) -> &[f64] {
        &self.all
    }

    /// Mean and interval of the pictures so far; none for fewer than two.
    pub fn diversity(&self) -> Option<Diversity> {
        let pictures = self.sums.len();
        if pictures < 2 {
            return None;
        }
        let count = pictures as f64;
        let mean = self.sums.iter().sum::<f64>() / (count * (count - 1.0));
        let margin = (pictures >= FEWEST_WITH_INTERVAL).then(|| {
            let spread: f64 = self
                .sums
                .iter()
                .map(|sum| (sum / (count - 1.0) - mean).powi(2))
                .sum();
            let jackknife = 4.0 * (count - 1.0) / (count * (count - 2.0).powi(2)) * spread;
            let pairs = count * (count - 1.0) / 2.0;
            // Rounding may take the difference of equal distances below 0.
            let variance = (self.squares - pairs * mean * mean).max(0.0) / (pairs - 1.0);
            student_t_quantile(pictures - 1) * jackknife.max(variance / pairs).sqrt()
        });
        Some(Diversity {
            mean,
            margin,
            pictures,
        })
    }
}

/// The t that a variable of Student's distribution with this many degrees of freedom stays within,
/// on either side, with the probability [`CONFIDENCE`].
pub(super) fn student_t_quantile(degrees: usize) -> f64 {
    // Halved often enough for every bit of a double.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = (low + high) / 2.0;
        if probability_within(middle, degrees) < CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    (degrees as f64).sqrt() * high.tan()
}

/// Probability of Student's distribution within ±√degrees · tan(angle), which is a finite sum for
/// whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn probability_within(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    let (mut term, first) = if is_odd {
        (sine * cosine, 2)
    } else {
        (sine, 1)
    };
    let mut sum = 0.0;
    for index in 0..degrees / 2 {
        sum += term;
        let factor = (2 * index + first) as f64;
        term *= cosine * cosine * factor / (factor + 1.0);
    }
    if is_odd {
        (angle + sum) / FRAC_PI_2
    } else {
        sum
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::sampler::TorchGenerator;

    /// Points of any number of dimensions in place of pictures.
    fn euclidean(first: &[f32], second: &[f32]) -> f64 {
        let squares = first
            .iter()
            .zip(second)
            .map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    }

    fn distances(points: &[Vec<f32>]) -> PairwiseDistances {
        let mut distances = PairwiseDistances::default();
        for point in points {
            let Ok(()) =
                distances.push(|earlier| Ok::<_, Infallible>(euclidean(&points[earlier], point)));
        }
        distances
    }

    fn on_a_line(places: &[f32]) -> Option<Diversity> {
        let points: Vec<_> = places.iter().map(|&place| vec![place]).collect();
        distances(&points).diversity()
    }

    #[test]
    fn it_is_the_mean_over_pairs() {
        assert_eq!(on_a_line(&[]), None);
        assert_eq!(on_a_line(&[1.0]), None);
        let two = on_a_line(&[1.0, 1.75]).expect("two");
        assert_eq!((two.mean, two.margin, two.pictures), (0.75, None, 2));
        // Distances 1, 3, 7, 2, 6, 4.
        let four = on_a_line(&[0.0, 1.0, 3.0, 7.0]).expect("four");
        assert_eq!((four.mean, four.pictures), (23.0 / 6.0, 4));
    }

    #[test]
    fn pictures_of_equal_distance_have_no_margin() {
        // The corners of a simplex.
        let points: Vec<Vec<f32>> = (0..5)
            .map(|corner| {
                (0..5)
                    .map(|axis| f32::from(u8::from(axis == corner)))
                    .collect()
            })
            .collect();
        let found = distances(&points).diversity().expect("five");
        // One rounding of the mean squared, by ten pairs, under a root.
        assert!(found.margin.expect("a margin") < 1e-7, "{found:?}");
        assert_eq!(on_a_line(&[2.0; 4]).expect("four").margin, Some(0.0));
    }

    #[test]
    fn the_margin_is_the_jackknifes() {
        let places = [0.0, 0.5, 1.25, 3.0, 7.0, 7.5, 2.0];
        let found = on_a_line(&places).expect("seven");
        // As the jackknife is defined: the mean without each of the pictures.
        let count = places.len() as f64;
        let without: Vec<f64> = (0..places.len())
            .map(|left_out| {
                let mut rest = places.to_vec();
                rest.remove(left_out);
                on_a_line(&rest).expect("six").mean
            })
            .collect();
        let center = without.iter().sum::<f64>() / count;
        let squares: f64 = without.iter().map(|mean| (mean - center).powi(2)).sum();
        let expected = 2.446_911_851 * ((count - 1.0) / count * squares).sqrt();
        let margin = found.margin.expect("a margin");
        // The quantile has ten digits.
        assert!(
            (margin / expected - 1.0).abs() < 1e-9,
            "{margin} instead of {expected}"
        );
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (3, 3.182_446),
            (5, 2.570_582),
            (10, 2.228_139),
            (15, 2.131_450),
            (30, 2.042_272),
            (127, 1.978_820),
        ] {
            let found = student_t_quantile(degrees);
            // The table has six digits after the point.
            assert!((found - expected).abs() < 1e-6, "{degrees}: {found}");
        }
    }

    /// Shares of simulated rows whose interval holds the true mean: ours, and that of pairs taken
    /// for independent.
    fn coverage(pictures: usize, truth: f64, mut draw: impl FnMut() -> Vec<f32>) -> (f64, f64) {
        const ROWS: usize = 2000;
        let (mut ours, mut independent) = (0, 0);
        for _ in 0..ROWS {
            let points: Vec<_> = (0..pictures).map(|_| draw()).collect();
            let distances = distances(&points);
            let found = distances.diversity().expect("a row");
            let miss = (found.mean - truth).abs();
            ours += usize::from(miss <= found.margin.expect("a margin"));
            let pairs = pictures * (pictures - 1) / 2;
            let variance =
                (distances.squares / pairs as f64 - found.mean.powi(2)) / (pairs - 1) as f64;
            independent += usize::from(miss <= student_t_quantile(pairs - 1) * variance.sqrt());
        }
        (ours as f64 / ROWS as f64, independent as f64 / ROWS as f64)
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        // Normal points: the mean distance of two is 2·Γ((d + 1)/2)/Γ(d/2) in d dimensions.
        for (dimensions, truth) in [(2, 1.772_453_851), (8, 3.877_242_839)] {
            for pictures in [4, 8, 16] {
                let mut generator = TorchGenerator::new(1);
                let (ours, independent) = coverage(pictures, truth, || generator.randn(dimensions));
                println!("{pictures} in {dimensions} dimensions: {ours}, {independent}");
                // Chance alone moves the share of 2,000 rows by 0.5 % (one standard deviation);
                // few pictures make the jackknife cautious.
                assert!(
                    (0.93..=0.985).contains(&ours),
                    "{pictures} in {dimensions} dimensions: {ours}"
                );
                assert!(
                    independent < 0.9,
                    "independent pairs would do: {independent} with {pictures}"
                );
            }
        }
    }

    /// Seeds of which this share gives one picture and the others another, in rows of 16: the
    /// distances are 0 or 1.
    fn coverage_of_two_groups(share: f64) -> f64 {
        let mut generator = TorchGenerator::new(2);
        // The sum of the squares of two normal numbers is exponential, of mean 2.
        let bound = -2.0 * (1.0 - share).ln();
        let draw = || {
            let [x, y] = [0; 2].map(|_| f64::from(generator.randn(1)[0]));
            vec![f32::from(u8::from(x * x + y * y < bound))]
        };
        coverage(16, 2.0 * share * (1.0 - share), draw).0
    }

    #[test]
    fn rows_of_two_groups_have_an_interval_too() {
        let equal = coverage_of_two_groups(0.5);
        assert!(equal > 0.95, "{equal}");
        // What the module's description owns up to.
        let unequal = coverage_of_two_groups(0.3);
        assert!((0.77..0.85).contains(&unequal), "{unequal}");
    }
}
