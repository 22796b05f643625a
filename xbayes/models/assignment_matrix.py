"""The assignment matrix of cluster-then-label, as a model that is learned out of fold.

    log p(c | x) = log sum over clusters k of r_k(x) A[k, c] + const,   A[k, c] = P(c | k)

Its input is x[n, k, c] = log P(k | c) p(x_n | k, c), with P(k | c) from counts of labelled sources.
Bayes' rule converts P(k | c) into A and back, so a tilt of one is a tilt of the other:

    score_c = log prior(c) + b_c + T log sum over k of exp(x[k, c] + tilt[k, c])

For any tilt each row of A is a probability distribution. Tilt 0, T = 1 and b = 0 give the counted
A (with a Dirichlet prior), towards which the penalty shrinks. With T = 1 the scores are those of
Perez-Diaz et al. 2024 (arXiv 2401.12203) with responsibilities instead of hard clusters.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.models.base import Box, ScoreModel

MOST_TILT = MOST_OFFSET = 5.0
TEMPERATURE = (0.1, 2.0)


class AssignmentParams(NamedTuple):
    """Learned values; the shares P(k | c) that are tilted are in the input."""

    log_prior: Float[Array, "C"]  # given, never learned
    offset: Float[Array, "C"]
    log_temperature: Float[Array, ""]
    tilt: Float[Array, "K C"]


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def assignment_model(n_clusters: int, n_classes: int) -> ScoreModel:
    """Scores of the classes from cluster log-likelihoods `[N, K, C]`."""
    if n_clusters < 1 or n_classes < 2:
        raise ValueError(
            "assignment_model needs at least a cluster and two classes; "
            f"got {n_clusters} clusters, {n_classes} classes"
        )

    def init(key, x):
        return AssignmentParams(
            log_prior=jnp.full(n_classes, -jnp.log(n_classes), x.dtype),
            offset=jnp.zeros(n_classes, x.dtype),
            log_temperature=jnp.zeros((), x.dtype),
            tilt=0.1 * jax.random.normal(key, (n_clusters, n_classes), x.dtype),
        )

    def design(x):
        """x relative to the mean log density over classes, so that units do not matter."""
        relative = x - jax.nn.logsumexp(x, axis=1).mean(-1)[:, None, None]
        return relative.reshape(len(x), -1)

    def scores(params, design):
        x = design.reshape(-1, n_clusters, n_classes) + params.tilt
        return jnp.exp(params.log_temperature) * jax.nn.logsumexp(x, axis=1) + params.offset

    def log_joint(params, x):
        return jax.lax.stop_gradient(params.log_prior) + scores(params, design(x))

    def deviations(params):
        return params.tilt.ravel()

    return ScoreModel(
        init=init,
        log_joint=log_joint,
        design=design,
        scores=scores,
        coefficient=None,
        penalty=lambda params: (deviations(params) ** 2).sum(),
        deviations=deviations,
        rescale=_rescaled,
        box=_box(n_clusters, n_classes),
    )


def _rescaled(params: AssignmentParams, log_scale, added) -> AssignmentParams:
    """The scores without offsets are multiplied by exp(log_scale); `added` shifts the offsets."""
    return params._replace(
        log_temperature=params.log_temperature + log_scale, offset=params.offset + added
    )


def _box(n_clusters: int, n_classes: int) -> Box:
    """Limits of tilt, log temperature and offsets, in this order."""
    n_tilt = n_clusters * n_classes
    bounds = [(-MOST_TILT, MOST_TILT)] * n_tilt + [tuple(np.log(TEMPERATURE).tolist())]
    bounds += [(-MOST_OFFSET, MOST_OFFSET)] * n_classes

    def params(like, vector):
        return like._replace(
            offset=vector[n_tilt + 1 :],
            log_temperature=vector[n_tilt],
            tilt=vector[:n_tilt].reshape(n_clusters, n_classes),
        )

    low, high = (tuple(bound[end] for bound in bounds) for end in (0, 1))
    return Box(low=low, high=high, params=params)
