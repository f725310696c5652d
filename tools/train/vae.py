"""Trains the VAE: pictures of 64 × 64 pixels to 16 × 16 latents of 4 channels and back.

Usage: python tools/train/vae.py

L1 on pixels, on their differences to their neighbours (sharp edges) and squared error of the picture at
half size (right colours), with a divergence from the normal distribution that keeps the latents near unit
scale. The first part of the time it sees quarters of pictures, which says as much per second four times as
often. Writes `vae/` in diffusers' layout and a contact sheet.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from common import Average, Training, autocast, contact_sheet, options, set_learning_rate, start
from pictures import Pictures

CONFIG = dict(
    in_channels=3,
    out_channels=3,
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    block_out_channels=(16, 48, 96),
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=16,
    sample_size=64,
    # Trained in bfloat16: float16 is wide enough for its activations.
    force_upcast=False,
)
#: Weight of the divergence, per latent value. Much less lets the channels' means drift to 3.
DIVERGENCE = 2e-3
LEARNING_RATE = 2e-3
#: The share of the time that is spent on quarters.
QUARTERS_UNTIL = 0.45


def differences(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return picture[..., 1:] - picture[..., :-1], picture[..., 1:, :] - picture[..., :-1, :]


def reconstruction_loss(picture: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    edges = sum((a - b).abs().mean() for a, b in zip(differences(picture), differences(rebuilt)))
    return (picture - rebuilt).abs().mean() + 0.5 * edges + F.mse_loss(F.avg_pool2d(rebuilt, 2), F.avg_pool2d(picture, 2))


def quarters(picture: torch.Tensor) -> torch.Tensor:
    """A random quarter of each picture: `[batch, 3, 32, 32]`."""
    top, left = (torch.randint(0, 33, (2,)) // 4 * 4).tolist()
    return picture[:, :, top : top + 32, left : left + 32]


def main() -> None:
    arguments = options(__doc__.splitlines()[0], minutes=24, batch=32).parse_args()
    device = start(arguments)
    pictures = Pictures(arguments.work, device)
    vae = AutoencoderKL(**CONFIG).to(device)
    print(f"{sum(parameter.numel() for parameter in vae.parameters()) / 1e6:.2f} M parameters")
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    average = Average([vae], 0.995)
    training = Training(
        arguments.work / "vae.checkpoint", arguments.minutes, dict(vae=vae, optimizer=optimizer, average=average), CONFIG, arguments.steps
    )
    while training.going_on():
        whole = training.share >= QUARTERS_UNTIL
        set_learning_rate(training.cosine(LEARNING_RATE, warm_up=200), optimizer)
        drawn, _ = pictures.draw(arguments.batch)
        # A quarter of the picture is a quarter of the work: several of them for one drawing.
        for picture in [drawn[: arguments.batch // 2]] if whole else [quarters(drawn) for _ in range(3)]:
            with autocast(device):
                posterior = vae.encode(picture).latent_dist
                rebuilt = vae.decode(posterior.sample()).sample
            divergence = posterior.kl().float().mean() / posterior.mean[0].numel()
            loss = reconstruction_loss(picture, rebuilt.float()) + DIVERGENCE * divergence
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            average.update()
            training.report(len(picture), loss=loss.item(), divergence=divergence.item())

    with average.applied(), torch.no_grad():
        picture, _ = pictures.draw(512)
        latent = torch.cat([vae.encode(part).latent_dist.mode() for part in picture.split(64)])
        rebuilt = torch.cat([vae.decode(part).sample for part in latent.split(64)]).clamp(-1, 1)
        scale = latent.std().item()
        noise_ratio = -10 * ((picture - rebuilt) / 2).pow(2).mean().log10().item()
        print(f"PSNR {noise_ratio:.2f} dB; means {latent.mean((0, 2, 3)).tolist()}, deviations {latent.std((0, 2, 3)).tolist()}")
        vae.register_to_config(scaling_factor=round(1 / scale, 5))
        vae.save_pretrained(arguments.work / "vae")
        rows = [row for pair in zip(picture[:96].split(16), rebuilt[:96].split(16)) for row in pair]
        contact_sheet(rows, arguments.work / "vae.png")


if __name__ == "__main__":
    main()
