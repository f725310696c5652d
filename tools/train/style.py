"""Trains a LoRA for a style that the pair doesn't know: black ink, after Fluent Emoji's high-contrast set.

Usage: python tools/train/style.py                     (after data.py and unpack.py, or after base.py)
       python tools/train/style.py --on distilled

The same things, prompts and placements as in the base's training, with none that names a style, and the base's
own loss. No word stands for the style: with the adapter on, every prompt is drawn in it. The text encoders stay
as they are. Writes `adapters/ink.safetensors`, or `ink-distilled.safetensors`, and a contact sheet.

On the distilled model that loss alone undoes the distillation: a model of one-step pictures learns the blurred
mean of all that its noise might become, and its shapes are lost. So a quarter of each batch is pure noise at its
first timestep, where it has to predict what it predicted before: the composition stays its own, and the style
comes with the later steps, whose timesteps all lie below FINISHED.
"""

import copy
import time
from pathlib import Path

import numpy as np
import torch

from adapters import load_unet, write_adapter
from base import MAXIMUM_RATIO, LatentBank, load_base
from common import contact_sheet, options, start
from lora import add_lora
from models import NoiseSchedule, predict_noise
from pictures import Content, Pictures
from prompts import Prompts
from sampling import DISTILLED_TIMESTEPS, Sampler

RANK, LEARNING_RATE, WARM_UP = 8, 1.5e-3, 20
BANK_SIZE = 2048
FINISHED, KEPT_SHARE = 700, 0.25
SHEET_PROMPTS = ("image of a dog", "a pizza", "happy face", "image of a bus", "an octopus", "a guitar on a yellow background")


class Light(Pictures):
    """The pictures on all backgrounds but the black one, on which nobody would see ink."""

    def contents(self, count: int) -> Content:
        content = super().contents(count)
        content.background[content.background == len(self.backgrounds) - 1] = 0
        return content


class Ink(Light):
    """The sprites in black ink. The same random numbers place them as those in colours."""

    def __init__(self, work: Path, device: torch.device):
        super().__init__(work, device)
        sprites = torch.from_numpy(np.load(work / "ink.npy"))
        self.sprites = sprites.permute(0, 1, 4, 2, 3).contiguous().to(device)

    def contents(self, count: int) -> Content:
        content = super().contents(count)
        content.style = torch.zeros_like(content.style)
        return content


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("base", "distilled"), default="base", help="the model that learns the style")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    device = start(arguments)
    began = time.process_time()
    base, encoders, vae = load_base(arguments.work, device)
    prompts, noise_schedule = Prompts(arguments.work, style_share=0.0), NoiseSchedule(device)
    bank = LatentBank(arguments.work, Ink(arguments.work, device), vae, device, "latents-ink.pt", BANK_SIZE)
    torch.manual_seed(arguments.seed)
    on_base = arguments.on == "base"
    frozen = base if on_base else load_unet(arguments.work, arguments.on, device)
    student = copy.deepcopy(frozen)
    trained = add_lora(student, RANK)
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, arguments.steps, pct_start=WARM_UP / arguments.steps)
    average = 0.0
    for step in range(arguments.steps):
        latent, content = bank.draw(arguments.batch)
        with torch.no_grad():
            condition = encoders.of(prompts.of(content), device)
        timestep = torch.randint(0, 1000 if on_base else FINISHED, (arguments.batch,), device=device)
        aim = torch.randn_like(latent)
        noisy = noise_schedule.noised(latent, timestep, aim)
        if not on_base:
            kept = slice(round(KEPT_SHARE * arguments.batch))
            timestep[kept] = DISTILLED_TIMESTEPS[0]
            noisy[kept] = torch.randn_like(noisy[kept])
            with torch.no_grad():
                aim[kept] = predict_noise(frozen, noisy[kept], timestep[kept], *(part[kept] for part in condition))
        predicted = predict_noise(student, noisy, timestep, *condition)
        share = noise_schedule.shares[timestep]
        weight = (MAXIMUM_RATIO * (1 - share) / share).clamp(0.02, 1.0)
        loss = ((predicted - aim).square().mean((1, 2, 3)) * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        average = loss.item() if not step else 0.95 * average + 0.05 * loss.item()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1} of {arguments.steps}  loss {average:.4f}", flush=True)

    name = "ink" if on_base else f"ink-{arguments.on}"
    training = dict(steps=arguments.steps, batch=arguments.batch, rank=RANK, seed=arguments.seed, cpu_seconds=round(time.process_time() - began))
    write_adapter(student, arguments.work, name, arguments.on, training)
    student.eval()
    sampler = Sampler(student if on_base else base, encoders, vae, device, student)
    mode = "base" if on_base else "distilled"
    contact_sheet([sampler.draw(mode, [prompt] * 6, list(range(6))) for prompt in SHEET_PROMPTS], arguments.work / "adapters" / f"{name}.png")


if __name__ == "__main__":
    main()
