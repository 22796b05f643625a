"""How much more often counterparts than field entries have a magnitude or a colour.

The ratio of the two densities multiplies the probability of an entry. It is learned from the
entries themselves, weighted with the probability that they are counterparts, as NWAY does in its
mode `auto` (Salvato et al. 2018).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_SHRINK = 5.0  # counterparts that the ratio 1 counts for
_PER_BIN = 20  # counterparts
_MOST_BINS = 15
_KNOTS = 20
_DISTINCT = 1e-6  # difference of scores


class PriorRatio(NamedTuple):
    """ln of the ratio by bin. Values beyond the edges belong to the first or the last bin."""

    edges: Float[np.ndarray, "B-1"]  # between the bins
    log_ratio: Float[np.ndarray, "B"]
    log_ratio_missing: float  # of entries without a value

    def __call__(self, value: Float[np.ndarray, "P"]) -> Float[np.ndarray, "P"]:
        """ln of the ratio of each value; NaN is missing."""
        ratio = self.log_ratio[np.searchsorted(self.edges, value, side="right")]
        return np.where(np.isnan(value), self.log_ratio_missing, ratio)


class ScoreRatio(NamedTuple):
    """ln of the ratio as a rising function of the score, linear between knots.

    Below the first knot it falls as the score does; beyond the last it is constant.
    """

    score: Float[np.ndarray, "B"]
    log_ratio: Float[np.ndarray, "B"]

    def __call__(self, value: Float[np.ndarray, "P"]) -> Float[np.ndarray, "P"]:
        """ln of the ratio of each score."""
        below = np.minimum(value - self.score[0], 0.0)
        return np.interp(value, self.score, self.log_ratio) + below


def learn_score_ratio(
    score: Float[np.ndarray, "P"],
    counterpart: Float[np.ndarray, "P"],
    field: Float[np.ndarray, "P"],
) -> ScoreRatio:
    """The ratio of the densities of scores of counterparts and of field objects.

    A score that is ln of the true ratio is its own result. Counterparts are shrunk to those that
    this would give, so that few of them change little. Each score counts for the two knots beside
    it, and the knots are quantiles: a small change of the scores changes little, too.

    Parameters
    ----------
    score
        Of objects.
    counterpart, field
        Weights of each object, as of `learn_ratio`.
    """
    total, others = float(counterpart.sum()), float(field.sum())
    if not total or not others:
        return ScoreRatio(score=np.zeros(1), log_ratio=np.zeros(1))
    order = np.argsort(score)
    both = counterpart[order] / total + field[order] / others
    after = np.cumsum(both) / both.sum()
    share = np.stack([np.append(0, after[:-1]), after], 1)  # before and after each: ties may swap
    wanted_share = (np.arange(_KNOTS) + 0.5) / _KNOTS
    knot = np.interp(wanted_share, share.reshape(-1), np.repeat(score[order], 2))
    knot = knot[np.diff(knot, prepend=-np.inf) > _DISTINCT]  # equal scores, but for rounding
    at = np.interp(score, knot, np.arange(len(knot)))
    left = np.minimum(at.astype(int), max(len(knot) - 2, 0))

    def spread(weight: Float[np.ndarray, "P"]) -> Float[np.ndarray, "B"]:
        low = np.bincount(left, weight * (1 - (at - left)), len(knot))
        return low + np.append(0, np.bincount(left, weight * (at - left), len(knot))[:-1])

    usual = spread(field) + 0.5
    usual /= usual.sum()
    expected = usual * np.exp(knot - knot.max())
    expected /= expected.sum()
    wanted = spread(counterpart)
    ratio = (wanted + _PER_BIN * expected) / (total + _PER_BIN) / usual
    return ScoreRatio(score=knot, log_ratio=np.maximum.accumulate(np.log(ratio)))


def learn_ratio(
    value: Float[np.ndarray, "P"],
    counterpart: Float[np.ndarray, "P"],
    field: Float[np.ndarray, "P"],
) -> PriorRatio:
    """The ratio of the histograms of counterparts and field entries.

    The bins hold equal weights of counterparts. Each histogram of counterparts is shrunk to that of
    the field, so that few counterparts change little.

    Parameters
    ----------
    value
        A magnitude or a colour; NaN where missing.
    counterpart, field
        Weights of each entry, such as the probability that it is a counterpart, and 1 minus it.
    """
    known = ~np.isnan(value)
    total = float(counterpart[known].sum())
    n_bins = int(np.clip(total // _PER_BIN, 1, _MOST_BINS))
    order = np.argsort(value[known])
    rising = value[known][order]
    share = np.cumsum(counterpart[known][order]) / max(total, 1e-300)
    at = np.searchsorted(share, np.arange(1, n_bins) / n_bins)
    edges = np.unique(rising[np.minimum(at, len(rising) - 1)]) if len(rising) else np.zeros(0)
    edges = edges[edges > rising[0]] if len(rising) else edges  # no bin is empty
    bins = np.searchsorted(edges, value, side="right")
    bins[~known] = len(edges) + 1
    size = len(edges) + 2  # the last bin: no value
    wanted = np.bincount(bins, counterpart, size)
    usual = np.bincount(bins, field, size) + 0.5
    usual /= usual.sum()
    ratio = (wanted + _SHRINK * usual) / (wanted.sum() + _SHRINK) / usual
    log_ratio = np.log(ratio)
    return PriorRatio(edges=edges, log_ratio=log_ratio[:-1], log_ratio_missing=float(log_ratio[-1]))
