"""Axis letters and the small records that travel between the rooms.

Axes, fixed in the whole package:
N sources, D detections, F features, G categories, K components, C classes,
T subclasses, S posterior samples, B grid nodes. A class without subclasses is its own; models know
subclasses only, and call their axis C.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

__all__ = ["UNLABELLED", "Features", "Labels", "Names"]

UNLABELLED = -1


class Features(NamedTuple):
    """The features of N sources, dimensionless, as the models read them.

    Each value is measured, not detected (a survey covers the source and found nothing), or not
    available (no survey is known to cover it). The third adds exactly zero to every class, and so
    does the second unless the config says `missing: evidence` for the feature.
    """

    value: Float[Array | np.ndarray, "N F"]  # after expression and scale; 0 where not measured
    measured: Bool[Array | np.ndarray, "N F"]
    available: Bool[Array | np.ndarray, "N F"]  # measured or not detected
    weight: Float[Array | np.ndarray, "N F"]  # weight as a training point (inverse error), about 1
    error: Float[Array | np.ndarray, "N F"]  # standard error of the value; 0: exact, inf: unknown

    def rows(self, chosen: Any) -> "Features":
        """Some of the sources: a slice, a mask or their indices."""
        return self._make(np.asarray(a)[chosen] for a in self)

    def columns(self, chosen: Any) -> "Features":
        """Some of the features: a slice, a mask or their indices."""
        return self._make(np.asarray(a)[:, chosen] for a in self)

    def padded(self, n_rows: int) -> "Features":
        """Filled up to so many rows, with rows in which nothing is available."""
        more = n_rows - len(self.value)
        return self._make(np.pad(np.asarray(a), ((0, more), (0, 0))) for a in self)


class Labels(NamedTuple):
    """What is known of N sources before any is classified."""

    class_index: Int[np.ndarray, "N"]  # index into the classes, UNLABELLED where unknown
    group: Int[np.ndarray, "N"]  # sources of one group are never split over folds
    # Index into the subclasses, UNLABELLED where unknown; None where classes have none.
    subclass: Int[np.ndarray, "N"] | None = None
    cell: Int[np.ndarray, "N"] | None = None  # of the sky; None without positions
    release: Int[np.ndarray, "N"] | None = None  # None if the catalogue does not name releases
    log_prior: Float[np.ndarray, "N C"] | None = None  # None if all sources have one prior
    # Share of a source that the row stands for, if votes made the label; 0 for a known class.
    # None if every class is known.
    soft_share: Float[np.ndarray, "N"] | None = None

    @property
    def modelled(self) -> Int[np.ndarray, "N"]:
        """What models learn: the subclasses, or the classes."""
        return self.class_index if self.subclass is None else self.subclass

    def rows(self, chosen: Any) -> "Labels":
        """Of some of the sources: a slice, a mask or their indices."""
        return Labels._make(None if array is None else array[chosen] for array in self)


class Names(NamedTuple):
    """Names on the axes F, G and C."""

    features: tuple[str, ...]  # F
    categories: tuple[str, ...]  # G
    category: tuple[int, ...]  # F; index of each feature's category
    classes: tuple[str, ...]  # C
    subclasses: tuple[str, ...] = ()  # T, in the order of their classes; empty where there are none
    subclass_of: tuple[int, ...] = ()  # T; index of each subclass's class
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()  # name, and indices of its classes

    @property
    def modelled(self) -> tuple[str, ...]:
        """The names on the axis that models know: the subclasses, or the classes."""
        return self.subclasses or self.classes

    @property
    def class_of(self) -> tuple[int, ...]:
        """The class of each of these."""
        return self.subclass_of or tuple(range(len(self.classes)))
