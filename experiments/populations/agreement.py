"""Whether newly classified sources of a class look like its known ones, property by property.

New sources have no label, so each counts for a class with its posterior: if the posteriors are
right, the weighted sample follows p(x | class) as the known one does. What is compared is the
largest distance D between the two cumulative distributions (Kolmogorov and Smirnov). Weighted rows
and rows of one group tell less than as many independent ones; both samples count with Kish's
effective size, (sum w)^2 / sum w^2, w summed over groups (Kish 1965, Survey Sampling, 11.7).

Two cautions. The posterior is made from these properties, so agreement is partly built in, and a
disagreement is the stronger finding. And samples of different depth differ for reasons that are no
error of the classifier.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

FALSE_DISCOVERIES = 0.05


class Sample(NamedTuple):
    """Names of sources that belong to the classes with some weight each."""

    value: Float[np.ndarray, "N F"]
    observed: Bool[np.ndarray, "N F"]
    weight: Float[np.ndarray, "N C"]  # of a known source 1 and 0; of a new one its posterior
    group: Int[np.ndarray, "N"]


class Agreement(NamedTuple):
    """By class and property; NaN where either sample has no source with a value."""

    distance: Float[np.ndarray, "C F"]  # D, between 0 and 1
    shift: Float[np.ndarray, "C F"]  # mean of new less known, in standard deviations of known
    known: Float[np.ndarray, "C F"]  # effective sizes
    new: Float[np.ndarray, "C F"]
    p_value: Float[np.ndarray, "C F"]
    differs: Bool[np.ndarray, "C F"]  # at 5 % false discoveries over all classes and properties


class Superiority(NamedTuple):
    """P(y > x) + P(y = x) / 2 with its 90 % interval, and the chance of so much if it were 1/2."""

    value: float
    interval: tuple[float, float]
    p_value: float  # one-sided: that y is not the larger


def agreement(known: Sample, new: Sample) -> Agreement:
    """Each class of the new sample against the same class of the known one.

    p-values are those of the asymptotic distribution of D with effective sizes (Stephens 1970, J.
    R. Stat. Soc. B 32, 115); `differs` controls false discoveries (Benjamini & Hochberg 1995).
    """
    from scipy.stats import false_discovery_control, kstwobign

    shape = (known.weight.shape[1], known.value.shape[1])
    distance, shift, size_known, size_new = (np.full(shape, np.nan) for _ in range(4))
    for c, f in np.ndindex(shape):
        x, w_x, size_known[c, f] = _of(known, c, f)
        y, w_y, size_new[c, f] = _of(new, c, f)
        if size_known[c, f] > 0 and size_new[c, f] > 0:
            distance[c, f] = weighted_distance(x, w_x, y, w_y)
            mean = np.average(x, weights=w_x)
            scatter = np.sqrt(np.average((x - mean) ** 2, weights=w_x))
            shift[c, f] = (np.average(y, weights=w_y) - mean) / scatter if scatter > 0 else np.nan
    root = np.sqrt(size_known * size_new / np.maximum(size_known + size_new, 1e-300))
    there = np.isfinite(distance)
    p_value, differs = np.full(shape, np.nan), np.zeros(shape, bool)
    scaled = ((root + 0.12 + 0.11 / np.maximum(root, 1e-300)) * distance)[there]
    p_value[there] = kstwobign.sf(scaled)
    if there.any():
        differs[there] = false_discovery_control(p_value[there]) <= FALSE_DISCOVERIES
    return Agreement(distance, shift, size_known, size_new, p_value, differs)


def _of(sample: Sample, c: int, f: int):
    """Values and weights of one class in one property, and the effective size."""
    kept = sample.observed[:, f] & (sample.weight[:, c] > 0)
    weight = sample.weight[kept, c]
    return sample.value[kept, f], weight, effective_size(weight, sample.group[kept])


def effective_size(weight: Float[np.ndarray, "N"], group: Int[np.ndarray, "N"]) -> float:
    """(sum w)^2 / sum w^2 over groups: as if the rows of a group said the same."""
    if not len(weight):
        return 0.0
    whole = np.bincount(np.unique(group, return_inverse=True)[1], weight)
    return float(whole.sum() ** 2 / (whole**2).sum())


def weighted_distance(
    x: Float[np.ndarray, "N"],
    weight_x: Float[np.ndarray, "N"],
    y: Float[np.ndarray, "M"],
    weight_y: Float[np.ndarray, "M"],
) -> float:
    """The largest distance between two weighted cumulative distributions."""
    at = np.concatenate([x, y])
    order = np.argsort(at, kind="stable")
    step = np.concatenate([weight_x / weight_x.sum(), -weight_y / weight_y.sum()])[order]
    last = np.append(np.diff(at[order]) > 0, True)  # equal values make one step
    return float(np.abs(np.cumsum(step))[last].max())


def superiority(
    x: Float[np.ndarray, "N"],
    y: Float[np.ndarray, "M"],
    weights: tuple[Float[np.ndarray, "N"], Float[np.ndarray, "M"]],
    groups: tuple[Int[np.ndarray, "N"], Int[np.ndarray, "M"]],
    seed: int,
    n_bootstrap: int = 1000,
) -> Superiority:
    """How often a y is above an x (Mann & Whitney 1947, Ann. Math. Stat. 18, 50), with weights.

    Interval and p-value by drawing groups with replacement; groups that hold rows of both samples
    must have one number in both, and are drawn with both.
    """
    at, of_y = np.concatenate([x, y]), np.repeat([False, True], [len(x), len(y)])
    weight = np.concatenate(weights).astype(np.float64)
    member = np.unique(np.concatenate(groups), return_inverse=True)[1]
    place = np.unique(at, return_inverse=True)[1]
    n_groups, rng = member.max() + 1, np.random.default_rng(seed)

    def above(times: np.ndarray) -> float:
        own = np.bincount(place, weight * times * ~of_y)
        other = np.bincount(place, weight * times * of_y)
        total = own.sum() * other.sum()
        return float((other * (np.cumsum(own) - own / 2)).sum() / total) if total > 0 else np.nan

    share = np.full(n_groups, 1 / n_groups)
    drawn = np.array([above(rng.multinomial(n_groups, share)[member]) for _ in range(n_bootstrap)])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.05, 0.95]) if len(drawn) else (np.nan, np.nan)
    p_value = (1 + (drawn <= 0.5).sum()) / (1 + len(drawn))
    return Superiority(above(np.ones(len(at))), (float(low), float(high)), float(p_value))
