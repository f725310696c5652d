"""Writes the reference values of the sampler: torch's noise, diffusers' schedulers, and the
paper's hand-over from a base model to a distilled one.

    python tools/reference/sampler.py

needs torch, diffusers and numpy, and writes tests/parity/values/sampler.json. A smooth function of
the sample and the timestep stands in for the models, so that the test can compute it as well.
"""

import json
import pathlib

import diffusers
import numpy
import torch

# LCM warns about every timestep that is not one of its own, which is what the explicit ones are.
diffusers.logging.set_verbosity_error()

OUTPUT = pathlib.Path(__file__).parents[2] / "tests" / "parity" / "values" / "sampler.json"

LATENT_SHAPE = (1, 4, 3, 3)

SEEDS = [
    0, 1, 2, 3, 7, 42, 100, 1234, 4321, 31337, 65535, 65536, 999983, 123456789,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**63 + 5,
]  # fmt: skip
LENGTHS = [1, 2, 5, 15, 16, 17, 31, 33, 36, 64, 100, 1024]
# Of longer noise the first and last few values are stored, and a sum that every value is part of.
SHORT_LENGTH = 17
EDGE = 4

# Of longer trajectories every fifth step is stored, and the last.
SHORT_TRAJECTORY = 8
STORED_INTERVAL = 5

LATENT_DIFFUSION = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
}

# Schedulers whose samples grow with the noise, so that the model's input is a scaled sample. The
# others leave the sample as it is.
EXPLODING = (diffusers.EulerDiscreteScheduler, diffusers.EulerAncestralDiscreteScheduler)


def numbers(values):
    """Single-precision numbers with eight digits, a hundredth of the tightest tolerance."""
    return [float(f"{value:.8g}") for value in numpy.asarray(values, dtype=numpy.float32).ravel()]


def noise_values():
    for seed in SEEDS:
        for length in LENGTHS:
            values = torch.randn(length, generator=torch.Generator().manual_seed(seed))
            entry = {"seed": seed, "len": length}
            if length <= SHORT_LENGTH:
                entry["values"] = numbers(values)
            else:
                entry["head"] = numbers(values[:EDGE])
                entry["tail"] = numbers(values[-EDGE:])
                weights = torch.arange(1, length + 1, dtype=torch.float64) / length
                entry["weighted_sum"] = float((values.double() * weights).sum())
            yield entry


def successive_noise_values():
    """Several draws from one generator: an odd short one leaves a number for the next short one."""
    for seed, lengths in [(0, [3, 3]), (1, [5, 16, 2]), (42, [1, 1, 1]), (7, [17, 3, 33, 4]), (3, [36, 36])]:
        generator = torch.Generator().manual_seed(seed)
        yield {
            "seed": seed,
            "draws": [numbers(torch.randn(length, generator=generator)) for length in lengths],
        }


def scheduler(config, steps):
    """A diffusers scheduler of a configuration, set to a number of steps or explicit timesteps."""
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    if isinstance(steps, list):
        made.set_timesteps(timesteps=steps)
    else:
        made.set_timesteps(steps)
    return made


def model(sample, timestep, phase=0.0):
    return 0.6 * torch.sin(0.7 * sample + (timestep.to(torch.float32) / 300 + phase)) + 0.3 * sample


def guided_model(sample, timestep, phase, guidance_scale):
    """diffusers runs the unconditional pass only for guidance scales above 1."""
    conditional = model(sample, timestep, phase)
    if guidance_scale <= 1:
        return conditional
    unconditional = model(sample, timestep, phase - 0.4)
    return unconditional + guidance_scale * (conditional - unconditional)


def predicted_original(made, output, model_output, timestep, sample):
    """Equation 2. LCM alone doesn't hand it out: its second output is already mixed."""
    if not isinstance(made, diffusers.LCMScheduler):
        return output.pred_original_sample
    signal = made.alphas_cumprod[timestep].sqrt()
    noise = (1 - made.alphas_cumprod[timestep]).sqrt()
    if made.config.prediction_type == "epsilon":
        original = (sample - noise * model_output) / signal
    elif made.config.prediction_type == "sample":
        original = model_output
    else:
        original = signal * sample - noise * model_output
    if made.config.clip_sample:
        original = original.clamp(-made.config.clip_sample_range, made.config.clip_sample_range)
    return original


def step(made, model_output, timestep, sample, generator):
    """One step as a pipeline takes it; DDIM's eta is 0, so that it draws nothing."""
    output = made.step(model_output, timestep, sample, generator=generator)
    return output.prev_sample, predicted_original(made, output, model_output, timestep, sample)


def trajectory(name, config, steps, seed=11):
    made = scheduler(config, steps)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(LATENT_SHAPE, generator=generator) * made.init_noise_sigma
    count = len(made.timesteps)
    entry = {
        "name": name,
        "config": config,
        "steps": steps,
        "seed": seed,
        "init_noise_sigma": numbers([made.init_noise_sigma])[0],
        "timesteps": numbers(made.timesteps),
        "initial": numbers(sample),
        "stored": [],
    }
    for index, timestep in enumerate(made.timesteps):
        scaled = made.scale_model_input(sample, timestep)
        sample, original = step(made, model(scaled, timestep), timestep, sample, generator)
        if count <= SHORT_TRAJECTORY or index % STORED_INTERVAL == 0 or index == count - 1:
            stored = {"index": index}
            if isinstance(made, EXPLODING):
                stored["model_input"] = numbers(scaled)
            stored["previous_sample"] = numbers(sample)
            stored["predicted_original"] = numbers(original)
            entry["stored"].append(stored)
    return entry


def ddim(**changes):
    return {"_class_name": "DDIMScheduler", **LATENT_DIFFUSION, **changes}


def lcm(**changes):
    return {"_class_name": "LCMScheduler", **LATENT_DIFFUSION, **changes}


def euler(**changes):
    return {"_class_name": "EulerDiscreteScheduler", **LATENT_DIFFUSION, **changes}


def euler_ancestral(**changes):
    return {"_class_name": "EulerAncestralDiscreteScheduler", **LATENT_DIFFUSION, **changes}


# The configuration of SDXL's base model and of the emoji pair.
SDXL = {"steps_offset": 1, "set_alpha_to_one": False, "timestep_spacing": "leading"}
TRAILING = {"timestep_spacing": "trailing"}
LINSPACE = {"timestep_spacing": "linspace"}
SAMPLE = {"prediction_type": "sample"}
VELOCITY = {"prediction_type": "v_prediction"}
DMD2_TIMESTEPS = [999, 749, 499, 249]


def trajectories():
    yield trajectory("DDIM leading 20", ddim(**SDXL), 20)
    yield trajectory("DDIM leading 25, without offset", ddim(set_alpha_to_one=False), 25)
    yield trajectory("DDIM leading 50", ddim(**SDXL), 50)
    yield trajectory("DDIM leading 4", ddim(**SDXL), 4)
    yield trajectory("DDIM leading 7, to no noise", ddim(steps_offset=1), 7)
    yield trajectory("DDIM trailing 6", ddim(**TRAILING), 6)
    yield trajectory("DDIM linspace 6", ddim(**LINSPACE), 6)
    yield trajectory("DDIM linspace 1", ddim(**LINSPACE), 1)
    yield trajectory("DDIM sample", ddim(**SDXL, **SAMPLE), 5)
    yield trajectory("DDIM velocity", ddim(**TRAILING, **VELOCITY), 5)
    yield trajectory("DDIM clipped", ddim(**SDXL) | {"clip_sample": True, "clip_sample_range": 1.5}, 5)
    yield trajectory(
        "DDIM clipped sample", ddim(**SDXL, **SAMPLE) | {"clip_sample": True, "clip_sample_range": 0.7}, 3
    )
    yield trajectory("DDIM defaults", {"_class_name": "DDIMScheduler"}, 5)
    yield trajectory("DDIM cosine", ddim(**SDXL) | {"beta_schedule": "squaredcos_cap_v2"}, 5)
    yield trajectory("LCM 4", lcm(**SDXL), 4)
    yield trajectory("LCM 7", lcm(), 7)
    yield trajectory("LCM 1", lcm(), 1)
    yield trajectory("LCM explicit", lcm(**SDXL), DMD2_TIMESTEPS)
    yield trajectory("LCM sample", lcm(**SAMPLE), 3)
    yield trajectory("LCM velocity", lcm(**VELOCITY), 3)
    yield trajectory("LCM clipped", lcm() | {"clip_sample": True}, 3)
    # With the default of 10 the sample's share in the boundary condition is below the tolerance.
    yield trajectory("LCM boundary condition", lcm(timestep_scaling=0.001), 4)
    yield trajectory("LCM defaults", {"_class_name": "LCMScheduler", "original_inference_steps": 100}, 3)
    yield trajectory("Euler leading 25", euler(**SDXL), 25)
    yield trajectory("Euler leading 4, without offset", euler(timestep_spacing="leading"), 4)
    for steps in [2, 4, 8]:
        yield trajectory(f"Euler trailing {steps}", euler(**TRAILING), steps)
    yield trajectory("Euler linspace 6", euler(**LINSPACE), 6)
    yield trajectory("Euler explicit", euler(**TRAILING), DMD2_TIMESTEPS)
    yield trajectory("Euler sample", euler(**TRAILING, **SAMPLE), 4)
    yield trajectory("Euler velocity", euler(**SDXL, **VELOCITY), 5)
    yield trajectory("Euler defaults", {"_class_name": "EulerDiscreteScheduler"}, 4)
    for steps in [1, 4]:
        yield trajectory(f"Euler ancestral trailing {steps}", euler_ancestral(**TRAILING), steps)
    yield trajectory("Euler ancestral leading 10", euler_ancestral(**SDXL), 10)
    yield trajectory("Euler ancestral linspace 5", euler_ancestral(**LINSPACE), 5)
    yield trajectory("Euler ancestral velocity", euler_ancestral(**TRAILING, **VELOCITY), 4)


def from_config_timesteps():
    """Configurations that are used for another class, as a pipeline's from_config does."""
    configs = [
        {"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "clip_sample": False,
         "set_alpha_to_one": False, "timestep_spacing": "leading", "steps_offset": 1},
        {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"},
        {"_class_name": "LCMScheduler"},
    ]  # fmt: skip
    classes = [
        diffusers.DDIMScheduler,
        diffusers.EulerDiscreteScheduler,
        diffusers.EulerAncestralDiscreteScheduler,
        diffusers.LCMScheduler,
    ]
    for config in configs:
        original = getattr(diffusers, config["_class_name"]).from_config(config)
        for other in classes:
            made = other.from_config(original.config)
            made.set_timesteps(5)
            yield {
                "config": config,
                "class": other.__name__,
                "timesteps": numbers(made.timesteps),
                "init_noise_sigma": numbers([made.init_noise_sigma])[0],
                "last_alpha_cumprod": numbers([made.alphas_cumprod[-1]])[0],
            }


def hand_over(sample, base, base_end, distilled, k):
    """The paper's code passes latents on as they are, between schedulers of one scale. Between two
    scales the latent becomes the other scale's at the Euler side's noise level."""
    sent_exploding = isinstance(base, EXPLODING)
    received_exploding = isinstance(distilled, EXPLODING)
    if sent_exploding == received_exploding:
        return sample
    level = distilled.timesteps[k] if received_exploding else base.timesteps[base_end]
    alpha_bar = base.alphas_cumprod[level.long()]
    return sample / alpha_bar.sqrt() if received_exploding else sample * alpha_bar.sqrt()


def run(entry, made, role, positions, sample, guidance_scale, generator):
    for timestep in made.timesteps[positions]:
        scaled = made.scale_model_input(sample, timestep)
        phase = 0.0 if role == "Base" else 0.5
        output = guided_model(scaled, timestep, phase, guidance_scale)
        sample, original = step(made, output, timestep, sample, generator)
        entry["outcomes"].append(
            {
                "model": role,
                "timestep": numbers([timestep])[0],
                "predicted_original": numbers(original),
            }
        )
    return sample


def plan(name, base, distilled, k, base_guidance=0.0, distilled_guidance=0.0, seed=5):
    """Hybrid with the rule of the paper's code: the base model runs until its timestep nearest to
    the distilled model's timestep k, then the distilled model goes on. base is (config, steps), or
    none where the base model follows the distilled model's scheduler."""
    distilled_made = scheduler(*distilled)
    base_made = scheduler(*(base or distilled))
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(LATENT_SHAPE, generator=generator) * base_made.init_noise_sigma
    entry = {
        "name": name,
        "base": base,
        "distilled": distilled,
        "k": k,
        "base_guidance": base_guidance,
        "distilled_guidance": distilled_guidance,
        "seed": seed,
        "outcomes": [],
    }
    if k < len(distilled_made.timesteps):
        base_end = int(abs(base_made.timesteps - distilled_made.timesteps[k]).argmin())
    else:
        base_end = len(base_made.timesteps)
    entry["base_end"] = base_end
    sample = run(entry, base_made, "Base", slice(0, base_end), sample, base_guidance, generator)
    if k < len(distilled_made.timesteps):
        sample = hand_over(sample, base_made, base_end, distilled_made, k)
    sample = run(entry, distilled_made, "Distilled", slice(k, None), sample, distilled_guidance, generator)
    entry["result"] = numbers(sample)
    return entry


def skip(name, distilled, seed=5):
    made = scheduler(*distilled)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(LATENT_SHAPE, generator=generator) * made.init_noise_sigma
    entry = {"name": name, "distilled": distilled, "seed": seed, "outcomes": []}
    entry["result"] = numbers(run(entry, made, "Distilled", slice(1, None), sample, 0.0, generator))
    return entry


def plans():
    sdxl_ddim, sdxl_lcm = ddim(**SDXL), lcm(**SDXL)
    dmd2, lightning = (sdxl_lcm, DMD2_TIMESTEPS), (euler(**TRAILING), 4)
    turbo = (euler_ancestral(**TRAILING), 4)
    yield plan("DDIM 20 then LCM 4", (sdxl_ddim, 20), (sdxl_lcm, 4), 1)
    yield plan("DDIM 16 then DMD2, guided base", (sdxl_ddim, 16), dmd2, 1, base_guidance=7.0)
    yield plan("DDIM 16 then DMD2, k 2", (sdxl_ddim, 16), dmd2, 2, base_guidance=5.0, distilled_guidance=1.5)
    yield plan("DDIM 8 then DMD2, k 3", (sdxl_ddim, 8), dmd2, 3)
    yield plan("DDIM 20 takes all", (sdxl_ddim, 20), dmd2, 4)
    yield plan("DMD2's scheduler for both", None, dmd2, 1)
    yield plan("DMD2's scheduler for the base alone", None, dmd2, 4)
    yield plan("Euler 8 then Lightning", (euler(**SDXL), 8), lightning, 1)
    yield plan("Euler 8 then Turbo", (euler(**SDXL), 8), turbo, 2)
    yield plan("Turbo's scheduler for both", None, turbo, 1)
    yield plan("DDIM 20 then Lightning", (sdxl_ddim, 20), lightning, 1)
    yield plan("Euler 20 then LCM 4", (euler(**SDXL), 20), (sdxl_lcm, 4), 1)
    # An exact tie: 699 and 799 are equally far from 749.
    yield plan("LCM tie", (sdxl_lcm, [999, 799, 699, 399]), dmd2, 1)


def skips():
    sdxl_lcm = lcm(**SDXL)
    yield skip("DMD2", (sdxl_lcm, DMD2_TIMESTEPS))
    yield skip("Lightning", (euler(**TRAILING), 4))
    yield skip("Turbo", (euler_ancestral(**TRAILING), 4))


def lines(entries):
    return "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]"


def main():
    parts = {
        "noise": noise_values(),
        "successive_noise": successive_noise_values(),
        "trajectories": trajectories(),
        "from_config": from_config_timesteps(),
        "hybrids": plans(),
        "skips": skips(),
    }
    versions = json.dumps({"torch": torch.__version__, "diffusers": diffusers.__version__})
    body = ",\n".join(f'"{name}": {lines(entries)}' for name, entries in parts.items())
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(f'{{\n"versions": {versions},\n{body}\n}}\n')


if __name__ == "__main__":
    main()
