"""Draws with the models by diffusers' schedulers: the base, the distilled model, and both together."""

import torch
from diffusers import DDIMScheduler, LCMScheduler

from common import LATENT_SIZE
from models import NOISE_SCHEDULE, NoiseSchedule, TextEncoders, predict_noise

#: What the real SDXL's schedulers have, but for the schedule itself.
SCHEDULER_CONFIG = dict(**NOISE_SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
#: The base starts at the last timestep. SDXL's config has "leading", which starts 39 before it and so takes
#: its first noise for a picture that shows more of itself than there is.
BASE_SCHEDULER_CONFIG = dict(**SCHEDULER_CONFIG, timestep_spacing="trailing")
BASE_STEPS, BASE_GUIDANCE = 25, 4.0
#: Where the distilled model's four steps begin: see README.md, "The noise schedule".
DISTILLED_TIMESTEPS = (999, 599, 399, 199)
#: "hybrid-2" is the hybrid in which the base makes two steps of its own for each one that it replaces.
MODES = ("base", "distilled", "hybrid", "hybrid-2", "skip")


class Sampler:
    """Generates pictures of prompts and seeds, and keeps the Diffusion Targets when asked to."""

    def __init__(self, unet, encoders: TextEncoders, vae, device, distilled=None, scheduler=None, timesteps=DISTILLED_TIMESTEPS):
        """`scheduler` and `timesteps` are the distilled model's."""
        self.unet, self.distilled, self.encoders, self.vae, self.device = unet, distilled, encoders, vae, device
        self.schedule = NoiseSchedule(device)
        #: What a consistency model takes in place of guidance: `[1, width]`.
        self.guidance_embedding = None
        self.scheduler, self.timesteps = scheduler or LCMScheduler(**SCHEDULER_CONFIG), list(timesteps)

    @torch.no_grad()
    def latents(
        self, mode: str, prompts: list[str], seeds: list[int], steps=BASE_STEPS, guidance=BASE_GUIDANCE, base_guidance=0.0, targets=None
    ) -> torch.Tensor:
        """Latents `[batch, 4, 16, 16]`, one for each prompt with its seed. `targets` gathers each step's x̃₀."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (1, 4, LATENT_SIZE, LATENT_SIZE)
        latent = torch.cat([torch.randn(shape, generator=generator) for generator in generators]).to(self.device)
        condition, empty = (self.encoders.of(texts, self.device) for texts in (prompts, [""] * len(prompts)))
        plan = self.plan(mode, steps, guidance, base_guidance)
        latent = latent * plan[0][1].init_noise_sigma
        for of_base, scheduler, timestep, scale in plan:
            unet = self.unet if of_base else self.distilled
            scaled = scheduler.scale_model_input(latent, timestep)
            embedding = None if of_base else self.guidance_embedding
            noise = predict_noise(unet, scaled, timestep, *condition, embedding)
            if scale > 1:
                unconditional = predict_noise(unet, scaled, timestep, *empty)
                noise = unconditional + scale * (noise - unconditional)
            if targets is not None:
                targets.append(self.schedule.target(scaled, timestep.long(), noise))
            draws = dict(generator=generators) if isinstance(scheduler, LCMScheduler) else {}
            latent = scheduler.step(noise, timestep, latent, **draws).prev_sample
        return latent

    def plan(self, mode: str, steps: int, guidance: float, base_guidance: float) -> list[tuple]:
        """The steps: whether the base takes it, the scheduler, the timestep and the guidance scale.

        The base's own steps in a hybrid end where the timestep is nearest to that of the distilled model's
        second step; what is handed over is the model's input there.
        """
        if mode == "base":
            scheduler = DDIMScheduler(**BASE_SCHEDULER_CONFIG)
            scheduler.set_timesteps(steps)
            return [(True, scheduler, timestep, guidance) for timestep in scheduler.timesteps]
        scheduler = self.scheduler
        scheduler.set_timesteps(timesteps=self.timesteps)
        timesteps = list(scheduler.timesteps)
        plan = [(False, scheduler, timestep, 0.0) for timestep in timesteps]
        if mode == "hybrid":
            plan[0] = (True, scheduler, timesteps[0], base_guidance)
        elif mode == "skip":
            del plan[0]
        scheduler.set_begin_index(1 if mode == "skip" else 0)
        if mode.startswith("hybrid-"):
            of_base = DDIMScheduler(**BASE_SCHEDULER_CONFIG)
            of_base.set_timesteps(int(mode.removeprefix("hybrid-")) * len(timesteps))
            end = (of_base.timesteps - timesteps[1]).abs().argmin().item()
            plan[:1] = [(True, of_base, timestep, base_guidance) for timestep in of_base.timesteps[:end]]
            scheduler.set_begin_index(1)
        return plan

    @torch.no_grad()
    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Pictures `[batch, 3, 64, 64]` in -1…1."""
        return torch.cat([self.vae.decode(part / self.vae.config.scaling_factor).sample for part in latent.split(64)]).float().clamp(-1, 1)

    def draw(self, mode: str, prompts: list[str], seeds: list[int], **options) -> torch.Tensor:
        return self.decode(self.latents(mode, prompts, seeds, **options))
