//! How a tensor's values are stored, and the quantization in blocks.
//!
//! # Quantized layouts
//! A weight of shape `[out, in]` or `[out, in, kernel height, kernel width]` is seen as `out` rows;
//! each row is cut into blocks of [`BLOCK`] consecutive values that share one `f16` scale, so a row
//! has to be a multiple of [`BLOCK`] long. A convolution's row has the values of one tap after those of
//! the other, see [`order`](super::order); files of the format before have them in row-major order.
//! The bytes are
//!
//! - [`Encoding::Q8`]: every value as a signed byte `q`, then every block's scale as a little-endian
//!   `f16`; a value is `q × scale`;
//! - [`Encoding::Q4`]: two values per byte, the first one in the low nibble, each stored as `q + 8`
//!   with `q` from −8 to 7, then the scales as above.
//!
//! Values first and scales last means that each part is one aligned buffer for the device.
//! All arithmetic is one plain `f32` operation per step, so that native and wasm agree to the bit.

use serde::{Deserialize, Serialize};

/// Number of consecutive values of a row that share a scale.
pub const BLOCK: usize = 32;

/// How a tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Little-endian IEEE single precision.
    F32,
    /// Little-endian IEEE half precision.
    F16,
    /// Little-endian bfloat16.
    BF16,
    /// 8 bits in blocks of [`BLOCK`], see the [module](self).
    Q8,
    /// 4 bits in blocks of [`BLOCK`], see the [module](self).
    Q4,
}

impl Encoding {
    /// Whether the encoding has blocks with scales.
    pub fn is_quantized(self) -> bool {
        matches!(self, Encoding::Q8 | Encoding::Q4)
    }

    /// Bytes of one value of an encoding without blocks; none of the others.
    pub fn value_length(self) -> Option<usize> {
        match self {
            Encoding::F32 => Some(4),
            Encoding::F16 | Encoding::BF16 => Some(2),
            Encoding::Q8 | Encoding::Q4 => None,
        }
    }

    /// Bytes of a tensor of this shape; none where the shape's product overflows, or where a
    /// quantized row is not a multiple of [`BLOCK`].
    pub fn byte_length(self, shape: &[usize]) -> Option<usize> {
        let elements = element_count(shape)?;
        match self {
            Encoding::F32 => elements.checked_mul(4),
            Encoding::F16 | Encoding::BF16 => elements.checked_mul(2),
            Encoding::Q8 | Encoding::Q4 if !can_quantize(shape) => None,
            Encoding::Q8 => elements.checked_add(elements / BLOCK * 2),
            Encoding::Q4 => (elements / 2).checked_add(elements / BLOCK * 2),
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Encoding::F32 => "f32",
            Encoding::F16 => "f16",
            Encoding::BF16 => "bf16",
            Encoding::Q8 => "q8",
            Encoding::Q4 => "q4",
        })
    }
}

/// Whether a tensor of this shape has rows that can be cut into blocks: at least two dimensions,
/// and all but the first a multiple of [`BLOCK`] together.
pub fn can_quantize(shape: &[usize]) -> bool {
    match shape {
        [_, row @ ..] if !row.is_empty() => {
            element_count(row).is_some_and(|length| length > 0 && length % BLOCK == 0)
        }
        _ => false,
    }
}

/// The number of values of a shape; none where it overflows.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
}
