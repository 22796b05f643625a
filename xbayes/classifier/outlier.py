"""How strange a source is for the class it was given.

The outlier measure of Tranin et al. 2022 depends on how many properties were measured, and with
weights other than one it is no density. So it is judged by its tail: outlier_score standardised for
which properties are there, ranked among held-out sources of the same class.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

USUAL = 0.99  # of the held-out sources of a class; what is stranger is unlike them
MIN_PAIRS = 5  # fewer sources measured in both of two properties say nothing of their covariance


class OutlierReference(NamedTuple):
    """What is usual, per class, among sources the densities had not seen."""

    alpha: Float[Array, "F C"]  # weights, divided by their sum over properties
    mean: Float[Array, "C F"]  # of the surprise -log L(p|c)
    covariance: Float[Array, "C F F"]
    outlier_score: Float[
        Array, "C R"
    ]  # sorted, of the held-out sources of each class; padded with inf
    size: Int[Array, "C"]


def outlier_measure(
    log_lik: Float[Array, "N F C"], alpha: Float[Array, "F C"], log_prior: Float[Array, "C"]
) -> Float[Array, "N C"]:
    """-log(P(c) prod L(p|c)^(alpha_p / sum alpha)) for every class (O.M. of Tranin et al. 2022)."""
    return -log_prior - _weighted_sum(log_lik, _normalised(alpha))


def fit_reference(
    log_lik: Float[np.ndarray, "N F C"],
    available: Bool[np.ndarray, "N F"],
    class_index: Int[np.ndarray, "N"],
    alpha: Float[np.ndarray, "F C"],
) -> OutlierReference:
    """Mean and covariance of the surprise of each property, from out-of-fold log-likelihoods.

    Rows of class -1 change nothing.
    """
    n_features, n_classes = log_lik.shape[1:]
    alpha = np.asarray(_normalised(jnp.asarray(alpha)))
    mean = np.zeros((n_classes, n_features))
    covariance = np.tile(np.eye(n_features), (n_classes, 1, 1))
    for c in range(n_classes):
        rows = class_index == c
        mean[c], covariance[c] = _moments(
            -np.asarray(log_lik)[rows, :, c], np.asarray(available)[rows]
        )
    size = np.bincount(class_index[class_index >= 0], minlength=n_classes)
    empty = np.full((n_classes, max(int(size.max()), 1)), np.inf)
    reference = OutlierReference(*map(jnp.asarray, (alpha, mean, covariance, empty, size)))
    own = np.asarray(_strangeness(*reference[:3], jnp.asarray(log_lik), jnp.asarray(available)))
    for c in range(n_classes):
        empty[c, : size[c]] = np.sort(own[class_index == c, c])
    return reference._replace(outlier_score=jnp.asarray(empty))


def outlier_score(
    reference: OutlierReference, log_lik: Float[Array, "N F C"], available: Bool[Array, "N F"]
) -> Float[Array, "N C"]:
    """Weighted surprise over the available properties, in standard deviations of the class."""
    return _strangeness(*reference[:3], log_lik, available)


@jax.jit
def _strangeness(alpha, mean, covariance, log_lik, available):
    # As matrix products, which are many times faster than sums over [N, F, C].
    n_features, n_classes = alpha.shape
    kept = available.astype(log_lik.dtype)  # [N, F]
    surprise = jnp.where(available[..., None], -log_lik, 0.0)
    expected = kept @ (alpha * mean.T)
    excess = _weighted_sum(surprise, alpha) - expected
    weighted = jnp.einsum("fc,cfg,gc->fcg", alpha, covariance, alpha)
    halfway = (kept @ weighted.reshape(n_features, -1)).reshape(-1, n_classes, n_features)
    variance = (halfway * kept[:, None]).sum(-1)
    return excess / jnp.sqrt(jnp.maximum(variance, 1e-12))


def tail_probability(
    reference: OutlierReference,
    outlier_score: Float[np.ndarray, "N C"],
    class_index: Int[np.ndarray, "N"],
) -> Float[np.ndarray, "N"]:
    """(1 + held-out sources of that class at least as strange) / (n + 1)."""
    sorted_, size = np.asarray(reference.outlier_score), np.asarray(reference.size)
    probability = np.ones(len(class_index))
    for c in range(len(size)):
        rows = class_index == c
        below = np.searchsorted(sorted_[c, : size[c]], outlier_score[rows, c], side="left")
        probability[rows] = (1 + size[c] - below) / (size[c] + 1)
    return probability


def shrinkage_factor(
    reference: OutlierReference,
    outlier_score: Float[Array, "N C"],
    posterior: Float[Array, "N C"],
) -> Float[Array, "N"]:
    """1 for a source as usual as the training sources, towards 0 the stranger it is.

    Per class, its usual outlier_score (that which USUAL of the held-out sources do not exceed, at
    least one standard deviation) over the outlier_score; the mean over classes as probable as they
    are. What a source tells, times this, is what may be believed of it.
    """
    last = jnp.maximum(jnp.ceil(USUAL * reference.size).astype(int) - 1, 0)
    usual = jnp.take_along_axis(reference.outlier_score, last[:, None], 1)[:, 0]
    usual = jnp.maximum(jnp.where(jnp.isfinite(usual), usual, 1.0), 1.0)
    return (posterior * jnp.minimum(1.0, usual / jnp.maximum(outlier_score, usual))).sum(-1)


def _weighted_sum(
    values: Float[Array, "N F C"], weight: Float[Array, "F C"]
) -> Float[Array, "N C"]:
    """Sum over the properties of weight times value, class by class."""
    n_features, n_classes = weight.shape
    diagonal = weight[:, :, None] * jnp.eye(n_classes)  # [F, C, C]
    flat = values.reshape(-1, n_features * n_classes)
    return flat @ diagonal.reshape(-1, n_classes)


def _normalised(alpha: Float[Array, "F C"]) -> Float[Array, "F C"]:
    return alpha / jnp.maximum(alpha.sum(0), 1e-12)


def _moments(surprise: Float[np.ndarray, "N F"], available: Bool[np.ndarray, "N F"]):
    """Mean and covariance over the rows where a property, or a pair of them, was available."""
    here = available.astype(float)
    size = here.sum(0)
    mean = (surprise * here).sum(0) / np.maximum(size, 1.0)
    centred = (surprise - mean) * here
    pairs = here.T @ here
    covariance = np.where(pairs >= MIN_PAIRS, centred.T @ centred / np.maximum(pairs, 1.0), 0.0)
    variance = np.where(size >= MIN_PAIRS, np.diag(covariance), 1.0)
    np.fill_diagonal(covariance, np.maximum(variance, 1e-6))
    # Pairs from different rows need not make a covariance: clip its negative directions.
    value, vector = np.linalg.eigh(covariance)
    return mean, (vector * np.maximum(value, 1e-6)) @ vector.T
