//! Classifier-free guidance.

/// Whether a guidance scale asks for a second, unconditional pass of the model.
///
/// As in diffusers, guidance acts only above 1: every smaller scale, 0 included, means one
/// conditional pass whose output is used as it is.
pub fn is_guided(scale: f32) -> bool {
    scale > 1.0
}

/// The guided model output `unconditional + scale * (conditional - unconditional)`
/// (Ho and Salimans, "Classifier-Free Diffusion Guidance").
///
/// Both outputs have the latent's shape.
pub fn combine(unconditional: &[f32], conditional: &[f32], scale: f32) -> Vec<f32> {
    debug_assert_eq!(unconditional.len(), conditional.len());
    unconditional
        .iter()
        .zip(conditional)
        .map(|(unconditional, conditional)| unconditional + scale * (conditional - unconditional))
        .collect()
}
