"""Makes a folder that the page can load of DreamSim's published archive.

Usage: python tools/perceptual/dreamsim.py dreamsim_ensemble_checkpoint.zip OUTPUT [--trunk FILE]

The archive is DreamSim's own, of the release v0.2.0-checkpoints: that of the ensemble or that of the single branch
dino_vitb16. Browsers can read neither the archive nor the host that has it, so its adapter, as PEFT saved it, and the
ensemble's two CLIP networks are written as safetensors files, beside a manifest that names them with their sizes,
their hashes and what PEFT's adapter_config.json says. The trunk is DINO's: from the hub, as the manifests in
public/perceptual have it, or with --trunk from a file on the disk (timm's model.safetensors, or DINO's
dino_vitbase16_pretrain.pth).
"""

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save_file

MANIFESTS = Path(__file__).resolve().parents[2] / "public" / "perceptual"
#: The folder of the adapter; the manifest, and the files of the networks beside DINO.
ARCHIVES = {
    "ensemble_lora": ("dreamsim-ensemble", ["clip_vitb16_pretrain.pth.tar", "open_clip_vitb16_pretrain.pth.tar"]),
    "dino_vitb16_single_lora": ("dreamsim-dino-vitb16", []),
}


def member(archive: zipfile.ZipFile, *names: str) -> tuple[str, bytes]:
    for wanted in names:
        for name in archive.namelist():
            if f"/{name}".endswith(f"/{wanted}"):
                return wanted, archive.read(name)
    raise SystemExit(f"The archive has no {' or '.join(names)}: it is another of DreamSim's.")


def read(content: bytes):
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def clip(content: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a CLIP in DINO's class; its projection as layers have theirs, [output, input]."""
    tensors = read(content)["state_dict"]
    tensors["proj.weight"] = tensors.pop("proj").T
    return tensors


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
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(arguments.archive) as archive:
        folders = [folder for folder in ARCHIVES if any(f"{folder}/" in name for name in archive.namelist())]
        if not folders:
            raise SystemExit(f"The archive has none of {', '.join(ARCHIVES)}: it is another of DreamSim's.")
        folder = folders[0]
        adapter = [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_model.bin"]
        name, content = member(archive, *adapter)
        tensors = load(content) if name.endswith(".safetensors") else read(content)
        _, config = member(archive, f"{folder}/adapter_config.json")
        manifest, further = ARCHIVES[folder]
        manifest = json.loads((MANIFESTS / f"{manifest}.json").read_text())
        components = manifest["components"]
        for encoder, file in zip(components.get("further_image_encoders", []), further, strict=True):
            path = output / f"{file.split('_pretrain')[0]}.safetensors"
            encoder["component"]["files"] = [written(path, clip(member(archive, file)[1]))]
    config = json.loads(config)
    if config.get("use_rslora") or config.get("use_dora"):
        raise SystemExit("The adapter is of a kind of LoRA that isn't computed here.")
    components["adapter"] = {
        "config": {},
        "files": [written(output / "adapter.safetensors", tensors)],
        "adapter_config": {name: config[name] for name in ("r", "lora_alpha")},
    }
    if arguments.trunk:
        is_torch = arguments.trunk.suffix == ".pth"
        trunk = torch.load(arguments.trunk, map_location="cpu", weights_only=True) if is_torch else load_file(arguments.trunk)
        components["image_encoder"]["files"] = [written(output / "image_encoder.safetensors", trunk)]
    (output / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{manifest['name']}: {len(tensors)} tensors of the adapter, rank {config['r']}, alpha {config['lora_alpha']}")


if __name__ == "__main__":
    main()
