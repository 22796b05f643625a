"""Calibration: class scores become probabilities that mean what they say.

z = log p(class | data) - log prior(class) is what the data of a source tell. The calibrated score:

    log prior + z @ matrix.T + offset where anything was measured

none         matrix 1, offset 0
temperature  matrix T times 1, offset 0                   (Guo et al. 2017, section 4.2)
vector       diagonal matrix, offset                      (Guo et al. 2017, section 4.2)
dirichlet    full matrix, offset; what is off the diagonal and the offset are shrunk (Kull et al.
             2019, Eqs. 6 and 9). Theirs is softmax(W log p + b); taking the prior out shifts b.

Everything is fitted on scores of rows that neither densities nor weights have seen.
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
LOOSE = 0.5  # sources: log scales and offsets are given a standard normal, so that none diverges
MOST_LOG_SCALE = 5.0


class Calibrator(NamedTuple):
    """What calibrates scores; a unit matrix and zeros change nothing."""

    matrix: Float[Array, "C C"]
    offset: Float[Array, "C"]


class CalibrationReport(NamedTuple):
    """What was chosen, and the log loss of each candidate on rows it was not fitted to."""

    chosen: str = NONE
    tried: tuple[str, ...] = (NONE,)
    held_out_loss: tuple[float, ...] = (float("nan"),)
    error: tuple[float, ...] = (0.0,)  # standard error of the difference to the best, paired


class Calibration(NamedTuple):
    """A fitted calibrator, and the held-out rows as calibrators without their fold see them."""

    calibrator: Calibrator
    log_joint: Float[np.ndarray, "N C"]
    report: CalibrationReport


class _Kind(NamedTuple):
    """A candidate; its numbers are traced, so that all kinds share one compiled fit."""

    name: str
    by_class: float  # 1: a scale and an offset for each class
    full: float  # 1: also what is off the diagonal
    shrinkage: float  # of the latter and the offsets, in sources


# From the simplest on.
KINDS = (
    _Kind("temperature", 0.0, 0.0, LOOSE),
    _Kind("vector", 1.0, 0.0, LOOSE),
    _Kind("dirichlet (300)", 1.0, 1.0, 300.0),
    _Kind("dirichlet (30)", 1.0, 1.0, 30.0),
    _Kind("dirichlet (3)", 1.0, 1.0, 3.0),
)


class _Free(NamedTuple):
    log_temperature: Float[Array, ""]
    log_scale: Float[Array, "C"]
    beside: Float[Array, "C C"]  # off the diagonal
    offset: Float[Array, "C"]


def identity(n_classes: int) -> Calibrator:
    """The calibrator that changes nothing."""
    return Calibrator(jnp.eye(n_classes), jnp.zeros(n_classes))


def calibrated(
    calibrator: Calibrator,
    log_joint: Float[Array | np.ndarray, "*N C"],
    log_prior: Float[Array | np.ndarray, "C"],
    measured: Bool[Array | np.ndarray, "*N"],
) -> Float[Array, "*N C"]:
    """Calibrated scores under the prior of the training part, which is the one in `log_joint`.

    Exactly `log_prior` where nothing was measured. For another prior add the difference of the
    logarithms: it replaces the last term only.
    """
    told = evidence(log_joint, log_prior) @ calibrator.matrix.T + calibrator.offset
    return jnp.asarray(log_prior) + jnp.where(measured[..., None], told, 0.0)


def evidence(
    log_joint: Float[Array | np.ndarray, "*N C"], log_prior: Float[Array | np.ndarray, "C"]
) -> Float[Array, "*N C"]:
    """z, the log posterior less the log prior."""
    return jax.nn.log_softmax(jnp.asarray(log_joint)) - log_prior


def fit_calibration(
    log_joint: Float[Array | np.ndarray, "*D N C"],
    log_prior: Float[Array, "C"],
    measured: Bool[np.ndarray, "N"],
    truth: Int[np.ndarray, "N"],
    fold: Int[np.ndarray, "N"],
    group: Int[np.ndarray, "N"],
    kind: str = AUTO,
) -> Calibration:
    """Fit and choose among kinds on held-out scores; rows of fold -1 change nothing.

    Of scores by draws D, what is calibrated is the mean over draws of calibrated probabilities.

    Every candidate is fitted without each fold in turn and scored on it. `auto` takes the simplest
    whose log loss is within one standard error of the best, the error that of the paired difference
    with groups kept together (Breiman et al. 1984, section 3.4.3). Where all rows are of one class
    nothing can be learned and the scores stay.
    """
    rows = fold >= 0
    log_joint = jnp.where(rows[:, None], jnp.asarray(log_joint), log_prior)
    log_joint = log_joint.reshape(-1, *log_joint.shape[-2:])  # [D, N, C]
    n_classes, stay = len(log_prior), np.asarray(_log_mean(log_joint), np.float64)
    if kind == NONE or len(np.unique(truth[rows])) < 2:
        return Calibration(identity(n_classes), stay, CalibrationReport())
    kinds = [k for k in KINDS if kind == AUTO or k.name.startswith(kind)]
    z = evidence(log_joint, log_prior)
    folds = range(int(fold.max()) + 1)
    inside = np.stack([rows, *(rows & (fold != j) for j in folds)])  # [1 + J, N]
    fits = _fit_all(kinds, z, log_prior, jnp.asarray(measured), jnp.asarray(truth), inside)
    scores = [stay, *(_cross_fitted(fit, log_joint, log_prior, measured, fold) for fit in fits)]
    loss = np.stack([_losses(score[rows], truth[rows]) for score in scores])
    report = _chosen((NONE, *(k.name for k in kinds)), loss, group[rows], kind == AUTO)
    best = report.tried.index(report.chosen)
    whole = identity(n_classes) if best == 0 else jax.tree.map(lambda a: a[0], fits[best - 1])
    return Calibration(whole, scores[best], report)


def _fit_all(kinds, z, log_prior, measured, truth, inside) -> list[Calibrator]:
    """By kind, calibrators [1 + J ...] fitted on all rows and without each fold."""
    fits = []
    for kind in kinds:
        numbers = jnp.asarray([kind.by_class, kind.full, kind.shrinkage], z.dtype)
        fits.append(
            _fit_folds(numbers, z, log_prior, measured, truth, jnp.asarray(inside, z.dtype))
        )
    return fits


@jax.jit
def _fit_folds(numbers, z, log_prior, measured, truth, inside):
    return jax.lax.map(partial(_fit, numbers, z, log_prior, measured, truth), inside)


def _fit(numbers, z, log_prior, measured, truth, row_weight):
    by_class, full, shrinkage = numbers
    n_classes = z.shape[-1]
    beside = 1.0 - jnp.eye(n_classes)

    def made(free: _Free) -> Calibrator:
        log_scale = free.log_temperature + by_class * free.log_scale
        scale = jnp.exp(jnp.clip(log_scale, -MOST_LOG_SCALE, MOST_LOG_SCALE))
        return Calibrator(jnp.diag(scale) + full * beside * free.beside, by_class * free.offset)

    def loss(free: _Free):
        told = z @ made(free).matrix.T + made(free).offset
        score = _log_mean(log_prior + told * measured[:, None])
        loose = free.log_temperature**2 + (free.log_scale**2).sum()
        shrunk = (free.offset**2).sum() + (beside * free.beside**2).sum()
        total = jnp.maximum(row_weight.sum(), 1.0)
        fit = log_loss_of_scores(score, truth, row_weight)
        return fit + (LOOSE * loose + shrinkage * shrunk) / total

    zero = jnp.zeros(n_classes, z.dtype)
    start = _Free(zero[0], zero, jnp.zeros((n_classes, n_classes), z.dtype), zero)
    return made(minimise(loss, start)[0])


def _cross_fitted(fit: Calibrator, log_joint, log_prior, measured, fold) -> np.ndarray:
    """Each row by the calibrator that was fitted without its fold."""
    measured = jnp.broadcast_to(jnp.asarray(measured), log_joint.shape[:-1])
    parts = [
        _log_mean(calibrated(Calibrator(matrix, offset), log_joint, log_prior, measured))
        for matrix, offset in zip(fit.matrix[1:], fit.offset[1:], strict=True)
    ]
    own = jnp.stack(parts)[np.maximum(fold, 0), np.arange(len(fold))]
    return np.asarray(own, np.float64)


def _log_mean(score: Float[Array, "D N C"]) -> Float[Array, "N C"]:
    """log of the mean over draws of the probabilities; scores of one draw stay as they are."""
    if len(score) == 1:
        return score[0]
    return jax.nn.logsumexp(jax.nn.log_softmax(score), axis=0) - jnp.log(len(score))


def _losses(log_joint: np.ndarray, truth: np.ndarray) -> np.ndarray:
    probability = clipped(class_posterior(log_joint))
    return -np.log(probability[np.arange(len(truth)), truth])


def _chosen(names, loss: np.ndarray, group: np.ndarray, auto: bool) -> CalibrationReport:
    """The simplest within one standard error; of a kind that was asked for, the best."""
    mean = np.nan_to_num(loss.mean(1), nan=np.inf)
    first = 0 if auto else 1  # a kind that was asked for is not refused
    best = first + int(mean[first:].argmin())
    _, member = np.unique(group, return_inverse=True)
    difference = loss - loss[best] - (mean - mean[best])[:, None]
    sums = np.stack([np.bincount(member, row) for row in difference])  # [K, groups]
    error = np.sqrt((sums**2).sum(1)) / loss.shape[1]
    within = np.flatnonzero((mean <= mean[best] + error) & (np.arange(len(mean)) >= first))
    chosen = int(within[0])
    return CalibrationReport(names[chosen], names, tuple(mean.tolist()), tuple(error.tolist()))
