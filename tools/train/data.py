"""Renders the emoji sets into one array of sprites, and gathers the names of what they show.

Usage: python tools/train/data.py  (after `npm ci --prefix tools/train`)

Writes `sprites.npy` `[concept, style, height, width, RGBA]` in 8 bits, `concepts.json` and a contact
sheet into the work folder. `ink.npy`, of one style, is no part of the pair's training: style.py learns it.
"""

import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import resvg_py
import torch
from PIL import Image

from common import contact_sheet, options, start

FOLDER = Path(__file__).resolve().parent
#: The styles, in the order of the sprites: two sets, and the two looks of a third.
STYLES = ("noto", "twemoji", "flat", "3d")
#: The packages of drawings in SVG: a style of the pair, and one that the pair doesn't know.
ICONS = {"flat": "fluent-emoji-flat", "ink": "fluent-emoji-high-contrast"}
#: Somewhat larger than any sprite is drawn, so that placing only ever scales down.
SPRITE_SIZE = 72
#: A tag that more concepts than this share ("animal", "food") says too little to draw.
TAG_LIMIT = 20


def chosen_concepts() -> list[tuple[str, list[str], str]]:
    """Label, further names and group of every line of concepts.txt."""
    concepts, group = [], ""
    for line in (FOLDER / "concepts.txt").read_text().splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line and not line.startswith("#"):
            label, _, names = line.partition(" = ")
            concepts.append((label, [name.strip() for name in names.split(",") if name.strip()], group))
    return concepts


def square(image: Image.Image) -> np.ndarray:
    """The picture on a transparent square of the sprites' size. Resized premultiplied: no dark seams."""
    image = image.convert("RGBA").convert("RGBa")
    scale = SPRITE_SIZE / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBa", (SPRITE_SIZE, SPRITE_SIZE))
    canvas.paste(image, ((SPRITE_SIZE - image.width) // 2, (SPRITE_SIZE - image.height) // 2))
    return np.asarray(canvas.convert("RGBA"))


def main() -> None:
    arguments = options(__doc__.splitlines()[0]).parse_args()
    start(arguments)
    modules = FOLDER / "node_modules"
    if not modules.exists():
        raise SystemExit(f"The emoji sets are missing: run `npm ci --prefix {FOLDER}` first.")
    read = lambda path: json.loads((modules / path).read_text())
    without_selector = lambda code: code.lower().replace("-fe0f", "")
    names = {entry["label"]: entry for entry in read("emojibase-data/en/data.json")}
    sheet = {without_selector(entry["unified"]): entry for entry in read("emoji-datasource-google/emoji.json")}
    icons = {style: read(f"@iconify-json/{package}/icons.json") for style, package in ICONS.items()}
    icon_names = {
        style: {without_selector(code): name for code, name in read(f"@iconify-json/{package}/chars.json").items()}
        for style, package in ICONS.items()
    }
    solid = {without_selector(path.stem): path for path in (modules / "@lobehub/fluent-emoji-3d/assets").glob("*.webp")}

    def drawn(style: str, code: str) -> Image.Image:
        icon = icons[style]["icons"][icon_names[style][code]]
        width, height = (icon.get(side, icons[style].get(side, 32)) for side in ("width", "height"))
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
        return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * SPRITE_SIZE))))

    sprites, ink, concepts = [], [], []
    for label, extra_names, group in chosen_concepts():
        if label not in names:
            raise SystemExit(f"concepts.txt: emojibase has no emoji labelled {label!r}.")
        code = without_selector(names[label]["hexcode"])
        file = sheet[code]["image"]
        sprites.append(
            [
                square(Image.open(modules / "emoji-datasource-google/img/google/64" / file)),
                square(Image.open(modules / "emoji-datasource-twitter/img/twitter/64" / file)),
                square(drawn("flat", code)),
                square(Image.open(solid[code])),
            ]
        )
        ink.append([square(drawn("ink", code))])
        tags = [tag.lower() for tag in names[label].get("tags", []) if re.fullmatch("[A-Za-z -]{3,}", tag)]
        concepts.append({"code": code, "label": label, "names": [name.lower() for name in extra_names], "tags": tags, "group": group})
    common = {tag for tag, count in Counter(tag for concept in concepts for tag in concept["tags"]).items() if count > TAG_LIMIT}
    known = {name.lower() for concept in concepts for name in [concept["label"], *concept["names"]]}
    for concept in concepts:
        concept["tags"] = [tag for tag in concept["tags"] if tag not in common and tag not in known]

    sprites = np.array(sprites)
    np.save(arguments.work / "sprites.npy", sprites)
    np.save(arguments.work / "ink.npy", np.array(ink))
    (arguments.work / "concepts.json").write_text(json.dumps(concepts, indent=1, ensure_ascii=False))
    print(f"{len(concepts)} concepts in {len(STYLES)} styles; {sum(len(c['names']) + len(c['tags']) for c in concepts)} further names.")
    picture = torch.from_numpy(sprites).float().permute(0, 1, 4, 2, 3) / 255
    picture = (picture[:, :, :3] * picture[:, :, 3:] + 1 - picture[:, :, 3:]).flatten(0, 1) * 2 - 1
    contact_sheet(list(picture.split(32)), arguments.work / "data.png", scale=1)


if __name__ == "__main__":
    main()
