//! Which encoding a tensor gets on its way into a pack or the browser's store.

use serde::{Deserialize, Serialize};

use super::encoding::{Encoding, can_quantize};

/// How some of a component's tensors are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodingRule {
    /// The tensors' names; `*` stands for any characters, also none.
    pub tensors: String,
    /// Their encoding. Where a quantized one doesn't fit a tensor (biases, norms, rows that are not
    /// a multiple of a block) it is f16.
    pub encoding: Encoding,
    /// The smallest scale of 8-bit blocks, see
    /// [`StoredTensor::encode`](super::tensor::StoredTensor::encode). The program `pack` alone can
    /// keep it: it is known once a whole tensor is there, which the browser never holds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub minimum_step: f32,
}

/// The encoding and the smallest step that a component's rules give a tensor which arrives as `from`:
/// those of the first rule that fits its name, and f16 where none does or where the rule's blocks
/// don't fit the shape. A tensor that arrives quantized stays as it is.
pub fn target_encoding(
    rules: &[EncodingRule],
    name: &str,
    shape: &[usize],
    from: Encoding,
) -> (Encoding, f32) {
    if from.is_quantized() {
        return (from, 0.0);
    }
    match rules.iter().find(|rule| fits(&rule.tensors, name)) {
        Some(rule) if !rule.encoding.is_quantized() || can_quantize(shape) => {
            (rule.encoding, rule.minimum_step)
        }
        _ => (Encoding::F16, 0.0),
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters. Each part between two stars
/// is taken where it comes first, which leaves the most for the parts after it: no pattern makes the
/// search go back.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}

fn is_zero(step: &f32) -> bool {
    *step == 0.0
}
