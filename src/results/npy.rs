//! Arrays in NumPy's format (NEP 1, `.npy`): little-endian floats in C order.

/// A table of numbers, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The lengths of its axes.
    pub shape: Vec<usize>,
    /// Its numbers, the last axis fastest.
    pub values: Vec<f64>,
}

/// Bytes that hold no array of floats.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// Another file, or one that was cut off.
    #[error("The file is no .npy of NumPy's, or it was cut off.")]
    NotNpy,
    /// An array of something else.
    #[error("The file's array is of {kind}: save it with .astype(\"float32\") in C order.")]
    Kind {
        /// What it is of, as NumPy says it.
        kind: String,
    },
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers end at a multiple of this.
const ALIGNMENT: usize = 64;

/// The bytes of a file with single precision.
pub fn write(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(|it| format!("{it},")).collect();
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}",
        axes.join(" ")
    );
    // The magic bytes, the version, the header's length, and the line's end.
    let before = MAGIC.len() + 4;
    let length = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    while header.len() + 1 < length {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = [MAGIC, &[1, 0], &(length as u16).to_le_bytes()].concat();
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Reads a file of single or double precision.
///
/// # Errors
/// It holds something else.
pub fn read(bytes: &[u8]) -> Result<Array, NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::NotNpy)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(NpyError::NotNpy)?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk().ok_or(NpyError::NotNpy)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk().ok_or(NpyError::NotNpy)?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or(NpyError::NotNpy)?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::NotNpy)?;
    let after = |key: &str| {
        let (_, rest) = header.split_once(key)?;
        Some(rest.trim_start_matches([':', ' ']))
    };
    let kind = after("'descr'").and_then(|it| it.strip_prefix('\'')?.split('\'').next());
    let kind = kind.ok_or(NpyError::NotNpy)?;
    if after("'fortran_order'").is_none_or(|it| !it.starts_with("False")) {
        return Err(NpyError::Kind {
            kind: format!("{kind} in Fortran's order"),
        });
    }
    let shape: Option<Vec<usize>> = after("'shape'")
        .and_then(|it| it.strip_prefix('(')?.split(')').next())
        .map(|axes| axes.split(',').map(str::trim).filter(|it| !it.is_empty()))
        .and_then(|axes| axes.map(|axis| axis.parse().ok()).collect());
    let shape = shape.ok_or(NpyError::NotNpy)?;
    let values: Vec<f64> = match kind {
        "<f4" => {
            let (numbers, _) = data.as_chunks();
            let numbers = numbers.iter().copied().map(f32::from_le_bytes);
            numbers.map(f64::from).collect()
        }
        "<f8" => {
            let (numbers, _) = data.as_chunks();
            numbers.iter().copied().map(f64::from_le_bytes).collect()
        }
        other => {
            return Err(NpyError::Kind {
                kind: other.chars().take(20).collect(),
            });
        }
    };
    let expected = shape
        .iter()
        .try_fold(1usize, |all, axis| all.checked_mul(*axis));
    if expected != Some(values.len()) {
        return Err(NpyError::NotNpy);
    }
    Ok(Array { shape, values })
}
