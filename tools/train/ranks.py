"""Measures how much of the distilled model a LoRA on the base is, by its rank and by how it is used.

Usage: python tools/train/ranks.py   (after classifier.py and extract.py)

The distilled UNet, the base, and the base with each adapter of extract.py take the distilled model's place in
each mode, with the same prompts and seeds. The distance is the root mean square difference of each picture to the
full distilled model's of the same mode, with colours from 0 to 1, over all pixels; other seeds of the same prompt
say what it is to be compared with. Diversity and recognition are evaluate.py's. Intervals are those of
evaluate.py too: 95 %, by bootstrap over prompts.

Writes `ranks.json` and a contact sheet: a row for each adapter, for each of three prompts.
"""

import json

import torch

from adapters import FOLDER, adapted, load_unet, read_changes
from classifier import Singles, load_classifier
from common import contact_sheet, options, start
from evaluate import Bootstrap, bearers, distances, figures_of, load_sampler, mean_pairwise
from extract import RANKS
from prompts import HELD_OUT, with_article

LORA_MODES = ("distilled", "hybrid", "skip")
KEPT = ("recognized", "embedding_distance", "pixel_distance")
SHEET_PROMPTS, SHEET_SEEDS = (1, 9, 24), 8


def flat(pictures: torch.Tensor) -> torch.Tensor:
    """Colours from 0 to 1, a row a picture, scaled so that a distance of rows is a root mean square."""
    rows = ((pictures + 1) / 2).flatten(1)
    return rows / rows.shape[1] ** 0.5


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=len(HELD_OUT))
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    device = start(arguments)
    work, seeds, names = arguments.work, arguments.seeds, list(HELD_OUT[: arguments.prompts])
    classifier, accuracy = load_classifier(work, device)
    concepts = Singles(work, device).concepts
    accepted = [bearers(concepts, name) for name in names]
    sampler = load_sampler(work, "distilled", device)
    full, carrier = sampler.distilled, load_unet(work, "base", device)
    adapters = [f"distillation-{rank}{ending}" for ending in ("", "-small") for rank in RANKS]
    bootstrap = Bootstrap(len(names))
    result = {"classifier": accuracy, "prompts": names, "seeds": seeds, "models": {}}
    sheet: dict[int, list[torch.Tensor]] = {index: [] for index in SHEET_PROMPTS if index < len(names)}
    reference: dict[str, torch.Tensor] = {}
    for name in ("full", "base", *adapters):
        sampler.distilled = full if name == "full" else carrier
        changes = read_changes(work / FOLDER / f"{name}.safetensors") if name in adapters else {}
        for mode in LORA_MODES:
            with adapted([carrier], changes, 1.0):
                pictures = torch.cat([sampler.draw(mode, [f"image of {with_article(asked)}"] * seeds, list(range(seeds))) for asked in names])
            by_prompt = pictures.split(seeds)
            figures = [figures_of(shown, classifier.predict(shown), good) for shown, good in zip(by_prompt, accepted)]
            reference.setdefault(mode, pictures)
            apart = (flat(pictures) - flat(reference[mode])).norm(dim=1).view(len(names), seeds).mean(1).tolist()
            if name == "full":
                # Between seeds: what a distance is to be compared with.
                apart = [mean_pairwise(distances(flat(shown), flat(shown))) for shown in by_prompt]
            cell = {key: bootstrap.mean([prompt[key] for prompt in figures]) for key in KEPT}
            cell["distance_of_seeds" if name == "full" else "distance_to_full"] = bootstrap.mean(apart)
            result["models"].setdefault(name, {})[mode] = cell
            print(f"{name}, {mode}: " + ", ".join(f"{key} {value['mean']:.3f}" for key, value in cell.items()), flush=True)
            (work / "ranks.json").write_text(json.dumps(result, indent=1) + "\n")
            if mode == "distilled":
                for index, rows in sheet.items():
                    rows.append(by_prompt[index][:SHEET_SEEDS])
    contact_sheet([row for rows in sheet.values() for row in rows], work / FOLDER / "ranks.png", scale=1)


if __name__ == "__main__":
    main()
