"""Agreement of newly classified sources of a class with its known sources, feature by feature.

New sources have no label, so each is weighted by its posterior for the class. If the posteriors are
right, the weighted sample follows p(x | class), as the known sample does. The test compares the
largest distance D between the two cumulative distributions (Kolmogorov and Smirnov). Weighted rows
and rows of one group carry less information than independent rows; both samples therefore count
with Kish's effective size, (sum w)^2 / sum w^2, with w summed over groups (Kish 1965, Survey
Sampling, 11.7).

Two limitations: the posterior is computed from these features, so agreement is partly built in, and
a disagreement is the stronger result. And samples of different depth differ for reasons that are
not errors of the classifier.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

FALSE_DISCOVERIES = 0.05


class Sample(NamedTuple):
    """Feature values of sources, and the weight with which each source belongs to each class."""

    value: Float[np.ndarray, "N F"]
    measured: Bool[np.ndarray, "N F"]
    weight: Float[np.ndarray, "N C"]  # 1 and 0 for a known source; the posterior for a new source
    group: Int[np.ndarray, "N"]


class Agreement(NamedTuple):
    """Results by class and feature; NaN where either sample has no source with a value."""

    distance: Float[np.ndarray, "C F"]  # D, between 0 and 1
    shift: Float[np.ndarray, "C F"]  # mean of new minus known, in standard deviations of known
    known: Float[np.ndarray, "C F"]  # effective sizes
    new: Float[np.ndarray, "C F"]
    p_value: Float[np.ndarray, "C F"]
    differs: Bool[
        np.ndarray, "C F"
    ]  # at a false discovery rate of 5 % over all classes and features


class Superiority(NamedTuple):
    """P(y > x) + P(y = x) / 2, its 90 % interval, and the p-value of a value of 1/2 or less."""

    value: float
    interval: tuple[float, float]
    p_value: float  # one-sided


def agreement(known: Sample, new: Sample) -> Agreement:
    """The agreement of each class of the new sample with the same class of the known sample.

    p-values come from the asymptotic distribution of D with effective sizes (Stephens 1970, J.
    R. Stat. Soc. B 32, 115); `differs` controls the false discovery rate (Benjamini & Hochberg
    1995).
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
    known_distance = np.isfinite(distance)
    p_value, differs = np.full(shape, np.nan), np.zeros(shape, bool)
    scaled = ((root + 0.12 + 0.11 / np.maximum(root, 1e-300)) * distance)[known_distance]
    p_value[known_distance] = kstwobign.sf(scaled)
    if known_distance.any():
        adjusted = false_discovery_control(p_value[known_distance])
        differs[known_distance] = adjusted <= FALSE_DISCOVERIES
    return Agreement(
        distance=distance,
        shift=shift,
        known=size_known,
        new=size_new,
        p_value=p_value,
        differs=differs,
    )


def _of(sample: Sample, c: int, f: int):
    """Values and weights of one class in one feature, and the effective size."""
    rows = sample.measured[:, f] & (sample.weight[:, c] > 0)
    weight = sample.weight[rows, c]
    return sample.value[rows, f], weight, effective_size(weight, sample.group[rows])


def effective_size(weight: Float[np.ndarray, "N"], group: Int[np.ndarray, "N"]) -> float:
    """(sum w)^2 / sum w^2, with w summed over the rows of each group."""
    if not len(weight):
        return 0.0
    total = np.bincount(np.unique(group, return_inverse=True)[1], weight)
    return float(total.sum() ** 2 / (total**2).sum())


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
    """Weighted P(y > x) (Mann & Whitney 1947, Ann. Math. Stat. 18, 50).

    Interval and p-value come from drawing groups with replacement. A group with rows in both
    samples must have the same number in both.
    """
    at, is_y = np.concatenate([x, y]), np.repeat([False, True], [len(x), len(y)])
    weight = np.concatenate(weights).astype(np.float64)
    member = np.unique(np.concatenate(groups), return_inverse=True)[1]
    place = np.unique(at, return_inverse=True)[1]
    n_groups, rng = member.max() + 1, np.random.default_rng(seed)

    def above(times: np.ndarray) -> float:
        of_x = np.bincount(place, weight * times * ~is_y)
        of_y = np.bincount(place, weight * times * is_y)
        total = of_x.sum() * of_y.sum()
        return float((of_y * (np.cumsum(of_x) - of_x / 2)).sum() / total) if total > 0 else np.nan

    share = np.full(n_groups, 1 / n_groups)
    drawn = np.array([above(rng.multinomial(n_groups, share)[member]) for _ in range(n_bootstrap)])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.05, 0.95]) if len(drawn) else (np.nan, np.nan)
    p_value = (1 + (drawn <= 0.5).sum()) / (1 + len(drawn))
    return Superiority(
        value=above(np.ones(len(at))), interval=(float(low), float(high)), p_value=float(p_value)
    )
