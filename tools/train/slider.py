"""Trains a Concept Slider: a LoRA on the attention whose strength moves one attribute, both ways.

Usage: python tools/train/slider.py NAME                   (after data.py and unpack.py, or after base.py)
       python tools/train/slider.py NAME --on distilled

After Gandikota et al., "Concept Sliders: LoRA Adaptors for Precise Control in Diffusion Models" (2024), equation
7: at a noisy latent of the target concept, the model with the slider on has to predict

    ε(target) + η · (ε(positive) − ε(negative)),

where all three are predictions of the frozen model, and where the prompts differ in the attribute alone. No
pictures are needed. The noisy latents are those that the model itself comes through when it draws the target
concept, with guidance and with the slider on. The authors' code takes one random step of each such run; here
every step of it is learned from, which costs one prediction more for each instead of a run. And each batch has a
sign of its own, by which the slider's strength and η are multiplied, as the authors' sliders from pictures have:
so the way back is learned too and not only hoped for.

The distilled model's runs are its own: four steps, with new noise and without guidance.

Writes `adapters/NAME.safetensors`, or `NAME-distilled.safetensors`, and a contact sheet: strengths −2, −1, 0, 1, 2 side by side, seed by seed.
"""

import copy
import json
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from adapters import FOLDER, adapted, load_unet, read_changes, write_adapter
from base import load_base
from common import LATENT_SIZE, contact_sheet, options, start
from lora import add_lora
from models import predict_noise
from prompts import TEMPLATES, with_article
from sampling import BASE_GUIDANCE, Sampler

RANK, LEARNING_RATE, WARM_UP = 4, 1e-3, 10
#: All projections of the self and of the cross attention: the authors' method "full" with the type "lierla".
LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
#: Steps of the runs that the noisy latents come from.
RUN_STEPS = 12
SHEET_STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)


class Slider(NamedTuple):
    title: str
    #: What the target concept is called; none for all things that the pair knows.
    names: tuple[str, ...]
    #: From the prompt of the target concept to those with more and with less of the attribute.
    positive: Callable[[str], str]
    negative: Callable[[str], str]
    #: η
    scale: float
    #: Prompts of the contact sheet.
    shown: tuple[str, ...]


SLIDERS = {
    "smile": Slider(
        "sad – happy",
        ("face",),
        lambda prompt: prompt.replace("face", "happy face"),
        lambda prompt: prompt.replace("face", "sad face"),
        1.5,
        ("image of a face", "happy face", "crying face"),
    ),
    "night": Slider(
        "white – black background",
        (),
        lambda prompt: f"{prompt} on a black background",
        lambda prompt: f"{prompt} on a white background",
        3.0,
        ("image of a dog", "a pizza", "image of a bus"),
    ),
}


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("name", choices=SLIDERS)
    parser.add_argument("--on", choices=("base", "distilled"), default="base", help="the model that is trained")
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scale", type=float, help="η, where not the slider's own")
    arguments = parser.parse_args()
    device = start(arguments)
    began = time.process_time()
    slider = SLIDERS[arguments.name]
    scale = arguments.scale or slider.scale
    base, encoders, vae = load_base(arguments.work, device)
    distilled = load_unet(arguments.work, "distilled", device)
    frozen = base if arguments.on == "base" else distilled
    student = copy.deepcopy(frozen)
    trained = add_lora(student, RANK, LAYERS)
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, arguments.steps, pct_start=WARM_UP / arguments.steps)
    names = slider.names or [concept["label"].lower() for concept in json.loads((arguments.work / "concepts.json").read_text())]
    encoded = lambda prompts: encoders.of(prompts, device)
    sampler = Sampler(base, encoders, vae, device, distilled)
    left = added = step = 0
    while step < arguments.steps:
        asked = [random.choice(TEMPLATES).format(name=name, a=with_article(name)) for name in random.choices(names, k=arguments.batch)]
        with torch.no_grad():
            target, positive, negative, empty = (
                encoded(prompts)
                for prompts in (asked, [slider.positive(prompt) for prompt in asked], [slider.negative(prompt) for prompt in asked], [""] * arguments.batch)
            )
        sign = random.choice((-1.0, 1.0))
        student.set_adapters("default", [sign])
        latent = torch.randn(arguments.batch, 4, LATENT_SIZE, LATENT_SIZE, device=device)
        for _, scheduler, timestep, guidance in sampler.plan(arguments.on, RUN_STEPS, BASE_GUIDANCE, 0.0):
            with torch.no_grad():
                more, less, neutral = (predict_noise(frozen, latent, timestep, *condition) for condition in (positive, negative, target))
                aim = neutral + sign * scale * (more - less)
            predicted = predict_noise(student, latent, timestep, *target)
            loss = F.mse_loss(predicted, aim)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            rate.step()
            with torch.no_grad():
                noise = predicted.detach()
                if guidance > 1:
                    unconditional = predict_noise(student, latent, timestep, *empty)
                    noise = unconditional + guidance * (noise - unconditional)
                latent = scheduler.step(noise, timestep, latent).prev_sample
            # What is left of all that the slider was to add, the last steps' more than the first ones'.
            left, added = 0.95 * left + loss.item(), 0.95 * added + F.mse_loss(neutral, aim).item()
            step += 1
            if step == arguments.steps:
                break
        print(f"step {step} of {arguments.steps}  missing {left / added:.3f}", flush=True)

    training = dict(
        steps=arguments.steps, batch=arguments.batch, rank=RANK, scale=scale, seed=arguments.seed, cpu_seconds=round(time.process_time() - began)
    )
    name = arguments.name if arguments.on == "base" else f"{arguments.name}-{arguments.on}"
    write_adapter(student, arguments.work, name, arguments.on, training)
    changes = read_changes(arguments.work / FOLDER / f"{name}.safetensors")
    rows = []
    for mode in ("base", "distilled"):
        for prompt in slider.shown:
            shown = []
            for strength in SHEET_STRENGTHS:
                with adapted([base, distilled], changes, strength):
                    shown.append(sampler.draw(mode, [prompt] * 2, [0, 1]))
            rows.append(torch.stack(shown, 1).flatten(0, 1))
    contact_sheet(rows, arguments.work / FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
