"""Exports the base UNet of the packed emoji pair to ONNX, for the benchmark's peer.

Usage: python tools/reference/onnx_export.py [output file] [--half]

Writes target/bench/unet.onnx (batch 1, latent 4 x 16 x 16, weights and activations in f32, or in
f16 with --half) and beside it unet.json with inputs and the output that torch computes for them
in f32, so that the benchmark can check what it measures. Stops where onnxruntime on the CPU
disagrees with torch. Needs the
packages onnx, onnxscript and onnxruntime besides those of requirements.txt.
"""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime
import torch
from common import EMOJI_TIME_IDS, ROOT, encode, load_emoji_pair, predict, reproducible
from diffusers.models.attention_processor import AttnProcessor2_0

# Relative to the largest output: in f32 both sides add up in different orders; in f16 all that lies
# between two operations is rounded.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 2e-2}


class Pass(torch.nn.Module):
    """The UNet with plain tensors for arguments, as ONNX wants them."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states,
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
            return_dict=False,
        )[0]


def described(inputs: dict, output: str, expected: numpy.ndarray, dtype: torch.dtype) -> dict:
    """Inputs and the output as benches/session.mjs reads them; the output is a `dtype` of the model."""

    def type_of(kind: torch.dtype) -> str:
        return str(kind).removeprefix("torch.")

    return {
        "inputs": {
            name: {
                "type": type_of(tensor.dtype),
                "shape": list(tensor.shape),
                "values": tensor.flatten().tolist(),
            }
            for name, tensor in inputs.items()
        },
        "output": {
            "name": output,
            "type": type_of(dtype),
            "shape": list(expected.shape),
            "values": expected.flatten().tolist(),
        },
    }


def main() -> None:
    reproducible()
    arguments = [argument for argument in sys.argv[1:] if argument != "--half"]
    dtype = torch.float16 if "--half" in sys.argv else torch.float32
    path = Path(arguments[0]) if arguments else ROOT / "target" / "bench" / "unet.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    pair = load_emoji_pair()
    # Fused attention becomes the pattern that onnxruntime knows to optimize.
    pair.unet.set_attn_processor(AttnProcessor2_0())
    conditioning = encode(pair, ["image of a dog face"])
    inputs = {
        "sample": torch.randn(1, 4, 16, 16, generator=torch.Generator("cpu").manual_seed(0)),
        "timestep": torch.tensor([999.0]),
        "encoder_hidden_states": conditioning.hidden,
        "text_embeds": conditioning.pooled,
        "time_ids": EMOJI_TIME_IDS[None],
    }
    expected = predict(pair.unet, inputs["sample"], 999, conditioning).numpy()
    # The others are numbers beyond what f16 tells apart, or stand beside such numbers.
    for name in ("sample", "encoder_hidden_states"):
        inputs[name] = inputs[name].to(dtype)
    torch.onnx.export(
        Pass(pair.unet.to(dtype)).eval(),
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=["noise"],
        opset_version=20,
        dynamo=True,
        external_data=False,
    )

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    actual = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    difference = float(numpy.abs(actual - expected).max() / numpy.abs(expected).max())
    if not difference <= TOLERANCES[dtype]:
        raise AssertionError(f"onnxruntime is {difference:.1e} away from torch")
    path.with_suffix(".json").write_text(json.dumps(described(inputs, "noise", expected, dtype)))
    print(f"{path}: {path.stat().st_size} bytes, within {difference:.1e} of torch")


if __name__ == "__main__":
    main()
