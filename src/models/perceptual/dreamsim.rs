//! What DreamSim adds to its networks: a low-rank change of every block's attention, and the centring of the
//! embeddings (Fu, Tamir, Sundaram and others, "DreamSim: Learning New Dimensions of Human Visual Similarity
//! using Synthetic Data", 2023; the single branch `dino_vitb16` and the ensemble of its published code).

/// A half of a low-rank branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchHalf {
    /// `[rank, input]`: PEFT's `lora_A`.
    Down,
    /// `[output, rank]`: PEFT's `lora_B`.
    Up,
}

/// Which of DreamSim's networks a tensor of its adapter changes, counted from 0; the first where the name doesn't
/// say it.
pub fn network_of(name: &str) -> usize {
    let number = name.split_once("extractor_list.").map(|(_, rest)| rest);
    let number = number.and_then(|rest| rest.split('.').next());
    number.and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// The name of the weight that a tensor of DreamSim's adapter changes, and which half of the branch it is; none
/// for a tensor of another kind. PEFT writes what stands before the block's name,
/// `base_model.model.extractor_list.0.model.`, and may write the adapter's name after the half's.
pub fn branch_half(name: &str) -> Option<(String, BranchHalf)> {
    let begin = name.find("blocks.")?;
    let (layer, rest) = name.get(begin..)?.split_once(".lora_")?;
    let half = match rest {
        "A.weight" | "A.default.weight" => BranchHalf::Down,
        "B.weight" | "B.default.weight" => BranchHalf::Up,
        _ => return None,
    };
    Some((format!("{layer}.weight"), half))
}

/// An embedding less the mean of its values and brought to unit length, as DreamSim compares them. One of equal
/// values stays all zeros.
#[must_use]
pub fn centred(embedding: &[f32]) -> Vec<f32> {
    let count = embedding.len().max(1) as f64;
    let mean = embedding.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares: f64 = embedding
        .iter()
        .map(|&x| (f64::from(x) - mean).powi(2))
        .sum();
    let length = if squares > 0.0 { squares.sqrt() } else { 1.0 };
    embedding
        .iter()
        .map(|&x| ((f64::from(x) - mean) / length) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapters_tensor_names_the_weight_that_it_changes() {
        let before = "base_model.model.extractor_list.0.model.";
        let weight = "blocks.11.attn.qkv.weight".to_owned();
        for (ending, half) in [
            ("lora_A.weight", BranchHalf::Down),
            ("lora_B.default.weight", BranchHalf::Up),
        ] {
            let name = format!("{before}blocks.11.attn.qkv.{ending}");
            assert_eq!(branch_half(&name), Some((weight.clone(), half)));
            assert_eq!(network_of(&name), 0);
        }
        assert_eq!(network_of("model.extractor_list.2.model.blocks.0"), 2);
        assert_eq!(network_of("blocks.11.attn.qkv.lora_A.weight"), 0);
        for other in ["blocks.0.attn.qkv.weight", "blocks.0.lora_C.weight", "norm"] {
            assert_eq!(branch_half(other), None);
        }
    }
}
