"""Whole pictures of the packed emoji pair, for the tests of the page in a browser.

Writes tests/browser/reference/*.png and manifest.json. Each picture is drawn with diffusers'
own schedulers and models and one torch generator per seed, which gives the initial latent and
then the schedulers' step noise. The plain base and distilled runs are compared with
StableDiffusionXLPipeline itself.

manifest.json: {"pictures": [{"file", "device", "mode", "prompt", "negative_prompt", "seed",
"options"}], "sizes": […]}. Those of `sizes` are of other sizes than the pair's own. `device` is "cpu" for pictures that only the CPU device draws in bearable time, and
"webgpu" for those of few passes; `options` are the page's further parameters after #, the same
for every mode of a grid. An entry with "step" (from 1) is not the image, but the decoded
Diffusion Target of that step.
"""

import json
from dataclasses import dataclass

import diffusers
import numpy
import torch
from common import ROOT, encode, load_emoji_pair, predict, reproducible
from diffusers import StableDiffusionXLPipeline
from PIL import Image

FOLDER = ROOT / "tests" / "browser" / "reference"
DEFAULTS = json.loads((ROOT / "tools" / "train" / "emoji-pair.json").read_text())["defaults"]
DISTILLED_TIMESTEPS = DEFAULTS["distilled_timesteps"]
MANIFESTS = ["manifest.json", "lightning.json", "lcm.json"]
PROMPTS = [
    "image of a dog face",
    "picture of a pizza",
    "smiling face with heart-eyes on a blue background",
]
SEEDS = [0, 1]
MODES = ["base", "distilled", "hybrid", "skip"]


@dataclass
class Settings:
    """What decides a picture."""

    mode: str
    prompt: str
    seed: int
    negative_prompt: str = ""
    device: str = "cpu"
    base_steps: int = 12
    guidance: float = 4.0
    k: int = 1
    base_guidance: float = 0.0
    hybrid_base_steps: int = 1
    distilled_guidance: float = 0.0
    manifest: str = "manifest.json"
    # Width and height.
    size: tuple[int, int] = (64, 64)

    def options(self) -> dict[str, str]:
        """The page's parameters; those of other modes too, so that one grid can draw them all."""
        numbers = {
            "base-steps": self.base_steps,
            "guidance": self.guidance,
            "distilled-steps": len(DISTILLED_TIMESTEPS),
            "distilled-guidance": self.distilled_guidance,
            "k": self.k,
            "base-guidance": self.base_guidance,
            "hybrid-base-steps": self.hybrid_base_steps,
        }
        options = {name: f"{value:g}" for name, value in numbers.items()}
        options = {"negative-prompt": self.negative_prompt, **options}
        if self.manifest != "manifest.json":
            options["pair"] = f"pairs/emoji/{self.manifest}"
        if self.size != (64, 64):
            options["size"] = f"{self.size[0]}x{self.size[1]}"
        return options


def scheduler(pair, role: str, steps: int | None = None):
    """The pair's scheduler; without a number of steps at the distilled model's timesteps, which are
    the pair's own or, of relatives that have none, the scheduler's."""
    config = pair.manifest["schedulers"][role]
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    if steps is None and pair.manifest["defaults"]["distilled_timesteps"]:
        made.set_timesteps(timesteps=DISTILLED_TIMESTEPS)
    elif steps is None:
        made.set_timesteps(len(DISTILLED_TIMESTEPS))
    else:
        made.set_timesteps(steps)
    return made


def plan(pair, settings: Settings) -> list[tuple]:
    """The run as a list of stretches: (model, scheduler, from step, to step, guidance scale)."""
    if settings.mode == "base":
        base = scheduler(pair, "base", settings.base_steps)
        return [(pair.unet, base, 0, settings.base_steps, settings.guidance)]
    distilled = scheduler(pair, "distilled")
    steps = len(distilled.timesteps)
    if settings.mode == "distilled":
        return [(pair.unet_distilled, distilled, 0, steps, settings.distilled_guidance)]
    if settings.mode == "skip":
        return [(pair.unet_distilled, distilled, 1, steps, settings.distilled_guidance)]
    if settings.hybrid_base_steps == 1:
        base, handover = distilled, settings.k
    else:
        base = scheduler(pair, "base", settings.hybrid_base_steps * steps)
        distance = (base.timesteps - distilled.timesteps[settings.k]).abs()
        handover = int(distance.argmin())
    return [
        (pair.unet, base, 0, handover, settings.base_guidance),
        (pair.unet_distilled, distilled, settings.k, steps, settings.distilled_guidance),
    ]


def decode(pair, latent: torch.Tensor) -> numpy.ndarray:
    """[pictures, height, width, 3], 8 bit."""
    image = pair.vae.decode(latent / pair.vae.config.scaling_factor).sample
    return eight_bit((image / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy())


def eight_bit(image: numpy.ndarray) -> numpy.ndarray:
    return (image * 255).round().astype("uint8")


def predicted_original(scheduler, latent, noise, timestep) -> torch.Tensor:
    """The Diffusion Target: equation 2 of the paper, for a model that predicts noise. `latent` is the
    model's input."""
    alpha_bar = scheduler.alphas_cumprod[int(timestep)]
    return (latent - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()


def handed_over(latent: torch.Tensor, sent, received, timestep) -> torch.Tensor:
    """A latent on its way from one scheduler to another: those of Euler's grow with the noise."""
    grow = [isinstance(steps, diffusers.EulerDiscreteScheduler) for steps in (sent, received)]
    if grow[0] == grow[1]:
        return latent
    scale = received.alphas_cumprod[int(timestep)].sqrt()
    return latent / scale if grow[1] else latent * scale


def draw_seeds(
    pair, settings: Settings, seeds: list[int], targets: list | None = None
) -> numpy.ndarray:
    """The pictures of these seeds, [seeds, height, width, 3]; `targets` gets the Diffusion Targets'
    latents of each step."""
    count = len(seeds)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    conditional = encode(pair, [settings.prompt] * count)
    unconditional = encode(pair, [settings.negative_prompt] * count)
    stretches = plan(pair, settings)
    width, height = settings.size
    time_ids = torch.tensor([[height, width, 0.0, 0.0, height, width]])
    shape = (1, 4, height // 4, width // 4)
    latent = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
    latent *= stretches[0][1].init_noise_sigma
    sent = stretches[0][1]
    for unet, steps, start, end, guidance in stretches:
        latent = handed_over(latent, sent, steps, steps.timesteps[start])
        sent = steps
        for timestep in steps.timesteps[start:end]:
            sample = steps.scale_model_input(latent, timestep)
            noise = predict(unet, sample, timestep, conditional, guidance, time_ids)
            if guidance > 1 and not unet.config.time_cond_proj_dim:
                negative = predict(unet, sample, timestep, unconditional, time_ids=time_ids)
                noise = negative + guidance * (noise - negative)
            if targets is not None:
                targets.append(predicted_original(steps, sample, noise, timestep))
            latent = steps.step(noise, timestep, latent, generator=generators).prev_sample
    return decode(pair, latent)


def draw(pair, settings: Settings) -> tuple[numpy.ndarray, list[numpy.ndarray]]:
    """The picture, and the decoded Diffusion Target of each step."""
    targets: list[torch.Tensor] = []
    picture = draw_seeds(pair, settings, [settings.seed], targets)[0]
    return picture, [decode(pair, target)[0] for target in targets]


def compare_with_pipeline(pair, settings: Settings) -> None:
    """Stops if our loop draws another picture than StableDiffusionXLPipeline."""
    role = "base" if settings.mode == "base" else "distilled"
    pipeline = StableDiffusionXLPipeline(
        vae=pair.vae,
        text_encoder=pair.text_encoder,
        text_encoder_2=pair.text_encoder_2,
        tokenizer=pair.tokenizer,
        tokenizer_2=pair.tokenizer_2,
        unet=pair.unet if role == "base" else pair.unet_distilled,
        scheduler=scheduler(pair, role, None if role == "distilled" else settings.base_steps),
        force_zeros_for_empty_prompt=pair.manifest["force_zeros_for_empty_prompt"],
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    steps = (
        {"num_inference_steps": settings.base_steps}
        if role == "base"
        else {"timesteps": DISTILLED_TIMESTEPS}
    )
    image = pipeline(
        settings.prompt,
        negative_prompt=settings.negative_prompt,
        height=settings.size[1],
        width=settings.size[0],
        guidance_scale=settings.guidance if role == "base" else 0.0,
        generator=torch.Generator("cpu").manual_seed(settings.seed),
        output_type="np",
        **steps,
    ).images[0]
    difference = numpy.abs(draw(pair, settings)[0].astype(int) - eight_bit(image)).max()
    # One level of 255: batched and single passes of a UNet round differently.
    if difference > 1:
        raise AssertionError(f"{settings}: {difference}/255 away from the pipeline's picture")
    print(f"{settings.mode}: within {difference}/255 of StableDiffusionXLPipeline")


def all_settings() -> dict[str, Settings]:
    """Every picture by its file's name."""
    pictures = {}
    for number, prompt in enumerate(PROMPTS):
        for seed in SEEDS:
            for mode in MODES:
                pictures[f"{number}-{mode}-{seed}"] = Settings(mode, prompt, seed)
    dog, pizza, face = PROMPTS
    # Few steps without guidance: a software adapter needs seconds for each pass.
    for mode in MODES:
        pictures[f"webgpu-{mode}"] = Settings(
            mode, dog, 3, device="webgpu", base_steps=3, guidance=1.0
        )
    for name, guidance in (("lightning", 0.0), ("lcm", 4.0)):
        for mode in ("distilled", "hybrid"):
            pictures[f"{name}-{mode}"] = Settings(
                mode, dog, 0, distilled_guidance=guidance, manifest=f"{name}.json"
            )
    pictures["negative-prompt"] = Settings(
        "base", face, 0, negative_prompt="blue background", base_steps=8, guidance=5.0
    )
    pictures["hybrid-k2-guided"] = Settings("hybrid", pizza, 0, k=2, base_guidance=5.0)
    pictures["hybrid-base-steps-3"] = Settings("hybrid", pizza, 1, hybrid_base_steps=3)
    pictures["hybrid-base-steps-3-k2-guided"] = Settings(
        "hybrid", dog, 1, k=2, base_guidance=5.0, hybrid_base_steps=3
    )
    return pictures


def entry(file: str, settings: Settings, picture: numpy.ndarray) -> dict:
    """Writes a picture and describes it."""
    Image.fromarray(picture).save(FOLDER / file, optimize=True)
    return {
        "file": file,
        "device": settings.device,
        "mode": settings.mode,
        "prompt": settings.prompt,
        "negative_prompt": settings.negative_prompt,
        "seed": settings.seed,
        "options": settings.options(),
    }


def main() -> None:
    reproducible()
    # diffusers warns of timesteps that are not evenly spaced; they are the pair's.
    diffusers.utils.logging.set_verbosity_error()
    pairs = {name: load_emoji_pair(name) for name in MANIFESTS}
    pair = pairs["manifest.json"]
    for mode in ("base", "distilled"):
        for size in ((64, 64), (128, 64)):
            settings = Settings(mode, PROMPTS[2], 1, negative_prompt="dog", size=size)
            compare_with_pipeline(pair, settings)

    FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in FOLDER.glob("*.png"):
        stale.unlink()
    entries = [
        entry(f"{name}.png", settings, draw(pairs[settings.manifest], settings)[0])
        for name, settings in all_settings().items()
    ]
    settings = Settings("hybrid", PROMPTS[0], 0)
    for step, preview in enumerate(draw(pair, settings)[1], start=1):
        entries.append({**entry(f"target-{step}.png", settings, preview), "step": step})
    sizes = [
        entry(f"size-{mode}.png", settings, draw(pair, settings)[0])
        for mode, size in (("base", (64, 128)), ("hybrid", (128, 64)), ("distilled", (192, 128)))
        for settings in [Settings(mode, PROMPTS[0], 0, size=size)]
    ]
    lists = []
    for name, pictures in (("pictures", entries), ("sizes", sizes)):
        lines = ",\n    ".join(json.dumps(line) for line in pictures)
        lists.append(f'  "{name}": [\n    {lines}\n  ]')
    (FOLDER / "manifest.json").write_text("{\n" + ",\n".join(lists) + "\n}\n")
    files = list(FOLDER.iterdir())
    size = sum(file.stat().st_size for file in files)
    print(f"{size:>9} {FOLDER.relative_to(ROOT)}, {len(files)} files")


if __name__ == "__main__":
    main()
