"""Trains a LoRA for a style that the pair doesn't know: black ink, after Fluent Emoji's high-contrast set.

Usage: python tools/train/style.py                     (after data.py and unpack.py, or after base.py)
       python tools/train/style.py --on distilled

The same things, prompts and placements as in the base's training, with none that names a style, and the base's
own loss. No word stands for the style: with the adapter on, every prompt is drawn in it. The text encoders stay
as they are. Writes `adapters/ink.safetensors`, or `ink-distilled.safetensors`, and a contact sheet.

On the distilled model the loss is the same, at the four timesteps that this model knows alone. See TIMESTEPS.
"""

import copy
import time

import numpy as np
import torch

from adapters import load_unet, write_adapter
from base import MAXIMUM_RATIO, LatentBank, load_base
from common import contact_sheet, options, start
from lora import add_lora
from models import NoiseSchedule, predict_noise
from pictures import Content, Pictures
from prompts import Prompts
from sampling import Sampler

RANK, LEARNING_RATE, WARM_UP = 8, 1.5e-3, 20
BANK_SIZE = 2048
#: The distilled model makes a finished picture out of noise alone; the loss would teach it the mean of all
#: pictures there. So it is trained where the picture is there already: below its first step.
TIMESTEPS = {"base": (0, 1000), "distilled": (0, 700)}
SHEET_PROMPTS = ("image of a dog", "a pizza", "happy face", "image of a bus", "an octopus", "a guitar on a yellow background")


class Ink(Pictures):
    """The sprites in black ink. On black nobody would see them."""

    def __init__(self, work, device: torch.device):
        super().__init__(work, device)
        sprites = torch.from_numpy(np.load(work / "ink.npy"))
        self.sprites = sprites.permute(0, 1, 4, 2, 3).contiguous().to(device)
        self.black = len(self.backgrounds) - 1

    def contents(self, count: int) -> Content:
        content = super().contents(count)
        content.style = torch.zeros_like(content.style)
        content.background[content.background == self.black] = 0
        return content


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--on", choices=TIMESTEPS, default="base", help="the model that learns the style")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=32)
    arguments = parser.parse_args()
    device = start(arguments)
    began = time.process_time()
    base, encoders, vae = load_base(arguments.work, device)
    ink, prompts = Ink(arguments.work, device), Prompts(arguments.work, style_share=0.0)
    bank = LatentBank(arguments.work, ink, vae, device, "latents-ink.pt", BANK_SIZE)
    unet = base if arguments.on == "base" else load_unet(arguments.work, arguments.on, device)
    student = copy.deepcopy(unet)
    trained = add_lora(student, RANK)
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, arguments.steps, pct_start=WARM_UP / arguments.steps)
    noise_schedule = NoiseSchedule(device)
    average = 0.0
    for step in range(arguments.steps):
        latent, content = bank.draw(arguments.batch)
        with torch.no_grad():
            condition = encoders.of(prompts.of(content), device)
        timestep = torch.randint(*TIMESTEPS[arguments.on], (arguments.batch,), device=device)
        noise = torch.randn_like(latent)
        predicted = predict_noise(student, noise_schedule.noised(latent, timestep, noise), timestep, *condition)
        share = noise_schedule.shares[timestep]
        weight = (MAXIMUM_RATIO * (1 - share) / share).clamp(0.02, 1.0)
        loss = ((predicted - noise).square().mean((1, 2, 3)) * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        average = loss.item() if not step else 0.95 * average + 0.05 * loss.item()
        if (step + 1) % 10 == 0:
            print(f"step {step + 1} of {arguments.steps}  loss {average:.4f}", flush=True)

    name = "ink" if arguments.on == "base" else f"ink-{arguments.on}"
    training = dict(steps=arguments.steps, batch=arguments.batch, rank=RANK, seed=arguments.seed, cpu_seconds=round(time.process_time() - began))
    write_adapter(student, arguments.work, name, arguments.on, training)
    student.eval()
    sampler = Sampler(student, encoders, vae, device) if arguments.on == "base" else Sampler(base, encoders, vae, device, student)
    mode = "base" if arguments.on == "base" else "distilled"
    contact_sheet([sampler.draw(mode, [prompt] * 6, list(range(6))) for prompt in SHEET_PROMPTS], arguments.work / "adapters" / f"{name}.png")


if __name__ == "__main__":
    main()
