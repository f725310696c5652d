"""Names and shapes of every tensor in the files of a Stable Diffusion XL, from the models' configs: what
the native program `pack layout` prints. Nothing here needs the files, which are gigabytes.

A layout maps a tensor's name to its shape, in the order of the names.
"""

import json
import math
import os
import subprocess
from pathlib import Path

Layout = dict[str, list[int]]

ROOT = Path(__file__).resolve().parents[2]
PACK = Path(
    os.environ.get("PACK")
    or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug" / "pack"
)

# Bytes of a number in a safetensors file.
WIDTHS = {"F32": 4, "F16": 2}

# The rank of every published distillation LoRA here.
LORA_RANK = 64


def layout_of(config: dict, *options: str) -> Layout:
    """The tensors of the model with a config."""
    if not PACK.exists():
        raise SystemExit(
            f"{PACK} is missing: build it with `cargo build --bin pack`, or set PACK to its path."
        )
    command = [PACK, "layout", "-", *options]
    printed = subprocess.run(command, input=json.dumps(config), capture_output=True, text=True)
    if printed.returncode != 0:
        raise SystemExit(printed.stderr.strip())
    return json.loads(printed.stdout)


def lora_layout(unet: dict, rank: int = LORA_RANK) -> Layout:
    """The tensors of a distillation LoRA on the UNet with a config, as they are published."""
    return layout_of(unet, "--lora", str(rank))


def element_count(layout: Layout) -> int:
    """The number of values: the model's parameters."""
    return sum(math.prod(shape) for shape in layout.values())


def file_size(layout: Layout, dtype: str, metadata: dict[str, str] | None = None) -> int:
    """Bytes of the safetensors file that the package safetensors writes of a layout: the header's
    length, the header, filled up to a multiple of 8 bytes, and the values."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in sorted(layout.items()):
        begin, end = end, end + math.prod(shape) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + math.ceil(length / 8) * 8 + end
