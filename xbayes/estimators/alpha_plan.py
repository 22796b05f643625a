"""What `AlphaBayesClassifier` hands to the package: a recipe, features, inner folds."""

from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.predict import CHUNK, Classifier
from xbayes.classifier.recipe import Recipe
from xbayes.models.base import Density
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.published.density import published_density
from xbayes.types import UNLABELLED, Features, InputError, Labels, Names

LEAST_ROWS = 256  # rows are padded to powers of two from here, so that few shapes are compiled
HOLDING = 1e6  # a penalty that leaves every alpha at 1, to some 1e-6


class Plan(NamedTuple):
    """A recipe in plain values, which pickle and compare equal; the functions do neither."""

    category: tuple[int, ...]  # F
    n_classes: int
    weights: str
    normalise: bool
    offsets: bool
    density: str
    evidence: bool
    penalties: tuple[float, ...]
    n_starts: int
    n_folds: int
    objective: str
    decision: str
    focus: int


def recipe_of(plan: Plan) -> Recipe:
    """The same functions for the same plan, so that JAX compiles once for all estimators.

    The axes carry numbers for names: with names, JAX would compile for each data set anew.
    """
    features, classes = (tuple(map(str, range(n))) for n in (len(plan.category), plan.n_classes))
    categories = tuple(map(str, range(max(plan.category) + 1)))
    weighting = (plan.category, plan.n_classes, plan.weights, plan.normalise, plan.offsets)
    return Recipe(
        _density(plan.density, len(plan.category), plan.n_classes, plan.evidence),
        _weighting(*weighting),
        Names(features, categories, plan.category, classes),
        plan.penalties,
        plan.n_starts,
        plan.n_folds,
        plan.objective,
        decision=plan.decision,
        focus=plan.focus,
    )


_weighting = cache(naive_bayes)


@cache
def _density(kind: str, n_features: int, n_classes: int, evidence: bool) -> Density:
    each = np.full(n_features, evidence)
    if kind == "published":
        return published_density(each, np.zeros((n_features, n_classes), bool))
    return smooth_density(np.full((n_features, 2), [-np.inf, np.inf]), each, n_classes)


def features_of(X: Float[np.ndarray, "N F"], evidence: bool) -> Features:
    """NaN is a value that was looked for and not found, or (not evidence) not looked for."""
    observed = ~np.isnan(X)
    available = np.ones_like(observed) if evidence else observed
    return Features(
        np.where(observed, X, 0.0), observed, available, np.ones_like(X), np.zeros_like(X)
    )


def padded_rows(n_rows: int) -> int:
    """Rows filled up to a power of two, LEAST_ROWS at least."""
    return max(LEAST_ROWS, 1 << (n_rows - 1).bit_length())


def chunk_rows(n_rows: int) -> int:
    """Rows computed at once when a fitted classifier is applied."""
    return min(CHUNK, padded_rows(n_rows))


def pad_training(
    features: Features, labels: Labels, fold: Int[np.ndarray, "N"], n_rows: int
) -> tuple[Features, Labels, Int[np.ndarray, "M"]]:
    """Rows below that no fit reads: without class and without fold."""
    more = (0, n_rows - len(fold))
    class_index = np.pad(labels.class_index, more, constant_values=UNLABELLED)
    padded = Labels(class_index, np.pad(labels.group, more, constant_values=-1))
    return features.padded(n_rows), padded, np.pad(fold, more, constant_values=-1)


def storable(classifier: Classifier) -> Classifier:
    """NumPy arrays, which pickle as float64 whatever JAX's setting, and of few shapes.

    The ranks of the references, as many as the largest class has rows, are filled up.
    """
    classifier = jax.tree.map(np.asarray, classifier)
    outlier, conformal = classifier.outlier, classifier.conformal
    return classifier._replace(
        outlier=outlier._replace(outlier_score=_filled(outlier.outlier_score)),
        conformal=conformal._replace(score=_filled(conformal.score)),
    )


def _filled(ranks: Any) -> np.ndarray:
    more = padded_rows(ranks.shape[1]) - ranks.shape[1]
    return np.pad(ranks, ((0, 0), (0, more)), constant_values=np.inf)


def inner_folds(
    truth: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"], n_folds: int, seed: int
) -> tuple[Int[np.ndarray, "N"], int]:
    """Fold of each row, and how many: no more than the smallest class has members (groups).

    Classes of one member ride along with the largest class. Raises InputError for one group.
    """
    classes, inverse = np.unique(truth, return_inverse=True)
    members = _members(inverse, group, len(classes))
    target = np.where((members < 2)[inverse], members.argmax(), inverse)
    members = _members(target, group, len(classes))
    most = int(members[members > 0].min())
    if most < 2:
        raise InputError(
            "inner folds need at least 2 groups that hold the classes; all rows of some classes "
            "are in 1 group: give groups that are smaller, or none"
        )
    n_folds = min(n_folds, most)
    return stratified_folds(target, group, n_folds, seed), n_folds


def learnable(truth: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"]) -> bool:
    """Whether any class is left in the densities when one of its members is held out."""
    return bool(_members(truth, group, int(truth.max()) + 1).max() > 1)


def plain(plan: Plan) -> Plan:
    """The same plan with weights held at 1 and nothing else learned: the plain naive Bayes."""
    held = {"penalties": (HOLDING,), "offsets": False}
    return plan._replace(**held, objective="log_loss", decision="argmax")


def _members(
    target: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"], n_classes: int
) -> Int[np.ndarray, "C"]:
    return np.array([len(np.unique(group[target == c])) for c in range(n_classes)])
