"""What the commands that train and measure adapters share: the models, the adapters' files, and their strength.

An adapter is a file of LoRA branches in diffusers' spelling (`unet.….lora_A.weight` and `unet.….lora_B.weight`),
in float16. Its alphas are its ranks, so that it needs none: the branch of a layer adds B·A times the strength.
"""

import contextlib
import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from evaluate import load_distilled

#: The folder of adapters in the work folder.
FOLDER = "adapters"
#: The most bytes that a bundled adapter may have.
LIMIT = 2_000_000


def load_unet(work: Path, name: str, device: torch.device) -> UNet2DConditionModel:
    """The UNet of that name: `base`, or one of the distilled models."""
    base = UNet2DConditionModel.from_pretrained(work / "base/unet")
    unet = base if name == "base" else load_distilled(work, name, base, device)
    return unet.to(device).eval().requires_grad_(False)


def write_branches(tensors: dict[str, torch.Tensor], work: Path, name: str, **about) -> None:
    """Writes an adapter, named as in the UNet, and what is known of it beside it."""
    folder = work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({f"unet.{key}": value.detach().half().contiguous().cpu() for key, value in tensors.items()}, path, {"format": "pt"})
    about["parameters"] = sum(value.numel() for value in tensors.values())
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size} bytes", flush=True)


def write_adapter(unet: UNet2DConditionModel, work: Path, name: str, trained_on: str, training: dict) -> None:
    """Writes the LoRA that `lora.add_lora` added to the UNet."""
    write_branches(dict(get_peft_model_state_dict(unet)), work, name, trained_on=trained_on, training=training)


def read_changes(path: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight at a strength of 1, flat `[out, in × height × width]`, by the weight's name."""
    tensors = {key.removeprefix("unet."): value.float() for key, value in load_file(path).items()}
    return {
        key.replace(".lora_A.", "."): tensors[key.replace(".lora_A.", ".lora_B.")].flatten(1) @ value.flatten(1)
        for key, value in tensors.items()
        if ".lora_A." in key
    }


@contextlib.contextmanager
@torch.no_grad()
def adapted(unets: list[UNet2DConditionModel], changes: dict[str, torch.Tensor], strength: float):
    """Adds an adapter of that strength to the UNets' weights for the length of a `with`."""
    kept = []
    for unet in unets if strength else []:
        for name, change in changes.items():
            weight = unet.get_parameter(name)
            kept.append((weight, weight.detach().clone()))
            weight += strength * change.view_as(weight).to(weight.device)
    try:
        yield
    finally:
        for weight, before in kept:
            weight.copy_(before)
