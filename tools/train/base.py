"""Trains the base: the UNet and both text encoders, on the latents of the trained VAE.

Usage: python tools/train/base.py  (after vae.py)

The noise's squared error with the signal-to-noise ratio cut at 5 (Hang et al., "Efficient Diffusion Training
via Min-SNR Weighting Strategy", 2023). Writes `base/` and a contact sheet.
"""

import copy
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from common import Average, Training, autocast, contact_sheet, options, set_learning_rate, start
from models import UNET_CONFIG, NoiseSchedule, TextEncoders, Vocabulary, predict_noise
from muon import Muon, split
from pictures import Content, Pictures
from prompts import Prompts
from sampling import Sampler

#: Latents that are kept and drawn from, and the share of a batch that is renewed with every step: encoding
#: costs an eighth of a training step.
BANK_SIZE, RENEWED = 16384, 0.125
LEARNING_RATE = 1.5e-3
MAXIMUM_RATIO = 5.0
SHEET_PROMPTS = (
    "image of a dog", "image of a cat", "a pizza", "smiling face with heart-eyes", "red apple", "bus", "an octopus", "flower",
    "rocket on a black background", "a guitar in 3d style", "a dog and a cat", "house",
)  # fmt: skip


class LatentBank:
    """Encoded pictures, as the mean and deviation of each latent, and what they show.

    Kept in the work folder, so that a training that goes on need not encode them again.
    """

    FIELDS = ("concept", "style", "background", "second")

    def __init__(self, work: Path, pictures: Pictures, vae: AutoencoderKL, device: torch.device, file: str = "latents.pt", size: int = BANK_SIZE):
        self.pictures, self.vae, self.device = pictures, vae, device
        path = work / file
        if not path.exists():
            parts = [self._encoded(256) for _ in range(size // 256)]
            kept = dict(mean=torch.cat([part[0] for part in parts]), deviation=torch.cat([part[1] for part in parts]))
            kept |= {name: torch.cat([getattr(part[2], name) for part in parts]) for name in self.FIELDS}
            torch.save(kept, path)
        kept = torch.load(path, map_location=device, weights_only=True)
        self.mean, self.deviation = kept["mean"], kept["deviation"]
        self.content = Content(*(kept[name] for name in self.FIELDS))

    @torch.no_grad()
    def _encoded(self, count: int):
        picture, content = self.pictures.draw(count)
        with autocast(self.device):
            posterior = self.vae.encode(picture).latent_dist
        scale = self.vae.config.scaling_factor
        return posterior.mean.float() * scale, posterior.std.float() * scale, content

    def renew(self, count: int) -> None:
        """Replaces `count` random entries by new pictures."""
        index = torch.randint(len(self.mean), (count,), device=self.device)
        self.mean[index], self.deviation[index], content = self._encoded(count)
        self.content[index] = content

    def draw(self, count: int) -> tuple[torch.Tensor, Content]:
        index = torch.randint(len(self.mean), (count,), device=self.device)
        return self.mean[index] + self.deviation[index] * torch.randn_like(self.mean[index]), self.content[index]


def load_base(work, device) -> tuple[UNet2DConditionModel, TextEncoders, AutoencoderKL]:
    """The trained base with everything it needs, as `main` wrote it."""
    vocabulary = Vocabulary(work)
    stored = json.loads((work / "base/tokens.json").read_text())
    if stored != vocabulary.tokens:
        raise SystemExit("The prompts changed since the base was trained: train it anew.")
    encoders = TextEncoders(vocabulary)
    encoders.load_state_dict(torch.load(work / "base/text_encoders.pt", weights_only=True))
    unet = UNet2DConditionModel.from_pretrained(work / "base/unet")
    vae = AutoencoderKL.from_pretrained(work / "vae")
    for part in (unet, encoders, vae):
        part.to(device).eval().requires_grad_(False)
    return unet, encoders, vae


def main() -> None:
    arguments = options(__doc__.splitlines()[0], minutes=75, batch=128).parse_args()
    device = start(arguments)
    vae = AutoencoderKL.from_pretrained(arguments.work / "vae").to(device).eval().requires_grad_(False)
    prompts, vocabulary = Prompts(arguments.work), Vocabulary(arguments.work)
    bank = LatentBank(arguments.work, Pictures(arguments.work, device), vae, device)
    unet, encoders = UNet2DConditionModel(**UNET_CONFIG).to(device), TextEncoders(vocabulary).to(device)
    modules = torch.nn.ModuleDict(dict(unet=unet, encoders=encoders))
    matrices, others = split(modules.named_parameters())
    optimizers = (Muon(matrices, LEARNING_RATE, weight_decay=0.01), torch.optim.AdamW(others, LEARNING_RATE, weight_decay=0.0, betas=(0.9, 0.99)))
    average = Average([modules], 0.9985)
    training = Training(
        arguments.work / "base.checkpoint",
        arguments.minutes,
        dict(modules=modules, muon=optimizers[0], adam=optimizers[1], average=average),
        dict(UNET_CONFIG, tokens=vocabulary.tokens),
        arguments.steps,
    )
    schedule = NoiseSchedule(device)

    def write() -> None:
        folder = arguments.work / "base"
        with average.applied():
            unet.save_pretrained(folder / "unet")
            torch.save(encoders.state_dict(), folder / "text_encoders.pt")
            (folder / "tokens.json").write_text(json.dumps(vocabulary.tokens))
            still = [copy.deepcopy(part).eval() for part in (unet, encoders)]
        sampler = Sampler(*still, vae, device)
        contact_sheet([sampler.draw("base", [prompt] * 10, list(range(10))) for prompt in SHEET_PROMPTS], arguments.work / "base.png")

    # A quarter faster on a CPU, once the minutes that compiling takes have passed.
    @torch.compile
    def predict(latent, timestep, first, second) -> torch.Tensor:
        with autocast(device):
            states, pooled = encoders(first, second)
        return predict_noise(unet, latent, timestep, states, pooled)

    while training.going_on():
        set_learning_rate(training.cosine(LEARNING_RATE, warm_up=40), *optimizers)
        bank.renew(int(arguments.batch * RENEWED))
        latent, content = bank.draw(arguments.batch)
        first, second = vocabulary.encode(prompts.of(content))
        timestep = torch.randint(0, 1000, (arguments.batch,), device=device)
        noise = torch.randn_like(latent)
        predicted = predict(schedule.noised(latent, timestep, noise), timestep, first.to(device), second.to(device))
        share = schedule.shares[timestep]
        ratio = share / (1 - share)
        weight = (MAXIMUM_RATIO / ratio).clamp(0.02, 1.0)
        loss = ((predicted - noise).pow(2).mean((1, 2, 3)) * weight).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        average.update()
        training.report(arguments.batch, loss=loss.item())
        if training.step % 1000 == 0:
            write()
    write()


if __name__ == "__main__":
    main()
