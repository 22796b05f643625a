"""Trained on the 2023 release only: scores on the 2022 release, beside the peers.

    experiments/releases/run.py A|B [RUN]

A and B are the halves of `halves.py`. RUN is a run directory of configs/chandra_sources.yaml, made
if it is not there. Each peer has its best treatment of missing values, chosen on half A.
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from halves import half
from interpret.glassbox import ExplainableBoostingClassifier
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.features.build import build_features, needed_columns
from xbayes.features.trained_on import state_degrees

ROOT, DATA = Path(__file__).parents[2], Path(os.environ["XBAYES_DATA"])
CONFIG, N_BOOTSTRAP, XRB = ROOT / "configs" / "chandra_sources.yaml", 2000, 2
TREATMENTS = ("-99", "-99, shared features", "NaN", "NaN, shared features")


def main(wanted: str, run: Path) -> None:
    """Print the table of scores, and whether the posteriors depend on the file."""
    warnings.simplefilter("ignore")
    fit = xbayes.load(run) if run.exists() else xbayes.run(CONFIG, out=run)
    table = read_catalog(DATA / "chandra_sources_2022.csv", text=["name"])
    table = table[half(np.asarray(table["ra"]), np.asarray(table["dec"])) == "AB".index(wanted)]
    training = read_catalog(DATA / "chandra_sources.csv", text=["name"])
    made = fit.classify(table)
    needed = [*dict.fromkeys(["name", "significance", *needed_columns(fit.config)])]
    joined = vstack([training[needed], table[needed]])
    mixed = fit.classify(joined)[len(training) :]
    alone, beside = posterior_of(fit, made), posterior_of(fit, mixed)
    class_of = {
        label: k
        for k, labels in enumerate(fit.config.taxonomy.classes.values())
        for label in labels
    }
    truth = np.array([class_of[label] for label in table["Class"]])
    prediction = np.array([fit.classes.index(name) for name in made["prediction"]])
    print(f"half {wanted}: {len(table)} sources, {np.bincount(truth, minlength=4)} by class")
    largest = np.abs(alone - beside).max()
    print(f"largest difference of a posterior alone and in one file: {largest}")
    show("xbayes", alone, prediction, truth, alone)
    chosen = best_treatments(fit, training, class_of) if wanted == "B" else None
    for name, posterior in peers(fit, training, table, class_of, chosen):
        show(name, posterior, posterior.argmax(1), truth, alone)
    for name, k in zip(fit.classes, range(4), strict=True):
        rows = truth == k
        inside = [name in text.split() for text in made["prediction_set"][rows]]
        print(f"prediction sets, {name}: coverage {np.mean(inside):.3f} of {rows.sum()}")
    print(f"ECE {calibration_error(alone, truth):.4f}; 95 % quantile of a calibrated model:")
    print(f"    {expected_error(alone):.4f}")


def posterior_of(fit, made: Table) -> np.ndarray:
    """The probabilities of the classes [N C] in a classified table."""
    return np.stack([np.asarray(made[f"p_{name}"]) for name in fit.classes], 1)


def features_of(fit, table: Table) -> np.ndarray:
    """The features of the run [N F], NaN where not measured."""
    state_degrees(table, fit.config)
    features, _ = build_features(table, fit.config, {})
    return np.where(features.measured, features.value, np.nan)


def peers(fit, training: Table, table: Table, class_of: dict, chosen: dict | None):
    """The posteriors of each peer, with each treatment of missing values or the chosen one."""
    known = np.array([label in class_of for label in training["Class"]])
    x, new = features_of(fit, training[known]), features_of(fit, table)
    y = np.array([class_of[label] for label in training["Class"][known]])
    shared = ~np.isnan(new).all(0)
    for name, make in MODELS.items():
        for treatment in TREATMENTS if chosen is None else [chosen[name]]:
            use = shared if "shared" in treatment else np.ones(len(shared), bool)
            a, b = x[:, use], new[:, use]
            if treatment.startswith("-99"):
                a, b = np.nan_to_num(a, nan=-99.0), np.nan_to_num(b, nan=-99.0)
            yield f"{name} ({treatment})", make().fit(a, y).predict_proba(b)


def best_treatments(fit, training: Table, class_of: dict) -> dict[str, str]:
    """The treatment of each peer with the least log loss on half A."""
    table = read_catalog(DATA / "chandra_sources_2022.csv", text=["name"])
    table = table[half(np.asarray(table["ra"]), np.asarray(table["dec"])) == 0]
    truth = np.array([class_of[label] for label in table["Class"]])
    losses = {
        name: losses_of(posterior, truth).mean()
        for name, posterior in peers(fit, training, table, class_of, None)
    }
    return {name: min(TREATMENTS, key=lambda t: losses[f"{name} ({t})"]) for name in MODELS}


MODELS = {
    "random forest": lambda: RandomForestClassifier(500, random_state=0),
    "boosted trees (scikit-learn)": lambda: HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=15, random_state=0
    ),
    "LightGBM": lambda: LGBMClassifier(
        n_estimators=150, learning_rate=0.05, num_leaves=15, min_child_samples=10,
        colsample_bytree=0.5, subsample=0.8, subsample_freq=1, random_state=0, verbose=-1, n_jobs=1,
    ),
    "explainable boosting": lambda: ExplainableBoostingClassifier(
        outer_bags=8, interactions=0, random_state=0, n_jobs=1
    ),
}  # fmt: skip


def losses_of(posterior: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log loss of each source."""
    p = np.clip(posterior, 1e-6, None)
    return -np.log(p[np.arange(len(truth)), truth] / p.sum(1))


def show(name: str, posterior, prediction, truth, ours) -> None:
    """Log loss and F1 of XRB with 90 % intervals; probability that ours has the smaller loss."""
    loss, rng = losses_of(posterior, truth), np.random.default_rng(0)
    gain = loss - losses_of(ours, truth)
    draws = rng.integers(0, len(truth), (N_BOOTSTRAP, len(truth)))
    f1 = [f1_of(prediction[rows], truth[rows]) for rows in draws]
    lo, hi = np.quantile(loss[draws].mean(1), [0.05, 0.95])
    a, b = np.nanquantile(f1, [0.05, 0.95])
    print(
        f"{name}: log loss {loss.mean():.4f} ({lo:.4f}-{hi:.4f}), XRB F1 "
        f"{f1_of(prediction, truth):.2f} ({a:.2f}-{b:.2f}), "
        f"P(xbayes better) {(gain[draws].mean(1) > 0).mean():.3f}"
    )


def f1_of(prediction, truth) -> float:
    """The F1 of XRB."""
    chosen, actual = prediction == XRB, truth == XRB
    return 2 * (chosen & actual).sum() / max(chosen.sum() + actual.sum(), 1)


def calibration_error(posterior, truth, n_bins: int = 10) -> float:
    """The calibration error of the most probable class, in equal bins."""
    top, right = posterior.max(1), posterior.argmax(1) == truth
    at = np.minimum((top * n_bins).astype(int), n_bins - 1)
    return sum(abs(right[at == k].sum() - top[at == k].sum()) for k in range(n_bins)) / len(top)


def expected_error(posterior) -> float:
    """The 95 % quantile of the calibration error if the posteriors were the true frequencies."""
    rng, cumulative = np.random.default_rng(1), posterior.cumsum(1)
    drawn = [(rng.random((len(posterior), 1)) > cumulative[:, :-1]).sum(1) for _ in range(500)]
    return float(np.quantile([calibration_error(posterior, truth) for truth in drawn], 0.95))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "runs/releases_default")
