//! Which model of a pair a tensor in an adapter's file is for, by its name.

/// A model that an adapter may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// The UNet.
    UNet,
    /// CLIP's text encoder, SDXL's first.
    TextEncoder,
    /// open_clip's text encoder with a projection, SDXL's second.
    TextEncoder2,
}

impl std::fmt::Display for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Model::UNet => "UNet",
            Model::TextEncoder => "first text encoder",
            Model::TextEncoder2 => "second text encoder",
        })
    }
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// A UNet, or another model that files name in the same way.
    UNet,
    /// A text encoder, with the name that the tensor has in it.
    TextEncoder(Encoder, &'a str),
    /// A word of a prompt: no layer's.
    Embedding,
}

/// Which text encoder a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoder {
    First,
    Second,
    /// One that SDXL doesn't have.
    Third,
    /// The only one of Stable Diffusion 1.x and 2.x, which had no number.
    Unnamed,
}

impl Encoder {
    /// The model of SDXL that such tensors are put on; none for one that it doesn't have.
    pub fn model(self) -> Option<Model> {
        match self {
            Encoder::First | Encoder::Unnamed => Some(Model::TextEncoder),
            Encoder::Second => Some(Model::TextEncoder2),
            Encoder::Third => None,
        }
    }
}

/// What PEFT puts before every name of a model that it was wrapped around.
pub(super) const WRAPPER: &str = "base_model.model.";

/// Before the layers of text encoders, the longer ones before those that they begin with.
const TEXT_ENCODER_PREFIXES: [(&str, Encoder); 25] = [
    // kohya's scripts, with underscores for the layers' dots, and LyCORIS' own after them.
    ("lora_te1_", Encoder::First),
    ("lora_te2_", Encoder::Second),
    ("lora_te3_", Encoder::Third),
    ("lora_te_", Encoder::Unnamed),
    ("lycoris_te1_", Encoder::First),
    ("lycoris_te2_", Encoder::Second),
    ("lycoris_te3_", Encoder::Third),
    ("lycoris_te_", Encoder::Unnamed),
    // The same with dots.
    ("lora_te1.", Encoder::First),
    ("lora_te2.", Encoder::Second),
    ("lora_te.", Encoder::Unnamed),
    // diffusers' pipelines.
    ("text_encoder.", Encoder::First),
    ("text_encoder_2.", Encoder::Second),
    ("text_encoder_3.", Encoder::Third),
    // ComfyUI.
    ("text_encoders.clip_l.transformer.", Encoder::First),
    ("text_encoders.clip_g.transformer.", Encoder::Second),
    ("text_encoders.", Encoder::Third),
    ("clip_l.transformer.", Encoder::First),
    ("clip_g.transformer.", Encoder::Second),
    // The names that OneTrainer and others agreed on.
    ("clip_l.", Encoder::First),
    ("clip_g.", Encoder::Second),
    ("t5xxl.", Encoder::Third),
    // Single-file checkpoints: SDXL's, and those of Stable Diffusion 1.x.
    ("conditioner.embedders.0.transformer.", Encoder::First),
    ("conditioner.embedders.1.model.", Encoder::Second),
    ("cond_stage_model.transformer.", Encoder::Unnamed),
];

/// The beginnings of a text encoder's own names, where nothing stands before them: as PEFT saves one model,
/// with or without its class's name for it; and after LyCORIS' prefix for all models alike.
const OWN_NAMES: [&str; 2] = ["text_model.", "encoder.layers."];

/// What LyCORIS puts before the layers of any model.
const LYCORIS: &str = "lycoris_";
/// The layers of a text encoder behind it.
const LYCORIS_TEXT: &str = "text_";

/// Before the vectors of embeddings that some trainers put into the same file.
const EMBEDDING_PREFIXES: [&str; 2] = ["bundle_emb.", "emb_params."];

/// What a tensor of that name is for.
pub(super) fn owner(name: &str) -> Owner<'_> {
    let mut embeddings = EMBEDDING_PREFIXES.iter();
    if embeddings.any(|prefix| name.starts_with(prefix)) {
        return Owner::Embedding;
    }
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    for (prefix, encoder) in TEXT_ENCODER_PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix) {
            return Owner::TextEncoder(encoder, rest.strip_prefix(WRAPPER).unwrap_or(rest));
        }
    }
    if let Some(rest) = name.strip_prefix(LYCORIS)
        && rest.starts_with(LYCORIS_TEXT)
    {
        return Owner::TextEncoder(Encoder::Unnamed, rest);
    }
    if OWN_NAMES.iter().any(|start| name.starts_with(start)) {
        return Owner::TextEncoder(Encoder::Unnamed, name);
    }
    Owner::UNet
}
