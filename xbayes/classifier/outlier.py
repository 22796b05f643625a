"""Outlier score and outlier p-value: how unusual a source is for its predicted class.

The outlier measure of Tranin et al. 2022 depends on the number of measured features, and with
weights other than one it is not a density. It is therefore judged by its tail. The surprise of a
feature is -log L(feature | class). The outlier score is the weighted surprise, standardised for the
available features; the p-value is its rank among the held-out sources of the same class.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

USUAL = 0.99  # quantile of the held-out scores of a class, above which log-odds are shrunk
MIN_PAIRS = 5  # sources with both features available, needed to estimate a covariance


class OutlierReference(NamedTuple):
    """The distribution of the surprise per class, from out-of-fold log-likelihoods."""

    alpha: Float[Array, "F C"]  # weights, divided by their sum over features
    mean: Float[Array, "C F"]  # of the surprise
    covariance: Float[Array, "C F F"]
    outlier_score: Float[Array, "C R"]  # sorted, of the held-out sources; padded with inf
    size: Int[Array, "C"]


def outlier_measure(
    log_lik: Float[Array, "N F C"],
    alpha: Float[Array, "F C"],
    log_prior: Float[Array, "*R C"],
    *,
    as_published: bool = False,
) -> Float[Array, "N C"]:
    """-log(P(c) prod L(p|c)^(alpha_p / sum alpha)) for every class (O.M. of Tranin et al. 2022).

    The sum is over features. If `as_published`, `alpha` are weights that were already divided by
    their sum over categories.
    """
    return -log_prior - _weighted_sum(log_lik, alpha if as_published else _normalised(alpha))


def fit_reference(
    log_lik: Float[np.ndarray, "N F C"],
    available: Bool[np.ndarray, "N F"],
    class_index: Int[np.ndarray, "N"],
    alpha: Float[np.ndarray, "F C"],
) -> OutlierReference:
    """Mean and covariance of the surprise per feature, from out-of-fold log-likelihoods.

    Rows of class -1 are ignored.
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
    ranks = np.full((n_classes, max(int(size.max()), 1)), np.inf)
    reference = OutlierReference(
        alpha=jnp.asarray(alpha),
        mean=jnp.asarray(mean),
        covariance=jnp.asarray(covariance),
        outlier_score=jnp.asarray(ranks),
        size=jnp.asarray(size),
    )
    score = np.asarray(outlier_score(reference, jnp.asarray(log_lik), jnp.asarray(available)))
    for c in range(n_classes):
        ranks[c, : size[c]] = np.sort(score[class_index == c, c])
    return reference._replace(outlier_score=jnp.asarray(ranks))


def outlier_score(
    reference: OutlierReference, log_lik: Float[Array, "N F C"], available: Bool[Array, "N F"]
) -> Float[Array, "N C"]:
    """Weighted surprise of the available features, in standard deviations of the class."""
    # Without the ranks, whose number differs from fit to fit, so that it is compiled once.
    return _standardised(reference.alpha, reference.mean, reference.covariance, log_lik, available)


@jax.jit
def _standardised(alpha, mean, covariance, log_lik, available):
    # As matrix products, which are many times faster than sums over [N, F, C].
    n_features, n_classes = alpha.shape
    mask = available.astype(log_lik.dtype)  # [N, F]
    surprise = jnp.where(available[..., None], -log_lik, 0.0)
    expected = mask @ (alpha * mean.T)
    excess = _weighted_sum(surprise, alpha) - expected
    weighted = jnp.einsum("fc,cfg,gc->fcg", alpha, covariance, alpha)
    half_product = (mask @ weighted.reshape(n_features, -1)).reshape(-1, n_classes, n_features)
    variance = (half_product * mask[:, None]).sum(-1)
    return excess / jnp.sqrt(jnp.maximum(variance, 1e-12))


def tail_probability(
    reference: OutlierReference,
    score: Float[np.ndarray, "N C"],
    class_index: Int[np.ndarray, "N"],
) -> Float[np.ndarray, "N"]:
    """The outlier p-value: (1 + n_at_least) / (n + 1).

    n is the number of held-out sources of the class, n_at_least the number of those with at least
    the same outlier score.
    """
    ranks, size = np.asarray(reference.outlier_score), np.asarray(reference.size)
    probability = np.ones(len(class_index))
    for c in range(len(size)):
        rows = class_index == c
        below = np.searchsorted(ranks[c, : size[c]], score[rows, c], side="left")
        probability[rows] = (1 + size[c] - below) / (size[c] + 1)
    return probability


def shrinkage_factor(
    reference: OutlierReference,
    score: Float[Array, "N C"],
    posterior: Float[Array, "N C"],
) -> Float[Array, "N"]:
    """The factor that shrinks the log-odds of a source unlike the training sources: 1 to 0.

    It is the mean over classes, weighted by `posterior`, of min(1, usual / score). The usual score
    of a class is the USUAL quantile of its held-out sources, at least one standard deviation.
    """
    last = jnp.maximum(jnp.ceil(USUAL * reference.size).astype(int) - 1, 0)
    usual = jnp.take_along_axis(reference.outlier_score, last[:, None], 1)[:, 0]
    usual = jnp.maximum(jnp.where(jnp.isfinite(usual), usual, 1.0), 1.0)
    return (posterior * jnp.minimum(1.0, usual / jnp.maximum(score, usual))).sum(-1)


def _weighted_sum(
    values: Float[Array, "N F C"], weight: Float[Array, "F C"]
) -> Float[Array, "N C"]:
    """Sum over the features of weight times value, for each class."""
    n_features, n_classes = weight.shape
    diagonal = weight[:, :, None] * jnp.eye(n_classes)  # [F, C, C]
    flat = values.reshape(-1, n_features * n_classes)
    return flat @ diagonal.reshape(-1, n_classes)


def _normalised(alpha: Float[Array, "F C"]) -> Float[Array, "F C"]:
    return alpha / jnp.maximum(alpha.sum(0), 1e-12)


def _moments(surprise: Float[np.ndarray, "N F"], available: Bool[np.ndarray, "N F"]):
    """Mean over the rows with the feature available, covariance over those with both available."""
    mask = available.astype(float)
    size = mask.sum(0)
    mean = (surprise * mask).sum(0) / np.maximum(size, 1.0)
    centred = (surprise - mean) * mask
    pairs = mask.T @ mask
    covariance = np.where(pairs >= MIN_PAIRS, centred.T @ centred / np.maximum(pairs, 1.0), 0.0)
    variance = np.where(size >= MIN_PAIRS, np.diag(covariance), 1.0)
    np.fill_diagonal(covariance, np.maximum(variance, 1e-6))
    # Elements from different rows may not form a positive matrix: clip its negative eigenvalues.
    value, vector = np.linalg.eigh(covariance)
    return mean, (vector * np.maximum(value, 1e-6)) @ vector.T
