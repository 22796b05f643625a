"""Draws of the whole classifier, and what they say of a source: means and 90 % intervals."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.classifier.outlier import outlier_measure
from xbayes.models.base import ClassModel, Density
from xbayes.types import Features

LEVELS = (0.05, 0.95)  # the ends of a 90 % interval


class JointDraws(NamedTuple):
    """Draws of densities and weights together, leaves [D ...]."""

    density: Any  # None: the classifier's own in every draw
    weights: Any


class Spread(NamedTuple):
    """What each draw says."""

    posterior: Float[Array, "D N C"]
    training_posterior: Float[Array, "N C"]  # the mean, under the prior of the training part
    outlier: Float[Array, "D N C"]  # the outlier measure of every class


def over_draws(
    density: Density,
    model: ClassModel,
    draws: JointDraws,
    own_density: Any,
    features: Features,
    final: Callable[[Array, Bool[Array, "N"]], Float[Array, "N C"]],
    log_prior: Float[Array, "C"],
    trained: Float[Array, "C"],
) -> Spread:
    """Posteriors and outlier measures by draw; `final` calibrates scores and sets their prior.

    A draw at a time, so that memory holds the results of all and the log-likelihoods of one.
    """

    def one(draw: JointDraws):
        params = own_density if draw.density is None else draw.density
        log_lik = density.log_lik(params, features)
        measured = (log_lik != 0).any(axis=(1, 2))
        score = final(model.log_joint(draw.weights, log_lik), measured)
        measure = outlier_measure(log_lik, model.alpha(draw.weights), log_prior)
        return jax.nn.softmax(score), jax.nn.softmax(score - log_prior + trained), measure

    posterior, under_training, measure = jax.lax.map(one, draws)
    return Spread(posterior, under_training.mean(0), measure)


def averaged(
    density: Density, model: ClassModel, draws: JointDraws, own_density: Any, features: Features
) -> tuple[Float[Array, "N C"], Float[Array, "N F C"]]:
    """Scores and contributions, each the mean over draws; calibration is still to come.

    A mean of log-odds is still a sum of named terms, which a mean of probabilities is not.
    """

    def one(draw: JointDraws):
        params = own_density if draw.density is None else draw.density
        log_lik = density.log_lik(params, features)
        return model.log_joint(draw.weights, log_lik), model.contributions(draw.weights, log_lik)

    def add(total, draw: JointDraws):
        return jax.tree.map(jnp.add, total, one(draw)), None

    # A running sum, so that memory holds the terms of one draw.
    shapes = jax.eval_shape(one, jax.tree.map(lambda leaf: leaf[0], draws))
    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, start, draws)
    n_draws = jax.tree.leaves(draws)[0].shape[0]
    return jax.tree.map(lambda leaf: leaf / n_draws, total)


def interval(draws: Float[np.ndarray, "D *N"]) -> Float[np.ndarray, "*N 2"]:
    """The ends of the 90 % interval, quantiles interpolated between draws (Hyndman & Fan's 7th)."""
    place = np.array(LEVELS) * (len(draws) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(draws) - 1)
    # A partition finds these few ranks without sorting the rest.
    ranked = np.partition(draws, np.unique([*low, *high]), axis=0)
    share = (place - low).reshape(-1, *[1] * (draws.ndim - 1))
    ends = ranked[low] + share * (ranked[high] - ranked[low])  # [2, ...]
    return np.moveaxis(ends, 0, -1).astype(np.float64)
