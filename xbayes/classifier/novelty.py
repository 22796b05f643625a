"""Novelty: how unlike a class the combination of the measured values of a source is.

The outlier score (classifier/outlier.py) sums over features, so it misses a source whose values are
usual one by one and impossible together. Here each class has a joint density of all features: a
mixture of factor analysers, with missing values integrated out and measurement errors as noise. The
novelty score is the normal score of the distance from the components, averaged with their
responsibilities; the p-value is its rank among held-out sources of the class.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.classifier.outlier import USUAL
from xbayes.infer.class_mixtures import fit_class_mixtures
from xbayes.models.factor_mixture import Factors, Points, distances
from xbayes.types import Features

CHUNK = 128  # rows at a time, which fit in the cache of a core
PAD = 4  # the number of components is a multiple of this, so that similar fits compile once
FARTHEST = 1e3  # standard deviations; farther values are set there
LEAST_USUAL = 2.33  # normal score: the 99 % quantile of a normal distribution
POWER = 2.0  # of the shrinkage factor
ROUNDING = 1e-9


class Novelty(NamedTuple):
    """The joint densities of the classes, and the scores of their held-out sources."""

    centre: Float[Array | np.ndarray, "F"]  # the features are standardised with these
    scale: Float[Array | np.ndarray, "F"]
    usual_error: Float[Array | np.ndarray, "F"]  # standardised; stands for an unknown error
    log_weight: Float[Array | np.ndarray, "K"]  # of the components of all classes
    mean: Float[Array | np.ndarray, "K F"]
    loading: Float[Array | np.ndarray, "K F Q"]
    variance: Float[Array | np.ndarray, "K F"]  # of each feature given the factors
    of_class: Int[Array | np.ndarray, "K"]
    score: Float[Array | np.ndarray, "C R"]  # sorted, of the held-out sources; padded with inf
    # Sorted smaller p-value of outlier score and novelty score, per held-out source; padded with
    # inf. Empty (R = 0) before `fit_combined`.
    smaller_p: Float[Array | np.ndarray, "C R2"]
    size: Int[Array | np.ndarray, "C"]


class FittedNovelty(NamedTuple):
    """A fit, and the novelty scores of the training rows by mixtures without their fold."""

    novelty: Novelty
    score: Float[np.ndarray, "N C"]  # rows that were not used are scored by all mixtures


def fit_novelty(
    features: Features,
    class_index: Int[np.ndarray, "N"],
    fold: Int[np.ndarray, "N"],
    n_classes: int,
    seed: int,
) -> FittedNovelty:
    """Mixtures of the rows with class >= 0 and fold >= 0; other rows are ignored."""
    class_index, fold = np.asarray(class_index), np.asarray(fold)
    rows = np.flatnonzero((class_index >= 0) & (fold >= 0))
    plain = Features._make(np.asarray(array) for array in features)
    centre, scale, usual_error = _standards(plain.rows(rows))
    value, measured, noise = standardised(centre, scale, usual_error, plain.rows(rows))
    points = as_points(value, measured, noise)
    mixtures = fit_class_mixtures(points, class_index[rows], fold[rows], n_classes, seed)
    n_components = sum(len(factors.mean) for factors in mixtures.whole)
    n_components = -(-n_components // PAD) * PAD
    novelty = Novelty(
        centre=centre,
        scale=scale,
        usual_error=usual_error,
        **_joined(mixtures.whole, n_components),
        score=np.full((n_classes, 0), np.inf),
        smaller_p=np.full((n_classes, 0), np.inf),
        size=np.bincount(class_index[rows], minlength=n_classes),
    )
    score = np.array(novelty_score(novelty, features), np.float64)
    for j, parts in zip(np.unique(fold[rows]), mixtures.without, strict=True):
        held_out = novelty._replace(**_joined(parts, n_components))
        mine = (fold == j) & (class_index >= 0)
        score[mine] = np.asarray(novelty_score(held_out, features))[mine]
    reference = _reference(score[rows, class_index[rows]], class_index[rows], n_classes)
    novelty = novelty._replace(score=reference)
    return FittedNovelty(novelty=jax.tree.map(jnp.asarray, novelty), score=score)


def novelty_score(novelty: Novelty, features: Features) -> Float[Array, "N C"]:
    """How unlike each class the measured values are together: about a standard normal number.

    The distance from a component (`models.factor_mixture.distances`) is compared with its
    expectation for the measured features, by the cube root of Wilson & Hilferty (1931, PNAS 17,
    684), so that scores with different features measured are comparable.
    """
    # Without the references, whose length differs from fit to fit, so that it is compiled once.
    factors = Factors(
        log_weight=jnp.asarray(novelty.log_weight),
        mean=jnp.asarray(novelty.mean),
        loading=jnp.asarray(novelty.loading),
        variance=jnp.asarray(novelty.variance),
    )
    rows = (features.value, features.measured, features.error)
    standards = (novelty.centre, novelty.scale, novelty.usual_error)
    n_classes = novelty.size.shape[0]
    return _score(n_classes, factors, jnp.asarray(novelty.of_class), standards, rows)


@partial(jax.jit, static_argnums=0)
def _score(n_classes: int, factors: Factors, of_class, standards, rows):
    value, measured, error = map(jnp.asarray, rows)
    n_rows = value.shape[0]
    size = max(min(CHUNK, n_rows), 1)
    n_chunks = -(-n_rows // size)
    more = n_chunks * size - n_rows
    centre, scale, usual_error = standards
    values = _Values(value=value, measured=measured, error=error)
    arrays = standardised(centre, scale, usual_error, values)
    padded = [jnp.pad(array, ((0, more), (0, 0))) for array in arrays]
    chunks = [a.reshape(n_chunks, size, a.shape[1]).swapaxes(1, 2) for a in padded]
    member = of_class == jnp.arange(n_classes)[:, None]  # [C, K]

    def one(chunk):
        value, measured, noise = chunk
        found = distances(factors, value, measured, noise)
        joint = jnp.where(member[..., None], found.log_joint, -jnp.inf)  # [C, K, N]
        share = jax.nn.softmax(joint, axis=1)
        return (share * _normal_score(found.square, found.freedom)).sum(1).T

    return jax.lax.map(one, tuple(chunks)).reshape(-1, n_classes)[:n_rows]


class _Values(NamedTuple):
    value: Float[Array | np.ndarray, "N F"]
    measured: Bool[Array | np.ndarray, "N F"]
    error: Float[Array | np.ndarray, "N F"]


def _normal_score(square: Float[Array, "K N"], freedom: Float[Array, "K N"]):
    """The normal score of a chi2 distribution; below one degree of freedom it is filled up."""
    lacking = jnp.maximum(1 - freedom, 0.0)
    square, freedom = square + lacking, freedom + lacking
    narrow = 2 / (9 * freedom)
    return (jnp.cbrt(square / freedom) - (1 - narrow)) / jnp.sqrt(narrow)


def novelty_p(
    novelty: Novelty, score: Float[np.ndarray, "N C"], class_index: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """The p-value of the joint density: (1 + n_at_least) / (n + 1), of the class of each row.

    n is the number of held-out sources of the class, n_at_least the number of those with at least
    the same novelty score.
    """
    own = np.take_along_axis(np.asarray(score), np.asarray(class_index)[:, None], 1)[:, 0]
    return _rank(-np.asarray(novelty.score)[:, ::-1], novelty.size, -own, class_index)


def fit_combined(
    novelty: Novelty,
    p_weighted: Float[np.ndarray, "N"],
    p_joint: Float[np.ndarray, "N"],
    class_index: Int[np.ndarray, "N"],
) -> Novelty:
    """With the distribution of the smaller of two p-values, from the held-out training rows.

    Both p-values of a row, for its true class, come from references that hold the row itself, as
    `tail_probability` and `novelty_p` give them. That counts it twice, which is undone here. Rows
    of class -1 are ignored.
    """
    size = np.asarray(novelty.size)
    rows = np.flatnonzero(np.asarray(class_index) >= 0)
    label = np.asarray(class_index)[rows]
    smaller = np.minimum(p_weighted, p_joint)[rows] - 1 / (size[label] + 1)
    reference = _reference(smaller, label, len(size))
    return novelty._replace(smaller_p=jnp.asarray(reference))


def combine(
    novelty: Novelty,
    p_weighted: Float[np.ndarray, "N"],
    p_joint: Float[np.ndarray, "N"],
    class_index: Int[np.ndarray, "N"],
) -> Float[np.ndarray, "N"]:
    """One outlier p-value from those of the outlier score and of the novelty score.

    The smaller of two p-values is not uniform, so it is ranked among the smaller ones of the
    held-out sources of the class: (1 + number at most as large) / (n + 1). The rate of false alarms
    is right whatever the correlation of the two.
    """
    smaller = np.minimum(p_weighted, p_joint) + ROUNDING
    return _rank(np.asarray(novelty.smaller_p), novelty.size, smaller, class_index)


def shrinkage(
    novelty: Novelty, score: Float[Array, "N C"], posterior: Float[Array, "N C"]
) -> Float[Array, "N"]:
    """The factor for the log-odds of a source unlike the training sources: 1 to 0.

    For a class c it is f_c = min(1, usual / score)^2. The usual score of a class is the 99 %
    quantile of its held-out sources, at least that of a normal distribution. Over the classes it is
    the mean of f_c weighted by `posterior` p_c, or the largest min(1, 2 p_c) f_c if that is larger:
    a source keeps its log-odds if it is like a class that has half of the posterior, and loses them
    if it is unlike every class that has any.
    """
    size = jnp.asarray(novelty.size)
    last = jnp.maximum(jnp.ceil(USUAL * size).astype(int) - 1, 0)
    reference = jnp.asarray(novelty.score)
    usual = jnp.take_along_axis(reference, last[:, None], 1)[:, 0]
    usual = jnp.maximum(jnp.where(jnp.isfinite(usual), usual, LEAST_USUAL), LEAST_USUAL)
    usual = usual.astype(score.dtype)
    each = (usual / jnp.maximum(score, usual)) ** POWER
    best = (jnp.minimum(2 * posterior, 1.0) * each).max(-1)
    return jnp.minimum(jnp.maximum((posterior * each).sum(-1), best), 1.0)


def _standards(features: Features):
    """Mean and standard deviation of each feature, and its usual error in these units."""
    measured = features.measured.astype(float)
    count = np.maximum(measured.sum(0), 1.0)
    value = np.where(features.measured, features.value, 0.0)
    centre = value.sum(0) / count
    scale = np.sqrt((((value - centre) * measured) ** 2).sum(0) / count)
    scale = np.where(scale > 0, scale, 1.0)
    known = features.measured & np.isfinite(features.error) & (features.error > 0)
    error = np.where(known, features.error, np.nan)
    usual = [np.median(e[k]) if k.any() else 0.0 for e, k in zip(error.T, known.T, strict=True)]
    return centre, scale, np.array(usual) / scale


def standardised(centre, scale, usual_error, rows: Features | _Values):
    """Values, 1 or 0 where measured, and error variances of the rows."""
    measured = jnp.asarray(rows.measured)
    value = jnp.where(measured, (rows.value - centre) / scale, 0.0)
    error = jnp.where(jnp.isfinite(rows.error), rows.error / scale, usual_error)
    noise = jnp.where(measured, jnp.minimum(error, 1e6) ** 2, 0.0)
    value = jnp.clip(value, -FARTHEST, FARTHEST)
    return value, measured.astype(value.dtype), noise


def _joined(parts: Sequence[Factors], n_components: int) -> dict[str, np.ndarray]:
    """The components of all classes in one list, filled up with components of weight zero."""
    more = n_components - sum(len(part.mean) for part in parts)
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    index = np.concatenate([np.full(len(part.mean), c) for c, part in enumerate(parts)])
    rows = np.r_[np.arange(len(index)), np.zeros(more, int)]
    factors = Factors._make(array[rows] for array in joined)
    factors.log_weight[len(index) :] = -np.inf
    return factors._asdict() | {"of_class": index[rows]}


def _reference(number: np.ndarray, class_index: np.ndarray, n_classes: int) -> np.ndarray:
    """The sorted numbers of each class, padded with inf."""
    size = np.bincount(class_index, minlength=n_classes)
    reference = np.full((n_classes, max(int(size.max(initial=0)), 1)), np.inf)
    for c in range(n_classes):
        reference[c, : size[c]] = np.sort(number[class_index == c])
    return reference


def _rank(reference, size, number, class_index) -> Float[np.ndarray, "N"]:
    """(1 + how many of the finite references of its class are at most the number) / (n + 1)."""
    size, class_index = np.asarray(size), np.asarray(class_index)
    rank = np.ones(len(class_index))
    for c in range(len(size)):
        rows, own = class_index == c, reference[c][np.isfinite(reference[c])]
        rank[rows] = (1 + np.searchsorted(own, number[rows], side="right")) / (size[c] + 1)
    return rank


def as_points(value, measured, noise) -> Points:
    """The rows for fitting, in double precision."""
    value, measured, noise = (np.asarray(a, np.float64).T for a in (value, measured, noise))
    return Points(value=value, measured=measured, noise=noise)
