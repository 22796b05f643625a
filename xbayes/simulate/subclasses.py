"""The subclasses of the simulated sky: their class, and their share of it.

A class mixes subclasses that differ (YSO and OB stars are both Star), so every part of the
simulation has a table with one row of numbers per subclass. Numbers without a reference were fitted
to the medians and spreads of Chandra sources of known class.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

CLASSES = ("AGN", "Star", "XRB", "CV")


class Subclass(NamedTuple):
    """A subclass: its class, and its share of the sources of that class."""

    label: str
    share: float


SUBCLASSES = {
    "agn": Subclass(label="AGN", share=0.85),
    "obscured": Subclass(label="AGN", share=0.15),
    "coronal": Subclass(label="Star", share=0.64),
    "young": Subclass(label="Star", share=0.27),
    "massive": Subclass(label="Star", share=0.09),
    "lmxb": Subclass(label="XRB", share=0.52),
    "nearby": Subclass(label="XRB", share=0.13),  # in nearby galaxies and globular clusters
    "hmxb": Subclass(label="XRB", share=0.35),
    "cv": Subclass(label="CV", share=1.0),
}
NAMES = tuple(SUBCLASSES)
CLASS_OF_SUBCLASS = np.array([CLASSES.index(subclass.label) for subclass in SUBCLASSES.values()])


def stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one quantity; adding a quantity does not change the others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def draw_subclasses(label: Int[np.ndarray, "N"], seed: int) -> Int[np.ndarray, "N"]:
    """The subclass of each source, as an index into `NAMES`; its class is one into `CLASSES`."""
    # The subclasses in order of class divide a line on which each class is one unit long.
    upper = np.cumsum([subclass.share for subclass in SUBCLASSES.values()])
    at = np.minimum(stream(seed, "kind").random(len(label)), 1 - 1e-12)
    return np.searchsorted(upper, label + at, side="right").clip(max=len(NAMES) - 1)


def by_subclass(
    rows: Mapping[str, tuple[float | int, ...]], subclass: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "P N"]:
    """The P numbers of each source, from a table with one row per subclass."""
    table = np.array([rows[name] for name in NAMES], dtype=float)
    return table.T[:, subclass]
