"""Makes a folder that the page can load of DreamSim's published archive.

Usage: python tools/perceptual/dreamsim.py dreamsim_dino_vitb16_checkpoint.zip OUTPUT [--trunk FILE]

The archive is DreamSim's own, of the release v0.2.0-checkpoints: its adapter lies in it as PEFT saved it. Browsers
can read neither the archive nor the host that has it, so the adapter is written as a safetensors file, beside a
manifest that names it with its size, its hash and what PEFT's adapter_config.json says of it. The trunk is DINO's:
from the hub, as public/perceptual/dreamsim-dino-vitb16.json has it, or with --trunk from a file on the disk
(timm's model.safetensors, or DINO's dino_vitbase16_pretrain.pth).
"""

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save_file

MANIFEST = Path(__file__).resolve().parents[2] / "public" / "perceptual" / "dreamsim-dino-vitb16.json"
ADAPTER = "dino_vitb16_single_lora"


def member(archive: zipfile.ZipFile, *names: str) -> tuple[str, bytes]:
    for wanted in names:
        for name in archive.namelist():
            if name.endswith(f"{ADAPTER}/{wanted}"):
                return wanted, archive.read(name)
    raise SystemExit(f"The archive has no {ADAPTER}/{' or '.join(names)}: it is another of DreamSim's.")


def written(path: Path, tensors: dict[str, torch.Tensor]) -> dict:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    content = path.read_bytes()
    return {"path": path.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trunk", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    manifest = json.loads(MANIFEST.read_text())
    components = manifest["components"]
    with zipfile.ZipFile(arguments.archive) as archive:
        name, content = member(archive, "adapter_model.safetensors", "adapter_model.bin")
        _, config = member(archive, "adapter_config.json")
    if name.endswith(".safetensors"):
        tensors = load(content)
    else:
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    config = json.loads(config)
    if config.get("use_rslora") or config.get("use_dora"):
        raise SystemExit("The adapter is of a kind of LoRA that isn't computed here.")
    components["adapter"] = {
        "config": {},
        "files": [written(arguments.output / "adapter.safetensors", tensors)],
        "adapter_config": {name: config[name] for name in ("r", "lora_alpha")},
    }
    if arguments.trunk:
        is_torch = arguments.trunk.suffix == ".pth"
        trunk = torch.load(arguments.trunk, map_location="cpu", weights_only=True) if is_torch else load_file(arguments.trunk)
        components["image_encoder"]["files"] = [written(arguments.output / "image_encoder.safetensors", trunk)]
    (arguments.output / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{len(tensors)} tensors of the adapter, rank {config['r']}, alpha {config['lora_alpha']}")


if __name__ == "__main__":
    main()
