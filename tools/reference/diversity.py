"""How different the seeds of the emoji pair's prompts are, by row: what the page's opening recipe was
chosen by.

Usage: python tools/reference diversity
       python tools/reference/diversity.py [--seeds 16] [--pair manifest.json] [--prompt "a bus" …]

Draws the pictures of the page (pictures.py) for each example prompt of the pair, from seed 0 on: the distilled model, skip-first-step, and hybrids whose base takes over the first one or two of the
distilled model's steps with one, two or three of its own in place of each. A row's diversity is the
page's: the mean of 1 − MS-SSIM on luma and chroma over all pairs of pictures, with the 95 % interval that
src/metrics/diversity.rs describes. The paper's measure, DreamSim, gives other numbers.

Without options it writes tests/browser/reference/diversity.json, which a test holds the manifest's
defaults to, and prints the table of the pair's card. With `--prompt` it prints the table alone.

diversity.json: {"seeds", "rows": {name: {"mode", "k", "base_steps", "steps": [base, distilled]}},
"prompts": {prompt: {name: [[mean, margin] of the seeds that the page opens with, [mean, margin] of all]}}}.
"""

import argparse
import json

import diffusers
import numpy as np
import torch
import torch.nn.functional as F
from common import ROOT, load_emoji_pair, reproducible
from metrics import CHANNEL_WEIGHTS, SCALE_WEIGHTS, WINDOW, luma_and_chroma, structure
from pictures import Settings, draw_seeds, plan
from scipy.stats import t as student

PATH = ROOT / "tests" / "browser" / "reference" / "diversity.json"
SIGMA, C1, C2 = 1.5, 0.01**2, 0.03**2
#: Pictures of 64 × 64 pixels have room for this many scales.
SCALES = 3
ROWS = {
    "base": {"mode": "base", "base_steps": 25},
    "distilled": {"mode": "distilled"},
    "skip": {"mode": "skip"},
    **{
        f"k = {k}, {steps} for each": {"mode": "hybrid", "k": k, "hybrid_base_steps": steps}
        for k in (1, 2)
        for steps in (1, 2, 3)
    },
}


def blurred(planes: torch.Tensor) -> torch.Tensor:
    """Means within the window, where it lies inside of the planes [number, height, width]."""
    place = torch.arange(WINDOW, dtype=planes.dtype) - WINDOW // 2
    window = torch.exp(-(place**2) / (2 * SIGMA**2))
    window /= window.sum()
    planes = F.conv2d(planes[:, None], window.view(1, 1, 1, -1))
    return F.conv2d(planes, window.view(1, 1, -1, 1))[:, 0]


def distances(pictures: np.ndarray) -> np.ndarray:
    """[pictures, pictures]: the page's distance, of all pairs at once."""
    first, second = torch.triu_indices(len(pictures), len(pictures), offset=1)
    weights = SCALE_WEIGHTS[:SCALES] / SCALE_WEIGHTS[:SCALES].sum()
    found = torch.zeros(len(first), dtype=torch.float64)
    for channel, planes in enumerate(np.stack([luma_and_chroma(p) for p in pictures], 1)):
        planes, similar = torch.from_numpy(planes), 1.0
        for scale in range(SCALES):
            mean, square = blurred(planes), blurred(planes**2)
            variance = square - mean**2
            covariance = blurred(planes[first] * planes[second]) - mean[first] * mean[second]
            part = (2 * covariance + C2) / (variance[first] + variance[second] + C2)
            if scale == SCALES - 1:
                light = mean[first] ** 2 + mean[second] ** 2 + C1
                part = part * (2 * mean[first] * mean[second] + C1) / light
            similar = similar * part.mean((1, 2)).clamp(0) ** weights[scale]
            planes = F.avg_pool2d(planes[:, None], 2)[:, 0]
        found += CHANNEL_WEIGHTS[channel] * (1 - similar)
    result = np.zeros((len(pictures), len(pictures)))
    result[first, second] = result[second, first] = found
    # The same as scikit-image's, which is slow.
    np.testing.assert_allclose(result[0, 1], structure(pictures[0], pictures[1])[3], atol=1e-9)
    return result


def diversity(distance: np.ndarray) -> tuple[float, float]:
    """The mean of all pairs, and half the width of its 95 % interval: the jackknife over pictures."""
    count = len(distance)
    pairs = distance[np.triu_indices(count, 1)]
    mean = pairs.mean()
    spread = ((distance.sum(1) / (count - 1) - mean) ** 2).sum()
    jackknife = 4 * (count - 1) / (count * (count - 2) ** 2) * spread
    variance = max(jackknife, pairs.var(ddof=1) / len(pairs))
    return float(mean), float(student.ppf(0.975, count - 1) * variance**0.5)


def row_settings(pair, prompt: str, row: dict) -> Settings:
    guidance = pair.manifest["defaults"]["distilled_guidance"]
    return Settings(prompt=prompt, seed=0, distilled_guidance=guidance, **row)


def measured(pair, pictures: np.ndarray) -> list[tuple[float, float]]:
    """Of a row's pictures the diversity of the seeds that the page opens with, and of all."""
    defaults = pair.manifest["defaults"]
    shown = slice(defaults["seed"], defaults["seed"] + defaults["seed_count"])
    distance = distances(pictures)
    return [diversity(distance[shown, shown]), diversity(distance)]


def measure(pair, prompt: str, seeds: int) -> dict[str, list[tuple[float, float]]]:
    """The diversity of each row."""
    result = {}
    for name, row in ROWS.items():
        pictures = draw_seeds(pair, row_settings(pair, prompt, row), list(range(seeds)))
        result[name] = measured(pair, pictures)
        print(f"  {name:20}", *(f"{mean:.3f} ± {margin:.3f}" for mean, margin in result[name]), flush=True)
    return result


def described(pair, row: dict) -> dict:
    """A row's numbers, and how many steps each model takes in it."""
    steps = {"unet": 0, "unet_distilled": 0}
    for unet, _, start, end, _ in plan(pair, row_settings(pair, "", row)):
        steps["unet" if unet is pair.unet else "unet_distilled"] += end - start
    return {
        "mode": row["mode"],
        "k": row.get("k"),
        "base_steps": row.get("hybrid_base_steps"),
        "steps": list(steps.values()),
    }


def table(rows: dict, prompts: dict[str, dict]) -> str:
    """As the card has it: all seeds, a column for each prompt."""
    heads = ["", "steps: base, distilled", *prompts]
    lines = [heads, ["---"] * len(heads)]
    for name, row in rows.items():
        found = (measures[name][-1] for measures in prompts.values())
        steps = ", ".join(map(str, row["steps"]))
        lines.append([name, steps, *(f"{mean:.3f} ± {margin:.3f}" for mean, margin in found)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(seeds: int, rows: dict, prompts: dict[str, dict]) -> None:
    def lines(entries: dict) -> str:
        entry = "    {}: {}".format
        return ",\n".join(entry(json.dumps(key), json.dumps(value)) for key, value in entries.items())

    parts = f'  "rows": {{\n{lines(rows)}\n  }},\n  "prompts": {{\n{lines(prompts)}\n  }}'
    PATH.write_text(f'{{\n  "seeds": {seeds},\n{parts}\n}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", default="manifest.json", help="the file of its manifest")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--prompt", action="append", help="in place of the pair's examples; writes nothing")
    # `python tools/reference` has arguments of its own.
    arguments, _ = parser.parse_known_args()
    reproducible()
    diffusers.utils.logging.set_verbosity_error()
    pair = load_emoji_pair(arguments.pair)
    prompts = {}
    for prompt in arguments.prompt or pair.manifest["defaults"]["example_prompts"]:
        print(prompt)
        prompts[prompt] = measure(pair, prompt, arguments.seeds)
    rows = {name: described(pair, row) for name, row in ROWS.items()}
    print(table(rows, prompts))
    if not arguments.prompt and arguments.pair == "manifest.json":
        write(arguments.seeds, rows, prompts)


if __name__ == "__main__":
    main()
