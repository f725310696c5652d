"""Reads a packed pair, as the page gets it, into models of diffusers and transformers in f32.

The format is described in src/weights/format/safetensors.rs and src/weights/format/encoding.rs; the values here
are equal to the bit to those of the Rust code, which tests/weights.rs checks.
"""

import gzip
import hashlib
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

BLOCK = 32
QUANTIZED_KEY = "firststep.quantized"
QUANTIZED_FORMAT = 2
ENCODINGS_KEY = "firststep.encodings"  # of format 1
GZIP_ENDING = ".gzip"
DOWN, UP, ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"


def load_pair(folder, manifest_name="manifest.json") -> SimpleNamespace:
    """Everything of a pair: unet, unet_distilled, text_encoder, text_encoder_2, vae (in evaluation
    mode), tokenizer, tokenizer_2, the configs scheduler and scheduler_distilled, and manifest."""
    folder = Path(folder)
    manifest = json.loads((folder / manifest_name).read_text(encoding="utf-8"))
    components = manifest["components"]

    def model(name, build):
        component = components[name]
        result = build(component["config"])
        tensors = load_tensors(folder, component["files"])
        if base := component.get("adapter_on"):
            tensors = merge_lora(load_tensors(folder, components[base]["files"]), tensors)
        result.load_state_dict(tensors, strict=True)
        return result.float().eval()

    return SimpleNamespace(
        unet=model("unet", UNet2DConditionModel.from_config),
        unet_distilled=model("unet_distilled", UNet2DConditionModel.from_config),
        text_encoder=model("text_encoder", lambda c: CLIPTextModel(text_config(c))),
        text_encoder_2=model(
            "text_encoder_2", lambda c: CLIPTextModelWithProjection(text_config(c))
        ),
        vae=model("vae", AutoencoderKL.from_config),
        tokenizer=load_tokenizer(folder, components["tokenizer"]),
        tokenizer_2=load_tokenizer(folder, components["tokenizer_2"]),
        scheduler=manifest["schedulers"]["base"],
        scheduler_distilled=manifest["schedulers"]["distilled"],
        manifest=manifest,
    )


def merge_lora(
    base: dict[str, torch.Tensor], adapter: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The base's tensors with a LoRA in diffusers' layout on them, and what it adds."""
    adapter = {name.removeprefix("unet."): tensor for name, tensor in adapter.items()}
    merged = dict(base)
    for name, tensor in adapter.items():
        if name.endswith(DOWN):
            module = name.removesuffix(DOWN)
            rank = len(tensor)
            alpha = float(adapter.get(module + ALPHA, rank))
            change = adapter[module + UP].flatten(1) @ tensor.flatten(1)
            weight = base[f"{module}.weight"]
            merged[f"{module}.weight"] = weight + alpha / rank * change.reshape(weight.shape)
        elif not name.endswith((UP, ALPHA)):
            merged[name] = tensor
    return merged


def text_config(config: dict) -> CLIPTextConfig:
    """The config in f32: the file says which type the weights were saved in."""
    return CLIPTextConfig(**{**config, "dtype": "float32"})


def load_tokenizer(folder: Path, component: dict) -> CLIPTokenizer:
    """The tokenizer from vocab.json, merges.txt and its config."""
    with tempfile.TemporaryDirectory() as temporary:
        for file in component["files"]:
            name = Path(file["path"]).name.removesuffix(GZIP_ENDING)
            (Path(temporary) / name).write_bytes(content(folder, file))
        config = Path(temporary) / "tokenizer_config.json"
        config.write_text(json.dumps(component["config"]), encoding="utf-8")
        return CLIPTokenizer.from_pretrained(temporary)


def load_tensors(folder: Path, files: list[dict]) -> dict[str, torch.Tensor]:
    """The tensors of a component in f32, by name."""
    tensors = {}
    for file in files:
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as temporary:
            temporary.write(content(folder, file))
            temporary.flush()
            tensors |= read_tensors(temporary.name)
    return tensors


def content(folder: Path, file: dict) -> bytes:
    """A file of the manifest, checked and unpacked."""
    data = (folder / file["path"]).read_bytes()
    if len(data) != file["size"] or hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise ValueError(f"{file['path']} is not the file of the manifest")
    return gzip.decompress(data) if file.get("compression") == "gzip" else data


def read_tensors(path) -> dict[str, torch.Tensor]:
    """The tensors of one safetensors file in f32, quantized ones dequantized."""
    with safe_open(path, framework="pt") as file:
        encodings = quantized_entries(file.metadata() or {})
        tensors = {}
        for name in file.keys():
            tensor = file.get_tensor(name)
            if name in encodings:
                entry = encodings[name]
                order = entry.get("order", "row_major")
                values = dequantize(tensor.numpy(), entry["encoding"], entry["shape"], order)
                tensors[name] = torch.from_numpy(values)
            else:
                tensors[name] = tensor.float()
        return tensors


def quantized_entries(metadata: dict[str, str]) -> dict[str, dict]:
    """Encoding, shape and order of a file's quantized tensors, by name."""
    if text := metadata.get(QUANTIZED_KEY):
        entries = json.loads(text)
        if entries["format"] > QUANTIZED_FORMAT:
            raise ValueError(f"unknown format {entries['format']} of quantized tensors")
        return entries["tensors"]
    # Format 1 knows one order only.
    entries = json.loads(metadata.get(ENCODINGS_KEY, "{}"))
    return {name: entry | {"order": "row_major"} for name, entry in entries.items()}


def dequantize(
    data: np.ndarray, encoding: str, shape: list[int], order: str = "row_major"
) -> np.ndarray:
    """Values of a quantized tensor: all values first, then a scale for each block of 32."""
    count = int(np.prod(shape))
    if encoding == "q8":
        quanta, scales = data[:count].view(np.int8), data[count:]
    elif encoding == "q4":
        pairs, scales = data[: count // 2], data[count // 2 :]
        quanta = np.stack([pairs & 15, pairs >> 4], -1).astype(np.int8) - 8
    else:
        raise ValueError(f"unknown encoding {encoding}")
    steps = scales.copy().view("<f2").astype(np.float32)
    values = quanta.reshape(-1, BLOCK).astype(np.float32) * steps[:, None]
    if order == "row_major":
        return values.reshape(shape)
    if order != "channels_last":
        raise ValueError(f"unknown order {order}")
    output, channels, height, width = shape
    by_tap = values.reshape(output, height, width, channels)
    return np.ascontiguousarray(by_tap.transpose(0, 3, 1, 2))
