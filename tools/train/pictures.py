"""Draws training pictures: one or two sprites, somewhere, somehow, on a coloured background."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common import IMAGE_SIZE
from data import STYLES

#: The backgrounds by name, as red, green and blue from 0 to 1.
BACKGROUNDS = {
    "white": (1.0, 1.0, 1.0),
    "red": (0.95, 0.45, 0.42),
    "orange": (1.0, 0.70, 0.40),
    "yellow": (1.0, 0.92, 0.50),
    "green": (0.55, 0.85, 0.55),
    "blue": (0.52, 0.74, 1.0),
    "purple": (0.75, 0.60, 0.95),
    "pink": (1.0, 0.72, 0.85),
    "gray": (0.75, 0.75, 0.78),
    "black": (0.12, 0.12, 0.14),
}
#: How often the background is white, and how often there are two things.
WHITE_SHARE, PAIR_SHARE = 0.25, 0.12


@dataclass
class Content:
    """What a batch of pictures shows: one entry a picture."""

    concept: torch.Tensor
    style: torch.Tensor
    background: torch.Tensor
    #: The concept on the right of a pair, or -1.
    second: torch.Tensor

    def __getitem__(self, index) -> "Content":
        return Content(self.concept[index], self.style[index], self.background[index], self.second[index])

    def __setitem__(self, index, other: "Content") -> None:
        self.concept[index], self.style[index] = other.concept, other.style
        self.background[index], self.second[index] = other.background, other.second


class Pictures:
    """The sprites, and the way that they are placed."""

    def __init__(self, work: Path, device: torch.device):
        self.device = device
        self.concepts = json.loads((work / "concepts.json").read_text())
        sprites = torch.from_numpy(np.load(work / "sprites.npy"))
        self.sprites = sprites.permute(0, 1, 4, 2, 3).contiguous().to(device)
        self.backgrounds = torch.tensor(list(BACKGROUNDS.values()), device=device)

    def _placed(self, concept, style, centre_x, centre_y, scale) -> torch.Tensor:
        """The sprites, premultiplied, turned a little, some mirrored, `[batch, 4, 64, 64]`."""
        count = len(concept)
        sprite = self.sprites[concept, style].float() / 255
        sprite = torch.cat([sprite[:, :3] * sprite[:, 3:], sprite[:, 3:]], 1)
        angle = torch.randn(count, device=self.device) * 0.12
        mirror = torch.where(torch.rand(count, device=self.device) < 0.3, -1.0, 1.0)
        cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
        # From the picture's coordinates to the sprite's, both from -1 to 1.
        affine = torch.zeros(count, 2, 3, device=self.device)
        affine[:, 0, 0], affine[:, 0, 1] = cosine * mirror, sine * mirror
        affine[:, 1, 0], affine[:, 1, 1] = -sine, cosine
        affine[:, 0, 2] = -(affine[:, 0, 0] * centre_x + affine[:, 0, 1] * centre_y)
        affine[:, 1, 2] = -(affine[:, 1, 0] * centre_x + affine[:, 1, 1] * centre_y)
        # Twice as fine and averaged: edges without steps.
        grid = F.affine_grid(affine, (count, 4, 2 * IMAGE_SIZE, 2 * IMAGE_SIZE), align_corners=False)
        return F.avg_pool2d(F.grid_sample(sprite, grid, align_corners=False), 2)

    def contents(self, count: int) -> Content:
        """What `count` random pictures show."""
        choice = lambda number: torch.randint(number, (count,), device=self.device)
        chance = lambda share: torch.rand(count, device=self.device) < share
        return Content(
            concept=choice(len(self.concepts)),
            style=choice(len(STYLES)),
            background=torch.where(chance(WHITE_SHARE), 0, choice(len(BACKGROUNDS))),
            second=torch.where(chance(PAIR_SHARE), choice(len(self.concepts)), -1),
        )

    def draw(self, count: int) -> tuple[torch.Tensor, Content]:
        """`count` random pictures `[count, 3, 64, 64]` in -1…1, and what they show."""
        device = self.device
        random = lambda: torch.rand(count, device=device)
        normal = lambda: torch.randn(count, device=device)
        content = self.contents(count)
        concept, style, background, second = content.concept, content.style, content.background, content.second
        pair = second >= 0

        scale = random() * 0.3 + 0.62
        room = 1 - scale
        half = lambda: random() * 0.06 + 0.42
        first_x = torch.where(pair, normal() * 0.02 - 0.46, (random() * 2 - 1) * room)
        first_y = torch.where(pair, normal() * 0.18, (random() * 2 - 1) * room)
        first = self._placed(concept, style, first_x, first_y, torch.where(pair, half(), scale))
        colour = self.backgrounds[background] + torch.randn(count, 3, device=device) * 0.015
        picture = colour[:, :, None, None].expand(count, 3, IMAGE_SIZE, IMAGE_SIZE).clone()
        if pair.any():
            where = pair.nonzero()[:, 0]
            placed = self._placed(second[where], style[where], (normal() * 0.02 + 0.46)[where], (normal() * 0.18)[where], half()[where])
            picture[where] = picture[where] * (1 - placed[:, 3:]) + placed[:, :3]
        picture = picture * (1 - first[:, 3:]) + first[:, :3]
        return picture.clamp(0, 1) * 2 - 1, content
