"""The files of SDXL and of its distilled models on the hub.

Sizes and SHA-256 are those of the hub's LFS pointers; the comments say where each was read. Where a
file's size is given, it is the layout's to the byte: that proves that the layout is the file's.
"""

from dataclasses import dataclass, field

from configs import TEXT_ENCODER, TEXT_ENCODER_2, TINY_VAE, UNET, UNET_LCM, VAE
from layout import Layout, file_size, layout_of, lora_layout


@dataclass(frozen=True)
class HubFile:
    repository: str
    revision: str
    path: str
    layout: Layout
    # None where no public source quotes the file's own: the loader asks the hub.
    size: int | None = None
    sha256: str | None = None
    dtype: str = "F16"
    metadata: dict[str, str] | None = field(default_factory=lambda: {"format": "pt"})
    # Bytes of a header that the layout can't foretell, such as a title and a description.
    notes: int = 0

    def expected_size(self) -> int:
        return file_size(self.layout, self.dtype, self.metadata) + self.notes


UNET_LAYOUT = layout_of(UNET)
LORA_LAYOUT = lora_layout(UNET)

# stabilityai/stable-diffusion-xl-base-1.0. Revision, sizes and hashes of all three: quoted alike in
# several public model lists; hashes of the UNet and the VAE's also in github.com/utensils/mold,
# crates/mold-core/src/manifest.rs. Second text encoder: LFS pointer of the same file on the hub, at
# benjamin-paine/taproot-common, commit 0edd9193d1528ae8e893561c5c5c227eb6ddf5c8. First one: the same,
# YuCollection/sdxl-1.0-base-diffusers, text_encoder/model.fp16.safetensors.
BASE = "stabilityai/stable-diffusion-xl-base-1.0"
BASE_REVISION = "462165984030d82259a11f4367a4eed129e94a7b"
BASE_UNET = HubFile(
    BASE,
    BASE_REVISION,
    "unet/diffusion_pytorch_model.fp16.safetensors",
    UNET_LAYOUT,
    5_135_149_760,
    "83e012a805b84c7ca28e5646747c90a243c65c8ba4f070e2d7ddc9d74661e139",
)
BASE_TEXT_ENCODER = HubFile(
    BASE,
    BASE_REVISION,
    "text_encoder/model.fp16.safetensors",
    layout_of(TEXT_ENCODER),
    246_144_152,
    "660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd",
)
BASE_TEXT_ENCODER_2 = HubFile(
    BASE,
    BASE_REVISION,
    "text_encoder_2/model.fp16.safetensors",
    layout_of(TEXT_ENCODER_2),
    1_389_382_176,
    "ec310df2af79c318e24d20511b601a591ca8cd4f1fce1d8dff822a356bcdb1f4",
)
# Hash: github.com/utensils/mold, crates/mold-core/src/manifest.rs, a later version of which has the
# size. The repository holds f32 alone. Revision: with the same hash in public model lists.
VAE_FIX = HubFile(
    "madebyollin/sdxl-vae-fp16-fix",
    "207b116dae70ace3637169f1ddd2434b91b3a8cd",
    "diffusion_pytorch_model.safetensors",
    layout_of(VAE),
    334_643_268,
    "1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c",
    dtype="F32",
)
# Revision and hash: the hub's page of the file at that revision. Size: LFS pointers in the
# repository's commits a496ca9 and b581b40, unchanged between versions.
TAESDXL = HubFile(
    "madebyollin/taesdxl",
    "b20258aaef75ef61e659c1e0f14f251cf0ad153e",
    "diffusion_pytorch_model.safetensors",
    layout_of(TINY_VAE),
    9_793_292,
    "ff4824aca94dd6111e0340fa749347fb74101060d9712cb5ef1ca8f1cf17502f",
    dtype="F32",
)
# LFS pointer in the repository's commit of that revision, which added the file.
DMD2 = HubFile(
    "tianweiy/DMD2",
    "be22767697a1f3ca656b73c776e15fa335c86c6c",
    "dmd2_sdxl_4step_unet_fp16.safetensors",
    UNET_LAYOUT,
    5_135_149_736,
    "3549f1726d24afa4a26493c9049af8fb74108ff0a36f67ced0d3b4aa164cce92",
    metadata=None,
)
# LFS pointer of the same file on the hub, at madmaz/private, commit
# b4a193a6bad52f4c1463189e0db291a1f02abf0e; quoted alike in public model lists.
DMD2_LORA = HubFile(
    "tianweiy/DMD2",
    "be22767697a1f3ca656b73c776e15fa335c86c6c",
    "dmd2_sdxl_4step_lora_fp16.safetensors",
    LORA_LAYOUT,
    393_854_592,
    "b3d9173815a4b595991c3a7a0e0e63ad821080f314a0b2a3cc31ecd7fcf2cbb8",
    metadata=None,
)
# Hashes and sizes: LFS pointers in the repository's commit 1b39ebb, which added both files. Revision:
# the last one, where the hub's page lists them from that commit.
LIGHTNING = HubFile(
    "ByteDance/SDXL-Lightning",
    "c9a24f48e1c025556787b0c58dd67a091ece2e44",
    "sdxl_lightning_4step_unet.safetensors",
    UNET_LAYOUT,
    5_135_149_736,
    "39a90a8a2a25c1372633c1e8eb1a96f85eab937bcb58cfc6ec9baf66242ec23c",
    metadata=None,
)
LIGHTNING_LORA = HubFile(
    "ByteDance/SDXL-Lightning",
    "c9a24f48e1c025556787b0c58dd67a091ece2e44",
    "sdxl_lightning_4step_lora.safetensors",
    LORA_LAYOUT,
    393_854_592,
    "bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79",
    metadata=None,
)
# Revision: the hub's page of the repository, whose commit a31168f added the file. No public source
# quotes its hash.
LCM_UNET = HubFile(
    "latent-consistency/lcm-sdxl",
    "a31168f5d592df89e06584b5eec264ddf406ac32",
    "diffusion_pytorch_model.fp16.safetensors",
    layout_of(UNET_LCM),
)
# LFS pointer in the repository's commit of that revision. It added a description of 600 bytes to the
# header, as the pointer before it says (393854624 bytes).
LCM_LORA = HubFile(
    "latent-consistency/lcm-lora-sdxl",
    "a18548dd4956b174ec5b0d78d340c8dae0a129cd",
    "pytorch_lora_weights.safetensors",
    LORA_LAYOUT,
    393_855_224,
    "a764e6859b6e04047cd761c08ff0cee96413a8e004c9f07707530cd776b19141",
    notes=600,
)
# Hash: github.com/utensils/mold, crates/mold-core/src/manifest.rs, and the hub's page of the same
# file at pcuenq/sdxl-turbo. Size: a later version of the former. Revision: the hub's page of the
# commit, the repository's last.
TURBO = HubFile(
    "stabilityai/sdxl-turbo",
    "71153311d3dbb46851df1931d3ca6e939de83304",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    UNET_LAYOUT,
    5_135_149_760,
    "48fa46161a745f48d4054df3fe13804ee255486bca893403b60373c188fd1bdb",
)
