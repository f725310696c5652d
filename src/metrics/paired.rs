//! How much more diverse a row is than another one of the same seeds.
//!
//! Two rows of the same seeds start from the same noise, so that a pair of seeds that is far apart in one
//! is often far apart in the other. The difference of the two distances of each pair is therefore known
//! better than either row's mean, and two rows whose intervals overlap may still differ for certain. The
//! interval is that of [`PairwiseDistances`], made of the differences.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::diversity::{Diversity, PairwiseDistances};

/// The distances of a row's finished pictures, and which columns they are of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDistances {
    /// The column of each picture, in the order in which they were finished.
    pub columns: Vec<u32>,
    /// [`PairwiseDistances::all`] in the same order.
    pub distances: Vec<f64>,
}

/// How much further apart the pictures of a row are than those of another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean over all pairs of seeds of the one distance less the other.
    pub mean: f64,
    /// The 95 % interval, as far as it lies among the differences there are, from -1 to 1.
    pub interval: [f64; 2],
    /// Number of seeds that are finished in both rows.
    pub pictures: usize,
}

impl RowDistances {
    /// Mean and interval of all pairs; none for fewer than two pictures, or where distances are missing.
    pub fn diversity(&self) -> Option<Diversity> {
        let mut all = PairwiseDistances::default();
        let mut distances = self.distances.iter().copied();
        for _ in &self.columns {
            all.push(|_| distances.next().ok_or(())).ok()?;
        }
        all.diversity()
    }

    /// The same distances by the order of the columns, so that two runs of the same pictures have the same
    /// numbers to the last bit. What is missing stays so.
    pub fn in_order(&self) -> RowDistances {
        let mut columns = self.columns.clone();
        columns.sort_unstable();
        let mut distances = Vec::with_capacity(self.distances.len());
        for (place, column) in columns.iter().enumerate() {
            let earlier = columns.iter().take(place);
            distances.extend(earlier.filter_map(|other| self.between(*column, *other)));
        }
        RowDistances { columns, distances }
    }

    /// Each pair of columns with its distance, the smaller column first, from the first columns on.
    pub fn pairs(&self) -> Vec<(u32, u32, f64)> {
        let mut distances = self.distances.iter();
        let mut pairs = Vec::with_capacity(self.distances.len());
        for (place, column) in self.columns.iter().enumerate() {
            for (earlier, distance) in self
                .columns
                .iter()
                .take(place)
                .zip(distances.by_ref().take(place))
            {
                pairs.push((*column.min(earlier), *column.max(earlier), *distance));
            }
        }
        pairs.sort_by_key(|(first, second, _)| (*first, *second));
        pairs
    }

    /// The distance of the pictures of two columns; none where either is not finished.
    pub fn between(&self, first: u32, second: u32) -> Option<f64> {
        let place = |column| self.columns.iter().position(|other| *other == column);
        let (first, second) = (place(first)?, place(second)?);
        let (low, high) = (first.min(second), first.max(second));
        // The picture at place n has n distances, after the n(n - 1)/2 of those before it.
        let start = high * high.saturating_sub(1) / 2;
        self.distances
            .get(start + low)
            .copied()
            .filter(|_| low < high)
    }

    /// How much further apart these pictures are than those of another row of the same seeds. None where
    /// the seeds that are finished in both are too few for an interval.
    pub fn less(&self, other: &RowDistances) -> Option<Difference> {
        let both: Vec<u32> = self
            .columns
            .iter()
            .copied()
            .filter(|column| other.columns.contains(column))
            .collect();
        let mut differences = PairwiseDistances::default();
        for (place, column) in both.iter().enumerate() {
            let earlier: Option<Vec<f64>> = both
                .iter()
                .take(place)
                .map(|before| {
                    Some(self.between(*before, *column)? - other.between(*before, *column)?)
                })
                .collect();
            let earlier = earlier?;
            let Ok(()) = differences.push(|before| {
                Ok::<_, Infallible>(earlier.get(before).copied().unwrap_or_default())
            });
        }
        let difference = differences.diversity()?;
        let margin = difference.margin?;
        let ends = [difference.mean - margin, difference.mean + margin];
        Some(Difference {
            mean: difference.mean,
            interval: ends.map(|end| end.clamp(-1.0, 1.0)),
            pictures: difference.pictures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distances of places on a line, of which the columns come in an order of their own.
    fn row(columns: &[u32], places: &[f64]) -> RowDistances {
        let mut distances = PairwiseDistances::default();
        for column in columns {
            let place = |column: u32| places[column as usize];
            let Ok(()) = distances.push(|before| {
                Ok::<_, Infallible>((place(columns[before]) - place(*column)).abs())
            });
        }
        RowDistances {
            columns: columns.to_vec(),
            distances: distances.all().to_vec(),
        }
    }

    #[test]
    fn a_row_of_distances_names_every_pair_once() {
        let row = row(&[2, 0, 1], &[0.0, 0.1, 0.4]);
        let pairs: Vec<_> = row
            .pairs()
            .into_iter()
            .map(|(first, second, distance)| (first, second, (distance * 10.0).round()))
            .collect();
        assert_eq!(pairs, [(0, 1, 1.0), (0, 2, 4.0), (1, 2, 3.0)]);
        let ordered = row.in_order();
        assert_eq!(ordered.columns, [0, 1, 2]);
        assert_eq!(ordered.pairs(), row.pairs());
    }

    #[test]
    fn a_difference_is_of_the_same_seeds_in_whatever_order_they_were_finished() {
        let places = [0.0, 0.1, 0.25, 0.45, 0.7];
        let half = places.map(|place| place / 2.0);
        let far = row(&[0, 1, 2, 3, 4], &places);
        let near = row(&[4, 2, 0, 3, 1], &half);
        let difference = far.less(&near).expect("five seeds");
        let mean = far.distances.iter().sum::<f64>() / 20.0;
        assert!((difference.mean - mean).abs() < 1e-12, "{difference:?}");
        assert_eq!(difference.pictures, 5);
        let back = near.less(&far).expect("five seeds");
        assert!((back.mean + mean).abs() < 1e-12);
        // Rows that are the same pair by pair differ for certain by nothing, however wide their own
        // intervals are.
        let nothing = far.less(&row(&[1, 0, 2, 4, 3], &places)).expect("five");
        assert!(
            nothing.interval.iter().all(|end| end.abs() < 1e-9),
            "{nothing:?}"
        );
    }

    #[test]
    fn few_common_seeds_give_no_difference_and_an_interval_stays_possible() {
        let places = [0.0, 0.9, 0.1, 1.0, 0.05, 0.95];
        let far = row(&[0, 1, 2, 3], &places);
        assert_eq!(far.less(&row(&[3, 4, 5, 0], &places)), None);
        let alike = row(&[0, 1, 2, 3], &[0.0; 6]);
        let difference = far.less(&alike).expect("four");
        assert!(difference.interval[0] >= -1.0 && difference.interval[1] <= 1.0);
    }
}
