"""Measures whether an adapter does to the other models what it does to the one that it was trained on.

Usage: python tools/train/transfer.py   (after classifier.py, probe.py, style.py on both models, and slider.py for each)

Asks every model for the same prompts from the same seeds with each adapter at each strength, and counts the
pictures that have the attribute, as the pair's classifier sees it: a happy or a sad face by the concept, a black
or a white background by the background. It has no word for black ink; that is what probe.py's network sees.

The share has Wilson's 95 % interval: the pictures of a cell count as independent draws. The change is the root
mean square difference, at half size and with colours from 0 to 1, of each picture to the same seed's without the
adapter. In the hybrid the adapter acts on both models.

Writes `transfer.json`, cell by cell, so that it can be cut off and taken up again, and a contact sheet for each
adapter: a row for each model, the strengths side by side, for two of the prompts.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch

from adapters import FOLDER, adapted, read_changes
from classifier import Prediction, Singles, load_classifier
from common import contact_sheet, options, start
from evaluate import bearers, halved, load_sampler
from pictures import BACKGROUNDS
from probe import Probe
from prompts import HELD_OUT, with_article
from sampling import BASE_STEPS

#: The columns: the model's name, the folder of the distilled model, and the mode.
MODELS = {
    "base": ("distilled", "base"),
    "distilled": ("distilled", "distilled"),
    "hybrid": ("distilled", "hybrid"),
    "lightning": ("lightning", "distilled"),
    "lcm": ("lcm", "distilled"),
}
THINGS = tuple(f"image of {with_article(name)}" for name in HELD_OUT)
#: One prompt and many seeds: from the same seed, all ways of asking for a face give nearly the same picture.
FACES = ("image of a face",)
WHOLE, BOTH_WAYS = (-1.0, 0.0, 1.0), (-2.0, -1.0, 0.0, 1.0, 2.0)
#: Pictures of a contact sheet's row at each strength, and the prompts that they are of, where there are several.
SHEET_PICTURES, SHEET_PROMPTS = 4, (0, 6)


class Study(NamedTuple):
    prompts: tuple[str, ...]
    strengths: tuple[float, ...]
    #: What is counted, by the names that `attributes` gives.
    counted: tuple[str, ...]


STUDIES = {
    "ink": Study(THINGS, WHOLE, ("ink",)),
    "ink-distilled": Study(THINGS, WHOLE, ("ink",)),
    "smile": Study(FACES, BOTH_WAYS, ("happy", "sad")),
    "night": Study(THINGS, BOTH_WAYS, ("black", "white")),
}


def wilson(count: int, total: int) -> dict[str, float]:
    """A share in per cent with Wilson's 95 % interval."""
    z = 1.959964
    share = count / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    return {"share": 100 * share, "low": 100 * max(0.0, centre - half), "high": 100 * min(1.0, centre + half)}


class Judge:
    """The classifier, the probe for ink, and the groups of faces."""

    def __init__(self, work: Path, device: torch.device):
        self.classifier, self.accuracy = load_classifier(work, device)
        singles = Singles(work, device)
        bear = lambda *names: sorted({concept for name in names for concept in bearers(singles.concepts, name)})
        faces = {index for index, concept in enumerate(singles.concepts) if concept["group"] == "faces"}
        with_tags = lambda *names: torch.tensor([index for index in bear(*names) if index in faces], device=device)
        self.happy, self.sad = with_tags("smile", "smiling", "happy", "smiley"), with_tags("sad", "sad face")
        self.probe = Probe(work, device)

    def attributes(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which pictures have each attribute."""
        prediction: Prediction = self.classifier.predict(pictures)
        concept = prediction.concept.argmax(1)
        background = prediction.background.argmax(1)
        names = tuple(BACKGROUNDS)
        return {
            "ink": self.probe.is_ink(pictures),
            "happy": torch.isin(concept, self.happy),
            "sad": torch.isin(concept, self.sad),
            "black": background == names.index("black"),
            "white": background == names.index("white"),
        }


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("adapters", nargs="*", default=list(STUDIES), metavar="NAME", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--pictures", type=int, default=120, help="of each cell, at least")
    parser.add_argument("--strongest", type=float, default=2.0, help="leave out stronger adapters than that, either way")
    parser.add_argument("--base-steps", type=int, default=BASE_STEPS)
    arguments = parser.parse_args()
    device = start(arguments)
    work = arguments.work
    samplers = {name: load_sampler(work, name, device) for name, _ in MODELS.values()}
    judge = Judge(work, device)
    print(f"The probe for ink is right on {judge.probe.accuracy:.1f} % of new pictures.", flush=True)
    path = work / "transfer.json"
    result = json.loads(path.read_text()) if path.exists() else {"cells": {}}
    result |= {"classifier": judge.accuracy, "ink_probe_accuracy": judge.probe.accuracy, "base_steps": arguments.base_steps}
    untouched: dict[tuple, torch.Tensor] = {}
    for adapter in arguments.adapters:
        study = STUDIES[adapter]
        file = work / FOLDER / f"{adapter}.safetensors"
        changes = read_changes(file)
        # Prompts repeat with the next seeds until there are enough pictures.
        repeats = -(-arguments.pictures // len(study.prompts))
        prompts = [prompt for prompt in study.prompts for _ in range(repeats)]
        seeds = [seed for _ in study.prompts for seed in range(repeats)]
        asked = [index for index in SHEET_PROMPTS if index < len(study.prompts)]
        shown = [index * repeats + seed for index in asked for seed in range(SHEET_PICTURES // len(asked))]
        rows = []
        for model, (name, mode) in MODELS.items():
            sampler = samplers[name]
            cells = result["cells"].setdefault(adapter, {}).setdefault(model, {})
            strips = []
            # Without the adapter first: the others' change is measured from there.
            for strength in sorted((value for value in study.strengths if abs(value) <= arguments.strongest), key=abs):
                cell_file = work / FOLDER / f"{adapter}-{model}-{strength:g}.pt"
                key = (model, study.prompts)
                known = f"{strength:g}" in cells and cell_file.exists() and cell_file.stat().st_mtime > file.stat().st_mtime
                if known:
                    pictures = torch.load(cell_file, weights_only=True).float() / 127.5 - 1
                elif not strength and key in untouched:
                    pictures = untouched[key]
                else:
                    with adapted([sampler.unet, sampler.distilled], changes, strength):
                        # In parts: the attention of all at once would take gigabytes.
                        parts = [
                            sampler.draw(mode, prompts[at : at + 32], seeds[at : at + 32], steps=arguments.base_steps)
                            for at in range(0, len(prompts), 32)
                        ]
                    pictures = torch.cat(parts)
                if not strength:
                    untouched[key] = pictures
                torch.save(((pictures + 1) * 127.5).round().byte(), cell_file)
                has = judge.attributes(pictures)
                change = (halved(pictures) - halved(untouched[key])).norm(dim=1).mean().item()
                cell = {name: wilson(has[name].sum().item(), len(pictures)) for name in study.counted}
                cells[f"{strength:g}"] = cell | {"change": change, "pictures": len(pictures)}
                path.write_text(json.dumps(result, indent=1) + "\n")
                figures = ", ".join(f"{name} {cell[name]['share']:.0f} %" for name in study.counted)
                print(f"{adapter} × {strength:+g} on {model}: {figures}; change {change:.3f}", flush=True)
                strips.append((strength, pictures[shown]))
            strips.sort(key=lambda strip: strip[0])
            rows.append(torch.stack([strip for _, strip in strips], 1).flatten(0, 1))
        contact_sheet(rows, work / FOLDER / f"transfer-{adapter}.png", scale=1)


if __name__ == "__main__":
    main()
