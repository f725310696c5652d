"""Trains the probe that says whether a picture is in black ink: the pair's classifier has no word for it.

Usage: python tools/train/probe.py   (after data.py and vae.py or unpack.py)

A small convolutional network, on drawn pictures in ink and in the pair's own styles, in equal parts, blurred,
noised and changed in contrast as classifier.py does. A linear probe on the classifier's embedding, which was
trained to tell other things, was right on 78 % only. Writes `probe.pt`, with the share of new pictures that it is
right on after the VAE.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from classifier import HELD_OUT_SEED, augmented, through
from common import options, start
from style import Ink, Light

CHANNELS = (16, 32, 64)
LEARNING_RATE, WARM_UP = 3e-3, 20
HELD_OUT = 256


def network() -> nn.Sequential:
    """From pictures `[batch, 3, 64, 64]` in -1…1 to one logit each: above 0 is ink."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *CHANNELS), CHANNELS):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS[-1], 1), nn.Flatten(0))


class Probe:
    """The trained probe and its accuracy in per cent."""

    def __init__(self, work: Path, device: torch.device):
        path = work / "probe.pt"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run probe.py first.")
        stored = torch.load(path, map_location=device, weights_only=True)
        self.network, self.accuracy = network().to(device), stored["accuracy"]
        self.network.load_state_dict(stored["network"])
        self.network.eval()

    @torch.no_grad()
    def is_ink(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network(pictures) > 0


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    device = start(arguments)
    sources = (Ink(arguments.work, device), Light(arguments.work, device))
    half = arguments.batch // 2
    truth = torch.tensor([1.0, 0.0], device=device).repeat_interleave(half)
    probe = network().to(device)
    optimizer = torch.optim.AdamW(probe.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, arguments.steps, pct_start=WARM_UP / arguments.steps)
    for step in range(arguments.steps):
        picture = torch.cat([source.draw(half)[0] for source in sources])
        loss = F.binary_cross_entropy_with_logits(probe(augmented(picture)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 25 == 0:
            print(f"step {step + 1} of {arguments.steps}  loss {loss.item():.4f}", flush=True)

    probe.eval()
    vae = AutoencoderKL.from_pretrained(arguments.work / "vae").to(device).eval()
    torch.manual_seed(arguments.seed + 3 * HELD_OUT_SEED)
    with torch.no_grad():
        said = [probe(through(vae, source.draw(HELD_OUT)[0])) > 0 for source in sources]
    right = (said[0].sum() + (~said[1]).sum()).item() / (2 * HELD_OUT)
    print(f"Right on {100 * right:.1f} % of new pictures after the VAE.")
    torch.save({"network": probe.state_dict(), "accuracy": 100 * right}, arguments.work / "probe.pt")


if __name__ == "__main__":
    main()
