//! What can be wrong with a model's files.

/// Why a model can't be built from its config and its weights.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The model needs a tensor that its files don't hold.
    #[error(
        "The weights of {component} lack the tensor {name}: the files belong to another model."
    )]
    MissingTensor {
        /// The component, such as `unet`.
        component: String,
        /// The tensor's name in diffusers.
        name: String,
    },
    /// The files hold a tensor that the model has no place for.
    #[error(
        "The weights of {component} hold {name}, which this model has no place for ({count} such tensors): the config and the files don't belong together."
    )]
    UnexpectedTensor {
        /// The component, such as `unet`.
        component: String,
        /// The first of them by name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// A tensor has another shape than the config says.
    #[error(
        "The tensor {name} of {component} has the shape {found:?}; its config asks for {expected:?}."
    )]
    Shape {
        /// The component, such as `unet`.
        component: String,
        /// The tensor's name in diffusers.
        name: String,
        /// The shape that the config leads to.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The config is not of the model's form.
    #[error("The config of {component} can't be read: {reason}.")]
    Config {
        /// The component, such as `unet`.
        component: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The config asks for something that SDXL has not and that is not built here.
    #[error(
        "The config of {component} has {option} = {value}, which is not supported: only models built like SDXL are."
    )]
    Unsupported {
        /// The component, such as `unet`.
        component: &'static str,
        /// The config's field.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// The tokenizer's vocabulary or merges can't be used.
    #[error("The tokenizer can't be built: {reason}.")]
    Tokenizer {
        /// What is wrong with it.
        reason: String,
    },
}

/// Parses a component's config.
pub(super) fn parse_config<T: serde::de::DeserializeOwned>(
    component: &'static str,
    config: &serde_json::Value,
) -> Result<T, ModelError> {
    serde_json::from_value(config.clone()).map_err(|error| ModelError::Config {
        component,
        reason: error.to_string(),
    })
}
