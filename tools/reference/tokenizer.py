"""Token ids of CLIP's tokenizers as transformers gives them, for the test of models/tokenizer.

Writes tests/parity/values/tokenizer.json: {"transformers": version, "tokenizers": version,
"cases": [{"text", "tokenizer": [ids], "tokenizer_2": [ids]}]}. The ids are those of
StableDiffusionXLPipeline's call (padded to 77, truncated), with the trailing padding left out:
49407 for the first tokenizer, 0 for the second.

The tokenizers are built from vocab.json, merges.txt and tokenizer_config.json, the files that
SDXL's repositories have in common. A tokenizer.json beside them gives the same ids. So do the
older tokenizer_config.json and special_tokens_map.json, with one exception: they call the start
and the end of text `normalized`, and so find "<|ENDOFTEXT|>" too, which here is plain text.
"""

import json

import tokenizers
import transformers
from common import VALUES, load_emoji_pair, reproducible, token_ids

PADDING = {"tokenizer": 49407, "tokenizer_2": 0}

TEXTS = [
    # Nothing, and white space alone, around and between words.
    "",
    " ",
    "   \t\n  ",
    "cat",
    "  cat",
    "cat  ",
    "a   cat\t\tand\na dog\r\nand  a\u00a0bird\u3000fish\u2009owl\u200bhen",
    # Prompts of the emoji pair.
    "image of a dog face",
    "a slice of pizza on a pale blue background in 3d style",
    "smiling face with heart-eyes emoji and bus",
    # Case.
    "A CAT, a Cat, a cAt",
    "ÀÉÎÕÜ ÇA VA, STRASSE straße ΣΊΣΥΦΟΣ İstanbul ǅ",
    # Accents composed, decomposed, and stacked marks.
    "café crème brûlée",
    "cafe\u0301 cre\u0300me bru\u0302le\u0301e",
    "a\u0308\u0323\u0304 \u0301 z\u0361\u0489\u0489",
    "Å Å Ω Ω ﬁ ﬃ ſ",
    "Ｆｕｌｌ ｗｉｄｔｈ １２３！？",
    "½ ² ₃ Ⅷ ⅸ ① ㎏ ℃ ™",
    # Other scripts.
    "猫と犬の写真、日本語。",
    "一只戴着红帽子的猫",
    "고양이와 개",
    "고양이",
    "قطة صغيرة ١٢٣ مُحَمَّد",
    "חתול קטן, שָׁלוֹם",
    "кошка и собака, ЁЖ ёж",
    "γάτα και σκύλος",
    "แมวและสุนัข",
    "बिल्ली और कुत्ता",
    "ᚠᛇᚻ 𐍈 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚",
    # Emoji: joined, with skin tones, flags, keycaps, variation selectors.
    "😀 🐶🐱",
    "👨\u200d👩\u200d👧\u200d👦 👩🏽\u200d🚀 🏳️\u200d🌈",
    "🇩🇪🇯🇵 1️⃣ ❤️ ❤ ☃\ufe0e",
    # Digits are tokens of their own.
    "1 12 123 2026 3.14 1,000,000 0x1F 4k 8K x2",
    # Apostrophes: the pattern knows 's 't 're 've 'm 'll 'd.
    "don't can't it's we're I've I'm you'll she'd",
    "DON'T IT'S WE'RE",
    "cat's cats' 'sup rock'n'roll o'clock ''s ' s",
    "don’t it’s ‘quoted’ “double”",
    # Punctuation, single, in runs, and stuck to words; "!" is the second tokenizer's padding.
    "!",
    "!!",
    "!!!",
    "cat !! dog",
    "cat!dog!",
    "a cat! a dog",
    "! cat",
    "cat !",
    "hello ! !! !!! !!!! ?! !? !!1",
    "... … .. . ,, ;: -- — – -",
    "?! (((cat:1.2))) [dog|bird] {a} <b> a/b\\c",
    "#hashtag @user $5 50% a&b x*y x+y=z ~a ^b `c` |d|",
    "under_score snake_case_name __init__ hyphen-ated well-known",
    "&amp; &lt;b&gt; &#39; &nbsp; &amp;amp;",
    "https://example.com/a?b=c&d=e",
    "file.name.png C++ C# .NET",
    # The special tokens as text.
    "<|startoftext|>",
    "<|endoftext|>",
    "a <|endoftext|> b",
    "a<|endoftext|>b<|startoftext|>c",
    "<|ENDOFTEXT|> <|StartOfText|>",
    "<|endoftext |> <| startoftext|> <|endoftext",
    "cat </w> dog</w>",
    # Control characters and what is not a character.
    "a\u0000b",
    "\u0000",
    "a\u0007b\u001bc\u007fd\u0085e",
    "a\u00adb\ufeffc\u2028d\u2029e\u202ef\ufffdg\ue000h\U000e0041i",
    # Around and over the 75 tokens that fit.
    " ".join(["cat"] * 74),
    " ".join(["cat"] * 75),
    " ".join(["cat"] * 76),
    " ".join(["cat"] * 300),
    " ".join(f"number {i}" for i in range(60)),
    "!" * 200,
    "! " * 80,
    "a" * 300,
    "supercalifragilisticexpialidocious antidisestablishmentarianism "
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "qxzjvk" * 40,
    "猫" * 60,
    "👨\u200d👩\u200d👧\u200d👦" * 12,
]


def without_padding(ids: list[int], padding: int) -> list[int]:
    """Up to and with the end of text."""
    last = max(index for index, token in enumerate(ids) if token != padding)
    # The first tokenizer pads with the end of text itself: one of them belongs to the prompt.
    return ids[: last + 2] if padding == 49407 else ids[: last + 1]


def main() -> None:
    reproducible()
    pair = load_emoji_pair()
    cases = []
    for text in TEXTS:
        case = {"text": text}
        for name, padding in PADDING.items():
            ids = token_ids(getattr(pair, name), [text])[0].tolist()
            kept = without_padding(ids, padding)
            if kept + [padding] * (77 - len(kept)) != ids:
                raise AssertionError(f"{text!r}: the ids end in something else than padding")
            case[name] = kept
        cases.append(case)
    lines = ",\n    ".join(json.dumps(case, ensure_ascii=True) for case in cases)
    versions = (
        f'  "transformers": "{transformers.__version__}",\n'
        f'  "tokenizers": "{tokenizers.__version__}",\n'
    )
    path = VALUES / "tokenizer.json"
    path.write_text(f'{{\n{versions}  "cases": [\n    {lines}\n  ]\n}}\n')
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}, {len(cases)} texts")


if __name__ == "__main__":
    main()
