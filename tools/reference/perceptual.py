"""Reference values of the networks that measure pictures: DreamSim, CLIP and the emoji pair's classifier.

Usage: python tools/reference perceptual, or by hand, with a folder for networks of full size and random weights:
       python tools/reference/perceptual.py --full-size FOLDER

DreamSim is its own package's code: the dino_vitb16 branch with a LoRA by PEFT, and the ensemble of three. That
package would fetch DINO from torch's hub and CLIP from its archives; its own copy of DINO's class, changed as it
changes it for CLIP, takes that place here. CLIP is transformers' CLIPModel. Pictures are
resized by torchvision's transforms, which call Pillow.

Writes tests/parity/values/perceptual: tiny networks of the real layouts with random weights, and their embeddings.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from dreamsim.feature_extraction.extractor import ViTExtractor
from dreamsim.feature_extraction.load_clip_as_dino import QuickGELU
from dreamsim.feature_extraction.vision_transformer import VisionTransformer
from dreamsim.model import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, PerceptualModel
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms
from transformers import CLIPConfig, CLIPModel

from common import ROOT, VALUES, reproducible

FOLDER = VALUES / "perceptual"
CLASSIFIER = ROOT / "public" / "perceptual" / "emoji"

#: Of DINO, as its classes call them. DreamSim reads the block with the number 11, so there are twelve.
TINY_DINO = {"img_size": [48], "patch_size": 16, "embed_dim": 24, "depth": 12, "num_heads": 2, "mlp_ratio": 2}
FULL_DINO = {"img_size": [224], "patch_size": 16, "embed_dim": 768, "depth": 12, "num_heads": 12, "mlp_ratio": 4}

#: CLIP in DINO's class, whose projection has a width of its own.
TINY_CLIP_AS_DINO = TINY_DINO | {"depth": 3}
CLIP_PROJECTION = 20

TINY_CLIP = {
    "projection_dim": 20,
    "text_config": {
        "vocab_size": 200,
        "max_position_embeddings": 77,
        "hidden_size": 24,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 20,
        "bos_token_id": 198,
        "eos_token_id": 199,
        "pad_token_id": 199,
    },
    "vision_config": {
        "image_size": 42,
        "patch_size": 14,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "projection_dim": 20,
    },
}
#: What the published configs of ViT-B/32 and ViT-L/14 say of the image encoder.
FULL_CLIP = {
    "clip-vit-base-patch32": (32, 768, 3072, 12, 12, 512),
    "clip-vit-large-patch14": (14, 1024, 4096, 24, 16, 768),
}


def randomize(model, seed: int) -> None:
    """Random weights that are exact in f16; every norm and bias differs from its neutral value."""
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith(("bias", "logit_scale")):
            value = 0.1 * noise
        elif "norm" in name or "layrnorm" in name or "pos_drop" in name:
            value = 1.0 + 0.2 * noise
        elif any(part in name for part in ("embedding.weight", "class_embedding", "cls_token", "pos_embed")):
            value = 0.5 * noise
        else:
            value = noise / parameter[0].numel() ** 0.5
        parameter.copy_(value.half().float())


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Stripes with noise on them, so that neither smooth parts nor edges are alike."""
    generator = torch.Generator("cpu").manual_seed(seed)
    rows = torch.arange(height).view(height, 1, 1) / height
    columns = torch.arange(width).view(1, width, 1) / width
    wave = torch.sin(5.0 * rows + (3.0 + seed) * columns * torch.tensor([1.0, 2.0, 3.0]))
    noise = 0.35 * torch.randn(height, width, 3, generator=generator)
    return Image.fromarray(((wave + noise).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).numpy())


def pixels(image) -> torch.Tensor:
    """[height, width, 3], whole numbers that f16 holds."""
    return torch.from_numpy(np.array(image)).half()


def stretched(side: int):
    """DreamSim's own transform, which its package builds for a side of 224."""
    return transforms.Resize((side, side), interpolation=transforms.InterpolationMode.BICUBIC)


def cropped(side: int):
    """CLIP's, as OpenAI's code builds it."""
    return transforms.Compose(
        [transforms.Resize(side, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(side)]
    )


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    print(f"{path.stat().st_size:>11} {path}")


def save_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def preprocessing() -> None:
    """Pictures in other sizes and forms: smaller, larger, tall and wide, with odd rests at the crop."""
    values = {}
    cases = []
    for index, (width, height, fit, side) in enumerate(
        [(45, 31, "stretch", 24), (37, 53, "crop", 28), (45, 31, "crop", 20), (9, 7, "stretch", 20), (12, 12, "stretch", 12)]
    ):
        source = picture(width, height, index)
        result = (stretched if fit == "stretch" else cropped)(side)(source)
        values |= {f"{index}.source": pixels(source), f"{index}.square": pixels(result)}
        cases.append({"fit": fit, "side": side})
    # As the page's pictures of the emoji pair reach DreamSim; every sixteenth row is enough.
    source = picture(64, 64, 7)
    values |= {"emoji.source": pixels(source), "emoji.rows": pixels(stretched(224)(source))[::16]}
    save(FOLDER / "preprocessing.safetensors", values)
    save_json(FOLDER / "preprocessing.json", cases)


def dreamsim(sizes: dict, rank: int, seed: int):
    """DreamSim's model around a DINO of these sizes, and the state of its adapter."""
    build = lambda *_: VisionTransformer(qkv_bias=True, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), **sizes)
    ViTExtractor.create_model = staticmethod(build)
    model = PerceptualModel(
        model_type="dino_vitb16", feat_type="cls", stride="16", lora=True, normalize_embeds=True, device="cpu"
    )
    # As training/train.py sets it up, with twice the rank as alpha.
    adapted = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.2, bias="none", target_modules=["qkv"])
    )
    randomize(adapted, seed)
    adapted.eval()
    trunk = {
        name.removeprefix("extractor_list.0.model.").replace(".base_layer", ""): tensor
        for name, tensor in adapted.base_model.model.state_dict().items()
        if "lora_" not in name
    }
    return adapted, trunk, get_peft_model_state_dict(adapted)


def dino_config(sizes: dict) -> dict:
    return {
        "architectures": ["VisionTransformer"],
        "image_size": sizes["img_size"][0],
        "patch_size": sizes["patch_size"],
        "hidden_size": sizes["embed_dim"],
        "intermediate_size": sizes["embed_dim"] * sizes["mlp_ratio"],
        "num_hidden_layers": sizes["depth"],
        "num_attention_heads": sizes["num_heads"],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
    }


def dreamsim_values(folder: Path, sizes: dict, rank: int, full: bool) -> None:
    adapted, trunk, adapter = dreamsim(sizes, rank, seed=20)
    side = sizes["img_size"][0]
    sources = [picture(3 * side // 2, side, seed) for seed in (1, 2, 3)]
    batch = torch.stack([transforms.ToTensor()(stretched(side)(source)) for source in sources])
    embeddings = adapted.embed(batch)
    distances = torch.stack([adapted(batch[i : i + 1], batch[j : j + 1])[0] for i, j in ((0, 1), (0, 2), (1, 2))])
    dtype = torch.float32 if full else torch.float16
    save(folder / "dino.safetensors", {name: tensor.to(dtype) for name, tensor in trunk.items()})
    save(folder / "adapter.safetensors", {name: tensor.to(dtype) for name, tensor in adapter.items()})
    save_json(folder / "config.json", dino_config(sizes))
    save_json(folder / "adapter_config.json", {"r": rank, "lora_alpha": 2 * rank})
    values = {f"source.{index}": pixels(source) for index, source in enumerate(sources)}
    save(folder / "values.safetensors", values | {"embeddings": embeddings, "distances": distances})


def clip_as_dino(sizes: dict, is_quick: bool, seed: int):
    """CLIP's image encoder as DreamSim's package makes it of DINO's class, and its projection."""
    model = VisionTransformer(qkv_bias=True, norm_layer=partial(torch.nn.LayerNorm, eps=1e-5), **sizes)
    model.pos_drop = torch.nn.LayerNorm(model.embed_dim, eps=1e-5)
    if is_quick:
        for block in model.blocks:
            block.mlp.act = QuickGELU()
    generator = torch.Generator("cpu").manual_seed(seed)
    projection = torch.randn(model.embed_dim, CLIP_PROJECTION, generator=generator) / model.embed_dim**0.5
    return model, projection.half().float()


def ensemble_values(folder: Path, rank: int) -> None:
    """DreamSim's own choice where none is named: the embeddings of three networks one after the other."""
    builds = {
        "dino_vitb16": lambda: VisionTransformer(
            qkv_bias=True, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), **TINY_DINO
        ),
        "clip_vitb16": lambda: clip_as_dino(TINY_CLIP_AS_DINO, True, 31),
        "open_clip_vitb16": lambda: clip_as_dino(TINY_CLIP_AS_DINO, False, 32),
    }
    ViTExtractor.create_model = staticmethod(lambda name, *_: builds[name]())
    model = PerceptualModel(
        model_type=",".join(builds),
        feat_type="cls,embedding,embedding",
        stride="16,16,16",
        lora=True,
        normalize_embeds=True,
        device="cpu",
    )
    adapted = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.2, bias="none", target_modules=["qkv"])
    )
    randomize(adapted, seed=33)
    adapted.eval()
    side = TINY_DINO["img_size"][0]
    sources = [picture(3 * side // 2, side, seed) for seed in (1, 2, 3)]
    batch = torch.stack([transforms.ToTensor()(stretched(side)(source)) for source in sources])
    embeddings = adapted.embed(batch)
    distances = torch.stack([adapted(batch[i : i + 1], batch[j : j + 1])[0] for i, j in ((0, 1), (0, 2), (1, 2))])
    half = lambda tensors: {name: tensor.half() for name, tensor in tensors.items()}
    state = adapted.base_model.model.state_dict()
    for index, name in enumerate(builds):
        prefix = f"extractor_list.{index}.model."
        trunk = {
            key.removeprefix(prefix).replace(".base_layer", ""): tensor
            for key, tensor in state.items()
            if key.startswith(prefix) and "lora_" not in key
        }
        config = dino_config(TINY_DINO if index == 0 else TINY_CLIP_AS_DINO)
        if index > 0:
            # As tools/perceptual/dreamsim.py writes it.
            trunk["proj.weight"] = adapted.base_model.model.extractor_list[index].proj.T
            config |= {
                "architectures": ["VisionTransformerWithProjection"],
                "hidden_act": "quick_gelu" if name == "clip_vitb16" else "gelu",
                "layer_norm_eps": 1e-5,
                "projection_dim": CLIP_PROJECTION,
            }
        save(folder / f"{name}.safetensors", half(trunk))
        save_json(folder / f"{name}.json", config)
    save(folder / "adapter.safetensors", half(get_peft_model_state_dict(adapted)))
    save_json(folder / "adapter_config.json", {"r": rank, "lora_alpha": 2 * rank})
    values = {f"source.{index}": pixels(source) for index, source in enumerate(sources)}
    save(folder / "values.safetensors", values | {"embeddings": embeddings, "distances": distances})


def features(output) -> torch.Tensor:
    """The projected embeddings, which newer versions of transformers return in a structure."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def clip_values(folder: Path, config: dict, full: bool) -> None:
    model = CLIPModel(CLIPConfig(**config)).eval()
    model.set_attn_implementation("eager")
    randomize(model, seed=21)
    vision, text = model.config.vision_config, model.config.text_config
    side = vision.image_size
    sources = [picture(side * 2, side + 7, 4), picture(side + 1, side * 3 // 2, 5)]
    to_values = transforms.Compose([transforms.ToTensor(), transforms.Normalize(OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)])
    batch = torch.stack([to_values(cropped(side)(source)) for source in sources])
    image_embeds = features(model.get_image_features(pixel_values=batch))
    ids = torch.full((2, 77), text.eos_token_id)
    generator = torch.Generator("cpu").manual_seed(22)
    for row, length in enumerate((9, 75)):
        ids[row, 0] = text.bos_token_id
        ids[row, 1 : 1 + length] = torch.randint(1, 190, (length,), generator=generator)
    text_embeds = features(model.get_text_features(input_ids=ids))
    unit = torch.nn.functional.normalize
    similarity = unit(image_embeds) @ unit(text_embeds).T
    weights = {name: tensor for name, tensor in model.state_dict().items() if "position_ids" not in name}
    dtype = torch.float32 if full else torch.float16
    save(folder / "model.safetensors", {name: tensor.to(dtype) for name, tensor in weights.items()})
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "layer_norm_eps")
    shared = lambda part: {key: getattr(part, key) for key in keys} | {"projection_dim": model.config.projection_dim}
    save_json(
        folder / "image_encoder.json",
        {
            "architectures": ["CLIPVisionModelWithProjection"],
            **shared(vision),
            "image_size": side,
            "patch_size": vision.patch_size,
        },
    )
    save_json(
        folder / "text_encoder.json",
        {
            "architectures": ["CLIPTextModelWithProjection"],
            **shared(text),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.max_position_embeddings,
            "eos_token_id": text.eos_token_id,
        },
    )
    values = {f"source.{index}": pixels(source) for index, source in enumerate(sources)}
    values |= {"image_embeds": image_embeds, "text_embeds": text_embeds, "similarity": similarity, "input_ids": ids.float()}
    save(folder / "values.safetensors", values)


def classifier_values() -> None:
    """The bundled classifier, dequantized, as plain torch."""
    from packed import load_tensors

    manifest = json.loads((CLASSIFIER / "manifest.json").read_text())
    component = manifest["components"]["image_encoder"]
    tensors = load_tensors(CLASSIFIER, component["files"])
    sources = [picture(64, 64, seed) for seed in (11, 12, 13)]
    state = torch.stack([transforms.ToTensor()(source) for source in sources]) * 2 - 1
    conv = lambda name, state, stride: torch.nn.functional.conv2d(
        state, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride, padding=1
    )
    for index in range(len(component["config"]["channels"])):
        state = conv(f"stages.{index}.halving", state, 2).relu()
        if index:
            inner = conv(f"stages.{index}.residual.0", state, 1).relu()
            state = (state + conv(f"stages.{index}.residual.1", inner, 1)).relu()
    linear = lambda name, state: state @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
    # Rows of pixels with their channels innermost.
    embedding = linear("embedding", state.permute(0, 2, 3, 1).flatten(1))
    values = {f"source.{index}": pixels(source) for index, source in enumerate(sources)}
    values |= {"embedding": embedding}
    values |= {name: linear(name, embedding) for name in ("concept", "style", "background", "placement")}
    save(FOLDER / "classifier.safetensors", values)


def full_size(folder: Path) -> None:
    dreamsim_values(folder / "dreamsim", FULL_DINO, 16, full=True)
    for name, (patch, size, inner, layers, heads, projection) in FULL_CLIP.items():
        text = {"hidden_size": size * 2 // 3, "intermediate_size": inner * 2 // 3, "num_attention_heads": heads * 2 // 3}
        vision = {
            "patch_size": patch,
            "hidden_size": size,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "image_size": 224,
        }
        if name == "clip-vit-large-patch14":
            text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
        ends = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
        config = {"projection_dim": projection, "text_config": text | ends, "vision_config": vision}
        clip_values(folder / name, config, full=True)


def main() -> None:
    reproducible()
    if sys.argv[1:2] == ["--full-size"]:
        full_size(Path(sys.argv[2]))
        return
    preprocessing()
    dreamsim_values(FOLDER / "dreamsim", TINY_DINO, 4, full=False)
    ensemble_values(FOLDER / "ensemble", 4)
    clip_values(FOLDER / "clip", TINY_CLIP, full=False)
    if (CLASSIFIER / "manifest.json").exists():
        classifier_values()


if __name__ == "__main__":
    main()
