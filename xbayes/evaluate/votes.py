"""Detections to sources: the class posteriors of many observations become one of each source.

Soft and hard votes are those of Perez-Diaz et al. 2024 (arXiv 2401.12203). A vote does not grow
surer with the number of detections; `combine` does, by as much as they are independent.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar

from xbayes.classifier.probabilities import class_posterior
from xbayes.evaluate.scores import log_losses
from xbayes.types import InputError

DEFAULT_RHO = 1.0  # where nothing can be learned: any number of detections tells as much as one
_FLOOR = 1e-300  # so that a probability that underflowed has a log
_GRID = np.linspace(0.0, 1.0, 21)  # of rho; over many n the log loss may have two minima


class Votes(NamedTuple):
    """What N sources get from their detections."""

    number: Int[np.ndarray, "N"]  # detections of each source
    mean: Float[np.ndarray, "N C"]
    sd: Float[np.ndarray, "N C"]
    soft: Int[np.ndarray, "N"]  # class of the largest mean
    hard: Int[np.ndarray, "N"]  # most frequent class
    hard_share: Float[np.ndarray, "N"]
    unique: Bool[np.ndarray, "N"]  # soft and hard agree; else the source is ambiguous
    combined: Float[np.ndarray, "N C"]


class RhoFit(NamedTuple):
    """A learned correlation of detections, and what it was learned on."""

    rho: float
    log_loss: float  # of the labelled sources it was learned on
    n_sources: int  # labelled sources with two or more detections


def vote(
    posterior: Float[np.ndarray, "D C"],
    prediction: Int[np.ndarray, "D"],
    source: Int[np.ndarray, "D"],
    log_prior: Float[np.ndarray, "C"],
    rho: float,
) -> Votes:
    """All votes of the sources; `source` is the index of each detection's source, from 0 on."""
    number = np.bincount(source)
    mean, sd = soft_vote(posterior, source)
    soft = mean.argmax(-1)
    hard, share = hard_vote(prediction, source, mean)
    combined = combine(mean_log_odds(posterior, log_prior, source), number, log_prior, rho)
    return Votes(number, mean, sd, soft, hard, share, soft == hard, combined)


def soft_vote(
    posterior: Float[np.ndarray, "D C"], source: Int[np.ndarray, "D"]
) -> tuple[Float[np.ndarray, "N C"], Float[np.ndarray, "N C"]]:
    """Mean and standard deviation (divided by n: 0 for one detection) over the detections."""
    mean = _segment_mean(posterior, source)
    variance = _segment_mean((posterior - mean[source]) ** 2, source)
    return mean, np.sqrt(variance)


def hard_vote(
    prediction: Int[np.ndarray, "D"],
    source: Int[np.ndarray, "D"],
    mean: Float[np.ndarray, "N C"],
) -> tuple[Int[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """The most frequent class and its share of the votes; of a tie the one with the larger mean."""
    n_sources, n_classes = mean.shape
    cell = source * n_classes + prediction
    votes = np.bincount(cell, minlength=mean.size).reshape(n_sources, n_classes)
    most = votes.max(-1)
    hard = np.where(votes == most[:, None], mean, -1.0).argmax(-1)
    return hard, most / votes.sum(-1)


def mean_log_odds(
    posterior: Float[np.ndarray, "D C"],
    log_prior: Float[np.ndarray, "C"],
    source: Int[np.ndarray, "D"],
) -> Float[np.ndarray, "N C"]:
    """Mean of log p(c | x_i) - log prior(c) over the detections, the evidence of a typical one."""
    return _segment_mean(np.log(np.maximum(posterior, _FLOOR)) - log_prior, source)


def effective_number(number: Int[np.ndarray, "N"], rho: float) -> Float[np.ndarray, "N"]:
    """Independent detections that n correlated ones are worth: n / (1 + (n - 1) rho).

    The design effect of cluster sampling (Kish 1965, Survey Sampling, 5.4): n for rho = 0, 1 for
    rho = 1, at most 1 / rho.
    """
    return number / (1.0 + (number - 1) * rho)


def combine(
    evidence: Float[np.ndarray, "N C"],
    number: Int[np.ndarray, "N"],
    log_prior: Float[np.ndarray, "C"],
    rho: float,
) -> Float[np.ndarray, "N C"]:
    """Posterior of each source: prior times the mean evidence to the power n_eff.

    `evidence` is that of `mean_log_odds`. With rho = 0 this is Bayes' theorem for detections that
    are independent given the class; with rho = 1 their geometric mean. It is exact for Gaussian
    detections with one covariance for all classes, whose source moves all of its detections
    together and rho = its share of the variance; otherwise a composite likelihood.
    """
    return class_posterior(log_prior + effective_number(number, rho)[:, None] * evidence)


def learn_rho(
    evidence: Float[np.ndarray, "N C"],
    number: Int[np.ndarray, "N"],
    log_prior: Float[np.ndarray, "C"],
    truth: Int[np.ndarray, "N"],
) -> RhoFit:
    """The rho in [0, 1] of least log loss on sources of known class (truth >= 0).

    The posteriors behind the evidence must be held out, or rho is that of an overconfident
    classifier. Sources of one detection tell nothing and do not count. Raises `InputError` where
    no labelled source has two.
    """
    telling = (truth >= 0) & (number > 1)
    if not telling.any():
        raise InputError(
            "rho cannot be learned: no source of known class has two or more detections; "
            "give it, as in --rho 0.5"
        )
    rows = evidence[telling], number[telling], log_prior
    known = truth[telling]

    def loss(rho: float) -> float:
        return float(log_losses(known, combine(*rows, rho)).mean())

    losses = [loss(rho) for rho in _GRID]
    best = int(np.argmin(losses))
    near = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
    found = minimize_scalar(loss, bounds=near, method="bounded", options={"xatol": 1e-6})
    # The search never tries the ends of its interval, where the grid did.
    rho, least = min(
        ((float(_GRID[best]), losses[best]), (float(found.x), float(found.fun))),
        key=lambda pair: pair[1],
    )
    return RhoFit(rho, least, int(telling.sum()))


def _segment_mean(
    values: Float[np.ndarray, "D C"], source: Int[np.ndarray, "D"]
) -> Float[np.ndarray, "N C"]:
    sums = np.column_stack([np.bincount(source, column) for column in values.T])
    return sums / np.bincount(source)[:, None]


__all__ = [
    "DEFAULT_RHO",
    "RhoFit",
    "Votes",
    "combine",
    "effective_number",
    "hard_vote",
    "learn_rho",
    "mean_log_odds",
    "soft_vote",
    "vote",
]
