"""Source posteriors from the posteriors of their detections.

Soft and hard votes are those of Perez-Diaz et al. 2024 (arXiv 2401.12203). The confidence of a vote
does not grow with the number of detections. That of `combine` does, depending on their correlation.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar

from xbayes.classifier.probabilities import class_posterior
from xbayes.errors import InputError
from xbayes.evaluate.scores import log_losses

DEFAULT_RHO = 1.0  # if rho cannot be learned: n detections carry the evidence of one
_FLOOR = 1e-300  # keeps the log of probabilities finite
_GRID = np.linspace(0.0, 1.0, 21)  # of rho; the log loss may have two minima


class Votes(NamedTuple):
    """The votes of the detections of N sources."""

    number: Int[np.ndarray, "N"]  # number of detections
    mean: Float[np.ndarray, "N C"]
    sd: Float[np.ndarray, "N C"]
    soft: Int[np.ndarray, "N"]  # class with the largest mean
    hard: Int[np.ndarray, "N"]  # most frequent class
    hard_share: Float[np.ndarray, "N"]  # share of the detections with that class
    unique: Bool[np.ndarray, "N"]  # soft and hard vote agree; otherwise the source is ambiguous
    combined: Float[np.ndarray, "N C"]


class GroupVotes(NamedTuple):
    """The votes of the detections of N sources for one group of classes."""

    mean: Float[np.ndarray, "N"]
    sd: Float[np.ndarray, "N"]
    combined: Float[np.ndarray, "N"]


class RhoFit(NamedTuple):
    """A learned correlation of detections."""

    rho: float
    log_loss: float  # of the labelled sources that it was learned on
    n_sources: int  # labelled sources with two or more detections


def vote(
    posterior: Float[np.ndarray, "D C"],
    prediction: Int[np.ndarray, "D"],
    source: Int[np.ndarray, "D"],
    log_prior: Float[np.ndarray, "*R C"],
    rho: float,
) -> Votes:
    """All votes of the sources; `source` is the index of the source of each detection.

    `log_prior` is that of the posteriors: one for all detections, or one for each.
    """
    number = np.bincount(source)
    mean, sd = soft_vote(posterior, source)
    soft = mean.argmax(-1)
    hard, share = hard_vote(prediction, source, mean)
    of_source = prior_of_sources(log_prior, source)
    combined = combine(mean_log_odds(posterior, log_prior, source), number, of_source, rho)
    return Votes(
        number=number,
        mean=mean,
        sd=sd,
        soft=soft,
        hard=hard,
        hard_share=share,
        unique=soft == hard,
        combined=combined,
    )


def group_votes(
    votes: Votes,
    posterior: Float[np.ndarray, "D C"],
    source: Int[np.ndarray, "D"],
    groups: Mapping[str, Sequence[int]],
) -> dict[str, GroupVotes]:
    """The votes for groups of classes: the probability of a group is the sum over its classes.

    `votes` are those for the classes; `posterior` and `source` are as given to `vote`. `groups`
    has the indices of the classes of each group.
    """
    found = {}
    for group, members in groups.items():
        mean, sd = soft_vote(posterior[:, list(members)].sum(1, keepdims=True), source)
        combined = votes.combined[:, list(members)].sum(1)
        found[group] = GroupVotes(mean=mean[:, 0], sd=sd[:, 0], combined=combined)
    return found


def soft_vote(
    posterior: Float[np.ndarray, "D C"], source: Int[np.ndarray, "D"]
) -> tuple[Float[np.ndarray, "N C"], Float[np.ndarray, "N C"]]:
    """Mean and standard deviation over the detections; the variance is divided by n, not n - 1."""
    mean = _segment_mean(posterior, source)
    variance = _segment_mean((posterior - mean[source]) ** 2, source)
    return mean, np.sqrt(variance)


def hard_vote(
    prediction: Int[np.ndarray, "D"],
    source: Int[np.ndarray, "D"],
    mean: Float[np.ndarray, "N C"],
) -> tuple[Int[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """The most frequent class and its share of the votes; a tie goes to the larger mean."""
    n_sources, n_classes = mean.shape
    cell = source * n_classes + prediction
    votes = np.bincount(cell, minlength=mean.size).reshape(n_sources, n_classes)
    most = votes.max(-1)
    hard = np.where(votes == most[:, None], mean, -1.0).argmax(-1)
    return hard, most / votes.sum(-1)


def mean_log_odds(
    posterior: Float[np.ndarray, "D C"],
    log_prior: Float[np.ndarray, "*R C"],
    source: Int[np.ndarray, "D"],
) -> Float[np.ndarray, "N C"]:
    """Mean of log p(c | x_i) - log prior(c) over the detections x_i of each source."""
    return _segment_mean(np.log(np.maximum(posterior, _FLOOR)) - log_prior, source)


def prior_of_sources(
    log_prior: Float[np.ndarray, "*R C"], source: Int[np.ndarray, "D"]
) -> Float[np.ndarray, "*S C"]:
    """The log prior of each source: the mean over its detections, if each has one of its own."""
    return log_prior if log_prior.ndim == 1 else _segment_mean(log_prior, source)


def effective_number(number: Int[np.ndarray, "N"], rho: float) -> Float[np.ndarray, "N"]:
    """Effective number of independent detections: n / (1 + (n - 1) rho).

    This is the design effect of cluster sampling (Kish 1965, Survey Sampling, 5.4): n for rho = 0,
    1 for rho = 1, and at most 1 / rho.
    """
    return number / (1.0 + (number - 1) * rho)


def combine(
    evidence: Float[np.ndarray, "N C"],
    number: Int[np.ndarray, "N"],
    log_prior: Float[np.ndarray, "*R C"],
    rho: float,
) -> Float[np.ndarray, "N C"]:
    """Posterior of each source: prior times the mean evidence to the power n_eff.

    `evidence` is the result of `mean_log_odds`. With rho = 0 this is Bayes' theorem for detections
    that are independent given the class; with rho = 1 it is their geometric mean. It is exact for
    Gaussian detections with the same covariance for all classes, where rho is the share of the
    variance that all detections of a source have in common; otherwise it is a composite likelihood.
    """
    return class_posterior(log_prior + effective_number(number, rho)[:, None] * evidence)


def learn_rho(
    evidence: Float[np.ndarray, "N C"],
    number: Int[np.ndarray, "N"],
    log_prior: Float[np.ndarray, "*R C"],
    truth: Int[np.ndarray, "N"],
) -> RhoFit:
    """The rho in [0, 1] with the least log loss on sources of known class (truth >= 0).

    The evidence must come from out-of-fold posteriors; in-sample posteriors are overconfident and
    give a wrong rho. Sources with one detection do not depend on rho and are ignored.

    Raises
    ------
    InputError
        If no labelled source has two detections.
    """
    usable = (truth >= 0) & (number > 1)
    if not usable.any():
        raise InputError(
            "rho cannot be learned: no source of known class has two or more detections; "
            "give it, as in --rho 0.5"
        )

    prior = log_prior if log_prior.ndim == 1 else log_prior[usable]

    def loss(rho: float) -> float:
        posterior = combine(evidence[usable], number[usable], prior, rho)
        return float(log_losses(truth[usable], posterior).mean())

    losses = [loss(rho) for rho in _GRID]
    best = int(np.argmin(losses))
    bounds = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # The search never evaluates the ends of its interval; the minimum may be the grid point 0 or 1.
    least, rho = min(
        ((losses[best], float(_GRID[best])), (float(found.fun), float(found.x))),
        key=lambda pair: pair[0],
    )
    return RhoFit(rho=rho, log_loss=least, n_sources=int(usable.sum()))


def rho_of_detections(
    posterior: Float[np.ndarray, "D C"],
    log_prior: Float[np.ndarray, "*R C"],
    source: Int[np.ndarray, "D"],
    truth: Int[np.ndarray, "N"],
) -> RhoFit:
    """As `learn_rho`, from the posteriors of detections; arguments as of `vote`."""
    evidence = mean_log_odds(posterior, log_prior, source)
    return learn_rho(evidence, np.bincount(source), prior_of_sources(log_prior, source), truth)


def _segment_mean(
    values: Float[np.ndarray, "D C"], source: Int[np.ndarray, "D"]
) -> Float[np.ndarray, "N C"]:
    sums = np.column_stack([np.bincount(source, column) for column in values.T])
    return sums / np.bincount(source)[:, None]
