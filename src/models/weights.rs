//! A component's tensors on the device, taken one by one while its model is built.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::ModelError;

struct Parameter {
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// The tensors of one component by diffusers' names. A model takes what it needs and then calls
/// [`Weights::finish`], so that nothing is missing, misshapen or left over without a word.
pub struct Weights {
    component: String,
    device: Device,
    parameters: BTreeMap<String, Parameter>,
}

impl Weights {
    /// An empty set for a component such as `unet`; its tensors will live on the device.
    pub fn new(component: impl Into<String>, device: &Device) -> Self {
        Self {
            component: component.into(),
            device: device.clone(),
            parameters: BTreeMap::new(),
        }
    }

    /// Puts a tensor on the device. `values` holds the product of `shape` numbers in row-major order.
    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) {
        let length = values.len();
        let values = Tensor::from_data(TensorData::new(values, [length]), &self.device);
        self.parameters
            .insert(name.into(), Parameter { shape, values });
    }

    /// The device that the tensors live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// Takes a tensor out.
    ///
    /// # Errors
    /// There is none of that name, or it has another shape.
    pub fn take<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, ModelError> {
        let parameter = self
            .parameters
            .remove(name)
            .ok_or_else(|| ModelError::MissingTensor {
                component: self.component.clone(),
                name: name.to_owned(),
            })?;
        if parameter.shape != shape {
            return Err(ModelError::Shape {
                component: self.component.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: parameter.shape,
            });
        }
        Ok(parameter.values.reshape(shape))
    }

    /// Ends the building of a model.
    ///
    /// # Errors
    /// A tensor was not taken.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.parameters.first_key_value() {
            None => Ok(()),
            Some((name, _)) => Err(ModelError::UnexpectedTensor {
                component: self.component,
                name: name.clone(),
                count: self.parameters.len(),
            }),
        }
    }
}
