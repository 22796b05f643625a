"""Differences between variants that predict the same sources, from the same bootstrap draws.

What is hard for all drops out of a difference, so it is known far better than either score. Groups
are drawn together, as everywhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.evaluate.scores import (
    Predictions,
    number_or_none,
    resampled_sums,
    score_terms,
    scores_of_sums,
    with_interval,
)

LOWER_IS_BETTER = frozenset(("log_loss", "brier", "ece"))
BEST, ALIKE, WORSE = "best", "alike", ""


class SharedDraws(NamedTuple):
    """Scores of V variants, and the same scores in S bootstrap draws of the same sources."""

    value: dict[str, Float[np.ndarray, "V"]]
    drawn: dict[str, Float[np.ndarray, "V S"]]


def paired_differences(
    first: Predictions, second: Predictions, classes: tuple[str, ...], n_bootstrap: int, seed: int
) -> dict[str, dict]:
    """Scores of the second minus those of the first, with 90 % intervals, as `score` gives them."""
    both = _whole_draws([first, second], len(classes), n_bootstrap, seed)

    def entry(name, *column):
        at, among = (both[k][name][(slice(None), slice(None), *column)] for k in (0, 1))
        change = among[1] - among[0]
        low, high = np.nanquantile(change, [0.05, 0.95])
        return with_interval(at[1, 0] - at[0, 0], low, high)

    by_class = {
        name: {label: entry(name, c) for c, label in enumerate(classes)}
        for name in ("precision", "recall", "f1")
    }
    over_all = ("macro_f1", "accuracy", "log_loss", "brier", "ece")
    return by_class | {name: entry(name) for name in over_all}


def shared_draws(
    variants: Sequence[Predictions],
    focus: int,
    n_classes: int,
    n_bootstrap: int,
    seed: int,
) -> SharedDraws:
    """Every score of every variant in the same draws.

    F1, precision and recall are those of class `focus` under the predictions given; `f1_argmax` is
    its F1 if the most probable class were predicted.
    """
    at, among = _whole_draws(variants, n_classes, n_bootstrap, seed)
    probable = [p._replace(prediction=p.posterior.argmax(1)) for p in variants]
    at_most, among_most = _whole_draws(probable, n_classes, n_bootstrap, seed)

    def taken(whole, most) -> dict[str, np.ndarray]:
        found = {name: whole[name][..., focus] for name in ("f1", "precision", "recall")}
        found["f1_argmax"] = most["f1"][..., focus]
        return found | {name: whole[name] for name in ("macro_f1", "log_loss", "brier", "ece")}

    value = {name: array[:, 0] for name, array in taken(at, at_most).items()}
    return SharedDraws(value, taken(among, among_most))


def difference(draws: SharedDraws, name: str, first: int, second: int) -> dict:
    """Score of the second minus that of the first: 90 % interval, and P(the second is better).

    The probability is the share of draws, a tie counting half. All are None without a score.
    """
    change = draws.drawn[name][second] - draws.drawn[name][first]
    change = change[np.isfinite(change)]
    value = number_or_none(draws.value[name][second] - draws.value[name][first])
    if value is None or not change.size:
        return {"value": None, "lo": None, "hi": None, "p_better": None}
    low, high = np.quantile(change, [0.05, 0.95])
    gain = -change if name in LOWER_IS_BETTER else change
    better = float((gain > 0).mean() + 0.5 * (gain == 0).mean())
    return {"value": value, "lo": float(low), "hi": float(high), "p_better": better}


def is_real(change: dict) -> bool:
    """Whether the interval of a difference excludes 0."""
    return change["lo"] is not None and (change["lo"] > 0 or change["hi"] < 0)


def standing(draws: SharedDraws, name: str) -> list[str]:
    """Per variant: `best` if every other is really worse, else `alike` for those not told apart.

    Those are the variant of the best value and all whose difference to it has an interval with 0.
    """
    value = draws.value[name]
    rank = np.where(np.isfinite(value), value, np.inf if name in LOWER_IS_BETTER else -np.inf)
    top = int(rank.argmin() if name in LOWER_IS_BETTER else rank.argmax())
    if np.isfinite(value).sum() < 2:
        return [WORSE] * len(value)
    others = [v for v in range(len(value)) if v != top and np.isfinite(value[v])]
    alike = [v for v in others if not is_real(difference(draws, name, top, v))]
    if alike:
        return [ALIKE if v == top or v in alike else WORSE for v in range(len(value))]
    return [BEST if v == top else WORSE for v in range(len(value))]


def _whole_draws(
    variants: Sequence[Predictions], n_classes: int, n_bootstrap: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores `[V 1 ...]` and, in the draws, `[V S ...]`, by name."""
    first = variants[0]
    for other in variants[1:]:
        same = np.array_equal(first.truth, other.truth) and np.array_equal(first.group, other.group)
        if not same or not np.array_equal(first.weight, other.weight):
            raise ValueError("paired differences need predictions of the same sources")
    at, among = [], []
    for one in variants:
        terms = score_terms(one, n_classes)
        at.append(scores_of_sums(one.weight[None] @ terms, n_classes))
        sums = np.concatenate(list(resampled_sums(one, terms, n_bootstrap, seed)))
        among.append(scores_of_sums(sums, n_classes))
    stacked = [
        {name: np.stack([one[name] for one in each]) for name in each[0]} for each in (at, among)
    ]
    return stacked[0], stacked[1]
