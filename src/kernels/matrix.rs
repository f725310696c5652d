//! A layer's weight as the kernels read it.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::cpu::weight::Weight;
use crate::weights::format::encoding::{BLOCK, Encoding};
use crate::weights::format::order::Kernel;
use crate::weights::format::tensor::{StoredTensor, TensorError};

/// Whether the CPU's operations are our own, which are for one thread and vectors of four values: the
/// browser's. Natively burn's use all cores, and whatever vectors there are.
pub const HAS_OWN: bool = cfg!(target_family = "wasm");

/// Values and the gates behind them lie in turns of so many rows, see [`Matrix::interleaved`].
pub const INTERLEAVED_ROWS: usize = 32;

/// How a weight's values lie in the words of its buffer on a graphics card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightForm {
    /// One `f32` a word.
    F32,
    /// Two `f16` a word, the first one in the low half.
    F16,
    /// Four values a word, and behind all words an `f16` scale for every 32 values, two a word.
    Q8,
    /// Eight values a word, each plus 8, and scales as in [`WeightForm::Q8`].
    Q4,
}

impl WeightForm {
    /// Words that hold so many values, without scales.
    pub fn words(self, values: usize) -> usize {
        match self {
            WeightForm::F32 => values,
            WeightForm::F16 => values / 2,
            WeightForm::Q8 => values / 4,
            WeightForm::Q4 => values / 8,
        }
    }

    /// Values of a row that are read together.
    pub fn unit(self) -> usize {
        if self.has_scales() { BLOCK } else { 4 }
    }

    /// Words that hold so many values, with their scales.
    fn length(self, values: usize) -> usize {
        let scales = if self.has_scales() { values / BLOCK } else { 0 };
        self.words(values) + scales.div_ceil(2)
    }

    fn has_scales(self) -> bool {
        matches!(self, WeightForm::Q8 | WeightForm::Q4)
    }
}

/// A weight `[rows, columns]`, a row for each output. The columns of a convolution's weight are the
/// channels of one tap after the other: `[output, kernel height, kernel width, input]`.
#[derive(Clone)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Values,
    is_interleaved: bool,
}

/// Large parts are boxed: one of burn's tensors takes a quarter of a kilobyte itself, and models are
/// moved by value.
#[derive(Clone)]
enum Values {
    /// As `f32` in the order of the CPU's own product.
    Packed(Arc<Weight>),
    /// As `f32`: natively on the CPU, and small or odd weights on a graphics card.
    Expanded(Box<Tensor<2>>),
    /// In the host's memory, as it is stored: expanded at each use, which only the CPU does.
    Stored(Arc<StoredTensor>),
    /// On a graphics card, as it is stored.
    Words {
        words: Box<Tensor<1, Int>>,
        form: WeightForm,
    },
}

impl Matrix {
    /// A weight as `f32`.
    ///
    /// # Errors
    /// Its bytes don't fit its shape and encoding.
    pub fn expanded(tensor: &StoredTensor, device: &Device) -> Result<Self, TensorError> {
        let [rows, columns] = matrix_shape(&tensor.shape);
        if tensor.is_outline() {
            return Ok(Self::of(outlined([rows, columns], device)));
        }
        let values = in_kernel_order(&tensor.shape, tensor.to_f32()?);
        if HAS_OWN && *device == Device::flex() {
            return Ok(Self {
                rows,
                columns,
                values: Values::Packed(Arc::new(Weight::new(&values, rows, columns))),
                is_interleaved: false,
            });
        }
        let values = Tensor::from_data(TensorData::new(values, [rows, columns]), device);
        Ok(Self::of(values))
    }

    /// A weight of `f32` values, as a matrix.
    pub fn of(values: Tensor<2>) -> Self {
        let [rows, columns] = values.dims();
        Self {
            rows,
            columns,
            values: Values::Expanded(Box::new(values)),
            is_interleaved: false,
        }
    }

    /// A weight in the form in which it is stored: in the host's memory for the CPU, on any other device
    /// in a buffer of exactly its size. What the kernels can't read in that form is expanded.
    ///
    /// # Errors
    /// Its bytes don't fit its shape and encoding.
    pub fn held(tensor: Arc<StoredTensor>, device: &Device) -> Result<Self, TensorError> {
        let [rows, columns] = matrix_shape(&tensor.shape);
        if *device == Device::flex() {
            return Ok(Self {
                rows,
                columns,
                values: Values::Stored(tensor),
                is_interleaved: false,
            });
        }
        if !rows.is_multiple_of(4) || !columns.is_multiple_of(4) {
            return Self::expanded(&tensor, device);
        }
        let has_blocks = columns.is_multiple_of(BLOCK) && is_in_kernel_order(&tensor);
        let form = match tensor.encoding {
            Encoding::Q4 if has_blocks => WeightForm::Q4,
            Encoding::Q8 if has_blocks => WeightForm::Q8,
            Encoding::F16 => WeightForm::F16,
            _ => WeightForm::F32,
        };
        let words = if tensor.is_outline() {
            let length = form.length(rows * columns);
            device.memory_persistent_allocations(length, |length| {
                Tensor::<1, Int>::empty([length], device)
            })
        } else {
            let words = words(tensor, form)?;
            let length = words.len();
            // The pools for a computation's temporary tensors have buffers in steps of sizes, and may
            // give a small tensor a large one.
            device.memory_persistent_allocations(TensorData::new(words, [length]), |words| {
                Tensor::from_data(words, device)
            })
        };
        Ok(Self {
            rows,
            columns,
            values: Values::Words {
                words: Box::new(words),
                form,
            },
            is_interleaved: false,
        })
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The words on a graphics card and their form; none of a weight that is there as `f32` or not at all.
    pub fn words(&self) -> Option<(&Tensor<1, Int>, WeightForm)> {
        match &self.values {
            Values::Words { words, form } => Some((words, *form)),
            Values::Packed(_) | Values::Expanded(_) | Values::Stored(_) => None,
        }
    }

    /// The values as `f32` of a weight that has no words. A stored one is expanded anew: drop it
    /// after its use.
    pub fn expand(&self) -> Tensor<2> {
        match &self.values {
            Values::Expanded(values) => (**values).clone(),
            Values::Packed(_) | Values::Stored(_) => {
                let data = TensorData::new(self.to_values(), [self.rows, self.columns]);
                Tensor::from_data(data, &Device::flex())
            }
            Values::Words { .. } => unreachable!("the kernels read words as they are"),
        }
    }

    /// The weight in the order of the CPU's product. One that is stored is packed anew: drop it after its
    /// use.
    pub fn packed(&self) -> Arc<Weight> {
        match &self.values {
            Values::Packed(weight) => weight.clone(),
            _ => Arc::new(Weight::new(&self.to_values(), self.rows, self.columns)),
        }
    }

    /// The values in the host's memory.
    ///
    /// # Shapes
    /// `[rows, columns]`
    fn to_values(&self) -> Vec<f32> {
        let values = match &self.values {
            Values::Packed(weight) => Some(weight.values()),
            Values::Stored(tensor) => tensor
                .to_f32()
                .ok()
                .map(|values| in_kernel_order(&tensor.shape, values)),
            Values::Expanded(values) => (**values)
                .clone()
                .try_into_data()
                .ok()
                .and_then(|data| data.try_into_vec().ok()),
            Values::Words { .. } => None,
        };
        match values {
            Some(values) => values,
            None => unreachable!(
                "a stored length was checked when it was inserted, and words are never on the CPU"
            ),
        }
    }

    /// The rows of several weights, one weight after the other; none where their forms differ.
    pub fn join(weights: &[&Matrix]) -> Option<Matrix> {
        let first = weights.first()?;
        let columns = first.columns;
        let rows = weights.iter().map(|weight| weight.rows).sum();
        if weights
            .iter()
            .any(|weight| weight.columns != columns || weight.is_interleaved)
        {
            return None;
        }
        let values = match &first.values {
            Values::Stored(_) => return None,
            Values::Packed(_) => {
                let mut values = Vec::with_capacity(rows * columns);
                for weight in weights {
                    match &weight.values {
                        Values::Packed(weight) => values.append(&mut weight.values()),
                        _ => return None,
                    }
                }
                Values::Packed(Arc::new(Weight::new(&values, rows, columns)))
            }
            Values::Expanded(_) => {
                let parts = weights
                    .iter()
                    .map(|weight| match &weight.values {
                        Values::Expanded(values) => Some((**values).clone()),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>()?;
                Values::Expanded(Box::new(Tensor::cat(parts, 0)))
            }
            Values::Words { form, .. } => {
                let form = *form;
                let mut parts = Vec::new();
                let mut scales = Vec::new();
                for weight in weights {
                    let (words, own_form) = weight.words()?;
                    let values = weight.rows * columns;
                    // Two scales share a word: an odd number of them would shift those that follow.
                    if own_form != form || (form.has_scales() && !values.is_multiple_of(2 * BLOCK))
                    {
                        return None;
                    }
                    let [length] = words.dims();
                    let end = form.words(values);
                    parts.push(words.clone().narrow(0, 0, end));
                    if form.has_scales() {
                        scales.push(words.clone().narrow(0, end, length - end));
                    }
                }
                parts.append(&mut scales);
                Values::Words {
                    words: Box::new(persistent(parts)),
                    form,
                }
            }
        };
        Some(Matrix {
            rows,
            columns,
            values,
            is_interleaved: false,
        })
    }

    /// Whether the rows are in turns, see [`Matrix::interleaved`].
    pub fn is_interleaved(&self) -> bool {
        self.is_interleaved
    }

    /// The rows of a weight on a graphics card in another order: of each half of them
    /// 32 in turns. A weight that has that order already, or that the kernels don't read, stays as it is.
    pub fn interleaved(self) -> Matrix {
        let Values::Words { words, form } = &self.values else {
            return self;
        };
        if self.is_interleaved || !self.rows.is_multiple_of(2 * INTERLEAVED_ROWS) {
            return self;
        }
        let [length] = words.dims();
        let end = form.words(self.rows * self.columns);
        let turn = |part: Tensor<1, Int>| {
            let [length] = part.dims();
            let turns = self.rows / (2 * INTERLEAVED_ROWS);
            part.reshape([2, turns, length / 2 / turns])
                .swap_dims(0, 1)
                .reshape([length])
        };
        let mut parts = vec![turn((**words).clone().narrow(0, 0, end))];
        if form.has_scales() {
            parts.push(turn((**words).clone().narrow(0, end, length - end)));
        }
        Matrix {
            values: Values::Words {
                words: Box::new(persistent(parts)),
                form: *form,
            },
            is_interleaved: true,
            ..self
        }
    }
}

/// A tensor as the words of a buffer.
fn words(tensor: Arc<StoredTensor>, form: WeightForm) -> Result<Vec<i32>, TensorError> {
    let mut bytes = match form {
        WeightForm::Q4 | WeightForm::Q8 => tensor.bytes.clone(),
        WeightForm::F16 => {
            let (tensor, _) = Arc::unwrap_or_clone(tensor).into_channels_last()?;
            tensor.bytes
        }
        WeightForm::F32 => {
            let values = in_kernel_order(&tensor.shape, tensor.to_f32()?);
            values.into_iter().flat_map(f32::to_le_bytes).collect()
        }
    };
    // An odd number of scales.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let (words, _) = bytes.as_chunks();
    Ok(words.iter().copied().map(i32::from_le_bytes).collect())
}

/// A tensor without values, in a buffer of exactly its size.
pub fn outlined<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    device.memory_persistent_allocations(shape, |shape| Tensor::empty(shape, device))
}

/// Parts one after the other, in a buffer of exactly their size.
fn persistent(parts: Vec<Tensor<1, Int>>) -> Tensor<1, Int> {
    let device = parts
        .first()
        .map_or_else(Device::flex, |part| part.device());
    device.memory_persistent_allocations(parts, |parts| Tensor::cat(parts, 0))
}

/// The values of a vector in the order of [`Matrix::interleaved`] rows.
pub fn interleave_halves(vector: Tensor<1>) -> Tensor<1> {
    let [length] = vector.dims();
    vector
        .reshape([2, length / (2 * INTERLEAVED_ROWS), INTERLEAVED_ROWS])
        .swap_dims(0, 1)
        .reshape([length])
}

/// Rows and columns of a weight `[output, input, …]`.
pub fn matrix_shape(shape: &[usize]) -> [usize; 2] {
    let rows = shape.first().copied().unwrap_or(1);
    [rows, shape.iter().skip(1).product()]
}

/// Whether a tensor's values lie in the order of the kernels: a quantized convolution of an earlier
/// version's file doesn't have it.
fn is_in_kernel_order(tensor: &StoredTensor) -> bool {
    Kernel::of(&tensor.shape).is_none() || !tensor.order.is_row_major()
}

/// The values of a convolution's weight `[output, input, height, width]` in the order
/// `[output, height, width, input]`; those of other weights as they are.
fn in_kernel_order(shape: &[usize], values: Vec<f32>) -> Vec<f32> {
    let &[_, input, height, width] = shape else {
        return values;
    };
    let area = height * width;
    if area == 1 {
        return values;
    }
    let mut ordered = Vec::with_capacity(values.len());
    for row in values.chunks_exact(input * area) {
        for tap in 0..area {
            ordered.extend(row.iter().skip(tap).step_by(area));
        }
    }
    ordered
}
