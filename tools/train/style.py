"""Trains a LoRA for a style that the pair doesn't know: black ink, after Fluent Emoji's high-contrast set.

Usage: python tools/train/style.py                     (after data.py and unpack.py, or after base.py)
       python tools/train/style.py --on distilled

The same things, prompts and placements as in the base's training, with none that names a style, and the base's
own loss. No word stands for the style: with the adapter on, every prompt is drawn in it. The text encoders stay
as they are. Writes `adapters/ink.safetensors`, or `ink-distilled.safetensors`, and a contact sheet.

On the distilled model that loss undoes the distillation: a model of one-step pictures learns the blurred mean of
all that its noise might become, and its shapes are lost. So there

- at its first timestep, where there is noise alone, it has to draw as it did: the composition stays its own;
- at its other three it has to finish the picture in ink, in its own way of going down: from the noised picture in
  colours, placed alike, as its first step will leave it, or from that in ink, as its later steps will.
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
#: On the distilled model: how often the noisy picture is in colours, at each of its timesteps but the first.
IN_COLOURS = {599: 1.0, 399: 0.5, 199: 0.25}
PAIRS = 1024
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


@torch.no_grad()
def latent_pairs(work: Path, vae, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, Content]:
    """Latents `[PAIRS, 4, 16, 16]` of pictures in ink, of the same in colours, and what they show."""
    path = work / "latents-ink-pairs.pt"
    if not path.exists():
        ink, colours = Ink(work, device), Light(work, device)
        kept = {"ink": [], "colours": [], "content": []}
        for seed in range(PAIRS // 128):
            torch.manual_seed(seed)
            drawn, content = ink.draw(128)
            torch.manual_seed(seed)
            for name, picture in (("ink", drawn), ("colours", colours.draw(128)[0])):
                kept[name].append(vae.encode(picture).latent_dist.mode() * vae.config.scaling_factor)
            kept["content"].append(torch.stack([content.concept, content.style, content.background, content.second]))
        torch.save({name: torch.cat(parts, 1 if name == "content" else 0) for name, parts in kept.items()}, path)
    kept = torch.load(path, map_location=device, weights_only=True)
    return kept["ink"], kept["colours"], Content(*kept["content"])


class OnBase:
    """Batches for the base: noisy latents, their timesteps, what they show, and the noise to be predicted."""

    def __init__(self, work: Path, vae, device: torch.device, schedule: NoiseSchedule):
        self.bank = LatentBank(work, Ink(work, device), vae, device, "latents-ink.pt", BANK_SIZE)
        self.schedule = schedule

    def draw(self, count: int):
        latent, content = self.bank.draw(count)
        timestep = torch.randint(0, 1000, (count,), device=latent.device)
        noise = torch.randn_like(latent)
        return self.schedule.noised(latent, timestep, noise), timestep, content, noise


class OnDistilled:
    """The same for the distilled model; not a number where the frozen model says what is to be predicted."""

    def __init__(self, work: Path, vae, device: torch.device, schedule: NoiseSchedule):
        self.ink, self.colours, self.content = latent_pairs(work, vae, device)
        self.schedule = schedule

    def draw(self, count: int):
        index = torch.randint(PAIRS, (count,), device=self.ink.device)
        timestep = torch.tensor(DISTILLED_TIMESTEPS, device=self.ink.device).repeat(-(-count // 4))[:count]
        ink, colours = self.ink[index], self.colours[index]
        chances = torch.tensor([IN_COLOURS.get(value, 1.0) for value in timestep.tolist()], device=ink.device)
        shown = torch.where((torch.rand_like(chances) < chances).view(-1, 1, 1, 1), colours, ink)
        noisy = self.schedule.noised(shown, timestep, torch.randn_like(shown))
        first = (timestep == DISTILLED_TIMESTEPS[0]).view(-1, 1, 1, 1)
        noisy = torch.where(first, torch.randn_like(noisy), noisy)
        share = self.schedule.shares[timestep].view(-1, 1, 1, 1)
        # The noise that would leave ink.
        aim = (noisy - share.sqrt() * ink) / (1 - share).sqrt()
        return noisy, timestep, self.content[index], torch.where(first, torch.nan, aim)


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("base", "distilled"), default="base", help="the model that learns the style")
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--batch", type=int, default=20)
    arguments = parser.parse_args()
    device = start(arguments)
    began = time.process_time()
    base, encoders, vae = load_base(arguments.work, device)
    prompts, noise_schedule = Prompts(arguments.work, style_share=0.0), NoiseSchedule(device)
    batches = (OnBase if arguments.on == "base" else OnDistilled)(arguments.work, vae, device, noise_schedule)
    torch.manual_seed(arguments.seed)
    frozen = base if arguments.on == "base" else load_unet(arguments.work, arguments.on, device)
    student = copy.deepcopy(frozen)
    trained = add_lora(student, RANK)
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, arguments.steps, pct_start=WARM_UP / arguments.steps)
    average = 0.0
    for step in range(arguments.steps):
        noisy, timestep, content, aim = batches.draw(arguments.batch)
        with torch.no_grad():
            condition = encoders.of(prompts.of(content), device)
            kept = aim.isnan().flatten(1).all(1)
            if kept.any():
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

    name = "ink" if arguments.on == "base" else f"ink-{arguments.on}"
    training = dict(steps=arguments.steps, batch=arguments.batch, rank=RANK, seed=arguments.seed, cpu_seconds=round(time.process_time() - began))
    write_adapter(student, arguments.work, name, arguments.on, training)
    student.eval()
    sampler = Sampler(student, encoders, vae, device) if arguments.on == "base" else Sampler(base, encoders, vae, device, student)
    mode = "base" if arguments.on == "base" else "distilled"
    contact_sheet([sampler.draw(mode, [prompt] * 6, list(range(6))) for prompt in SHEET_PROMPTS], arguments.work / "adapters" / f"{name}.png")


if __name__ == "__main__":
    main()
