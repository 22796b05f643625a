"""Posterior samples of the whole classifier; means over them and 90 % intervals."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.models.base import Params
from xbayes.models.naive_bayes import NaiveBayesParams

LEVELS = (0.05, 0.95)  # the ends of a 90 % interval

Arrays = TypeVar("Arrays")  # any tree of arrays


class JointDraws(NamedTuple):
    """Posterior samples of densities and weights together, leaves [S ...]."""

    density: Params | None  # None: every sample has the fitted densities
    weights: NaiveBayesParams


class PosteriorSamples(NamedTuple):
    """What the posterior samples give for each row."""

    posterior: Float[Array, "S N C"]
    training_posterior: Float[Array, "N C"]  # the mean over samples, under the training prior
    outlier: Float[Array, "S N T"]  # the outlier measure of every subclass


def mean_over_samples(function: Callable[[JointDraws], Arrays], draws: JointDraws) -> Arrays:
    """The mean of `function` over the samples, as a running sum that stores one result only."""

    def add(total, draw: JointDraws):
        return jax.tree.map(jnp.add, total, function(draw)), None

    shapes = jax.eval_shape(function, jax.tree.map(lambda leaf: leaf[0], draws))
    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, start, draws)
    n_samples = jax.tree.leaves(draws)[0].shape[0]
    return jax.tree.map(lambda leaf: leaf / n_samples, total)


def interval(samples: Float[np.ndarray, "S *N"]) -> Float[np.ndarray, "*N 2"]:
    """The ends of the 90 % interval: interpolated quantiles (type 7 of Hyndman & Fan 1996)."""
    position = np.array(LEVELS) * (len(samples) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(samples) - 1)
    # A partition finds these few ranks without sorting the rest.
    ranked = np.partition(samples, np.unique([*low, *high]), axis=0)
    fraction = (position - low).reshape(-1, *[1] * (samples.ndim - 1))
    ends = ranked[low] + fraction * (ranked[high] - ranked[low])  # [2, ...]
    return np.moveaxis(ends, 0, -1).astype(np.float64)


def containing(
    ends: Float[np.ndarray, "*N 2"], reported: Float[np.ndarray, "*N"]
) -> Float[np.ndarray, "*N 2"]:
    """The interval, extended where necessary so that it contains the reported value.

    The reported value is a mean over the samples, or the value at the mean log-odds, and with
    skewed samples either may lie outside the central 90 %. If the log-odds of an improbable class
    are normal with standard deviation s, the mean of its probability is exp(s^2 / 2) times the
    median and the 95 % quantile is exp(1.645 s) times the median, so the mean is larger from
    s = 3.3 on. The end that moves is then the reported value; the other end stays. The extended
    interval therefore holds 90 to 95 % of the samples.
    """
    low, high = np.minimum(ends[..., 0], reported), np.maximum(ends[..., 1], reported)
    return np.stack([low, high], axis=-1)


def row_intervals(
    posterior_samples: Float[Array, "S M C"] | None,
    outlier_samples: Float[Array, "S M T"] | None,
    posterior: Float[np.ndarray, "N C"],
    outlier: Float[np.ndarray, "N"],
    subclass: Int[np.ndarray, "N"],
) -> tuple[Float[np.ndarray, "N C E"], Float[np.ndarray, "N E"]]:
    """Intervals of the reported posteriors, and of the outlier measure of the given subclass.

    Samples of rows after the first N, which only fill a chunk, are ignored. Without samples the
    last axis is empty.
    """
    n_rows = len(posterior)
    if posterior_samples is None or outlier_samples is None:
        return np.empty((*posterior.shape, 0)), np.empty((n_rows, 0))
    samples = np.asarray(posterior_samples)[:, :n_rows]
    measures = np.asarray(outlier_samples)[:, :n_rows]
    of_subclass = np.take_along_axis(measures, subclass[None, :, None], 2)[..., 0]
    return containing(interval(samples), posterior), containing(interval(of_subclass), outlier)


def group_intervals(
    posterior_samples: Float[Array, "S M C"] | None,
    posterior: Float[np.ndarray, "N C"],
    groups: Sequence[tuple[str, tuple[int, ...]]],
) -> Float[np.ndarray, "N Q E"]:
    """Intervals of the probabilities of groups of classes: each is a sum over its members.

    `groups` are names with the indices of the classes, as in `Names`; `posterior` is the reported
    one. Samples of rows after the first N are ignored. Without samples the last axis is empty.
    """
    n_rows = len(posterior)
    if posterior_samples is None or not groups:
        return np.empty((n_rows, len(groups), 0))
    samples = np.asarray(posterior_samples)[:, :n_rows]
    of_groups = [
        containing(interval(samples[..., list(m)].sum(-1)), posterior[:, list(m)].sum(1))
        for _, m in groups
    ]
    return np.stack(of_groups, axis=1)
