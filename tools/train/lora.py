"""LoRAs on the base UNet, by PEFT, in diffusers' layout."""

from pathlib import Path

from diffusers import UNet2DConditionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

#: The layers that LCM's own LoRA on SDXL has.
LAYERS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
    "conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj",
)  # fmt: skip


def add_lora(unet: UNet2DConditionModel, rank: int) -> None:
    """Freezes the UNet and adds a LoRA with alpha equal to its rank to the layers named above."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LAYERS), init_lora_weights="gaussian"))


def save_lora(unet: UNet2DConditionModel, folder: Path, whole: tuple[str, ...] = ()) -> None:
    """Writes `pytorch_lora_weights.safetensors`, and the UNet's config beside it.

    `whole` names parameters that are not of the LoRA but go with it, because the base lacks them.
    """
    tensors = dict(get_peft_model_state_dict(unet))
    tensors.update({name: unet.get_parameter(name) for name in whole})
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"unet.{name}": tensor.detach().half().contiguous().cpu() for name, tensor in tensors.items()}, folder / "pytorch_lora_weights.safetensors")
    unet.save_config(folder)
