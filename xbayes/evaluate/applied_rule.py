"""The decision rule that applies to a catalogue, in words, with the scores to expect of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.classifier.decision import (
    NEVER,
    Decision,
    DecisionRule,
    ExpectedScores,
    by_threshold,
    expected_scores,
    fit_rule,
    threshold_for,
)
from xbayes.classifier.learned import (
    Classifier,
    held_out_under,
    rule_under,
    trained_log_prior,
)
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError

CATALOGUE = "catalogue"  # the threshold is learned on the catalogue that is classified
HELD_OUT, AT_HAND = "the out-of-fold posteriors of the run", "the posteriors of this catalogue"

Asked = str | Mapping[str, float]


class AppliedRule(NamedTuple):
    """A decision rule, its description, and the scores that the posteriors predict for it."""

    rule: DecisionRule
    text: str
    expected: ExpectedScores | None = None  # of a rule with a threshold


def decision_record(
    applied: AppliedRule, folds: Sequence[DecisionRule]
) -> dict[str, str | float | dict | list | None]:
    """The rule of a run and those of its outer folds, for `metrics.json`."""
    record: dict[str, str | float | dict | list | None] = {"rule": applied.text}
    if applied.expected is not None:
        record["threshold"] = float(applied.rule.threshold)
        named = applied.expected._asdict().items()
        record["expected"] = {name: value if value == value else None for name, value in named}
        record["threshold_of_fold"] = [float(rule.threshold) for rule in folds]
    return record


def parse_decision(asked: Asked) -> Decision | None:
    """The decision that is asked for; None for one that is learned on the catalogue.

    Raises InputError.
    """
    if isinstance(asked, Mapping):
        precision = asked.get("precision")
        if len(asked) == 1 and isinstance(precision, float | int) and 0 < precision < 1:
            return Decision(kind="precision", precision=float(precision))
    elif asked == CATALOGUE:
        return None
    elif asked == "argmax" or asked == "f1" or asked == "expected_f1":
        return Decision(kind=asked)
    raise InputError(
        f"decision must be argmax, f1, expected_f1, {CATALOGUE} or precision=NUMBER, above 0 and "
        f'below 1 (in Python {{"precision": NUMBER}}); found {asked!r}'
    )


def rule_of_run(
    recipe: Recipe,
    classifier: Classifier,
    log_prior: Float[np.ndarray, "*R C"] | None,
    asked: Decision | None = None,
) -> AppliedRule:
    """The rule of a run under a prior, or another one learned on its held-out posteriors.

    Raises InputError if the rule is about one class and the run names none.
    """
    sample, is_own = classifier.held_out, asked is None or asked == recipe.decision
    assert sample is not None, "a classifier lacks its held-out sample only inside jit"
    recipe = recipe if asked is None else recipe._replace(decision=asked)
    _require_focus(recipe)
    if not recipe.decision.has_threshold:
        rule = classifier.rule if is_own else fit_rule(recipe.decision, recipe.focus, sample, 0)
        return AppliedRule(rule=rule, text=_by_weight(recipe, rule))
    trained = trained_log_prior(recipe, classifier)
    under = held_out_under(recipe, classifier, trained if log_prior is None else log_prior)
    if under is None:  # a ready-made model does not keep the priors of its training sources
        under = held_out_under(recipe, classifier, trained)
    assert under is not None, "under one prior for all sources"
    posterior, weight = under
    threshold = threshold_for(recipe.decision, posterior[:, recipe.focus], weight)
    if is_own:
        threshold = float(rule_under(recipe, classifier, log_prior).threshold)
    return _by_threshold(recipe, posterior, weight, threshold, HELD_OUT)


def rule_of_catalogue(recipe: Recipe, posterior: Float[np.ndarray, "N C"]) -> AppliedRule:
    """The rule with its threshold learned on the posteriors of a catalogue.

    A run without a threshold gets that of the largest expected F1. Raises InputError if the run
    names no class for it.
    """
    if not recipe.decision.has_threshold:
        recipe = recipe._replace(decision=Decision(kind="expected_f1"))
    _require_focus(recipe)
    threshold = threshold_for(recipe.decision, posterior[:, recipe.focus])
    return _by_threshold(recipe, posterior, np.ones(len(posterior)), threshold, AT_HAND)


def _require_focus(recipe: Recipe) -> None:
    kind = recipe.decision.kind
    if kind != "argmax" and recipe.focus < 0:
        raise InputError(
            f"decision {kind} is about one class, but the run names none: it has no f1_class, and "
            f"none of {', '.join(recipe.names.classes)} is named XRB; make a run with --set "
            "f1_class=CLASS, or use decision argmax"
        )


def _by_weight(recipe: Recipe, rule: DecisionRule) -> str:
    if recipe.decision.kind == "argmax":
        return "the most probable class"
    name, weight = recipe.names.classes[recipe.focus], float(rule.class_weight[recipe.focus])
    return (
        f"the largest product of posterior and class weight; the weight of {name} is {weight:.3g}"
    )


def _by_threshold(
    recipe: Recipe,
    posterior: Float[np.ndarray, "N C"],
    weight: Float[np.ndarray, "N"],
    threshold: float,
    learned_on: str,
) -> AppliedRule:
    name, decision = recipe.names.classes[recipe.focus], recipe.decision
    expected = expected_scores(posterior[:, recipe.focus], threshold, weight)
    aim = "largest expected F1"
    if decision.kind == "precision":
        aim = f"expected precision {decision.precision:g}"
    text = (
        f"{name} if p_{name} >= {threshold:.3g}, else the most probable other class; threshold of "
        f"{aim}, learned on {learned_on}: expected precision {expected.precision:.2f}, recall "
        f"{expected.recall:.2f}, F1 {expected.f1:.2f}"
    )
    if threshold >= NEVER:
        text = f"never {name}: no threshold has {aim} on {learned_on}"
    rule = by_threshold(posterior.shape[1], recipe.focus, threshold)
    return AppliedRule(rule=rule, text=text, expected=expected)
