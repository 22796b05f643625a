"""Seconds to find all pairs of a million positions with a million others.

.venv/bin/python experiments/bench_match/run.py [--rows 1000000]
"""

import argparse
import time

import numpy as np

from xbayes.enhance.pairs import (
    Positions,
    circles,
    find_pairs,
    separations_over_error,
)

RADIUS = 5.0  # arcsec


def whole_sky(rng: np.random.Generator, number: int) -> Positions:
    """Isotropic positions."""
    return Positions(
        ra=rng.uniform(0, 360, number), dec=np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    )


def field(rng: np.random.Generator, number: int) -> Positions:
    """Positions in 10 by 10 degrees around the pole, 0.3 in a circle of the radius."""
    x, y = rng.uniform(-2.2, 2.2, (2, number))
    return Positions(ra=np.degrees(np.arctan2(y, x)) % 360, dec=90 - np.hypot(x, y))


def near(rng: np.random.Generator, place: Positions) -> Positions:
    """The positions again, measured with an error of 1 arcsec per axis."""
    shift = rng.normal(0, 1 / 3600, (2, len(place.ra)))
    ra = place.ra + shift[0] / np.maximum(np.cos(np.deg2rad(place.dec)), 1e-6)
    return Positions(ra=ra % 360, dec=np.clip(place.dec + shift[1], -90, 90))


def main() -> None:
    """Print the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    number = parser.parse_args().rows
    rng = np.random.default_rng(1)
    sky = whole_sky(rng, number)
    cases = {
        "whole sky, unrelated": (sky, whole_sky(rng, number), RADIUS),
        "whole sky, the same sources": (sky, near(rng, sky), RADIUS),
        "whole sky, a radius per row, 1 to 30 arcsec": (
            sky,
            near(rng, sky),
            rng.uniform(1, 30, number),
        ),
        "19 square degrees at the pole": (field(rng, number), field(rng, number), RADIUS),
        "every position 1000 times": (
            Positions(ra=np.repeat(sky.ra[: number // 1000], 1000), dec=np.repeat(
                sky.dec[: number // 1000], 1000)),
            whole_sky(rng, number),
            RADIUS,
        ),
    }  # fmt: skip
    print("| positions | pairs | pairs found [s] | with error ellipses [s] |")
    print("|---|---|---|---|")
    for name, (first, second, radius) in cases.items():
        start = time.perf_counter()
        pairs = find_pairs(first, second, radius)
        middle = time.perf_counter()
        errors = circles(np.ones(number))
        separations_over_error(pairs, first, second, errors, errors)
        end = time.perf_counter()
        print(f"| {name} | {len(pairs.first):,} | {middle - start:.1f} | {end - start:.1f} |")


if __name__ == "__main__":
    main()
