"""Writes the trained pair in diffusers' layout, and the list of what it knows.

Usage: python tools/train/export.py  (after base.py and distill.py)

Into `export/` of the work folder: what `StableDiffusionXLPipeline.from_pretrained` loads, in float16; the
distilled UNet and its scheduler beside it as `unet_distilled` and `scheduler_distilled`; the relatives that
were trained likewise, as `unet_lightning` and so on; and `vocabulary.json`. The program `pack` makes the served files of it.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from base import load_base
from common import options, start
from models import END_TOKEN, PADDING, START_TOKEN, Vocabulary, load_tokenizer, text_encoder_config
from prompts import BACKGROUND_NAMES, STYLE_WORDS
from sampling import BASE_SCHEDULER_CONFIG

RELATIVES = ("lightning", "lcm")
#: The words of prompts that name nothing.
FILLERS = ("a", "an", "and", "background", "emoji", "image", "in", "of", "on", "photo", "picture", "style")


def full_text_encoder(encoder, second: bool, vocabulary: Vocabulary):
    """The text encoder with a row for each of CLIP's tokens: those that were never seen share one."""
    classes = (CLIPTextModel, CLIPTextModelWithProjection)
    whole = classes[second](text_encoder_config(second, END_TOKEN + 1, START_TOKEN, END_TOKEN, PADDING[second]))
    tensors = encoder.state_dict()
    (name,) = (name for name in tensors if name.endswith("token_embedding.weight"))
    whole.load_state_dict(tensors | {name: tensors[name][vocabulary.numbers]})
    return whole.eval()


def known(work: Path) -> dict:
    """What the page says that the pair knows: groups of things with all their names, styles and backgrounds."""
    groups: dict[str, list[list[str]]] = {}
    for concept in json.loads((work / "concepts.json").read_text()):
        words = list(dict.fromkeys([concept["label"].lower(), *concept["names"], *concept["tags"]]))
        groups.setdefault(concept["group"], []).append(words)
    return {
        "groups": [{"name": name, "words": words} for name, words in groups.items()],
        "styles": [word for words in STYLE_WORDS.values() for word in words],
        "backgrounds": list(BACKGROUND_NAMES),
        "fillers": list(FILLERS),
    }


def main() -> None:
    arguments = options(__doc__.splitlines()[0]).parse_args()
    start(arguments)
    work, folder = arguments.work, arguments.work / "export"
    shutil.rmtree(folder, ignore_errors=True)
    unet, encoders, vae = load_base(work, torch.device("cpu"))
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=full_text_encoder(encoders.first, False, encoders.vocabulary),
        text_encoder_2=full_text_encoder(encoders.second, True, encoders.vocabulary),
        tokenizer=load_tokenizer(work, PADDING[0]),
        tokenizer_2=load_tokenizer(work, PADDING[1]),
        unet=unet,
        scheduler=DDIMScheduler(**BASE_SCHEDULER_CONFIG),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)
    # transformers writes its own format alone; the real SDXL has CLIP's two files as well, and `pack` reads them.
    for name in ("tokenizer", "tokenizer_2"):
        for file in ("vocab.json", "merges.txt"):
            shutil.copy(work / "vocabulary" / file, folder / name / file)
    distilled = UNet2DConditionModel.from_pretrained(work / "distilled/unet", torch_dtype=torch.float16)
    distilled.save_pretrained(folder / "unet_distilled")
    shutil.copytree(work / "distilled/scheduler", folder / "scheduler_distilled")
    for name in RELATIVES:
        if (work / name).exists():
            shutil.copytree(work / name, folder / f"unet_{name}", ignore=lambda *_: ["scheduler"])
            shutil.copytree(work / name / "scheduler", folder / f"scheduler_{name}")
    (folder / "vocabulary.json").write_text(json.dumps(known(work), indent=1, ensure_ascii=False) + "\n")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            print(f"{file.stat().st_size:>10}  {file.relative_to(folder)}")


if __name__ == "__main__":
    main()
