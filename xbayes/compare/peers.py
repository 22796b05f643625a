"""The peers: classifiers that others use, given what ours are given.

The same properties (NaN where nothing was observed), the same outer and inner folds, the same
decision rule and the same calibration, both fitted on held-out probabilities of the inner folds.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.compare.hard_rules import RuleTree, fit_rules, predict_rules
from xbayes.config.checks import did_you_mean
from xbayes.types import InputError

Stages = tuple[int, ...]  # numbers of trees; none for a model that has no such stages


class Sample(NamedTuple):
    """What a peer learns from."""

    x: Float[np.ndarray, "N F"]  # NaN where not observed
    truth: Int[np.ndarray, "N"]
    n_classes: int
    names: tuple[str, ...]  # of the properties


class Peer(NamedTuple):
    """A classifier that is not ours."""

    title: str
    library: str  # the module it needs
    fit: Callable[[Sample, int, dict], Any]  # (sample, seed, settings) -> model
    predict: Callable[[Any, np.ndarray, Stages], list[np.ndarray]]  # [N, C] of each stage
    # Settings to choose from by log loss on the inner folds, and numbers of trees likewise: a model
    # of many trees tells what its first ones would have said.
    settings: tuple[dict, ...]
    stages: Stages = ()


def _fit_forest(sample: Sample, seed: int, settings: dict) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(**settings, random_state=seed, n_jobs=1)
    return model.fit(sample.x, sample.truth)


def _fit_histogram_boosting(sample: Sample, seed: int, settings: dict) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Its own early stopping would hold training sources out; the number of trees is chosen anyway.
    options: dict[str, Any] = {"early_stopping": False, "random_state": seed}
    model = HistGradientBoostingClassifier(**settings, **options)
    return model.fit(sample.x, sample.truth)


def _fit_lightgbm(sample: Sample, seed: int, settings: dict) -> Any:
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(**settings, random_state=seed, n_jobs=1, verbose=-1)
    return model.fit(sample.x, sample.truth)


def _fit_explainable_boosting(sample: Sample, seed: int, settings: dict) -> Any:
    from interpret.glassbox import ExplainableBoostingClassifier

    model = ExplainableBoostingClassifier(**settings, random_state=seed, n_jobs=1)
    return model.fit(sample.x, sample.truth)


def _predict(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    return [np.asarray(model.predict_proba(x), np.float64)]


def _predict_histogram_boosting(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    staged = {n: p for n, p in enumerate(model.staged_predict_proba(x), 1) if n in stages}
    return [np.asarray(staged[n], np.float64) for n in stages]


def _predict_lightgbm(model: Any, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    # The booster itself: its scikit-learn face warns that arrays have no names.
    return [np.asarray(model.booster_.predict(x, num_iteration=n), np.float64) for n in stages]


def _predict_rules(model: RuleTree, x: np.ndarray, stages: Stages) -> list[np.ndarray]:
    return [predict_rules(model, x)]


# The only place where settings of peers are said. What is not said is the library's default; no
# class weights, which spoil probabilities. Boosting has a slow rate, so that the number of trees,
# which decides its log loss on small samples, can be chosen finely; the smaller trees are what
# one takes for a few thousand sources.
PEERS = {
    "random_forest": Peer(
        "random forest (scikit-learn)",
        "sklearn",
        _fit_forest,
        _predict,
        ({"n_estimators": 300, "min_samples_leaf": 3},),
    ),
    "hist_gradient_boosting": Peer(
        "histogram gradient boosting (scikit-learn)",
        "sklearn",
        _fit_histogram_boosting,
        _predict_histogram_boosting,
        (
            {"learning_rate": 0.06, "max_iter": 120, "max_leaf_nodes": 31},
            {"learning_rate": 0.06, "max_iter": 120, "max_leaf_nodes": 8},
        ),
        (20, 30, 40, 50, 70, 90, 120),
    ),
    "lightgbm": Peer(
        "LightGBM",
        "lightgbm",
        _fit_lightgbm,
        _predict_lightgbm,
        (
            {"learning_rate": 0.05, "n_estimators": 200, "num_leaves": 31},
            {"learning_rate": 0.05, "n_estimators": 200, "num_leaves": 8},
        ),
        (25, 50, 75, 100, 150, 200),
    ),
    "explainable_boosting": Peer(
        "explainable boosting (interpret)",
        "interpret",
        _fit_explainable_boosting,
        _predict,
        # Terms of two properties it has for two classes only; four bags, for its fits are long.
        ({"interactions": 0, "outer_bags": 4},),
    ),
    "hard_rules": Peer(
        "decision tree of hard rules",
        "numpy",
        lambda sample, seed, settings: fit_rules(
            sample.x, sample.truth, sample.n_classes, sample.names
        ),
        _predict_rules,
        ({},),
    ),
}


def chosen_peers(names: Sequence[str]) -> list[str]:
    """The peers asked for, `all` for every one; their libraries are there. Raises `InputError`."""
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
