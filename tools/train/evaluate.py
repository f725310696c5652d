"""Measures what distillation costs in diversity, and what the hybrid gives back.

Usage: python tools/train/evaluate.py                       (after classifier.py, base.py and distill.py)
       python tools/train/evaluate.py --distilled lightning
       python tools/train/evaluate.py --real                (after classifier.py)

Asks for "image of a …" with 30 names of which the training never said it, from 32 seeds each, in every mode.
With `--real` the training pictures of the same names take the place of the generated ones, as drawn and after
the VAE: the most that a model trained on them can reach.

Recognized is a picture in which the classifier sees a concept that bears the asked name.

Diversity is the mean distance of all pairs of a prompt's pictures, by two measures that were fixed before
anything was measured: the cosine distance of the classifier's embeddings, and the root mean square difference
of the pictures at half size, with colours from 0 to 1. The first hears what a thing looks like, its style, place
and background, as far as the classifier learned to tell them; the second knows nothing and takes every
difference for what it is. Unrecognizable pictures differ too: so both are given a second time, over the pairs
of recognized pictures alone.

Coverage is how many of the 4 styles and of the 10 backgrounds appear among a prompt's pictures, each with more
than half of the classifier's probability. Spread is the standard deviation of the place and size that the
classifier sees, in pixels.

Every figure is a mean over prompts. Its 95 % interval is a percentile bootstrap over prompts: the means of
10,000 resamples, the same ones for all figures, so that differences and ratios of modes are taken prompt by
prompt. The seeds are the same for every prompt and mode, and not resampled.

The gap recovered is (mode − distilled) / (base − distilled); where the gap's own interval reaches 0, it says
nothing. The Diffusion Target of a step is the picture that
the model aims at in it; its distance to the final picture against the share of steps done shows when what is
decided (Gandikota and Bau, "Distilling Diversity and Control in Diffusion Models", 2025, figure 5).

Writes `evaluation.json` and the contact sheet `evaluation.png`: a row for each mode under a row for each mode of
the next prompt. With another distilled model or `--real` the files bear its name.
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, EulerDiscreteScheduler, LCMScheduler, UNet2DConditionModel

from base import load_base
from classifier import HELD_OUT_SEED, Classifier, Prediction, Singles, load_classifier, print_accuracy, through
from common import IMAGE_SIZE, contact_sheet, options, start
from lora import ADAPTER_FILE, load_lora
from models import guidance_embedding
from prompts import HELD_OUT, Prompts, with_article
from sampling import BASE_GUIDANCE, BASE_STEPS, DISTILLED_TIMESTEPS, MODES, Sampler

RESAMPLES, RESAMPLING_SEED = 10_000, 0
#: Seeds of each prompt whose Diffusion Targets are decoded, one picture for every step.
CURVE_SEEDS = 8
#: Prompts and seeds of the contact sheet.
SHEET_PROMPTS, SHEET_SEEDS = 6, 8
#: The figures of a prompt and their headings, with the digits that are printed.
FIGURES = {
    "recognized": ("recognized %", 1),
    "embedding_distance": ("embedding distance", 3),
    "recognized_embedding_distance": ("embedding distance, recognized", 3),
    "pixel_distance": ("pixel distance", 3),
    "recognized_pixel_distance": ("pixel distance, recognized", 3),
    "styles": ("styles of 4", 2),
    "backgrounds": ("backgrounds of 10", 2),
    "place_spread": ("place ± px", 1),
    "size_spread": ("size ± px", 1),
}
DISTANCES = ("embedding_distance", "pixel_distance")


def bearers(concepts: list[dict], name: str) -> list[int]:
    """The concepts that bear this name as their label, another name or a tag."""
    return [index for index, entry in enumerate(concepts) if name in (entry["label"].lower(), *entry["names"], *entry["tags"])]


def halved(pictures: torch.Tensor) -> torch.Tensor:
    """Colours from 0 to 1 at half size, a row a picture, scaled so that a distance of rows is a root mean square."""
    rows = F.avg_pool2d((pictures + 1) / 2, 2).flatten(1)
    return rows / rows.shape[1] ** 0.5


def distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances `[rows, rows]`, without the shortcut that makes equal rows differ."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def mean_pairwise(distance: torch.Tensor) -> float:
    """The mean over the pairs of different pictures; not a number if there are none."""
    rows, columns = torch.triu_indices(*distance.shape, offset=1)
    return distance[rows, columns].mean().item()


def appearing(logits: torch.Tensor) -> int:
    """How many classes at least one picture belongs to with more than half of the probability."""
    probability, label = logits.softmax(1).max(1)
    return len(label[probability > 0.5].unique())


def figures_of(pictures: torch.Tensor, prediction: Prediction, accepted: list[int]) -> dict[str, float]:
    """The figures of one prompt's pictures `[seeds, 3, 64, 64]`."""
    recognized = torch.isin(prediction.concept.argmax(1), torch.tensor(accepted, device=pictures.device))
    # Half the squared distance of two vectors of unit length is one minus their cosine.
    embedding = distances(prediction.embedding, prediction.embedding).square() / 2
    pixels = distances(halved(pictures), halved(pictures))
    deviation = prediction.placement.std(0)
    return {
        "recognized": 100 * recognized.sum().item() / len(recognized),
        "embedding_distance": mean_pairwise(embedding),
        "pixel_distance": mean_pairwise(pixels),
        "recognized_embedding_distance": mean_pairwise(embedding[recognized][:, recognized]),
        "recognized_pixel_distance": mean_pairwise(pixels[recognized][:, recognized]),
        "styles": appearing(prediction.style),
        "backgrounds": appearing(prediction.background),
        "place_spread": deviation[:2].norm().item() * IMAGE_SIZE / 2,
        "size_spread": deviation[2].item() * IMAGE_SIZE,
    }


def means(rows: np.ndarray) -> np.ndarray:
    """The mean of each row, without what is not a number in it."""
    return np.nansum(rows, axis=1) / np.isfinite(rows).sum(axis=1)


class Bootstrap:
    """Means over prompts with 95 % intervals, all from the same resamples."""

    def __init__(self, prompts: int):
        self.all = np.arange(prompts)[None]
        self.index = np.random.default_rng(RESAMPLING_SEED).integers(prompts, size=(RESAMPLES, prompts))

    def interval(self, statistic: Callable[..., np.ndarray], *values: list[float]) -> dict[str, float]:
        """A statistic of the means of several modes' values, and the interval of it; prompts without a value don't count."""
        with np.errstate(divide="ignore", invalid="ignore"):
            result, resamples = (statistic(*(means(np.asarray(value, dtype=float)[index]) for value in values)) for index in (self.all, self.index))
        known = resamples[np.isfinite(resamples)]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
        return {"mean": float(result[0]), "low": float(low), "high": float(high)}

    def mean(self, values: list[float]) -> dict[str, float]:
        return self.interval(lambda mean: mean, values)

    def difference(self, values: list[float], others: list[float]) -> dict[str, float]:
        return self.interval(np.subtract, values, others)

    def recovered(self, mode: list[float], distilled: list[float], base: list[float]) -> dict[str, float]:
        """The share of the gap between the distilled model and the base that the mode closes."""
        return self.interval(lambda mode, distilled, base: (mode - distilled) / (base - distilled), mode, distilled, base)


def load_distilled(work: Path, name: str, base: UNet2DConditionModel, device: torch.device) -> UNet2DConditionModel:
    """The distilled UNet of that folder: a whole one, or the base with the folder's LoRA added to its weights."""
    folder = work / name
    if (folder / "unet").exists():
        unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    elif (folder / ADAPTER_FILE).exists():
        unet = load_lora(folder, base)
    else:
        raise SystemExit(f"{folder} holds neither a UNet nor a LoRA: run distill.py or consistency.py first.")
    return unet.to(device).eval().requires_grad_(False)


def load_sampler(work: Path, name: str, device: torch.device) -> Sampler:
    """The base and the distilled model of that folder, with the scheduler and timesteps that it was trained for."""
    unet, encoders, vae = load_base(work, device)
    distilled = load_distilled(work, name, unet, device)
    scheduler, timesteps = None, DISTILLED_TIMESTEPS
    guidance_width = distilled.config.time_cond_proj_dim
    folder = work / name / "scheduler"
    if folder.exists():
        kinds = {"LCMScheduler": LCMScheduler, "EulerDiscreteScheduler": EulerDiscreteScheduler}
        kind = json.loads((folder / "scheduler_config.json").read_text())["_class_name"]
        if kind not in kinds:
            raise SystemExit(f"{folder} names the scheduler {kind}; the distilled models use {' or '.join(kinds)}.")
        scheduler = kinds[kind].from_pretrained(folder)
        if kind == "EulerDiscreteScheduler" or guidance_width:
            # Those use the scheduler's own spacing; distribution matching with new noise has chosen ones.
            scheduler.set_timesteps(len(DISTILLED_TIMESTEPS))
            timesteps = [int(timestep) for timestep in scheduler.timesteps]
    sampler = Sampler(unet, encoders, vae, device, distilled, scheduler, timesteps)
    if guidance_width:
        sampler.guidance_embedding = guidance_embedding(torch.tensor([BASE_GUIDANCE], device=device), guidance_width)
    return sampler


def generated(sampler: Sampler, classifier: Classifier, modes: list[str], names: list[str], seeds: int) -> tuple[dict[str, list[torch.Tensor]], dict[str, list[dict]]]:
    """Every mode's pictures, a tensor `[seeds, 3, 64, 64]` a name, and its curve of Diffusion Targets."""
    pictures = {mode: [] for mode in modes}
    curves = {}
    # Guidance takes the base twice through each step.
    passes = {mode: sum(1 + (scale > 1) for *_, scale in sampler.plan(mode, BASE_STEPS, BASE_GUIDANCE, 0.0)) for mode in modes}
    done, total = 0, len(names) * sum(passes.values())
    began = printed = time.monotonic()
    for mode in modes:
        remaining = []
        for name in names:
            targets: list[torch.Tensor] = []
            latent = sampler.latents(mode, [f"image of {with_article(name)}"] * seeds, list(range(seeds)), targets=targets)
            final = sampler.decode(latent)
            pictures[mode].append(final)
            remaining.append(target_distances(sampler, classifier, targets, final[:CURVE_SEEDS]))
            done += passes[mode]
            now = time.monotonic()
            if now - printed > 20 or done == total:
                left = (now - began) * (total - done) / done
                print(f"{100 * done / total:5.1f} %  {mode}, {name}  {left / 60:.1f} min left", flush=True)
                printed = now
        steps = torch.stack(remaining).mean(0)
        curves[mode] = [
            {"share": (index + 1) / len(steps), "embedding_distance": embedding, "pixel_distance": pixels}
            for index, (embedding, pixels) in enumerate(steps.tolist())
        ]
    return pictures, curves


def target_distances(sampler: Sampler, classifier: Classifier, targets: list[torch.Tensor], final: torch.Tensor) -> torch.Tensor:
    """The mean distances `[steps, 2]` of each step's decoded targets to the final pictures, by embedding and by pixels."""
    decoded = sampler.decode(torch.cat([target[: len(final)] for target in targets]))
    shape = (len(targets), len(final), -1)
    embedding = classifier.predict(decoded).embedding.view(shape) - classifier.predict(final).embedding
    pixels = halved(decoded).view(shape) - halved(final)
    return torch.stack([embedding.square().sum(-1).mean(1) / 2, pixels.norm(dim=-1).mean(1)], 1)


def real(work: Path, concepts: Singles, names: list[str], count: int, device: torch.device) -> dict[str, list[torch.Tensor]]:
    """Training pictures of each name, as drawn and after the VAE.

    Of several concepts that bear a name, each is shown as often as the training's prompts give it that name.
    """
    prompts = Prompts(work)
    vae = AutoencoderKL.from_pretrained(work / "vae").to(device).eval()
    pictures = {"real": [], "through the VAE": []}
    for name in names:
        candidates = bearers(concepts.concepts, name)
        said = [sum(prompts.name(concept) == name for _ in range(1000)) for concept in candidates]
        drawn = concepts.draw_concepts(torch.tensor(random.choices(candidates, said, k=count), device=device))
        pictures["real"].append(drawn)
        pictures["through the VAE"].append(through(vae, drawn))
    return pictures


def table(rows: dict[str, list[str]], headings: list[str]) -> str:
    """Aligned columns, names first."""
    lines = [["", *headings], *([name, *cells] for name, cells in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def written(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--distilled", default="distilled", metavar="NAME", help="folder of the distilled model in the work folder")
    parser.add_argument("--real", action="store_true", help="measure training pictures in place of generated ones")
    parser.add_argument("--prompts", type=int, default=len(HELD_OUT), help="how many of the held-out prompts")
    parser.add_argument("--seeds", type=int, default=32)
    arguments = parser.parse_args()
    if not 1 <= arguments.prompts <= len(HELD_OUT) or arguments.seeds < 2:
        raise SystemExit(f"There are 1 to {len(HELD_OUT)} prompts, and a distance needs at least 2 seeds.")
    device = start(arguments)
    work, names = arguments.work, list(HELD_OUT[: arguments.prompts])
    classifier, accuracy = load_classifier(work, device)
    print_accuracy(accuracy)
    singles = Singles(work, device)
    accepted = {name: bearers(singles.concepts, name) for name in names}
    unborne = [name for name, concepts in accepted.items() if not concepts]
    if unborne:
        raise SystemExit(f"No concept bears the name {', '.join(unborne)}: prompts.HELD_OUT and concepts.txt disagree.")

    settings = dict(prompts=names, seeds=arguments.seeds, resamples=RESAMPLES)
    curves: dict[str, list[dict]] = {}
    if arguments.real:
        # Not the pictures of the training or of the classifier's own held-out ones.
        torch.manual_seed(arguments.seed + 2 * HELD_OUT_SEED)
        file = "evaluation-real"
        pictures = real(work, singles, names, arguments.seeds, device)
    else:
        sampler = load_sampler(work, arguments.distilled, device)
        # Euler keeps its latents in another scale, in which diffusers' own code hands nothing over.
        hands_over = not isinstance(sampler.scheduler, EulerDiscreteScheduler)
        modes = [mode for mode in MODES if hands_over or not mode.startswith("hybrid-")]
        file = "evaluation" if arguments.distilled == "distilled" else f"evaluation-{arguments.distilled}"
        settings |= dict(
            distilled=arguments.distilled,
            scheduler=type(sampler.scheduler).__name__,
            timesteps=sampler.timesteps,
            base_steps=BASE_STEPS,
            base_guidance=BASE_GUIDANCE,
        )
        pictures, curves = generated(sampler, classifier, modes, names, arguments.seeds)

    per_prompt = {
        mode: [figures_of(shown, classifier.predict(shown), accepted[name]) for name, shown in zip(names, parts)]
        for mode, parts in pictures.items()
    }
    values = {mode: {figure: [prompt[figure] for prompt in parts] for figure in FIGURES} for mode, parts in per_prompt.items()}
    bootstrap = Bootstrap(len(names))
    overall = {mode: {figure: bootstrap.mean(value) for figure, value in figures.items()} for mode, figures in values.items()}
    chance = 100 * sum(len(concepts) for concepts in accepted.values()) / len(names) / len(singles.concepts)
    print(f"\n{len(names)} prompts × {arguments.seeds} seeds; guessing would recognize {chance:.1f} %.")
    print(table({heading: [written(overall[mode][figure], digits) for mode in overall] for figure, (heading, digits) in FIGURES.items()}, list(overall)))

    gaps = {}
    if not arguments.real:
        base, distilled = values["base"], values["distilled"]
        gaps = {
            figure: {
                "base_minus_distilled": bootstrap.difference(base[figure], distilled[figure]),
                **{mode: bootstrap.recovered(values[mode][figure], distilled[figure], base[figure]) for mode in modes[2:]},
            }
            for figure in DISTANCES
        }
        print("\nThe gap between base and distilled, and the share of it that is recovered")
        print(table({FIGURES[figure][0]: [written(value, 3) for value in gap.values()] for figure, gap in gaps.items()}, ["base − distilled", *modes[2:]]))
        for mode in ("base", "distilled"):
            print(f"\nDistance of the Diffusion Targets to the final picture, {mode}")
            rows = {f"{100 * step['share']:.0f} % of the steps": [f"{step[figure]:.3f}" for figure in DISTANCES] for step in curves[mode]}
            print(table(rows, [FIGURES[figure][0] for figure in DISTANCES]))

    result = dict(
        settings=settings,
        classifier=accuracy,
        recognized_by_guessing=chance,
        modes=overall,
        gaps=gaps,
        curves=curves,
        prompts={mode: dict(zip(names, figures)) for mode, figures in per_prompt.items()},
    )
    # Not every prompt has two recognized pictures; JSON has no word for what is not a number.
    text = json.dumps(json.loads(json.dumps(result), parse_constant=lambda _: None), indent=1, ensure_ascii=False)
    (work / f"{file}.json").write_text(text + "\n")
    shown = range(0, len(names), max(1, len(names) // SHEET_PROMPTS))[:SHEET_PROMPTS]
    contact_sheet([pictures[mode][prompt][:SHEET_SEEDS] for prompt in shown for mode in pictures], work / f"{file}.png")


if __name__ == "__main__":
    main()
