"""Extracts the distilled model as a LoRA on the base: their weights' difference, by singular value decomposition.

Usage: python tools/train/extract.py   (after unpack.py, or after base.py and distill.py)

Of every linear and convolutional layer, the strongest directions of (distilled − base); a convolution's kernel
belongs to the first factor. Biases and norms are no LoRA's matter and are left out. Both UNets are those that are
served: what their quantization did differs too, and comes out of the decomposition as noise spread over all
directions.

Writes two adapters for each rank: `distillation-RANK`, in which every layer has that rank (or all that it can
have), and `distillation-RANK-small`, in which it is the highest rank and every layer has only as much of it as
pays: of all layers' directions together, those with the most energy for each parameter, up to the bytes that a
bundled adapter may have.
"""

import time

import torch
from torch import nn

from adapters import LIMIT, load_unet, write_branches
from common import options, start

RANKS = (16, 32, 64)
#: Of the file's header, for each of its tensors.
HEADER_BYTES = 170


class Decomposition:
    """The singular value decomposition of a layer's difference."""

    def __init__(self, base: torch.Tensor, distilled: torch.Tensor):
        self.shape = base.shape
        difference = (distilled - base).flatten(1)
        self.left, self.values, self.right = torch.linalg.svd(difference, full_matrices=False)
        #: What one more direction costs.
        self.parameters = sum(difference.shape)

    def factors(self, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The down and up projection, of the same size."""
        root = self.values[:rank].sqrt()
        down, up = root[:, None] * self.right[:rank], self.left[:, :rank] * root
        kernel = self.shape[2:]
        return down.view(-1, self.shape[1], *kernel), up.view(len(up), -1, *[1] * len(kernel))


def what_pays(layers: dict[str, Decomposition], highest: int) -> dict[str, int]:
    """Each layer's rank in a file of at most LIMIT bytes."""
    worth = [
        ((value**2 / layer.parameters).item(), name, layer.parameters)
        for name, layer in layers.items()
        for value in layer.values[:highest]
    ]
    ranks: dict[str, int] = {}
    left = LIMIT
    for _, name, parameters in sorted(worth, reverse=True):
        cost = 2 * parameters + (0 if name in ranks else 2 * HEADER_BYTES)
        if cost <= left:
            ranks[name] = ranks.get(name, 0) + 1
            left -= cost
    return ranks


def main() -> None:
    arguments = options(__doc__.splitlines()[0]).parse_args()
    device = start(arguments)
    began = time.process_time()
    base, distilled = (load_unet(arguments.work, name, device) for name in ("base", "distilled"))
    layers = {
        name: Decomposition(module.weight, distilled.get_submodule(name).weight)
        for name, module in base.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    whole = sum(layer.values.square().sum() for layer in layers.values())
    for rank in RANKS:
        uniform = {name: min(rank, len(layer.values)) for name, layer in layers.items()}
        for name, ranks in ((f"distillation-{rank}", uniform), (f"distillation-{rank}-small", what_pays(layers, rank))):
            tensors = {}
            for layer, layer_rank in ranks.items():
                tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"] = layers[layer].factors(layer_rank)
            energy = (sum(layers[layer].values[:layer_rank].square().sum() for layer, layer_rank in ranks.items()) / whole).item()
            training = dict(highest_rank=rank, layers=len(ranks), mean_rank=sum(ranks.values()) / len(ranks), energy=energy)
            write_branches(tensors, arguments.work, name, trained_on="distilled − base", training=training)
            print(f"  {len(ranks)} of {len(layers)} layers, {100 * energy:.1f} % of the difference's energy")
    print(f"{time.process_time() - began:.0f} s of CPU time")


if __name__ == "__main__":
    main()
