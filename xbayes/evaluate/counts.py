"""How many sources of each class a catalogue holds, corrected for the classifier's errors.

Raw counts of predictions are off: a class of 1 % collects the mistakes made on the other 99 %. Let
M[t, p] be the held-out share of class t that is predicted as p, and pi the proportions of the
catalogue. Of its N sources n_p are predicted as p, with

    n ~ Multinomial(N, pi M)

Inverting that is "adjusted classify and count" (Gart & Buck 1966, Am. J. Epidemiol. 83, 593; Forman
2008, Data Min. Knowl. Discov. 17, 164); here with pi on the simplex. Draws of M are those of the
Bayesian bootstrap over groups (Rubin 1981, Ann. Stat. 9, 130): for rows of their own these are
exactly the Dirichlet posterior of each row of M. Given M, Gibbs sampling alternates between the
true classes of the n_p sources and pi, so a draw is the number of sources of each class *in this
catalogue*: with a perfect classifier nothing is uncertain.

That M is the same there and here is label shift: the proportions differ, the sources of a class do
not. Where they do (fainter, other counterparts), no method that sees M only can know; counts from
the posteriors themselves (xbayes.evaluate.proportions) then often disagree with these, which is a warning.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

DRAWS = 1000
GIBBS_STEPS = 200
EM_STEPS = 500
PSEUDO_SOURCES = 0.5  # of each class in the catalogue, as in xbayes.evaluate.proportions (Jeffreys)
DOUBT = 2.0  # standard deviations between two estimates of one count
_BLOCK = 20_000_000  # weights of groups held at once


class Counts(NamedTuple):
    """Draws of the number of sources of each class."""

    draws: Float[np.ndarray, "S C"]

    def median(self) -> Float[np.ndarray, "C"]:
        """Of each class; medians need not sum to the number of sources exactly."""
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
    """Counts of the classes in a catalogue of which `predicted` sources are given each class.

    `truth` and `prediction` are of labelled sources held out, under the same decision rule and the
    same prior; `group` names the rows that are alike.
    """
    rng = np.random.default_rng(seed)
    rate = confusion_draws(truth, prediction, group, len(predicted), rng, n_draws)
    drawn = rng.dirichlet(predicted + PSEUDO_SOURCES, n_draws)
    start = invert_confusion(rate, drawn)
    return Counts(_gibbs(rng, rate, predicted, start).astype(np.float64))


def confusion_draws(
    truth: Int[np.ndarray, "L"],
    prediction: Int[np.ndarray, "L"],
    group: Int[np.ndarray, "L"],
    n_classes: int,
    rng: np.random.Generator,
    n_draws: int,
) -> Float[np.ndarray, "S C C"]:
    """P(prediction | class), rows the class: Bayesian bootstrap over groups.

    Every class has one source more, spread over all predictions, so that no cell is impossible.
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
    """The pi of greatest likelihood for pi M = `share`, by EM from equal parts.

    Where the inverse of M gives proportions, it is these; else the nearest on the simplex in the
    sense of the multinomial likelihood.
    """
    pi = np.full_like(share, 1 / share.shape[1])
    for _ in range(EM_STEPS):
        ratio = share / np.einsum("st,stp->sp", pi, rate)
        pi = pi * np.einsum("stp,sp->st", rate, ratio)
    return pi / pi.sum(1, keepdims=True)


def disagreement(first: Counts, second: Counts) -> Float[np.ndarray, "C"]:
    """Difference of two estimates of the same counts over its standard deviation, by class.

    As if their errors were independent; they share their sources, so this is cautious.
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
    """The last state of a chain for each draw of M: true classes given pi, pi given these."""
    count = np.zeros(pi.shape, np.int64)
    for _ in range(GIBBS_STEPS):
        joint = pi[:, None, :] * np.swapaxes(rate, 1, 2)  # [S, P, T]
        count = rng.multinomial(predicted, joint / joint.sum(2, keepdims=True)).sum(1)
        pi = rng.standard_gamma(count + PSEUDO_SOURCES)
        pi /= pi.sum(1, keepdims=True)
    return count
