"""Who is in the simulated sky: kinds of source, their share of a class, and how their numbers draw.

A class is a mixture of kinds that look alike to nobody (a YSO and an OB star are both Star), so
every part of the simulation keeps one row of numbers per kind. Where a number is not a published
one, it was fitted to the medians and spreads of Chandra sources of known class.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

CLASSES = ("AGN", "Star", "XRB", "CV")


class Kind(NamedTuple):
    """A kind of source: its class, and its share of that class."""

    label: str
    share: float


KINDS = {
    "agn": Kind("AGN", 0.85),
    "obscured": Kind("AGN", 0.15),
    "coronal": Kind("Star", 0.64),
    "young": Kind("Star", 0.27),
    "massive": Kind("Star", 0.09),
    "lmxb": Kind("XRB", 0.52),
    "nearby": Kind("XRB", 0.13),  # of nearby galaxies and globular clusters
    "hmxb": Kind("XRB", 0.35),
    "cv": Kind("CV", 1.0),
}
NAMES = tuple(KINDS)
CLASS_OF_KIND = np.array([CLASSES.index(kind.label) for kind in KINDS.values()])


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one property: a new property leaves the others as they are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def draw_kinds(label: Int[np.ndarray, "N"], seed: int) -> Int[np.ndarray, "N"]:
    """The kind of each source, an index into `NAMES`, given its class, an index into `CLASSES`."""
    shares = np.array([kind.share for kind in KINDS.values()])
    # One line of all kinds, sorted by class, each class one unit long.
    upper = np.cumsum(shares)
    at = np.minimum(stream(seed, "kind").random(len(label)), 1 - 1e-12)
    return np.searchsorted(upper, label + at, side="right").clip(max=len(NAMES) - 1)


def by_kind(
    rows: Mapping[str, tuple[float | int, ...]], kind: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "P N"]:
    """The P numbers of a table with one row per kind, looked up for every source."""
    table = np.array([rows[name] for name in NAMES], dtype=float)
    return table.T[:, kind]
