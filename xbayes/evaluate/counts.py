"""Number of sources of each class in a catalogue, corrected for the errors of the classifier.

Raw counts of predictions are biased: a class of 1 % collects the errors made on the other 99 %. Let
M[t, p] be the out-of-fold share of class t that is predicted as p, and pi the class proportions of
the catalogue. The numbers n_p of its N sources that are predicted as p follow

    n ~ Multinomial(N, pi M)

The inversion is known as "adjusted classify and count" (Gart & Buck 1966, Am. J. Epidemiol. 83,
593; Forman 2008, Data Min. Knowl. Discov. 17, 164); here pi is restricted to the simplex. M is
drawn by the Bayesian bootstrap over groups (Rubin 1981, Ann. Stat. 9, 130), which for independent
rows is exactly the Dirichlet posterior of each row of M. Given M, Gibbs sampling alternates between
the true classes of the n_p sources and pi. A draw is therefore the number of sources of each class
*in this catalogue*, and has no uncertainty if the classifier is perfect.

The method assumes prior (label) shift: the class proportions differ, but the sources of a class
have the same distribution, hence the same M. If they do not (fainter sources, other counterparts),
M alone cannot reveal it. Counts from the posteriors (xbayes.evaluate.posterior_counts) then often
disagree with these, which is a warning.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

DRAWS = 1000
GIBBS_STEPS = 200
EM_STEPS = 500
PSEUDO_SOURCES = 0.5  # per class in the catalogue, as in evaluate.proportions (Jeffreys prior)
DOUBT = 2.0  # standard deviations between two counts above which both are doubtful
_BLOCK = 20_000_000  # group weights held in memory at once


class Counts(NamedTuple):
    """Posterior samples of the number of sources of each class."""

    draws: Float[np.ndarray, "S C"]

    def median(self) -> Float[np.ndarray, "C"]:
        """The median of each class; the sum need not be the number of sources exactly."""
        return np.median(self.draws, axis=0)

    def interval(self) -> Float[np.ndarray, "2 C"]:
        """The 90 % interval of each class."""
        return np.quantile(self.draws, [0.05, 0.95], axis=0)


def confusion_counts(
    truth: Int[np.ndarray, "L"],
    prediction: Int[np.ndarray, "L"],
    group: Int[np.ndarray, "L"],
    predicted: Int[np.ndarray, "C"],
    seed: int,
    n_draws: int = DRAWS,
) -> Counts:
    """Class counts of a catalogue from `predicted`, the number of sources predicted as each class.

    `truth` and `prediction` are those of out-of-fold labelled sources, with the same decision rule
    and the same prior; rows of one `group` are resampled together.
    """
    rng = np.random.default_rng(seed)
    rate = confusion_draws(truth, prediction, group, len(predicted), rng, n_draws)
    drawn = rng.dirichlet(predicted + PSEUDO_SOURCES, n_draws)
    start = invert_confusion(rate, drawn)
    return Counts(draws=_gibbs(rng, rate, predicted, start).astype(np.float64))


def confusion_draws(
    truth: Int[np.ndarray, "L"],
    prediction: Int[np.ndarray, "L"],
    group: Int[np.ndarray, "L"],
    n_classes: int,
    rng: np.random.Generator,
    n_draws: int,
) -> Float[np.ndarray, "S C C"]:
    """Draws of P(prediction | class), with a row per class, by Bayesian bootstrap over groups.

    Each class gets one additional source, spread over all predictions, so that no cell is zero.
    """
    groups, member = np.unique(group, return_inverse=True)
    cells = np.zeros((len(groups), n_classes**2))
    np.add.at(cells, (member, truth * n_classes + prediction), 1.0)
    size = max(1, _BLOCK // len(groups))
    blocks = [
        rng.standard_exponential((min(size, n_draws - first), len(groups))) @ cells
        for first in range(0, n_draws, size)
    ]
    counted = np.concatenate(blocks).reshape(-1, n_classes, n_classes)
    counted += rng.standard_gamma(1 / n_classes, counted.shape)
    return counted / counted.sum(2, keepdims=True)


def invert_confusion(
    rate: Float[np.ndarray, "S C C"], share: Float[np.ndarray, "S C"]
) -> Float[np.ndarray, "S C"]:
    """The maximum-likelihood pi for pi M = `share`, by EM from equal proportions.

    If the inverse of M gives a point on the simplex, the result is that point.
    """
    pi = np.full_like(share, 1 / share.shape[1])
    for _ in range(EM_STEPS):
        ratio = share / np.einsum("st,stp->sp", pi, rate)
        pi = pi * np.einsum("stp,sp->st", rate, ratio)
    return pi / pi.sum(1, keepdims=True)


def disagreement(first: Counts, second: Counts) -> Float[np.ndarray, "C"]:
    """The second count minus the first, in standard deviations of the difference, by class.

    The errors are taken as independent. They share their sources, so this is conservative.
    """
    variance = first.draws.var(0) + second.draws.var(0)
    difference = second.draws.mean(0) - first.draws.mean(0)
    return np.divide(difference, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)


def _gibbs(
    rng: np.random.Generator,
    rate: Float[np.ndarray, "S C C"],
    predicted: Int[np.ndarray, "C"],
    pi: Float[np.ndarray, "S C"],
) -> Int[np.ndarray, "S C"]:
    """True class counts at the end of a Gibbs chain for each draw of M."""
    count = np.zeros(pi.shape, np.int64)
    for _ in range(GIBBS_STEPS):
        joint = pi[:, None, :] * np.swapaxes(rate, 1, 2)  # [S, P, T]
        count = rng.multinomial(predicted, joint / joint.sum(2, keepdims=True)).sum(1)
        pi = rng.standard_gamma(count + PSEUDO_SOURCES)
        pi /= pi.sum(1, keepdims=True)
    return count
