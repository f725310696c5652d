"""Distils the base to a latent consistency model, as a LoRA with embedded guidance.

Usage: python tools/train/consistency.py

After Luo et al., "Latent Consistency Models" (2023): the student's x̃₀ must be the same at a noisy latent and
at the one that the guided base's DDIM makes of it one step further; the guidance scale, drawn at random, is
an input of the student. Writes `lcm/` and a contact sheet.
"""

import copy

import torch
from diffusers import LCMScheduler, UNet2DConditionModel

from base import SHEET_PROMPTS, LatentBank, load_base
from common import Average, Training, contact_sheet, options, set_learning_rate, start
from lora import add_lora, save_lora
from models import UNET_CONFIG, NoiseSchedule, guidance_embedding, predict_noise
from pictures import Pictures
from prompts import Prompts
from sampling import SCHEDULER_CONFIG, Sampler

#: DDIM steps of the whole way; the student's four steps begin at some of them.
SOLVER_STEPS = 25
GUIDANCE_RANGE = (2.0, 6.0)
GUIDANCE_WIDTH = 256
LEARNING_RATE = 5e-4
#: Of the pseudo-Huber loss.
HUBER = 1e-3
#: LCM's boundary condition: the standard deviation of the data, and what timesteps are multiplied by.
DATA_DEVIATION, TIMESTEP_SCALING = 0.5, 10.0


def main() -> None:
    parser = options(__doc__.splitlines()[0], minutes=15, batch=32)
    parser.add_argument("--rank", type=int, default=32)
    arguments = parser.parse_args()
    device = start(arguments)
    base, encoders, vae = load_base(arguments.work, device)
    pictures, prompts = Pictures(arguments.work, device), Prompts(arguments.work)
    bank = LatentBank(arguments.work, pictures, vae, device)

    student = UNet2DConditionModel(**UNET_CONFIG, time_cond_proj_dim=GUIDANCE_WIDTH).to(device)
    projection = student.time_embedding.cond_proj
    student.load_state_dict(base.state_dict() | {"time_embedding.cond_proj.weight": torch.zeros_like(projection.weight)})
    add_lora(student, arguments.rank)
    projection.requires_grad_(True)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-3)
    average = Average([student], 0.98)
    training = Training(
        arguments.work / "lcm.checkpoint",
        arguments.minutes,
        dict(student=student, optimizer=optimizer, average=average),
        dict(rank=arguments.rank, steps=SOLVER_STEPS, guidance=GUIDANCE_RANGE),
        arguments.steps,
    )
    schedule = NoiseSchedule(device)
    interval = 1000 // SOLVER_STEPS

    def consistent(latent, timestep, condition, embedding) -> torch.Tensor:
        """The student's x̃₀ under LCM's boundary condition, which is the latent itself where there is no noise."""
        scaled = timestep.view(-1, 1, 1, 1) * TIMESTEP_SCALING
        skip = DATA_DEVIATION**2 / (scaled**2 + DATA_DEVIATION**2)
        picture = schedule.target(latent, timestep, predict_noise(student, latent, timestep, *condition, embedding))
        return skip * latent + scaled / (scaled**2 + DATA_DEVIATION**2).sqrt() * picture

    count = arguments.batch
    with torch.no_grad():
        empty = [part.expand(count, *part.shape[1:]) for part in encoders.of([""], device)]
    while training.going_on():
        set_learning_rate(LEARNING_RATE * min(1.0, (training.step + 1) / 30, max(0.05, 4 * (1 - training.share))), optimizer)
        bank.renew(4)
        latent, content = bank.draw(count)
        with torch.no_grad():
            condition = encoders.of(prompts.of(content), device)
            low, high = GUIDANCE_RANGE
            guidance = torch.rand(count, device=device) * (high - low) + low
            embedding = guidance_embedding(guidance, GUIDANCE_WIDTH)
            timestep = torch.randint(1, SOLVER_STEPS + 1, (count,), device=device) * interval - 1
            following = timestep - interval
            noisy = schedule.noised(latent, timestep, torch.randn_like(latent))
            conditional = predict_noise(base, noisy, timestep, *condition)
            unconditional = predict_noise(base, noisy, timestep, *empty)
            noise = unconditional + guidance.view(-1, 1, 1, 1) * (conditional - unconditional)
            picture = schedule.target(noisy, timestep, noise)
            is_last = following < 0
            following = following.clamp(min=0)
            further = schedule.noised(picture, following, noise)
            # Behind the last step there is no noise left, and the boundary condition gives the latent itself.
            aim = torch.where(is_last.view(-1, 1, 1, 1), picture, consistent(further, following, condition, embedding))
        difference = consistent(noisy, timestep, condition, embedding) - aim
        loss = ((difference.pow(2) + HUBER**2).sqrt() - HUBER).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update()
        training.report(count, loss=loss.item())

    folder = arguments.work / "lcm"
    with average.applied():
        save_lora(student, folder, whole=("time_embedding.cond_proj.weight",))
        scheduler = LCMScheduler(**SCHEDULER_CONFIG, original_inference_steps=SOLVER_STEPS)
        scheduler.save_pretrained(folder / "scheduler")
        scheduler.set_timesteps(4)
        sampler = Sampler(base, encoders, vae, device, copy.deepcopy(student).eval(), scheduler, scheduler.timesteps.tolist())
        sampler.guidance_embedding = guidance_embedding(torch.tensor([4.0], device=device), GUIDANCE_WIDTH)
        contact_sheet([sampler.draw("distilled", [prompt] * 10, list(range(10))) for prompt in SHEET_PROMPTS], arguments.work / "lcm.png")


if __name__ == "__main__":
    main()
