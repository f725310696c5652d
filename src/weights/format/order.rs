//! The order in which a tensor's values follow each other, and the way from one order to the other.
//!
//! The kernels walk over a convolution tap by tap, and over the input channels of each tap. So a quantized
//! convolution has its values in this order: a block of [`BLOCK`](super::encoding::BLOCK) values, with its
//! one scale, then lies along the channels of one tap, wherever the channels are a multiple of a block, as
//! those of every quantized 3 × 3 convolution are. Values that aren't quantized can change their order at
//! any time without a loss, so that their files keep the one that everybody writes.

use serde::{Deserialize, Serialize};

use super::encoding::Encoding;

/// The order of a tensor's values. A shape is written in the same way in both:
/// `[output, input, height, width]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// That of the shape: the last dimension runs fastest.
    #[default]
    RowMajor,
    /// The input channels run fastest: `[output, height, width, input]`. Only a [`Kernel`] has it; all
    /// other tensors count as row-major.
    ChannelsLast,
}

impl Order {
    /// The order in which a tensor of this encoding and shape is stored.
    pub fn of(encoding: Encoding, shape: &[usize]) -> Self {
        match Kernel::of(shape) {
            Some(_) if encoding.is_quantized() => Order::ChannelsLast,
            _ => Order::RowMajor,
        }
    }

    /// This order, or [`Order::RowMajor`] where the shape is the same in both.
    pub fn for_shape(self, shape: &[usize]) -> Self {
        match Kernel::of(shape) {
            Some(_) => self,
            None => Order::RowMajor,
        }
    }

    /// Whether it is [`Order::RowMajor`].
    pub fn is_row_major(&self) -> bool {
        *self == Order::RowMajor
    }
}

/// The weights of a convolution whose orders differ: it has several input channels and several taps,
/// and is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Input channels.
    pub channels: usize,
    /// Height × width.
    pub taps: usize,
}

impl Kernel {
    /// The kernel of a tensor of this shape, where it is one.
    pub fn of(shape: &[usize]) -> Option<Self> {
        let [output, channels, height, width] = *shape else {
            return None;
        };
        let taps = height.checked_mul(width)?;
        channels.checked_mul(taps)?;
        (output > 0 && channels > 1 && taps > 1).then_some(Kernel { channels, taps })
    }

    /// Values of one output channel, a row.
    pub fn row_length(self) -> usize {
        self.channels * self.taps
    }

    /// Writes rows in the order `to` that are in the other one.
    ///
    /// # Shapes
    /// `[output, input, taps]` where they are row-major, `[output, taps, input]` else.
    pub(super) fn reorder<T: Copy>(self, to: Order, from: &[T], reordered: &mut [T]) {
        let Kernel { channels, taps } = self;
        let rows = from.chunks_exact(self.row_length());
        for (from, to_row) in rows.zip(reordered.chunks_exact_mut(self.row_length())) {
            for tap in 0..taps {
                // The channels are many and the taps few: the long loop is the inner one.
                let in_order = tap * channels..(tap + 1) * channels;
                match to {
                    Order::ChannelsLast => {
                        let values = from[tap..].iter().step_by(taps);
                        to_row[in_order].iter_mut().zip(values).for_each(set);
                    }
                    Order::RowMajor => {
                        let places = to_row[tap..].iter_mut().step_by(taps);
                        places.zip(&from[in_order]).for_each(set);
                    }
                }
            }
        }
    }

    /// [`Kernel::reorder`] for the bytes of values, `size` bytes each: 2 or 4.
    pub(super) fn reorder_bytes(self, to: Order, size: usize, from: &[u8], reordered: &mut [u8]) {
        if size == 2 {
            let (from, reordered) = (from.as_chunks::<2>().0, reordered.as_chunks_mut().0);
            self.reorder(to, from, reordered);
        } else {
            let (from, reordered) = (from.as_chunks::<4>().0, reordered.as_chunks_mut().0);
            self.reorder(to, from, reordered);
        }
    }
}

fn set<T: Copy>((place, value): (&mut T, &T)) {
    *place = *value;
}
