"""Writes the manifests of the published networks that measure pictures: public/perceptual/*.json.

Usage: python tools/perceptual/manifests.py

What stands here was looked up in the hub's public pages, and the pages say no more: where a size or a hash is
missing, the page asks the hub for it before a load.
"""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "public" / "perceptual"

IMAGENET = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
CLIP = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "deviation": [0.26862954, 0.26130258, 0.27577711],
}
#: A measure that is compared with other people's numbers is no place for quantized weights.
ENCODINGS = [{"tensors": "*", "encoding": "f16"}]

TOKENIZER = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "model_max_length": 77,
}

#: Patch; width, inner width, layers and heads of the image's and of the text's encoder; width of the embeddings.
CLIPS = {
    "clip-vit-base-patch32": dict(
        name="CLIP ViT-B/32",
        # The repository's main branch has torch's file alone; the hub's own conversion of it is this commit.
        revision="c237dc49a33fc61debc9276459120b7eac67e7ef",
        file={"size": 605157884},
        vocabulary_revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        patch=32,
        vision=(768, 3072, 12, 12),
        text=(512, 2048, 12, 8),
        projection=512,
    ),
    "clip-vit-large-patch14": dict(
        name="CLIP ViT-L/14",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        file={
            "size": 1710540580,
            "sha256": "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        },
        vocabulary_revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        patch=14,
        vision=(1024, 4096, 24, 16),
        text=(768, 3072, 12, 12),
        projection=768,
    ),
}


def sizes(width: int, inner: int, layers: int, heads: int) -> dict:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


def clip(name: str, facts: dict) -> dict:
    repository = f"openai/{name}"
    hub = {"repository": repository, "revision": facts["revision"]}
    weights = [{"path": "model.safetensors", "hub": hub, **facts["file"]}]
    vocabulary = {"repository": repository, "revision": facts["vocabulary_revision"]}
    shared = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": facts["projection"]}
    return {
        "format": 2,
        "id": name,
        "name": facts["name"],
        "description": f"OpenAI's {facts['name']}: pictures and texts in one space, for the CLIP score and for how far the pictures of a row spread.",
        "licence": {"name": "MIT (CLIP)", "url": "https://github.com/openai/CLIP/blob/main/LICENSE"},
        "attribution": "CLIP: Alec Radford, Jong Wook Kim and others, OpenAI, 2021.",
        "measure": "clip",
        "input": {"side": 224, "fit": "crop", **CLIP},
        "components": {
            "image_encoder": {
                "config": {
                    "architectures": ["CLIPVisionModelWithProjection"],
                    "image_size": 224,
                    "patch_size": facts["patch"],
                    **sizes(*facts["vision"]),
                    **shared,
                },
                "files": weights,
                "encodings": ENCODINGS,
            },
            "text_encoder": {
                "config": {
                    "architectures": ["CLIPTextModelWithProjection"],
                    "vocab_size": 49408,
                    "max_position_embeddings": 77,
                    # Of the published config: an old vocabulary's, where the largest id ends a text.
                    "eos_token_id": 2,
                    **sizes(*facts["text"]),
                    **shared,
                },
                "files": weights,
                "encodings": ENCODINGS,
            },
            "tokenizer": {
                "config": TOKENIZER,
                "files": [{"path": path, "hub": vocabulary} for path in ("vocab.json", "merges.txt")],
            },
        },
    }


def dreamsim() -> dict:
    hub = {
        "repository": "timm/vit_base_patch16_224.dino",
        "revision": "471e25ecc5462b6a824b8e3f974a5d48ee067ed1",
    }
    return {
        "format": 2,
        "id": "dreamsim-dino-vitb16",
        "name": "DreamSim (DINO ViT-B/16)",
        "description": "DreamSim's single branch on DINO, which judges how alike two pictures are much as people do. The paper's diversity is measured with DreamSim. Its adapter is published in an archive that no browser may read from here: tools/perceptual/dreamsim.py makes a folder of it that any static host can serve.",
        "licence": {"name": "MIT (DreamSim)", "url": "https://github.com/ssundaram21/dreamsim/blob/main/LICENSE"},
        "licences_to_accept": [
            {"name": "MIT (DreamSim)", "url": "https://github.com/ssundaram21/dreamsim/blob/main/LICENSE"},
            {"name": "Apache-2.0 (DINO)", "url": "https://github.com/facebookresearch/dino/blob/main/LICENSE"},
        ],
        "attribution": "DreamSim: Stephanie Fu, Netanel Tamir, Shobhita Sundaram and others, 2023. DINO: Mathilde Caron and others, Meta AI, 2021, in timm's conversion.",
        "measure": "dream_sim",
        "input": {"side": 224, "fit": "stretch", **IMAGENET},
        "components": {
            "image_encoder": {
                "config": {
                    "architectures": ["VisionTransformer"],
                    "image_size": 224,
                    "patch_size": 16,
                    **sizes(768, 3072, 12, 12),
                    "hidden_act": "gelu",
                    "layer_norm_eps": 1e-6,
                },
                "files": [
                    {
                        "path": "model.safetensors",
                        "hub": hub,
                        "sha256": "93181583427d6de3e18ab0e6ee4df35736cfc51a3c1bf9ae0e9b53b1316598dc",
                    }
                ],
                "encodings": ENCODINGS,
            },
            "adapter": {"config": {}, "files": []},
        },
    }


def dreamsim_ensemble() -> dict:
    """The single branch's manifest with two networks beside DINO, of which nobody publishes a safetensors file."""
    manifest = dreamsim()
    manifest |= {
        "id": "dreamsim-ensemble",
        "name": "DreamSim (ensemble)",
        "description": "DreamSim as its package has it unless told otherwise: DINO, CLIP and OpenCLIP together, three times the work of the single branch and nearer to people's judgement. Two of its networks and its adapter are published in an archive that no browser may read from here: tools/perceptual/dreamsim.py makes a folder of it that any static host can serve.",
        "attribution": f"{manifest['attribution']} CLIP: Alec Radford, Jong Wook Kim and others, OpenAI, 2021. OpenCLIP: Gabriel Ilharco, Mitchell Wortsman and others, 2021, trained on LAION-400M.",
    }
    manifest["licences_to_accept"] += [
        {"name": "MIT (CLIP)", "url": "https://github.com/openai/CLIP/blob/main/LICENSE"},
        {"name": "MIT (OpenCLIP)", "url": "https://github.com/mlfoundations/open_clip/blob/main/LICENSE"},
    ]
    manifest["components"]["further_image_encoders"] = [
        {
            "input": {"side": 224, "fit": "stretch", **CLIP},
            "component": {
                "config": {
                    "architectures": ["VisionTransformerWithProjection"],
                    "image_size": 224,
                    "patch_size": 16,
                    **sizes(768, 3072, 12, 12),
                    "hidden_act": activation,
                    "layer_norm_eps": 1e-5,
                    "projection_dim": 512,
                },
                "files": [],
                "encodings": ENCODINGS,
            },
        }
        for activation in ("quick_gelu", "gelu")
    ]
    return manifest


def write(name: str, manifest: dict) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> None:
    for name, facts in CLIPS.items():
        write(name, clip(name, facts))
    write("dreamsim-dino-vitb16", dreamsim())
    write("dreamsim-ensemble", dreamsim_ensemble())


if __name__ == "__main__":
    main()
