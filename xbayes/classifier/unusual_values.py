"""Why a source is unlike a class: the values that other values of the source do not let one expect.

Each measured value is compared with its expectation in the nearest component of the joint density
of the class (`classifier/novelty.py`), given no, one or two other measured values. The largest
residual counts; if fewer other values give almost the same residual, they are preferred. Given all
other values, features that are combinations of each other, such as three colours of three
magnitudes, would explain each other however strange they are. A second value is named if it is
strange without the first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.novelty import Novelty, as_points, standardised
from xbayes.models.factor_mixture import Factors, expect
from xbayes.types import Features

MAX_NAMED, LEAST_Z = 2, 3.0  # values of a source; residual of the second one
ALMOST = 0.8  # of the largest residual, for which fewer other values are preferred
KEPT = 0.99  # a source whose log-odds are shrunk by a smaller factor gets a reason
SMALL_P = 0.01  # and so does one with at most this outlier p-value


class UnusualValues(NamedTuple):
    """The strangest values of each source; R of them at most, or none."""

    # The feature, and the one or two others that it is compared with; -1: none.
    feature: Int[np.ndarray, "N R 3"]
    number: Float[np.ndarray, "N R 3"]  # value, expected value and its standard deviation; NaN


def no_unusual_values(n_rows: int) -> UnusualValues:
    """Of a classifier without joint densities."""
    return UnusualValues(
        feature=np.zeros((n_rows, 0, 3), np.int16), number=np.zeros((n_rows, 0, 3))
    )


def needs_reason(
    kept: Float[np.ndarray, "N"], outlier_p: Float[np.ndarray, "N"]
) -> Bool[np.ndarray, "N"]:
    """Whether log-odds are shrunk by the factor `kept`, or the outlier p-value is small."""
    return (kept < KEPT) | (outlier_p <= SMALL_P)


def unusual_values(
    novelty: Novelty,
    features: Features,
    class_index: Int[np.ndarray, "N"],
    rows: Bool[np.ndarray, "N"],
) -> UnusualValues:
    """Of the given rows, against the class of each, as numbered in `fit_novelty`."""
    n_rows = len(class_index)
    found = UnusualValues(
        feature=np.full((n_rows, MAX_NAMED, 3), -1, np.int16),
        number=np.full((n_rows, MAX_NAMED, 3), np.nan),
    )
    record = jax.tree.map(np.asarray, novelty)
    for c in np.unique(class_index[rows]).tolist():
        own = np.flatnonzero(rows & (class_index == c))
        of_class = Features._make(np.asarray(array)[own] for array in features)
        for n, offset, covariance in zip(
            own.tolist(), *_from_nearest(record, of_class, c), strict=True
        ):
            _add_strangest(found, n, record, features, offset=offset, covariance=covariance)
    return found


def _from_nearest(
    record: Novelty, features: Features, c: int
) -> tuple[Float[np.ndarray, "M F"], Sequence[np.ndarray]]:
    """The standardised rows minus the mean of the nearest component, and their covariances."""
    standards = (record.centre, record.scale, record.usual_error)
    points = as_points(*standardised(*standards, features))
    member = record.of_class == c
    fields = (record.log_weight, record.mean, record.loading, record.variance)
    factors = Factors._make(np.asarray(array[member], np.float64) for array in fields)
    nearest = expect(factors, points).log_joint.argmax(0)
    offset = points.value.T - factors.mean[nearest]
    loading, variance = np.asarray(factors.loading), np.asarray(factors.variance)
    covariance = [
        loading[k] @ loading[k].T + np.diag(variance[k] + noise)
        for k, noise in zip(nearest, points.noise.T, strict=True)
    ]
    return np.asarray(offset), covariance


def _add_strangest(
    found: UnusualValues,
    n: int,
    record: Novelty,
    features: Features,
    *,
    offset: Float[np.ndarray, "F"],
    covariance: Float[np.ndarray, "F F"],
) -> None:
    used = np.flatnonzero(np.asarray(features.measured)[n])
    for place in range(min(MAX_NAMED, len(used))):
        best = _strangest(offset[used], covariance[np.ix_(used, used)])
        if place and abs(best.z) < LEAST_Z:
            break
        f = int(used[best.feature])
        scale, value = float(record.scale[f]), float(np.asarray(features.value)[n, f])
        given = [int(used[g]) for g in best.given]
        found.feature[n, place] = [f, *given, -1, -1][:3]
        found.number[n, place] = value, value - best.residual * scale, best.deviation * scale
        used = np.setdiff1d(used, [f])


class _Residual(NamedTuple):
    feature: int
    given: tuple[int, ...]
    residual: float
    deviation: float

    @property
    def z(self) -> float:
        return self.residual / self.deviation


def _strangest(offset: Float[np.ndarray, "F"], covariance: Float[np.ndarray, "F F"]) -> _Residual:
    """The largest residual in standard deviations, given no, one or two other features.

    All pairs of other features at once: [G H F], by conditioning on G and then on H.
    """
    n = len(offset)
    best = [_largest(offset, np.diag(covariance))]
    if n > 1:
        gain = covariance / np.diag(covariance)[:, None]  # of feature F given G
        once = offset - gain * offset[:, None]  # [G F]
        left = covariance[None] - gain[:, :, None] * covariance[:, None]  # [G F F]
        variance = np.einsum("gff->gf", left).copy()
        np.fill_diagonal(variance, np.inf)
        best.append(_largest(once, variance))
        if n > 2:
            gain = left / variance[:, :, None]  # 0 for H = G
            twice = once[:, None] - gain * once[:, :, None]
            both = variance[:, None] - gain * left
            each = np.arange(n)
            both[:, each, each] = np.inf  # F = H
            both[each, each] = np.inf  # H = G
            best.append(_largest(twice, both))
    enough = ALMOST * max(abs(found.z) for found in best)
    return next(found for found in best if abs(found.z) >= enough)


def _largest(residual: Float[np.ndarray, "*G F"], variance: Float[np.ndarray, "*G F"]) -> _Residual:
    at = np.unravel_index((residual**2 / variance).argmax(), residual.shape)
    return _Residual(
        feature=int(at[-1]),
        given=tuple(int(g) for g in at[:-1]),
        residual=float(residual[at]),
        deviation=float(np.sqrt(variance[at])),
    )
