"""LoRAs on the base UNet, by PEFT, in diffusers' layout."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

#: diffusers' name for a LoRA file.
ADAPTER_FILE = "pytorch_lora_weights.safetensors"
#: The layers that LCM's own LoRA on SDXL has.
LAYERS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
    "conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj",
)  # fmt: skip


def add_lora(unet: UNet2DConditionModel, rank: int, layers: tuple[str, ...] = LAYERS) -> list[torch.nn.Parameter]:
    """Freezes the UNet, adds a LoRA with alpha equal to its rank to these layers, and returns what is to be trained."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers), init_lora_weights="gaussian"))
    return [parameter for parameter in unet.parameters() if parameter.requires_grad]


def save_lora(unet: UNet2DConditionModel, folder: Path, whole: tuple[str, ...] = ()) -> None:
    """Writes `pytorch_lora_weights.safetensors`, and the UNet's config beside it.

    `whole` names parameters that are not of the LoRA but go with it, because the base lacks them.
    """
    tensors = dict(get_peft_model_state_dict(unet))
    tensors.update({name: unet.get_parameter(name) for name in whole})
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"unet.{name}": tensor.detach().half().contiguous().cpu() for name, tensor in tensors.items()}, folder / ADAPTER_FILE)
    unet.save_config(folder)


def load_lora(folder: Path, base: UNet2DConditionModel) -> UNet2DConditionModel:
    """The base with the LoRA that `save_lora` wrote added to its weights, on the CPU."""
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    weights = {name: value.cpu() for name, value in base.state_dict().items()}
    tensors = {key.removeprefix("unet."): value.float() for key, value in load_file(folder / ADAPTER_FILE).items()}
    for key, value in tensors.items():
        if ".lora_A." in key:
            # Alpha is the rank, so that the product counts once; a convolution's kernel belongs to its first factor.
            name = key.replace(".lora_A.", ".")
            product = tensors[key.replace(".lora_A.", ".lora_B.")].flatten(1) @ value.flatten(1)
            weights[name] = weights[name] + product.view_as(weights[name])
        elif ".lora_B." not in key:
            weights[key] = value
    unet.load_state_dict(weights)
    return unet
