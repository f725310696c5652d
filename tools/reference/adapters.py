"""Writes tests/parity/values/adapters/: adapters on a whole UNet, stacked, with strengths and schedules.

Usage: python tools/reference/adapters.py

The UNet and its inputs are those of values/models/tiny/unet. Three adapters, each in its own spelling and with
linear and convolutional layers where the spelling has them:
- `peft.safetensors`: as diffusers' `save_lora_adapter` writes it, ranks and alphas in the header;
- `kohya.safetensors`: `lora_unet_….lora_down.weight`, with alphas as tensors;
- `slider.pt`: what Concept Sliders are published as, torch's pickle in a zip, bfloat16; the same tensors in
  `slider.safetensors`. Its network is written out below and not taken from PEFT.

`cases.json` lists what they are asked to do; each case's result is the tensor of its name in
`values.safetensors`: a UNet's output at the inputs' own timestep, `[2, 4, 8, 12]`, or the latents after each step
of a short DDIM run without guidance, `[steps, 2, 4, 8, 12]`, from the inputs' latent. An adapter with
`from_timestep` acts in the steps whose timestep is at most that; one with `steps` in those alone, counted from 0.
"""

import json

import torch
from common import VALUES, plain_attention, reproducible
from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import nn

FOLDER = VALUES / "adapters"
TINY = VALUES / "models" / "tiny" / "unet"
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
}
RUN_STEPS = 4

#: Layers of the first adapter with their ranks and alphas.
PEFT = {
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k": (2, 2.0),
    "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj": (3, 1.5),
    "mid_block.attentions.0.proj_in": (2, 2.0),
    "mid_block.resnets.0.conv1": (2, 4.0),
    "mid_block.resnets.0.time_emb_proj": (2, 2.0),
    "up_blocks.1.resnets.2.conv_shortcut": (3, 2.0),
    "down_blocks.1.downsamplers.0.conv": (2, 2.0),
    "up_blocks.2.resnets.0.conv2": (2, 1.0),
}
#: And of the second. Some are of both.
KOHYA = {
    "down_blocks.2.attentions.1.transformer_blocks.1.attn1.to_out.0": (4, 1.0),
    "mid_block.attentions.0.proj_in": (2, 1.0),
    "mid_block.resnets.0.conv1": (3, 3.0),
    "up_blocks.0.attentions.0.transformer_blocks.0.ff.net.2": (2, 4.0),
    "up_blocks.0.upsamplers.0.conv": (2, 2.0),
    "up_blocks.2.resnets.1.conv1": (2, 1.0),
}
#: The sliders' own defaults: the method "noxattn" with the type "lierla", alpha 1 and rank 4.
SLIDER_RANK, SLIDER_ALPHA = 4, 1.0

THREE = {"peft": 0.7, "kohya": -1.3, "slider": 2.0}
CASES = {
    "none": {},
    "peft": {"peft": 1.0},
    "peft_negative": {"peft": -1.5},
    "kohya": {"kohya": 1.0},
    "kohya_negative": {"kohya": -0.8},
    "slider": {"slider": 1.0},
    "slider_negative": {"slider": -3.0},
    "two_on_one_layer": {"peft": 1.0, "kohya": 0.5},
    "three": THREE,
}
#: Runs: the strengths, and when adapters act that don't act always.
RUNS = {
    "run_without": ({}, {}),
    "run_three": (THREE, {}),
    "run_from_timestep": ({"slider": 4.0}, {"slider": {"from_timestep": 700}}),
    "run_by_step": ({"peft": 1.0}, {"peft": {"steps": [1, 3]}}),
    "run_three_scheduled": (THREE, {"slider": {"from_timestep": 700}, "peft": {"steps": [1, 3]}}),
}


class SliderModule(nn.Module):
    """A layer of the sliders' network: what the layer gives, and its branch times multiplier and alpha / rank."""

    def __init__(self, layer: nn.Linear, generator: torch.Generator):
        super().__init__()
        self.lora_down = nn.Linear(layer.in_features, SLIDER_RANK, bias=False)
        self.lora_up = nn.Linear(SLIDER_RANK, layer.out_features, bias=False)
        self.register_buffer("alpha", torch.tensor(SLIDER_ALPHA))
        for projection in (self.lora_down, self.lora_up):
            drawn = torch.randn(projection.weight.shape, generator=generator)
            # As it is stored.
            projection.weight.copy_((drawn * 0.5).bfloat16().float())
        self.multiplier = 0.0
        self.original = layer.forward
        layer.forward = self.forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = SLIDER_ALPHA / SLIDER_RANK
        return self.original(x) + self.lora_up(self.lora_down(x)) * self.multiplier * scale


class SliderNetwork(nn.Module):
    """Every projection of every attention but the cross attention's, named as kohya's scripts do."""

    def __init__(self, unet: UNet2DConditionModel, generator: torch.Generator):
        super().__init__()
        for name, module in unet.named_modules():
            if module.__class__.__name__ != "Attention" or "attn2" in name:
                continue
            for child, layer in module.named_modules():
                if isinstance(layer, nn.Linear):
                    spelled = f"lora_unet_{name}_{child}".replace(".", "_")
                    self.add_module(spelled, SliderModule(layer, generator))

    def set_strength(self, strength: float) -> None:
        for module in self.children():
            module.multiplier = strength


def random_factors(unet, layers, generator) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Down and up projection of each layer; a convolution's kernel belongs to the first."""
    factors = {}
    for name, (rank, _) in layers.items():
        weight = unet.get_submodule(name).weight
        down = torch.randn(rank, *weight.shape[1:], generator=generator) * 0.2
        up = torch.randn(len(weight), rank, *[1] * (weight.ndim - 2), generator=generator) * 0.5
        factors[name] = (down, up)
    return factors


def write_peft(unet, generator) -> None:
    config = LoraConfig(
        r=2,
        lora_alpha=2,
        target_modules=list(PEFT),
        rank_pattern={name: rank for name, (rank, _) in PEFT.items()},
        alpha_pattern={name: alpha for name, (_, alpha) in PEFT.items()},
    )
    other = UNet2DConditionModel.from_config(unet.config)
    other.add_adapter(config, "peft")
    for name, (down, up) in random_factors(unet, PEFT, generator).items():
        layer = other.get_submodule(name)
        layer.lora_A["peft"].weight.copy_(down)
        layer.lora_B["peft"].weight.copy_(up)
    other.save_lora_adapter(FOLDER, "peft", weight_name="peft.safetensors")


def write_kohya(unet, generator) -> None:
    tensors = {}
    for name, (down, up) in random_factors(unet, KOHYA, generator).items():
        spelled = f"lora_unet_{name.replace('.', '_')}"
        tensors[f"{spelled}.lora_down.weight"] = down
        tensors[f"{spelled}.lora_up.weight"] = up
        tensors[f"{spelled}.alpha"] = torch.tensor(KOHYA[name][1])
    save_file(tensors, FOLDER / "kohya.safetensors")


def write_slider(network: SliderNetwork) -> None:
    state = {name: value.bfloat16().contiguous() for name, value in network.state_dict().items()}
    torch.save(state, FOLDER / "slider.pt")
    save_file(state, FOLDER / "slider.safetensors")


def main() -> None:
    reproducible()
    FOLDER.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator("cpu").manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(TINY, torch_dtype=torch.float32)
    write_peft(unet, generator)
    write_kohya(unet, generator)
    # The network wraps the plain layers, PEFT what it left.
    network = SliderNetwork(unet, generator)
    write_slider(network)
    # Only with its name by itself is the file looked at for what its header says.
    unet.load_lora_adapter(FOLDER, prefix=None, weight_name="peft.safetensors", adapter_name="peft")
    kohya, alphas = StableDiffusionXLPipeline.lora_state_dict(
        load_file(FOLDER / "kohya.safetensors"), unet_config=unet.config
    )
    StableDiffusionXLPipeline.load_lora_into_unet(kohya, alphas, unet, adapter_name="kohya")
    plain_attention(unet)
    for adapter, layers in (("peft", PEFT), ("kohya", KOHYA)):
        for name, (rank, alpha) in layers.items():
            if unet.get_submodule(name).scaling[adapter] != alpha / rank:
                raise SystemExit(f"{adapter}: {name} is not scaled by {alpha} / {rank}")
    inputs = load_file(TINY / "values.safetensors")

    def predict(latent, timestep, strengths) -> torch.Tensor:
        network.set_strength(strengths.get("slider", 0.0))
        of_peft = {name: strengths.get(name, 0.0) for name in ("peft", "kohya")}
        unet.set_adapters(list(of_peft), list(of_peft.values()))
        return unet(
            latent,
            timestep,
            inputs["encoder_hidden_states"],
            added_cond_kwargs={
                "text_embeds": inputs["text_embeds"],
                "time_ids": inputs["time_ids"],
            },
        ).sample

    values = {
        name: predict(inputs["latent"], inputs["timestep"][0], strengths)
        for name, strengths in CASES.items()
    }
    difference = (values["none"] - inputs["sample"]).abs().max().item()
    if difference > 1e-5:
        raise SystemExit(f"without adapters the UNet is {difference} away from its own values")
    scheduler = DDIMScheduler(**SCHEDULER)
    for name, (strengths, schedules) in RUNS.items():
        scheduler.set_timesteps(RUN_STEPS)
        latent, latents = inputs["latent"], []
        for index, timestep in enumerate(scheduler.timesteps):
            acting = {
                adapter: strength
                for adapter, strength in strengths.items()
                if timestep <= schedules.get(adapter, {}).get("from_timestep", 1000)
                and index in schedules.get(adapter, {}).get("steps", range(RUN_STEPS))
            }
            noise = predict(latent, timestep, acting)
            latent = scheduler.step(noise, timestep, latent).prev_sample
            latents.append(latent)
        values[name] = torch.stack(latents)

    cases = [
        {"name": name, "adapters": [{"file": file, "strength": value} for file, value in of.items()]}
        for name, of in CASES.items()
    ]
    runs = [
        {
            "name": name,
            "adapters": [
                {"file": file, "strength": value} | schedules.get(file, {})
                for file, value in of.items()
            ],
        }
        for name, (of, schedules) in RUNS.items()
    ]
    described = {
        "scheduler": SCHEDULER,
        "timesteps": scheduler.timesteps.tolist(),
        "outputs": cases,
        "runs": runs,
    }
    (FOLDER / "cases.json").write_text(json.dumps(described, indent=1) + "\n")
    save_file({name: value.contiguous() for name, value in values.items()}, FOLDER / "values.safetensors")
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}")
    for name in [*CASES][1:]:
        change = (values[name] - values["none"]).abs().max() / values["none"].abs().max()
        print(f"{name}: changes the output by {change:.2f} of its largest value")
    for name in [*RUNS][1:]:
        change = (values[name] - values["run_without"])[-1].abs().max() / values["run_without"][-1].abs().max()
        print(f"{name}: changes the latent by {change:.2f} of its largest value")


if __name__ == "__main__":
    main()
