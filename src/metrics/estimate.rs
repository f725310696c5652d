//! A mean of independent numbers, and how sure it is.

use serde::{Deserialize, Serialize};

use super::diversity::{Diversity, student_t_quantile};

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The ends of the 95 % interval; none of too few numbers.
    pub interval: Option<[f64; 2]>,
    /// How many independent things it is of, n.
    pub n: usize,
}

impl Estimate {
    /// Of independent numbers, such as the diversity of each prompt, or the difference of two modes for
    /// each prompt: Student's interval of their mean, with n − 1 degrees of freedom, from three numbers
    /// on. None of no number.
    pub fn of(numbers: &[f64]) -> Option<Estimate> {
        let n = numbers.len();
        if n == 0 {
            return None;
        }
        let count = n as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let interval = (n > 2).then(|| {
            let squares: f64 = numbers.iter().map(|it| (it - mean).powi(2)).sum();
            let margin = student_t_quantile(n - 1) * (squares / (count - 1.0) / count).sqrt();
            [mean - margin, mean + margin]
        });
        Some(Estimate { mean, interval, n })
    }

    /// Of numbers in groups, as of the images of each prompt: where there are three groups or more, of
    /// their means, since what is drawn for other prompts is to be said too; otherwise of all numbers.
    pub fn of_groups(groups: &[Vec<f64>]) -> Option<Estimate> {
        let means: Vec<f64> = groups
            .iter()
            .filter_map(|group| Estimate::of(group).map(|it| it.mean))
            .collect();
        if means.len() > 2 {
            return Estimate::of(&means);
        }
        Estimate::of(&groups.concat())
    }

    /// The median of numbers, for what has outliers, as times have; none of no number.
    pub fn median(numbers: &[f64]) -> Option<f64> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            return sorted.get(middle).copied();
        }
        let below = sorted.get(middle.checked_sub(1)?)?;
        Some((below + sorted.get(middle)?) / 2.0)
    }
}

impl From<Diversity> for Estimate {
    /// The interval of the jackknife over pictures.
    fn from(diversity: Diversity) -> Estimate {
        Estimate {
            mean: diversity.mean,
            interval: diversity.interval(),
            n: diversity.pictures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::TorchGenerator;

    #[test]
    fn the_interval_is_that_of_scipy() {
        let reference = include_str!("../../tests/parity/values/estimates.json");
        let reference: serde_json::Value = serde_json::from_str(reference).expect("JSON");
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            let list = value.as_array().expect("a list");
            list.iter()
                .map(|it| it.as_f64().expect("a number"))
                .collect()
        };
        for case in reference["means"].as_array().expect("cases") {
            let found = Estimate::of(&numbers(&case["numbers"])).expect("numbers");
            let interval = numbers(&case["interval"]);
            assert!((found.mean - case["mean"].as_f64().expect("a mean")).abs() < 1e-12);
            for (ours, theirs) in found.interval.expect("enough").iter().zip(&interval) {
                assert!((ours - theirs).abs() < 1e-9, "{found:?}");
            }
            let median = Estimate::median(&numbers(&case["numbers"]));
            assert_eq!(median, case["median"].as_f64());
        }
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[1.0, 2.0]).and_then(|it| it.interval), None);
    }

    #[test]
    fn it_covers_the_truth_as_often_as_it_says() {
        // Prompts differ in their diversity, and each prompt's is known from a few images alone; the
        // interval over prompts has to account for both.
        let mut generator = TorchGenerator::new(3);
        for prompts in [5, 10] {
            let runs = 4000;
            let mut holds = 0;
            for _ in 0..runs {
                let groups: Vec<Vec<f64>> = (0..prompts)
                    .map(|_| {
                        let values = generator.randn(9);
                        let own = f64::from(values[0]) * 0.1 + 0.3;
                        let images = values[1..].iter();
                        images.map(|it| own + f64::from(*it) * 0.2).collect()
                    })
                    .collect();
                let [low, high] = Estimate::of_groups(&groups)
                    .and_then(|it| it.interval)
                    .expect("enough prompts");
                holds += usize::from(low <= 0.3 && 0.3 <= high);
            }
            let share = holds as f64 / f64::from(runs);
            assert!((0.93..=0.97).contains(&share), "{prompts} prompts: {share}");
        }
    }

    #[test]
    fn few_groups_are_taken_together() {
        let groups = [vec![1.0, 2.0], vec![3.0, 4.0]];
        let estimate = Estimate::of_groups(&groups).expect("numbers");
        assert_eq!((estimate.mean, estimate.n), (2.5, 4));
        let groups = [vec![1.0], vec![2.0, 4.0], vec![], vec![8.0]];
        let estimate = Estimate::of_groups(&groups).expect("numbers");
        assert_eq!((estimate.mean, estimate.n), (4.0, 3));
    }
}
