"""The parts of the pair: SDXL's own classes and structure, small."""

import gzip
import json
import math
import shutil
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from common import IMAGE_SIZE, LATENT_SIZE, autocast
from prompts import BACKGROUND_NAMES, HELD_OUT, STYLE_WORDS, TEMPLATES, with_article

#: SDXL's own: see README.md, "The noise schedule".
NOISE_SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)

WIDTH_1, WIDTH_2 = 64, 128
TIME_ID_WIDTH = 32
UNET_CONFIG = dict(
    sample_size=LATENT_SIZE,
    in_channels=4,
    out_channels=4,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    block_out_channels=(64, 128, 256),
    layers_per_block=1,
    cross_attention_dim=WIDTH_1 + WIDTH_2,
    transformer_layers_per_block=(1, 1, 1),
    # diffusers calls the number of heads by this name.
    attention_head_dim=(1, 2, 4),
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=TIME_ID_WIDTH,
    projection_class_embeddings_input_dim=WIDTH_2 + 6 * TIME_ID_WIDTH,
    norm_num_groups=32,
)
#: Original size, crop and target size: every picture is whole and of one size.
TIME_IDS = (IMAGE_SIZE, IMAGE_SIZE, 0, 0, IMAGE_SIZE, IMAGE_SIZE)
START_TOKEN, END_TOKEN = 49406, 49407
#: SDXL's first tokenizer pads with the end, its second with "!".
PADDING = (END_TOKEN, 0)
TOKENIZERS = Path(__file__).resolve().parents[2] / "public/pairs/emoji/tokenizer"


def load_tokenizer(work: Path, padding: int) -> CLIPTokenizer:
    """CLIP's tokenizer, from the vocabulary in the repository."""
    folder = work / "vocabulary"
    if not (folder / "merges.txt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("vocab.json", "merges.txt"):
            with gzip.open(TOKENIZERS / f"{name}.gzip") as packed, open(folder / name, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        pad_token="<|endoftext|>" if padding == END_TOKEN else "!",
        model_max_length=77,
    )


class Vocabulary:
    """The tokens that training prompts hold, numbered from 0: only their embeddings are trained.

    `export` puts them into the full table. The plural of a known word has the word's number. Every other
    token has one number together, whose embedding is trained too: a word that was never seen draws
    something, not noise. The end is the highest number, as CLIP's own is.
    """

    def __init__(self, work: Path):
        self.tokenizer = load_tokenizer(work, END_TOKEN)
        concepts = json.loads((work / "concepts.json").read_text())
        texts = [name for concept in concepts for name in [concept["label"].lower(), *concept["names"], *concept["tags"]]]
        texts += [f"{with_article('apple')}, and, {with_article('cat')} in x style on a x background", *HELD_OUT]
        texts += [template.format(name="x", a="x") for template in TEMPLATES]
        texts += [f"x {word} x" for word in [*BACKGROUND_NAMES, *(word for words in STYLE_WORDS.values() for word in words)]]
        #: CLIP's numbers of the known tokens, ascending; the end is the last.
        self.tokens = sorted({token for text in texts for token in self.tokenizer(text).input_ids} | {PADDING[1]})
        self.unseen, self.end = len(self.tokens) - 1, len(self.tokens)
        #: The number of each of CLIP's tokens.
        self.numbers = torch.full((END_TOKEN + 1,), self.unseen)
        self.numbers[torch.tensor(self.tokens)] = torch.tensor([*range(self.unseen), self.end])
        known, clip = set(self.tokens), self.tokenizer.get_vocab()
        for text, token in clip.items():
            for ending in ("s</w>", "es</w>"):
                singular = clip.get(text.removesuffix(ending) + "</w>") if text.endswith(ending) else None
                if token not in known and singular in known and len(text) > len(ending) + 2:
                    self.numbers[token] = self.numbers[singular]
        self._known: dict[str, torch.Tensor] = {}

    def __len__(self) -> int:
        return self.end + 1

    def encode(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of the prompts' tokens `[batch, 77]`, padded for the first and for the second encoder."""
        for prompt in prompts:
            if prompt not in self._known:
                self._known[prompt] = self.numbers[torch.tensor(self.tokenizer(prompt, truncation=True).input_ids)]
        encoded = []
        for padding in PADDING:
            table = torch.full((len(prompts), 77), self.numbers[padding].item())
            for index, prompt in enumerate(prompts):
                row = self._known[prompt]
                table[index, : len(row)] = row
            encoded.append(table)
        return encoded[0], encoded[1]


def text_encoder_config(second: bool, vocabulary_size: int, start: int, end: int, padding: int) -> CLIPTextConfig:
    width = WIDTH_2 if second else WIDTH_1
    return CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2,
        num_attention_heads=4 if second else 2,
        max_position_embeddings=77,
        projection_dim=width,
        hidden_act="gelu" if second else "quick_gelu",
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=padding,
    )


class TextEncoders(torch.nn.Module):
    """Both text encoders over the compact vocabulary."""

    def __init__(self, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary = vocabulary
        end = vocabulary.end
        start = vocabulary.tokens.index(START_TOKEN)
        self.first = CLIPTextModel(text_encoder_config(False, len(vocabulary), start, end, end))
        self.second = CLIPTextModelWithProjection(text_encoder_config(True, len(vocabulary), start, end, 0))
        for name, parameter in self.named_parameters():
            # CLIP's own start suits a network that is large and trained for long.
            if "token_embedding" in name:
                torch.nn.init.normal_(parameter, std=0.3)
            elif "position_embedding" in name:
                torch.nn.init.normal_(parameter, std=0.05)
            elif parameter.ndim == 2:
                torch.nn.init.xavier_uniform_(parameter)

    def of(self, prompts: list[str], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """`forward` for prompts."""
        first, second = self.vocabulary.encode(prompts)
        return self(first.to(device), second.to(device))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The states before the last layer of both, `[batch, 77, 192]`, and the pooled output `[batch, 128]`."""
        states = self.first(first, output_hidden_states=True).hidden_states[-2]
        output = self.second(second, output_hidden_states=True)
        return torch.cat([states, output.hidden_states[-2]], -1), output.text_embeds


def predict_noise(unet: UNet2DConditionModel, latent, timestep, states, pooled, guidance_embedding=None) -> torch.Tensor:
    """The UNet's ε for latents `[batch, 4, 16, 16]`, in float32."""
    time_ids = torch.tensor(TIME_IDS, dtype=torch.float32, device=latent.device).expand(len(latent), 6)
    with autocast(latent.device):
        output = unet(
            latent,
            timestep,
            states,
            timestep_cond=guidance_embedding,
            added_cond_kwargs=dict(text_embeds=pooled, time_ids=time_ids),
            return_dict=False,
        )[0]
    return output.float()


class NoiseSchedule:
    """How much of a latent is left at each training timestep."""

    def __init__(self, device: torch.device):
        #: ᾱ of every timestep.
        self.shares = DDPMScheduler(**NOISE_SCHEDULE).alphas_cumprod.to(device)

    def _share(self, timestep: torch.Tensor) -> torch.Tensor:
        return self.shares[timestep].view(-1, 1, 1, 1)

    def noised(self, latent, timestep, noise) -> torch.Tensor:
        """The latents `[batch, 4, 16, 16]` with noise as at the timesteps `[batch]`."""
        share = self._share(timestep)
        return share.sqrt() * latent + (1 - share).sqrt() * noise

    def target(self, noisy, timestep, noise) -> torch.Tensor:
        """x̃₀: the latents that noisy ones and their noise come from."""
        share = self._share(timestep)
        return (noisy - (1 - share).sqrt() * noise) / share.sqrt()


def guidance_embedding(guidance: torch.Tensor, width: int) -> torch.Tensor:
    """What a consistency model is told of the guidance scale: `[batch]` to `[batch, width]`.

    Sines and cosines of 1000 · (guidance − 1), as diffusers' latent consistency pipelines make them.
    """
    frequencies = torch.exp(torch.arange(width // 2, device=guidance.device) * (-math.log(10000.0) / (width // 2 - 1)))
    angles = 1000 * (guidance.float() - 1)[:, None] * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], 1)
