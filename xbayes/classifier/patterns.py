"""Weights that fit the features that a row has: the classifier of each pattern of absent groups.

Weights that are learned together depend on each other: without the photon index, the weights of the
hardness ratios are no longer right. So a run keeps its training sources, and for a row in which
whole groups of features are not available, everything that is learned is learned again as if no
training source had them. The result is a function of the run and the pattern alone. It is fitted
once, when the pattern is first seen, and kept in the run directory.

A group is a set of features that become unavailable together: those that read one column that
catalogues may lack (`catalog.optional`), those with one `measured` condition, or those with one
`survey`. A group that was often absent in training too is not in the pattern, because the weights
have learned to do without it.

A ready-made model has no training sources. It comes with the classifiers of some patterns; a row
with another pattern is classified with the smallest of them that contains it, and the features that
only this one lacks count as not available.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.decision import DecisionRule
from xbayes.classifier.learned import Classifier, prior_of_rows, rule_under
from xbayes.classifier.predict import Products, classify
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.states import StatesSeen, available_as_trained
from xbayes.types import Features

MOST_GROUPS = 12  # more of them are joined by category, which bounds the number of patterns


class Patterns(NamedTuple):
    """The groups of features, and how to get the classifier of a pattern."""

    groups: Bool[np.ndarray, "P F"]  # the features of each group
    # The classifier for rows without these groups.
    adapted: Callable[[np.ndarray], Classifier]
    # The patterns that can be had; None: all.
    known: Bool[np.ndarray, "K P"] | None = None


def without(features: Features, absent: Bool[np.ndarray, "F"]) -> Features:
    """The features, some of which are not available in any row."""
    present = ~absent[None]
    return Features(
        value=np.where(present, features.value, 0.0),
        measured=np.asarray(features.measured) & present,
        available=np.asarray(features.available) & present,
        weight=np.where(present, features.weight, 1.0),
        error=np.where(present, features.error, 0.0),
    )


def joined_groups(
    names: Sequence[Sequence[str]], category: Sequence[int]
) -> Bool[np.ndarray, "P F"]:
    """The features of each group; `names` are those of the groups of each feature."""
    found = list(dict.fromkeys(name for each in names for name in each))
    groups = np.array([[name in each for each in names] for name in found], bool)
    groups = np.unique(groups.reshape(-1, len(names)), axis=0)
    if len(groups) <= MOST_GROUPS:
        return groups
    may_lack = groups.any(0)
    by_category = [(np.array(category) == g) & may_lack for g in sorted(set(category))]
    return np.array([each for each in by_category if each.any()])


def absent_groups(
    groups: Bool[np.ndarray, "P F"], states: StatesSeen, features: Features
) -> Bool[np.ndarray, "N P"]:
    """The groups of which no feature is available in a row."""
    available = available_as_trained(states, features)
    return ~np.any(available[:, None] & groups[None], axis=-1)


class Part(NamedTuple):
    """The rows with one pattern of absent groups, and their classifier."""

    rows: Int[np.ndarray, "M"]
    features: Features  # of these rows
    classifier: Classifier


def parts_of(classifier: Classifier, features: Features, patterns: Patterns) -> list[Part]:
    """The rows by their pattern of absent groups; `classifier` is that of no absent group."""
    absent = absent_groups(patterns.groups, classifier.states, features)
    found, index = np.unique(absent, axis=0, return_inverse=True)
    parts = []
    for number, pattern in enumerate(found):
        rows = np.flatnonzero(index.ravel() == number)
        own = features if len(found) == 1 else features.rows(rows)
        if patterns.known is not None:
            larger = smallest_known(patterns.known, pattern)
            if (larger != pattern).any():
                own, pattern = without(own, np.any(patterns.groups[larger], axis=0)), larger
        parts.append(Part(rows=rows, features=own, classifier=patterns.adapted(pattern)))
    return parts


def smallest_known(
    known: Bool[np.ndarray, "K P"], pattern: Bool[np.ndarray, "P"]
) -> Bool[np.ndarray, "P"]:
    """The known pattern with the fewest groups that has all those of `pattern`.

    Without any, the known pattern with the most groups of those of `pattern`.
    """
    containing = known[(known | ~pattern).all(1)]
    if len(containing):
        return containing[containing.sum(1).argmin()]
    contained = known[~(known & ~pattern).any(1)]
    return contained[contained.sum(1).argmax()]


def classify_by_pattern(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    patterns: Patterns,
    *,
    log_prior: Float[np.ndarray, "*R C"] | None = None,
    size: int | None = None,
    rule: DecisionRule | None = None,
    short: int | None = None,
) -> Products:
    """The results for each row, by the classifier of its pattern of absent groups.

    The decision rule is that of the run for every pattern, under the prior; `rule` replaces it.
    """
    rule = rule_under(recipe, classifier, log_prior) if rule is None else rule
    parts, made = parts_of(classifier, features, patterns), []
    for part in parts:
        prior = prior_of_rows(log_prior, part.rows)
        own, rows = part.classifier, part.features
        made.append(classify(recipe, own, rows, prior, size, rule=rule, short=short))
    if len(parts) == 1:
        return made[0]
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    return jax.tree.map(lambda *columns: np.concatenate(columns)[order], *made)
