"""The decision rule: which class a posterior is given.

argmax        the most probable class
f1            the posterior of the focus class is multiplied by a class weight before the largest is
              taken; the weight maximises the F1 of labelled out-of-fold rows
expected_f1   the focus class if its posterior reaches a threshold, else the most probable other
              class; the threshold maximises the expected F1, which needs posteriors but no labels
precision     likewise, with the least threshold of a wanted expected precision

For calibrated posteriors p of the focus class, a set of k sources has the expected F1, as a ratio
of expectations,

    EF = 2 * (sum of p over the set) / (k + sum of p over all sources)

The best set holds the largest p, and a source is in it if p >= EF / 2 (Lewis 1995, SIGIR; Ye et al.
2012, ICML; Lipton, Elkan & Naryanaswamy 2014, ECML, Theorem 1). The reported probabilities do not
depend on the rule.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.classifier.held_out import HeldOutSample

N_BOOTSTRAP = 200
NEVER = 2.0  # a threshold that no probability reaches

Kind = Literal["argmax", "f1", "expected_f1", "precision"]


class Decision(NamedTuple):
    """The decision rule that is asked for."""

    kind: Kind = "argmax"
    precision: float = 0.0  # the least expected precision, for kind precision

    @property
    def has_threshold(self) -> bool:
        """Whether the rule is a threshold of the posterior of the focus class."""
        return self.kind in ("expected_f1", "precision")


class DecisionRule(NamedTuple):
    """A decision rule as numbers."""

    class_weight: Float[Array | np.ndarray, "C"]
    threshold: Float[Array | np.ndarray, ""]  # of the posterior of the focus class
    focus: Int[Array | np.ndarray, ""]  # index of that class; -1: the class weights alone decide


class ExpectedScores(NamedTuple):
    """Scores of a threshold that calibrated posteriors predict, and the share of sources chosen."""

    precision: float  # NaN if no source is chosen
    recall: float
    f1: float
    share: float


def by_class_weight(class_weight: Float[np.ndarray, "C"]) -> DecisionRule:
    """The rule that takes the largest product of class weight and posterior."""
    weight = np.asarray(class_weight)
    return DecisionRule(
        class_weight=weight, threshold=np.asarray(NEVER, weight.dtype), focus=np.asarray(-1)
    )


def by_threshold(n_classes: int, focus: int, threshold: float) -> DecisionRule:
    """The rule that takes class `focus` if its posterior reaches the threshold."""
    return DecisionRule(
        class_weight=np.ones(n_classes), threshold=np.asarray(threshold), focus=np.asarray(focus)
    )


def decide(
    posterior: Float[Array | np.ndarray, "N C"], rule: DecisionRule
) -> Int[Array | np.ndarray, "N"]:
    """The predicted class of each row, for arrays of NumPy and inside jit."""
    xp = posterior.__array_namespace__()
    is_focus = xp.arange(posterior.shape[-1]) == rule.focus
    other = xp.where(is_focus, -1.0, posterior * rule.class_weight).argmax(-1)
    chosen = ((posterior >= rule.threshold) & is_focus).any(-1)
    return xp.where(chosen, rule.focus, other)


def fit_rule(decision: Decision, focus: int, sample: HeldOutSample, seed: int) -> DecisionRule:
    """The decision rule for class `focus`, learned on held-out posteriors."""
    posterior = np.asarray(sample.posterior, np.float64)
    n_classes = posterior.shape[1]
    if decision.has_threshold:
        threshold = threshold_for(decision, posterior[:, focus])
        return by_threshold(n_classes, focus, threshold)
    if decision.kind == "argmax":
        return by_class_weight(np.ones(n_classes))
    truth, group = np.asarray(sample.class_index), np.asarray(sample.group)
    return by_class_weight(fit_class_weight(posterior, truth, group, focus, seed))


def threshold_for(
    decision: Decision, p: Float[np.ndarray, "N"], weight: Float[np.ndarray, "N"] | None = None
) -> float:
    """The threshold that the decision asks for, from calibrated posteriors of the focus class.

    `weight` is the weight of each row. No labels are used.
    """
    if decision.kind == "precision":
        return _precision_threshold(p, weight, decision.precision)
    return _expected_f1_threshold(p, weight)


def expected_scores(
    p: Float[np.ndarray, "N"], threshold: float, weight: Float[np.ndarray, "N"] | None = None
) -> ExpectedScores:
    """The scores of a threshold that are expected for calibrated posteriors of the focus class."""
    p = np.asarray(p, np.float64)
    weight = np.ones(len(p)) if weight is None else weight
    chosen = weight * (p >= threshold)
    hits, size, members = (chosen * p).sum(), chosen.sum(), (weight * p).sum()
    return ExpectedScores(
        precision=float(hits / size) if size else float("nan"),
        recall=float(hits / members) if members else 0.0,
        f1=float(2 * hits / (size + members)) if size + members else 0.0,
        share=float(size / weight.sum()),
    )


def _expected_f1_threshold(p, weight) -> float:
    """Half of the largest expected F1: a row is in the best set where p >= EF / 2.

    Adding a row to a set raises EF exactly if p > EF / 2, so the largest EF lies where the sorted p
    cross it, and EF / 2 lies between the last p inside and the first outside.
    """
    _, hits, size, members = _cumulative(p, weight)
    if not members > 0:
        return NEVER
    return float((hits / (size + members)).max())


def _precision_threshold(p, weight, precision: float) -> float:
    """Threshold of the largest set whose mean p is at least `precision`; rows of equal p together.

    It lies halfway between the last p inside and the first outside.
    """
    p, hits, size, _ = _cumulative(p, weight)
    last_of_value = np.append(p[1:] < p[:-1], True)
    reached = np.flatnonzero(last_of_value & (hits >= precision * size) & (size > 0))
    if not len(reached):
        return NEVER
    last = reached[-1]
    following = p[last + 1] if last + 1 < len(p) else 0.0
    return float((p[last] + following) / 2)


def _cumulative(p, weight):
    """Descending p, its cumulative weighted sum, the cumulative weight, and the whole sum."""
    p = np.asarray(p, np.float64)
    order = np.argsort(-p, kind="stable")
    weight = np.ones(len(p)) if weight is None else np.asarray(weight, np.float64)[order]
    p = p[order]
    hits = np.cumsum(weight * p)
    return p, hits, np.cumsum(weight), hits[-1] if len(p) else 0.0


def fit_class_weight(
    posterior: Float[np.ndarray, "N C"],
    truth: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    focus: int,
    seed: int,
) -> Float[np.ndarray, "C"]:
    """Class weights that maximise the F1 of class `focus`; those of the other classes are 1.

    The weight is the median of the best weights of bootstrap samples, in which groups are kept
    together: the best weight of a single sample depends on a few dozen sources.
    """
    least, is_focus = _least_weight(posterior, focus), truth == focus
    order = np.argsort(least)
    _, member = np.unique(group, return_inverse=True)
    n_groups = member.max() + 1
    rng = np.random.default_rng(seed)
    best = []
    for _ in range(N_BOOTSTRAP):
        copies = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))[member]
        if (copies * is_focus).any():
            best.append(_best_weight(least[order], is_focus[order], copies[order]))
    class_weight = np.ones(posterior.shape[1])
    class_weight[focus] = np.exp(np.median(np.log(best))) if best else 1.0
    return class_weight


def _least_weight(posterior: Float[np.ndarray, "N C"], focus: int) -> Float[np.ndarray, "N"]:
    """The least class weight with which each source is given to class `focus`."""
    others = np.delete(posterior, focus, axis=1).max(1)
    return np.clip(others / np.maximum(posterior[:, focus], 1e-300), 1e-6, 1e6)


def _best_weight(
    least: Float[np.ndarray, "N"], is_focus: np.ndarray, copies: Int[np.ndarray, "N"]
) -> float:
    """The weight of largest F1, halfway between those of two sources; `least` is sorted."""
    hits, chosen = np.cumsum(copies * is_focus), np.cumsum(copies)
    f1 = 2 * hits / (chosen + (copies * is_focus).sum())
    last = int(f1.argmax())
    following = least[min(last + 1, len(least) - 1)]
    return float(np.sqrt(least[last] * following))
