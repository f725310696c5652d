"""Reference values of diffusers' and transformers' models, for tests/parity/models.rs.

Below tests/parity/values/models:
- tiny/<component>/: random models with the block layout of the real SDXL, in diffusers' layout
  (config.json, weights in f16) and values.safetensors with inputs and outputs in f32. The
  outputs are of exactly the stored weights, computed in f32.
- emoji/*.safetensors: inputs and outputs of the packed emoji pair; its weights are
  read from the pack itself.

Sizes are uneven on purpose (batch 2, 8 x 12 latents, heads of different widths), so that
swapped axes cannot cancel out.
"""

import json
import math
from pathlib import Path

import torch
from common import (
    EMOJI_TIME_IDS,
    VALUES,
    encode,
    load_emoji_pair,
    plain_attention,
    predict,
    reproducible,
    token_ids,
)
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

FOLDER = VALUES / "models"

GUIDANCE_SCALES = torch.tensor([0.0, 1.0, 1.5, 8.0])

UNET = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [12, 24, 36],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
    # The first entry belongs to a block without attention, as in the real config.
    "transformer_layers_per_block": [1, 1, 2],
    # diffusers' name for the number of heads per block: widths of 6 and 12 here.
    "attention_head_dim": [2, 4, 3],
    "norm_num_groups": 12,
    "use_linear_projection": True,
    "cross_attention_dim": 64,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 40 + 6 * 8,
}

VAE = {
    "sample_size": 64,
    "block_out_channels": [8, 12, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.13025,
}

# TAESDXL's layer numbers; fewer than its 64 channels, so that the file stays small.
VAE_TINY = {
    "encoder_block_out_channels": [24, 24, 24, 24],
    "decoder_block_out_channels": [24, 24, 24, 24],
    "num_encoder_blocks": [1, 3, 3, 3],
    "num_decoder_blocks": [3, 3, 3, 1],
    "latent_channels": 4,
    "scaling_factor": 1.0,
}

TEXT_ENCODERS = {
    "text_encoder": (
        CLIPTextModel,
        {
            "hidden_act": "quick_gelu",
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 32,
            "pad_token_id": 999,
        },
    ),
    "text_encoder_2": (
        CLIPTextModelWithProjection,
        {
            "hidden_act": "gelu",
            "hidden_size": 48,
            "intermediate_size": 192,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "projection_dim": 40,
            "pad_token_id": 0,
        },
    ),
}


def randomize(model, seed: int, gain: float = 1.0) -> None:
    """Random weights that are exact in f16; every norm and bias differs from its neutral value.

    `gain` scales matrices and convolutions, in units of the scale that keeps the variance.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.1 * noise
        elif "norm" in name:
            value = 1.0 + 0.2 * noise
        elif "embedding.weight" in name:
            value = 0.5 * noise
        else:
            value = gain * noise / math.sqrt(parameter[0].numel())
        parameter.copy_(value.half().float())


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}")


def save_model(component: str, config: dict, weights: dict[str, torch.Tensor]) -> None:
    folder = FOLDER / "tiny" / component
    file = "model" if component.startswith("text_encoder") else "diffusion_pytorch_model"
    save(
        folder / f"{file}.safetensors",
        {name: tensor.half() for name, tensor in weights.items()},
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def trace_unet(unet, run) -> dict[str, torch.Tensor]:
    """The outputs of the UNet's stages during `run`, so that a mismatch can be located."""
    traced = {}

    def keep(name):
        def hook(_module, _inputs, output):
            traced[name] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    stages = {
        "time_embedding": unet.time_embedding,
        "add_embedding": unet.add_embedding,
        "conv_in": unet.conv_in,
        "mid_block": unet.mid_block,
    }
    stages |= {f"down_blocks.{i}": block for i, block in enumerate(unet.down_blocks)}
    stages |= {f"up_blocks.{i}": block for i, block in enumerate(unet.up_blocks)}
    handles = [module.register_forward_hook(keep(name)) for name, module in stages.items()]
    traced["sample"] = run().sample
    for handle in handles:
        handle.remove()
    return traced


def tiny_unets() -> None:
    generator = torch.Generator("cpu").manual_seed(1)
    inputs = {
        "latent": torch.randn(2, 4, 8, 12, generator=generator),
        "encoder_hidden_states": torch.randn(2, 77, 64, generator=generator),
        "text_embeds": torch.randn(2, 40, generator=generator),
        "time_ids": torch.tensor([[64.0, 96, 0, 8, 64, 96], [1024, 768, 16, 0, 512, 640]]),
        "timestep": torch.tensor([749.0]),
        "timestep_cond": torch.randn(2, 32, generator=generator),
    }

    def run(unet, **options):
        return unet(
            inputs["latent"],
            inputs["timestep"][0],
            inputs["encoder_hidden_states"],
            added_cond_kwargs={
                "text_embeds": inputs["text_embeds"],
                "time_ids": inputs["time_ids"],
            },
            **options,
        )

    unet = UNet2DConditionModel(**UNET)
    randomize(unet, seed=2)
    plain_attention(unet)
    save_model("unet", json.loads(unet.to_json_string()), unet.state_dict())
    values = trace_unet(unet, lambda: run(unet))
    stored = {name: value for name, value in inputs.items() if name != "timestep_cond"}
    save(FOLDER / "tiny" / "unet" / "values.safetensors", stored | values)

    # A full LCM UNet differs by the projection of the embedded guidance scale alone: the rest of
    # its weights are those of tiny/unet.
    lcm = UNet2DConditionModel(**UNET, time_cond_proj_dim=32)
    randomize(lcm, seed=3)
    missing = lcm.load_state_dict(unet.state_dict(), strict=False).missing_keys
    plain_attention(lcm)
    save_model(
        "unet_lcm",
        json.loads(lcm.to_json_string()),
        {name: lcm.state_dict()[name] for name in missing},
    )
    save(
        FOLDER / "tiny" / "unet_lcm" / "values.safetensors",
        {
            "timestep_cond": inputs["timestep_cond"],
            "sample": run(lcm, timestep_cond=inputs["timestep_cond"]).sample,
            # As the pipelines embed it: the scale without the 1 of an unguided prediction.
            "guidance_scales": GUIDANCE_SCALES,
            "guidance_embeddings": StableDiffusionXLPipeline.get_guidance_scale_embedding(
                None, GUIDANCE_SCALES - 1, embedding_dim=32
            ),
        },
    )


def tiny_text_encoders() -> None:
    for seed, (component, (model_class, options)) in enumerate(TEXT_ENCODERS.items(), start=4):
        config = CLIPTextConfig(
            vocab_size=1000,
            max_position_embeddings=77,
            bos_token_id=998,
            eos_token_id=999,
            **options,
        )
        model = model_class(config)
        randomize(model, seed)
        plain_attention(model)
        # The published encoders have this prefix in both classes.
        weights = {
            name if name.startswith("text_") else f"text_model.{name}": tensor
            for name, tensor in model.state_dict().items()
            if "position_ids" not in name
        }
        stored_config = {
            "architectures": [model_class.__name__],
            **config.to_diff_dict(),
            **options,
        }
        save_model(component, stored_config, weights)

        # A full prompt, a short one and an empty one; padding is part of what the encoder reads.
        generator = torch.Generator("cpu").manual_seed(6)
        ids = torch.full((3, 77), options["pad_token_id"])
        for row, length in enumerate((75, 9, 0)):
            ids[row, 0] = 998
            ids[row, 1 : 1 + length] = torch.randint(1, 998, (length,), generator=generator)
            ids[row, 1 + length] = 999
        output = model(ids, output_hidden_states=True)
        values = {"input_ids": ids.float(), "penultimate": output.hidden_states[-2]}
        if model_class is CLIPTextModelWithProjection:
            values["text_embeds"] = output.text_embeds
        save(FOLDER / "tiny" / component / "values.safetensors", values)


def picture(height: int, width: int) -> torch.Tensor:
    """[2, 3, height, width] in [-1, 1]: smooth stripes, no two channels or pictures alike."""
    rows = torch.arange(height).view(1, 1, height, 1) / height
    columns = torch.arange(width).view(1, 1, 1, width) / width
    channel = torch.arange(3).view(1, 3, 1, 1)
    batch = torch.arange(2).view(2, 1, 1, 1)
    return torch.sin(7.0 * rows + 11.0 * columns * (1 + channel) + 2.0 * batch)


def autoencoder_values(vae, latent: torch.Tensor, image: torch.Tensor) -> dict[str, torch.Tensor]:
    posterior = vae.encode(image).latent_dist
    return {
        "latent": latent,
        "decoded": vae.decode(latent).sample,
        "image": image,
        "mean": posterior.mean,
        "logvar": posterior.logvar,
    }


def tiny_autoencoders() -> None:
    generator = torch.Generator("cpu").manual_seed(7)
    vae = AutoencoderKL(**VAE)
    randomize(vae, seed=8)
    plain_attention(vae)
    save_model("vae", json.loads(vae.to_json_string()), vae.state_dict())
    latent = torch.randn(2, 4, 5, 7, generator=generator)
    save(
        FOLDER / "tiny" / "vae" / "values.safetensors",
        autoencoder_values(vae, latent, picture(40, 56)),
    )

    tiny = AutoencoderTiny(**VAE_TINY)
    # Below 1, since the skips of its ten blocks add up.
    randomize(tiny, seed=9, gain=0.9)
    tiny.eval()
    decoder = {
        name: tensor for name, tensor in tiny.state_dict().items() if name.startswith("decoder.")
    }
    save_model("vae_tiny", json.loads(tiny.to_json_string()), decoder)
    # Wide enough that the decoder's clamp 3·tanh(x/3) shows.
    latent = 3.0 * torch.randn(2, 4, 5, 7, generator=generator)
    save(
        FOLDER / "tiny" / "vae_tiny" / "values.safetensors",
        {"latent": latent, "decoded": tiny.decode(latent).sample},
    )


def emoji() -> None:
    pair = load_emoji_pair()
    prompts = ["image of a dog face", "", "a red apple and a bus on a blue background in 3d style"]
    first_ids = token_ids(pair.tokenizer, prompts)
    second_ids = token_ids(pair.tokenizer_2, prompts)
    first = pair.text_encoder(first_ids, output_hidden_states=True)
    second = pair.text_encoder_2(second_ids, output_hidden_states=True)
    save(
        FOLDER / "emoji" / "text_encoder.safetensors",
        {"input_ids": first_ids.float(), "penultimate": first.hidden_states[-2]},
    )
    save(
        FOLDER / "emoji" / "text_encoder_2.safetensors",
        {
            "input_ids": second_ids.float(),
            "penultimate": second.hidden_states[-2],
            "text_embeds": second.text_embeds,
        },
    )

    generator = torch.Generator("cpu").manual_seed(10)
    conditioning = encode(pair, prompts[:2])
    latents = {t: torch.randn(2, 4, 16, 16, generator=generator) for t in (999, 259)}
    values = {
        "encoder_hidden_states": conditioning.hidden,
        "text_embeds": conditioning.pooled,
        "time_ids": EMOJI_TIME_IDS.repeat(2, 1),
    }
    for timestep, latent in latents.items():
        values[f"latent.{timestep}"] = latent
        for component in ("unet", "unet_distilled"):
            sample = predict(getattr(pair, component), latent, timestep, conditioning)
            values[f"{component}.{timestep}"] = sample
    save(FOLDER / "emoji" / "unets.safetensors", values)

    latent = torch.randn(2, 4, 12, 16, generator=generator) / pair.vae.config.scaling_factor
    save(
        FOLDER / "emoji" / "vae.safetensors",
        autoencoder_values(pair.vae, latent, picture(48, 64)),
    )


def main() -> None:
    reproducible()
    tiny_unets()
    tiny_text_encoders()
    tiny_autoencoders()
    emoji()


if __name__ == "__main__":
    main()
