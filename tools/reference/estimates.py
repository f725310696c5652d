"""Means with Student's intervals, medians and Fréchet distances of made-up numbers, by numpy and scipy.

Usage: python tools/reference estimates

estimates.json: {"means": [{"numbers", "mean", "interval", "median"}], "frechet": [{"size", "first",
"second", "distance"}]}; first and second are tables of features.
"""

import json

import numpy as np
from scipy import linalg, stats

from common import ROOT

PATH = ROOT / "tests" / "parity" / "values" / "estimates.json"


def means(generator):
    for count in (3, 5, 10, 32):
        numbers = generator.gamma(2.0, 0.2, count)
        interval = stats.t.interval(
            0.95, count - 1, loc=numbers.mean(), scale=stats.sem(numbers)
        )
        yield {
            "numbers": numbers.tolist(),
            "mean": numbers.mean(),
            "interval": list(interval),
            "median": float(np.median(numbers)),
        }


def frechet(generator):
    # The last one has fewer features than each has numbers: its covariance is singular.
    for size, count in ((1, 8), (4, 30), (12, 40), (10, 6)):
        first = generator.normal(size=(count, size))
        mixing = generator.normal(size=(size, size)) / np.sqrt(size)
        second = generator.normal(size=(count + 3, size)) @ mixing + 0.5
        covariances = [np.atleast_2d(np.cov(it, rowvar=False)) for it in (first, second)]
        root = np.real(linalg.sqrtm(covariances[0] @ covariances[1]))
        apart = first.mean(axis=0) - second.mean(axis=0)
        distance = apart @ apart + sum(map(np.trace, covariances)) - 2 * np.trace(root)
        yield {
            "size": size,
            "first": first.tolist(),
            "second": second.tolist(),
            "distance": float(distance),
        }


def main() -> None:
    generator = np.random.default_rng(17)
    values = {
        "means": list(means(generator)),
        "frechet": list(frechet(generator)),
    }
    PATH.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
