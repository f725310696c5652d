//! One stored tensor: encoding its values, and the way back to `f32`.

use std::borrow::Cow;

use super::blocks::{self, BlockWriter};
use super::encoding::{BLOCK, Encoding, can_quantize, element_count};
use super::order::{Kernel, Order};

/// Why a tensor can't be made or read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum TensorError {
    /// The bytes don't fit the shape and encoding.
    #[error(
        "The tensor {name} of shape {shape:?} has {found} bytes, which doesn't fit its encoding \
         {encoding}: the file is damaged or was made by another program; get it again."
    )]
    Length {
        name: String,
        shape: Vec<usize>,
        encoding: Encoding,
        found: usize,
    },
    /// The number of values doesn't fit the shape.
    #[error("The tensor {name} of shape {shape:?} was given {found} values.")]
    Values {
        name: String,
        shape: Vec<usize>,
        found: usize,
    },
    /// A row that can't be cut into blocks.
    #[error(
        "The tensor {name} of shape {shape:?} can't be stored as {encoding}: its rows are not a \
         multiple of {BLOCK} values long. Store it as f16."
    )]
    Blocks {
        name: String,
        shape: Vec<usize>,
        encoding: Encoding,
    },
    /// A quantized tensor that is to be quantized in another way.
    #[error(
        "The tensor {name} arrives as {from} and can't be stored as {to}: store it as it is, or take \
         a file with the values before they were quantized."
    )]
    Requantized {
        name: String,
        from: Encoding,
        to: Encoding,
    },
    /// The tensor doesn't fit the memory.
    #[error(
        "There is not enough memory for the tensor {name} of shape {shape:?}. Close other tabs or \
         programs and try again."
    )]
    Memory { name: String, shape: Vec<usize> },
    /// A value that is infinite, not a number, or too large for the encoding's scales.
    #[error(
        "The tensor {name} holds the value {value}, which can't be stored as {encoding}. Use f32 \
         for it, or a model file without such values."
    )]
    Range {
        name: String,
        value: f32,
        encoding: Encoding,
    },
}

/// A named tensor as it lies in a pack or in the browser's store.
#[derive(Clone, PartialEq)]
pub struct StoredTensor {
    /// The tensor's name in its model, for example `conv_in.weight`.
    pub name: String,
    /// How [`StoredTensor::bytes`] are to be read.
    pub encoding: Encoding,
    /// The order of the values in [`StoredTensor::bytes`]; row-major where the shape is the same in
    /// both.
    pub order: Order,
    /// Dimensions, outermost first, whatever the order.
    pub shape: Vec<usize>,
    /// The values, encoded.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for StoredTensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "StoredTensor({} {} {:?} {:?}, {} bytes)",
            self.name,
            self.encoding,
            self.order,
            self.shape,
            self.bytes.len()
        )
    }
}

impl StoredTensor {
    /// A tensor whose bytes fit its shape and encoding.
    ///
    /// # Errors
    /// [`TensorError::Length`].
    pub fn new(
        name: String,
        encoding: Encoding,
        order: Order,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Result<Self, TensorError> {
        let tensor = StoredTensor {
            name,
            encoding,
            order: order.for_shape(&shape),
            shape,
            bytes,
        };
        tensor.check()?;
        Ok(tensor)
    }

    /// The outline of a tensor, which has no bytes: models that are built of outlines are as large as
    /// others, and of the same operations.
    pub fn outline(name: String, encoding: Encoding, order: Order, shape: Vec<usize>) -> Self {
        StoredTensor {
            name,
            encoding,
            order: order.for_shape(&shape),
            shape,
            bytes: Vec::new(),
        }
    }

    /// Whether it has values and no bytes: [`StoredTensor::outline`]. No other tensor is so.
    pub fn is_outline(&self) -> bool {
        self.bytes.is_empty() && self.element_count() > 0
    }

    /// Encodes values, which are given in row-major order, in the order of [`Order::of`]. `minimum_step` acts on [`Encoding::Q8`] alone: no block's
    /// scale is smaller than `minimum_step` times the tensor's root mean square.
    ///
    /// A block of small values needs no finer steps than its neighbours for the same error in a
    /// layer's output. With one step for most of a tensor, the bytes take few different values and
    /// compress well: a file can be made smaller without going down to four bits. With 0, each
    /// block uses the whole range of a byte.
    ///
    /// # Errors
    /// The values don't fit the shape, the shape's rows can't be cut into blocks, or a value is not
    /// finite or too large.
    pub fn encode(
        name: &str,
        shape: &[usize],
        values: &[f32],
        encoding: Encoding,
        minimum_step: f32,
    ) -> Result<Self, TensorError> {
        if element_count(shape) != Some(values.len()) {
            return Err(TensorError::Values {
                name: name.into(),
                shape: shape.into(),
                found: values.len(),
            });
        }
        let smallest_scale = if minimum_step > 0.0 {
            minimum_step * root_mean_square(values)
        } else {
            0.0
        };
        let bytes = allocate(name, shape, encoding)?;
        let mut writer = BlockWriter::new(encoding, values.len(), smallest_scale, bytes);
        let range = |value| TensorError::Range {
            name: name.into(),
            value,
            encoding,
        };
        let order = Order::of(encoding, shape);
        match Kernel::of(shape).filter(|_| !order.is_row_major()) {
            None => writer.write_values(values).map_err(range)?,
            Some(kernel) => {
                let mut reordered = zeros(name, shape, kernel.row_length())?;
                for row in values.chunks_exact(kernel.row_length()) {
                    kernel.reorder(order, row, &mut reordered);
                    writer.write_values(&reordered).map_err(range)?;
                }
            }
        }
        Ok(StoredTensor {
            name: name.into(),
            encoding,
            order,
            shape: shape.into(),
            bytes: writer.finish(),
        })
    }

    /// Number of values.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values in row-major order, whatever the tensor's own is.
    ///
    /// # Errors
    /// [`TensorError::Length`] where the bytes don't fit the shape and encoding.
    pub fn to_f32(&self) -> Result<Vec<f32>, TensorError> {
        self.check()?;
        let mut values = vec![0.0; self.element_count()];
        blocks::decode(self.encoding, &self.bytes, &mut values);
        if let Some(kernel) = Kernel::of(&self.shape).filter(|_| !self.order.is_row_major()) {
            let mut own = vec![0.0; kernel.row_length()];
            for row in values.chunks_exact_mut(kernel.row_length()) {
                own.copy_from_slice(row);
                kernel.reorder(Order::RowMajor, &own, row);
            }
        }
        Ok(values)
    }

    /// The tensor with its values in the order that the kernels read: a convolution's have the input
    /// channels last, and all others stay as they are. The values remain the same, but for those of a
    /// quantized convolution in row-major order, which only files of earlier versions hold: their blocks
    /// are made anew, as [`StoredTensor::encode`] makes them of the values. That costs an error of at most
    /// half a step of the new blocks, and in 4 bits more for the few values that such blocks clip. The
    /// second value says whether that was so.
    ///
    /// # Errors
    /// As [`StoredTensor::to_f32`] and [`StoredTensor::encode`].
    pub fn into_channels_last(self) -> Result<(Self, bool), TensorError> {
        let Some(kernel) = Kernel::of(&self.shape).filter(|_| self.order.is_row_major()) else {
            return Ok((self, false));
        };
        if self.is_outline() {
            let order = Order::ChannelsLast;
            return Ok((StoredTensor { order, ..self }, false));
        }
        self.check()?;
        let order = Order::ChannelsLast;
        let (bytes, is_quantized) = match self.encoding.value_length() {
            Some(size) => (self.reordered(kernel, size, order)?, false),
            None => (self.requantized(kernel, order)?, true),
        };
        let tensor = StoredTensor {
            order,
            bytes,
            ..self
        };
        Ok((tensor, is_quantized))
    }

    /// The bytes of values without blocks, `size` bytes each, in row-major order.
    ///
    /// # Errors
    /// There is too little memory.
    pub(super) fn row_major_bytes(&self, size: usize) -> Result<Cow<'_, [u8]>, TensorError> {
        match Kernel::of(&self.shape).filter(|_| !self.order.is_row_major()) {
            None => Ok(Cow::Borrowed(&self.bytes)),
            Some(kernel) => Ok(self.reordered(kernel, size, Order::RowMajor)?.into()),
        }
    }

    fn reordered(&self, kernel: Kernel, size: usize, order: Order) -> Result<Vec<u8>, TensorError> {
        let mut bytes = allocate(&self.name, &self.shape, self.encoding)?;
        kernel.reorder_bytes(order, size, &self.bytes, &mut bytes);
        Ok(bytes)
    }

    /// A quantized row-major tensor, quantized anew in this order. It goes row by row: a whole tensor of
    /// `f32` would take several times its bytes.
    fn requantized(&self, kernel: Kernel, order: Order) -> Result<Vec<u8>, TensorError> {
        let bytes = allocate(&self.name, &self.shape, self.encoding)?;
        let mut writer = BlockWriter::new(self.encoding, self.element_count(), 0.0, bytes);
        let mut reordered = zeros(&self.name, &self.shape, kernel.row_length())?;
        for row in 0..self.shape.first().copied().unwrap_or(0) {
            kernel.reorder(order, &self.rows(&[row])?, &mut reordered);
            writer
                .write_values(&reordered)
                .map_err(|value| TensorError::Range {
                    name: self.name.clone(),
                    value,
                    encoding: self.encoding,
                })?;
        }
        Ok(writer.finish())
    }

    /// The values of some rows (indices into the first dimension) one after the other, without
    /// those between them: what an embedding looks up. Each is in row-major order. An index beyond the last row has no values.
    ///
    /// # Errors
    /// As [`StoredTensor::to_f32`].
    pub fn rows(&self, indices: &[usize]) -> Result<Vec<f32>, TensorError> {
        self.check()?;
        let count = self.shape.first().copied().unwrap_or(1);
        let indices = || indices.iter().copied().filter(|&index| index < count);
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = indices().count();
        }
        let row = self.element_count() / count.max(1);
        let part = |bytes: &[u8], length: usize| -> Vec<u8> {
            indices()
                .flat_map(|index| bytes[index * length..][..length].to_vec())
                .collect()
        };
        let bytes = match self.encoding {
            Encoding::F32 => part(&self.bytes, row * 4),
            Encoding::F16 | Encoding::BF16 => part(&self.bytes, row * 2),
            Encoding::Q8 | Encoding::Q4 => {
                let length = if self.encoding == Encoding::Q8 {
                    row
                } else {
                    row / 2
                };
                let (values, scales) = self.bytes.split_at(count * length);
                let mut bytes = part(values, length);
                bytes.extend(part(scales, row / BLOCK * 2));
                bytes
            }
        };
        Self::new(self.name.clone(), self.encoding, self.order, shape, bytes)?.to_f32()
    }

    /// Whether the bytes fit the shape and encoding, so that they can be read.
    ///
    /// # Errors
    /// [`TensorError::Length`] where they don't.
    pub fn check(&self) -> Result<(), TensorError> {
        if self.encoding.byte_length(&self.shape) == Some(self.bytes.len()) {
            Ok(())
        } else {
            Err(TensorError::Length {
                name: self.name.clone(),
                shape: self.shape.clone(),
                encoding: self.encoding,
                found: self.bytes.len(),
            })
        }
    }
}

fn root_mean_square(values: &[f32]) -> f32 {
    let sum_of_squares: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    (sum_of_squares / values.len().max(1) as f64).sqrt() as f32
}

/// Zeros for the bytes of a tensor. A shape may come from a file that is not to be trusted, so that
/// there being too little memory is an error and no panic.
pub(super) fn allocate(
    name: &str,
    shape: &[usize],
    encoding: Encoding,
) -> Result<Vec<u8>, TensorError> {
    if encoding.is_quantized() && !can_quantize(shape) {
        return Err(TensorError::Blocks {
            name: name.into(),
            shape: shape.into(),
            encoding,
        });
    }
    let length = encoding.byte_length(shape);
    zeros(
        name,
        shape,
        length.ok_or_else(|| out_of_memory(name, shape))?,
    )
}

/// Zeros for a part of a tensor, in as many elements; see [`allocate`].
pub(super) fn zeros<T: Clone + Default>(
    name: &str,
    shape: &[usize],
    length: usize,
) -> Result<Vec<T>, TensorError> {
    let mut zeros = Vec::new();
    zeros
        .try_reserve_exact(length)
        .map_err(|_| out_of_memory(name, shape))?;
    zeros.resize(length, T::default());
    Ok(zeros)
}

pub(super) fn out_of_memory(name: &str, shape: &[usize]) -> TensorError {
    TensorError::Memory {
        name: name.into(),
        shape: shape.into(),
    }
}
