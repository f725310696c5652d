"""What the reference scripts share: paths, reproducible torch, the packed pair and its prompts."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers import StableDiffusionXLPipeline
from diffusers.models.attention_processor import AttnProcessor

ROOT = Path(__file__).resolve().parents[2]
VALUES = ROOT / "tests" / "parity" / "values"
PAIR = ROOT / "public" / "pairs" / "emoji"

# Original height and width, top and left of the crop, target height and width.
EMOJI_TIME_IDS = torch.tensor([64.0, 64.0, 0.0, 0.0, 64.0, 64.0])


def reproducible() -> None:
    """Makes torch give the same values on every run: f32, no gradients, deterministic kernels."""
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def plain_attention(model):
    """Attention as written in the papers (softmax of a score matrix), not a fused kernel."""
    if hasattr(model, "set_attn_processor"):
        model.set_attn_processor(AttnProcessor())
    elif hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    return model.eval()


def load_emoji_pair(manifest: str = "manifest.json") -> SimpleNamespace:
    """The pair as the page gets it: dequantized to f32, with plain attention."""
    from packed import load_pair

    pair = load_pair(PAIR, manifest)
    for name in ("unet", "unet_distilled", "text_encoder", "text_encoder_2", "vae"):
        plain_attention(getattr(pair, name).float())
    return pair


@dataclass
class Conditioning:
    """What the UNet is told about a prompt."""

    hidden: torch.Tensor
    """[batch, 77, width of both encoders]: the penultimate hidden states side by side."""
    pooled: torch.Tensor
    """[batch, projection]: the second encoder's pooled projection."""


def token_ids(tokenizer, prompts: list[str]) -> torch.Tensor:
    """[batch, 77]: as StableDiffusionXLPipeline calls its tokenizers."""
    return tokenizer(
        prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids


def encode(pair, prompts: list[str]) -> Conditioning:
    """Both text encoders as StableDiffusionXLPipeline.encode_prompt uses them."""
    first = pair.text_encoder(token_ids(pair.tokenizer, prompts), output_hidden_states=True)
    second = pair.text_encoder_2(token_ids(pair.tokenizer_2, prompts), output_hidden_states=True)
    return Conditioning(
        torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1), second.text_embeds
    )


def guidance_embedding(guidance: float, width: int) -> torch.Tensor:
    """`[1, width]`: as the pipeline itself makes it."""
    scale = torch.tensor([guidance - 1.0])
    return StableDiffusionXLPipeline.get_guidance_scale_embedding(None, scale, width)


def predict(
    unet,
    sample: torch.Tensor,
    timestep,
    conditioning: Conditioning,
    guidance: float = 0.0,
    time_ids: torch.Tensor = EMOJI_TIME_IDS,
) -> torch.Tensor:
    """One pass of a UNet of the emoji pair. A full LCM model takes the guidance as an input."""
    width = unet.config.time_cond_proj_dim
    return unet(
        sample,
        timestep,
        conditioning.hidden,
        timestep_cond=width and guidance_embedding(guidance, width).expand(len(sample), width),
        added_cond_kwargs={
            "text_embeds": conditioning.pooled,
            "time_ids": time_ids.expand(len(sample), 6),
        },
    ).sample
