"""Differences between the scores of variants on the same sources, from the same bootstrap draws.

A source that is difficult for all variants drops out of a difference, so a difference is known
much better than either score. Groups are resampled together, as everywhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.evaluate.scores import (
    BY_CLASS,
    OVERALL,
    Entry,
    Predictions,
    entry,
    resampled_sums,
    score_terms,
    scores_of_sums,
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
    """Scores of the second minus those of the first, with 90 % intervals, named as in `score`."""
    value, drawn = _scores_and_draws([first, second], len(classes), n_bootstrap, seed)
    change = {name: scores[1, 0] - scores[0, 0] for name, scores in value.items()}
    changes = {name: scores[1] - scores[0] for name, scores in drawn.items()}
    by_class = {
        name: {
            label: entry(change[name][c], changes[name][:, c]) for c, label in enumerate(classes)
        }
        for name in BY_CLASS
    }
    return by_class | {name: entry(change[name], changes[name]) for name in OVERALL}


def shared_draws(
    variants: Sequence[Predictions],
    focus: int,
    n_classes: int,
    n_bootstrap: int,
    seed: int,
) -> SharedDraws:
    """Every score of every variant in the same bootstrap draws.

    F1, precision and recall are those of class `focus` for the given predictions; `f1_argmax` is
    its F1 if the most probable class were predicted.
    """
    probable = [p._replace(prediction=p.posterior.argmax(1)) for p in variants]
    given = _scores_and_draws(variants, n_classes, n_bootstrap, seed)
    argmax = _scores_and_draws(probable, n_classes, n_bootstrap, seed)
    value, drawn = (
        {name: scores[name][..., focus] for name in ("f1", "precision", "recall")}
        | {"f1_argmax": scores_argmax["f1"][..., focus]}
        | {name: scores[name] for name in ("macro_f1", "log_loss", "brier", "ece")}
        for scores, scores_argmax in zip(given, argmax, strict=True)
    )
    return SharedDraws(value={name: scores[:, 0] for name, scores in value.items()}, drawn=drawn)


def difference(draws: SharedDraws, name: str, first: int, second: int) -> Entry:
    """A score of the second variant minus that of the first, with `p_better`.

    `p_better` is the probability that the second is better: the share of bootstrap draws, where a
    tie counts half. All are None if one of the two has no score.
    """
    changes = draws.drawn[name][second] - draws.drawn[name][first]
    changes = changes[np.isfinite(changes)]
    change = entry(draws.value[name][second] - draws.value[name][first], changes)
    if change["value"] is None or not changes.size:
        return {"value": None, "lo": None, "hi": None, "p_better": None}
    gain = -changes if name in LOWER_IS_BETTER else changes
    return change | {"p_better": float((gain > 0).mean() + 0.5 * (gain == 0).mean())}


def is_real(change: Entry) -> bool:
    """Whether the 90 % interval of a difference excludes 0."""
    low, high = change["lo"], change["hi"]
    return low is not None and high is not None and (low > 0 or high < 0)


def standing(draws: SharedDraws, name: str) -> list[str]:
    """The standing of each variant: `best`, `alike` or empty.

    The variant with the best value is `best` if its difference to every other one is real.
    Otherwise it is `alike`, and so is each variant whose difference to it has an interval with 0.
    """
    value = draws.value[name]
    known = np.isfinite(value)
    if known.sum() < 2:
        return [WORSE] * len(value)
    loss = np.where(known, value if name in LOWER_IS_BETTER else -value, np.inf)
    top = int(loss.argmin())
    others = [v for v in range(len(value)) if known[v] and v != top]
    alike = [v for v in others if not is_real(difference(draws, name, top, v))]
    if alike:
        return [ALIKE if v == top or v in alike else WORSE for v in range(len(value))]
    return [BEST if v == top else WORSE for v in range(len(value))]


def _scores_and_draws(
    variants: Sequence[Predictions], n_classes: int, n_bootstrap: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores `[V 1 ...]` and the same in the bootstrap draws, `[V S ...]`, by name."""
    first = variants[0]
    for other in variants[1:]:
        same = np.array_equal(first.truth, other.truth) and np.array_equal(first.group, other.group)
        if not same or not np.array_equal(first.weight, other.weight):
            raise ValueError("paired differences need predictions of the same sources")
    values, draws = [], []
    for predictions in variants:
        terms = score_terms(predictions, n_classes)
        sums = np.concatenate(list(resampled_sums(predictions, terms, n_bootstrap, seed)))
        values.append(scores_of_sums(predictions.weight[None] @ terms, n_classes))
        draws.append(scores_of_sums(sums, n_classes))
    value, drawn = (
        {name: np.stack([scores[name] for scores in each]) for name in each[0]}
        for each in (values, draws)
    )
    return value, drawn
