//! Dtypes of other programs' files that no record has: their values are converted while they arrive.

use half::f16;

use super::encoding::Encoding;

/// A dtype whose values become those of an [`Encoding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignDtype {
    /// 8 bits with 4 of exponent, finite ones and one NaN (`e4m3fn`), as torch has it.
    F8E4M3,
    /// 8 bits with 5 of exponent: the upper half of an `f16`.
    F8E5M2,
    /// Double precision.
    F64,
    /// Signed integers of that many bytes.
    Signed(usize),
    /// Unsigned integers of that many bytes.
    Unsigned(usize),
}

impl ForeignDtype {
    /// The dtype by its name in a header; none for those that are stored as they are, and for unknown ones.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "F8_E4M3" => ForeignDtype::F8E4M3,
            "F8_E5M2" => ForeignDtype::F8E5M2,
            "F64" => ForeignDtype::F64,
            "I64" => ForeignDtype::Signed(8),
            "I32" => ForeignDtype::Signed(4),
            "I16" => ForeignDtype::Signed(2),
            "I8" => ForeignDtype::Signed(1),
            "U64" => ForeignDtype::Unsigned(8),
            "U32" => ForeignDtype::Unsigned(4),
            "U16" => ForeignDtype::Unsigned(2),
            "U8" | "BOOL" => ForeignDtype::Unsigned(1),
            _ => return None,
        })
    }

    /// Whether its values are those of weights, and no counters, indices or codes of a quantization.
    pub fn is_float(self) -> bool {
        matches!(
            self,
            ForeignDtype::F8E4M3 | ForeignDtype::F8E5M2 | ForeignDtype::F64
        )
    }

    /// Bytes of one value.
    pub fn width(self) -> usize {
        match self {
            ForeignDtype::F8E4M3 | ForeignDtype::F8E5M2 => 1,
            ForeignDtype::F64 => 8,
            ForeignDtype::Signed(width) | ForeignDtype::Unsigned(width) => width,
        }
    }

    /// What its values become: every 8-bit number is an `f16`, and the others are rounded to `f32`.
    pub fn encoding(self) -> Encoding {
        match self {
            ForeignDtype::F8E4M3 | ForeignDtype::F8E5M2 => Encoding::F16,
            _ => Encoding::F32,
        }
    }

    /// The values as the bytes of [`ForeignDtype::encoding`]; what is less than a value at the end is left
    /// out.
    pub fn convert(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            ForeignDtype::F8E4M3 => bytes
                .iter()
                .flat_map(|&byte| e4m3(byte).to_le_bytes())
                .collect(),
            ForeignDtype::F8E5M2 => bytes.iter().flat_map(|&byte| [0, byte]).collect(),
            _ => bytes
                .chunks_exact(self.width())
                .flat_map(|value| self.number(value).to_le_bytes())
                .collect(),
        }
    }

    fn number(self, bytes: &[u8]) -> f32 {
        let mut wide = [0; 8];
        for (place, &byte) in wide.iter_mut().zip(bytes) {
            *place = byte;
        }
        match self {
            ForeignDtype::F64 => f64::from_le_bytes(wide) as f32,
            ForeignDtype::Signed(width) => {
                let unused = 64 - 8 * width as u32;
                ((i64::from_le_bytes(wide) << unused) >> unused) as f32
            }
            _ => u64::from_le_bytes(wide) as f32,
        }
    }
}

/// An `e4m3fn` number: bias 7, no infinities, NaN where all bits but the sign are set.
fn e4m3(byte: u8) -> f16 {
    let (exponent, mantissa) = (byte >> 3 & 0xf, byte & 0x7);
    if byte & 0x7f == 0x7f {
        return f16::NAN;
    }
    let size = match exponent {
        0 => f32::from(mantissa) / 512.0,
        _ => (1.0 + f32::from(mantissa) / 8.0) * 2f32.powi(i32::from(exponent) - 7),
    };
    f16::from_f32(if byte & 0x80 == 0 { size } else { -size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that `torch.tensor([…], dtype=torch.uint8).view(torch.float8_…)` gives.
    #[test]
    fn every_kind_of_eight_bits_is_torchs_number() {
        let values = |dtype: ForeignDtype, bytes: &[u8]| -> Vec<f32> {
            let converted = dtype.convert(bytes);
            let (pairs, _) = converted.as_chunks();
            pairs
                .iter()
                .map(|&pair| f16::from_le_bytes(pair).to_f32())
                .collect()
        };
        let e4m3 = [0x00, 0x01, 0x07, 0x08, 0x38, 0x39, 0x7e, 0xb8, 0xfe];
        assert_eq!(
            values(ForeignDtype::F8E4M3, &e4m3),
            [
                0.0,
                0.001953125,
                0.013671875,
                0.015625,
                1.0,
                1.125,
                448.0,
                -1.0,
                -448.0
            ]
        );
        assert!(values(ForeignDtype::F8E4M3, &[0x7f])[0].is_nan());
        let e5m2 = [0x00, 0x01, 0x04, 0x3c, 0x3d, 0x7b, 0xbc];
        assert_eq!(
            values(ForeignDtype::F8E5M2, &e5m2),
            [0.0, 1.5258789e-5, 6.1035156e-5, 1.0, 1.25, 57344.0, -1.0]
        );
    }

    #[test]
    fn wider_numbers_become_f32() {
        let number = |name: &str, bytes: &[u8]| {
            let dtype = ForeignDtype::of(name).expect(name);
            let bytes = dtype.convert(bytes);
            f32::from_le_bytes(bytes.as_slice().try_into().expect("one value"))
        };
        assert_eq!(number("I64", &(-8i64).to_le_bytes()), -8.0);
        assert_eq!(number("I16", &(-3i16).to_le_bytes()), -3.0);
        assert_eq!(number("U8", &[200]), 200.0);
        assert_eq!(number("F64", &0.5f64.to_le_bytes()), 0.5);
        assert_eq!(ForeignDtype::of("F16"), None);
    }
}
