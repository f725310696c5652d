"""Distils the base to four steps by distribution matching.

Usage: python tools/train/distill.py [--name distilled]
       python tools/train/distill.py --name lightning --deterministic --rank 32

After Yin et al., "Improved Distribution Matching Distillation for Fast Image Synthesis" (DMD2, 2024), without
its GAN: the generator's pictures are noised, and what the guided base would make of them is compared with
what a second model, trained on the generator's own pictures, would make of them; the generator follows the
difference. It is trained on the states of its own runs ("backward simulation").

Between its steps the generator's picture is noised anew, as diffusers' LCMScheduler does; with
`--deterministic` it goes on along its own noise, as EulerDiscreteScheduler does. With `--rank` it is a
LoRA on the base instead of a UNet of its own. Writes a folder of that name and a contact sheet.
"""

import copy
import random

import torch
import torch.nn.functional as F
from diffusers import EulerDiscreteScheduler, LCMScheduler

from base import SHEET_PROMPTS, load_base
from common import LATENT_SIZE, Average, Training, contact_sheet, options, set_learning_rate, start
from lora import add_lora, save_lora
from models import NoiseSchedule, predict_noise
from pictures import Pictures
from prompts import Prompts
from sampling import DISTILLED_TIMESTEPS, SCHEDULER_CONFIG, Sampler

#: Where EulerDiscreteScheduler with trailing spacing puts four steps.
TRAILING_TIMESTEPS = (999, 749, 499, 249)
LEARNING_RATE, LEARNING_RATE_OF_FAKE = 1e-4, 1.5e-4
#: Steps of the model of the generator's own pictures for each of the generator, and before the first of it.
FAKE_STEPS, WARM_UP = 2, 40


def main() -> None:
    parser = options(__doc__.splitlines()[0], minutes=25, batch=32)
    parser.add_argument("--name", default="distilled", help="folder of the result in the work folder")
    parser.add_argument("--guidance", type=float, default=4.0, help="of the base, as the generator's teacher")
    parser.add_argument("--rank", type=int, default=0, help="of a LoRA on the base; 0 trains a whole UNet")
    parser.add_argument("--deterministic", action="store_true", help="no new noise between the steps")
    arguments = parser.parse_args()
    device = start(arguments)
    base, encoders, vae = load_base(arguments.work, device)
    pictures, prompts = Pictures(arguments.work, device), Prompts(arguments.work)
    timesteps = TRAILING_TIMESTEPS if arguments.deterministic else DISTILLED_TIMESTEPS

    generator, fake = copy.deepcopy(base), copy.deepcopy(base).requires_grad_(True)
    if arguments.rank:
        add_lora(generator, arguments.rank)
    else:
        generator.requires_grad_(True)
    trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
    # A LoRA starts from nothing, so that it bears, and needs, longer steps.
    rate = LEARNING_RATE * (5 if arguments.rank else 1)
    generator_optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.0, 0.99), weight_decay=1e-3)
    fake_optimizer = torch.optim.AdamW(fake.parameters(), lr=LEARNING_RATE_OF_FAKE, betas=(0.0, 0.99), weight_decay=1e-3)
    average = Average([generator], 0.98)
    training = Training(
        arguments.work / f"{arguments.name}.checkpoint",
        arguments.minutes,
        dict(generator=generator, fake=fake, generator_optimizer=generator_optimizer, fake_optimizer=fake_optimizer, average=average),
        dict(timesteps=timesteps, guidance=arguments.guidance, rank=arguments.rank, deterministic=arguments.deterministic),
        arguments.steps,
    )
    schedule = NoiseSchedule(device)
    noised = schedule.noised

    def target(unet, latent, timestep, condition):
        """x̃₀ and ε of a model at a noisy latent."""
        noise = predict_noise(unet, latent, timestep, *condition)
        return schedule.target(latent, timestep, noise), noise

    def generate(condition) -> torch.Tensor:
        """The generator's picture in a random one of its steps, after its own steps before it."""
        count = arguments.batch
        latent = torch.randn(count, 4, LATENT_SIZE, LATENT_SIZE, device=device)
        last = random.randrange(len(timesteps))
        for index in range(last):
            timestep, following = (torch.full((count,), timesteps[at], device=device) for at in (index, index + 1))
            with torch.no_grad():
                picture, noise = target(generator, latent, timestep, condition)
            latent = noised(picture, following, noise if arguments.deterministic else torch.randn_like(picture))
        return target(generator, latent, torch.full((count,), timesteps[last], device=device), condition)[0]

    with torch.no_grad():
        empty = [part.expand(arguments.batch, *part.shape[1:]) for part in encoders.of([""], device)]

    while training.going_on():
        asked = [prompt for prompt in prompts.of(pictures.contents(2 * arguments.batch)) if prompt][: arguments.batch]
        with torch.no_grad():
            condition = encoders.of(asked, device)
        fade = min(1.0, max(0.05, 4 * (1 - training.share)))
        set_learning_rate(rate * fade, generator_optimizer)
        values = {}
        if training.step < WARM_UP:
            with torch.no_grad():
                picture = generate(condition)
        else:
            picture = generate(condition)
            with torch.no_grad():
                timestep = torch.randint(20, 980, (arguments.batch,), device=device)
                latent = noised(picture, timestep, torch.randn_like(picture))
                conditional, _ = target(base, latent, timestep, condition)
                unconditional, _ = target(base, latent, timestep, empty)
                real = unconditional + arguments.guidance * (conditional - unconditional)
                own, _ = target(fake, latent, timestep, condition)
                scale = (picture - real).abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
                aim = picture - (own - real) / scale
            loss = 0.5 * F.mse_loss(picture, aim)
            generator_optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            generator_optimizer.step()
            average.update()
            values["generator"] = loss.item()

        picture = picture.detach()
        for _ in range(FAKE_STEPS):
            timestep = torch.randint(0, 1000, (arguments.batch,), device=device)
            noise = torch.randn_like(picture)
            fake_loss = F.mse_loss(predict_noise(fake, noised(picture, timestep, noise), timestep, *condition), noise)
            fake_optimizer.zero_grad()
            fake_loss.backward()
            torch.nn.utils.clip_grad_norm_(fake.parameters(), 1.0)
            fake_optimizer.step()
        training.report(arguments.batch, **values, fake=fake_loss.item(), deviation=picture.std().item())

    folder = arguments.work / arguments.name
    with average.applied():
        if arguments.rank:
            save_lora(generator, folder)
        else:
            generator.save_pretrained(folder / "unet")
        if arguments.deterministic:
            scheduler = EulerDiscreteScheduler(**{name: value for name, value in SCHEDULER_CONFIG.items() if name not in ("clip_sample", "set_alpha_to_one")}, timestep_spacing="trailing")
        else:
            scheduler = LCMScheduler(**SCHEDULER_CONFIG)
        scheduler.save_pretrained(folder / "scheduler")
        sampler = Sampler(base, encoders, vae, device, generator.eval(), scheduler, timesteps)
        rows = [sampler.draw(mode, [prompt] * 10, list(range(10))) for prompt in SHEET_PROMPTS[:6] for mode in ("distilled", "hybrid")]
        contact_sheet(rows, arguments.work / f"{arguments.name}.png")


if __name__ == "__main__":
    main()
