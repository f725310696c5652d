"""torch's values of every operation of src/kernels, for the tests in tests/kernels and tests/dawn.

Writes below tests/kernels/values:
- cases.json: [{"name", "seed", "on_dawn", "operation", …}], the cases. Both sides draw a case's inputs and
  weights from its seed, in the order in which the functions here do. The numbers are sums of bytes of
  a hash, so that they are equal to the bit: see `Numbers`.
- torch.safetensors: for each case by its name what is kept of torch's output, of which all values
  would take 3 MB: `[1 + SAMPLES + SUMS]`, the root mean square of all values, the values at places
  drawn from the seed, and the sums of runs of all values with signs drawn from the seed. The samples say
  how values differ, and the sums are changed by whichever value is another one.

torch computes in double precision what the formulas of diffusers say, so that a difference is the
kernels' own. Weights are those that their encoding holds. Inputs have at most 11 digits in binary: in half
precision they are the same.
"""

import json
from pathlib import Path

import numpy as np
import torch
from common import ROOT, reproducible
from packed import dequantize
from quantization import f16, in_stored_order, q4, q8
from safetensors.torch import save_file
from torch.nn import functional as F

VALUES = ROOT / "tests" / "kernels" / "values"
SAMPLES = 96
SUMS = 96
BRANCH_SCALE = 0.75
EPSILON = 1e-5
QUANTIZED = {"q8": q8, "q4": q4}


class Numbers:
    """Numbers that Rust draws too: about normal, up to ±4."""

    def __init__(self, seed: int):
        self.seed = seed
        self.drawn = 0

    def words(self, count: int) -> np.ndarray:
        """32 bits each: Wellons' `lowbias32` of a counter."""
        index = np.arange(self.drawn, self.drawn + count, dtype=np.uint32)
        self.drawn += count
        word = index * np.uint32(0x9E3779B1) + np.uint32(self.seed * 0x85EBCA77 % 2**32)
        word = (word ^ word >> 16) * np.uint32(0x7FEB352D)
        word = (word ^ word >> 15) * np.uint32(0x846CA68B)
        return word ^ word >> 16

    def coarse(self, *shape: int) -> torch.Tensor:
        """Inputs: multiples of 1/128."""
        return in_shape(sum_of_bytes(self.words(int(np.prod(shape)))) / 128, shape)

    def fine(self, *shape: int) -> torch.Tensor:
        """Parameters: multiples of 2^-20."""
        words = self.words(int(np.prod(shape)))
        return in_shape(sum_of_bytes(words) / 128 + (words * np.uint32(5) >> 19) / 2**20, shape)


def sum_of_bytes(words: np.ndarray) -> np.ndarray:
    """Of four bytes, around zero."""
    return sum((words >> shift & 255).astype(np.float64) for shift in (0, 8, 16, 24)) - 510


def in_shape(values: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(values).reshape(shape)


def weight(numbers: Numbers, shape: tuple[int, ...], encoding: str) -> torch.Tensor:
    """What the encoding holds of a weight whose outputs are about as large as its inputs."""
    fan_in = int(np.prod(shape[1:]))
    # A power of two: exact.
    exponent = ((fan_in - 1).bit_length() + 1) // 2
    values = (numbers.fine(*shape) / 2**exponent).numpy().astype(np.float32)
    if encoding in QUANTIZED:
        stored = QUANTIZED[encoding](in_stored_order(values))
        order = "channels_last" if len(shape) == 4 else "row_major"
        data = np.frombuffer(stored, np.uint8)
        values = dequantize(data, encoding, list(shape), order)
    elif encoding == "f16":
        values = f16(values)
    return torch.from_numpy(values).double()


def activate(values: torch.Tensor, activation: str) -> torch.Tensor:
    """Channels are last."""
    match activation:
        case "identity":
            return values
        case "relu":
            return F.relu(values)
        case "silu":
            return F.silu(values)
        case "gelu":
            return F.gelu(values)
        case "quick_gelu":
            return values * torch.sigmoid(1.702 * values)
        case "geglu":
            hidden, gate = values.chunk(2, -1)
            return hidden * F.gelu(gate)
    raise ValueError(activation)


def layer(numbers: Numbers, case: dict, shape: tuple[int, ...], apply) -> torch.Tensor:
    """A layer with its branch: `apply` computes with a weight, and gives channels last."""
    encoding, rank = case["encoding"], case.get("rank", 0)
    own = weight(numbers, shape, encoding)
    bias = numbers.fine(shape[0]) if case.get("bias", True) else None
    output = apply(own)
    if bias is not None:
        output = output + bias
    if rank:
        down = weight(numbers, (rank, *shape[1:]), "f16")
        up = weight(numbers, (shape[0], rank, *(1 for _ in shape[2:])), "f16")
        output = output + BRANCH_SCALE * F.linear(apply(down), up.flatten(1))
    return output


def finish(numbers: Numbers, case: dict, output: torch.Tensor) -> torch.Tensor:
    """What comes after a layer: an embedding for each image, an activation, a residual."""
    if (first := case.get("embedding")) is not None:
        batch, columns = output.shape[0], output.shape[-1]
        vectors = numbers.coarse(batch, first + columns + 4)[:, first : first + columns]
        output = output + vectors.reshape(batch, *(1 for _ in output.shape[2:]), columns)
    output = activate(output, case.get("activation", "identity"))
    if case.get("residual"):
        output = output + numbers.coarse(*output.shape)
    return output


def linear(numbers: Numbers, case: dict) -> torch.Tensor:
    x = numbers.coarse(*case["input"])
    shape = (case["outputs"], case["input"][-1])
    parts = [
        layer(numbers, case, shape, lambda weight: F.linear(x, weight))
        for _ in range(case.get("parts", 1))
    ]
    return finish(numbers, case, torch.cat(parts, -1))


def pixelwise(numbers: Numbers, case: dict) -> torch.Tensor:
    x = numbers.coarse(*case["input"])
    if second := case.get("second"):
        x = torch.cat([x, numbers.coarse(*case["input"][:-1], second)], -1)
    shape = (case["outputs"], x.shape[-1], 1, 1)
    output = layer(numbers, case, shape, lambda weight: convolved(x, weight))
    return finish(numbers, case, output)


def convolved(x: torch.Tensor, weight: torch.Tensor, **options) -> torch.Tensor:
    """torch has its channels first."""
    return F.conv2d(x.permute(0, 3, 1, 2), weight, **options).permute(0, 2, 3, 1)


def convolution(numbers: Numbers, case: dict) -> torch.Tensor:
    x = numbers.coarse(*case["input"])

    def apply(weight: torch.Tensor) -> torch.Tensor:
        match case["sampling"]:
            case "same":
                return convolved(x, weight, padding=1)
            case "halved":
                return convolved(x, weight, padding=1, stride=2)
            case "halved_at_end":
                # diffusers' Downsample2D without padding.
                return convolved(F.pad(x, (0, 0, 0, 1, 0, 1)), weight, stride=2)
            case {"doubled": [height, width]}:
                doubled = x.repeat_interleave(2, 1).repeat_interleave(2, 2)
                return convolved(doubled[:, :height, :width], weight, padding=1)
        raise ValueError(case["sampling"])

    shape = (case["outputs"], case["input"][-1], 3, 3)
    return finish(numbers, case, layer(numbers, case, shape, apply))


def attention(numbers: Numbers, case: dict) -> torch.Tensor:
    batch, heads, size = case["batch"], case["heads"], case["size"]
    columns = heads * size
    if keys := case.get("keys"):
        parts = [
            numbers.coarse(batch, case["queries"], columns),
            *numbers.coarse(batch, keys, 2 * columns).chunk(2, -1),
        ]
    else:
        parts = numbers.coarse(batch, case["queries"], 3 * columns).chunk(3, -1)
    query, key, value = (part.unflatten(-1, (heads, size)).transpose(1, 2) for part in parts)
    is_causal = case.get("is_causal", False)
    attended = F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
    return attended.transpose(1, 2).flatten(2)


def group_norm(numbers: Numbers, case: dict) -> torch.Tensor:
    # Away from zero: around 8 as inputs still are without rounding in half precision.
    x = numbers.coarse(*case["input"]) + case.get("mean", 0)
    if second := case.get("second"):
        x = torch.cat([x, numbers.coarse(*case["input"][:-1], second)], -1)
    scale, shift = numbers.fine(x.shape[-1]), numbers.fine(x.shape[-1])
    normed = F.group_norm(x.permute(0, 3, 1, 2), case["groups"], scale, shift, EPSILON)
    return activate(normed.permute(0, 2, 3, 1), case.get("activation", "identity"))


def layer_norm(numbers: Numbers, case: dict) -> torch.Tensor:
    x = numbers.coarse(*case["input"]) + case.get("mean", 0)
    size = x.shape[-1]
    return F.layer_norm(x, [size], numbers.fine(size), numbers.fine(size), EPSILON)


OPERATIONS = {
    operation.__name__: operation
    for operation in (linear, pixelwise, convolution, attention, group_norm, layer_norm)
}


def kept(numbers: Numbers, output: torch.Tensor) -> torch.Tensor:
    """What is stored of an output, see the top."""
    values = output.flatten().numpy()
    samples = values[numbers.words(SAMPLES) % np.uint32(len(values))]
    signs = np.where(numbers.words(len(values)) >> 31, -1.0, 1.0)
    run = -(-len(values) // SUMS)
    signed = np.zeros(SUMS * run)
    signed[: len(values)] = signs * values
    sums = signed.reshape(SUMS, run).sum(1)
    mean = np.sqrt((values**2).mean())
    return torch.from_numpy(np.concatenate([[mean], samples, sums])).float()


# Cases by the beginnings of their names that are not computed on Dawn: a new combination of what a shader
# is compiled for takes lavapipe seconds, while one that differs in sizes alone is free. Each part of
# these is a part of another case too, or burn's, whose shaders are the slowest.
NOT_ON_DAWN = (
    "linear: f32, 1 x 70",
    "linear: f32, 4 x 3",
    "linear: f32, 1 x 1 ",
    "linear: f16, 2 x 33",
    "linear: f16, 1 x 77",
    "linear: q8, 4 x 19",
    "linear: q8, 1 x 129",
    "linear: q4, embedding, identity",
    "linear: q8, gelu",
    "linear: q8, rank 12",
    "linear: q4, gated, 128 outputs, rank 6",
    "linear: q8, gated",
    "linear: f16, gated",
    "linear: f32, gated",
    "linear: q8, three",
    "linear: q8, 36 gates",
    "pixelwise: q8",
    "pixelwise: f32",
    "pixelwise: f16",
    "pixelwise: q4, two maps, rank 4",
    "pixelwise: q4, two maps that share",
    "convolution: q4, same, 8 x 8",
    "convolution: q4, same, 1 x 1",
    "convolution: q8, same",
    "convolution: f16, same, 11 x 6",
    "convolution: f16, same, 5 x 6",
    "convolution: f32, same, 9 x 7, 32 to 64",
    "convolution: f32, same, 5 x 7",
    "convolution: f16, same, 6 x 5",
    "convolution: f32, halved, ",
    "attention: self, 2 x 19",
    "attention: self, 2 x 65",
    "attention: self, 2 x 21",
    "attention: to 77, 2 x 9",
    "attention: to 23",
    "attention: causal, 2 x 77",
)
# Heads of 40 are the kernel's in registers alone: with shared memory a thread computes a query. What a branch adds to
# a convolution or a gated layer is computed as what it adds to any other.
NOT_SHARED_ON_DAWN = (
    "linear: q4, gated, 192",
    "attention: self, 1 x 37",
    "convolution: q4, same, 5 x 9",
)
# The loops of the form with shared memory depend on the size of a head, those in registers don't.
NOT_IN_REGISTERS_ON_DAWN = ("attention: self, 4 x 33",)
# Sums, norms and activations are f32 in both precisions, and only loads and stores differ. So each case is
# computed on Dawn in single precision in one form and in half precision in the other one, and a few that take
# every kind of load and store, or whose shaders are quick, in both.
BOTH_PRECISIONS_ON_DAWN = (
    "linear: q4, 3 x 43",
    "linear: q4, 1 x 1 ",
    "linear: q4, three",
    "convolution: f32, same, 9 x 7, 32 to 3",
    "convolution: f16, same, 4 x 5",
    "convolution: f32, halved at end",
    "convolution: f32, doubled",
    "attention: self, 3 x 77",
    "attention: self, 1 x 1 ",
    "attention: self, 2 x 35",
    "attention: to 33",
    "group norm",
    "layer norm",
)
# In half precision in registers, and in single precision with shared memory; all others the other way round.
HALF_IN_REGISTERS_ON_DAWN = (
    "linear: q8, embedding, silu",
    "linear: q4, embedding, quick_gelu",
    "linear: q4, rank 4",
    "linear: q4, rank 8",
    "linear: q4, rank 36",
    "linear: q4, rank 70",
    "linear: q4, rank 128",
    "linear: q4, gated, 192",
    "linear: f16, three",
    "convolution: q4, same, 5 x 9",
    "convolution: f16, same, 9 x 7",
    "convolution: q8, halved",
    "convolution: q4, doubled",
    "attention: self, 4 x 33",
    "attention: causal",
)


def on_dawn(name: str) -> list[dict]:
    """The forms and precisions in which a case is computed on Dawn."""
    if name.startswith(NOT_ON_DAWN):
        return []
    both = name.startswith(BOTH_PRECISIONS_ON_DAWN)
    half_form = "Registers" if name.startswith(HALF_IN_REGISTERS_ON_DAWN) else "Shared"
    left_out = {"Registers": NOT_IN_REGISTERS_ON_DAWN, "Shared": NOT_SHARED_ON_DAWN}
    return [
        {"form": form, "is_half": is_half}
        for form, names in left_out.items()
        for is_half in (False, True)
        if not name.startswith(names) and (both or is_half == (form == half_form))
    ]


def cases() -> list[dict]:
    """All cases."""
    found = []

    def add(operation: str, name: str, **options) -> None:
        name = f"{operation.replace('_', ' ')}: {name}"
        if any(name == other["name"] for other in found):
            raise ValueError(f"two cases of the name {name}")
        seed = len(found) + 1
        case = {"name": name, "seed": seed, "on_dawn": on_dawn(name), "operation": operation}
        found.append(case | options)

    # Layers: rows and columns that fill no tile, and a depth that fills none of its steps.
    for encoding, input, outputs in [
        ("f32", [1, 70, 64], 100),
        ("f32", [4, 3, 20], 8),
        ("f32", [1, 1, 320], 644),
        ("f16", [2, 33, 96], 132),
        ("f16", [1, 77, 36], 64),
        ("q8", [4, 19, 96], 68),
        ("q8", [1, 129, 32], 4),
        ("q4", [3, 43, 64], 196),
        ("q4", [1, 1, 1280], 36),
    ]:
        sizes = f"{input[0]} x {input[1]} rows, {input[2]} to {outputs}"
        add("linear", f"{encoding}, {sizes}", encoding=encoding, input=input, outputs=outputs)
    after = {"embedding": 4, "residual": True}
    for activation, encoding in [
        ("identity", "q4"),
        ("relu", "f32"),
        ("silu", "q8"),
        ("gelu", "f16"),
        ("quick_gelu", "q4"),
    ]:
        add(
            "linear",
            f"{encoding}, embedding, {activation}, residual",
            encoding=encoding,
            input=[2, 21, 64],
            outputs=68,
            activation=activation,
            **after,
        )
    add("linear", "q8, gelu", encoding="q8", input=[1, 9, 64], outputs=72, activation="gelu")
    # The kernels take ranks four at a time, and 32 where they have tiles.
    for rank in [1, 3, 4, 8, 36, 70, 128]:
        add("linear", f"q4, rank {rank}", encoding="q4", input=[2, 19, 64], outputs=68, rank=rank)
    add(
        "linear",
        "q8, rank 12, no bias, embedding, silu, residual",
        encoding="q8",
        input=[3, 11, 32],
        outputs=36,
        rank=12,
        bias=False,
        activation="silu",
        **after,
    )
    for encoding, input, outputs, options in [
        ("q4", [2, 21, 64], 256, {}),
        ("q4", [3, 5, 32], 64, {}),
        ("q4", [1, 67, 64], 192, {"rank": 4}),
        ("q4", [2, 9, 64], 128, {"rank": 6}),
        ("q8", [4, 7, 64], 128, {}),
        ("f16", [1, 9, 20], 128, {"bias": False}),
        ("f32", [2, 5, 36], 64, {}),
    ]:
        name = f"{encoding}, gated, {outputs} outputs, rank {options.get('rank', 0)}"
        add(
            "linear",
            name,
            encoding=encoding,
            input=input,
            outputs=outputs,
            activation="geglu",
            **options,
        )
    # Queries, keys and values.
    for encoding, batch, bias in [("f32", 1, False), ("f16", 2, False), ("q8", 3, True), ("q4", 4, True)]:
        add(
            "linear",
            f"{encoding}, three layers joined",
            encoding=encoding,
            input=[batch, 13, 64],
            outputs=68,
            parts=3,
            bias=bias,
        )
    # What no kernel takes.
    add("linear", "f16, 30 outputs", encoding="f16", input=[2, 10, 64], outputs=30, residual=True)
    add("linear", "q8, 36 gates", encoding="q8", input=[2, 10, 64], outputs=72, activation="geglu")

    for name, encoding, input, second, outputs, options in [
        ("q8, one map", "q8", [2, 5, 6, 64], 0, 132, {}),
        ("f32, four channels", "f32", [4, 5, 7, 4], 0, 4, {}),
        ("q8, two maps", "q8", [3, 5, 6, 64], 96, 68, {}),
        ("q4, two maps", "q4", [1, 9, 7, 32], 32, 128, {"residual": True}),
        ("f16, two maps", "f16", [4, 3, 5, 12], 20, 36, {"embedding": 4}),
        ("f32, two maps", "f32", [2, 3, 5, 8], 4, 12, {}),
        ("q4, two maps, rank 4", "q4", [2, 5, 5, 32], 64, 64, {"rank": 4}),
        ("q4, two maps that share a block", "q4", [1, 4, 5, 40], 24, 64, {"bias": False}),
    ]:
        add(
            "pixelwise",
            name,
            encoding=encoding,
            input=input,
            second=second,
            outputs=outputs,
            **options,
        )

    resnet = {"embedding": 8}
    everything = {"embedding": 8, "activation": "silu", "residual": True}
    for encoding, sampling, input, outputs, options in [
        ("q4", "same", [2, 9, 7, 64], 68, resnet),
        ("q4", "same", [1, 8, 8, 32], 64, {"residual": True}),
        ("q4", "same", [3, 1, 1, 32], 64, {"residual": True}),
        ("q4", "same", [2, 5, 9, 32], 36, {"rank": 4}),
        ("q8", "same", [4, 5, 6, 96], 32, everything),
        ("f16", "same", [2, 9, 7, 48], 36, everything),
        ("f16", "same", [1, 11, 6, 64], 4, {}),
        ("f16", "same", [1, 5, 6, 32], 36, {"rank": 3}),
        ("f32", "same", [3, 9, 7, 4], 64, {"activation": "relu"}),
        ("f32", "same", [2, 6, 5, 12], 8, {"activation": "relu"}),
        ("f32", "same", [1, 9, 7, 32], 64, {}),
        ("q8", "halved", [3, 9, 7, 64], 36, {}),
        ("q8", "halved", [1, 8, 6, 32], 64, {}),
        ("q4", "halved_at_end", [2, 9, 7, 32], 36, {}),
        ("q4", "halved_at_end", [1, 8, 6, 64], 64, {}),
        ("q4", {"doubled": [17, 13]}, [2, 9, 7, 32], 36, {}),
        ("q4", {"doubled": [18, 14]}, [1, 9, 7, 64], 64, {}),
        ("q4", {"doubled": [17, 14]}, [4, 9, 7, 32], 4, {}),
        # A pixel a thread.
        ("f32", "same", [2, 9, 7, 32], 3, {}),
        ("f16", "same", [1, 4, 5, 20], 3, {}),
        ("f32", "same", [3, 5, 7, 4], 5, {"bias": False, "activation": "relu"}),
        ("f32", "halved", [2, 9, 7, 8], 6, {}),
        ("f32", "halved_at_end", [2, 9, 7, 8], 2, {}),
        ("f32", {"doubled": [9, 8]}, [2, 5, 4, 8], 3, {}),
        # What no kernel takes.
        ("f16", "same", [2, 6, 5, 3], 32, {}),
        ("f32", "halved", [1, 6, 5, 8], 3, everything),
    ]:
        kind = "doubled" if isinstance(sampling, dict) else sampling.replace("_", " ")
        rank = f", rank {options['rank']}" if "rank" in options else ""
        height, width, channels = input[1:]
        add(
            "convolution",
            f"{encoding}, {kind}, {height} x {width}, {channels} to {outputs}{rank}",
            encoding=encoding,
            sampling=sampling,
            input=input,
            outputs=outputs,
            **options,
        )

    for batch, queries, keys, heads, size, is_causal in [
        (2, 19, None, 3, 8, False),
        (4, 33, None, 2, 16, False),
        (1, 37, None, 2, 40, False),
        (3, 77, None, 2, 64, False),
        (1, 1, None, 4, 64, False),
        (2, 65, None, 1, 80, False),
        (2, 21, None, 2, 128, False),
        (2, 35, None, 1, 512, False),
        (1, 11, None, 1, 160, False),
        (1, 19, None, 2, 160, False),
        (2, 9, 77, 5, 8, False),
        (1, 45, 23, 2, 40, False),
        (4, 40, 77, 2, 64, False),
        (1, 3, 1, 5, 64, False),
        (1, 17, 33, 1, 512, False),
        (2, 77, None, 3, 16, True),
        (3, 77, None, 2, 64, True),
        (1, 1, None, 2, 64, True),
        (2, 9, None, 2, 6, True),
    ]:
        kind = "causal" if is_causal else "self" if keys is None else f"to {keys}"
        add(
            "attention",
            f"{kind}, {batch} x {queries} queries, {heads} heads of {size}",
            batch=batch,
            queries=queries,
            keys=keys,
            heads=heads,
            size=size,
            is_causal=is_causal,
        )

    for input, second, groups, options in [
        ([2, 16, 16, 64], 0, 32, {"activation": "silu"}),
        ([4, 9, 9, 48], 0, 12, {"mean": 8}),
        ([1, 71, 70, 32], 0, 8, {"mean": 8}),
        ([3, 1, 1, 64], 0, 16, {"activation": "silu"}),
        ([2, 7, 9, 64], 32, 32, {"activation": "silu"}),
        ([1, 8, 8, 320], 640, 32, {"activation": "silu", "mean": 8}),
        ([1, 4, 5, 6], 0, 2, {"activation": "silu"}),
    ]:
        batch, height, width, channels = input
        name = f"{batch} x {height} x {width}, {channels} and {second} channels in {groups} groups"
        add("group_norm", name, input=input, second=second, groups=groups, **options)
    for input, mean in [
        ([2, 13, 64], 8),
        ([4, 3, 4], 0),
        ([1, 77, 320], 0),
        ([3, 1, 1284], 8),
        ([2, 5, 6], 0),
    ]:
        add("layer_norm", f"{input[0]} x {input[1]} rows of {input[2]}", input=input, mean=mean)
    return found


def main() -> None:
    reproducible()
    expected = {}
    for case in cases():
        numbers = Numbers(case["seed"])
        output = OPERATIONS[case["operation"]](numbers, case)
        expected[case["name"]] = kept(numbers, output)
    VALUES.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases())
    (VALUES / "cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    save_file(expected, VALUES / "torch.safetensors")


if __name__ == "__main__":
    main()
