"""Writes the manifests of the real SDXL pairs, public/pairs/sdxl-*.json, and public/pairs/index.json.

Usage: python tools/sdxl/pairs.py  (after `cargo build --bin pack`)

The files themselves stay on the hub; a manifest says where they are, what they are made of and how
their tensors are stored. docs/formats.md explains the fields. What a file takes in the browser's
store follows from its layout (layout.py). The program prints it, rule by rule.

Where a file's size is known (hub_files.py), it has to be the layout's to the byte, which this program
checks: the sizes prove that the layouts are those of the files.
"""

import gzip
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from configs import (
    EULER,
    EULER_ANCESTRAL,
    EULER_TRAILING,
    LCM,
    TEXT_ENCODER,
    TEXT_ENCODER_2,
    TINY_VAE,
    TOKENIZER,
    TOKENIZER_2,
    UNET,
    UNET_LCM,
    VAE,
)
from hub_files import (
    BASE,
    BASE_REVISION,
    BASE_TEXT_ENCODER,
    BASE_TEXT_ENCODER_2,
    BASE_UNET,
    DMD2,
    DMD2_LORA,
    HubFile,
    LCM_LORA,
    LCM_UNET,
    LIGHTNING,
    LIGHTNING_LORA,
    LORA_LAYOUT,
    TAESDXL,
    TURBO,
    VAE_FIX,
)
from layout import ROOT, element_count

PAIRS = ROOT / "public" / "pairs"
HUB = "https://huggingface.co"


def rule(tensors: str, encoding: str) -> dict:
    return {"tensors": tensors, "encoding": encoding}


# The first rule that fits a tensor counts; what no rule fits is f16: norms, biases, both ends of the
# UNet and the embeddings of timestep, sizes and guidance.
UNET_RULES = [
    rule("*.attn*.to_*.weight", "q4"),
    rule("*.ff.net.*.weight", "q4"),
    # They carry the whole signal into and out of a transformer, and the timestep into a block, and
    # are 3 % of the UNet together.
    rule("*.proj_in.weight", "q8"),
    rule("*.proj_out.weight", "q8"),
    rule("*.time_emb_proj.weight", "q8"),
    rule("*.resnets.*.conv*.weight", "q8"),
    rule("*samplers.0.conv.weight", "q8"),
]
TEXT_RULES = [
    rule("*.self_attn.*_proj.weight", "q8"),
    rule("*.mlp.fc*.weight", "q8"),
    rule("*.token_embedding.weight", "q8"),
]
TEXT_RULES_2 = [*TEXT_RULES, rule("text_projection.weight", "q8")]
# What there is no better way for; the rule stands there to be changed.
WHOLE = [rule("*", "f16")]


def licence(name: str, url: str) -> dict:
    return {"name": name, "url": url}


BASE_LICENCE = licence(
    "CreativeML Open RAIL++-M (SDXL)", f"{HUB}/{BASE}/blob/{BASE_REVISION}/LICENSE.md"
)
DMD2_LICENCE = licence("CC BY-NC 4.0 (DMD2)", "https://creativecommons.org/licenses/by-nc/4.0/")
LIGHTNING_LICENCE = licence(
    "Open RAIL++ (SDXL-Lightning)",
    f"{HUB}/{LIGHTNING.repository}/blob/{LIGHTNING.revision}/LICENSE.md",
)
# Neither repository of LCM has the text; their cards name the licence.
LCM_LICENCE = licence("Open RAIL++ (LCM)", f"{HUB}/{LCM_UNET.repository}")
LCM_LORA_LICENCE = licence("Open RAIL++ (LCM-LoRA)", f"{HUB}/{LCM_LORA.repository}")
TURBO_LICENCE = licence(
    "Stability AI Community License (SDXL-Turbo)", f"{HUB}/{TURBO.repository}/blob/main/LICENSE.md"
)
# Neither repository has the text; their cards name the licence.
DECODER_LICENCES = [
    licence("MIT (SDXL VAE fp16 fix)", f"{HUB}/{VAE_FIX.repository}"),
    licence("MIT (TAESDXL)", f"{HUB}/{TAESDXL.repository}"),
]


@dataclass(frozen=True)
class Pair:
    id: str
    name: str
    # What the distilled model is; the steps and the cost follow by themselves.
    about: str
    # A line in the list of pairs.
    summary: str
    distilled: HubFile
    licence: dict
    # Whom the distilled model is from.
    makers: str
    scheduler: dict
    guidance: float
    # What its licence asks beyond a decent use.
    restriction: str = ""
    config: dict = field(default_factory=lambda: UNET)
    timesteps: tuple[int, ...] = ()
    image_size: int = 1024
    # Before the description.
    advice: str = ""

    @property
    def is_lora(self) -> bool:
        return self.distilled.layout is LORA_LAYOUT


STEPS = 4
BASE_STEPS = 25
BASE_GUIDANCE = 7.0
# Each leaves much open, so that different seeds can differ: a prompt that says everything has one
# picture.
PROMPTS = [
    "a portrait of a fisherman",
    "a dog in a living room",
    "a house by the sea, oil painting",
    "a street market in the rain",
    "a still life with fruit",
    "an imaginary animal, storybook illustration",
]

DMD2_MAKERS = "DMD2: Tianwei Yin and others, MIT and Adobe."
LIGHTNING_MAKERS = "SDXL-Lightning: Shanchuan Lin and others, ByteDance."
LCM_MAKERS = "LCM: Simian Luo, Yiqin Tan and others, Tsinghua University, and Hugging Face."
# The Community License asks for these words.
TURBO_MAKERS = "SDXL-Turbo: Axel Sauer and others, Stability AI. Powered by Stability AI."

# In the order of the page's list: what most people should take first, whole models after the LoRAs.
PAIR_TABLE = [
    Pair(
        id="sdxl-dmd2-lora",
        name="SDXL + DMD2 (LoRA)",
        about="DMD2 as a LoRA on it",
        summary=(
            "The one to begin with: a LoRA, so that there is less to load and less memory to fill, "
            "and close to SDXL's own look; not for commercial use."
        ),
        distilled=DMD2_LORA,
        licence=DMD2_LICENCE,
        makers=DMD2_MAKERS,
        scheduler=LCM,
        guidance=0.0,
        restriction="its licence forbids commercial use",
        advice="The one to begin with: its LoRA is less to load than a whole model and needs less memory. ",
        timesteps=(999, 749, 499, 249),
    ),
    Pair(
        id="sdxl-lightning-lora",
        name="SDXL + Lightning (LoRA)",
        about="SDXL-Lightning as a LoRA on it",
        summary="A LoRA too, and for any use: crisp, and without new noise between the steps.",
        distilled=LIGHTNING_LORA,
        licence=LIGHTNING_LICENCE,
        makers=LIGHTNING_MAKERS,
        scheduler=EULER_TRAILING,
        guidance=0.0,
    ),
    Pair(
        id="sdxl-lcm-lora",
        name="SDXL + LCM (LoRA)",
        about="LCM as a LoRA on it",
        summary="A LoRA too, a consistency model: softer; it takes a guidance scale of 1 to 2.",
        distilled=LCM_LORA,
        licence=LCM_LORA_LICENCE,
        makers=LCM_MAKERS,
        scheduler=LCM,
        # Up to 2 works as well, but above 1 each step takes two passes.
        guidance=1.0,
    ),
    Pair(
        id="sdxl-dmd2",
        name="SDXL + DMD2",
        about="DMD2, a whole model distilled from it by distribution matching",
        summary="The whole model in place of the LoRA: more to load and to hold; not for commercial use.",
        distilled=DMD2,
        licence=DMD2_LICENCE,
        makers=DMD2_MAKERS,
        scheduler=LCM,
        guidance=0.0,
        restriction="its licence forbids commercial use",
        # LCM's own would be [999, 759, 499, 259]; DMD2 was trained at these.
        timesteps=(999, 749, 499, 249),
    ),
    Pair(
        id="sdxl-lightning",
        name="SDXL + Lightning",
        about="SDXL-Lightning, a whole model distilled from it adversarially",
        summary="The whole model in place of the LoRA: more to load and to hold.",
        distilled=LIGHTNING,
        licence=LIGHTNING_LICENCE,
        makers=LIGHTNING_MAKERS,
        scheduler=EULER_TRAILING,
        guidance=0.0,
    ),
    Pair(
        id="sdxl-lcm",
        name="SDXL + LCM",
        about="LCM, a whole latent consistency model distilled from it",
        summary="The whole model in place of the LoRA: its guidance scale costs no second pass.",
        distilled=LCM_UNET,
        licence=LCM_LICENCE,
        makers=LCM_MAKERS,
        scheduler=LCM,
        guidance=8.0,
        config=UNET_LCM,
    ),
    Pair(
        id="sdxl-turbo",
        name="SDXL + Turbo",
        about="SDXL-Turbo, a whole model distilled from it for small pictures",
        summary="Pictures of 512 × 512 pixels: the least work for the graphics card.",
        distilled=TURBO,
        licence=TURBO_LICENCE,
        makers=TURBO_MAKERS,
        scheduler=EULER_ANCESTRAL,
        guidance=0.0,
        restriction="its licence asks companies above a certain revenue to pay",
        image_size=512,
    ),
]

# Of the bundled pairs, by their ids.
EMOJI_SUMMARIES = {
    "emoji": "Emojis in four steps, by distribution matching; they come with the page.",
    "emoji-lightning": "Emojis in four Euler steps; they come with the page.",
    "emoji-lcm": "Emojis from a latent consistency model; they come with the page.",
}


BLOCK = 32
BITS = {"f32": 32, "f16": 16, "q8": 8, "q4": 4}


def encoding_of(name: str, rules: list[dict]) -> str:
    for entry in rules:
        pattern = ".*".join(re.escape(part) for part in entry["tensors"].split("*"))
        if re.fullmatch(pattern, name):
            return entry["encoding"]
    return "f16"


def stored_bytes(name: str, shape: list[int], rules: list[dict]) -> int:
    """Bytes of a stored tensor: quantized ones have an f16 scale for each block of a row."""
    encoding = encoding_of(name, rules)
    count = math.prod(shape)
    if encoding in ("q8", "q4"):
        if len(shape) < 2 or math.prod(shape[1:]) % BLOCK != 0:
            raise SystemExit(f"The tensor {name} of shape {shape} can't be stored as {encoding}.")
        return count * BITS[encoding] // 8 + count // BLOCK * 2
    return count * BITS[encoding] // 8


def stored_size(file: HubFile, rules: list[dict]) -> int:
    return sum(stored_bytes(name, shape, rules) for name, shape in file.layout.items())


def file_entry(file: HubFile, rules: list[dict]) -> dict:
    if file.size not in (None, file.expected_size()):
        raise SystemExit(
            f"{file.repository}: {file.path} has {file.size} bytes, "
            f"and its layout {file.expected_size()}."
        )
    entry: dict = {
        "path": file.path,
        "hub": {"repository": file.repository, "revision": file.revision},
    }
    if file.size is not None:
        entry["size"] = file.size
    if file.sha256 is not None:
        entry["sha256"] = file.sha256
    return entry | {"stored_size": stored_size(file, rules)}


def component(config: dict, file: HubFile, rules: list[dict]) -> dict:
    for entry in rules:
        if not any(encoding_of(name, [entry | {"encoding": ""}]) == "" for name in file.layout):
            raise SystemExit(f"The rule {entry} fits no tensor of {file.path}.")
    return {"config": config, "files": [file_entry(file, rules)], "encodings": rules}


def tokenizer_files() -> list[dict]:
    """CLIP's own vocabulary, which the emoji pair brings along."""
    emoji = json.loads((PAIRS / "emoji" / "manifest.json").read_text())
    return [
        file | {"path": f"emoji/{file['path']}"}
        for file in emoji["components"]["tokenizer"]["files"]
    ]


def components(pair: Pair) -> dict:
    distilled = component(pair.config, pair.distilled, WHOLE if pair.is_lora else UNET_RULES)
    if pair.is_lora:
        distilled["adapter_on"] = "unet"
    tokens = tokenizer_files()
    return {
        "unet": component(UNET, BASE_UNET, UNET_RULES),
        "unet_distilled": distilled,
        "text_encoder": component(TEXT_ENCODER, BASE_TEXT_ENCODER, TEXT_RULES),
        "text_encoder_2": component(TEXT_ENCODER_2, BASE_TEXT_ENCODER_2, TEXT_RULES_2),
        "vae": component(VAE, VAE_FIX, WHOLE),
        "tiny_decoder": component(TINY_VAE, TAESDXL, WHOLE),
        "tokenizer": {"config": TOKENIZER, "files": tokens},
        "tokenizer_2": {"config": TOKENIZER_2, "files": tokens},
    }


def hub_files(pair: Pair) -> list[HubFile]:
    return [
        BASE_UNET,
        pair.distilled,
        BASE_TEXT_ENCODER,
        BASE_TEXT_ENCODER_2,
        VAE_FIX,
        TAESDXL,
    ]


def download_size(pair: Pair) -> int:
    """Bytes from the hub and, for the vocabulary, from the page's own host. The layout stands in for
    a size that only the hub knows."""
    return sum(file.expected_size() for file in hub_files(pair)) + sum(
        file["size"] for file in tokenizer_files()
    )


def unpacked_size(folder: Path, files: list[dict]) -> int:
    """Bytes of bundled files in the store, which holds them unpacked."""
    size = 0
    for file in files:
        content = (folder / file["path"]).read_bytes()
        size += len(gzip.decompress(content) if file.get("compression") else content)
    return size


def kept_size(pair: Pair) -> int:
    """Bytes in the browser's store."""
    files = [file for part in components(pair).values() for file in part["files"]]
    return sum(file.get("stored_size", 0) for file in files) + unpacked_size(
        PAIRS, tokenizer_files()
    )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def description(pair: Pair) -> str:
    size = pair.image_size
    restriction = f"; {pair.restriction}" if pair.restriction else ""
    return (
        f"{pair.advice}Stable Diffusion XL and {pair.about}, which draws {size} × {size} pixels in {STEPS} steps "
        f"instead of {BASE_STEPS}. It is a download of {gigabytes(download_size(pair))}, takes "
        f"{gigabytes(kept_size(pair))} of this browser's disk space and needs a good graphics "
        f"card{restriction}."
    )


def manifest(pair: Pair) -> dict:
    return {
        "format": 2,
        "id": pair.id,
        "name": pair.name,
        "description": description(pair),
        "licence": pair.licence,
        "licences_to_accept": [pair.licence, BASE_LICENCE, *DECODER_LICENCES],
        "attribution": (
            f"SDXL: Dustin Podell and others, Stability AI. {pair.makers} VAE for half precision and "
            "tiny decoder (TAESDXL): Ollin Boer Bohan, MIT. The vocabulary is CLIP's (OpenAI, MIT)."
        ),
        "image_size": [pair.image_size, pair.image_size],
        "force_zeros_for_empty_prompt": True,
        "components": components(pair),
        "schedulers": {"base": EULER, "distilled": pair.scheduler},
        "defaults": {
            "prompt": PROMPTS[0],
            "example_prompts": PROMPTS,
            "base_steps": BASE_STEPS,
            "base_guidance": BASE_GUIDANCE,
            "distilled_steps": STEPS,
            "distilled_timesteps": list(pair.timesteps),
            "distilled_guidance": pair.guidance,
            "k": 1,
            "hybrid_base_guidance": 0.0,
            "hybrid_base_steps": 1,
            "seed": 0,
            "seed_count": 4,
        },
    }


def index_entry(path: str, content: dict, summary: str, bundled: bool) -> dict:
    return {
        "manifest": path,
        "name": content["name"],
        "description": summary,
        "bundled": bundled,
        "licence": content["licence"]["name"],
        "image_size": content["image_size"],
        "steps": content["defaults"]["distilled_steps"],
    }


def bundled_entries() -> list[dict]:
    folder = PAIRS / "emoji"
    entries = []
    for member in json.loads((folder / "manifest.json").read_text())["family"]:
        content = json.loads((folder / member["manifest"]).read_text())
        files = {
            file["sha256"]: file
            for part in content["components"].values()
            for file in part["files"]
        }.values()
        entry = index_entry(
            f"emoji/{member['manifest']}", content, EMOJI_SUMMARIES[content["id"]], bundled=True
        )
        entries.append(
            entry
            | {
                "download_size": sum(file["size"] for file in files),
                "stored_size": unpacked_size(folder, files),
            }
        )
    return entries


# The networks that measure pictures, relative to the page; the bundled one comes first.
NETWORKS = [
    "perceptual/emoji/manifest.json",
    "perceptual/clip-vit-base-patch32.json",
    "perceptual/clip-vit-large-patch14.json",
    "perceptual/dreamsim-dino-vitb16.json",
    "perceptual/dreamsim-ensemble.json",
]


def index(manifests: list[dict]) -> dict:
    pairs = bundled_entries()
    for pair, content in zip(PAIR_TABLE, manifests):
        entry = index_entry(f"{pair.id}.json", content, pair.summary, bundled=False)
        sizes = {"download_size": download_size(pair), "stored_size": kept_size(pair)}
        pairs.append(entry | sizes)
    return {"pairs": pairs, "networks": NETWORKS}


def write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def report() -> None:
    """Prints what each rule makes of a file, and what a pair costs."""
    for file, rules in [
        (BASE_UNET, UNET_RULES),
        (LCM_UNET, UNET_RULES),
        (DMD2_LORA, WHOLE),
        (BASE_TEXT_ENCODER, TEXT_RULES),
        (BASE_TEXT_ENCODER_2, TEXT_RULES_2),
        (VAE_FIX, WHOLE),
        (TAESDXL, WHOLE),
    ]:
        print(
            f"{file.repository}, {file.path}: {element_count(file.layout)} values, "
            f"{stored_size(file, rules)} bytes stored"
        )
        left = dict(file.layout)
        for entry in [*rules, rule("*", "f16")]:
            taken = {n: s for n, s in left.items() if encoding_of(n, [entry | {"encoding": ""}]) == ""}
            left = {n: s for n, s in left.items() if n not in taken}
            size = sum(stored_bytes(n, s, [entry]) for n, s in taken.items())
            if taken:
                print(
                    f"  {entry['tensors']:28} {entry['encoding']:4} {len(taken):5} tensors "
                    f"{element_count(taken):11} values {size:11} bytes"
                )
    for pair in PAIR_TABLE:
        print(f"{pair.id:20} download {download_size(pair):12} stored {kept_size(pair):11}")


def main() -> None:
    manifests = [manifest(pair) for pair in PAIR_TABLE]
    for content in manifests:
        write(PAIRS / f"{content['id']}.json", content)
    write(PAIRS / "index.json", index(manifests))
    report()


if __name__ == "__main__":
    main()
