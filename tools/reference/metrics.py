"""Structural similarity as scikit-image computes it, for the test of src/metrics.

Writes tests/parity/values/metrics.json: {"scikit-image": version, "cases": [{"name", "width",
"height", "first", "second", "ssim", "contrast_structure", "ms_ssim", "dissimilarity"}]}. The
pictures are drawn in whole numbers, so that the test can draw the same ones from `first` and
`second`. "ssim" and "contrast_structure" are [channel][scale], of luma, blue and red chroma and
from the finest scale; "ms_ssim" is [channel].

structural_similarity gives luminance and contrast-structure as one product. Contrast-structure
alone is what it gives with a K1 so large that luminance is 1. It averages over the windows that lie
within the picture. scikit-image has no MS-SSIM: it is composed here from those values.
"""

import json

import numpy as np
import skimage
from common import VALUES
from skimage.color import rgb2ycbcr
from skimage.metrics import structural_similarity

WINDOW = 11
SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
CHANNEL_WEIGHTS = np.array([0.8, 0.1, 0.1])
DISC = {"color": [220, 60, 40], "shift": 0, "noise": 0}


def case(name: str, width: int, height: int, first: dict, second: dict) -> dict:
    return {"name": name, "width": width, "height": height, "first": first, "second": second}


# One scale at 11 pixels, two at 37, three at 64, all five at 180.
CASES = [
    case("the same", 64, 64, DISC, DISC),
    case("noise", 64, 64, DISC, {**DISC, "noise": 40}),
    case("a shift", 64, 64, DISC, {**DISC, "shift": 3}),
    case("another color", 64, 64, DISC, {**DISC, "color": [40, 120, 200]}),
    case("noise alone", 64, 64, {**DISC, "noise": 255}, {**DISC, "noise": 254}),
    case("odd sides", 48, 37, DISC, {**DISC, "shift": -5, "noise": 12}),
    case("the smallest", 11, 11, DISC, {**DISC, "shift": 2}),
    case("one row of windows", 30, 11, {**DISC, "noise": 9}, {**DISC, "shift": 1}),
    case("five scales", 200, 180, DISC, {**DISC, "shift": 17, "noise": 25}),
]


def draw(width: int, height: int, color: list[int], shift: int, noise: int) -> np.ndarray:
    """[height, width, 3], 8 bit: a striped disc on a gradient, under noise of at most `noise`."""
    y, x, channel = np.indices((height, width, 3), dtype=np.int64)
    background = np.choose(channel, [x * 255 // (width - 1), y * 255 // (height - 1), 128])
    disc = np.array(color)[channel] + (x // 3 + y // 5) % 2 * 30
    squares = (x - width // 2 - shift) ** 2 + (y - height // 2) ** 2
    picture = np.where(squares < (min(width, height) // 3) ** 2, disc, background)
    bits = (x * 374761393 + y * 668265263 + channel * 974634777 + noise) % 2**32
    bits = (bits ^ (bits >> 13)) * 1274126177 % 2**32
    picture = picture + (bits >> 16) % (2 * noise + 1) - noise
    return picture.clip(0, 255).astype(np.uint8)


def luma_and_chroma(picture: np.ndarray) -> np.ndarray:
    """[3, height, width] in 0…1: BT.601 over the full range, as in JPEG files."""
    red, green, blue = np.moveaxis(picture / 255, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = np.stack([luma, 0.5 + (blue - luma) / 1.772, 0.5 + (red - luma) / 1.402])
    # scikit-image has the video range, with coefficients of three digits.
    video = np.moveaxis(rgb2ycbcr(picture), -1, 0)
    offsets = np.array([16, 128, 128]).reshape(3, 1, 1)
    ranges = np.array([219, 224, 224]).reshape(3, 1, 1)
    expected = (video - offsets) / ranges + np.array([0, 0.5, 0.5]).reshape(3, 1, 1)
    np.testing.assert_allclose(planes, expected, rtol=0, atol=1e-5)
    return planes


def halved(plane: np.ndarray) -> np.ndarray:
    """Means of 2 × 2 pixels, without a last odd row or column."""
    height, width = plane.shape[0] // 2, plane.shape[1] // 2
    return plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))


def similarity(first: np.ndarray, second: np.ndarray, **constants: float) -> float:
    return structural_similarity(
        first,
        second,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        **constants,
    )


def structure(first: np.ndarray, second: np.ndarray) -> tuple[list, list, list, float]:
    """Of two pictures, [height, width, 3] in 8 bit: "ssim", "contrast_structure", "ms_ssim" and the
    dissimilarity."""
    ssim, contrast_structure, ms_ssim = [], [], []
    for plane, other in zip(luma_and_chroma(first), luma_and_chroma(second)):
        ssim.append([])
        contrast_structure.append([])
        while min(plane.shape) >= WINDOW and len(ssim[-1]) < len(SCALE_WEIGHTS):
            ssim[-1].append(similarity(plane, other))
            contrast_structure[-1].append(similarity(plane, other, K1=1e6))
            plane, other = halved(plane), halved(other)
        weights = SCALE_WEIGHTS[: len(ssim[-1])]
        means = np.array([*contrast_structure[-1][:-1], ssim[-1][-1]])
        ms_ssim.append(float(np.prod(means.clip(0) ** (weights / weights.sum()))))
    dissimilarity = float(np.sum(CHANNEL_WEIGHTS * (1 - np.array(ms_ssim))))
    return ssim, contrast_structure, ms_ssim, dissimilarity


def measure(settings: dict) -> dict:
    size = settings["width"], settings["height"]
    pictures = (draw(*size, **settings[key]) for key in ("first", "second"))
    ssim, contrast_structure, ms_ssim, dissimilarity = structure(*pictures)
    return {
        **settings,
        "ssim": ssim,
        "contrast_structure": contrast_structure,
        "ms_ssim": ms_ssim,
        "dissimilarity": dissimilarity,
    }


def main() -> None:
    lines = ",\n    ".join(json.dumps(measure(settings)) for settings in CASES)
    version = f'  "scikit-image": "{skimage.__version__}",\n'
    path = VALUES / "metrics.json"
    path.write_text(f'{{\n{version}  "cases": [\n    {lines}\n  ]\n}}\n')
    print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}, {len(CASES)} pairs of pictures")


if __name__ == "__main__":
    main()
