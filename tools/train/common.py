"""What the training commands share: their options, the device, checkpoints, progress and contact sheets."""

import argparse
import contextlib
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

#: The side of the pictures, in pixels.
IMAGE_SIZE = 64
#: The side of the latents: the VAE halves the picture twice.
LATENT_SIZE = 16


def options(description: str, minutes: float | None = None, batch: int = 64) -> argparse.ArgumentParser:
    """The options that every command takes. `minutes` is the default length of its training."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("target/train"), help="folder of sprites, checkpoints and sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    if minutes is not None:
        parser.add_argument("--minutes", type=float, default=minutes, help="length of the whole training; the learning rate falls to nothing by its end")
        parser.add_argument("--steps", type=int, help="the length in steps in place of minutes: the same on an idle machine and on a busy one")
        parser.add_argument("--batch", type=int, default=batch)
    return parser


def start(arguments: argparse.Namespace) -> torch.device:
    """Makes the work folder, seeds every generator and returns the device."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    # The CPU's flash attention is slower than plain matrix products on sequences as short as these.
    torch.backends.cuda.enable_flash_sdp(device.type != "cpu")
    return device


def autocast(device: torch.device):
    """bfloat16 in the layers that bear it, on a GPU and on a CPU with matrix tiles; without them float32 is faster."""
    pays = device.type != "cpu" or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=pays)


def set_learning_rate(rate: float, *optimizers: torch.optim.Optimizer) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


class Training:
    """A training that can be cut off at any moment and goes on from its last checkpoint.

    `parts` are the modules and optimizers that a checkpoint holds, by name. Time counts while the
    training runs, over all its parts, so that a resumed one ends where an unbroken one would.
    """

    SAVE_EVERY_SECONDS = 180.0

    def __init__(self, path: Path, minutes: float, parts: dict, settings: dict, steps: int | None = None):
        self.path, self.minutes, self.parts, self.settings, self.steps = path, minutes, parts, settings, steps
        self.step, self.samples, self.elapsed = 0, 0, 0.0
        self.averages: dict[str, float] = {}
        if path.exists():
            stored = torch.load(path, map_location="cpu", weights_only=False)
            if stored["settings"] != settings:
                raise SystemExit(f"{path} was made with {stored['settings']}, not {settings}: delete it to start anew.")
            for name, part in parts.items():
                part.load_state_dict(stored["parts"][name])
            self.step, self.samples, self.elapsed = stored["step"], stored["samples"], stored["elapsed"]
            torch.set_rng_state(stored["generator"])
            random.setstate(stored["random"])
            print(f"Going on from step {self.step}, minute {self.elapsed / 60:.1f}.", flush=True)
        self._clock = self._saved = self._printed = time.monotonic()
        self._samples_printed = self.samples

    @property
    def share(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return min(1.0, self.step / self.steps if self.steps else self.elapsed / 60 / self.minutes)

    def cosine(self, peak: float, warm_up: int) -> float:
        """The learning rate: up to `peak` within `warm_up` steps, and down to a hundredth of it by the end."""
        return peak * min(1, (self.step + 1) / warm_up) * max(0.01, 0.5 + 0.5 * math.cos(math.pi * self.share))

    def going_on(self) -> bool:
        """Counts the time, saves when it is due, and says whether there is time left."""
        now = time.monotonic()
        self.elapsed += now - self._clock
        self._clock = now
        if now - self._saved > self.SAVE_EVERY_SECONDS or self.share >= 1:
            self.save()
        return self.share < 1

    def report(self, samples: int, **values: float) -> None:
        """Ends a step: `values` are averaged over the last hundred and printed now and then."""
        self.step += 1
        self.samples += samples
        for name, value in values.items():
            self.averages[name] = self.averages.get(name, value) * 0.99 + value * 0.01
        now = time.monotonic()
        if now - self._printed >= 15:
            rate = (self.samples - self._samples_printed) / (now - self._printed)
            minutes = self.elapsed / 60
            left = minutes * (self.steps / self.step - 1) if self.steps else self.minutes - minutes
            figures = "  ".join(f"{name} {value:.4f}" for name, value in self.averages.items())
            print(f"{100 * self.share:5.1f} %  step {self.step}  {self.samples} samples  {rate:.0f}/s  {figures}  {left:.1f} min left", flush=True)
            self._printed, self._samples_printed = now, self.samples

    def save(self) -> None:
        """Writes the checkpoint beside the old one and then in its place, so that one is always whole."""
        written = self.path.with_suffix(".new")
        torch.save(
            {
                "parts": {name: part.state_dict() for name, part in self.parts.items()},
                "settings": self.settings,
                "step": self.step,
                "samples": self.samples,
                "elapsed": self.elapsed,
                "generator": torch.get_rng_state(),
                "random": random.getstate(),
            },
            written,
        )
        written.replace(self.path)
        self._saved = self._clock = time.monotonic()


class Average(torch.nn.Module):
    """An exponential moving average of a module's parameters: what is exported in the end.

    The decay grows from 0 with the steps, so that the start is forgotten.
    """

    def __init__(self, modules: list[torch.nn.Module], decay: float):
        super().__init__()
        self.decay = decay
        self.sources = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        for index, parameter in enumerate(self.sources):
            self.register_buffer(f"value_{index}", parameter.detach().clone())

    def values(self) -> list[torch.Tensor]:
        return [getattr(self, f"value_{index}") for index in range(len(self.sources))]

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates.item()) / (20 + self.updates.item()))
        torch._foreach_lerp_(self.values(), [parameter.detach() for parameter in self.sources], 1 - decay)

    @contextlib.contextmanager
    @torch.no_grad()
    def applied(self):
        """Puts the averages in place of the parameters for the length of a `with`."""
        own = [parameter.detach().clone() for parameter in self.sources]
        torch._foreach_copy_([parameter.data for parameter in self.sources], self.values())
        yield
        torch._foreach_copy_([parameter.data for parameter in self.sources], own)


def contact_sheet(rows: list[torch.Tensor], path: Path, scale: int = 2) -> None:
    """Writes pictures `[columns, 3, height, width]` in -1…1, a tensor a row, as one PNG; short rows end in white."""
    columns = max(len(row) for row in rows)
    rows = [F.pad(row.float(), (0, 0) * 3 + (0, columns - len(row)), value=1.0) for row in rows]
    grid = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
    pixels = ((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)
    print(f"Contact sheet: {path}", flush=True)
