"""Prediction sets: the prediction, and every class that is not excluded at 10 %.

Mondrian conformal prediction (Vovk, Gammerman & Shafer 2005, sections 2.2 and 4.5): a source is
compared with the held-out sources of each candidate class separately, so that the coverage is the
same for rare and common classes. The nonconformity score of class c is -log p(c | data) under the
training prior: if the posteriors are right, these sets are the smallest of their coverage
(Sadinle, Lei & Wasserman 2019, JASA 114, 223). A class is excluded if its p-value is at most 10 %,
so that P(c not excluded | c) = 0.9 for every class c.

The prediction is added, so that no set contradicts it and none is empty. For the sources of class c

    coverage = 0.9 + P(prediction is c, but c was excluded | c)     and     coverage >= recall of c

The first line holds because an added class changes the coverage only where it is the true one, the
second for any set that contains the prediction. The coverage is thus 90 % for a class whose correct
predictions all lie above its threshold, as those of a class of low recall do, and about the recall
of a class that is recognised in more than 90 % of its sources.

The promise needs sources that are exchangeable with the held-out ones of their class. It allows
other class proportions, because each class has its own threshold, and any posterior, calibrated or
not. It does not hold in a catalogue whose sources of a class differ from the training sources of
that class, or whose features are measured otherwise.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.types import Features

LEVEL = 0.1  # fraction of the sources of each class whose set lacks that class


class ConformalReference(NamedTuple):
    """Sorted nonconformity scores of the held-out sources of each class for their own class."""

    score: Float[Array, "C R"]  # padded with inf
    size: Int[Array, "C"]


def fit_conformal(
    posterior: Float[np.ndarray, "N C"], truth: Int[np.ndarray, "N"]
) -> ConformalReference:
    """The reference scores, from out-of-fold posteriors of labelled rows.

    They must be made like those of the rows to classify, under the training prior.

    The coverage holds for rows that are exchangeable with these. If they are detections of a few
    sources, it holds for further detections of these sources.
    """
    n_classes = posterior.shape[1]
    size = np.bincount(truth, minlength=n_classes)
    reference = np.full((n_classes, max(int(size.max()), 1)), np.inf)
    score = _nonconformity(posterior)
    for c in range(n_classes):
        reference[c, : size[c]] = np.sort(score[truth == c, c])
    return ConformalReference(score=jnp.asarray(reference), size=jnp.asarray(size))


def _nonconformity(posterior: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """-log p, finite also if the probability has underflowed to 0."""
    return -np.log(np.maximum(np.asarray(posterior, np.float64), 1e-300))


def p_values(
    reference: ConformalReference,
    posterior: Float[np.ndarray, "N C"],
    u: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N C"]:
    """The p-value of each class: (n_larger + u (n_equal + 1)) / (n_c + 1).

    n_c is the number of held-out sources of class c; n_larger and n_equal count those with a larger
    and with an equal score (smoothed form of Vovk et al. 2005, Eq. 2.20). If u is uniform in
    [0, 1), the p-value of the true class is exactly uniform, however few members the class has. For
    a class without members it is u. A class with fewer than 9 members stays in the set of a source
    with a larger score than all of them with probability 1 - 0.1 (n_c + 1): the sets remain valid,
    but become large.
    """
    sorted_score, size = np.asarray(reference.score, np.float64), np.asarray(reference.size)
    score, p_value = _nonconformity(posterior), np.empty(posterior.shape)
    for c in range(len(size)):
        members = sorted_score[c, : size[c]]
        below = np.searchsorted(members, score[:, c], "left")
        up_to, equal = below, _is_at(members, below, score[:, c])
        if equal.any():  # only then is a second search needed
            up_to = below.copy()
            up_to[equal] = np.searchsorted(members, score[equal, c], "right")
        p_value[:, c] = (size[c] - up_to + u * (up_to - below + 1)) / (size[c] + 1)
    return p_value


def _is_at(
    members: Float[np.ndarray, "M"], place: Int[np.ndarray, "N"], score: Float[np.ndarray, "N"]
) -> Bool[np.ndarray, "N"]:
    """Whether the member at its place equals each score."""
    if not len(members):
        return np.zeros(len(score), bool)
    return members[np.minimum(place, len(members) - 1)] == score


def prediction_sets(
    reference: ConformalReference,
    posterior: Float[np.ndarray, "N C"],
    u: Float[np.ndarray, "N"],
    level: float = LEVEL,
) -> Bool[np.ndarray, "N C"]:
    """The classes with a p-value above `level`, before the prediction is added.

    There are none for a source that has a smaller posterior of each class than 90 % of its members.

    `posterior` is under the training prior, like that of the reference.
    """
    return p_values(reference, posterior, u) > level


def with_prediction(
    sets: Bool[np.ndarray, "N C"], prediction: Int[np.ndarray, "N"]
) -> tuple[Bool[np.ndarray, "N C"], Bool[np.ndarray, "N"]]:
    """The sets with the predicted class of each row added, and a flag of those that were empty.

    The prediction may be under any decision rule and any prior.
    """
    predicted = np.asarray(prediction)[:, None] == np.arange(sets.shape[1])
    return sets | predicted, np.asarray(~sets.any(axis=1))


def row_uniform(features: Features) -> Float[np.ndarray, "N"]:
    """A pseudo-random number in [0, 1) for each row, computed from the bits of its own values.

    It does not depend on the other rows, on their order or on the run; rows with equal values get
    equal numbers. The hash is splitmix64 (Steele et al. 2014).
    """
    measured, available = np.asarray(features.measured), np.asarray(features.available)
    value = np.where(measured, np.asarray(features.value, np.float64), 0.0) + 0.0  # no -0.0
    state = measured.astype(np.uint64) + np.uint64(2) * available
    bits = np.ascontiguousarray(value).view(np.uint64) + state * np.uint64(0xD1B54A32D192ED03)
    bits += np.arange(1, value.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    row_bits = _mix_bits(bits).sum(1, dtype=np.uint64)
    return (_mix_bits(row_bits) >> np.uint64(11)) * 2.0**-53


def _mix_bits(x: np.ndarray) -> np.ndarray:
    """Hash x in place: every bit of the result depends on every bit of x."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    return x
