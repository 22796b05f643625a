"""The recipe, features and inner folds that `AlphaBayesClassifier` passes to the package."""

from typing import NamedTuple, cast

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.blocks import CHUNK
from xbayes.classifier.decision import Decision, Kind
from xbayes.classifier.predict import Classifier
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError
from xbayes.models.base import Density
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.published.code_density import published_code_density
from xbayes.published.density import published_density
from xbayes.types import UNLABELLED, Features, Labels, Names

LEAST_ROWS = 256  # rows are padded to this power of two or a larger one, so that few are compiled
FIXING_PENALTY = 1e6  # leaves every alpha at 1 to about 1e-6


class Plan(NamedTuple):
    """The options of a recipe. Unlike its functions, they can be pickled and compared."""

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
    missing_weight: float = 1.0
    alpha: tuple[float, ...] | None = None  # given weight of each category; None: learned


def recipe_of(plan: Plan) -> Recipe:
    """The recipe of a plan; equal plans share its functions, so that JAX compiles once.

    Features and classes are named by numbers: names of data would make JAX compile for each data
    set.
    """
    n_features = len(plan.category)
    return Recipe(
        density=_density(plan),
        model=naive_bayes(
            plan.category, plan.n_classes, plan.weights, plan.normalise, plan.offsets
        ),
        names=Names(
            features=_numbers(n_features),
            categories=_numbers(max(plan.category) + 1),
            category=plan.category,
            classes=_numbers(plan.n_classes),
        ),
        penalties=plan.penalties,
        n_starts=plan.n_starts,
        n_folds=plan.n_folds,
        objective=plan.objective,
        decision=Decision(kind=cast(Kind, plan.decision)),
        focus=plan.focus,
        given_alpha=plan.alpha,
        normalises=plan.normalise,
    )


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))


def _density(plan: Plan) -> Density:
    n_features, n_classes = len(plan.category), plan.n_classes
    of_feature = np.full(n_features, plan.evidence)
    no_cosine = np.zeros((n_features, n_classes), bool)
    if plan.density == "published":
        return published_density(of_feature, no_cosine, plan.missing_weight)
    if plan.density == "published_code":
        return published_code_density(no_cosine, plan.missing_weight)
    limits = np.full((n_features, 2), [-np.inf, np.inf])
    return smooth_density(limits, of_feature, n_classes, plan.missing_weight)


def features_of(X: Float[np.ndarray, "N F"], evidence: bool) -> Features:
    """Features of X; NaN is not detected if `evidence`, else not available."""
    measured = ~np.isnan(X)
    return Features(
        value=np.where(measured, X, 0.0),
        measured=measured,
        available=np.ones_like(measured) if evidence else measured,
        weight=np.ones_like(X),
        error=np.zeros_like(X),
    )


def padded_rows(n_rows: int) -> int:
    """The number of rows after padding: a power of two, at least LEAST_ROWS."""
    return max(LEAST_ROWS, 1 << (n_rows - 1).bit_length())


def chunk_rows(n_rows: int) -> int:
    """The number of rows computed at once when a fitted classifier is applied."""
    return min(CHUNK, padded_rows(n_rows))


def pad_training(
    features: Features, labels: Labels, fold: Int[np.ndarray, "N"], n_rows: int
) -> tuple[Features, Labels, Int[np.ndarray, "M"]]:
    """Features, labels and folds with rows added that have neither class nor fold."""
    added = (0, n_rows - len(fold))
    padded = Labels(
        class_index=np.pad(labels.class_index, added, constant_values=UNLABELLED),
        group=np.pad(labels.group, added, constant_values=-1),
    )
    return features.padded(n_rows), padded, np.pad(fold, added, constant_values=-1)


def storable(classifier: Classifier) -> Classifier:
    """The classifier as NumPy arrays, which keep float64 when unpickled, in few shapes.

    The sorted reference scores, one per row of the largest class, are padded.
    """
    classifier = jax.tree.map(np.asarray, classifier)
    outlier, conformal = classifier.outlier, classifier.conformal
    return classifier._replace(
        outlier=outlier._replace(outlier_score=_padded(outlier.outlier_score)),
        conformal=conformal._replace(score=_padded(conformal.score)),
    )


def _padded(scores: Float[Array | np.ndarray, "C R"]) -> np.ndarray:
    added = padded_rows(scores.shape[1]) - scores.shape[1]
    return np.pad(np.asarray(scores), ((0, 0), (0, added)), constant_values=np.inf)


def inner_folds(
    truth: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"], n_folds: int, seed: int
) -> tuple[Int[np.ndarray, "N"], int]:
    """The fold of each row, and the number of folds.

    There are at most as many folds as the smallest class has members (groups). Classes of one
    member are distributed with the largest class.

    Raises
    ------
    InputError
        All rows of the classes are in one group.
    """
    classes, inverse = np.unique(truth, return_inverse=True)
    members = _members(inverse, group, len(classes))
    target = np.where((members < 2)[inverse], members.argmax(), inverse)
    members = _members(target, group, len(classes))
    smallest = int(members[members > 0].min())
    if smallest < 2:
        raise InputError(
            "inner folds need at least 2 groups per class; all rows of a class are in 1 group: "
            "pass smaller groups, or none"
        )
    n_folds = min(n_folds, smallest)
    return stratified_folds(target, group, n_folds, seed), n_folds


def is_learnable(truth: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"]) -> bool:
    """Whether any class has a second member that remains if one is held out."""
    return bool(_members(truth, group, int(truth.max()) + 1).max() > 1)


def plain(plan: Plan) -> Plan:
    """The plain naive Bayes: the plan with weights fixed at 1, no offsets and no rule."""
    return plan._replace(
        penalties=(FIXING_PENALTY,), offsets=False, objective="log_loss", decision="argmax"
    )


def _members(
    target: Int[np.ndarray, "N"], group: Int[np.ndarray, "N"], n_classes: int
) -> Int[np.ndarray, "C"]:
    """The number of groups of each class."""
    return np.array([len(np.unique(group[target == c])) for c in range(n_classes)])
