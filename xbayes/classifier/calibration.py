"""Calibration: class scores become probabilities that match observed frequencies.

The evidence of the data is z = log p(class | data) - log prior(class). The calibrated score is

    log prior + z @ matrix.T + offset

and exactly the log prior if no feature was measured. The kinds of calibration are

none         identity matrix, no offset
temperature  identity matrix times a number, no offset   (Guo et al. 2017, section 4.2)
vector       diagonal matrix, offset                     (Guo et al. 2017, section 4.2)
dirichlet    full matrix, offset; the offset and the elements off the diagonal are shrunk towards
             zero (Kull et al. 2019, Eqs. 6 and 9). They use softmax(W log p + b); here the prior is
             taken out of p, which shifts b.

Calibrators are fitted on nested out-of-fold scores: neither the densities nor the weights behind a
score have seen its row.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.classifier.probabilities import class_posterior, clipped
from xbayes.infer.gradient import log_loss_of_scores, minimise

NONE, AUTO = "none", "auto"
# In sources: a standard normal prior on log scales and offsets, so that none of them diverges.
WEAK_SHRINKAGE = 0.5
MOST_LOG_SCALE = 5.0
MOST_SAMPLES = 25  # posterior samples that a calibrator is fitted on: it has a few numbers only


class Calibrator(NamedTuple):
    """The matrix and offset of a calibration; the identity and zeros change nothing."""

    matrix: Float[Array, "C C"]
    offset: Float[Array, "C"]


class CalibrationReport(NamedTuple):
    """The chosen kind, and the log loss of each candidate on rows it was not fitted to."""

    chosen: str = NONE
    tried: tuple[str, ...] = (NONE,)
    held_out_loss: tuple[float, ...] = (float("nan"),)
    error: tuple[float, ...] = (0.0,)  # standard error of the paired difference to the best


class Calibration(NamedTuple):
    """A fitted calibrator, and the calibrated out-of-fold scores."""

    calibrator: Calibrator
    log_joint: Float[np.ndarray, "N C"]  # each row by the calibrator fitted without its fold
    report: CalibrationReport


class _Kind(NamedTuple):
    """The numbers that define a kind; they are traced, so that all kinds share one compiled fit."""

    by_class: float = 0.0  # 1: a scale and an offset for each class
    full: float = 0.0  # 1: also elements off the diagonal
    shrinkage: float = WEAK_SHRINKAGE  # of the offsets and of these elements, in sources


KINDS = {  # the simplest first
    "temperature": _Kind(),
    "vector": _Kind(by_class=1.0),
    "dirichlet (300)": _Kind(by_class=1.0, full=1.0, shrinkage=300.0),
    "dirichlet (30)": _Kind(by_class=1.0, full=1.0, shrinkage=30.0),
    "dirichlet (3)": _Kind(by_class=1.0, full=1.0, shrinkage=3.0),
}


class _Free(NamedTuple):
    """The unconstrained numbers that a fit optimises."""

    log_temperature: Float[Array, ""]
    log_scale: Float[Array, "C"]
    off_diagonal: Float[Array, "C C"]
    offset: Float[Array, "C"]


def identity(n_classes: int) -> Calibrator:
    """The calibrator that changes nothing."""
    return Calibrator(matrix=jnp.eye(n_classes), offset=jnp.zeros(n_classes))


def calibrated(
    calibrator: Calibrator,
    log_joint: Float[Array | np.ndarray, "*N C"],
    log_prior: Float[Array | np.ndarray, "C"],
    measured: Bool[Array | np.ndarray, "*N"],
) -> Float[Array, "*N C"]:
    """Calibrated scores under `log_prior`, the prior that `log_joint` contains.

    Rows without a measured feature get exactly `log_prior`. To change the prior afterwards, add the
    difference of the log priors.
    """
    log_odds = evidence(log_joint, log_prior) @ calibrator.matrix.T + calibrator.offset
    return jnp.asarray(log_prior) + jnp.where(measured[..., None], log_odds, 0.0)


def evidence(
    log_joint: Float[Array | np.ndarray, "*N C"], log_prior: Float[Array | np.ndarray, "C"]
) -> Float[Array, "*N C"]:
    """z, the log posterior minus the log prior."""
    return jax.nn.log_softmax(jnp.asarray(log_joint)) - log_prior


def fit_calibration(
    log_joint: Float[Array | np.ndarray, "*S N C"],
    log_prior: Float[Array, "C"],
    measured: Bool[np.ndarray, "N"],
    truth: Int[np.ndarray, "N"],
    fold: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    *,
    kind: str = AUTO,
) -> Calibration:
    """The calibrator fitted on out-of-fold scores, and these scores calibrated out of fold.

    Every candidate is fitted without each fold in turn and scored on that fold. `auto` takes the
    simplest kind whose log loss is within one standard error of the best. The standard error is
    that of the paired difference, with groups kept together (Breiman et al. 1984, section 3.4.3).
    If all rows are of one class, nothing can be learned and the scores stay as they are.

    Parameters
    ----------
    log_joint
        Scores under `log_prior`. A leading axis holds posterior samples; then the mean over samples
        of the calibrated probabilities is fitted, on at most MOST_SAMPLES of them.
    measured
        Rows with at least one measured feature.
    fold
        Rows of fold -1 are ignored.
    """
    rows = fold >= 0
    log_joint = jnp.where(rows[:, None], jnp.asarray(log_joint), log_prior)
    log_joint = log_joint.reshape(-1, *log_joint.shape[-2:])  # [S, N, C]
    n_classes, unchanged = len(log_prior), np.asarray(_log_mean(log_joint), np.float64)
    if kind == NONE or len(np.unique(truth[rows])) < 2:
        return Calibration(
            calibrator=identity(n_classes), log_joint=unchanged, report=CalibrationReport()
        )
    z = evidence(_evenly_thinned(log_joint), log_prior)
    folds = range(int(fold.max()) + 1)
    training = np.stack([rows, *(rows & (fold != j) for j in folds)])  # [1 + J, N]
    row_weight, seen = jnp.asarray(training, z.dtype), jnp.asarray(measured)
    kinds = {name: k for name, k in KINDS.items() if kind == AUTO or name.startswith(kind)}
    fits = [
        _fit_folds(jnp.asarray(k, z.dtype), z, log_prior, seen, jnp.asarray(truth), row_weight)
        for k in kinds.values()
    ]
    scores = [unchanged, *(_out_of_fold(f, log_joint, log_prior, measured, fold) for f in fits)]
    loss = np.stack([_log_losses(score[rows], truth[rows]) for score in scores])
    report = _choose((NONE, *kinds), loss, group[rows], kind == AUTO)
    best = report.tried.index(report.chosen)
    whole = identity(n_classes) if best == 0 else jax.tree.map(lambda a: a[0], fits[best - 1])
    return Calibration(calibrator=whole, log_joint=scores[best], report=report)


def _evenly_thinned(log_joint: Float[Array, "S N C"]) -> Float[Array, "M N C"]:
    chosen = np.linspace(0, len(log_joint) - 1, min(len(log_joint), MOST_SAMPLES))
    return log_joint[chosen.round().astype(int)]


@jax.jit
def _fit_folds(kind, z, log_prior, measured, truth, row_weight) -> Calibrator:
    """Calibrators [1 + J ...] fitted on all rows and without each fold."""
    return jax.lax.map(partial(_fit, kind, z, log_prior, measured, truth), row_weight)


def _fit(kind, z, log_prior, measured, truth, row_weight) -> Calibrator:
    by_class, full, shrinkage = kind
    n_classes = z.shape[-1]
    is_off_diagonal = 1.0 - jnp.eye(n_classes)

    def calibrator_of(free: _Free) -> Calibrator:
        log_scale = free.log_temperature + by_class * free.log_scale
        scale = jnp.exp(jnp.clip(log_scale, -MOST_LOG_SCALE, MOST_LOG_SCALE))
        matrix = jnp.diag(scale) + full * is_off_diagonal * free.off_diagonal
        return Calibrator(matrix=matrix, offset=by_class * free.offset)

    def loss(free: _Free):
        calibrator = calibrator_of(free)
        log_odds = z @ calibrator.matrix.T + calibrator.offset
        score = _log_mean(log_prior + log_odds * measured[:, None])
        scales = free.log_temperature**2 + (free.log_scale**2).sum()
        others = (free.offset**2).sum() + (is_off_diagonal * free.off_diagonal**2).sum()
        total = jnp.maximum(row_weight.sum(), 1.0)
        fit = log_loss_of_scores(score, truth, row_weight)
        return fit + (WEAK_SHRINKAGE * scales + shrinkage * others) / total

    zero = jnp.zeros(n_classes, z.dtype)
    start = _Free(
        log_temperature=zero[0],
        log_scale=zero,
        off_diagonal=jnp.zeros((n_classes, n_classes), z.dtype),
        offset=zero,
    )
    return calibrator_of(minimise(loss, start)[0])


def _out_of_fold(fits: Calibrator, log_joint, log_prior, measured, fold) -> np.ndarray:
    """Each row's score by the calibrator that was fitted without its fold."""
    measured = jnp.broadcast_to(jnp.asarray(measured), log_joint.shape[:-1])
    scores = [
        _log_mean(
            calibrated(jax.tree.map(lambda a, j=j: a[j], fits), log_joint, log_prior, measured)
        )
        for j in range(1, len(fits.matrix))
    ]
    own_fold = jnp.stack(scores)[np.maximum(fold, 0), np.arange(len(fold))]
    return np.asarray(own_fold, np.float64)


def _log_mean(score: Float[Array, "S N C"]) -> Float[Array, "N C"]:
    """Log of the mean probability over samples; the scores of a single sample stay as they are."""
    if len(score) == 1:
        return score[0]
    return jax.nn.logsumexp(jax.nn.log_softmax(score), axis=0) - jnp.log(len(score))


def _log_losses(log_joint: np.ndarray, truth: np.ndarray) -> np.ndarray:
    probability = clipped(class_posterior(log_joint))
    return -np.log(probability[np.arange(len(truth)), truth])


def _choose(
    names: tuple[str, ...], loss: np.ndarray, group: np.ndarray, auto: bool
) -> CalibrationReport:
    """The simplest of `names` within one standard error of the best, by the `loss` of each row.

    Unless `auto`, the user chose the kind, so that none (the first name) is no candidate.
    """
    mean = np.nan_to_num(loss.mean(1), nan=np.inf)
    first = 0 if auto else 1
    best = first + int(mean[first:].argmin())
    _, member = np.unique(group, return_inverse=True)
    difference = loss - loss[best] - (mean - mean[best])[:, None]
    sums = np.stack([np.bincount(member, row) for row in difference])  # [K, groups]
    error = np.sqrt((sums**2).sum(1)) / loss.shape[1]
    within = np.flatnonzero((mean <= mean[best] + error) & (np.arange(len(mean)) >= first))
    return CalibrationReport(
        chosen=names[int(within[0])],
        tried=names,
        held_out_loss=tuple(mean.tolist()),
        error=tuple(error.tolist()),
    )
