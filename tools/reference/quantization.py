"""Writes tests/parity/values/quantization/: weights, what they are encoded to, and gguf's errors.

Usage: python tools/reference/quantization.py

`source.safetensors` holds small tensors in the float types that real models come in, with blocks
that are hard to encode. `expected.json` has for each of them the SHA-256 of its bytes in every
encoding, computed here a second time from the description in src/weights/format/blocks.rs: the native
build and the browser both have to arrive at them. It also has the errors of gguf's Q8_0 and Q4_0 on
these tensors and on the emoji pair's UNet, in the order in which their values are stored.
"""

import gzip
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, quants
from packed import dequantize, quantized_entries

ROOT = Path(__file__).resolve().parents[2]
VALUES = ROOT / "tests" / "parity" / "values" / "quantization"
UNET = ROOT / "public" / "pairs" / "emoji" / "unet.safetensors.gzip"
BLOCK = 32
F16_MAXIMUM = np.float32(65504)
GGUF = {"q8": GGMLQuantizationType.Q8_0, "q4": GGMLQuantizationType.Q4_0}


def source_tensors() -> dict[str, tuple[str, np.ndarray]]:
    """Dtype and values, which the dtype can hold exactly, by name."""
    generator = np.random.default_rng(0)
    hard = (generator.standard_normal((7, 96)) * 0.03).astype(np.float16)
    hard[0, :32] = 0
    hard[0, 32:64] = np.arange(32) * 2.0**-24  # subnormals
    hard[1, :32] = 0.5  # all extremes
    hard[1, 32:64] = np.where(np.arange(32) % 2, 1, -1)
    hard[2, 5] = 65504
    hard[3, :32] *= 1e-4
    hard[4, 40] = -3
    return {
        "normal.weight": ("F16", f16(generator.standard_normal((64, 128)) * 0.03)),
        "convolution.weight": ("F16", f16(generator.standard_normal((9, 32, 3, 3)) * 0.1)),
        "laplace.weight": ("BF16", bf16(generator.laplace(size=(64, 96)) * 0.02)),
        "heavy.weight": ("F32", f32(generator.standard_t(3, (64, 96)) * 0.02)),
        "hard.weight": ("F16", f32(hard)),
        "tiny.weight": ("F32", f32(generator.standard_normal((3, 32)) * [[1e-6], [1e-9], [1e-41]])),
        "bias": ("F16", f16(generator.standard_normal(37))),
    }


def f32(values) -> np.ndarray:
    return np.asarray(values).astype(np.float32)


def f16(values) -> np.ndarray:
    return f32(np.asarray(values).astype(np.float16))


def bf16_bits(values: np.ndarray) -> np.ndarray:
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def bf16(values) -> np.ndarray:
    return (bf16_bits(f32(values)).astype(np.uint32) << 16).view(np.float32)


def float_bytes(dtype: str, values: np.ndarray) -> bytes:
    match dtype:
        case "F32":
            return values.astype("<f4").tobytes()
        case "F16":
            return values.astype("<f2").tobytes()
        case "BF16":
            return bf16_bits(values).tobytes()
    raise ValueError(dtype)


def q8(values: np.ndarray) -> bytes:
    blocks = values.reshape(-1, BLOCK)
    exact = np.abs(blocks).max(1) / np.float32(127)
    scale = exact.astype(np.float16)
    below = f32(scale) < exact
    scale[below] = np.nextafter(scale[below], np.float16(np.inf))
    step = np.where(scale == 0, 1, f32(scale)).astype(np.float32)
    return np.rint(blocks / step[:, None]).astype(np.int8).tobytes() + scale.tobytes()


def q4(values: np.ndarray) -> bytes:
    """Everything in f32 and in the order of src/weights/format/blocks.rs: the bits have to be the same."""
    blocks = values.reshape(-1, BLOCK)
    one = np.float32(1)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)[:, 0]
    magnitude = np.abs(extreme)
    unit = np.where((blocks == magnitude[:, None]).any(1), magnitude, -magnitude)
    unit = unit * np.float32(1 / 2048)
    relative = np.rint(blocks * (one / unit)[:, None])
    relative = np.nan_to_num(np.clip(relative, -32768, 32767)).astype(np.int64)
    best_gain = np.zeros(len(blocks), np.float32)
    best_scale = np.zeros(len(blocks), np.float32)
    for factor in (-114, -126, -133, -139):
        q = np.clip((relative * factor + 0x4000) >> 15, -8, 7)
        product = f32((q * relative).sum(1))
        scale = product / f32((q * q).sum(1))
        better = product * scale > best_gain
        best_gain = np.where(better, product * scale, best_gain)
        best_scale = np.where(better, scale, best_scale)
    inverse = inverse_of(f16_scale(unit * best_scale))
    q = np.rint(np.clip(blocks * inverse[:, None], np.float32(-8), np.float32(7)))
    scale = f16_scale(ordered_sum(q * blocks) / ordered_sum(q * q))
    q = np.clip(np.rint(blocks * inverse_of(scale)[:, None]), -8, 7).astype(np.uint8) + 8 & 15
    return (q[:, ::2] | q[:, 1::2] << 4).tobytes() + scale.tobytes()


def f16_scale(scale: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(scale), -F16_MAXIMUM, F16_MAXIMUM).astype(np.float16)


def inverse_of(scale: np.ndarray) -> np.ndarray:
    return np.where(scale == 0, np.float32(0), np.float32(1) / f32(scale))


def ordered_sum(products: np.ndarray) -> np.ndarray:
    a, b, c, d = products.reshape(-1, 4, 8).transpose(1, 0, 2)
    lanes = (a + b) + (c + d)
    lanes = lanes[:, :4] + lanes[:, 4:]
    return (lanes[:, 0] + lanes[:, 1]) + (lanes[:, 2] + lanes[:, 3])


def in_stored_order(values: np.ndarray) -> np.ndarray:
    """A convolution's values tap by tap, with the input channels last."""
    return values.transpose(0, 2, 3, 1).copy() if values.ndim == 4 else values


def hashes(values: np.ndarray) -> dict[str, str]:
    encoded = {name.lower(): float_bytes(name, values) for name in ("F32", "F16")}
    if values.ndim > 1:
        stored = in_stored_order(values)
        encoded |= {"q8": q8(stored), "q4": q4(stored)}
    return {name: hashlib.sha256(data).hexdigest() for name, data in encoded.items()}


def gguf_errors(values: np.ndarray) -> dict[str, float]:
    """Root of the squared error over the squared values."""
    blocks = in_stored_order(values).reshape(-1, BLOCK)
    total = (blocks.astype(np.float64) ** 2).sum()
    return {
        name: float(np.sqrt((difference(blocks, kind) ** 2).sum() / total))
        for name, kind in GGUF.items()
    }


def difference(blocks: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    stored = quants.dequantize(quants.quantize(blocks, kind), kind)
    return stored.astype(np.float64) - blocks


def unet_values() -> np.ndarray:
    """The values of the emoji pair's UNet that are quantized, in the order of their names."""
    data = gzip.decompress(UNET.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    entries = quantized_entries(header["__metadata__"])
    values = []
    for name in sorted(entries):
        entry = entries[name]
        start, end = (8 + length + offset for offset in header[name]["data_offsets"])
        bytes_ = np.frombuffer(data[start:end], np.uint8)
        tensor = dequantize(bytes_, entry["encoding"], entry["shape"], entry["order"])
        values.append(in_stored_order(tensor).reshape(-1, BLOCK))
    return np.concatenate(values)


def main() -> None:
    tensors = source_tensors()
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        encoded = float_bytes(dtype, values)
        offsets = [len(data), len(data) + len(encoded)]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": offsets}
        data += encoded
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    VALUES.mkdir(parents=True, exist_ok=True)
    (VALUES / "source.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    with np.errstate(all="ignore"):
        encoded = {name: hashes(values) for name, (_, values) in tensors.items()}
    errors = {
        name: gguf_errors(tensors[name][1])
        for name in ("normal.weight", "convolution.weight", "laplace.weight", "heavy.weight")
    }
    errors["emoji"] = gguf_errors(unet_values())
    expected = {"sha256": encoded, "gguf_errors": errors}
    (VALUES / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
