//! A component's tensors, taken one by one while its model is built, and how they lie on the device.
//!
//! On a graphics card every weight stays as it is stored, and the kernels expand it while they read it. On
//! the CPU the weights of a small component are expanded to `f32` when they are taken; those of a large
//! one stay as they are stored, and a layer expands its own at each use: only one weight exists as `f32`
//! at a time. The values are those of [`StoredTensor::to_f32`], to the bit.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{Device, Tensor, TensorData};

use super::error::ModelError;
use crate::kernels::{BranchPart, Layer, LowRank, Matrix, Strengths, matrix_shape, outlined};
use crate::weights::footprint;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::layout::Layout;
use crate::weights::format::order::Order;
use crate::weights::format::tensor::{StoredTensor, TensorError};

/// The layer of a transformer block in front of [`Activation::Geglu`].
pub const GATED_LAYER: &str = "ff.net.0.proj";

/// Whether a tensor is a weight or a bias of a layer in front of GEGLU, by its name in a UNet.
pub fn is_of_gated_layer(name: &str) -> bool {
    let layer = ["weight", "bias"]
        .into_iter()
        .find_map(|kind| name.strip_suffix(kind)?.strip_suffix('.'));
    layer.is_some_and(|layer| layer.ends_with(GATED_LAYER))
}

/// Where a tensor's values are.
#[derive(Clone)]
enum Values {
    /// In the host's memory, as it is stored: tables of embeddings, and all of a component that is not
    /// known to be large yet. Its length is checked.
    Stored(Arc<StoredTensor>),
    /// On the device as a vector, boxed: one of burn's tensors takes a quarter of a kilobyte itself, and
    /// models are moved by value, over a stack of a megabyte.
    Vector(Box<Tensor<1>>),
    /// On the device as a layer's weight.
    Matrix(Matrix),
}

/// Embeddings by their index. The table stays in the host's memory: only the rows that are looked up go
/// to the device.
pub struct Table {
    tensor: Arc<StoredTensor>,
    device: Device,
}

impl Table {
    /// Rows of the table: `[indices, size]`.
    pub fn rows(&self, indices: &[u32]) -> Tensor<2> {
        let rows: Vec<usize> = indices.iter().map(|&index| index as usize).collect();
        let shape = [rows.len(), matrix_shape(&self.tensor.shape)[1]];
        if self.tensor.is_outline() {
            return outlined(shape, &self.device);
        }
        match self.tensor.rows(&rows) {
            Ok(values) => Tensor::from_data(TensorData::new(values, shape), &self.device),
            Err(_) => unreachable!("its length was checked when it was inserted"),
        }
    }
}

#[derive(Clone)]
struct Parameter {
    shape: Vec<usize>,
    values: Values,
}

/// What one adapter adds to a layer; in the host's memory until the layer is taken.
#[derive(Clone)]
struct Branch {
    /// As the layer's weight, with the rank in place of the outputs.
    down: Arc<StoredTensor>,
    /// `[output, rank, 1, …]`.
    up: Arc<StoredTensor>,
    scale: f32,
    adapter: Option<usize>,
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
    /// By the name of the weight that they are beside, in the order in which they came.
    branches: BTreeMap<String, Vec<Branch>>,
    strengths: Strengths,
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
            strengths: Strengths::default(),
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

    /// Notes what is taken of a recording set, and whether this is one: it gives zeros.
    fn record(&mut self, name: &str, shape: &[usize]) -> bool {
        let Some(layout) = &mut self.recorded else {
            return false;
        };
        layout.insert(name, shape);
        true
    }

    /// Adds a tensor; one of the same name is replaced. An [outline](StoredTensor::outline) becomes one
    /// without values.
    ///
    /// # Errors
    /// Its bytes don't fit its shape and encoding.
    pub fn insert(&mut self, tensor: StoredTensor) -> Result<(), TensorError> {
        check(&tensor)?;
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
    /// `scale · up(down(input))` added, times the strength of the adapter where one is named: see
    /// [`Weights::strengths`]. Each call adds another branch.
    ///
    /// # Errors
    /// The bytes of a part don't fit its shape and encoding.
    pub fn insert_branch(
        &mut self,
        name: impl Into<String>,
        down: StoredTensor,
        up: StoredTensor,
        scale: f32,
        adapter: Option<usize>,
    ) -> Result<(), TensorError> {
        let part = |tensor: StoredTensor, axis| {
            check(&tensor)?;
            Ok(Arc::new(branch_part(tensor, axis)?))
        };
        let branch = Branch {
            down: part(down, 0)?,
            up: part(up, 1)?,
            scale,
            adapter,
        };
        self.branches.entry(name.into()).or_default().push(branch);
        Ok(())
    }

    /// How strongly the adapters act in the model that is built of these tensors.
    pub fn strengths(&self) -> &Strengths {
        &self.strengths
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
            let shape = &tensor.shape;
            let tensor = if tensor.is_outline() {
                change(Vec::new())?;
                let name = name.to_owned();
                StoredTensor::outline(name, Encoding::F32, Order::RowMajor, shape.clone())
            } else {
                let values = change(tensor.to_f32()?)?;
                StoredTensor::encode(name, shape, &values, Encoding::F32, 0.0)?
            };
            parameter.values = Values::Stored(Arc::new(tensor));
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

    /// The same tensors for another component, which errors will name and whose adapters have strengths of
    /// their own.
    pub fn of_component(mut self, component: impl Into<String>) -> Self {
        self.component = component.into();
        self.strengths = Strengths::default();
        self
    }

    /// Puts the tensors of held layers in front of GEGLU in the order in which the kernels read them. A model
    /// does so with its own; models of clones then have one copy together.
    pub fn arrange_gated_layers(&mut self) {
        let weights: Vec<String> = self
            .parameters
            .keys()
            .filter(|name| is_of_gated_layer(name))
            .cloned()
            .collect();
        for name in weights {
            let Some(bias_name) = name
                .strip_suffix("weight")
                .map(|path| format!("{path}bias"))
            else {
                continue;
            };
            let values = |name: &str| self.parameters.get(name).map(|it| it.values.clone());
            let (Some(Values::Matrix(weight)), Some(Values::Vector(bias))) =
                (values(&name), values(&bias_name))
            else {
                continue;
            };
            let layer = Layer {
                weight,
                bias: Some(*bias),
                branch: None,
            };
            let layer = layer.gated();
            if let Some(parameter) = self.parameters.get_mut(&name) {
                parameter.values = Values::Matrix(layer.weight);
            }
            if let (Some(parameter), Some(bias)) = (self.parameters.get_mut(&bias_name), layer.bias)
            {
                parameter.values = Values::Vector(Box::new(bias));
            }
        }
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

    /// A tensor of a held component in its form.
    fn placed(&mut self, tensor: Arc<StoredTensor>) -> Result<Values, TensorError> {
        if tensor.shape.len() < 2 {
            return vector(&tensor, &self.device);
        }
        if !footprint::is_held(&tensor.shape, tensor.encoding) {
            return Ok(Values::Matrix(self.small(tensor)?));
        }
        let tensor = if self.device == Device::flex() {
            tensor
        } else {
            let (tensor, is_requantized) = Arc::unwrap_or_clone(tensor).into_channels_last()?;
            self.is_requantized |= is_requantized;
            Arc::new(tensor)
        };
        Ok(Values::Matrix(Matrix::held(tensor, &self.device)?))
    }

    /// A weight of few values, or of a component that isn't held: as `f32` on the CPU, and in the form in
    /// which it is stored elsewhere, where the kernels read it as fast.
    fn small(&self, tensor: Arc<StoredTensor>) -> Result<Matrix, TensorError> {
        if self.device == Device::flex() {
            Matrix::expanded(&tensor, &self.device)
        } else {
            Matrix::held(tensor, &self.device)
        }
    }

    /// Takes a vector out.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take(&mut self, name: &str, shape: [usize; 1]) -> Result<Tensor<1>, ModelError> {
        if self.record(name, &shape) {
            return Ok(Tensor::zeros(shape, &self.device));
        }
        let values = match self.take_parameter(name, &shape)?.values {
            Values::Stored(tensor) => vector(&tensor, &self.device)?,
            values => values,
        };
        match values {
            Values::Vector(tensor) => Ok(*tensor),
            Values::Stored(_) | Values::Matrix(_) => {
                unreachable!("a tensor of one dimension is placed as a vector")
            }
        }
    }

    /// Takes a table of vectors out that is added as a whole: `[rows, size]`.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take_rows(&mut self, name: &str, shape: [usize; 2]) -> Result<Tensor<2>, ModelError> {
        if self.record(name, &shape) {
            return Ok(Tensor::zeros(shape, &self.device));
        }
        let table = self.take_table(name, shape)?;
        let rows: Vec<u32> = (0..shape[0] as u32).collect();
        Ok(table.rows(&rows))
    }

    /// Takes a layer's weight out, with the branch beside it. The layer has no bias yet.
    ///
    /// # Errors
    /// There is none of that name, it or a part of the branch has another shape.
    pub fn take_layer(&mut self, name: &str, shape: &[usize]) -> Result<Layer, ModelError> {
        if self.record(name, shape) {
            let zeros = Tensor::<2>::zeros([1, 1], &self.device);
            return Ok(Layer {
                weight: Matrix::of(zeros.expand(matrix_shape(shape))),
                bias: None,
                branch: None,
            });
        }
        let values = self.take_parameter(name, shape)?.values;
        Ok(Layer {
            weight: self.matrix(values)?,
            bias: None,
            branch: self.take_branch(name, shape)?,
        })
    }

    /// [`Weights::take_layer`] of `{path}.weight` with the bias `{path}.bias`, a value for each output.
    ///
    /// # Errors
    /// As [`Weights::take_layer`] and [`Weights::take`].
    pub fn take_biased_layer(&mut self, path: &str, shape: &[usize]) -> Result<Layer, ModelError> {
        let layer = self.take_layer(&format!("{path}.weight"), shape)?;
        Ok(Layer {
            bias: Some(self.take(&format!("{path}.bias"), [shape[0]])?),
            ..layer
        })
    }

    fn matrix(&self, values: Values) -> Result<Matrix, ModelError> {
        match values {
            Values::Matrix(matrix) => Ok(matrix),
            Values::Stored(tensor) => Ok(self.small(tensor)?),
            Values::Vector(_) => unreachable!("a vector is no weight"),
        }
    }

    /// Takes out the branch beside a layer's weight of this shape, if there is one.
    fn take_branch(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<Box<LowRank>>, ModelError> {
        let Some(branches) = self.branches.remove(name) else {
            return Ok(None);
        };
        let mut parts = Vec::new();
        for branch in &branches {
            let rank = branch.down.shape.first().copied().unwrap_or(0);
            let mut down = shape.to_vec();
            down[0] = rank;
            let mut up = vec![1; shape.len()];
            up[..2].copy_from_slice(&[shape[0], rank]);
            self.check_shape(name, &branch.down.shape, &down)?;
            self.check_shape(name, &branch.up.shape, &up)?;
            parts.push(BranchPart {
                ranks: rank,
                scale: branch.scale,
                adapter: branch.adapter,
            });
        }
        let (down, up): (Vec<_>, Vec<_>) = branches
            .into_iter()
            .map(|branch| (branch.down, branch.up))
            .unzip();
        let mut placed = |tensors, axis| {
            let tensor = concatenated(tensors, axis)?;
            let values = self.placed(tensor)?;
            self.matrix(values)
        };
        Ok(Some(Box::new(LowRank {
            down: placed(down, 0)?,
            up: placed(up, 1)?,
            parts,
            strengths: self.strengths.clone(),
        })))
    }

    /// Takes a table of embeddings out: `[rows, size]`.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take_table(&mut self, name: &str, shape: [usize; 2]) -> Result<Table, ModelError> {
        let device = self.device.clone();
        if self.record(name, &shape) {
            let bytes = vec![0; shape[1] * 4];
            let shape = vec![1, shape[1]];
            let one = StoredTensor::new(
                name.to_owned(),
                Encoding::F32,
                Order::RowMajor,
                shape,
                bytes,
            )?;
            return Ok(Table {
                tensor: Arc::new(one),
                device,
            });
        }
        match self.take_parameter(name, &shape)?.values {
            Values::Stored(tensor) => Ok(Table { tensor, device }),
            Values::Vector(_) | Values::Matrix(_) => {
                unreachable!("tables are left as they are stored")
            }
        }
    }

    fn take_parameter(&mut self, name: &str, shape: &[usize]) -> Result<Parameter, ModelError> {
        let parameter = self
            .parameters
            .remove(name)
            .ok_or_else(|| ModelError::MissingTensor {
                component: self.component.clone(),
                name: name.to_owned(),
            })?;
        self.check_shape(name, &parameter.shape, shape)?;
        Ok(parameter)
    }

    fn check_shape(&self, name: &str, found: &[usize], shape: &[usize]) -> Result<(), ModelError> {
        if found == shape {
            Ok(())
        } else {
            Err(ModelError::Shape {
                component: self.component.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: found.to_vec(),
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

/// The kernels read a branch as floating-point numbers, and its rank four at a time: zeros fill it up,
/// which change nothing.
fn branch_part(tensor: StoredTensor, axis: usize) -> Result<StoredTensor, TensorError> {
    let rank = tensor.shape.get(axis).copied().unwrap_or(1);
    let padded = rank.next_multiple_of(4);
    if padded == rank && matches!(tensor.encoding, Encoding::F32 | Encoding::F16) {
        return Ok(tensor);
    }
    let mut shape = tensor.shape.clone();
    if let Some(size) = shape.get_mut(axis) {
        *size = padded;
    }
    if tensor.is_outline() {
        let (name, order) = (tensor.name, Order::RowMajor);
        return Ok(StoredTensor::outline(name, Encoding::F32, order, shape));
    }
    let mut values = tensor.to_f32()?;
    let behind: usize = shape.iter().skip(axis + 1).product();
    let block = rank * behind;
    if padded != rank && block > 0 {
        let zeros = std::iter::repeat_n(0.0, (padded - rank) * behind);
        values = values
            .chunks_exact(block)
            .flat_map(|part| part.iter().copied().chain(zeros.clone()))
            .collect();
    }
    StoredTensor::encode(&tensor.name, &shape, &values, Encoding::F32, 0.0)
}

/// Tensors beside each other along the first or the second axis; all their other sizes are the same, and
/// those behind the second are 1 where it is the second.
fn concatenated(
    mut tensors: Vec<Arc<StoredTensor>>,
    axis: usize,
) -> Result<Arc<StoredTensor>, TensorError> {
    if tensors.len() == 1
        && let Some(one) = tensors.pop()
    {
        return Ok(one);
    }
    let is_half = tensors.iter().all(|it| it.encoding == Encoding::F16);
    let encoding = if is_half {
        Encoding::F16
    } else {
        Encoding::F32
    };
    let mut shape = tensors.first().map_or_else(Vec::new, |it| it.shape.clone());
    let sizes = tensors.iter().map(|it| it.shape.get(axis).copied());
    let size = sizes.map(|size| size.unwrap_or(1)).sum();
    if tensors.iter().any(|it| it.is_outline()) {
        if let Some(own) = shape.get_mut(axis) {
            *own = size;
        }
        let outline = StoredTensor::outline("branch".to_owned(), encoding, Order::RowMajor, shape);
        return Ok(Arc::new(outline));
    }
    // What is before the axis has a piece of each tensor, one after the other.
    let before: usize = shape.iter().take(axis).product();
    let parts = tensors
        .iter()
        .map(|tensor| tensor.to_f32())
        .collect::<Result<Vec<_>, _>>()?;
    let mut values = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    for piece in 0..before {
        for part in &parts {
            let length = part.len() / before.max(1);
            values.extend(part.iter().skip(piece * length).take(length));
        }
    }
    if let Some(own) = shape.get_mut(axis) {
        *own = size;
    }
    let tensor = StoredTensor::encode("branch", &shape, &values, encoding, 0.0)?;
    Ok(Arc::new(tensor))
}

fn vector(tensor: &StoredTensor, device: &Device) -> Result<Values, TensorError> {
    let vector = if tensor.is_outline() {
        outlined([tensor.element_count()], device)
    } else {
        let values = tensor.to_f32()?;
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), device)
    };
    Ok(Values::Vector(Box::new(vector)))
}

/// Checks the bytes of a tensor that has any.
fn check(tensor: &StoredTensor) -> Result<(), TensorError> {
    if tensor.is_outline() {
        Ok(())
    } else {
        tensor.check()
    }
}
