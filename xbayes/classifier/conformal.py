"""Sets of classes that hold the true one as often as promised, class by class.

Mondrian conformal prediction (Vovk, Gammerman & Shafer 2005, sections 2.2 and 4.5): a candidate
class is judged among held-out sources of that very class, so that rare classes are covered like
common ones. The nonconformity of class c is -log p(c | data) under the training prior.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.types import Features

LEVEL = 0.1  # share of the sources of each class whose set lacks it


class ConformalReference(NamedTuple):
    """Nonconformity of the held-out sources of each class to their own class, sorted."""

    score: Float[Array, "C R"]  # padded with inf
    size: Int[Array, "C"]


def fit_conformal(
    posterior: Float[np.ndarray, "N C"], truth: Int[np.ndarray, "N"]
) -> ConformalReference:
    """From held-out posteriors of labelled rows.

    Rows should be exchangeable with those to come; of detections of the same few sources the
    coverage is that of the detections seen.
    """
    n_classes = posterior.shape[1]
    size = np.bincount(truth, minlength=n_classes)
    score = np.full((n_classes, max(int(size.max()), 1)), np.inf)
    own = nonconformity(posterior)
    for c in range(n_classes):
        score[c, : size[c]] = np.sort(own[truth == c, c])
    return ConformalReference(jnp.asarray(score), jnp.asarray(size))


def nonconformity(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """-log p, finite for a probability that is 0 to rounding."""
    return -np.log(np.maximum(np.asarray(posterior, np.float64), 1e-300))


def p_values(
    reference: ConformalReference,
    posterior: Float[np.ndarray, "N C"],
    u: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N C"]:
    """(held-out sources of class c strictly stranger + u (number equal + 1)) / (n_c + 1).

    With u uniform the p-value of the true class is exactly uniform, however few the members: of a
    class with none it is u itself, and with fewer than 9 the set keeps such a class even of
    sources stranger than all of them with probability 1 - 0.1 (n_c + 1), so the sets are valid
    but large. Smoothed form of Vovk et al. 2005, Eq. 2.20.
    """
    score, size = np.asarray(reference.score, np.float64), np.asarray(reference.size)
    own, value = nonconformity(posterior), np.empty(posterior.shape)
    for c in range(len(size)):
        usual = score[c, : size[c]]
        below, upto = (np.searchsorted(usual, own[:, c], side) for side in ("left", "right"))
        value[:, c] = (size[c] - upto + u * (upto - below + 1)) / (size[c] + 1)
    return value


def prediction_sets(
    reference: ConformalReference,
    posterior: Float[np.ndarray, "N C"],
    u: Float[np.ndarray, "N"],
    level: float = LEVEL,
) -> Bool[np.ndarray, "N C"]:
    """The classes that are not excluded at `level`; none for a source unlike every class.

    `posterior` is under the prior of the training part, as that of the reference.
    """
    return p_values(reference, posterior, u) > level


def row_uniform(features: Features) -> Float[np.ndarray, "N"]:
    """A number in [0, 1) for each row, made of the bits of its own values and nothing else.

    So the sets do not change with the order of the rows, their number, or from run to run; rows
    that are the same in every property get the same number. (Mixing: splitmix64, Steele et al.
    2014.)
    """
    observed, available = np.asarray(features.measured), np.asarray(features.available)
    value = np.where(observed, np.asarray(features.value, np.float64), 0.0) + 0.0  # no -0.0
    state = observed.astype(np.uint64) + np.uint64(2) * available
    bits = np.ascontiguousarray(value).view(np.uint64) + state * np.uint64(0xD1B54A32D192ED03)
    bits += np.arange(1, value.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    whole = _mixed(bits).sum(1, dtype=np.uint64)
    return (_mixed(whole) >> np.uint64(11)) * 2.0**-53


def _mixed(x: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of x, which is overwritten."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    return x
