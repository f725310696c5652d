"""Writes the reference values of the sampler: torch's noise, diffusers' schedulers, and the
paper's hand-over from a base model to a distilled one.

    python tools/reference/sampler.py

needs torch, diffusers, numpy and scipy, and writes tests/parity/values/sampler.json. A smooth function of
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
# Of the many options of a class, that all act alike on every number.
SMALL_SHAPE = (1, 4, 2, 2)

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
EXPLODING = (
    diffusers.EulerDiscreteScheduler,
    diffusers.EulerAncestralDiscreteScheduler,
    diffusers.HeunDiscreteScheduler,
)
# Multistep solvers, which count in noise levels.
SOLVERS = (diffusers.DPMSolverMultistepScheduler, diffusers.UniPCMultistepScheduler)
# Schedulers whose step draws nothing and takes no generator.
WITHOUT_NOISE = (diffusers.HeunDiscreteScheduler, diffusers.UniPCMultistepScheduler)


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


def predicted_original(made, output, model_output, timestep, sample, index):
    """Equation 2. Not all hand it out: LCM's second output is already mixed, TCD's is noised again."""
    if hasattr(output, "pred_original_sample"):
        return output.pred_original_sample
    if isinstance(made, SOLVERS):
        signal = 1 / (made.sigmas[index] ** 2 + 1) ** 0.5
        noise = made.sigmas[index] * signal
    else:
        signal = made.alphas_cumprod[timestep].sqrt()
        noise = (1 - made.alphas_cumprod[timestep]).sqrt()
    if made.config.prediction_type == "epsilon":
        original = (sample - noise * model_output) / signal
    elif made.config.prediction_type == "sample":
        original = model_output
    else:
        original = signal * sample - noise * model_output
    if isinstance(made, diffusers.LCMScheduler) and made.config.clip_sample:
        original = original.clamp(-made.config.clip_sample_range, made.config.clip_sample_range)
    return original


def step(made, index, sample, evaluate, generator):
    """One step as a pipeline takes it: returns the model's input, the next sample, and what the model
    aims at. DDIM's eta is 0, so that it draws nothing; TCD's is its own default. Heun's step has two
    model passes, at both of its ends, but for the last; it aims at what the first pass says."""
    timestep = timesteps(made)[index]
    draws = {} if isinstance(made, WITHOUT_NOISE) else {"generator": generator}
    scaled = made.scale_model_input(sample, timestep)
    model_output = evaluate(scaled, timestep)
    output = made.step(model_output, timestep, sample, **draws)
    original = predicted_original(made, output, model_output, timestep, sample, index)
    result = output.prev_sample
    if isinstance(made, diffusers.HeunDiscreteScheduler) and index + 1 < len(timesteps(made)):
        end = timesteps(made)[index + 1]
        result = made.step(evaluate(made.scale_model_input(result, end), end), end, result).prev_sample
    return scaled, result, original


def timesteps(made):
    """One for each step: Heun's list has both passes of each."""
    if isinstance(made, diffusers.HeunDiscreteScheduler):
        return made.timesteps[::2]
    return made.timesteps


def trajectory(name, config, steps, seed=11, stored=None, shape=LATENT_SHAPE):
    """`stored` says of each step whether its numbers are part of the reference; without it, all of a
    short trajectory are, and of a longer one every fifth and the last."""
    made = scheduler(config, steps)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(shape, generator=generator) * made.init_noise_sigma
    count = len(timesteps(made))
    entry = {
        "name": name,
        "config": config,
        "steps": steps,
        "seed": seed,
        "init_noise_sigma": numbers([made.init_noise_sigma])[0],
        "timesteps": numbers(timesteps(made)),
        "initial": numbers(sample),
        "stored": [],
    }
    for index in range(count):
        scaled, sample, original = step(made, index, sample, model, generator)
        if stored is None:
            is_stored = count <= SHORT_TRAJECTORY or index % STORED_INTERVAL == 0 or index == count - 1
        else:
            is_stored = index in stored
        if is_stored:
            entry["stored"].append({"index": index})
            if isinstance(made, EXPLODING):
                entry["stored"][-1]["model_input"] = numbers(scaled)
            entry["stored"][-1]["previous_sample"] = numbers(sample)
            entry["stored"][-1]["predicted_original"] = numbers(original)
    return entry


def option(name, config, steps, **arguments):
    """A trajectory of which three steps are stored: the first, one in the middle, and the last."""
    count = len(timesteps(scheduler(config, steps)))
    stored = {0, count // 2, count - 1}
    return trajectory(name, config, steps, stored=stored, shape=SMALL_SHAPE, **arguments)


def ddim(**changes):
    return {"_class_name": "DDIMScheduler", **LATENT_DIFFUSION, **changes}


def lcm(**changes):
    return {"_class_name": "LCMScheduler", **LATENT_DIFFUSION, **changes}


def euler(**changes):
    return {"_class_name": "EulerDiscreteScheduler", **LATENT_DIFFUSION, **changes}


def euler_ancestral(**changes):
    return {"_class_name": "EulerAncestralDiscreteScheduler", **LATENT_DIFFUSION, **changes}


def dpm(**changes):
    return {"_class_name": "DPMSolverMultistepScheduler", **LATENT_DIFFUSION, **changes}


def unipc(**changes):
    return {"_class_name": "UniPCMultistepScheduler", **LATENT_DIFFUSION, **changes}


def heun(**changes):
    return {"_class_name": "HeunDiscreteScheduler", **LATENT_DIFFUSION, **changes}


def tcd(**changes):
    return {"_class_name": "TCDScheduler", **LATENT_DIFFUSION, **changes}


# The configuration of SDXL's base model and of the emoji pair.
SDXL = {"steps_offset": 1, "set_alpha_to_one": False, "timestep_spacing": "leading"}
TRAILING = {"timestep_spacing": "trailing"}
LINSPACE = {"timestep_spacing": "linspace"}
SAMPLE = {"prediction_type": "sample"}
VELOCITY = {"prediction_type": "v_prediction"}
DMD2_TIMESTEPS = [999, 749, 499, 249]
KARRAS = {"use_karras_sigmas": True}
EXPONENTIAL = {"use_exponential_sigmas": True}
BETA = {"use_beta_sigmas": True}
SIGMA_BOUNDS = {"sigma_min": 0.05, "sigma_max": 12.0}
TO_SIGMA_MIN = {"final_sigmas_type": "sigma_min"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
SDE = {"algorithm_type": "sde-dpmsolver++"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}


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


def option_trajectories():
    """The options that people's configurations set."""
    for name, spacing in [("Karras", KARRAS), ("exponential", EXPONENTIAL), ("beta", BETA)]:
        yield option(f"Euler {name}", euler(**SDXL, **spacing), 12)
        yield option(f"Euler {name}, bounds", euler(**TRAILING, **spacing, **SIGMA_BOUNDS), 7)
        yield option(f"Euler {name}, to sigma_min", euler(**LINSPACE, **spacing, **TO_SIGMA_MIN), 5)
        yield option(f"DPM++ 2M {name}", dpm(**SDXL, **spacing), 12)
        yield option(f"UniPC {name}", unipc(**SDXL, **spacing), 12)
        yield option(f"Heun {name}", heun(**SDXL, **spacing), 6)
    yield option("Euler Karras 1", euler(**SDXL, **KARRAS), 1)
    yield option("Euler to sigma_min", euler(**SDXL, **TO_SIGMA_MIN), 6)
    yield option("Euler log-linear", euler(**SDXL, interpolation_type="log_linear"), 6)
    yield option("Euler log-linear Karras", euler(**SDXL, **KARRAS, interpolation_type="log_linear"), 6)
    continuous = {"timestep_type": "continuous"}
    yield option("Euler continuous", euler(**SDXL, **VELOCITY, **continuous), 6)
    yield option("Euler continuous Karras", euler(**SDXL, **VELOCITY, **continuous, **KARRAS, **SIGMA_BOUNDS), 6)
    yield option("Euler continuous, of noise", euler(**SDXL, **continuous), 3)
    yield option("Euler zero SNR", euler(**ZERO_SNR, **VELOCITY), 8)
    yield option("Euler zero SNR leading", euler(**SDXL, **VELOCITY, rescale_betas_zero_snr=True), 8)
    yield option("Euler zero SNR of noise", euler(**ZERO_SNR), 5)
    yield option("Euler zero SNR Karras", euler(**ZERO_SNR, **VELOCITY, **KARRAS), 5)
    yield option("Euler ancestral zero SNR", euler_ancestral(**ZERO_SNR, **VELOCITY), 5)
    yield option("DDIM zero SNR", ddim(**ZERO_SNR, **VELOCITY, set_alpha_to_one=False), 8)
    yield option("DDIM zero SNR of samples", ddim(**ZERO_SNR, **SAMPLE), 4)
    yield option("DDIM zero SNR of noise leading", ddim(**SDXL, rescale_betas_zero_snr=True), 5)
    yield option("LCM zero SNR", lcm(**ZERO_SNR, **VELOCITY), 4)
    yield option("TCD zero SNR", tcd(**ZERO_SNR, **VELOCITY), 4)
    yield option("DPM++ 2M zero SNR", dpm(**ZERO_SNR, **VELOCITY), 8)
    yield option("UniPC zero SNR", unipc(**ZERO_SNR, **VELOCITY), 8)


def solver_trajectories():
    """DPM-Solver++, UniPC, Heun and TCD."""
    yield trajectory("DPM++ 2M leading 6", dpm(**SDXL), 6)
    for steps in [1, 2, 4, 20, 50]:
        yield option(f"DPM++ 2M leading {steps}", dpm(**SDXL), steps)
    yield option("DPM++ 2M trailing", dpm(**TRAILING), 8)
    yield option("DPM++ 2M linspace", dpm(**LINSPACE), 8)
    yield option("DPM++ 2M explicit", dpm(**SDXL), DMD2_TIMESTEPS)
    yield option("DPM++ 2M defaults", {"_class_name": "DPMSolverMultistepScheduler"}, 5)
    yield option("DPM++ 2M velocity", dpm(**SDXL, **VELOCITY), 6)
    yield option("DPM++ 2M sample", dpm(**SDXL, **SAMPLE), 6)
    yield option("DPM++ 2M Heun", dpm(**SDXL, solver_type="heun"), 8)
    yield option("DPM++ 2M to sigma_min", dpm(**SDXL, **TO_SIGMA_MIN), 8)
    yield option("DPM++ 2M to sigma_min, many", dpm(**SDXL, **TO_SIGMA_MIN), 16)
    yield option(
        "DPM++ 2M, first order last", dpm(**SDXL, **TO_SIGMA_MIN, euler_at_final=True, lower_order_final=False), 8
    )
    yield option("DPM++ 2M Lu", dpm(**SDXL, use_lu_lambdas=True), 8)
    yield option("DPM++ 2M cosine, clipped", dpm(**LINSPACE, lambda_min_clipped=-5.1) | COSINE, 8)
    yield option("DPM++ 1", dpm(**SDXL, solver_order=1), 6)
    yield option("DPM++ 3M", dpm(**SDXL, solver_order=3), 8)
    yield option("DPM++ 3M, many", dpm(**SDXL, solver_order=3), 20)
    yield option("DPM++ 2M SDE", dpm(**SDXL, **SDE), 8)
    yield option("DPM++ 2M SDE Karras", dpm(**SDXL, **SDE, **KARRAS), 16)
    yield option("DPM++ 2M SDE Heun", dpm(**SDXL, **SDE, solver_type="heun"), 8)
    yield option("DPM++ 3M SDE", dpm(**SDXL, **SDE, solver_order=3), 16)
    yield trajectory("UniPC leading 6", unipc(**SDXL), 6)
    for steps in [1, 2, 4, 20]:
        yield option(f"UniPC leading {steps}", unipc(**SDXL), steps)
    yield option("UniPC trailing", unipc(**TRAILING), 8)
    yield option("UniPC linspace", unipc(**LINSPACE), 8)
    yield option("UniPC defaults", {"_class_name": "UniPCMultistepScheduler"}, 5)
    yield option("UniPC velocity", unipc(**SDXL, **VELOCITY), 6)
    yield option("UniPC sample", unipc(**SDXL, **SAMPLE), 6)
    yield option("UniPC bh1", unipc(**SDXL, **TO_SIGMA_MIN, solver_type="bh1"), 8)
    yield option("UniPC of order 1", unipc(**SDXL, solver_order=1), 6)
    yield option("UniPC of order 3", unipc(**SDXL, solver_order=3), 8)
    yield option("UniPC of order 3, bh1", unipc(**SDXL, **TO_SIGMA_MIN, solver_order=3, solver_type="bh1"), 8)
    yield option("UniPC, some not corrected", unipc(**SDXL, disable_corrector=[0, 2]), 6)
    yield option("UniPC to sigma_min", unipc(**SDXL, **TO_SIGMA_MIN), 6)
    yield option("UniPC to sigma_min, full order", unipc(**SDXL, **TO_SIGMA_MIN, lower_order_final=False), 6)
    yield trajectory("Heun leading 5", heun(**SDXL), 5)
    for steps in [1, 2, 20]:
        yield option(f"Heun leading {steps}", heun(**SDXL), steps)
    yield option("Heun trailing", heun(**TRAILING), 6)
    yield option("Heun linspace", heun(**LINSPACE), 6)
    yield option("Heun explicit", heun(**TRAILING), DMD2_TIMESTEPS)
    yield option("Heun defaults", {"_class_name": "HeunDiscreteScheduler"}, 4)
    yield option("Heun velocity", heun(**SDXL, **VELOCITY), 5)
    yield option("Heun sample", heun(**SDXL, **SAMPLE), 5)
    yield option("Heun clipped", heun(**SDXL) | {"clip_sample": True, "clip_sample_range": 1.5}, 5)
    yield option("Heun Karras, bounds", heun(**SDXL, **KARRAS, **SIGMA_BOUNDS), 5)
    yield trajectory("TCD 4", tcd(**SDXL), 4)
    for steps in [1, 7]:
        yield option(f"TCD {steps}", tcd(), steps)
    yield option("TCD explicit", tcd(), DMD2_TIMESTEPS)
    yield option("TCD velocity", tcd(**VELOCITY), 3)
    yield option("TCD sample", tcd(**SAMPLE), 3)
    yield option("TCD defaults", {"_class_name": "TCDScheduler", "original_inference_steps": 100}, 3)


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
        diffusers.DPMSolverMultistepScheduler,
        diffusers.UniPCMultistepScheduler,
        diffusers.HeunDiscreteScheduler,
        diffusers.TCDScheduler,
    ]
    for config in configs:
        original = getattr(diffusers, config["_class_name"]).from_config(config)
        for other in classes:
            yield from_config(config, original, other)
    for name in ["DDPM", "DEISMultistep", "DPMSolverSinglestep", "KDPM2AncestralDiscrete", "KDPM2Discrete",
                 "LMSDiscrete", "PNDM"]:  # fmt: skip
        config = {"_class_name": f"{name}Scheduler", "beta_schedule": "scaled_linear", "beta_end": 0.012,
                  "beta_start": 0.00085, "steps_offset": 1, "timestep_spacing": "leading"}  # fmt: skip
        original = getattr(diffusers, config["_class_name"]).from_config(config)
        yield from_config(config, original, diffusers.EulerDiscreteScheduler)


def from_config(config, original, other):
    made = other.from_config(original.config)
    made.set_timesteps(5)
    return {
        "config": config,
        "class": other.__name__,
        "timesteps": numbers(timesteps(made)),
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
    made, index = (distilled, k) if received_exploding else (base, base_end)
    alpha_bar = 1 / (made.sigmas[2 * index if isinstance(made, diffusers.HeunDiscreteScheduler) else index] ** 2 + 1)
    return sample / alpha_bar.sqrt() if received_exploding else sample * alpha_bar.sqrt()


def run(entry, made, role, positions, sample, guidance_scale, generator):
    phase = 0.0 if role == "Base" else 0.5

    def evaluate(scaled, timestep):
        return guided_model(scaled, timestep, phase, guidance_scale)

    for index in range(len(timesteps(made)))[positions]:
        _, sample, original = step(made, index, sample, evaluate, generator)
        entry["outcomes"].append(
            {
                "model": role,
                "timestep": numbers([timesteps(made)[index]])[0],
                "predicted_original": numbers(original),
            }
        )
    return sample


def nearest(base, distilled, k):
    """The base's step that is nearest to the distilled model's step k: by the timestep as in the paper's
    code, or by the noise level where the same timestep isn't equally noisy for both."""
    if torch.equal(base.alphas_cumprod, distilled.alphas_cumprod):
        return int(abs(timesteps(base) - timesteps(distilled)[k]).argmin())

    def log(alpha_bar):
        return (((1 - alpha_bar) / alpha_bar) ** 0.5).log()

    levels = log(base.alphas_cumprod[timesteps(base).long()])
    return int(abs(levels - log(distilled.alphas_cumprod[timesteps(distilled)[k].long()])).argmin())


def plan(name, base, distilled, k, base_guidance=0.0, distilled_guidance=0.0, seed=5, shape=LATENT_SHAPE):
    """Hybrid with the rule of the paper's code: the base model runs until its timestep nearest to
    the distilled model's timestep k, then the distilled model goes on. base is (config, steps), or
    none where the base model follows the distilled model's scheduler."""
    distilled_made = scheduler(*distilled)
    base_made = scheduler(*(base or distilled))
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(shape, generator=generator) * base_made.init_noise_sigma
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
    if k < len(timesteps(distilled_made)):
        base_end = nearest(base_made, distilled_made, k)
    else:
        base_end = len(timesteps(base_made))
    entry["base_end"] = base_end
    sample = run(entry, base_made, "Base", slice(0, base_end), sample, base_guidance, generator)
    if k < len(timesteps(distilled_made)):
        sample = hand_over(sample, base_made, base_end, distilled_made, k)
    sample = run(entry, distilled_made, "Distilled", slice(k, None), sample, distilled_guidance, generator)
    entry["result"] = numbers(sample)
    return entry


def skip(name, distilled, seed=5, shape=LATENT_SHAPE):
    made = scheduler(*distilled)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(shape, generator=generator) * made.init_noise_sigma
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
    # Solvers with a memory start afresh at the hand-over.
    solver, karras = (dpm(**SDXL), 20), (dpm(**SDXL, **KARRAS), 20)
    yield plan("DPM++ 2M Karras 20 then DMD2", karras, dmd2, 1, base_guidance=5.0, shape=SMALL_SHAPE)
    yield plan("DPM++ 2M 20 then Lightning", solver, lightning, 2, shape=SMALL_SHAPE)
    yield plan("Euler 20 then DPM++ 2M 4", (euler(**SDXL), 20), (dpm(**TRAILING), 4), 1, shape=SMALL_SHAPE)
    yield plan("DPM++ 2M for both", None, (dpm(**TRAILING), 6), 3, shape=SMALL_SHAPE)
    yield plan("UniPC 20 then UniPC 4", (unipc(**SDXL), 20), (unipc(**TRAILING), 4), 2, shape=SMALL_SHAPE)
    yield plan("UniPC for both", None, (unipc(**TRAILING), 6), 3, shape=SMALL_SHAPE)
    yield plan("Heun 10 then DMD2", (heun(**SDXL), 10), dmd2, 1, shape=SMALL_SHAPE)
    yield plan("DDIM 20 then Heun 4", (sdxl_ddim, 20), (heun(**TRAILING), 4), 2, shape=SMALL_SHAPE)
    yield plan("Heun for both", None, (heun(**TRAILING), 5), 2, shape=SMALL_SHAPE)
    yield plan("Euler 8 then TCD 4", (euler(**SDXL), 8), (tcd(**SDXL), 4), 1, shape=SMALL_SHAPE)
    zero_snr = {**ZERO_SNR, **VELOCITY}
    yield plan("Zero SNR for both", (euler(**zero_snr), 20), (lcm(**zero_snr), DMD2_TIMESTEPS), 1, shape=SMALL_SHAPE)
    yield plan("Zero SNR, then none", (ddim(**zero_snr), 20), dmd2, 1, shape=SMALL_SHAPE)
    # An exact tie: 699 and 799 are equally far from 749.
    yield plan("LCM tie", (sdxl_lcm, [999, 799, 699, 399]), dmd2, 1)


def skips():
    sdxl_lcm = lcm(**SDXL)
    yield skip("DMD2", (sdxl_lcm, DMD2_TIMESTEPS))
    yield skip("Lightning", (euler(**TRAILING), 4))
    yield skip("Turbo", (euler_ancestral(**TRAILING), 4))
    yield skip("DPM++ 2M", (dpm(**TRAILING), 5), shape=SMALL_SHAPE)
    yield skip("UniPC", (unipc(**TRAILING), 5), shape=SMALL_SHAPE)
    yield skip("Heun", (heun(**TRAILING), 4), shape=SMALL_SHAPE)


def lines(entries):
    return "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]"


def main():
    parts = {
        "noise": noise_values(),
        "successive_noise": successive_noise_values(),
        "trajectories": [*trajectories(), *option_trajectories(), *solver_trajectories()],
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
