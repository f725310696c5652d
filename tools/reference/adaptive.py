"""The adaptive switch on models of one line each, by diffusers' schedulers.

Usage: python tools/reference adaptive

The base model's noise is a · x, the distilled model's b · x. The base takes the first steps with the
distilled model's scheduler, or several steps of its own for each of those; it hands over at the first
hand-over at which its last step has changed the predicted original by less than the threshold, relative to
its length, and at the largest k otherwise.

adaptive.json: a list of {"threshold", "largest_k", "base_steps" (0: the distilled model's schedule),
"factors": [a, b], "base_taken", "latent"}.
"""

import json

import torch
from common import ROOT
from diffusers import DDIMScheduler

PATH = ROOT / "tests" / "parity" / "values" / "adaptive.json"
CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
DISTILLED_STEPS = 6
SHAPE = (1, 4, 4, 4)


def scheduler(steps: int) -> DDIMScheduler:
    made = DDIMScheduler(**CONFIG, clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing")
    made.set_timesteps(steps)
    return made


def hand_over(base: DDIMScheduler, distilled: DDIMScheduler, k: int, has_own: bool) -> int:
    """Base steps before the distilled model's step k: those before the nearest of its timesteps."""
    if not has_own:
        return k
    if k == len(distilled.timesteps):
        return len(base.timesteps)
    return int((base.timesteps - distilled.timesteps[k]).abs().argmin())


def draw(threshold: float, largest_k: int, base_steps: int, factors: list[float]) -> dict:
    distilled = scheduler(DISTILLED_STEPS)
    base = scheduler(base_steps or DISTILLED_STEPS)
    ends = {hand_over(base, distilled, k, base_steps > 0): k for k in range(largest_k, 0, -1)}
    latent = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    before, taken, k = None, 0, largest_k
    last = hand_over(base, distilled, largest_k, base_steps > 0)
    for timestep in base.timesteps[:last]:
        output = base.step(factors[0] * latent, timestep, latent)
        latent, target = output.prev_sample, output.pred_original_sample
        taken += 1
        if before is not None and taken in ends:
            change = (target - before).norm() / target.norm()
            if change < threshold:
                k = ends[taken]
                break
        before = target
    for timestep in distilled.timesteps[k:]:
        latent = distilled.step(factors[1] * latent, timestep, latent).prev_sample
    return {
        "threshold": threshold,
        "largest_k": largest_k,
        "base_steps": base_steps,
        "factors": factors,
        "base_taken": taken,
        "latent": latent.flatten().tolist(),
    }


def main() -> None:
    cases = [
        draw(threshold, largest_k, base_steps, factors)
        for threshold in (0.05, 0.3, 0.6, 2.0)
        for largest_k in (1, 3, 6)
        for base_steps in (0, 18)
        for factors in ([0.9, 0.8], [0.995, 0.7])
    ]
    print(sorted({case["base_taken"] for case in cases}))
    PATH.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
