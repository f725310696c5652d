"""Puts the adapters beside the pair, and prints the tables of its card.

Usage: python tools/train/bundle.py   (after style.py, slider.py, extract.py, transfer.py and ranks.py)

Writes `public/pairs/emoji/adapters/`: the files and `adapters.json`, what is known of each; and the results of the
two studies into `tools/train/results/`.
"""

import hashlib
import json
import shutil

from adapters import FOLDER, LIMIT
from common import options, start
from data import FOLDER as TOOLS
from ranks import LORA_MODES
from slider import SLIDERS
from transfer import MODELS, STUDIES
from unpack import PAIR

LICENCE = {"name": "MIT OR Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
INK = ["Fluent Emoji, high contrast (Microsoft, MIT)"]
PAIRS = [
    "Noto Emoji (Google, Apache-2.0)",
    "Twemoji (Twitter and contributors, CC BY 4.0)",
    "Fluent Emoji, flat and 3D (Microsoft, MIT)",
]


def style(title: str) -> dict:
    return dict(title=title, kind="style", strengths=dict(minimum=0.0, recommended=1.0, maximum=1.5), sets=INK, trigger_words=[], prompt="image of a dog face")


def slider(name: str, title: str, prompt: str) -> dict:
    return dict(
        title=title,
        kind="slider",
        attribute=SLIDERS[name].title,
        strengths=dict(minimum=-2.0, recommended=1.0, maximum=2.0),
        sets=PAIRS,
        trigger_words=[],
        prompt=prompt,
    )


def distillation(rank: int) -> dict:
    return dict(
        title=f"Emoji DMD as a LoRA, rank up to {rank}",
        kind="distillation",
        strengths=dict(minimum=0.0, recommended=1.0, maximum=1.2),
        sets=PAIRS,
        trigger_words=[],
        prompt="image of a dog face",
        sampling=dict(scheduler="LCMScheduler", timesteps=[999, 599, 399, 199], guidance=0.0),
    )


BUNDLED = {
    "ink": style("Black ink"),
    "ink-distilled": style("Black ink, trained on the distilled model"),
    "smile": slider("smile", "Sad – happy", "image of a face"),
    "night": slider("night", "White – black background", "image of a dog face"),
    "distillation-16-small": distillation(16),
    "distillation-32-small": distillation(32),
    "distillation-64-small": distillation(64),
}


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def transfer_tables(result: dict) -> list[str]:
    """A table for each attribute: the share of pictures that have it, for each adapter and strength, by model."""
    lines = []
    for adapter, study in STUDIES.items():
        cells = result["cells"].get(adapter)
        if not cells or adapter not in BUNDLED:
            continue
        for counted in study.counted:
            for strength in study.strengths:
                shares = []
                for model in MODELS:
                    cell = cells.get(model, {}).get(f"{strength:g}")
                    value = cell and cell[counted]
                    shares.append(f"{value['share']:.0f} [{value['low']:.0f}, {value['high']:.0f}]" if value else "–")
                lines.append(row([BUNDLED[adapter]["title"], counted, f"{strength:+g}".replace("-", "−").replace("+0", "0"), *shares]))
    return [row(["adapter", "% of pictures", "strength", *MODELS]), row(["---"] * (3 + len(MODELS))), *lines]


def rank_table(result: dict, sizes: dict[str, int]) -> list[str]:
    lines = [row(["in the distilled model's place", "bytes", "mode", "distance to full", "embedding distance", "pixel distance", "recognized, %"]), row(["---"] * 7)]
    number = lambda value, digits: f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    for name, modes in result["models"].items():
        for mode in LORA_MODES:
            cell = modes[mode]
            apart = number(cell["distance_to_full"], 3) if "distance_to_full" in cell else f"({number(cell['distance_of_seeds'], 3)} between seeds)"
            lines.append(
                row([name, str(sizes.get(name, "–")), mode, apart, number(cell["embedding_distance"], 3), number(cell["pixel_distance"], 3), number(cell["recognized"], 1)])
            )
    return lines


def main() -> None:
    arguments = options(__doc__.splitlines()[0]).parse_args()
    start(arguments)
    source, folder, results = arguments.work / FOLDER, PAIR / "adapters", TOOLS / "results"
    for target in (folder, results):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    adapters = []
    for name, about in BUNDLED.items():
        path = source / f"{name}.safetensors"
        if not path.exists():
            print(f"{name} is left out: it was not trained.")
            continue
        data = path.read_bytes()
        if len(data) > LIMIT:
            raise SystemExit(f"{path} has {len(data)} bytes, more than {LIMIT}.")
        known = json.loads((source / f"{name}.json").read_text())
        (folder / path.name).write_bytes(data)
        adapters.append(
            dict(name=name, file=path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), licence=LICENCE) | about | known
        )
    listed = dict(format=1, pair="emoji", text_encoders=False, adapters=adapters)
    (folder / "adapters.json").write_text(json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
    sizes = {path.stem: path.stat().st_size for path in source.glob("*.safetensors")}
    tables = {"transfer": transfer_tables, "ranks": lambda result: rank_table(result, sizes)}
    for name, table in tables.items():
        path = arguments.work / f"{name}.json"
        if path.exists():
            shutil.copy(path, results / path.name)
            print("\n".join(table(json.loads(path.read_text()))), end="\n\n")


if __name__ == "__main__":
    main()
