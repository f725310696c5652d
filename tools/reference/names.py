"""The names that tensors of single-file SDXL checkpoints have in diffusers, by its own conversion.

Writes tests/parity/values/names.json: pairs of a checkpoint's name and the names that it becomes. The
checkpoint is the small one of tools/sdxl/full_size.mjs, whose names are those of the real one. Every tensor
is filled with a number of its own, by which it is found again after the conversion, and the thirds of
open_clip's joint projections with three. Of the transformers' equal layers the first is kept.
"""

import json
import re
import subprocess
import tempfile

import torch
from common import ROOT, VALUES
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file
from types import SimpleNamespace

REPOSITORY = "stabilityai/stable-diffusion-xl-base-1.0"
CHECKPOINT = f"{REPOSITORY}/sd_xl_base_1.0.safetensors"
TEXT_ENCODER = "conditioner.embedders.0.transformer."
LATER_LAYER = re.compile(r"(transformer_blocks|resblocks|encoder\.layers)\.([1-9]|\d\d)\.")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = ["node", ROOT / "tools/sdxl/full_size.mjs", folder, "--scale", "small"]
        subprocess.run(command, check=True)
        checkpoint = load_file(f"{folder}/{CHECKPOINT}")
        read = lambda path: json.loads(open(f"{folder}/{REPOSITORY}/{path}/config.json").read())
        configs = {name: read(name) for name in ("unet", "vae", "text_encoder_2")}
    marked, names = {}, {}
    for index, (name, tensor) in enumerate(sorted(checkpoint.items())):
        mark = torch.full(tensor.shape, 4.0 * index, dtype=torch.float64)
        if "in_proj" in name:
            for third, part in enumerate(mark.chunk(3)):
                part += third
                names[4.0 * index + third] = name
        names[4.0 * index] = name
        marked[name] = mark

    unet = convert_ldm_unet_checkpoint(dict(marked), dict(configs["unet"]))
    vae = convert_ldm_vae_checkpoint(dict(marked), dict(configs["vae"]))
    config = SimpleNamespace(text_config=SimpleNamespace(**configs["text_encoder_2"]))
    encoder = SimpleNamespace(config=SimpleNamespace(**configs["text_encoder_2"]), text_model=None)
    text_encoder_2 = convert_open_clip_checkpoint(
        encoder, dict(marked), prefix="conditioner.embedders.1.model."
    )
    text_encoder = {
        name.removeprefix(TEXT_ENCODER): tensor
        for name, tensor in marked.items()
        if name.startswith(TEXT_ENCODER)
    }

    found: dict[str, dict[float, str]] = {name: {} for name in marked}
    for component, tensors in {
        "unet": unet,
        "vae": vae,
        "text_encoder": text_encoder,
        "text_encoder_2": text_encoder_2,
    }.items():
        for name, tensor in tensors.items():
            mark = tensor.flatten()[0].item()
            found[names[mark]][mark] = f"{component}.{name}"
    pairs = [
        [name, [becomes for _, becomes in sorted(marks.items())]]
        for name, marks in sorted(found.items())
        # The constant position_ids are left out before names are looked at.
        if not LATER_LAYER.search(name) and not name.endswith("position_ids")
    ]
    text = ",\n".join(json.dumps(pair) for pair in pairs)
    (VALUES / "names.json").write_text(f"[\n{text}\n]\n")
    print(f"{len(pairs)} names")


if __name__ == "__main__":
    main()
