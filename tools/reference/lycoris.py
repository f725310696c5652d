"""Writes tests/parity/values/lycoris.safetensors: LoHa and LoKr layers and what PEFT merges them into.

Usage: python tools/reference/lycoris.py

For each way of factoring, named in KINDS, the tensors are those of a base model (`<kind>.base.…`), of an
adapter in kohya's spelling of LyCORIS' names (`<kind>.adapter.…`), and of the base with the adapter merged
(`<kind>.merged.…`).
"""

import torch
from adapter import Model
from common import VALUES, reproducible
from peft import LoHaConfig, LoKrConfig, get_peft_model
from safetensors.torch import save_file

LAYERS = ["attn.to_q", "attn.to_out", "conv", "conv_shortcut"]

KINDS = {
    # Ranks whose product is below a layer's size and beyond it, and convolutions with a core.
    "loha": LoHaConfig(target_modules=LAYERS, r=2, alpha=3),
    "loha_wide": LoHaConfig(target_modules=LAYERS, r=4, alpha=2),
    "loha_core": LoHaConfig(target_modules=LAYERS, r=2, alpha=3, use_effective_conv2d=True),
    "lokr": LoKrConfig(target_modules=LAYERS, r=1, alpha=2),
    "lokr_both": LoKrConfig(target_modules=LAYERS, r=1, alpha=2, decompose_both=True),
    "lokr_core": LoKrConfig(target_modules=LAYERS, r=1, alpha=2, use_effective_conv2d=True),
    "lokr_wide": LoKrConfig(target_modules=LAYERS, r=64, alpha=64),
}


def main() -> None:
    reproducible()
    generator = torch.Generator("cpu").manual_seed(0)
    values = {}
    for kind, config in KINDS.items():
        model = Model()
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        values |= {f"{kind}.base.{name}": value.clone() for name, value in model.state_dict().items()}
        adapted = get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "hada_" in name or "lokr_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for name, parameter in adapted.named_parameters():
            if "hada_" not in name and "lokr_" not in name:
                continue
            name = name.removeprefix("base_model.model.").removesuffix(".default")
            layer, part = name.rsplit(".", 1)
            spelled = f"lora_unet_{layer.replace('.', '_')}"
            values[f"{kind}.adapter.{spelled}.{part}"] = parameter.detach().clone()
            values[f"{kind}.adapter.{spelled}.alpha"] = torch.tensor(float(config.alpha))
        for name, value in adapted.merge_and_unload().state_dict().items():
            values[f"{kind}.merged.{name}"] = value.clone()

    path = VALUES / "lycoris.safetensors"
    save_file({name: value.contiguous() for name, value in values.items()}, path)
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}")


if __name__ == "__main__":
    main()
