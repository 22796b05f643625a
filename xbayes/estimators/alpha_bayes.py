"""The alpha-weighted naive Bayes of this package with scikit-learn's face."""

import numbers
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from xbayes.classifier.explain import explain
from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.predict import Classifier, classify
from xbayes.classifier.recipe import Recipe
from xbayes.estimators import alpha_plan as plans
from xbayes.infer.select_penalty import PENALTIES
from xbayes.models.naive_bayes import KINDS
from xbayes.types import Features, InputError, Labels

CHOICES = {
    "weights": KINDS,
    "density": ("smooth", "published"),
    "missing": ("evidence", "ignore"),
    "objective": ("log_loss", "f1"),
    "decision": ("argmax", "f1"),
}
LARGEST = 1e300
ACCEPTED: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}


class AlphaBayesClassifier(ClassifierMixin, BaseEstimator):
    """Naive Bayes whose properties count by learned weights alpha (Tranin et al. 2022, A&A 657).

        score_c = log prior(c) + b_c + sum over properties of contribution[p, c]

    One-dimensional class densities give log-likelihoods; the weights are learned on those of inner
    folds, by densities that never saw the row, and so are the penalty and the decision rule.
    Always float64, whatever JAX's setting. The same work as `xbayes run` on an array.

    Parameters
    ----------
    weights : what has a weight: "category", "property", "property_class", or "matrix", W[p, c, c'].
    categories : None, each property a category of its own, or a label for each column of X.
    density : "smooth", or "published" as in the paper.
    missing : what NaN means. "evidence": looked for and not found, with P(found | class) of its
        own; "ignore": nothing is known, and it contributes exactly zero.
    normalise : divide by the sum of the weights, the published formula; of weights="category" only.
    offsets : learn b, one a class; it counts where something was measured.
    objective : "log_loss", or "f1" of `focus_class`.
    decision : "argmax", or "f1", a rule for the F1 of `focus_class`; probabilities stay.
    focus_class : one of classes_, needed where F1 is.
    prior : "training", or class proportions [C] in the order of classes_, which sum to 1.
    penalty : "auto", the best of a few on inner folds, or a number above 0.
    n_starts : random starts of the weights.
    n_folds : inner folds; no more are made than the smallest class has members (rows, or groups).
        A class of one member does not count there: it is in the densities, but out of fold it has
        only the broad density of all classes. If all classes are such, nothing can be learned, and
        the result is the plain naive Bayes: alpha 1, no offsets, the most probable class.
    random_state : of the folds and the starts.

    Attributes: classes_ [C]; n_features_in_; feature_names_in_ [F], if X has names; alpha_ [F C],
    weight of property and class; weights_, all that is learned (NaiveBayesParams); offset_ [C];
    class_prior_ [C]; category_names_ [G]; penalty_; factor_ [C] of the decision rule; n_folds_.
    """

    def __init__(
        self,
        weights="matrix",
        *,
        categories=None,
        density="smooth",
        missing="evidence",
        normalise=False,
        offsets=True,
        objective="log_loss",
        decision="argmax",
        focus_class=None,
        prior="training",
        penalty="auto",
        n_starts=4,
        n_folds=5,
        random_state=None,
    ):
        self.weights = weights
        self.categories = categories
        self.density = density
        self.missing = missing
        self.normalise = normalise
        self.offsets = offsets
        self.objective = objective
        self.decision = decision
        self.focus_class = focus_class
        self.prior = prior
        self.penalty = penalty
        self.n_starts = n_starts
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, X, y, *, groups=None):
        """Fit to X [N F], where NaN is missing, and the classes y [N].

        Rows of one of `groups` [N] are never split over inner folds. Raises ValueError for wrong
        parameters, infinite values, fewer than 2 classes.
        """
        self._check_parameters()
        X, y = map(np.asarray, validate_data(self, X, y, **ACCEPTED))
        if (np.abs(X) > LARGEST).any():
            raise InputError(f"X has values beyond {LARGEST:g}, whose range overflows; scale them")
        check_classification_targets(y)
        self.classes_, truth = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"AlphaBayesClassifier tells classes apart and needs at least 2; y has 1 class, "
                f"{self.classes_.tolist()[0]!r}"
            )
        log_prior = self._given_log_prior()
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        group = _group_index(groups, X)
        fold, self.n_folds_ = plans.inner_folds(truth, group, int(self.n_folds), seed)
        self._plan = self._make_plan(X.shape[1])
        if not plans.learnable(truth, group):
            self._plan = plans.plain(self._plan)
        features = plans.features_of(X, self._plan.evidence)
        rows = features, Labels(truth, group), fold
        with jax.enable_x64(True):
            rows = plans.pad_training(*rows, plans.padded_rows(len(X)))
            recipe = plans.recipe_of(self._plan)
            classifier, report = fit_classifier(recipe, *rows, jax.random.key(seed))
            self._keep(recipe, classifier, report, log_prior)
        if not report.weights.converged:
            warnings.warn(
                f"the weights did not converge in {int(report.weights.n_steps)} steps; scale or "
                "drop properties, or raise penalty",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X):
        """The class [N] of each row, by the decision rule."""
        chosen = self._apply(X, lambda *rows: classify(*rows).prediction)
        return self.classes_[chosen]

    def predict_proba(self, X):
        """Posterior [N C], rows summing to 1; class_prior_ where nothing was measured."""
        return self._apply(X, lambda *rows: classify(*rows).posterior)

    def predict_log_proba(self, X):
        """Log posterior [N C], finite where the posterior is 0 to rounding."""
        score = self._log_joint(X)
        return score - np.logaddexp.reduce(score, axis=1, keepdims=True)

    def decision_function(self, X):
        """What `predict` compares: log posterior + log factor [N C]; of 2 classes the log-odds [N].

        Two classes: above 0 where the second is predicted.
        """
        score = self.predict_log_proba(X) + np.log(self.factor_)
        return score[:, 1] - score[:, 0] if score.shape[1] == 2 else score

    def contributions(self, X):
        """What each property adds to the score of each class [N F C].

        Their sum over F, with log(class_prior_) and, where anything was measured, offset_, is the
        log posterior but for a constant of the row: differences between classes are log-odds.
        """
        return self._apply(X, lambda *rows: explain(*rows).contribution)

    def outlier_probability(self, X):
        """Share [N] of held-out rows of the predicted class at least as strange as this one."""
        return self._apply(X, lambda *rows: classify(*rows).outlier_p)

    def __sklearn_tags__(self):
        """NaN is allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_parameters(self):
        for name, allowed in CHOICES.items():
            given = getattr(self, name)
            if not isinstance(given, str) or given not in allowed:
                raise InputError(f"{name} is one of {allowed}; got {given!r}")
        for name in ("normalise", "offsets"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(f"{name} is True or False; got {getattr(self, name)!r}")
        for name, least in {"n_starts": 1, "n_folds": 2}.items():
            given = getattr(self, name)
            if not _is(numbers.Integral, given) or given < least:
                raise InputError(f"{name} is a whole number, at least {least}; got {given!r}")
        _penalties(self.penalty)
        if self.normalise and self.weights != "category":
            raise InputError(f'normalise=True needs weights="category"; got {self.weights!r}')
        if self.focus_class is None and "f1" in (self.objective, self.decision):
            raise InputError("objective or decision f1 needs focus_class, one of the classes of y")

    def _given_log_prior(self):
        """Log prior [C] that replaces the training one; None for the training one."""
        if isinstance(self.prior, str) and self.prior == "training":
            return None
        n_classes = len(self.classes_)
        rule = (
            f'prior is "training" or {n_classes} proportions above 0 that sum to 1, in the order '
            f"of the classes {self.classes_.tolist()}"
        )
        try:
            share = np.asarray(self.prior, np.float64)
        except (TypeError, ValueError):
            raise InputError(f"{rule}; got {self.prior!r}") from None
        if share.shape != (n_classes,) or not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
            raise InputError(f"{rule}; got {self.prior!r}")
        return np.log(share / share.sum())

    def _make_plan(self, n_features: int) -> plans.Plan:
        self.category_names_, category = self._categories(n_features)
        return plans.Plan(
            category=category,
            n_classes=len(self.classes_),
            weights=self.weights,
            normalise=bool(self.normalise),
            offsets=bool(self.offsets),
            density=self.density,
            evidence=self.missing == "evidence",
            penalties=_penalties(self.penalty),
            n_starts=int(self.n_starts),
            n_folds=self.n_folds_,
            objective=self.objective,
            decision=self.decision,
            focus=self._focus(),
        )

    def _categories(self, n_features: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """Names [G] in the order they first appear, and the category of each property."""
        if self.categories is None:
            names = getattr(self, "feature_names_in_", [f"x{f}" for f in range(n_features)])
            return np.asarray(names, object), tuple(range(n_features))
        given = [] if isinstance(self.categories, str) else list(self.categories)
        if len(given) != n_features:
            raise InputError(
                f"categories is None or one label for each of the {n_features} columns of X; got "
                f"{self.categories!r}"
            )
        names = list(dict.fromkeys(given))
        return np.asarray(names, object), tuple(map(names.index, given))

    def _focus(self) -> int:
        if self.focus_class is None:
            return -1
        found = [c for c, name in enumerate(self.classes_.tolist()) if name == self.focus_class]
        if not found:
            raise InputError(
                f"focus_class is one of {self.classes_.tolist()}; got {self.focus_class!r}"
            )
        return found[0]

    def _keep(self, recipe: Recipe, classifier: Classifier, report: FitReport, log_prior):
        # Without calibration the prior is one term of the score, whichever it is.
        weights = classifier.weights
        if log_prior is not None:
            weights = weights._replace(log_prior=jnp.asarray(log_prior))
        self.alpha_ = np.asarray(recipe.model.alpha(weights))
        self._classifier = plans.storable(classifier._replace(weights=weights))
        self.weights_, self.factor_ = self._classifier.weights, self._classifier.class_weight
        self.class_prior_ = np.exp(self.weights_.log_prior)
        self.offset_ = self.weights_.offset if self._plan.offsets else np.zeros_like(self.factor_)
        self.penalty_ = report.penalty

    def _log_joint(self, X) -> np.ndarray:
        def one(recipe: Recipe, classifier: Classifier, features: Features) -> np.ndarray:
            terms = explain(recipe, classifier, features)
            return terms.log_prior + terms.offset + terms.contribution.sum(1)

        return self._apply(X, one)

    def _apply(self, X, compute: Callable[..., np.ndarray]) -> np.ndarray:
        """`compute(recipe, classifier, features)` [N ...] of all rows, a chunk at a time.

        Not the chunks of `classify`: those run in threads, which do not know of float64 here.
        """
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False, **ACCEPTED))
        recipe, size = plans.recipe_of(self._plan), plans.chunk_rows(len(X))
        parts = []
        with jax.enable_x64(True):
            classifier = jax.tree.map(jnp.asarray, self._classifier)
            for first in range(0, len(X), size):
                rows = plans.features_of(X[first : first + size], self._plan.evidence)
                found = compute(recipe, classifier, rows.padded(size))
                parts.append(found[: len(rows.value)])
        return np.concatenate(parts)


def _penalties(penalty: Any) -> tuple[float, ...]:
    if isinstance(penalty, str) and penalty == "auto":
        return PENALTIES
    if not _is(numbers.Real, penalty) or not 0 < float(penalty) < np.inf:
        raise InputError(f'penalty is "auto" or a number above 0; got {penalty!r}')
    return (float(penalty),)


def _is(kind: type, given: object) -> bool:
    return isinstance(given, kind) and not isinstance(given, bool | np.bool_)


def _group_index(groups, X) -> np.ndarray:
    """A number for each row's group [N]; without groups each row is one."""
    if groups is None:
        return np.arange(len(X))
    check_consistent_length(X, groups)
    return np.unique(column_or_1d(groups), return_inverse=True)[1]
