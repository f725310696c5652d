"""Names and shapes of every tensor in the files of a Stable Diffusion XL, from the models' configs.

Nothing here needs the files, which are gigabytes, or a package: the layouts follow from diffusers'
and transformers' constructors. `python tools/sdxl_layout.py` compares them with the models that the
two packages build on torch's meta device, where they are installed.

A layout maps a tensor's name to its shape. Its order is that of the models; files have their own.
"""

import json
import math
from collections.abc import Iterator

Layout = dict[str, list[int]]

# Bytes of a number in a safetensors file.
WIDTHS = {"F32": 4, "F16": 2}

# The rank of every published distillation LoRA here.
LORA_RANK = 64


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Layout:
    layout = {f"{name}.weight": [outputs, inputs]}
    return layout | {f"{name}.bias": [outputs]} if bias else layout


def conv(name: str, inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> Layout:
    layout = {f"{name}.weight": [outputs, inputs, kernel, kernel]}
    return layout | {f"{name}.bias": [outputs]} if bias else layout


def norm(name: str, channels: int) -> Layout:
    return {f"{name}.weight": [channels], f"{name}.bias": [channels]}


def resnet(name: str, inputs: int, outputs: int, time_embedding: int | None) -> Layout:
    layout = norm(f"{name}.norm1", inputs) | conv(f"{name}.conv1", inputs, outputs)
    if time_embedding:
        layout |= linear(f"{name}.time_emb_proj", time_embedding, outputs)
    layout |= norm(f"{name}.norm2", outputs) | conv(f"{name}.conv2", outputs, outputs)
    if inputs != outputs:
        layout |= conv(f"{name}.conv_shortcut", inputs, outputs, kernel=1)
    return layout


def attention(name: str, channels: int, context: int) -> Layout:
    """Attention of the UNet, which has no bias but that of its output."""
    return (
        linear(f"{name}.to_q", channels, channels, bias=False)
        | linear(f"{name}.to_k", context, channels, bias=False)
        | linear(f"{name}.to_v", context, channels, bias=False)
        | linear(f"{name}.to_out.0", channels, channels)
    )


def transformer(name: str, channels: int, context: int, depth: int) -> Layout:
    layout = norm(f"{name}.norm", channels) | linear(f"{name}.proj_in", channels, channels)
    for index in range(depth):
        block = f"{name}.transformer_blocks.{index}"
        layout |= norm(f"{block}.norm1", channels)
        layout |= attention(f"{block}.attn1", channels, channels)
        layout |= norm(f"{block}.norm2", channels)
        layout |= attention(f"{block}.attn2", channels, context)
        layout |= norm(f"{block}.norm3", channels)
        # GEGLU: the value and its gate, each four times as wide.
        layout |= linear(f"{block}.ff.net.0.proj", channels, 8 * channels)
        layout |= linear(f"{block}.ff.net.2", 4 * channels, channels)
    return layout | linear(f"{name}.proj_out", channels, channels)


def unet(config: dict) -> Layout:
    """diffusers' `UNet2DConditionModel` as SDXL configures it."""
    channels = config["block_out_channels"]
    depths = config["transformer_layers_per_block"]
    context = config["cross_attention_dim"]
    first, last = channels[0], channels[-1]
    embedding = 4 * first

    layout = conv("conv_in", config["in_channels"], first)
    if config.get("time_cond_proj_dim"):
        layout |= linear("time_embedding.cond_proj", config["time_cond_proj_dim"], first, bias=False)
    layout |= linear("time_embedding.linear_1", first, embedding)
    layout |= linear("time_embedding.linear_2", embedding, embedding)
    layout |= linear(
        "add_embedding.linear_1", config["projection_class_embeddings_input_dim"], embedding
    )
    layout |= linear("add_embedding.linear_2", embedding, embedding)

    inputs = first
    # What the up blocks get from the down blocks, the last one first.
    skips = [first]
    for block, (kind, outputs) in enumerate(zip(config["down_block_types"], channels)):
        name = f"down_blocks.{block}"
        for index in range(config["layers_per_block"]):
            layout |= resnet(f"{name}.resnets.{index}", inputs, outputs, embedding)
            if kind == "CrossAttnDownBlock2D":
                layout |= transformer(f"{name}.attentions.{index}", outputs, context, depths[block])
            inputs = outputs
            skips.append(outputs)
        if block < len(channels) - 1:
            layout |= conv(f"{name}.downsamplers.0.conv", outputs, outputs)
            skips.append(outputs)

    layout |= resnet("mid_block.resnets.0", last, last, embedding)
    layout |= transformer("mid_block.attentions.0", last, context, depths[-1])
    layout |= resnet("mid_block.resnets.1", last, last, embedding)

    for block, kind in enumerate(config["up_block_types"]):
        name = f"up_blocks.{block}"
        level = len(channels) - 1 - block
        outputs = channels[level]
        for index in range(config["layers_per_block"] + 1):
            layout |= resnet(f"{name}.resnets.{index}", inputs + skips.pop(), outputs, embedding)
            if kind == "CrossAttnUpBlock2D":
                layout |= transformer(f"{name}.attentions.{index}", outputs, context, depths[level])
            inputs = outputs
        if level > 0:
            layout |= conv(f"{name}.upsamplers.0.conv", outputs, outputs)
    return layout | norm("conv_norm_out", first) | conv("conv_out", first, config["out_channels"])


def text_encoder(config: dict) -> Layout:
    """transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`, as the published files name
    their tensors."""
    size = config["hidden_size"]
    embeddings = "text_model.embeddings"
    layout = {
        f"{embeddings}.token_embedding.weight": [config["vocab_size"], size],
        f"{embeddings}.position_embedding.weight": [config["max_position_embeddings"], size],
    }
    for index in range(config["num_hidden_layers"]):
        name = f"text_model.encoder.layers.{index}"
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            layout |= linear(f"{name}.self_attn.{projection}", size, size)
        layout |= norm(f"{name}.layer_norm1", size)
        layout |= linear(f"{name}.mlp.fc1", size, config["intermediate_size"])
        layout |= linear(f"{name}.mlp.fc2", config["intermediate_size"], size)
        layout |= norm(f"{name}.layer_norm2", size)
    layout |= norm("text_model.final_layer_norm", size)
    if "CLIPTextModelWithProjection" in config["architectures"]:
        layout |= linear("text_projection", size, config["projection_dim"], bias=False)
    return layout


def vae_middle(name: str, channels: int) -> Layout:
    layout = resnet(f"{name}.resnets.0", channels, channels, None)
    layout |= norm(f"{name}.attentions.0.group_norm", channels)
    for projection in ("to_q", "to_k", "to_v", "to_out.0"):
        layout |= linear(f"{name}.attentions.0.{projection}", channels, channels)
    return layout | resnet(f"{name}.resnets.1", channels, channels, None)


def vae(config: dict) -> Layout:
    """diffusers' `AutoencoderKL`."""
    channels = config["block_out_channels"]
    layers = config["layers_per_block"]
    latent = config["latent_channels"]

    layout = conv("encoder.conv_in", config["in_channels"], channels[0])
    inputs = channels[0]
    for block, outputs in enumerate(channels):
        name = f"encoder.down_blocks.{block}"
        for index in range(layers):
            layout |= resnet(f"{name}.resnets.{index}", inputs, outputs, None)
            inputs = outputs
        if block < len(channels) - 1:
            layout |= conv(f"{name}.downsamplers.0.conv", outputs, outputs)
    layout |= vae_middle("encoder.mid_block", inputs)
    layout |= norm("encoder.conv_norm_out", inputs)
    # Mean and variance of each latent channel.
    layout |= conv("encoder.conv_out", inputs, 2 * latent)

    layout |= conv("decoder.conv_in", latent, inputs)
    layout |= vae_middle("decoder.mid_block", inputs)
    for block, outputs in enumerate(reversed(channels)):
        name = f"decoder.up_blocks.{block}"
        for index in range(layers + 1):
            layout |= resnet(f"{name}.resnets.{index}", inputs, outputs, None)
            inputs = outputs
        if block < len(channels) - 1:
            layout |= conv(f"{name}.upsamplers.0.conv", outputs, outputs)
    layout |= norm("decoder.conv_norm_out", inputs)
    layout |= conv("decoder.conv_out", inputs, config["out_channels"])
    layout |= conv("quant_conv", 2 * latent, 2 * latent, kernel=1)
    return layout | conv("post_quant_conv", latent, latent, kernel=1)


def tiny_vae(config: dict) -> Layout:
    """diffusers' `AutoencoderTiny` with one width throughout, as TAESDXL has it."""
    width = config["decoder_block_out_channels"][0]

    def block(name: str) -> Layout:
        layout = {}
        # The activations between the convolutions are numbered too.
        for index in (0, 2, 4):
            layout |= conv(f"{name}.conv.{index}", width, width)
        return layout

    layout = {}
    index = 0
    for stage, count in enumerate(config["num_encoder_blocks"]):
        inputs = config["in_channels"] if stage == 0 else width
        layout |= conv(f"encoder.layers.{index}", inputs, width, bias=stage == 0)
        index += 1
        for _ in range(count):
            layout |= block(f"encoder.layers.{index}")
            index += 1
    layout |= conv(f"encoder.layers.{index}", width, config["latent_channels"])

    layout |= conv("decoder.layers.0", config["latent_channels"], width)
    # Layer 1 is an activation, and each upsampling is a layer.
    index = 2
    counts = config["num_decoder_blocks"]
    for stage, count in enumerate(counts):
        for _ in range(count):
            layout |= block(f"decoder.layers.{index}")
            index += 1
        if stage < len(counts) - 1:
            layout |= conv(f"decoder.layers.{index + 1}", width, width, bias=False)
            index += 2
        else:
            layout |= conv(f"decoder.layers.{index}", width, config["out_channels"])
    return layout


def lora(base: Layout, rank: int = LORA_RANK) -> Layout:
    """A LoRA of kohya's spelling over diffusers' names on what the published distillation LoRAs
    change: every matrix and kernel but those of the two ends and of the embeddings."""
    ends = ("conv_in", "conv_out", "time_embedding", "add_embedding")
    layout = {}
    for tensor, shape in base.items():
        module = tensor.removesuffix(".weight")
        if module == tensor or len(shape) < 2 or module.startswith(ends):
            continue
        outputs, *inputs = shape
        name = f"lora_unet_{module.replace('.', '_')}"
        layout[f"{name}.alpha"] = []
        layout[f"{name}.lora_down.weight"] = [rank, *inputs]
        layout[f"{name}.lora_up.weight"] = [outputs, rank] + [1] * (len(inputs) - 1)
    return layout


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


def differences(ours: Layout, theirs: Layout) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"{name}: {ours.get(name)} here, {theirs.get(name)} there"


def main() -> None:
    """Compares the layouts with the packages' own models."""
    import accelerate
    import diffusers
    import transformers

    import sdxl_pairs

    def text(kind: type, config: dict) -> Layout:
        model = kind(transformers.CLIPTextConfig.from_dict(config))
        return {name: list(value.shape) for name, value in model.state_dict().items()}

    def diffusion(kind: type, config: dict) -> Layout:
        model = kind.from_config(config)
        return {name: list(value.shape) for name, value in model.state_dict().items()}

    def published(layout: Layout) -> Layout:
        """transformers 5 leaves the prefix out of a model without projection."""
        return {
            name if name.startswith("text_") else f"text_model.{name}": shape
            for name, shape in layout.items()
        }

    configs = sdxl_pairs
    with accelerate.init_empty_weights():
        pairs = {
            "unet": (
                unet(configs.UNET),
                diffusion(diffusers.UNet2DConditionModel, configs.UNET),
            ),
            "unet of LCM": (
                unet(configs.UNET_LCM),
                diffusion(diffusers.UNet2DConditionModel, configs.UNET_LCM),
            ),
            "vae": (vae(configs.VAE), diffusion(diffusers.AutoencoderKL, configs.VAE)),
            "tiny_decoder": (
                tiny_vae(configs.TINY_VAE),
                diffusion(diffusers.AutoencoderTiny, configs.TINY_VAE),
            ),
            "text_encoder": (
                text_encoder(configs.TEXT_ENCODER),
                published(text(transformers.CLIPTextModel, configs.TEXT_ENCODER)),
            ),
            "text_encoder_2": (
                text_encoder(configs.TEXT_ENCODER_2),
                published(text(transformers.CLIPTextModelWithProjection, configs.TEXT_ENCODER_2)),
            ),
        }
    failed = False
    for name, (ours, theirs) in pairs.items():
        lines = list(differences(ours, theirs))
        failed |= bool(lines)
        print(f"{name}: {len(ours)} tensors, {element_count(ours)} values, {len(lines)} differ")
        for line in lines[:5]:
            print(f"  {line}")
    if failed:
        raise SystemExit("The layouts are not those of the packages.")


if __name__ == "__main__":
    main()
