"""The prompts of the training pictures: the ways in which people ask for what a picture shows."""

import json
import random
from pathlib import Path

from data import STYLES
from pictures import BACKGROUNDS, Content

#: How a name is asked for. "{a}" is the name with its article.
TEMPLATES = ("{name}", "{a}", "image of {a}", "picture of {a}", "{name} emoji", "photo of {a}", "an image of {a}", "a picture of {a}", "{a} emoji")
#: The words for the styles; the model hears all of them.
STYLE_WORDS = {"noto": ("noto", "google"), "twemoji": ("twemoji", "twitter"), "flat": ("flat", "fluent flat"), "3d": ("3d", "fluent 3d")}
BACKGROUND_NAMES = tuple(BACKGROUNDS)
#: The shares of prompts that name the style, that name the background, and that are empty (for guidance).
STYLE_SHARE, BACKGROUND_SHARE, EMPTY_SHARE = 0.2, 0.25, 0.1
#: Words that stand for every word that the training never sees. All such words share one embedding
#: (see models.Vocabulary); hearing it with pictures of anything, the model learns to draw a picture all the
#: same. The shares of prompts in which they take the place of the name, and in which they stand before it.
UNSEEN_WORDS = ("quantum", "quantum senate", "quantum senate quantum")
UNSEEN_NAME_SHARE, UNSEEN_BEFORE_SHARE = 0.03, 0.05
#: Names that "image of …" is never said of in training: `evaluate` asks for them.
HELD_OUT = (
    "dog", "cat", "rabbit", "panda", "penguin", "owl", "butterfly", "octopus", "elephant", "whale",
    "cactus", "sunflower", "mushroom", "banana", "strawberry", "carrot", "hamburger", "pizza", "ice cream", "doughnut",
    "ghost", "robot", "crying face", "red heart", "bus", "fire engine", "rocket", "sailboat", "guitar", "umbrella",
)


def with_article(name: str) -> str:
    """"a cat", "an owl"; nothing before a plural or a thing of which there is one."""
    first = name.split()[-1]
    if name in ("fire", "popcorn", "money", "sushi", "bacon", "broccoli") or (first.endswith("s") and not first.endswith(("ss", "us", "bus"))):
        return name
    return f"{'an' if name[0] in 'aeiou' and not name.startswith(('uni', 'eu', 'ufo')) else 'a'} {name}"


class Prompts:
    """Writes prompts for pictures, anew at every call."""

    def __init__(self, work: Path, style_share: float = STYLE_SHARE):
        self.concepts = json.loads((work / "concepts.json").read_text())
        #: The share of prompts that name the style.
        self.style_share = style_share

    def name(self, concept: int) -> str:
        """The label half of the time, else another name, now and then a tag."""
        entry = self.concepts[concept]
        chance = random.random()
        if chance > 0.88 and entry["tags"]:
            return random.choice(entry["tags"])
        if chance > 0.5 and entry["names"]:
            return random.choice(entry["names"])
        return entry["label"].lower()

    def of(self, content: Content) -> list[str]:
        """A prompt for every picture, in lower case."""
        prompts = []
        for concept, style, background, second in zip(
            content.concept.tolist(), content.style.tolist(), content.background.tolist(), content.second.tolist()
        ):
            if random.random() < EMPTY_SHARE:
                prompts.append("")
                continue
            name = self.name(concept)
            chance = random.random()
            if chance < UNSEEN_NAME_SHARE:
                name = random.choice(UNSEEN_WORDS)
            elif chance < UNSEEN_NAME_SHARE + UNSEEN_BEFORE_SHARE:
                name = f"{random.choice(UNSEEN_WORDS)} {name}"
            if second >= 0:
                other = self.name(second)
                pair = random.choice((f"{name} and {other}", f"{with_article(name)} and {with_article(other)}"))
                prompt = random.choice(("{}", "image of {}", "picture of {}")).format(pair)
            else:
                template = random.choice(TEMPLATES)
                while name in HELD_OUT and template.startswith(("image of", "an image of")):
                    template = random.choice(TEMPLATES)
                prompt = template.format(name=name, a=with_article(name))
            if random.random() < self.style_share:
                word = random.choice(STYLE_WORDS[STYLES[style]])
                prompt = random.choice((f"{prompt} in {word} style", f"{word} {prompt}"))
            if random.random() < BACKGROUND_SHARE:
                prompt = random.choice((f"{prompt} on a {{}} background", f"{prompt}, {{}} background", f"{prompt} on {{}}")).format(BACKGROUND_NAMES[background])
            prompts.append(prompt)
        return prompts
