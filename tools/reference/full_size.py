"""Writes a UNet of SDXL's size with random weights, packed as the page stores them, and a pass of diffusers.

Usage: python tools/reference/full_size.py FOLDER, then
       cargo bench --features gpu --bench native -- --compare=FOLDER

The real weights are gigabytes and belong to others, but whatever reads, expands and multiplies them
meets the same work here: names, shapes, encodings and orders are those of public/pairs/sdxl-dmd2.json.
FOLDER gets

- `unet.safetensors` (1.6 GB), kept where it is there already;
- `pass.safetensors`: `sample`, `timestep`, `context`, `pooled` and `time_ids`, the `output`, the
  `mean_square` of the map after each block, in order, and `half_output`: that of diffusers in half
  precision, whose distance from the other is what half precision costs by itself.

It needs 13 GB of memory and some minutes. Nothing of it is committed, and the tests don't run it.
"""

import json
import sys
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path

import numpy as np
import torch
from common import ROOT, plain_attention, reproducible
from diffusers import UNet2DConditionModel
from packed import BLOCK, QUANTIZED_FORMAT, QUANTIZED_KEY, read_tensors
from safetensors.numpy import save_file

MANIFEST = ROOT / "public" / "pairs" / "sdxl-dmd2.json"
# The smallest size that is asked for, wider than high: an exchanged axis would show. The maps of the
# lowest resolution have 80 pixels, which no tile divides.
HEIGHT, WIDTH = 32, 40
TOKENS = 77
TIMESTEP = 759.0
# No two of them are alike, for the same reason.
TIME_IDS = [1024.0, 768.0, 16.0, 64.0, 256.0, 320.0]
# The signed values of a quantized weight are about normal, and reach the ends of their range.
SPREAD = {"q8": 48.0, "q4": 3.0}
RANGE = {"q8": (-128, 127), "q4": (-8, 7)}
# Queries and keys are longer than those of a fresh network: their products spread as in a trained one,
# and a token looks at few others. Where all were averaged, an exchanged one would not show.
GAINS = {"*.to_q.weight": 1.5, "*.to_k.weight": 1.5}


def encoding_of(name: str, shape: list[int], rules: list[dict]) -> str:
    """As src/weights/format/rules.rs has it: the first rule that fits, and f16 where blocks don't."""
    rule = next((rule for rule in rules if fnmatchcase(name, rule["tensors"])), None)
    encoding = rule["encoding"] if rule else "f16"
    can_quantize = len(shape) > 1 and prod(shape[1:]) % BLOCK == 0
    return encoding if encoding == "f16" or can_quantize else "f16"


def quanta_of_a_byte(encoding: str) -> np.ndarray:
    """A quantized value for each random byte: the middles of 256 equal parts of a normal distribution."""
    middles = (torch.arange(256, dtype=torch.float64) + 0.5) / 256
    values = torch.special.ndtri(middles).numpy() * SPREAD[encoding]
    return np.clip(np.rint(values), *RANGE[encoding]).astype(np.int8)


def quantized(generator: np.random.Generator, count: int, deviation: float, encoding: str) -> np.ndarray:
    """The bytes of random values with this deviation. Scales differ by up to a factor of three: a block
    that is expanded by its neighbour's would show."""
    table = quanta_of_a_byte(encoding)
    quanta = table[np.frombuffer(generator.bytes(count), np.uint8)]
    steps = generator.uniform(0.5, 1.5, count // BLOCK)
    steps *= deviation / np.sqrt(np.mean(table.astype(float) ** 2) * (13 / 12))
    if encoding == "q4":
        nibbles = (quanta + 8).astype(np.uint8)
        values = nibbles[::2] | nibbles[1::2] << 4
    else:
        values = quanta.view(np.uint8)
    return np.concatenate([values, steps.astype("<f2").view(np.uint8)])


def write_weights(path: Path, layout: dict[str, list[int]], rules: list[dict]) -> None:
    """Random weights of these shapes: a layer's outputs are as large as its inputs."""
    generator = np.random.default_rng(0)
    tensors, entries = {}, {}
    for name, shape in layout.items():
        encoding = encoding_of(name, shape, rules)
        if len(shape) == 1:
            is_scale = "norm" in name and name.endswith("weight")
            values = generator.standard_normal(shape) * 0.2 + is_scale
            tensors[name] = values.astype(np.float16)
            continue
        gain = next((gain for pattern, gain in GAINS.items() if fnmatchcase(name, pattern)), 1.0)
        deviation = gain / np.sqrt(prod(shape[1:]))
        if encoding == "f16":
            tensors[name] = (generator.standard_normal(shape) * deviation).astype(np.float16)
            continue
        tensors[name] = quantized(generator, prod(shape), deviation, encoding)
        entries[name] = {"encoding": encoding, "shape": shape}
        if len(shape) == 4 and prod(shape[2:]) > 1:
            entries[name]["order"] = "channels_last"
    listed = json.dumps({"format": QUANTIZED_FORMAT, "tensors": entries})
    save_file(tensors, path, metadata={QUANTIZED_KEY: listed})


def inputs(config: dict) -> dict[str, np.ndarray]:
    """A latent, a prompt's two embeddings and the sizes."""
    generator = np.random.default_rng(1)
    pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
    normal = lambda *shape: generator.standard_normal(shape).astype(np.float32)  # noqa: E731
    return {
        "sample": normal(1, config["in_channels"], HEIGHT, WIDTH),
        "timestep": np.float32([TIMESTEP]),
        "context": normal(1, TOKENS, config["cross_attention_dim"]),
        "pooled": normal(1, pooled),
        "time_ids": np.float32([TIME_IDS]),
    }


def run(unet: UNet2DConditionModel, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The output, and the mean square of each block's."""
    mean_squares = []

    def note(_, __, output):
        hidden = output[0] if isinstance(output, tuple) else output
        mean_squares.append(hidden.float().square().mean().item())

    blocks = [unet.conv_in, *unet.down_blocks, unet.mid_block, *unet.up_blocks]
    hooks = [block.register_forward_hook(note) for block in blocks]
    tensors = {name: torch.from_numpy(values).to(unet.dtype) for name, values in given.items()}
    output = unet(
        tensors["sample"],
        tensors["timestep"][0],
        encoder_hidden_states=tensors["context"],
        added_cond_kwargs={"text_embeds": tensors["pooled"], "time_ids": tensors["time_ids"]},
    ).sample
    for hook in hooks:
        hook.remove()
    return {"output": output.float().numpy(), "mean_square": np.float32(mean_squares)}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("Usage: python tools/reference/full_size.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    reproducible()
    component = json.loads(MANIFEST.read_text(encoding="utf-8"))["components"]["unet"]
    config = component["config"]
    # Without values: those of the file take the place of the parameters, and there is no second copy.
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    layout = {name: list(tensor.shape) for name, tensor in unet.state_dict().items()}
    weights = folder / "unet.safetensors"
    if not weights.exists():
        unfinished = weights.with_suffix(".part")
        write_weights(unfinished, layout, component["encodings"])
        unfinished.rename(weights)
    print(f"{weights}: {weights.stat().st_size / 1e9:.2f} GB", flush=True)
    unet.load_state_dict(read_tensors(weights), strict=True, assign=True)
    given = inputs(config)
    results = run(plain_attention(unet), given)
    output = results["output"]
    if not np.isfinite(output).all():
        sys.exit("The output has values that are not finite.")
    half_output = run(unet.half(), given)["output"]
    results["half_output"] = half_output
    error = np.sqrt(np.mean((half_output - output) ** 2) / np.mean(output**2))
    print(f"diffusers in half precision is {error:.2e} from it", flush=True)
    save_file(given | results, folder / "pass.safetensors")
    squares = ", ".join(f"{square:.2f}" for square in results["mean_square"])
    print(f"mean squares after each block: {squares}; of the output: {np.mean(output**2):.2f}")


if __name__ == "__main__":
    main()
