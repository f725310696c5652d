//! The numbers of a case, which `tools/reference/operations.py` draws too: equal to the bit.

use burn::tensor::{Device, Tensor, TensorData};

/// A counter whose hashes are words, and whose words are numbers: about normal, up to ±4.
pub struct Numbers {
    seed: u32,
    drawn: u32,
}

impl Numbers {
    pub fn new(seed: u32) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Wellons' `lowbias32` of the counter.
    pub fn word(&mut self) -> u32 {
        let word = self.drawn.wrapping_mul(0x9e37_79b1);
        let word = word.wrapping_add(self.seed.wrapping_mul(0x85eb_ca77));
        let word = (word ^ (word >> 16)).wrapping_mul(0x7feb_352d);
        let word = (word ^ (word >> 15)).wrapping_mul(0x846c_a68b);
        self.drawn += 1;
        word ^ (word >> 16)
    }

    /// Inputs around a mean: multiples of 1/128, which `f16` holds as well.
    pub fn coarse<const D: usize>(
        &mut self,
        shape: [usize; D],
        mean: f32,
        device: &Device,
    ) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| mean + sum_of_bytes(self.word()) / 128.0)
            .collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Parameters: multiples of 2⁻²⁰.
    pub fn fine(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let word = self.word();
                let rest = (word.wrapping_mul(5) >> 19) as f32;
                sum_of_bytes(word) / 128.0 + rest / (1 << 20) as f32
            })
            .collect()
    }
}

/// The sum of four bytes, around zero.
fn sum_of_bytes(word: u32) -> f32 {
    word.to_le_bytes().map(f32::from).iter().sum::<f32>() - 510.0
}
