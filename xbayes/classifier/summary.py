"""A classifier without anything derived row by row, so that it can be given away.

Most of a classifier is sums over many training rows: densities, weights, terms, covariances. Three
parts hold a number for each held-out row. Here they are replaced by summaries:

- the sorted scores of outlier p-values and prediction sets by the quantile function through a few
  quantiles of each class (monotone cubic interpolation), at `MEMBERS` evenly spaced levels;
- the held-out posteriors by means over `CELL` or more rows with similar posteriors;
- the outlier p-values of the held-out rows, uniform within a class by definition, by that
  distribution itself.

The ends of the ranges of boosted terms are rounded outwards; their bins end between two training
values, and are kept.
"""

import numpy as np
from jaxtyping import Array, Float, Int
from scipy.interpolate import PchipInterpolator

from xbayes.catalog.ranges import TrainedOn, ValueRange
from xbayes.classifier.held_out import HeldOutSample
from xbayes.classifier.learned import Classifier
from xbayes.models.term_tables import TermTables

LEVELS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99])
MEMBERS = 199  # of each class, so that the smallest p-value is 0.005
CELL = 10  # rows whose held-out posteriors are averaged
DIGITS = 2  # of the range of a column
TERM_STEP = 0.005  # log-odds
STEPS = 1000  # at least, of the range of a feature


def summarised(classifier: Classifier) -> Classifier:
    """The classifier with summaries in place of the numbers of single rows."""
    outlier, conformal, novelty = classifier.outlier, classifier.conformal, classifier.novelty
    score, size = _members(outlier.outlier_score, outlier.size)
    outlier = outlier._replace(outlier_score=score, size=size)
    score, size = _members(conformal.score, conformal.size)
    conformal = conformal._replace(score=np.where(np.isfinite(score), score.clip(0), score))
    conformal = conformal._replace(size=size)
    if novelty is not None:
        score, size = _members(novelty.score, novelty.size)
        smaller, _ = _members(novelty.smaller_p, novelty.size)
        novelty = novelty._replace(score=score, smaller_p=smaller, size=size)
    sample = classifier.held_out
    return classifier._replace(
        outlier=outlier,
        conformal=conformal,
        novelty=novelty,
        held_out=None if sample is None else _in_cells(sample),
        terms=None if classifier.terms is None else _rounded(classifier.terms),
    )


def without_extremes(trained_on: TrainedOn) -> TrainedOn:
    """The ranges, each end rounded outwards, so that no end is the value of a source."""
    columns, features = (
        {name: _rounded_range(known) for name, known in ranges.items()}
        for ranges in (trained_on.columns, trained_on.features)
    )
    return trained_on._replace(columns=columns, features=features)


def _members(
    score: Float[Array | np.ndarray, "C R"], size: Int[Array | np.ndarray, "C"]
) -> tuple[Float[np.ndarray, "C M"], Int[np.ndarray, "C"]]:
    """Scores at evenly spaced levels of the distribution of each class, and their numbers."""
    score, size = np.asarray(score, np.float64), np.asarray(size)
    if not score.shape[1]:
        return score, size
    members = np.full((len(size), MEMBERS), np.inf)
    at = np.arange(1, MEMBERS + 1) / (MEMBERS + 1)
    for c, n in enumerate(size):
        if n:
            members[c] = _smooth(score[c, :n], at)
    return members, np.where(size > 0, MEMBERS, 0)


def _smooth(values: Float[np.ndarray, "R"], at: Float[np.ndarray, "M"]) -> Float[np.ndarray, "M"]:
    """The quantile function at these levels; a straight line beyond the last known quantile.

    The quantile of level k / (n + 1) is the k-th value, as in a conformal p-value.
    """
    n = len(values)
    levels = LEVELS[(LEVELS * (n + 1) >= 1) & (LEVELS * (n + 1) <= n)]
    if len(levels) < 3:
        return np.full(len(at), values.mean())
    known = np.quantile(values, levels, method="weibull")
    inside = np.clip(at, levels[0], levels[-1])
    slope = (known[[1, -1]] - known[[0, -2]]) / (levels[[1, -1]] - levels[[0, -2]])
    beyond = np.where(at < inside, slope[0], slope[1]) * (at - inside)
    return PchipInterpolator(levels, known)(inside) + beyond


def _in_cells(sample: HeldOutSample) -> HeldOutSample:
    """Means of the posteriors of rows with the same prediction and similar posteriors."""
    posterior = np.asarray(sample.posterior, np.float64)
    log_prior = None if sample.log_prior is None else np.array(sample.log_prior, np.float64)
    label, n_groups = np.asarray(sample.class_index), len(np.unique(sample.group))
    top = posterior.argmax(1)
    order, at = np.lexsort((posterior.max(1), top)), 0
    mean, outlier_p, class_index = (np.zeros_like(a) for a in (posterior, sample.outlier_p, label))
    for n in np.bincount(top, minlength=posterior.shape[1]):
        for cell in np.array_split(order[at : at + n], max(n // CELL, 1)):
            rows = slice(at, at + len(cell))
            mean[rows], class_index[rows] = posterior[cell].mean(0), np.sort(label[cell])
            if log_prior is not None:
                log_prior[rows] = np.log(np.exp(np.asarray(sample.log_prior)[cell]).mean(0))
            at += len(cell)
    rng = np.random.default_rng(0)
    for c in np.unique(class_index):
        rows = class_index == c
        outlier_p[rows] = (rng.permutation(rows.sum()) + 0.5) / rows.sum()
    return HeldOutSample(
        posterior=mean,
        class_index=class_index,
        group=np.arange(len(label)) % n_groups,
        outlier_p=outlier_p,
        log_prior=log_prior,
    )


def _rounded(terms: TermTables) -> TermTables:
    """The terms in steps, which compress well; the ends of their ranges rounded outwards."""
    main, pair = (
        np.round(np.asarray(table, np.float64) / TERM_STEP) * TERM_STEP
        for table in (terms.main, terms.pair_table)
    )
    reach = np.asarray(terms.reach, np.float64)
    width = np.where(reach[:, 1:] > reach[:, :1], reach[:, 1:] - reach[:, :1], 1.0)
    scale = 10.0 ** np.ceil(-np.log10(width / STEPS))
    low, high = np.floor(reach[:, :1] * scale), np.ceil(reach[:, 1:] * scale)
    return terms._replace(
        reach=np.concatenate([low, high], 1) / scale,
        main=main.astype(np.float32),
        pair_table=pair.astype(np.float32),
    )


def _rounded_range(known: ValueRange) -> ValueRange:
    def outwards(value: float, round_to_whole) -> float:
        if value == 0 or not np.isfinite(value):
            return value
        step = 10.0 ** (np.floor(np.log10(abs(value))) - DIGITS + 1)
        return float(f"{round_to_whole(value / step) * step:.{DIGITS}g}")

    return known._replace(low=outwards(known.low, np.floor), high=outwards(known.high, np.ceil))
