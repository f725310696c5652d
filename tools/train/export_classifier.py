"""Writes the trained classifier as a network that the page can measure pictures with.

Usage: python tools/train/export_classifier.py  (after classifier.py), then
       cargo run --release --bin pack -- perceptual target/train/classifier/weights.safetensors \
           target/train/classifier/manifest.json public/perceptual/emoji

The batch normalizations are folded into the layers before them, so that what is left are convolutions and matrices
with a bias; the matrix behind the last convolution takes its values with the channels innermost, as the page's maps
have them. What comes out is compared with the classifier as it was trained. With --packed the packed weights are
compared too: how far their embeddings' distances are from those of the trained classifier's.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from classifier import CHANNELS, EMBEDDING_WIDTH, HELD_OUT_SEED, Classifier, Singles, accuracy, load_classifier, print_accuracy
from common import IMAGE_SIZE, options, start
from data import STYLES
from pictures import BACKGROUNDS

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "public/perceptual/emoji"


def scale_and_shift(norm) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch normalization multiplies by and then adds, in float64."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    weight = norm.weight.double() if norm.affine else torch.ones_like(scale)
    bias = norm.bias.double() if norm.affine else torch.zeros_like(scale)
    return scale * weight, bias - norm.running_mean.double() * scale * weight


def folded(layer, norm) -> dict[str, torch.Tensor]:
    scale, shift = scale_and_shift(norm)
    weight = layer.weight.double() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    return {"weight": weight.float(), "bias": shift.float()}


def tensors_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    tensors = {}

    def add(name, values):
        tensors.update({f"{name}.{key}": value.contiguous() for key, value in values.items()})

    layers = list(classifier.body)
    stage = -1
    for index, layer in enumerate(layers):
        if isinstance(layer, torch.nn.Conv2d):
            stage += 1
            add(f"stages.{stage}.halving", folded(layer, layers[index + 1]))
        elif hasattr(layer, "body"):
            first, first_norm, _, second, second_norm = layer.body
            add(f"stages.{stage}.residual.0", folded(first, first_norm))
            add(f"stages.{stage}.residual.1", folded(second, second_norm))
    embedding = folded(layers[-1], classifier.centre)
    channels = CHANNELS[-1]
    side = IMAGE_SIZE >> (stage + 1)
    rows = embedding["weight"].reshape(-1, channels, side, side).permute(0, 2, 3, 1).flatten(1)
    add("embedding", embedding | {"weight": rows})
    for name in ("concept", "style", "background", "placement"):
        head = getattr(classifier, name)
        add(name, {"weight": head.weight, "bias": head.bias})
    return tensors


def embed(tensors: dict[str, torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """The embedding before it is brought to unit length, as the page computes it."""
    state = picture
    for stage in range(4):
        conv = lambda name, state, stride: F.conv2d(
            state, tensors[f"stages.{stage}.{name}.weight"], tensors[f"stages.{stage}.{name}.bias"], stride, padding=1
        )
        state = conv("halving", state, 2).relu()
        if stage:
            state = (state + conv("residual.1", conv("residual.0", state, 1).relu(), 1)).relu()
    return state.permute(0, 2, 3, 1).flatten(1) @ tensors["embedding.weight"].T + tensors["embedding.bias"]


def manifest(concepts: list[str]) -> dict:
    return {
        "format": 2,
        "id": "emoji",
        "name": "Emoji classifier",
        "description": "The emoji pair's own classifier: it tells 323 things, four styles and ten backgrounds apart, and its embedding says what a picture of the pair shows, how and where. For pictures of other pairs it means nothing.",
        "licence": {"name": "MIT OR Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "attribution": "Trained on Noto Emoji (Google, Apache-2.0), Twemoji (Twitter and contributors, CC BY 4.0) and Fluent Emoji, flat and 3D (Microsoft, MIT). Names from emojibase (MIT).",
        "measure": "emoji_classifier",
        "input": {"side": IMAGE_SIZE, "fit": "stretch", "mean": [0.5] * 3, "deviation": [0.5] * 3},
        "components": {
            "image_encoder": {
                "config": {
                    "image_size": IMAGE_SIZE,
                    "channels": list(CHANNELS),
                    "embedding_size": EMBEDDING_WIDTH,
                    "concepts": concepts,
                    "styles": list(STYLES),
                    "backgrounds": list(BACKGROUNDS),
                },
                "files": [],
                "encodings": [
                    # Of 4096 columns each, and the largest convolutions: half of all values.
                    {"tensors": "embedding.weight", "encoding": "q8", "minimum_step": 0.1},
                    {"tensors": "stages.3.*.weight", "encoding": "q8", "minimum_step": 0.1},
                    {"tensors": "stages.2.*.weight", "encoding": "q8", "minimum_step": 0.06},
                    {"tensors": "stages.1.*.weight", "encoding": "q8"},
                    {"tensors": "concept.weight", "encoding": "q8"},
                ],
            }
        },
    }


def compare(name: str, classifier: Classifier, tensors: dict[str, torch.Tensor], picture, content, placement) -> None:
    state = torch.cat([embed(tensors, part) for part in picture.split(256)])
    trained = classifier.predict(picture)
    unit = F.normalize(state, dim=1)
    distances = lambda embedding: 1 - embedding @ embedding.T
    difference = (distances(unit) - distances(trained.embedding)).abs()
    linear = lambda head: state @ tensors[f"{head}.weight"].T + tensors[f"{head}.bias"]
    prediction = trained._replace(
        embedding=unit, **{head: linear(head) for head in ("concept", "style", "background", "placement")}
    )
    print(f"{name}: distances differ by {difference.mean():.2e} on average and {difference.max():.2e} at most; cosines of the embeddings {F.cosine_similarity(unit, trained.embedding).min():.5f} at least")
    print_accuracy({"as trained": accuracy(trained, content, placement), name: accuracy(prediction, content, placement)})


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--packed", action="store_true", help="compare the packed weights as well")
    arguments = parser.parse_args()
    device = start(arguments)
    classifier, _ = load_classifier(arguments.work, device)
    labels = [concept["label"] for concept in json.loads((arguments.work / "concepts.json").read_text())]
    folder = arguments.work / "classifier"
    folder.mkdir(exist_ok=True)
    with torch.no_grad():
        tensors = tensors_of(classifier)
        save_file(tensors, folder / "weights.safetensors")
        (folder / "manifest.json").write_text(json.dumps(manifest(labels), indent=2) + "\n")
        pictures = Singles(arguments.work, device)
        torch.manual_seed(arguments.seed + HELD_OUT_SEED)
        picture, content = pictures.draw(1024)
        compare("folded", classifier, tensors, picture, content, pictures.placement)
        if arguments.packed:
            sys.path.insert(0, str(ROOT / "tools/reference"))
            from packed import load_tensors

            files = json.loads((PACK / "manifest.json").read_text())["components"]["image_encoder"]["files"]
            compare("packed", classifier, load_tensors(PACK, files), picture, content, pictures.placement)


if __name__ == "__main__":
    main()
