//! A component's tensors, taken one by one while its model is built, and how they lie on the device.
//!
//! The tensors of a small component are expanded to `f32` when they are taken. Those of a large one
//! stay as they are stored, in the forms that [`footprint`](crate::weights::footprint) decides, and a layer
//! expands its own at each use: only one weight exists as `f32` at a time. In both cases the values are
//! those of [`StoredTensor::to_f32`], to the bit.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{
    DType, Device, Int, Tensor, TensorData, f16, kind,
    quantization::{QuantScheme, QuantValue, ScaleDtype},
};

use super::error::ModelError;
use crate::weights::footprint::{self, Form};
use crate::weights::format::encoding::{BLOCK, Encoding};
use crate::weights::format::layout::Layout;
use crate::weights::format::order::Order;
use crate::weights::format::tensor::{StoredTensor, TensorError};

/// Where a tensor's values are and in which form. What is large is boxed: one of burn's tensors takes
/// a quarter of a kilobyte itself, and models are moved by value, over a stack of a megabyte.
#[derive(Clone)]
enum Values {
    /// In the host's memory, as it is stored: on the CPU backend, whose memory that is; tables of
    /// embeddings; and all of a component that is not known to be large yet. Its length is checked.
    Stored(Arc<StoredTensor>),
    /// On the device, expanded.
    Expanded(Box<Tensor<1>>),
    /// On the device as burn's own quantized tensor, a row for each of the stored one's rows, whose
    /// values are in this order.
    Blocks(Box<Tensor<2>>, Order),
    /// On the device as pairs of `f16` in words, the first one in the low half.
    Halves {
        words: Box<Tensor<1, Int>>,
        /// The value of each `f16` by its bits.
        values_by_bits: Arc<Tensor<1>>,
    },
}

impl Values {
    /// Puts a quantized tensor on the device. burn's words hold four or eight values from their low
    /// bits on, in two's complement, and the scales follow the last word: its kernels multiply each
    /// value by its scale and do nothing else.
    fn blocks(tensor: &StoredTensor, device: &Device) -> Result<Self, TensorError> {
        let (values, scales) = tensor.blocks()?;
        let mut bytes = Vec::with_capacity(values.len() + scales.len() * size_of::<f32>());
        let value = if tensor.encoding == Encoding::Q4 {
            // q + 8 and q in two's complement differ in the highest of their four bits.
            bytes.extend(values.iter().map(|pair| pair ^ 0x88));
            QuantValue::Q4F
        } else {
            bytes.extend_from_slice(values);
            QuantValue::Q8F
        };
        bytes.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
        let scheme = QuantScheme::default()
            .with_value(value)
            .per_block([BLOCK as u8], ScaleDtype::F32);
        let rows = tensor.shape[0];
        let shape = [rows, tensor.element_count() / rows];
        let data = TensorData::from_bytes_vec(bytes, shape, DType::QFloat(scheme));
        Ok(Self::Blocks(Box::new(upload(data, device)), tensor.order))
    }

    /// Puts an even number of `f16` on the device.
    fn halves(tensor: &StoredTensor, values_by_bits: Arc<Tensor<1>>) -> Self {
        let words: Vec<i32> = tensor
            .bytes
            .chunks_exact(4)
            .map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        let length = words.len();
        let words = TensorData::new(words, [length]);
        Self::Halves {
            words: Box::new(upload(words, &values_by_bits.device())),
            values_by_bits,
        }
    }

    /// The values as `f32`.
    fn expand<const D: usize>(&self, shape: [usize; D], device: &Device) -> Tensor<D> {
        match self {
            Values::Stored(tensor) => match tensor.to_f32() {
                Ok(values) => Tensor::from_data(TensorData::new(values, shape), device),
                Err(_) => unreachable!("its length was checked when it was inserted"),
            },
            Values::Expanded(tensor) => (**tensor).clone().reshape(shape),
            Values::Blocks(tensor, order) => {
                let values = (**tensor).clone().dequantize();
                match (order, shape.as_slice()) {
                    (Order::ChannelsLast, &[output, input, height, width]) => values
                        .reshape([output, height, width, input])
                        .permute([0, 3, 1, 2])
                        .reshape(shape),
                    _ => values.reshape(shape),
                }
            }
            Values::Halves {
                words,
                values_by_bits,
            } => {
                let words = (**words).clone();
                let value = |bits: Tensor<1, Int>| (**values_by_bits).clone().select(0, bits);
                let low = value(words.clone().bitwise_and_scalar(0xFFFF));
                // The shift repeats the sign, which the mask takes away again.
                let high = value(
                    words
                        .bitwise_right_shift_scalar(16)
                        .bitwise_and_scalar(0xFFFF),
                );
                Tensor::stack::<2>(vec![low, high], 1).reshape(shape)
            }
        }
    }
}

/// Puts a tensor on the device for good, in a buffer of exactly its size. The pools for a computation's
/// temporary tensors have buffers in steps of sizes, and may give a small tensor a large one.
fn upload<const D: usize, K: kind::Basic>(data: TensorData, device: &Device) -> Tensor<D, K> {
    device.memory_persistent_allocations(data, |data| Tensor::from_data(data, device))
}

/// A layer's weight, boxed as [`Values`] are.
pub enum Weight<const D: usize> {
    /// As `f32`.
    Expanded(Box<Tensor<D>>),
    /// As it is stored.
    Held(Box<HeldWeight<D>>),
}

/// A weight that is expanded at each use.
pub struct HeldWeight<const D: usize> {
    values: Values,
    shape: [usize; D],
    device: Device,
}

impl<const D: usize> Weight<D> {
    /// The weight as `f32`. A held one is expanded anew: drop it after its use.
    pub fn get(&self) -> Tensor<D> {
        match self {
            Weight::Expanded(tensor) => (**tensor).clone(),
            Weight::Held(held) => held.values.expand(held.shape, &held.device),
        }
    }
}

/// A change of a layer beside its weight: `scale · up · down`.
pub struct LowRank<const D: usize> {
    /// `[rank, input, …]`.
    pub down: Weight<D>,
    /// `[output, rank, …]`, with a kernel of one pixel in a convolution.
    pub up: Weight<D>,
    /// What the branch's output is multiplied by.
    pub scale: f32,
}

/// Embeddings by their index.
pub struct Table {
    weight: Weight<2>,
}

impl Table {
    /// Rows of the table: `[indices, size]`.
    pub fn rows(&self, indices: &[u32]) -> Tensor<2> {
        if let Weight::Held(held) = &self.weight
            && let Values::Stored(tensor) = &held.values
        {
            let rows: Vec<usize> = indices.iter().map(|&index| index as usize).collect();
            let shape = [rows.len(), held.shape[1]];
            return match tensor.rows(&rows) {
                Ok(values) => Tensor::from_data(TensorData::new(values, shape), &held.device),
                Err(_) => unreachable!("its length was checked when it was inserted"),
            };
        }
        let table = self.weight.get();
        let ids: Vec<i32> = indices.iter().map(|&id| id as i32).collect();
        let ids = TensorData::new(ids, [indices.len()]);
        let ids = Tensor::<1, Int>::from_data(ids, &table.device());
        table.select(0, ids)
    }
}

#[derive(Clone)]
struct Parameter {
    shape: Vec<usize>,
    values: Values,
}

#[derive(Clone)]
struct Branch {
    down: Parameter,
    up: Parameter,
    scale: f32,
}

/// The tensors of one component by diffusers' names. A model takes what it needs and then calls
/// [`Weights::finish`]: a tensor that is missing, misshapen or left over is an error.
///
/// Clones share the tensors on the device.
#[derive(Clone)]
pub struct Weights {
    component: String,
    device: Device,
    expanded_limit: u64,
    /// Bytes of all tensors as `f32`.
    expanded_length: u64,
    parameters: BTreeMap<String, Parameter>,
    branches: BTreeMap<String, Branch>,
    /// The value of each `f16` by its bits, once a tensor needs it.
    values_by_bits: Option<Arc<Tensor<1>>>,
    /// Whether a tensor's blocks had to be made anew in the order of the kernels.
    is_requantized: bool,
    /// What was asked for, of a set that is [recording](Weights::recording).
    recorded: Option<Layout>,
}

impl Weights {
    /// An empty set for a component such as `unet`; its tensors will live on the device. They stay
    /// as they are stored where their values would take more than `expanded_limit` bytes as `f32`.
    pub fn new(component: impl Into<String>, device: &Device, expanded_limit: u64) -> Self {
        Self {
            component: component.into(),
            device: device.clone(),
            expanded_limit,
            expanded_length: 0,
            parameters: BTreeMap::new(),
            branches: BTreeMap::new(),
            values_by_bits: None,
            is_requantized: false,
            recorded: None,
        }
    }

    /// A set that notes names and shapes of the tensors that a model takes, and gives zeros for them.
    /// All of them are one value in memory, of whatever shape.
    pub(super) fn recording() -> Self {
        Self {
            recorded: Some(Layout::default()),
            ..Self::new("layout", &Device::flex(), 0)
        }
    }

    /// What was taken of a recording set; nothing of any other.
    pub(super) fn into_layout(self) -> Layout {
        self.recorded.unwrap_or_default()
    }

    /// The zeros that a recording set gives; none of any other.
    fn record<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Option<Tensor<D>> {
        self.recorded.as_mut()?.insert(name, shape);
        Some(Tensor::<D>::zeros([1; D], &self.device).expand(shape))
    }

    /// Adds a tensor; one of the same name is replaced.
    ///
    /// # Errors
    /// Its bytes don't fit its shape and encoding.
    pub fn insert(&mut self, tensor: StoredTensor) -> Result<(), TensorError> {
        tensor.check()?;
        let was_held = self.is_held();
        self.expanded_length += footprint::expanded_length(&tensor.shape);
        let name = tensor.name.clone();
        let parameter = Parameter {
            shape: tensor.shape.clone(),
            values: Values::Stored(Arc::new(tensor)),
        };
        self.parameters.insert(name.clone(), parameter);
        if was_held {
            self.place(&name)
        } else if self.is_held() {
            // Now that the component is known to be large, those before it don't wait any longer.
            let names: Vec<String> = self.parameters.keys().cloned().collect();
            names.iter().try_for_each(|name| self.place(name))
        } else {
            Ok(())
        }
    }

    /// Puts a low-rank branch beside the layer whose weight is `name`: the layer's output gets
    /// `scale · up(down(input))` added.
    ///
    /// # Errors
    /// The bytes of a part don't fit its shape and encoding.
    pub fn insert_branch(
        &mut self,
        name: impl Into<String>,
        down: StoredTensor,
        up: StoredTensor,
        scale: f32,
    ) -> Result<(), TensorError> {
        let mut part = |tensor: StoredTensor| {
            tensor.check()?;
            Ok(Parameter {
                shape: tensor.shape.clone(),
                values: self.placed(Arc::new(tensor))?,
            })
        };
        let branch = Branch {
            down: part(down)?,
            up: part(up)?,
            scale,
        };
        self.branches.insert(name.into(), branch);
        Ok(())
    }

    /// Changes the values of a tensor of a component that is not held.
    ///
    /// # Errors
    /// Those of the change; without a tensor of that name, there is nothing to change.
    pub fn change<E: From<TensorError>>(
        &mut self,
        name: &str,
        change: impl FnOnce(Vec<f32>) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        if let Some(parameter) = self.parameters.get_mut(name)
            && let Values::Stored(tensor) = &parameter.values
        {
            let values = change(tensor.to_f32()?)?;
            let length = values.len();
            let values = TensorData::new(values, [length]);
            parameter.values = Values::Expanded(Box::new(Tensor::from_data(values, &self.device)));
        }
        Ok(())
    }

    /// Whether the tensors stay as they are stored: there are too many values to expand.
    pub fn is_held(&self) -> bool {
        self.expanded_length > self.expanded_limit
    }

    /// Whether quantized tensors came in the order of earlier versions and were quantized anew.
    pub fn is_requantized(&self) -> bool {
        self.is_requantized
    }

    /// The same tensors for another component, which errors will name.
    pub fn of_component(mut self, component: impl Into<String>) -> Self {
        self.component = component.into();
        self
    }

    /// The device that the tensors live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.parameters
            .iter()
            .map(|(name, parameter)| (name.as_str(), parameter.shape.as_slice()))
    }

    /// Gives a tensor of a held component its form.
    fn place(&mut self, name: &str) -> Result<(), TensorError> {
        let Some(Parameter {
            values: Values::Stored(tensor),
            ..
        }) = self.parameters.get(name)
        else {
            return Ok(());
        };
        if footprint::is_table(name) {
            return Ok(());
        }
        let values = self.placed(tensor.clone())?;
        if let Some(parameter) = self.parameters.get_mut(name) {
            parameter.values = values;
        }
        Ok(())
    }

    fn placed(&mut self, tensor: Arc<StoredTensor>) -> Result<Values, TensorError> {
        let form = footprint::form(&tensor.shape, tensor.encoding);
        Ok(match form {
            Form::Expanded => {
                let values = tensor.to_f32()?;
                let length = values.len();
                let values = TensorData::new(values, [length]);
                Values::Expanded(Box::new(Tensor::from_data(values, &self.device)))
            }
            _ if self.device == Device::flex() => Values::Stored(tensor),
            Form::Blocks => {
                let tensor = Arc::unwrap_or_clone(tensor);
                let (tensor, is_requantized) = tensor.into_channels_last()?;
                self.is_requantized |= is_requantized;
                Values::blocks(&tensor, &self.device)?
            }
            Form::Halves => {
                let table = self
                    .values_by_bits
                    .get_or_insert_with(|| Arc::new(half_values(&self.device)));
                Values::halves(&tensor, table.clone())
            }
        })
    }

    /// Takes a tensor out, as `f32`.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, ModelError> {
        if let Some(zeros) = self.record(name, shape) {
            return Ok(zeros);
        }
        let parameter = self.take_parameter(name, &shape)?;
        Ok(parameter.values.expand(shape, &self.device))
    }

    /// Takes a layer's weight out.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take_weight<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Weight<D>, ModelError> {
        if let Some(zeros) = self.record(name, shape) {
            return Ok(Weight::Expanded(Box::new(zeros)));
        }
        let parameter = self.take_parameter(name, &shape)?;
        Ok(self.weight(parameter, shape))
    }

    /// Takes out the branch beside a layer's weight of this shape, if there is one.
    ///
    /// # Errors
    /// Its parts have other shapes.
    pub fn take_branch<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Option<Box<LowRank<D>>>, ModelError> {
        let Some(branch) = self.branches.remove(name) else {
            return Ok(None);
        };
        let rank = branch.down.shape.first().copied().unwrap_or(0);
        let mut down = shape;
        down[0] = rank;
        let mut up = [1; D];
        up[..2].copy_from_slice(&[shape[0], rank]);
        self.check_shape(name, &branch.down, &down)?;
        self.check_shape(name, &branch.up, &up)?;
        Ok(Some(Box::new(LowRank {
            down: self.weight(branch.down, down),
            up: self.weight(branch.up, up),
            scale: branch.scale,
        })))
    }

    /// Takes a table of embeddings out: `[rows, size]`.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take_table(&mut self, name: &str, shape: [usize; 2]) -> Result<Table, ModelError> {
        Ok(Table {
            weight: self.take_weight(name, shape)?,
        })
    }

    /// A parameter as a layer keeps it: one that is expanded anyway is expanded only once.
    fn weight<const D: usize>(&self, parameter: Parameter, shape: [usize; D]) -> Weight<D> {
        if !self.is_held() || matches!(parameter.values, Values::Expanded(_)) {
            let expanded = parameter.values.expand(shape, &self.device);
            return Weight::Expanded(Box::new(expanded));
        }
        Weight::Held(Box::new(HeldWeight {
            values: parameter.values,
            shape,
            device: self.device.clone(),
        }))
    }

    fn take_parameter(&mut self, name: &str, shape: &[usize]) -> Result<Parameter, ModelError> {
        let parameter = self
            .parameters
            .remove(name)
            .ok_or_else(|| ModelError::MissingTensor {
                component: self.component.clone(),
                name: name.to_owned(),
            })?;
        self.check_shape(name, &parameter, shape)?;
        Ok(parameter)
    }

    fn check_shape(
        &self,
        name: &str,
        parameter: &Parameter,
        shape: &[usize],
    ) -> Result<(), ModelError> {
        if parameter.shape == shape {
            Ok(())
        } else {
            Err(ModelError::Shape {
                component: self.component.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: parameter.shape.clone(),
            })
        }
    }

    /// Ends the building of a model.
    ///
    /// # Errors
    /// A tensor, or a branch beside one, was not taken.
    pub fn finish(self) -> Result<(), ModelError> {
        let mut left = self.parameters.keys().chain(self.branches.keys());
        match left.next() {
            None => Ok(()),
            Some(name) => Err(ModelError::UnexpectedTensor {
                name: name.clone(),
                count: 1 + left.count(),
                component: self.component.clone(),
            }),
        }
    }
}

/// The value of each `f16` by its bits: a device needs no `f16` of its own to read them.
fn half_values(device: &Device) -> Tensor<1> {
    let values: Vec<f32> = (0..=u16::MAX)
        .map(|bits| f16::from_bits(bits).to_f32())
        .collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of all signs and sizes, the same at each run.
    fn values(count: usize) -> Vec<f32> {
        (0..count)
            .map(|index| {
                let angle = index as f32 * 1.7;
                angle.sin() * (angle * 0.013).cos().powi(3)
            })
            .collect()
    }

    #[test]
    fn every_form_on_the_device_expands_to_the_stored_values_to_the_bit() {
        let device = Device::flex();
        let shape = [24, 64, 3, 3];
        let values = values(shape.iter().product());
        for encoding in [Encoding::Q8, Encoding::Q4, Encoding::F16] {
            let tensor = StoredTensor::encode("conv.weight", &shape, &values, encoding, 0.0)
                .expect("a tensor");
            let held = match encoding {
                Encoding::F16 => Values::halves(&tensor, Arc::new(half_values(&device))),
                _ => Values::blocks(&tensor, &device).expect("blocks"),
            };
            let expanded = held.expand(shape, &device).into_data();
            let expanded: Vec<f32> = expanded.try_into_vec().expect("f32");
            assert!(expanded == tensor.to_f32().expect("values"), "{encoding}");
        }
    }
}
