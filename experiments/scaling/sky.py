"""Simulated HATS catalogues of any size: python experiments/scaling/sky.py FOLDER N [--order K]

Sources are simulated 500,000 at a time, so that memory does not grow with N.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import xbayes
from xbayes.catalog.columns import from_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.hats.create import Layout, write_hats

AT_ONCE = 500_000
COLUMNS = (
    "name", "ra", "dec", "e_pos", "release", "flux_soft", "flux_medium", "flux_hard", "gamma",
    "g_mag", "j_mag", "h_mag", "k_mag", "w1_mag", "w2_mag", "parallax_snr", "var_intra_prob",
    "var_inter_prob",
)  # fmt: skip


def sources(n: int, seed: int = 1) -> Iterator[pa.Table]:
    """Tables of simulated sources, with the columns that the features need."""
    for number, first in enumerate(range(0, n, AT_ONCE)):
        size = min(AT_ONCE, n - first)
        table = xbayes.simulate(max(size, 100), seed=seed + number)[:size]
        table["name"] = [f"SIM {row:010d}" for row in range(first, first + size)]
        yield to_arrow(from_table(table[list(COLUMNS)]))


def positions(n: int, seed: int, like: Iterator[pa.Table] | None = None) -> Iterator[pa.Table]:
    """Tables of positions all over the sky, after those of `like` moved by about 0.3 arcsec."""
    rng, given = np.random.default_rng(seed), 0
    for table in like or ():
        shift = rng.normal(0, 0.3 / 3600, (2, len(table)))
        dec = np.clip(table["dec"].to_numpy() + shift[1], -90, 90)
        yield _listed(given, table["ra"].to_numpy() % 360, dec, rng)
        given += len(table)
    for first in range(given, n, 4 * AT_ONCE):
        size = min(4 * AT_ONCE, n - first)
        dec = np.rad2deg(np.arcsin(rng.uniform(-1, 1, size)))
        yield _listed(first, rng.uniform(0, 360, size), dec, rng)


def _listed(first: int, ra: np.ndarray, dec: np.ndarray, rng: np.random.Generator) -> pa.Table:
    number = np.arange(first, first + len(ra), dtype=np.int64)
    return pa.table({"id": number, "ra": ra, "dec": dec, "mag": rng.normal(20, 2, len(ra))})


def main() -> int:
    """Write a catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--order", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    made = sources(given.n, given.seed)
    n_rows = write_hats(made, given.folder, Layout(order=given.order), name="sky")
    print(f"{n_rows} sources: {given.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
