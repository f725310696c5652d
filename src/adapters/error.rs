//! What can be wrong with an adapter, by itself or for the base model that it is put on.

use super::model::Model;
use crate::weights::format::tensor::TensorError;

/// How many names a sentence lists.
pub(super) const LISTED: usize = 3;

/// Why an adapter can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum AdapterError {
    /// No layer's branch at all.
    #[error(
        "The adapter holds no LoRA: it has no tensor named ….lora_A.weight or ….lora_down.weight. \
         Use a LoRA in the layout of diffusers, PEFT, LyCORIS or kohya's scripts."
    )]
    NoBranch,
    /// Nothing but layers of text encoders.
    #[error(
        "The adapter changes {name}, a layer of a text encoder ({count} such tensors), and nothing of the \
         UNet; adapters are put on the UNet alone. Use one that was trained on the UNet."
    )]
    TextEncoder { name: String, count: usize },
    /// A layer's branch lacks a part.
    #[error(
        "The adapter is incomplete: its layer {module} has no {missing}. Get the file again from \
         its source."
    )]
    Incomplete {
        module: String,
        missing: &'static str,
    },
    /// The parts of a branch are no matrices that can be multiplied.
    #[error(
        "The adapter's layer {module} has a down projection of shape {down:?} and an up \
         projection of shape {up:?}, where [rank, input, …] and [output, rank, 1, …] are expected. Get the file again from its \
         source."
    )]
    Parts {
        module: String,
        down: Vec<usize>,
        up: Vec<usize>,
    },
    /// The parts of a branch have different ranks.
    #[error(
        "The adapter's layer {module} has a down projection of rank {down} and an up projection of \
         rank {up}: they don't belong together. Get the file again from its source."
    )]
    Rank {
        module: String,
        down: usize,
        up: usize,
    },
    /// An alpha that is no number.
    #[error(
        "The adapter's layer {module} has an alpha that is not one finite number. Get the file \
         again from its source."
    )]
    Alpha { module: String },
    /// A kind of adapter that isn't computed here.
    #[error(
        "The adapter is {kind} ({name}, {count} such tensors), which is not computed here: the rest of it \
         alone would draw other pictures. Use a plain LoRA, LoCon, LoHa or LoKr."
    )]
    Kind {
        kind: &'static str,
        name: String,
        count: usize,
    },
    /// The factors of a LoHa, a LoKr or a LoCon with a core don't belong together.
    #[error(
        "The adapter's layer {module} has factors that don't belong together: {what}. Get the file again \
         from its source."
    )]
    Factors { module: String, what: &'static str },
    /// The base lacks layers that the adapter changes: some, or all of them.
    #[error("{}", missing_in_base(*model, names, *count, *of))]
    MissingInBase {
        /// The model of the pair that the layers are for.
        model: Model,
        /// The first few of the layers, as the file names them.
        names: Vec<String>,
        /// How many there are.
        count: usize,
        /// How many layers of that model the adapter changes.
        of: usize,
    },
    /// Layers of the base have other widths than the adapter's.
    #[error("{}", widths(*model, first, names, *count, *of, *is_unnamed))]
    Widths {
        /// The model of the pair that the layers are of.
        model: Model,
        /// The first layer's shape in the adapter, and in the base.
        first: (Vec<usize>, Vec<usize>),
        /// The first few of the layers, as the base names them.
        names: Vec<String>,
        /// How many there are.
        count: usize,
        /// How many layers of that model the adapter changes.
        of: usize,
        /// Whether the file doesn't say which text encoder they are for.
        is_unnamed: bool,
    },
    /// Layers of the second text encoder in open_clip's names.
    #[error(
        "The adapter names layers of the second text encoder as open_clip does ({}): {count} such tensors. \
         Such names are not read, as some of them stand for three layers at once. Convert the file to the \
         names of kohya's scripts or of diffusers.",
        list(names, *count)
    )]
    OpenClip { names: Vec<String>, count: usize },
    /// Two names in the file for one layer.
    #[error(
        "The adapter changes the layer {layer} under two names, so it isn't clear which of the two counts. \
         Get the file again from its source."
    )]
    Twice { layer: String },
    /// The adapter is for another kind of model.
    #[error(
        "The adapter was made for {kind}: it has nothing for SDXL's layers. Use one that was trained on SDXL."
    )]
    OtherBase { kind: &'static str },
    /// The base's layer is larger or smaller.
    #[error(
        "The adapter changes {name} in the shape {adapter:?}, but the base model has it in the \
         shape {base:?}: it was made for another model. Use it with the base that it was trained on."
    )]
    Shape {
        name: String,
        adapter: Vec<usize>,
        base: Vec<usize>,
    },
    /// The file says that it is more than a plain LoRA.
    #[error(
        "The adapter's header or configuration can't be followed: {reason}. Use a LoRA that was saved \
         without that."
    )]
    Metadata { reason: String },
    /// A tensor can't be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The first names of a list of `count`.
fn list(names: &[String], count: usize) -> String {
    let more = if count > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// The end of a sentence about an adapter that doesn't fit.
const MADE_FOR_ANOTHER: &str =
    "made for another model. Use it with the base that it was trained on.";

fn missing_in_base(model: Model, names: &[String], count: usize, of: usize) -> String {
    let list = list(names, count);
    if count == of {
        format!(
            "The adapter fits nothing of the base model's {model}, which has none of its {of} layers ({list}): \
             it was {MADE_FOR_ANOTHER}"
        )
    } else {
        format!(
            "The adapter fits the base model only in part: of its {of} layers for the {model}, {count} are not \
             there ({list}); it was {MADE_FOR_ANOTHER}"
        )
    }
}

fn widths(
    model: Model,
    (adapter, base): &(Vec<usize>, Vec<usize>),
    names: &[String],
    count: usize,
    of: usize,
    is_unnamed: bool,
) -> String {
    let list = list(names, count);
    let unnamed = if is_unnamed {
        "The file doesn't say which of SDXL's two text encoders it is for, so the first is taken; files for \
         Stable Diffusion 1.x and 2.x are like that. "
    } else {
        ""
    };
    format!(
        "The adapter doesn't fit the base model's {model}: of its {of} layers there, {count} have another \
         shape in the base ({list}), the first {base:?} in place of {adapter:?}. {unnamed}It was {MADE_FOR_ANOTHER}"
    )
}
