"""Exports blocks of SDXL's UNet with synthetic weights to ONNX, for the benchmark's peer.

Usage: python tools/reference/onnx_blocks.py folder

Writes `{block}_{weights}_{activations}.onnx` and beside each a .json with inputs and the output that
torch computes for them in f32. A transformer block is 1,280 wide with 20 heads, over 1,024 tokens
and a text of 77 x 2,048; its matrices are f32, f16 or q4: `MatMulNBits` with blocks of 32 and
accuracy level 0. A resnet block has 320 channels
at 64 x 64 and a time embedding of 1,280; the peer has no quantized convolution.
"""

import json
import sys
from pathlib import Path

import numpy
import onnx
import torch
from common import reproducible
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from onnx import helper, numpy_helper
from onnx_export import described

WIDTH, HEADS, TOKENS, TEXT, TEXT_WIDTH = 1280, 20, 1024, 77, 2048
CHANNELS, SIDE, TIME = 320, 64, 1280
BLOCK = 32
# Relative to the largest output. With four bits in f32, onnxruntime on the CPU was 4e-7 away from torch
# and on WebGPU (Dawn, lavapipe) 1.9e-3; which of its operators is that far off is not known.
QUANTIZED_TOLERANCE = 5e-3
DTYPES = {"f32": torch.float32, "f16": torch.float16}


def quantize(weight: torch.Tensor) -> tuple[numpy.ndarray, torch.Tensor, torch.Tensor]:
    """Four bits a value, `[output, blocks, 16]`; scales `[output, blocks]`; and what they stand for."""
    rows, columns = weight.shape
    blocks = weight.reshape(rows, columns // BLOCK, BLOCK)
    scales = (blocks.abs().amax(2) / 7).half().float()
    levels = (blocks / scales[..., None]).round().clamp(-8, 7)
    codes = (levels + 8).to(torch.uint8).numpy()
    packed = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return packed, scales, (levels * scales[..., None]).reshape(rows, columns)


class Graph:
    """A graph that is written node by node."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.nodes = []
        self.constants = []

    def constant(self, values: numpy.ndarray | torch.Tensor) -> str:
        if isinstance(values, torch.Tensor):
            values = values.to(self.dtype).numpy()
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
        names = [f"value{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def layer(self, operator: str, *inputs: str, **attributes) -> str:
        return self.node(operator, *inputs, domain="com.microsoft", **attributes)

    def linear(self, value: str, layer: torch.nn.Linear, is_quantized: bool) -> str:
        rows, columns = layer.weight.shape
        if is_quantized:
            packed, scales, _ = quantize(layer.weight)
            # The inputs in between are zero points and a group's index: neither is needed.
            inputs = [value, self.constant(packed), self.constant(scales)]
            if layer.bias is not None:
                inputs += ["", "", self.constant(layer.bias)]
            return self.layer(
                "MatMulNBits",
                *inputs,
                K=columns,
                N=rows,
                bits=4,
                block_size=BLOCK,
                accuracy_level=0,
            )
        value = self.node("MatMul", value, self.constant(layer.weight.T))
        if layer.bias is None:
            return value
        return self.node("Add", value, self.constant(layer.bias))

    def norm(self, value: str, norm: torch.nn.LayerNorm) -> str:
        scale, bias = self.constant(norm.weight), self.constant(norm.bias)
        return self.node("LayerNormalization", value, scale, bias, axis=-1, epsilon=norm.eps)

    def attention(self, value: str, text: str, attention, is_quantized: bool) -> str:
        queries = self.linear(value, attention.to_q, is_quantized)
        keys = self.linear(text, attention.to_k, is_quantized)
        values = self.linear(text, attention.to_v, is_quantized)
        attended = self.layer("MultiHeadAttention", queries, keys, values, num_heads=HEADS)
        return self.linear(attended, attention.to_out[0], is_quantized)

    def save(self, path: Path, inputs: dict[str, torch.Tensor], output: str) -> None:
        element = helper.np_dtype_to_tensor_dtype(torch.zeros(0, dtype=self.dtype).numpy().dtype)
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["output"])],
            path.stem,
            [
                helper.make_tensor_value_info(name, element, list(tensor.shape))
                for name, tensor in inputs.items()
            ],
            [helper.make_tensor_value_info("output", element, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def transformer(folder: Path) -> None:
    block = BasicTransformerBlock(
        WIDTH, HEADS, WIDTH // HEADS, cross_attention_dim=TEXT_WIDTH, activation_fn="geglu"
    ).eval()
    inputs = {"hidden": torch.randn(1, TOKENS, WIDTH), "text": torch.randn(1, TEXT, TEXT_WIDTH)}
    # The float models first: then the weights become what their four bits stand for.
    for weights in ("f32", "f16", "q4"):
        if weights == "q4":
            for layer in block.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.copy_(quantize(layer.weight)[2])
        expected = block(inputs["hidden"], encoder_hidden_states=inputs["text"])
        for activations in ("f32", "f16") if weights == "q4" else (weights,):
            is_quantized = weights == "q4"
            graph = Graph(DTYPES[activations])
            hidden = "hidden"
            normed = graph.norm(hidden, block.norm1)
            change = graph.attention(normed, normed, block.attn1, is_quantized)
            hidden = graph.node("Add", hidden, change)
            normed = graph.norm(hidden, block.norm2)
            change = graph.attention(normed, "text", block.attn2, is_quantized)
            hidden = graph.node("Add", hidden, change)
            feed_forward = block.ff.net
            both = graph.linear(graph.norm(hidden, block.norm3), feed_forward[0].proj, is_quantized)
            values, gates = graph.node("Split", both, outputs=2, axis=-1, num_outputs=2)
            gated = graph.node("Mul", values, graph.node("Gelu", gates))
            change = graph.linear(gated, feed_forward[2], is_quantized)
            hidden = graph.node("Add", hidden, change)
            path = folder / f"transformer_{weights}_{activations}.onnx"
            graph.save(path, inputs, hidden)
            describe(path, inputs, expected, DTYPES[activations])


def resnet(folder: Path) -> None:
    block = ResnetBlock2D(in_channels=CHANNELS, temb_channels=TIME, eps=1e-5).eval()
    inputs = {"hidden": torch.randn(1, CHANNELS, SIDE, SIDE), "time": torch.randn(1, TIME)}
    expected = block(inputs["hidden"], inputs["time"])
    for activations, dtype in DTYPES.items():
        path = folder / f"resnet_{activations}_{activations}.onnx"
        torch.onnx.export(
            block.to(dtype),
            tuple(tensor.to(dtype) for tensor in inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=["output"],
            opset_version=20,
            dynamo=True,
            external_data=False,
        )
        describe(path, inputs, expected, dtype)


def describe(path: Path, inputs: dict, expected: torch.Tensor, dtype: torch.dtype) -> None:
    inputs = {name: tensor.to(dtype) for name, tensor in inputs.items()}
    values = described(inputs, "output", expected.numpy(), dtype)
    if "_q4_" in path.name and dtype == torch.float32:
        values["tolerance"] = QUANTIZED_TOLERANCE
    path.with_suffix(".json").write_text(json.dumps(values))
    print(f"{path}: {path.stat().st_size} bytes")


def main() -> None:
    reproducible()
    torch.manual_seed(0)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    transformer(folder)
    resnet(folder)
    (folder / "complete").touch()


if __name__ == "__main__":
    main()
