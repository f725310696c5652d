//! LyCORIS' relatives of LoRA as branches of two matrices with the same product: LoCon with a core, LoHa
//! and LoKr.
//!
//! The formulas are those of LyCORIS' `functional` (`rebuild_tucker`, `loha`, `lokr`), which ComfyUI and
//! PEFT compute too. A branch costs a step as little as its rank is, so each formula is brought into the
//! form of the least rank that it has without computing anything but products of its factors; a change of
//! full rank has one side that changes nothing (the identity).

use super::branch::{LowRankBranch, Parts};
use super::error::AdapterError;
use super::names::{Factor, FactorKind, Part};
use crate::weights::format::encoding::Encoding;
use crate::weights::format::tensor::StoredTensor;

/// The most values of a computed part: those of SDXL's largest layer, several times over. A file that is not
/// to be trusted may name factors of any size.
const MOST_VALUES: usize = 1 << 28;

/// A matrix in row-major order.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// The tensor as a matrix: its first dimension is the rows.
    fn of(module: &str, tensor: &StoredTensor) -> Result<Self, AdapterError> {
        let rows = tensor.shape.first().copied().unwrap_or(1);
        let values = tensor.to_f32()?;
        if values.is_empty() || rows == 0 {
            return Err(factors(module, "one without values"));
        }
        Ok(Self {
            rows,
            columns: values.len() / rows,
            values,
        })
    }

    fn zeros(module: &str, rows: usize, columns: usize) -> Result<Self, AdapterError> {
        let length = rows
            .checked_mul(columns)
            .filter(|&length| length <= MOST_VALUES);
        let length = length.ok_or_else(|| factors(module, "a product that is too large"))?;
        Ok(Self {
            rows,
            columns,
            values: vec![0.0; length],
        })
    }

    fn identity(module: &str, size: usize) -> Result<Self, AdapterError> {
        let mut identity = Self::zeros(module, size, size)?;
        for value in identity.values.iter_mut().step_by(size + 1) {
            *value = 1.0;
        }
        Ok(identity)
    }

    fn row(&self, row: usize) -> &[f32] {
        self.values
            .chunks_exact(self.columns)
            .nth(row)
            .unwrap_or_default()
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.row(row).get(column).copied().unwrap_or(0.0)
    }

    /// A matrix with this function's values of row and column.
    fn from_fn(
        module: &str,
        rows: usize,
        columns: usize,
        value: impl Fn(usize, usize) -> f32,
    ) -> Result<Self, AdapterError> {
        let mut matrix = Self::zeros(module, rows, columns)?;
        for (row, values) in matrix.values.chunks_exact_mut(columns.max(1)).enumerate() {
            for (column, place) in values.iter_mut().enumerate() {
                *place = value(row, column);
            }
        }
        Ok(matrix)
    }

    fn transposed(&self, module: &str) -> Result<Self, AdapterError> {
        Self::from_fn(module, self.columns, self.rows, |row, column| {
            self.at(column, row)
        })
    }

    /// `self · right`.
    fn times(&self, module: &str, right: &Self) -> Result<Self, AdapterError> {
        if self.columns != right.rows {
            return Err(factors(module, "two of different ranks"));
        }
        let mut product = Self::zeros(module, self.rows, right.columns)?;
        let rows = self.values.chunks_exact(self.columns);
        for (sums, row) in product.values.chunks_exact_mut(right.columns).zip(rows) {
            for (&factor, other) in row.iter().zip(right.values.chunks_exact(right.columns)) {
                for (sum, &value) in sums.iter_mut().zip(other) {
                    *sum += factor * value;
                }
            }
        }
        Ok(product)
    }

    /// The Kronecker product with `other`.
    fn kronecker(&self, module: &str, other: &Self) -> Result<Self, AdapterError> {
        let (rows, columns) = (self.rows * other.rows, self.columns * other.columns);
        Self::from_fn(module, rows, columns, |row, column| {
            self.at(row / other.rows, column / other.columns)
                * other.at(row % other.rows, column % other.columns)
        })
    }

    fn stored(self, name: &str) -> Result<StoredTensor, AdapterError> {
        let shape = [self.rows, self.columns];
        Ok(StoredTensor::encode(
            name,
            &shape,
            &self.values,
            Encoding::F32,
            0.0,
        )?)
    }
}

/// A matrix by its two factors, `left · right`.
struct Product {
    left: Matrix,
    right: Matrix,
}

impl Product {
    fn rank(&self) -> usize {
        self.left.columns
    }
}

fn factors(module: &str, what: &'static str) -> AdapterError {
    AdapterError::Factors {
        module: module.to_owned(),
        what,
    }
}

/// The down projection of a LoCon with a core: `down[p, i, …] = Σ mid[p, q, …] · down[q, i]`.
///
/// # Shapes
/// `down` `[rank, input, 1, 1]`, `mid` `[rank, rank, height, width]` → `[rank, input, height, width]`.
pub(super) fn with_core(
    module: &str,
    down: &StoredTensor,
    mid: &StoredTensor,
) -> Result<StoredTensor, AdapterError> {
    let [outer, inner, kernel @ ..] = mid.shape.as_slice() else {
        return Err(factors(module, "a core (lora_mid) that is no kernel"));
    };
    let matrix = Matrix::of(module, down)?;
    let combined = core_times(module, mid, *outer, *inner, &matrix)?;
    let shape = [&[*outer, matrix.columns][..], kernel].concat();
    Ok(StoredTensor::encode(
        &down.name,
        &shape,
        &combined.values,
        Encoding::F32,
        0.0,
    )?)
}

/// `Σ_q core[p, q, …] · right[q, i]` as a matrix of rows `p` and columns `i, …`.
fn core_times(
    module: &str,
    core: &StoredTensor,
    outer: usize,
    inner: usize,
    right: &Matrix,
) -> Result<Matrix, AdapterError> {
    if inner != right.rows {
        return Err(factors(module, "two of different ranks"));
    }
    let values = core.to_f32()?;
    let taps = values.len() / (outer * inner).max(1);
    if taps == 0 {
        return Err(factors(module, "one without values"));
    }
    Matrix::from_fn(module, outer, right.columns * taps, |row, column| {
        let (input, tap) = (column / taps, column % taps);
        let core = values.iter().skip(row * inner * taps + tap).step_by(taps);
        core.take(inner)
            .enumerate()
            .map(|(rank, &value)| value * right.at(rank, input))
            .sum()
    })
}

/// Takes the two factors of one of the matrices, with a core between them where there is one.
fn product(
    module: &str,
    parts: &mut Parts,
    part: impl Fn(FactorKind) -> Part,
    missing: &'static str,
) -> Result<Product, AdapterError> {
    let mut take = |kind| parts.remove(&part(kind));
    let (a, b, core) = (
        take(FactorKind::A),
        take(FactorKind::B),
        take(FactorKind::Core),
    );
    let (Some(a), Some(b)) = (a, b) else {
        return Err(AdapterError::Incomplete {
            module: module.to_owned(),
            missing,
        });
    };
    let (a, b) = (Matrix::of(module, &a)?, Matrix::of(module, &b)?);
    let product = match core {
        None => Product { left: a, right: b },
        // With a core, the left factor lies transposed.
        Some(core) => {
            let [outer, inner, ..] = core.shape[..] else {
                return Err(factors(module, "a core that is no kernel"));
            };
            Product {
                left: a.transposed(module)?,
                right: core_times(module, &core, outer, inner, &b)?,
            }
        }
    };
    if product.left.columns != product.right.rows {
        return Err(factors(module, "two of different ranks"));
    }
    Ok(product)
}

/// LoHa: `scale · (w1_a · w1_b) ∘ (w2_a · w2_b)`, the product value by value.
///
/// A row of it is `Σ_pq w1_a[o, p] w2_a[o, q] · w1_b[p, i] w2_b[q, i]`: a branch of as many directions as
/// the ranks' product has.
pub(super) fn hadamard(
    module: &str,
    mut parts: Parts,
    alpha: Option<f32>,
) -> Result<LowRankBranch, AdapterError> {
    let mut matrix = |is_second| {
        let part = |kind| Part::Hada(Factor { is_second, kind });
        product(module, &mut parts, part, "factor of its LoHa (hada_w…)")
    };
    let (first, second) = (matrix(false)?, matrix(true)?);
    let (rows, columns) = (first.left.rows, first.right.columns);
    if (rows, columns) != (second.left.rows, second.right.columns) {
        return Err(factors(module, "two of different shapes"));
    }
    let scale = alpha.map_or(1.0, |alpha| alpha / first.rank() as f32);
    let (ranks, seconds) = (first.rank().saturating_mul(second.rank()), second.rank());
    if ranks < rows.min(columns) {
        let up = Matrix::from_fn(module, rows, ranks, |row, rank| {
            first.left.at(row, rank / seconds) * second.left.at(row, rank % seconds)
        })?;
        let down = Matrix::from_fn(module, ranks, columns, |rank, column| {
            first.right.at(rank / seconds, column) * second.right.at(rank % seconds, column)
        })?;
        return branch(module, up, down, scale);
    }
    let mut change = first.left.times(module, &first.right)?;
    let other = second.left.times(module, &second.right)?;
    for (value, factor) in change.values.iter_mut().zip(&other.values) {
        *value *= factor;
    }
    whole(module, change, scale)
}

/// LoKr: `scale · w1 ⊗ w2`, where either may be a product of two factors. The scale counts only where one
/// is.
pub(super) fn kronecker(
    module: &str,
    mut parts: Parts,
    alpha: Option<f32>,
) -> Result<LowRankBranch, AdapterError> {
    let mut rank = None;
    let mut matrix = |is_second| {
        let part = |kind| Part::Kronecker(Factor { is_second, kind });
        if let Some(whole) = parts.remove(&part(FactorKind::Whole)) {
            return Ok((Some(Matrix::of(module, &whole)?), None));
        }
        let product = product(module, &mut parts, part, "factor of its LoKr (lokr_w…)")?;
        rank = Some(product.rank());
        Ok::<_, AdapterError>((None, Some(product)))
    };
    let (first, second) = (matrix(false)?, matrix(true)?);
    let scale = match (alpha, rank) {
        (Some(alpha), Some(rank)) => alpha / rank as f32,
        _ => 1.0,
    };
    let left = match first {
        (Some(whole), _) => whole,
        (None, Some(product)) => product.left.times(module, &product.right)?,
        (None, None) => return Err(factors(module, "none at all")),
    };
    match second {
        (_, Some(product)) => {
            // w1 ⊗ (a · b) = (w1 ⊗ a) · (1 ⊗ b)
            let (rows, columns) = (
                left.rows * product.left.rows,
                left.columns * product.right.columns,
            );
            if left.columns * product.rank() < rows.min(columns) {
                let up = left.kronecker(module, &product.left)?;
                let identity = Matrix::identity(module, left.columns)?;
                let down = identity.kronecker(module, &product.right)?;
                return branch(module, up, down, scale);
            }
            let right = product.left.times(module, &product.right)?;
            whole(module, left.kronecker(module, &right)?, scale)
        }
        (Some(right), None) => whole(module, left.kronecker(module, &right)?, scale),
        (None, None) => Err(factors(module, "none at all")),
    }
}

fn branch(
    module: &str,
    up: Matrix,
    down: Matrix,
    scale: f32,
) -> Result<LowRankBranch, AdapterError> {
    Ok(LowRankBranch {
        down: down.stored(module)?,
        up: up.stored(module)?,
        scale,
    })
}

/// A change of full rank: the shorter side's projection is the identity.
fn whole(module: &str, change: Matrix, scale: f32) -> Result<LowRankBranch, AdapterError> {
    if change.rows <= change.columns {
        let up = Matrix::identity(module, change.rows)?;
        branch(module, up, change, scale)
    } else {
        let down = Matrix::identity(module, change.columns)?;
        branch(module, change, down, scale)
    }
}
