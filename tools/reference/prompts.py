"""Long and weighted prompts, written out in torch, for tests/parity/prompts.rs.

Below tests/parity/values/prompts:
- vocab.json, merges.txt: a vocabulary of single bytes, so that the tiny text encoders of models.py,
  which know 1000 tokens, can read any text.
- cases.json: {"cases": [{"pair", "prompt", "long", "weighted", "ids": [[[id]]], "weights": [[weight]]}]}:
  per case the ids of each chunk of both tokenizers, and the first tokenizer's weights.
- values.safetensors: "{index}.context" (every third token of all chunks, both encoders side by side)
  and "{index}.pooled".

What the syntax means is not parsed here: each case lists its pieces as somebody reads them, so that
nothing but the prompt is shared with the code under test.

The weighting is AUTOMATIC1111's: the penultimate states of each token are multiplied by its weight, and
all of a chunk's by the ratio of their means before and after. A chunk has 75 tokens between the start
and the end of text, and its padding; the pooled text is the first chunk's.
"""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from common import ROOT, VALUES, load_emoji_pair, plain_attention, reproducible
from models import FOLDER as MODELS
from models import TEXT_ENCODERS, save
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTokenizer

FOLDER = VALUES / "prompts"
ROOM = 75
STRIDE = 3
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = [("t", "h"), ("th", "e</w>"), ("!", "!</w>")]

LONG = "the quick brown fox jumps over the lazy dog while seven wizards mix the boiling jugs of ink"
EXACT = "abc " * 25
CASE_03 = (ROOT / "tests/cases/03-over-77-tokens/prompt.txt").read_text(encoding="utf-8").strip()
CASE_08 = (ROOT / "tests/cases/08-a1111-syntax/parameters.txt").read_text(encoding="utf-8")
CASE_08 = CASE_08.splitlines()[0]

# The pair, the prompt, whether it is long and weighted, and the parts between two BREAKs with their
# pieces and weights.
CASES = [
    ("tiny", "a red cat", False, False, [[("a red cat", 1.0)]]),
    ("tiny", "", True, True, [[]]),
    ("tiny", LONG, False, False, [[(LONG, 1.0)]]),
    ("tiny", LONG, True, False, [[(LONG, 1.0)]]),
    ("tiny", EXACT, True, False, [[(EXACT, 1.0)]]),
    ("tiny", EXACT + "d", True, False, [[(EXACT + "d", 1.0)]]),
    # One token for the first tokenizer, two for the second: the first one's second chunk is empty.
    ("tiny", "!! " * 40, True, False, [[("!! " * 40, 1.0)]]),
    (
        "tiny",
        r"(red:1.4) cat, [fog] ((sky)) \(moon\) <lora:oil:0.8>",
        False,
        True,
        [[("red", 1.4), (" cat, ", 1), ("fog", 1 / 1.1), (" ", 1), ("sky", 1.1 * 1.1), (" (moon) ", 1)]],
    ),
    (
        "tiny",
        "storm BREAK (warm:1.3) light",
        False,
        True,
        [[("storm", 1.0)], [("warm", 1.3), (" light", 1.0)]],
    ),
    (
        "tiny",
        f"({LONG}:0.7) the ((end:1.5)) BREAK more",
        True,
        True,
        [[(LONG, 0.7), (" the ", 1.0), ("end", 1.5 * 1.1)], [("more", 1.0)]],
    ),
    # A weight below zero takes away, one of zero leaves the others.
    ("tiny", "(red:-0.5) cat (sky:0)", False, True, [[("red", -0.5), (" cat ", 1), ("sky", 0)]]),
    ("emoji", CASE_03, False, False, [[(CASE_03, 1.0)]]),
    ("emoji", CASE_03, True, False, [[(CASE_03, 1.0)]]),
    (
        "emoji",
        CASE_08,
        True,
        True,
        [
            [("lighthouse", 1.3), (" on a cliff, ", 1), ("fog", 1 / 1.1), (", , storm", 1)],
            [("warm window light, ", 1)],
        ],
    ),
]


def letters() -> list[str]:
    """The characters that stand for the 256 bytes in byte-level vocabularies, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def write_vocabulary() -> None:
    tokens = [*letters(), *(f"{letter}</w>" for letter in letters())]
    tokens += [left + right for left, right in MERGES]
    vocabulary = {token: index for index, token in enumerate(tokens)} | {START: 998, END: 999}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    merges = "".join(f"{left} {right}\n" for left, right in MERGES)
    (FOLDER / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")


def tiny_tokenizer(padding: str) -> CLIPTokenizer:
    config = {
        "bos_token": START,
        "eos_token": END,
        "pad_token": padding,
        "unk_token": END,
        "model_max_length": ROOM + 2,
        "tokenizer_class": "CLIPTokenizer",
    }
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("vocab.json", "merges.txt"):
            (Path(temporary) / name).write_bytes((FOLDER / name).read_bytes())
        (Path(temporary) / "tokenizer_config.json").write_text(json.dumps(config))
        return CLIPTokenizer.from_pretrained(temporary)


def tiny_pair() -> SimpleNamespace:
    """The tiny encoders of models.py with the byte vocabulary."""
    pair = SimpleNamespace(tokenizer=tiny_tokenizer(END), tokenizer_2=tiny_tokenizer("!"))
    for name, (model_class, options) in TEXT_ENCODERS.items():
        config = CLIPTextConfig(
            vocab_size=1000,
            max_position_embeddings=ROOM + 2,
            bos_token_id=998,
            eos_token_id=999,
            **options,
        )
        model = model_class(config)
        stored = load_file(MODELS / "tiny" / name / "model.safetensors")
        own = model.state_dict()
        # transformers 5 has the prefix in one of the two classes alone.
        weights = {
            key if key in own else key.removeprefix("text_model."): value.float()
            for key, value in stored.items()
        }
        model.load_state_dict(weights)
        setattr(pair, name, plain_attention(model))
    return pair


def chunks_of(tokenizer, sections, long: bool) -> list[tuple[list[int], list[float]]]:
    """The ids and the weights of each chunk."""
    chunks = []
    for pieces in sections:
        tokens = [
            (token, weight)
            for text, weight in pieces
            for token in tokenizer(text, add_special_tokens=False).input_ids
        ]
        parts = [tokens[at : at + ROOM] for at in range(0, len(tokens), ROOM)] or [[]]
        chunks += parts if long else parts[:1]
    return [padded(tokenizer, chunk) for chunk in chunks]


def padded(tokenizer, chunk) -> tuple[list[int], list[float]]:
    ids = [tokenizer.bos_token_id, *(token for token, _ in chunk), tokenizer.eos_token_id]
    weights = [1.0, *(weight for _, weight in chunk), 1.0]
    lacking = ROOM + 2 - len(ids)
    return ids + [tokenizer.pad_token_id] * lacking, weights + [1.0] * lacking


def encode(model, chunks) -> tuple[torch.Tensor, torch.Tensor | None]:
    """[1, 77 · chunks, width] and the pooled text of the first chunk."""
    states, pooled = [], None
    for ids, weights in chunks:
        output = model(torch.tensor([ids]), output_hidden_states=True)
        hidden = output.hidden_states[-2]
        if any(weight != 1.0 for weight in weights):
            weighted = hidden * torch.tensor(weights).view(1, -1, 1)
            hidden = weighted * (hidden.mean() / weighted.mean())
        states.append(hidden)
        if pooled is None:
            pooled = getattr(output, "text_embeds", None)
    return torch.cat(states, 1), pooled


def main() -> None:
    reproducible()
    write_vocabulary()
    pairs = {"tiny": tiny_pair(), "emoji": load_emoji_pair()}
    cases, values = [], {}
    for index, (name, prompt, long, weighted, sections) in enumerate(CASES):
        pair = pairs[name]
        first = chunks_of(pair.tokenizer, sections, long)
        second = chunks_of(pair.tokenizer_2, sections, long)
        most = max(len(first), len(second))
        first += [padded(pair.tokenizer, [])] * (most - len(first))
        second += [padded(pair.tokenizer_2, [])] * (most - len(second))
        states, _ = encode(pair.text_encoder, first)
        states_2, pooled = encode(pair.text_encoder_2, second)
        values[f"{index}.context"] = torch.cat([states, states_2], -1)[:, ::STRIDE]
        values[f"{index}.pooled"] = pooled
        cases.append(
            {
                "pair": name,
                "prompt": prompt,
                "long": long,
                "weighted": weighted,
                "ids": [[ids for ids, _ in chunks] for chunks in (first, second)],
                "weights": [weights for _, weights in first],
            }
        )
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    path = FOLDER / "cases.json"
    path.write_text(f'{{\n  "cases": [\n    {lines}\n  ]\n}}\n', encoding="utf-8")
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}, {len(cases)} prompts")
    save(FOLDER / "values.safetensors", values)


if __name__ == "__main__":
    main()
