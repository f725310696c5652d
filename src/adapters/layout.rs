//! The tensors of a LoRA file, by those of the base that it changes.

use super::names::{ALPHA, KOHYA_DOWN, KOHYA_UP, UNDERSCORED_PREFIX, WEIGHT};
use crate::weights::format::layout::Layout;

/// Layers of a UNet that the published distillation LoRAs leave alone: both ends and the embeddings.
const UNCHANGED: [&str; 4] = ["conv_in", "conv_out", "time_embedding", "add_embedding"];

/// The layout of a distillation LoRA of SDXL, in kohya's spelling over diffusers' names as they are
/// published, on a UNet with the layout `unet`.
pub fn kohya_layout(unet: &Layout, rank: usize) -> Layout {
    let mut layout = Layout::default();
    for (name, shape) in unet.iter() {
        let (Some(layer), [output, input @ ..]) = (name.strip_suffix(WEIGHT), shape) else {
            continue;
        };
        if input.is_empty() || UNCHANGED.iter().any(|end| layer.starts_with(end)) {
            continue;
        }
        let layer = format!("{UNDERSCORED_PREFIX}{}", layer.replace('.', "_"));
        let kernel = vec![1; input.len() - 1];
        layout.insert(format!("{layer}{ALPHA}"), Vec::new());
        layout.insert(
            format!("{layer}{KOHYA_DOWN}"),
            [&[rank][..], input].concat(),
        );
        layout.insert(
            format!("{layer}{KOHYA_UP}"),
            [&[*output, rank][..], &kernel].concat(),
        );
    }
    layout
}
