"""Peers: third-party classifiers, fitted to the same data as the variants of xbayes.

They get the same features (NaN where not measured), the same outer and inner folds, and the same
decision rule and calibration, which are fitted on out-of-fold probabilities of the inner folds.
"""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from xbayes.compare.hard_rules import RuleTree, fit_rules, predict_rules
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError

Settings = dict[str, Any]  # keyword arguments of the library
Stages = tuple[int, ...]  # numbers of trees; empty for a model without stages


class Sample(NamedTuple):
    """The training data of a peer."""

    x: Float[np.ndarray, "N F"]  # NaN where not measured
    truth: Int[np.ndarray, "N"]
    n_classes: int
    names: tuple[str, ...]  # of the features


class FitPeer(Protocol):
    """Fits a model of the library to a sample."""

    def __call__(self, sample: Sample, seed: int, settings: Settings) -> Any:
        """The fitted model."""
        ...


class PredictPeer(Protocol):
    """Computes the probabilities of a fitted model after each stage."""

    def __call__(self, model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
        """Probabilities `[N C]` for each stage, or a single array without stages."""
        ...


class Peer(NamedTuple):
    """A third-party classifier."""

    title: str
    library: str  # the module that it needs
    fit: FitPeer
    predict: PredictPeer
    # The settings and the number of trees with the least log loss on the inner folds are selected.
    # One fit serves all numbers of trees: a model of many trees contains the smaller ones.
    settings: tuple[Settings, ...]
    stages: Stages = ()


def _fit_forest(sample: Sample, seed: int, settings: Settings) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(**settings, random_state=seed, n_jobs=1)
    return model.fit(sample.x, sample.truth)


def _fit_histogram_boosting(sample: Sample, seed: int, settings: Settings) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Early stopping would hold training sources out; the number of trees is selected anyway.
    options: dict[str, Any] = {"early_stopping": False, "random_state": seed}
    model = HistGradientBoostingClassifier(**settings, **options)
    return model.fit(sample.x, sample.truth)


def _fit_lightgbm(sample: Sample, seed: int, settings: Settings) -> Any:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(**settings, random_state=seed, n_jobs=1, verbose=-1)
    return model.fit(sample.x, sample.truth)


def _fit_explainable_boosting(sample: Sample, seed: int, settings: Settings) -> Any:
    from interpret.glassbox import ExplainableBoostingClassifier

    model = ExplainableBoostingClassifier(**settings, random_state=seed, n_jobs=1)
    return model.fit(sample.x, sample.truth)


def _predict(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    return [np.asarray(model.predict_proba(x), np.float64)]


def _predict_histogram_boosting(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    staged = {n: p for n, p in enumerate(model.staged_predict_proba(x), 1) if n in stages}
    return [np.asarray(staged[n], np.float64) for n in stages]


def _predict_lightgbm(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    # The scikit-learn interface of the booster warns that arrays have no feature names.
    return [np.asarray(model.booster_.predict(x, num_iteration=n), np.float64) for n in stages]


def _fit_rules(sample: Sample, seed: int, settings: Settings) -> RuleTree:
    return fit_rules(sample.x, sample.truth, sample.n_classes, sample.names)


def _predict_rules(model: RuleTree, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    return [predict_rules(model, x)]


# All other settings are the defaults of the libraries. Class weights are not used, because they
# distort the probabilities. The learning rates are small, because the log loss on small samples
# depends on the number of trees, which can then be selected finely. The smaller of the two tree
# sizes suits a few thousand sources.
PEERS = {
    "random_forest": Peer(
        title="random forest (scikit-learn)",
        library="sklearn",
        fit=_fit_forest,
        predict=_predict,
        settings=({"n_estimators": 300, "min_samples_leaf": 3},),
    ),
    "hist_gradient_boosting": Peer(
        title="histogram gradient boosting (scikit-learn)",
        library="sklearn",
        fit=_fit_histogram_boosting,
        predict=_predict_histogram_boosting,
        settings=(
            {"learning_rate": 0.06, "max_iter": 120, "max_leaf_nodes": 31},
            {"learning_rate": 0.06, "max_iter": 120, "max_leaf_nodes": 8},
        ),
        stages=(20, 30, 40, 50, 70, 90, 120),
    ),
    "lightgbm": Peer(
        title="LightGBM",
        library="lightgbm",
        fit=_fit_lightgbm,
        predict=_predict_lightgbm,
        settings=(
            {"learning_rate": 0.05, "n_estimators": 200, "num_leaves": 31},
            {"learning_rate": 0.05, "n_estimators": 200, "num_leaves": 8},
        ),
        stages=(25, 50, 75, 100, 150, 200),
    ),
    "explainable_boosting": Peer(
        title="explainable boosting (interpret)",
        library="interpret",
        fit=_fit_explainable_boosting,
        predict=_predict,
        # It supports feature interactions for two classes only. Four bags keep the fits short.
        settings=({"interactions": 0, "outer_bags": 4},),
    ),
    "hard_rules": Peer(
        title="decision tree of hard rules",
        library="numpy",
        fit=_fit_rules,
        predict=_predict_rules,
        settings=({},),
    ),
}


def chosen_peers(names: Sequence[str]) -> list[str]:
    """The peers with these names (`all`: every peer), whose libraries are installed.

    Raises `InputError`.
    """
    names = [one for name in names for one in (PEERS if name == "all" else [name])]
    for name in dict.fromkeys(names):
        if name not in PEERS:
            near = did_you_mean(name, [*PEERS, "all"], "peers are")
            raise InputError(f"--peer {name}: no such peer{near}")
        try:
            importlib.import_module(PEERS[name].library)
        except ImportError:
            raise InputError(
                f"--peer {name}: the library {PEERS[name].library!r} is not installed; "
                "pip install 'xbayes[peers]', or leave this peer out"
            ) from None
    return list(dict.fromkeys(names))
