"""The alpha-weighted naive Bayes classifier as a scikit-learn estimator."""

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
from xbayes.classifier.learned import Classifier, rule_under
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError
from xbayes.estimators import alpha_checks as checks
from xbayes.estimators import alpha_plan as plans
from xbayes.estimators.arrays import complete, plain
from xbayes.types import Features, Labels

LARGEST = 1e300
VALIDATION: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}


class AlphaBayesClassifier(ClassifierMixin, BaseEstimator):
    """Naive Bayes with a learned weight alpha per feature (Tranin et al. 2022, A&A 657).

        score_c = log prior(c) + b_c + sum over features f of contribution[f, c]

    One-dimensional class densities give log-likelihoods. The weights are learned on out-of-fold
    log-likelihoods, and the penalty and the decision rule are chosen on nested out-of-fold scores.
    All computations are in float64, whatever the setting of JAX.

    Parameters
    ----------
    weights : {"category", "property", "property_class", "matrix"}
        One weight per category, per feature, per feature and class, or a matrix W[f, c, c'] per
        feature.
    categories : list or None
        A category label for each column of X; None makes each feature its own category.
    density : {"smooth", "published", "published_code"}
        Smooth densities, the kernel densities as the paper writes them, or as the code of its
        authors computes them (with weights="category" and normalise=True).
    missing : {"evidence", "ignore"}
        "evidence": NaN means not detected, with a learned probability per class. "ignore": NaN
        means not available, and its contribution is exactly zero.
    alpha : dict or None
        Given weights, one for each category, such as published ones. No weights are learned then,
        and there are no offsets: the score is log prior + sum of alpha times r. Needs
        weights="category", which the default weights="matrix" then becomes.
    missing_weight : float
        Exponent, from 0 to 1, of P(not detected | class).
    normalise : bool
        Divide by the sum of the weights, as in the published formula (weights="category" only).
    offsets : bool
        Learn b (not if `alpha` is given); it is added if any feature was measured.
    objective : {"log_loss", "f1"}
        What the weights minimise: the log loss, or also lambda (1 - F1 of `focus_class`), with
        lambda chosen on inner folds; it is 0 unless the F1 gains there.
    decision : {"argmax", "f1", "expected_f1"}
        The most probable class; or a rule for the F1 of `focus_class`: class weights learned from
        labels, or the threshold of largest expected F1.
    focus_class : label or None
        A class of y; needed unless `objective` is "log_loss" and `decision` is "argmax".
    prior : "training" or list
        Class proportions [C] in the order of `classes_`, with sum 1.
    penalty : "auto" or float
        Penalty on the weights; "auto" chooses among a few values on inner folds.
    n_starts : int
        Random starts of the weights.
    n_folds : int
        Inner folds, at most as many as the smallest class has members (rows or groups). Classes
        with a single member do not limit it: out of fold they have the broad density of all
        classes. If every class has a single member, the result is the plain naive Bayes: alpha 1,
        no offsets, the most probable class.
    random_state : int, RandomState or None
        Of the folds and the starts.

    Attributes
    ----------
    classes_ : array [C]
    n_features_in_ : int
    feature_names_in_ : array [F]
        If X has column names.
    alpha_ : array [F C]
        Weight of each feature and class.
    weights_ : NaiveBayesParams
        All learned numbers.
    offset_, class_prior_ : array [C]
    category_names_ : array [G]
    penalty_ : float
        NaN if `alpha` is given.
    factor_ : array [C]
        Class weights of the decision rule.
    threshold_ : float or None
        With decision="expected_f1", the posterior from which `focus_class` is predicted.
    n_folds_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from xbayes.estimators import AlphaBayesClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["AGN", "star"], 60)
    >>> X = rng.normal(size=(120, 2)) + 4.0 * (y == "star")[:, None]
    >>> model = AlphaBayesClassifier(weights="property", n_folds=2).fit(X, y)
    >>> model.predict([[0.0, 0.0], [4.0, 4.0]]).tolist()
    ['AGN', 'star']
    """

    def __init__(
        self,
        weights="matrix",
        *,
        categories=None,
        density="smooth",
        missing="evidence",
        alpha=None,
        missing_weight=1.0,
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
        self.alpha = alpha
        self.missing_weight = missing_weight
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
        """Fit to X [N F], in which NaN and masked values are missing, and the classes y [N].

        Rows with the same value of `groups` [N] stay in one inner fold.

        Raises
        ------
        ValueError
            Invalid parameters, infinite values, a masked or missing class or group, or fewer than 2
            classes.
        """
        checks.check_parameters(self)
        X, y = plain(X), complete("y", y)
        X, y = map(np.asarray, validate_data(self, X, y, **VALIDATION))
        if (np.abs(X) > LARGEST).any():
            raise InputError(f"X has values beyond {LARGEST:g}, which overflow; scale them")
        check_classification_targets(y)
        self.classes_, truth = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"AlphaBayesClassifier needs at least 2 classes; y has 1 class, "
                f"{self.classes_.tolist()[0]!r}"
            )
        log_prior = self._given_log_prior()
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        group = _group_index(groups, X)
        fold, self.n_folds_ = plans.inner_folds(truth, group, int(self.n_folds), seed)
        self._plan = self._make_plan(X.shape[1])
        if not plans.is_learnable(truth, group):
            self._plan = plans.plain(self._plan)
        features, labels = plans.features_of(X, self._plan.evidence), Labels(truth, group)
        with jax.enable_x64(True):
            features, labels, fold = plans.pad_training(
                features, labels, fold, plans.padded_rows(len(X))
            )
            recipe = plans.recipe_of(self._plan)
            classifier, report = fit_classifier(
                recipe, features, labels, fold, jax.random.key(seed)
            )
            self._store(recipe, classifier, report, log_prior)
        if not report.weights.converged:
            warnings.warn(
                f"the weights did not converge in {int(report.weights.n_steps)} steps; scale or "
                "drop features, or raise penalty",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X):
        """The class [N] of each row under the decision rule."""
        chosen = self._products(X, "prediction")  # first, because it checks that there was a fit
        return self.classes_[chosen]

    def predict_proba(self, X):
        """Posterior [N C]; class_prior_ for a row without a measured feature."""
        return self._products(X, "posterior")

    def score(self, X, y, sample_weight=None):
        """Accuracy of `predict`; `sample_weight` [N] defaults to 1."""
        weight = complete("sample_weight", sample_weight)
        return super().score(X, complete("y", y), sample_weight=weight)

    def predict_log_proba(self, X):
        """Log posterior [N C], finite also where the posterior underflows to 0."""

        def log_joint(recipe: Recipe, classifier: Classifier, features: Features) -> np.ndarray:
            terms = explain(recipe, classifier, features)
            return terms.log_prior + terms.offset + terms.contribution.sum(1)

        score = self._apply(X, log_joint)
        return score - np.logaddexp.reduce(score, axis=1, keepdims=True)

    def decision_function(self, X):
        """The values [N C] that `predict` compares: log posterior plus log class weight.

        With a threshold: the log posterior of `focus_class` over the threshold, and the log
        posteriors of the others over the largest of them. For 2 classes: their difference [N],
        positive where the second class is predicted.
        """
        score = self.predict_log_proba(X) + np.log(self.factor_)
        if self.threshold_ is not None:
            is_focus = np.arange(score.shape[1]) == self._focus()
            largest_other = np.where(is_focus, -np.inf, score).max(1, keepdims=True)
            score = score - np.where(is_focus, np.log(self.threshold_), largest_other)
        return score[:, 1] - score[:, 0] if score.shape[1] == 2 else score

    def contributions(self, X):
        """The contribution [N F C] of each feature to the score of each class.

        log(class_prior_) + offset_ + the sum over F is the log posterior up to a constant per row,
        so that differences between classes are log-odds. Rows without a measured feature have no
        offset.
        """
        return self._apply(X, lambda *applied: explain(*applied).contribution)

    def outlier_probability(self, X):
        """The outlier p-value [N].

        It is the fraction of held-out rows of the predicted class with at least the outlier score
        of the row.
        """
        return self._products(X, "outlier_p")

    def __sklearn_tags__(self):
        """Tags of scikit-learn: NaN is allowed in X."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _given_log_prior(self):
        """Log prior [C] that replaces the training prior, or None."""
        if isinstance(self.prior, str) and self.prior == "training":
            return None
        n_classes = len(self.classes_)
        message = (
            f'prior is "training" or {n_classes} proportions above 0 that sum to 1, in the order '
            f"of the classes {self.classes_.tolist()}; got {self.prior!r}"
        )
        try:
            share = np.asarray(complete("prior", self.prior), np.float64)
        except (TypeError, ValueError):
            raise InputError(message) from None
        if share.shape != (n_classes,) or not (share > 0).all() or abs(share.sum() - 1) > 1e-6:
            raise InputError(message)
        return np.log(share / share.sum())

    def _make_plan(self, n_features: int) -> plans.Plan:
        self.category_names_, category = self._categories(n_features)
        return plans.Plan(
            category=category,
            n_classes=len(self.classes_),
            weights=checks.kind_of_weights(self),
            normalise=bool(self.normalise),
            offsets=bool(self.offsets) and self.alpha is None,
            density=self.density,
            evidence=self.missing == "evidence",
            penalties=checks.penalties_of(self.penalty),
            n_starts=int(self.n_starts),
            n_folds=self.n_folds_,
            objective=self.objective,
            decision=self.decision,
            focus=self._focus(),
            missing_weight=float(self.missing_weight),
            alpha=checks.given_alpha(self, self.category_names_.tolist()),
        )

    def _categories(self, n_features: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """Names [G] in the order they first appear, and the category of each feature."""
        if self.categories is None:
            names = getattr(self, "feature_names_in_", [f"x{f}" for f in range(n_features)])
            return np.asarray(names, object), tuple(range(n_features))
        given = (
            []
            if isinstance(self.categories, str)
            else list(complete("categories", self.categories))
        )
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
        classes = self.classes_.tolist()
        if self.focus_class not in classes:
            raise InputError(f"focus_class is one of {classes}; got {self.focus_class!r}")
        return classes.index(self.focus_class)

    def _store(self, recipe: Recipe, classifier: Classifier, report: FitReport, log_prior):
        # There is no calibration, so that the prior is a separate term of the score.
        weights, rule = classifier.weights, rule_under(recipe, classifier, log_prior)
        if log_prior is not None:
            weights = weights._replace(log_prior=jnp.asarray(log_prior))
        self.alpha_ = np.asarray(recipe.model.alpha(weights))
        self._classifier = plans.storable(classifier._replace(weights=weights, rule=rule))
        rule = self._classifier.rule
        self.weights_, self.factor_ = self._classifier.weights, rule.class_weight
        self.threshold_ = float(rule.threshold) if rule.focus >= 0 else None
        self.class_prior_ = np.exp(self.weights_.log_prior)
        self.offset_ = self.weights_.offset if self._plan.offsets else np.zeros_like(self.factor_)
        self.penalty_ = report.penalty

    def _products(self, X, name: str) -> np.ndarray:
        return self._apply(X, lambda *applied: getattr(classify(*applied), name))

    def _apply(
        self, X, compute: Callable[[Recipe, Classifier, Features], np.ndarray]
    ) -> np.ndarray:
        """The values [N ...] that `compute` gives for all rows, chunk by chunk."""
        check_is_fitted(self)
        X = np.asarray(validate_data(self, plain(X), reset=False, **VALIDATION))
        recipe, size = plans.recipe_of(self._plan), plans.chunk_rows(len(X))
        chunks = []
        with jax.enable_x64(True):
            classifier = jax.tree.map(jnp.asarray, self._classifier)
            for first in range(0, len(X), size):
                rows = plans.features_of(X[first : first + size], self._plan.evidence)
                values = compute(recipe, classifier, rows.padded(size))
                chunks.append(values[: len(rows.value)])
        return np.concatenate(chunks)


def _group_index(groups, X) -> np.ndarray:
    """The index [N] of each row's group; without groups every row is a group."""
    if groups is None:
        return np.arange(len(X))
    check_consistent_length(X, groups)
    return np.unique(column_or_1d(complete("groups", groups)), return_inverse=True)[1]
