"""Nested cross-validation of a peer, fold by fold as `cross_validate` does it for ours."""

import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.calibration import AUTO, Calibration, calibrated, fit_calibration
from xbayes.classifier.decision import decide, fit_class_weight
from xbayes.classifier.probabilities import class_posterior, clipped
from xbayes.compare.peers import Peer, Sample
from xbayes.evaluate.cross_validate import CrossValidation, Split, labelled_rows, nested_splits
from xbayes.evaluate.scores import log_losses
from xbayes.types import Features, Labels


class HeldOut(NamedTuple):
    """Out-of-fold posteriors of one variant, whatever it is, and its decisions by the F1 rule."""

    outer_fold: Int[np.ndarray, "R N"]
    posterior: Float[np.ndarray, "R N C"]
    prediction: Int[np.ndarray, "R N"]  # -1 where the rule is not known
    fit_seconds: float  # of all folds
    predict_seconds: float
    chosen: tuple[str, ...] = ()  # per outer fold, what was chosen on its inner folds


class Folds(NamedTuple):
    """What decides the folds, said once for all variants."""

    outer: int
    repeats: int
    inner: int
    seed: int
    kind: str = "random"  # or blocks


def held_out_of(found: CrossValidation) -> HeldOut:
    """What comparing needs of a cross-validated config (decision: f1)."""
    chosen = tuple(
        f"penalty {fit.penalty:.3g}, calibration {fit.calibration.chosen}" for fit in found.fits
    )
    return HeldOut(
        found.outer_fold,
        np.stack([p.posterior for p in found.products]),
        np.stack([np.asarray(p.prediction) for p in found.products]).astype(np.int64),
        found.fit_seconds,
        found.classify_seconds,
        chosen,
    )


def cross_validate_peer(
    peer: Peer,
    names: tuple[str, ...],
    n_classes: int,
    features: Features,
    labels: Labels,
    folds: Folds,
    focus: int,
    calibration: str = AUTO,
    log_prior: Float[np.ndarray, "C"] | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> HeldOut:
    """Score each labelled row by a peer that never saw it, nor any row of its group.

    Calibration, the rule for the F1 of class `focus`, and the settings where a peer has several,
    are fitted on probabilities held out on the inner folds. `log_prior` replaces the training
    proportions, as in `cross_validate`.
    """
    rows, features, labels = labelled_rows(features, labels)
    x = np.where(features.measured, features.value, np.nan).astype(np.float64)
    whole, shape = Sample(x, labels.class_index, n_classes, names), (folds.repeats, len(rows))
    outer, prediction = np.full(shape, -1), np.full(shape, -1)
    posterior = np.full((*shape, n_classes), np.nan)
    fitting, predicting, chosen = 0.0, 0.0, []
    splits = nested_splits(labels, *folds)
    for split in splits:
        progress(f"outer fold {split.number + 1} of {folds.outer * folds.repeats}")
        began = time.monotonic()
        fitted = fit_peer(peer, whole, labels.group, split, focus, calibration)
        told = time.monotonic()
        p = apply_peer(peer, fitted, x[split.test], log_prior)
        outer[split.repeat, split.test] = split.fold
        posterior[split.repeat, split.test] = p
        prediction[split.repeat, split.test] = decide(p, fitted.class_weight)
        fitting, predicting = fitting + told - began, predicting + time.monotonic() - told
        chosen.append(fitted.chosen)
    return HeldOut(outer, posterior, prediction, fitting, predicting, tuple(chosen))


class FittedPeer(NamedTuple):
    """A peer fitted on one training part, with its calibration and its rule."""

    model: Any
    stage: int | None
    calibration: Calibration
    log_prior: Float[np.ndarray, "C"]
    class_weight: Float[np.ndarray, "C"]
    chosen: str


def fit_peer(
    peer: Peer, whole: Sample, group: np.ndarray, split: Split, focus: int, kind: str
) -> FittedPeer:
    """A peer fitted on one training part; calibration and rule on its inner folds."""
    training = split.inner >= 0
    held, settings, stage = _held_out_on_inner_folds(peer, whole, split)
    members = np.bincount(whole.truth[training], minlength=whole.n_classes)
    log_prior = np.log(members / members.sum())
    measured = np.asarray(np.isfinite(whole.x).any(axis=1))
    truth = np.where(training, whole.truth, -1)
    score = jnp.asarray(np.log(clipped(held)))
    rows = (measured, truth, split.inner, group)
    calibration = fit_calibration(score, jnp.asarray(log_prior, score.dtype), *rows, kind)
    posterior = class_posterior(calibration.log_joint[training])
    class_weight = fit_class_weight(
        posterior, whole.truth[training], group[training], focus, split.seed
    )
    (model,) = _fit_each(peer, whole, [training], split.seed, settings)
    told = [f"{name} {value}" for name, value in settings.items()]
    told += [f"trees {stage}"] if stage is not None else []
    chosen = ", ".join([*told, f"calibration {calibration.report.chosen}"])
    return FittedPeer(model, stage, calibration, log_prior, class_weight, chosen)


def apply_peer(
    peer: Peer, fitted: FittedPeer, x: Float[np.ndarray, "N F"], log_prior: np.ndarray | None
) -> Float[np.ndarray, "N C"]:
    """Calibrated posteriors of a fitted peer; `log_prior` as in `cross_validate_peer`."""
    stages = () if fitted.stage is None else (fitted.stage,)
    score = np.log(clipped(peer.predict(fitted.model, x, stages)[0]))
    measured = np.asarray(np.isfinite(x).any(axis=1))
    calibrator = fitted.calibration.calibrator
    score = np.asarray(calibrated(calibrator, score, fitted.log_prior, measured), np.float64)
    if log_prior is not None:
        score = score + log_prior - fitted.log_prior
    return class_posterior(score)


def _held_out_on_inner_folds(peer: Peer, whole: Sample, split: Split):
    """Probabilities [N, C] of the training rows; the settings and the number of trees behind them.

    Of several settings those of the least log loss. The rows of the test fold get equal
    probabilities, which nothing reads.
    """
    training = split.inner >= 0
    inner = range(int(split.inner.max()) + 1)
    best, least = None, np.inf
    for settings in peer.settings:
        learned = [training & (split.inner != j) for j in inner]
        models = _fit_each(peer, whole, learned, split.seed, settings)
        shape = (max(1, len(peer.stages)), len(whole.truth), whole.n_classes)
        held = np.full(shape, 1.0 / whole.n_classes)
        for j, model in zip(inner, models, strict=True):
            out = split.inner == j
            held[:, out] = peer.predict(model, whole.x[out], peer.stages)
        for of_stage, stage in zip(held, peer.stages or (None,), strict=True):
            loss = log_losses(whole.truth[training], of_stage[training]).mean()
            if loss < least:
                best, least = (of_stage, settings, stage), loss
    assert best is not None
    return best


def _fit_each(peer: Peer, whole: Sample, parts: list[np.ndarray], seed: int, settings: dict):
    """One fit a training part, side by side: the libraries let go of the interpreter."""

    def fit(rows: np.ndarray) -> Any:
        return peer.fit(whole._replace(x=whole.x[rows], truth=whole.truth[rows]), seed, settings)

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of other libraries, on missing values and their own future
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(fit, parts))
