"""Writes tests/parity/values/weights.json: quantized bytes and the values that they stand for.

Usage: python tools/reference/weights.py
"""

import json
from pathlib import Path

import numpy as np
from packed import BLOCK, dequantize

VALUES = Path(__file__).resolve().parents[2] / "tests" / "parity" / "values"
# Typical, negative (four bits only make use of it), the smallest and a subnormal f16, 0, large.
SCALES = [0.0123, -0.0123, 6e-8, 3e-5, 0.0, 900.0]


def case(
    encoding: str, shape: list[int], generator: np.random.Generator, order: str = "row_major"
) -> dict:
    count = int(np.prod(shape))
    scales = np.resize(np.array(SCALES, "<f2"), count // BLOCK)
    packed = generator.integers(0, 256, count if encoding == "q8" else count // 2, np.uint8)
    data = np.concatenate([packed, scales.view(np.uint8)])
    values = dequantize(data, encoding, shape, order).ravel()
    return {
        "encoding": encoding,
        "order": order,
        "shape": shape,
        "bytes": data.tobytes().hex(),
        # An f32 is exact as the f64 of a JSON number.
        "values": [float(value) for value in values],
    }


def main() -> None:
    generator = np.random.default_rng(0)
    cases = [
        case("q8", [3, 64], generator),
        case("q8", [2, 32, 1, 1], generator),
        case("q4", [3, 64], generator),
        case("q4", [1, 32, 3, 2], generator),
        case("q8", [2, 32, 3, 3], generator, "channels_last"),
        case("q4", [2, 64, 1, 3], generator, "channels_last"),
    ]
    VALUES.mkdir(parents=True, exist_ok=True)
    (VALUES / "weights.json").write_text(json.dumps(cases) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
