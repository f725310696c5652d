"""Puts the published pair into the work folder, so that adapters can be trained without training the pair anew.

Usage: python tools/train/unpack.py  (after data.py)

What the page draws with: the weights as they are served, dequantized to float32. Writes `base/`, `vae/`,
`distilled/`, `lightning/` and `lcm/`, as base.py, vae.py, distill.py and consistency.py do; the two relatives as
whole UNets, with their adapters merged.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, LCMScheduler

from common import options, start
from models import TextEncoders, Vocabulary

ROOT = Path(__file__).resolve().parents[2]
PAIR = ROOT / "public/pairs/emoji"
#: The manifest of each distilled model, and the folder that its training writes.
MANIFESTS = {"distilled": "manifest.json", "lightning": "lightning.json", "lcm": "lcm.json"}
SCHEDULERS = {"LCMScheduler": LCMScheduler, "EulerDiscreteScheduler": EulerDiscreteScheduler}


def compact(encoder: torch.nn.Module, vocabulary: Vocabulary) -> dict[str, torch.Tensor]:
    """The encoder's tensors with the rows of the tokens that the training knew alone; the inverse of export.py."""
    tensors = encoder.state_dict()
    (name,) = (name for name in tensors if name.endswith("token_embedding.weight"))
    rows = torch.empty(len(vocabulary), dtype=torch.long)
    # Where several of CLIP's tokens have one number, all of their rows are the same.
    rows[vocabulary.numbers] = torch.arange(len(vocabulary.numbers))
    return tensors | {name: tensors[name][rows]}


def main() -> None:
    arguments = options(__doc__.splitlines()[0]).parse_args()
    start(arguments)
    # The reader of packed files is the one that the tests compare the page's own with.
    sys.path.append(str(ROOT / "tools/reference"))
    from packed import load_pair

    work = arguments.work
    vocabulary = Vocabulary(work)
    encoders = TextEncoders(vocabulary)
    for name, manifest in MANIFESTS.items():
        pair = load_pair(PAIR, manifest)
        pair.unet_distilled.save_pretrained(work / name / "unet")
        config = pair.scheduler_distilled
        SCHEDULERS[config["_class_name"]].from_config(config).save_pretrained(work / name / "scheduler")
        print(f"{name}: {config['_class_name']}")
    pair.unet.save_pretrained(work / "base/unet")
    pair.vae.save_pretrained(work / "vae")
    encoders.first.load_state_dict(compact(pair.text_encoder, vocabulary))
    encoders.second.load_state_dict(compact(pair.text_encoder_2, vocabulary))
    torch.save(encoders.state_dict(), work / "base/text_encoders.pt")
    (work / "base/tokens.json").write_text(json.dumps(vocabulary.tokens))


if __name__ == "__main__":
    main()
