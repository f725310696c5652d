//! What an adapter's header tells.

use firststep::adapters::{AdapterKind, BaseKind, Facts, Model, TensorFacts};
use firststep::weights::format::encoding::Encoding;

use crate::refusal;

/// What a header tells with these tensors, each of 16 bit.
fn facts(tensors: &[(&str, &[usize])], metadata: &[(&str, &str)]) -> Facts {
    let tensors = tensors.iter().map(|(name, shape)| TensorFacts {
        name,
        shape,
        dtype: Encoding::F16,
        bytes: 2 * shape.iter().product::<usize>() as u64,
    });
    let texts = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Facts::of(tensors, &texts.collect()).expect("an adapter")
}

#[test]
fn a_header_tells_what_an_adapter_is() {
    let found = facts(
        &[
            (
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight",
                &[16, 2048],
            ),
            (
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight",
                &[640, 16],
            ),
            (
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.alpha",
                &[],
            ),
            (
                "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
                &[8, 768],
            ),
            (
                "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
                &[3072, 8],
            ),
            (
                "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight",
                &[8, 1280],
            ),
            (
                "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
                &[5120, 8],
            ),
            ("bundle_emb.word.clip_l", &[2, 768]),
        ],
        &[
            ("ss_base_model_version", "sdxl_base_v1-0"),
            ("ss_sd_model_name", "D:\\models\\a model.safetensors"),
            ("ss_output_name", "ink_v2"),
            ("modelspec.title", "LoRA@1700000000.0"),
            (
                "modelspec.trigger_phrase",
                "ink drawing, black\nlines, ink drawing",
            ),
        ],
    );
    let mut values = 16 * (2048 + 640) + 1 + 8 * (768 + 3072 + 1280 + 5120) + 2 * 768;
    values *= 2;
    assert_eq!(
        found,
        Facts {
            kind: AdapterKind::LoRA,
            layers: [
                (Model::UNet, 1),
                (Model::TextEncoder, 1),
                (Model::TextEncoder2, 1)
            ]
            .into(),
            embeddings: 1,
            ranks: Some((8, 16)),
            alphas: 1,
            dtypes: vec![Encoding::F16],
            bytes: values,
            base: BaseKind::Sdxl,
            title: Some("ink_v2".into()),
            trigger_words: vec!["ink drawing".into(), "black lines".into()],
            trained_on: Some("a model.safetensors".into()),
        }
    );
    assert_eq!(found.check_base(), Ok(()));
}

#[test]
fn lycoris_kinds_have_their_names_and_ranks() {
    let layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k";
    let name = |part: &str| format!("{layer}.{part}");
    let (a, b) = (name("hada_w1_a"), name("hada_w1_b"));
    let found = facts(&[(&a, &[320, 4]), (&b, &[4, 768])], &[]);
    assert_eq!((found.kind, found.ranks), (AdapterKind::LoHa, Some((4, 4))));
    assert_eq!(
        found.base.clone(),
        BaseKind::Other("a model of the kind of Stable Diffusion 1.x")
    );
    let (first, a, b) = (name("lokr_w1"), name("lokr_w2_a"), name("lokr_w2_b"));
    let found = facts(&[(&first, &[8, 16]), (&a, &[80, 4]), (&b, &[4, 128])], &[]);
    assert_eq!((found.kind, found.ranks), (AdapterKind::LoKr, Some((4, 4))));
    assert_eq!(found.base, BaseKind::Sdxl);
    let second = name("lokr_w2");
    let found = facts(&[(&first, &[8, 16]), (&second, &[80, 128])], &[]);
    assert_eq!((found.ranks, found.base), (None, BaseKind::Sdxl));
}

#[test]
fn adapters_of_other_models_are_named_before_they_are_stored() {
    let attention = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight";
    let unet = format!("unet.{attention}");
    let none = "unet.mid_block.resnets.0.conv1.lora_A.weight";
    let sdxl = ("ss_base_model_version", "sdxl_base_v1-0");
    for (name, input, metadata, kind) in [
        (unet.as_str(), 768, &[sdxl][..], "Stable Diffusion 1.x"),
        (&unet, 1024, &[], "Stable Diffusion 2.x"),
        (
            none,
            8,
            &[("ss_base_model_version", "sd_1.5")],
            "Stable Diffusion 1.x",
        ),
        (
            none,
            8,
            &[("modelspec.architecture", "stable-diffusion-v2-768-v/lora")],
            "Stable Diffusion 2.x",
        ),
        (
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
            8,
            &[],
            "Flux",
        ),
        (
            "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
            8,
            &[],
            "Flux",
        ),
        (
            "lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight",
            8,
            &[],
            "Stable Diffusion 3",
        ),
        (
            "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
            8,
            &[("modelspec.architecture", "stable-diffusion-3-medium/lora")],
            "Stable Diffusion 3",
        ),
        (
            "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
            8,
            &[],
            "diffusion transformer",
        ),
    ] {
        let sentence = refusal(facts(&[(name, &[4, input])], metadata).check_base());
        assert!(sentence.contains(kind), "{name}: {sentence}");
    }
    assert_eq!(facts(&[(none, &[4, 8])], &[]).base, BaseKind::Unknown);
    assert_eq!(facts(&[(none, &[4, 8])], &[sdxl]).base, BaseKind::Sdxl);
}
