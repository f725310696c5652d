//! How much of its device the engine uses at once, and less of it after the device has failed.

use serde::{Deserialize, Serialize};

use crate::browser::adapter_limits::SMALLEST_BINDING;

/// Bytes of the largest map that the VAE makes where nothing asks for less: the smallest binding that
/// WebGPU promises.
pub const LARGEST_MAP: u32 = SMALLEST_BINDING;

/// What the engine uses of its device at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Samples that go through a UNet together, a power of two: a cell is one of them, or two in a step
    /// that is guided. Such a cell has both even where this is 1.
    pub batch: u32,
    /// Bytes of the largest map of the VAE, which decodes in tiles where a picture needs larger ones.
    pub largest_map: u32,
}

impl Allowance {
    /// The least with which the engine works: tiles that are hardly larger than their overlaps would
    /// take far longer and save little.
    pub const LEAST: Allowance = Allowance {
        batch: 1,
        largest_map: 32 << 20,
    };

    /// The next smaller one: half the batch, and once that is 1, half the map. None below
    /// [`Allowance::LEAST`].
    pub fn smaller(self) -> Option<Allowance> {
        if self.batch > Allowance::LEAST.batch {
            let batch = self.batch / 2;
            Some(Allowance { batch, ..self })
        } else if self.largest_map > Allowance::LEAST.largest_map {
            let largest_map = (self.largest_map / 2).max(Allowance::LEAST.largest_map);
            Some(Allowance {
                largest_map,
                ..self
            })
        } else {
            None
        }
    }

    /// This, and no more than the other.
    #[must_use]
    pub fn at_most(self, other: Allowance) -> Allowance {
        Allowance {
            batch: self.batch.min(other.batch).max(1),
            largest_map: self.largest_map.min(other.largest_map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_shrinks_before_the_tile_and_both_end() {
        let all = std::iter::successors(
            Some(Allowance {
                batch: 4,
                largest_map: LARGEST_MAP,
            }),
            |allowance| allowance.smaller(),
        );
        let found: Vec<_> = all
            .map(|allowance| (allowance.batch, allowance.largest_map >> 20))
            .collect();
        assert_eq!(found, [(4, 128), (2, 128), (1, 128), (1, 64), (1, 32)]);
    }

    #[test]
    fn a_limit_holds_for_each_part() {
        let own = Allowance {
            batch: 8,
            largest_map: Allowance::LEAST.largest_map,
        };
        let limit = Allowance {
            batch: 2,
            largest_map: LARGEST_MAP,
        };
        assert_eq!(own.at_most(limit), Allowance { batch: 2, ..own });
        assert_eq!(limit.at_most(own), Allowance { batch: 2, ..own });
    }
}
