//! Encoding a tensor while its bytes arrive: neither the source's bytes nor its values are ever in
//! memory as a whole.

use super::blocks::{Block, BlockWriter, GROUP, decode, decode_bf16, decode_f16, decode_f32};
use super::encoding::{BLOCK, Encoding};
use super::order::{Kernel, Order};
use super::tensor::{StoredTensor, TensorError, allocate, out_of_memory, zeros};

/// Bytes of the longest block of a source.
const LONGEST_BLOCK: usize = BLOCK * 4;

/// Encodes a tensor whose bytes arrive in pieces. It holds the encoded bytes and less than one block
/// of the source, or twice the bytes of a row, one output channel, where it changes the order of the
/// values; what comes out is what [`StoredTensor::encode`] makes of the same values with a
/// `minimum_step` of 0.
pub struct TensorEncoder {
    name: String,
    shape: Vec<usize>,
    from: Encoding,
    to: Encoding,
    /// The order of the tensor's values.
    order: Order,
    /// Bytes of the whole source.
    expected: usize,
    /// Bytes of the source that have arrived.
    taken: usize,
    output: Output,
}

enum Output {
    /// The source's bytes are the tensor's.
    Copy(Vec<u8>),
    /// The source's values are encoded.
    Blocks(Blocks),
    /// The source's values are put into another order and encoded.
    Rows(Rows),
}

/// Rows whose values change their order.
struct Rows {
    kernel: Kernel,
    order: Order,
    /// The bytes of a row that has not arrived to its end; `pending_length` says how many there are.
    pending: Vec<u8>,
    pending_length: usize,
    /// A row in the new order.
    reordered: Vec<u8>,
    blocks: Blocks,
}

struct Blocks {
    from: Encoding,
    /// Bytes of one of the source's values.
    value_length: usize,
    writer: BlockWriter,
    /// The bytes of a block that has not arrived to its end; `pending_length` says how many there are.
    pending: [u8; LONGEST_BLOCK],
    pending_length: usize,
}

impl TensorEncoder {
    /// An encoder for a tensor that arrives in the encoding `from` and in this order, and is stored in the
    /// encoding `to`: in the order in which it arrives where it is quantized already, and else in the
    /// order of [`Order::of`].
    ///
    /// # Errors
    /// A shape whose rows can't be cut into blocks, one that needs more memory than there is, or a
    /// quantized source that would have to be quantized in another way.
    pub fn new(
        name: &str,
        shape: &[usize],
        from: Encoding,
        order: Order,
        to: Encoding,
    ) -> Result<Self, TensorError> {
        if from.is_quantized() && from != to {
            return Err(TensorError::Requantized {
                name: name.into(),
                from,
                to,
            });
        }
        let bytes = allocate(name, shape, to)?;
        let expected = from
            .byte_length(shape)
            .ok_or_else(|| out_of_memory(name, shape))?;
        let arrives_in = order.for_shape(shape);
        let Some(size) = from.value_length() else {
            return Ok(TensorEncoder {
                name: name.into(),
                shape: shape.into(),
                from,
                to,
                order: arrives_in,
                expected,
                taken: 0,
                output: Output::Copy(bytes),
            });
        };
        let order = Order::of(to, shape);
        let output = match Kernel::of(shape).filter(|_| order != arrives_in) {
            None if from == to => Output::Copy(bytes),
            None => Output::Blocks(Blocks::new(from, size, to, expected, bytes)),
            Some(kernel) => Output::Rows(Rows {
                kernel,
                order,
                pending: zeros(name, shape, kernel.row_length() * size)?,
                pending_length: 0,
                reordered: zeros(name, shape, kernel.row_length() * size)?,
                blocks: Blocks::new(from, size, to, expected, bytes),
            }),
        };
        Ok(TensorEncoder {
            name: name.into(),
            shape: shape.into(),
            from,
            to,
            order,
            expected,
            taken: 0,
            output,
        })
    }

    /// Takes the next source bytes, cut anywhere.
    ///
    /// # Errors
    /// More bytes than the tensor has, or a value that is not finite or too large; the encoder can't
    /// go on after either.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TensorError> {
        let start = self.taken;
        self.taken = start.saturating_add(bytes.len());
        if self.taken > self.expected {
            return Err(self.wrong_length());
        }
        match &mut self.output {
            Output::Copy(stored) => {
                stored[start..self.taken].copy_from_slice(bytes);
                Ok(())
            }
            Output::Blocks(blocks) => blocks.push(bytes),
            Output::Rows(rows) => rows.push(bytes),
        }
        .map_err(|value| TensorError::Range {
            name: self.name.clone(),
            value,
            encoding: self.to,
        })
    }

    /// Gives the tensor, once all bytes have arrived.
    ///
    /// # Errors
    /// Bytes are missing, or the last value is not finite or too large.
    pub fn finish(self) -> Result<StoredTensor, TensorError> {
        if self.taken < self.expected {
            return Err(self.wrong_length());
        }
        let bytes = match self.output {
            Output::Copy(bytes) => Ok(bytes),
            // All rows are there: none is pending.
            Output::Blocks(blocks) | Output::Rows(Rows { blocks, .. }) => blocks.finish(),
        }
        .map_err(|value| TensorError::Range {
            name: self.name.clone(),
            value,
            encoding: self.to,
        })?;
        Ok(StoredTensor {
            name: self.name,
            encoding: self.to,
            order: self.order,
            shape: self.shape,
            bytes,
        })
    }

    fn wrong_length(&self) -> TensorError {
        TensorError::Length {
            name: self.name.clone(),
            shape: self.shape.clone(),
            encoding: self.from,
            found: self.taken,
        }
    }
}

impl StoredTensor {
    /// The same tensor in another encoding; see [`StoredTensor::encode`].
    ///
    /// # Errors
    /// As [`StoredTensor::encode`] and [`StoredTensor::to_f32`], and for a quantized tensor in
    /// another encoding.
    pub fn quantize(&self, encoding: Encoding, minimum_step: f32) -> Result<Self, TensorError> {
        if minimum_step > 0.0 && encoding == Encoding::Q8 && !self.encoding.is_quantized() {
            let values = self.to_f32()?;
            return Self::encode(&self.name, &self.shape, &values, encoding, minimum_step);
        }
        let (from, order) = (self.encoding, self.order);
        let mut encoder = TensorEncoder::new(&self.name, &self.shape, from, order, encoding)?;
        encoder.push(&self.bytes)?;
        encoder.finish()
    }
}

impl Rows {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), f32> {
        while !bytes.is_empty() {
            let wanted = self.pending.len() - self.pending_length;
            let (first, rest) = bytes.split_at(wanted.min(bytes.len()));
            let end = self.pending_length + first.len();
            self.pending[self.pending_length..end].copy_from_slice(first);
            self.pending_length = end;
            bytes = rest;
            if end == self.pending.len() {
                let size = self.blocks.value_length;
                self.kernel
                    .reorder_bytes(self.order, size, &self.pending, &mut self.reordered);
                self.blocks.push(&self.reordered)?;
                self.pending_length = 0;
            }
        }
        Ok(())
    }
}

impl Blocks {
    /// Blocks of a source of `expected` bytes, `value_length` for each value.
    fn new(
        from: Encoding,
        value_length: usize,
        to: Encoding,
        expected: usize,
        bytes: Vec<u8>,
    ) -> Self {
        Blocks {
            from,
            value_length,
            writer: BlockWriter::new(to, expected / value_length, 0.0, bytes),
            pending: [0; LONGEST_BLOCK],
            pending_length: 0,
        }
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), f32> {
        let block_length = BLOCK * self.value_length;
        if self.pending_length > 0 {
            let wanted = block_length - self.pending_length;
            let (first, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.keep(first);
            bytes = rest;
            if self.pending_length < block_length {
                return Ok(());
            }
            self.pending_length = 0;
            write_blocks(&mut self.writer, self.from, &self.pending[..block_length])?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() / block_length * block_length);
        write_blocks(&mut self.writer, self.from, whole)?;
        self.keep(rest);
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let end = self.pending_length + bytes.len();
        self.pending[self.pending_length..end].copy_from_slice(bytes);
        self.pending_length = end;
    }

    fn finish(mut self) -> Result<Vec<u8>, f32> {
        let count = self.pending_length / self.value_length;
        let mut values = [0.0; BLOCK];
        decode(
            self.from,
            &self.pending[..self.pending_length],
            &mut values[..count],
        );
        self.writer.write_last(&values[..count])?;
        Ok(self.writer.finish())
    }
}

/// Writes whole blocks.
fn write_blocks(writer: &mut BlockWriter, from: Encoding, bytes: &[u8]) -> Result<(), f32> {
    match from {
        Encoding::F32 => write_each(writer, bytes, decode_f32),
        Encoding::F16 => write_each(writer, bytes, decode_f16),
        Encoding::BF16 => write_each(writer, bytes, decode_bf16),
        // Such a source is copied or refused.
        Encoding::Q8 | Encoding::Q4 => Ok(()),
    }
}

#[inline(always)]
fn write_each<const LENGTH: usize>(
    writer: &mut BlockWriter,
    bytes: &[u8],
    decode: impl Fn(&[u8; LENGTH]) -> Block,
) -> Result<(), f32> {
    let (blocks, _) = bytes.as_chunks();
    let mut group = [Block::default(); GROUP];
    for bytes in blocks.chunks(GROUP) {
        for (block, bytes) in group.iter_mut().zip(bytes) {
            *block = decode(bytes);
        }
        writer.write(&group, bytes.len())?;
    }
    Ok(())
}
