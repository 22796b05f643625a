"""Nested cross-validation of a peer, on the same folds as `cross_validate`."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.calibration import AUTO, Calibration, calibrated, fit_calibration
from xbayes.classifier.decision import by_class_weight, decide, fit_class_weight
from xbayes.classifier.probabilities import class_posterior, clipped
from xbayes.compare.peers import Peer, Sample
from xbayes.compare.plan import Folds
from xbayes.compare.predictions import VariantPredictions
from xbayes.evaluate.cross_validate import Split, labelled_rows, nested_splits
from xbayes.evaluate.scores import log_losses
from xbayes.types import Features, Labels


class FittedPeer(NamedTuple):
    """A peer fitted on one training part, with its calibration and its decision rule."""

    model: Any  # of the library of the peer
    stage: int | None  # number of trees
    calibration: Calibration
    log_prior: Float[np.ndarray, "C"]
    class_weight: Float[np.ndarray, "C"]
    chosen: str


class _InnerFit(NamedTuple):
    """The best settings, and the out-of-fold probabilities on the inner folds."""

    posterior: Float[np.ndarray, "N C"]  # equal probabilities in the test rows, which are not read
    settings: dict[str, Any]
    stage: int | None


def cross_validate_peer(
    peer: Peer,
    features: Features,
    labels: Labels,
    folds: Folds,
    *,
    names: tuple[str, ...],
    n_classes: int,
    focus: int,
    calibration: str = AUTO,
    log_prior: Float[np.ndarray, "C"] | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> VariantPredictions:
    """Predictions for each labelled row, by peers fitted without it and without its group.

    The calibration, the rule for the F1 of class `focus`, and the settings of the peer are fitted
    or selected on out-of-fold probabilities of the inner folds.

    Parameters
    ----------
    names
        Names of the features, which hard rules need.
    log_prior
        Replaces the training proportions in the posteriors; None keeps them.
    """
    rows, features, labels = labelled_rows(features, labels)
    x = np.where(features.measured, features.value, np.nan).astype(np.float64)
    sample = Sample(x=x, truth=labels.class_index, n_classes=n_classes, names=names)
    shape = (folds.repeats, len(rows))
    outer, prediction = np.full(shape, -1), np.full(shape, -1)
    posterior = np.full((*shape, n_classes), np.nan)
    fit_seconds, predict_seconds, chosen = 0.0, 0.0, []
    splits = list(nested_splits(labels, *folds))
    for split in splits:
        progress(f"outer fold {split.number + 1} of {len(splits)}")
        started = time.monotonic()
        fitted = fit_peer(peer, sample, labels.group, split, focus, calibration)
        fit_ended = time.monotonic()
        prior = log_prior if labels.log_prior is None else labels.log_prior[split.test]
        p = apply_peer(peer, fitted, x[split.test], prior)
        outer[split.repeat, split.test] = split.fold
        posterior[split.repeat, split.test] = p
        prediction[split.repeat, split.test] = decide(p, by_class_weight(fitted.class_weight))
        fit_seconds += fit_ended - started
        predict_seconds += time.monotonic() - fit_ended
        chosen.append(fitted.chosen)
    tested = outer[0] >= 0  # a release that cannot be held out is not tested
    return VariantPredictions(
        outer_fold=outer[:, tested],
        posterior=posterior[:, tested],
        prediction=prediction[:, tested],
        fit_seconds=fit_seconds,
        predict_seconds=predict_seconds,
        chosen=tuple(chosen),
    )


def fit_peer(
    peer: Peer,
    sample: Sample,
    group: Int[np.ndarray, "N"],
    split: Split,
    focus: int,
    calibration: str,
) -> FittedPeer:
    """A peer fitted on the training part of a split, calibrated on its inner folds."""
    training = split.inner >= 0
    inner = _fit_inner_folds(peer, sample, split)
    members = np.bincount(sample.truth[training], minlength=sample.n_classes)
    log_prior = np.log(members / members.sum())
    score = jnp.asarray(np.log(clipped(inner.posterior)))
    calibrator = fit_calibration(
        score,
        jnp.asarray(log_prior, score.dtype),
        _any_measured(sample.x),
        np.where(training, sample.truth, -1),
        split.inner,
        group,
        kind=calibration,
    )
    class_weight = fit_class_weight(
        class_posterior(calibrator.log_joint[training]),
        sample.truth[training],
        group[training],
        focus,
        split.seed,
    )
    (model,) = _fit_parts(peer, sample, [training], split.seed, inner.settings)
    chosen = [f"{name} {value}" for name, value in inner.settings.items()]
    chosen += [f"trees {inner.stage}"] if inner.stage is not None else []
    return FittedPeer(
        model=model,
        stage=inner.stage,
        calibration=calibrator,
        log_prior=log_prior,
        class_weight=class_weight,
        chosen=", ".join([*chosen, f"calibration {calibrator.report.chosen}"]),
    )


def apply_peer(
    peer: Peer,
    fitted: FittedPeer,
    x: Float[np.ndarray, "N F"],
    log_prior: Float[np.ndarray, "*R C"] | None,
) -> Float[np.ndarray, "N C"]:
    """Calibrated posteriors of a fitted peer; `log_prior` as in `cross_validate_peer`."""
    stages = () if fitted.stage is None else (fitted.stage,)
    score = np.log(clipped(peer.predict(fitted.model, x, stages)[0]))
    calibrator = fitted.calibration.calibrator
    score = calibrated(calibrator, score, fitted.log_prior, _any_measured(x))
    score = np.asarray(score, np.float64)
    if log_prior is not None:
        score = score + log_prior - fitted.log_prior
    return class_posterior(score)


def _any_measured(x: Float[np.ndarray, "N F"]) -> Bool[np.ndarray, "N"]:
    return np.asarray(np.isfinite(x).any(axis=1))


def _fit_inner_folds(peer: Peer, sample: Sample, split: Split) -> _InnerFit:
    """The settings and the number of trees with the least log loss on the inner folds."""
    training = split.inner >= 0
    folds = range(int(split.inner.max()) + 1)
    parts = [training & (split.inner != j) for j in folds]
    best, least = None, np.inf
    for settings in peer.settings:
        models = _fit_parts(peer, sample, parts, split.seed, settings)
        shape = (max(1, len(peer.stages)), len(sample.truth), sample.n_classes)
        posterior = np.full(shape, 1.0 / sample.n_classes)
        for j, model in zip(folds, models, strict=True):
            test = split.inner == j
            posterior[:, test] = peer.predict(model, sample.x[test], peer.stages)
        for stage, p in zip(peer.stages or (None,), posterior, strict=True):
            loss = log_losses(sample.truth[training], p[training]).mean()
            if loss < least:
                best, least = _InnerFit(posterior=p, settings=settings, stage=stage), loss
    assert best is not None
    return best


def _fit_parts(
    peer: Peer,
    sample: Sample,
    parts: Sequence[Bool[np.ndarray, "N"]],
    seed: int,
    settings: dict[str, Any],
) -> list[Any]:
    """A model for each part, fitted in parallel threads: the libraries release the lock."""

    def fit(rows: Bool[np.ndarray, "N"]) -> Any:
        part = sample._replace(x=sample.x[rows], truth=sample.truth[rows])
        return peer.fit(part, seed, settings)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the libraries about NaN and deprecations
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(fit, parts))
