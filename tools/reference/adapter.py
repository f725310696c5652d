"""Writes tests/parity/values/adapter.safetensors: LoRA layers and what PEFT merges them into.

Usage: python tools/reference/adapter.py

The tensors are those of a base model (`base.…`), of an adapter in diffusers' layout (`adapter.…`),
and of the base with the adapter merged (`merged.…`). One layer has its alpha equal to its rank, and
then no tensor for it.
"""

import torch
from common import VALUES, reproducible
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

RANKS = {"attn.to_q": 4, "attn.to_out": 4, "conv": 2, "conv_shortcut": 3}
ALPHAS = {"attn.to_q": 6.0, "attn.to_out": 4.0, "conv": 0.5, "conv_shortcut": 6.0}


class Model(nn.Module):
    """The kinds of layer that LoRA changes in a UNet, and one that it leaves alone."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.Module()
        self.attn.to_q = nn.Linear(12, 8, bias=False)
        self.attn.to_out = nn.Linear(8, 12)
        self.conv = nn.Conv2d(6, 10, 3)
        self.conv_shortcut = nn.Conv2d(6, 10, 1)
        self.norm = nn.LayerNorm(12)


def main() -> None:
    reproducible()
    generator = torch.Generator("cpu").manual_seed(0)
    model = Model()
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    values = {f"base.{name}": value.clone() for name, value in model.state_dict().items()}

    config = LoraConfig(target_modules=list(RANKS), rank_pattern=RANKS, alpha_pattern=ALPHAS)
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        # PEFT begins with an up projection of zeros, which changes nothing.
        if "lora_" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    for name, value in get_peft_model_state_dict(adapted).items():
        values[f"adapter.unet.{name.removeprefix('base_model.model.')}"] = value.clone()
    for module, alpha in ALPHAS.items():
        if alpha != RANKS[module]:
            values[f"adapter.unet.{module}.alpha"] = torch.tensor(alpha)
    for name, value in adapted.merge_and_unload().state_dict().items():
        values[f"merged.{name}"] = value.clone()

    path = VALUES / "adapter.safetensors"
    save_file({name: value.contiguous() for name, value in values.items()}, path)
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}")


if __name__ == "__main__":
    main()
