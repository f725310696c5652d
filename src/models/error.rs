//! What can be wrong with a model's files.

/// Why a model can't be built from its config and its weights.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum ModelError {
    /// The model needs a tensor that its files don't hold.
    #[error(
        "The weights of {component} lack the tensor {name}: the files belong to another model."
    )]
    MissingTensor { component: String, name: String },
    /// The files hold a tensor that the model has no place for.
    #[error(
        "The weights of {component} hold {name}, which this model has no place for ({count} such tensors): the config and the files don't belong together."
    )]
    UnexpectedTensor {
        component: String,
        name: String,
        count: usize,
    },
    /// A tensor has another shape than the config says.
    #[error(
        "The tensor {name} of {component} has the shape {found:?}; its config asks for {expected:?}."
    )]
    Shape {
        component: String,
        name: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    /// The config is not of the model's form.
    #[error("The config of {component} can't be read: {reason}.")]
    Config {
        component: &'static str,
        reason: String,
    },
    /// The config asks for something that SDXL has not and that is not built here.
    #[error(
        "The config of {component} has {option} = {value}, which is not supported: only models built like SDXL are."
    )]
    Unsupported {
        component: &'static str,
        option: &'static str,
        value: String,
    },
    /// A tensor's bytes don't fit its shape and encoding.
    #[error(transparent)]
    Tensor(#[from] crate::weights::format::tensor::TensorError),
    /// The tokenizer's vocabulary or merges can't be used.
    #[error("The tokenizer can't be built: {reason}.")]
    Tokenizer { reason: String },
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
