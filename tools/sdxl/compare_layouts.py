"""Compares the layouts with the models that diffusers and transformers build on torch's meta device.

Usage: python tools/sdxl/compare_layouts.py  (after `cargo build --bin pack`, with the packages of
       tools/reference/requirements.txt)
"""

from collections.abc import Iterator

import accelerate
import configs
import diffusers
import transformers
from layout import Layout, element_count, layout_of


def differences(ours: Layout, theirs: Layout) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{name}: {ours.get(name)} here, {theirs.get(name)} there"


def main() -> None:
    def text(kind: type, config: dict) -> Layout:
        model = kind(transformers.CLIPTextConfig.from_dict(config))
        return {name: list(value.shape) for name, value in model.state_dict().items()}

    def diffusion(kind: type, config: dict) -> Layout:
        model = kind.from_config(config)
        return {name: list(value.shape) for name, value in model.state_dict().items()}

    def published(layout: Layout) -> Layout:
        """transformers 5 leaves the prefix out of a model without projection."""
        return {
            name if name.startswith("text_") else f"text_model.{name}": shape
            for name, shape in layout.items()
        }

    with accelerate.init_empty_weights():
        pairs = {
            "unet": (
                layout_of(configs.UNET),
                diffusion(diffusers.UNet2DConditionModel, configs.UNET),
            ),
            "unet of LCM": (
                layout_of(configs.UNET_LCM),
                diffusion(diffusers.UNet2DConditionModel, configs.UNET_LCM),
            ),
            "vae": (layout_of(configs.VAE), diffusion(diffusers.AutoencoderKL, configs.VAE)),
            "tiny_decoder": (
                layout_of(configs.TINY_VAE),
                diffusion(diffusers.AutoencoderTiny, configs.TINY_VAE),
            ),
            "text_encoder": (
                layout_of(configs.TEXT_ENCODER),
                published(text(transformers.CLIPTextModel, configs.TEXT_ENCODER)),
            ),
            "text_encoder_2": (
                layout_of(configs.TEXT_ENCODER_2),
                published(text(transformers.CLIPTextModelWithProjection, configs.TEXT_ENCODER_2)),
            ),
        }
    failed = False
    for name, (ours, theirs) in pairs.items():
        lines = list(differences(ours, theirs))
        failed |= bool(lines)
        print(f"{name}: {len(ours)} tensors, {element_count(ours)} values, {len(lines)} differ")
        for line in lines[:5]:
            print(f"  {line}")
    if failed:
        raise SystemExit("The layouts are not those of the packages.")


if __name__ == "__main__":
    main()
