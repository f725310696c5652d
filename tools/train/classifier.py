"""Trains the classifier by which evaluate.py judges pictures: what they show, in which style, on which background.

Usage: python tools/train/classifier.py  (after vae.py)

A small convolutional network with a head for the concept, the style, the background, and the place and size of
the sprite. It sees pictures of single things; beyond their random placement they are blurred, noised, and
changed in brightness and contrast, because generated pictures are softer than the sprites.

The layer before the heads, brought to unit length, is the embedding by which diversity is measured. All heads
read it, so it carries the style, the background and the placement besides the concept: two pictures of one
thing are as far apart as they differ in these. The distances that are printed in the end say how far that is.

Accuracy is measured on placements drawn from a seed of their own, once as drawn and once after the VAE, which
takes away what generated pictures cannot have. Writes `classifier.pt`.
"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from common import IMAGE_SIZE, Training, autocast, options, set_learning_rate, start
from data import STYLES
from pictures import BACKGROUNDS, Content, Pictures

#: Channels at 32, 16, 8 and 4 pixels a side, and the width of the embedding.
CHANNELS = (32, 64, 128, 256)
EMBEDDING_WIDTH = 256
LEARNING_RATE = 3e-3
#: Weight of the placement's absolute error, which is some hundredths where the other losses are some tenths.
PLACEMENT_WEIGHT = 4.0
#: Held-out pictures, and the distance of their seed from that of the training.
HELD_OUT_PICTURES, HELD_OUT_SEED = 4096, 1_000_000


class Singles(Pictures):
    """Pictures of one thing, whose placement is known."""

    def __init__(self, work: Path, device: torch.device):
        super().__init__(work, device)
        #: Concepts that the next pictures have to show, or none for random ones.
        self._asked: torch.Tensor | None = None

    def contents(self, count: int) -> Content:
        content = super().contents(count)
        content.second = torch.full_like(content.second, -1)
        if self._asked is not None:
            content.concept = self._asked
        return content

    def _placed(self, concept, style, centre_x, centre_y, scale) -> torch.Tensor:
        #: Centre of the sprite from -1 to 1 and its size as a share of the picture's, `[batch, 3]`.
        self.placement = torch.stack([centre_x, centre_y, scale], 1)
        return super()._placed(concept, style, centre_x, centre_y, scale)

    def draw_concepts(self, concepts: torch.Tensor) -> torch.Tensor:
        """A random picture `[batch, 3, 64, 64]` of each of these concepts `[batch]`."""
        self._asked = concepts
        picture, _ = self.draw(len(concepts))
        self._asked = None
        return picture


class Prediction(NamedTuple):
    """What the classifier says of a batch of pictures."""

    #: Of unit length, `[batch, 256]`.
    embedding: torch.Tensor
    #: Logits, `[batch, 323]`, `[batch, 4]` and `[batch, 10]`.
    concept: torch.Tensor
    style: torch.Tensor
    background: torch.Tensor
    #: Centre and size as in Singles.placement, `[batch, 3]`.
    placement: torch.Tensor


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        return F.relu(state + self.body(state))


class Classifier(nn.Module):
    """From pictures `[batch, 3, 64, 64]` in -1…1 to a Prediction."""

    def __init__(self, concepts: int):
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip((3, *CHANNELS), CHANNELS)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            # At the full width of 32 pixels a block would cost as much as all others together.
            layers += [Residual(after)] if index else []
        # No pooling: the placement has to come through, and the concepts are learned in fewer pictures too.
        side = IMAGE_SIZE >> len(CHANNELS)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * side**2, EMBEDDING_WIDTH, bias=False))
        # Centred, so that unrelated pictures are about at right angles: at a cosine distance of 1.
        self.centre = nn.BatchNorm1d(EMBEDDING_WIDTH, affine=False)
        self.concept = nn.Linear(EMBEDDING_WIDTH, concepts)
        self.style = nn.Linear(EMBEDDING_WIDTH, len(STYLES))
        self.background = nn.Linear(EMBEDDING_WIDTH, len(BACKGROUNDS))
        self.placement = nn.Linear(EMBEDDING_WIDTH, 3)
        # The middle of what pictures.py draws: the head has only to learn what differs from it.
        nn.init.zeros_(self.placement.weight)
        with torch.no_grad():
            self.placement.bias.copy_(torch.tensor([0.0, 0.0, 0.77]))

    def forward(self, picture: torch.Tensor) -> Prediction:
        state = self.centre(self.body(picture).float())
        return Prediction(F.normalize(state, dim=1), self.concept(state), self.style(state), self.background(state), self.placement(state))

    @torch.no_grad()
    def predict(self, pictures: torch.Tensor) -> Prediction:
        """The same for any number of pictures, in float32, without a trace for training."""
        parts = [self(part) for part in pictures.split(256)]
        return Prediction(*(torch.cat(values) for values in zip(*parts)))


def load_classifier(work: Path, device: torch.device) -> tuple[Classifier, dict]:
    """The trained classifier, and its accuracy as `main` measured it."""
    path = work / "classifier.pt"
    if not path.exists():
        raise SystemExit(f"{path} is missing: run classifier.py first.")
    stored = torch.load(path, map_location=device, weights_only=True)
    if stored["concepts"] != [concept["label"] for concept in json.loads((work / "concepts.json").read_text())]:
        raise SystemExit(f"The concepts changed since {path} was trained: delete it and classifier.checkpoint, and train it anew.")
    classifier = Classifier(len(stored["concepts"])).to(device)
    classifier.load_state_dict(stored["classifier"])
    return classifier.eval().requires_grad_(False), stored["accuracy"]


def augmented(picture: torch.Tensor) -> torch.Tensor:
    """Half of the pictures blurred, and all of them changed in contrast and brightness, and noised, by random amounts."""
    amount = lambda: torch.rand(len(picture), 1, 1, 1, device=picture.device)
    # Twice the mean of nine is about a Gaussian with a deviation of 1.15 pixels.
    blurred = F.avg_pool2d(F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False), 3, 1, 1, count_include_pad=False)
    picture = torch.lerp(picture, blurred, (2 * amount() - 1).clamp(min=0))
    picture = picture * (0.85 + 0.3 * amount()) + 0.16 * (amount() - 0.5)
    return (picture + 0.1 * amount() * torch.randn_like(picture)).clamp(-1, 1)


@torch.no_grad()
def through(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The pictures as the VAE gives them back."""
    return torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in pictures.split(64)]).clamp(-1, 1)


def accuracy(prediction: Prediction, content: Content, placement: torch.Tensor) -> dict[str, float]:
    """Shares of right answers, and the mean error of the centre in pixels and of the size as a share of the picture."""
    right = lambda logits, truth: (logits.argmax(1) == truth).float().mean().item()
    error = (prediction.placement - placement).abs().mean(0)
    return dict(
        concept=right(prediction.concept, content.concept),
        style=right(prediction.style, content.style),
        background=right(prediction.background, content.background),
        centre_pixels=error[:2].mean().item() * IMAGE_SIZE / 2,
        size=error[2].item(),
    )


def print_accuracy(figures: dict[str, dict[str, float]]) -> None:
    """One line for each set of pictures."""
    for name, values in figures.items():
        shares = ", ".join(f"{head} {100 * values[head]:.1f} %" for head in ("concept", "style", "background"))
        print(f"Held-out accuracy, {name}: {shares}; centre off by {values['centre_pixels']:.1f} pixels, size by {values['size']:.3f}", flush=True)


def print_distances(embedding: torch.Tensor, content: Content) -> None:
    """What a cosine distance means: the mean over pairs of pictures that have more and more in common."""
    distance = 1 - embedding @ embedding.T
    same = {name: getattr(content, name)[:, None] == getattr(content, name) for name in ("concept", "style", "background")}
    other = ~torch.eye(len(distance), dtype=torch.bool, device=distance.device)
    kinds = {
        "nothing in common": ~same["concept"] & ~same["style"] & ~same["background"],
        "the same concept": same["concept"] & ~same["style"] & ~same["background"],
        "and the same style": same["concept"] & same["style"] & ~same["background"],
        "and the same background": same["concept"] & same["style"] & same["background"] & other,
    }
    print("Mean embedding distance of pictures with " + ", ".join(f"{name} {distance[where].mean():.3f}" for name, where in kinds.items()))


def print_confusions(prediction: Prediction, content: Content, concepts: list[dict]) -> None:
    """The concepts that are most often taken for another."""
    wrong: dict[tuple[int, int], int] = {}
    for truth, said in zip(content.concept.tolist(), prediction.concept.argmax(1).tolist()):
        if truth != said:
            wrong[truth, said] = wrong.get((truth, said), 0) + 1
    worst = sorted(wrong.items(), key=lambda item: -item[1])[:6]
    print("Most often confused: " + "; ".join(f"{concepts[truth]['label']} for {concepts[said]['label']} ({count})" for (truth, said), count in worst))


def main() -> None:
    parser = options(__doc__.splitlines()[0], minutes=8)
    parser.add_argument("--held-out", type=int, default=HELD_OUT_PICTURES, help="pictures by which the accuracy is measured")
    arguments = parser.parse_args()
    device = start(arguments)
    pictures = Singles(arguments.work, device)
    labels = [concept["label"] for concept in pictures.concepts]
    vae = AutoencoderKL.from_pretrained(arguments.work / "vae").to(device).eval()
    classifier = Classifier(len(labels)).to(device)
    print(f"{sum(parameter.numel() for parameter in classifier.parameters()) / 1e6:.2f} M parameters")
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    training = Training(
        arguments.work / "classifier.checkpoint",
        arguments.minutes,
        dict(classifier=classifier, optimizer=optimizer),
        dict(concepts=labels, channels=CHANNELS, embedding=EMBEDDING_WIDTH),
        arguments.steps,
    )
    while training.going_on():
        set_learning_rate(training.cosine(LEARNING_RATE, warm_up=100), optimizer)
        picture, content = pictures.draw(arguments.batch)
        with autocast(device):
            prediction = classifier(augmented(picture))
        concept = F.cross_entropy(prediction.concept.float(), content.concept)
        style = F.cross_entropy(prediction.style.float(), content.style)
        background = F.cross_entropy(prediction.background.float(), content.background)
        placement = F.l1_loss(prediction.placement.float(), pictures.placement)
        optimizer.zero_grad()
        (concept + style + background + PLACEMENT_WEIGHT * placement).backward()
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 5.0)
        optimizer.step()
        training.report(arguments.batch, concept=concept.item(), style=style.item(), background=background.item(), placement=placement.item())

    classifier.eval()
    torch.manual_seed(arguments.seed + HELD_OUT_SEED)
    picture, content = pictures.draw(arguments.held_out)
    predictions = {"as drawn": classifier.predict(picture), "through the VAE": classifier.predict(through(vae, picture))}
    figures = {name: accuracy(prediction, content, pictures.placement) for name, prediction in predictions.items()}
    print_accuracy(figures)
    print_confusions(predictions["through the VAE"], content, pictures.concepts)
    print_distances(predictions["as drawn"].embedding, content)
    torch.save(dict(classifier=classifier.state_dict(), concepts=labels, accuracy=figures), arguments.work / "classifier.pt")


if __name__ == "__main__":
    main()
