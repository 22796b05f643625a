"""The default class densities: smooth, bounded by natural limits, regularised for small classes.

The density of a feature in a class is a Gaussian kernel density, reflected at natural limits. It is
mixed with a broad Student-t of the same class (tails) and shrunk towards the mean over classes,
which counts for `m` pseudo-sources. A broad density common to all classes is added, so that values
far from all training values are no evidence (`far_values.py`). Bandwidth and m maximise the
leave-one-out likelihood of each feature and class. A class too small to choose a bandwidth has a
lower limit on it.

Posterior samples come from a logistic Gaussian process on the same grid, which includes the
uncertainty of the smoothing (`logistic_process.py`). As a point estimate the process scored no
better and took five times as long.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models import detection_rates, error_ladder, log_linear
from xbayes.models import grid as grids
from xbayes.models.base import Density
from xbayes.models.far_values import far_below, log_far
from xbayes.models.kernel_smoothing import (
    TAIL_SOURCES,
    Smoothing,
    choose_smoothing,
    kernel_sums,
    shrunk_density,
    smoothed,
)
from xbayes.models.log_linear import LogLinear
from xbayes.models.logistic_process import ProcessFit, draw_process, fit_process
from xbayes.types import Features

FADE = 0.05  # in units of the length of the grid; evidence ends so far beyond the training values
TAILS = 0.03


class DensityParams(NamedTuple):
    """Log densities on the grid; normalised over the line, tails included."""

    origin: Float[Array, "F"]
    step: Float[Array, "F"]
    log_density: Float[Array, "F B C"]  # of value / step, at the nodes; linear between them
    fall: Float[Array, "F C 2"]  # decrease of log density per node beyond the first, the last node
    log_present: Float[Array, "F C"]
    log_missing: Float[Array, "F C"]
    usual_error: Float[Array, "F"]  # of the training values; stands for an unknown error
    # The densities of the E features with errors, convolved with R widths (`error_ladder`).
    wide_log_density: Float[Array, "E R B C"]  # of value / step of the feature
    wide_fall: Float[Array, "E R C 2"]


def smooth_density(
    bounds: Float[np.ndarray, "F 2"],
    evidence: Bool[np.ndarray, "F"],
    n_classes: int,
    missing_weight: float = 1.0,
    n_nodes: int = 128,
    tails: float | Sequence[float] = TAILS,
    *,
    errors: Bool[np.ndarray, "F"] | None = None,
) -> Density:
    """Smooth densities of F features for C classes.

    Parameters
    ----------
    bounds : natural limits of the scaled features, NaN where there is none.
    evidence : whether a non-detection of the feature is evidence.
    missing_weight : exponent of P(not detected | class).
    n_nodes : nodes of each grid, at least 16.
    tails : weight of the broad density common to all classes, in [0, 1); one, or one per feature.
    errors : the features whose values have measurement errors; None for none. Their densities are
        convolved with the error of each source.
    """
    if n_nodes < 16:
        raise ValueError(f"smooth_density needs n_nodes >= 16; got {n_nodes}")
    share = np.broadcast_to(np.asarray(tails, np.float64), len(evidence))
    if not np.all((share >= 0) & (share < 1)):
        raise ValueError(f"smooth_density needs 0 <= tails < 1; got {tails}")
    limits = np.asarray(bounds, np.float64).tobytes()  # bytes, because NaN does not equal NaN
    noisy = () if errors is None else tuple(np.flatnonzero(errors).tolist())
    return _smooth_density(
        limits,
        tuple(evidence.tolist()),
        n_classes,
        missing_weight,
        n_nodes,
        tuple(share.tolist()),
        noisy,
    )


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _smooth_density(
    limits: bytes,
    evidence: tuple[bool, ...],
    n_classes: int,
    missing_weight: float,
    n_nodes: int,
    tails: tuple[float, ...],
    noisy: tuple[int, ...],
) -> Density:
    bounds = np.frombuffer(limits).reshape(-1, 2)
    limited = np.isfinite(bounds)

    def as_params(grid, log_density, counts, presence_sources):
        log_density = _common_beyond(log_density, counts.value)
        log_density, fall = log_linear.normalised(jnp.asarray(grid.reflect), log_density)
        wide_log_density, wide_fall = _wide(log_density, fall, limited, noisy)
        log_present, log_missing = detection_rates.log_rates(
            counts.present, counts.available, presence_sources, grid.evidence, missing_weight
        )
        return DensityParams(
            origin=jnp.asarray(grid.origin),
            step=jnp.asarray(grid.step),
            log_density=log_density.transpose(0, 2, 1),
            fall=fall,
            log_present=log_present,
            log_missing=log_missing,
            usual_error=jnp.asarray(grid.usual_error),
            wide_log_density=wide_log_density,
            wide_fall=wide_fall,
        )

    def fit(grid, counts):
        smoothing = choose_smoothing(counts.value, *kernel_sums(grid, counts.value))
        log_density = jnp.log(smoothed(grid, counts.value, smoothing))
        sources = detection_rates.pseudo_sources(counts.present, counts.available)
        return as_params(grid, log_density, counts, sources)

    def prepare_sampling(grid, counts):
        smoothing = choose_smoothing(counts.value, *kernel_sums(grid, counts.value))
        pool = jnp.broadcast_to(smoothing.pool, counts.value.shape)
        return smoothing, fit_process(counts.value, jnp.log(pool))

    def sample(key, grid, fitted, counts):
        value_key, presence_key = jax.random.split(key)
        smoothing, process = fitted
        log_density = _sampled(value_key, grid, smoothing, process, counts.value)
        sources = detection_rates.pseudo_sources(counts.present, counts.available)
        shape = jnp.broadcast_to(sources, counts.present.shape)
        return as_params(grid, log_density, counts, jax.random.gamma(presence_key, shape))

    return Density(
        prepare=partial(
            grids.lay_grid,
            bounds=bounds,
            evidence=np.array(evidence, bool),
            n_nodes=n_nodes,
            margin=0.15,
        ),
        statistics=partial(grids.count, n_classes=n_classes, n_nodes=n_nodes),
        fit=jax.jit(fit),
        log_lik=jax.jit(partial(log_lik, limited=limited, tails=tails, noisy=noisy)),
        share_below=jax.jit(partial(share_below, limited=limited, tails=tails, noisy=noisy)),
        curves=grids.curves,
        reweigh_missing=grids.reweigh_missing,
        with_missing_weight=grids.with_missing_weight,
        prepare_sampling=jax.jit(prepare_sampling),
        sample=jax.jit(sample),
    )


def log_lik(
    params: DensityParams,
    features: Features,
    limited: Bool[np.ndarray, "F 2"],
    tails: tuple[float, ...],
    noisy: tuple[int, ...] = (),
) -> Float[Array, "N F C"]:
    """Log density of each value and class with its detection term; zero where not available.

    `limited` marks natural limits at the first and the last node. The densities of the features
    `noisy` are convolved with the error of each source; an unknown error counts as the usual one.
    """
    every, value = jnp.arange(len(params.origin)), grids.measured_value(features)
    log_density = log_linear.log_height(_curves(params), every, value)
    if noisy:
        curves, (rung, share) = _rungs(params, limited, noisy), _rungs_of(params, features, noisy)
        own, at = value[:, noisy], rung + error_ladder.N_RUNGS * jnp.arange(len(noisy))
        low, high = (log_linear.log_height(curves, k, own)[..., :] for k in (at, at + 1))
        share = share[..., None]
        mixed = jnp.logaddexp(jnp.log1p(-share) + low, jnp.log(jnp.maximum(share, 1e-30)) + high)
        log_density = log_density.at[:, noisy].set(jnp.where(share > 0, mixed, low))
    if any(tails):
        share = jnp.asarray(tails, value.dtype)
        position, n_nodes = log_linear.position_of(_curves(params), every, value), _n_nodes(params)
        far = jnp.log(share) + log_far(position, limited, n_nodes)
        log_density = jnp.logaddexp(jnp.log1p(-share)[:, None] + log_density, far[..., None])
    return grids.presence_log_lik(features, params.log_present, params.log_missing, log_density)


def share_below(
    params: DensityParams,
    features: Features,
    limited: Bool[np.ndarray, "F 2"],
    tails: tuple[float, ...],
    noisy: tuple[int, ...] = (),
) -> Float[Array, "N F C"]:
    """Share of each class below the value, tails and errors included; NaN where not measured."""
    curves, every = _curves(params), jnp.arange(len(params.origin))
    value = grids.measured_value(features)
    below = log_linear.share_below(curves, jnp.asarray(limited), every, value)
    if noisy:
        wide, (rung, share) = _rungs(params, limited, noisy), _rungs_of(params, features, noisy)
        own, at = value[:, noisy], rung + error_ladder.N_RUNGS * jnp.arange(len(noisy))
        ends = jnp.asarray(np.repeat(limited[list(noisy)], error_ladder.N_RUNGS, axis=0))
        low, high = (log_linear.share_below(wide, ends, k, own) for k in (at, at + 1))
        below = below.at[:, noisy].set(low + share[..., None] * (high - low))
    place = log_linear.position_of(curves, every, value)
    share = jnp.asarray(tails, value.dtype)
    far = share * far_below(place, limited, _n_nodes(params))
    below = (1 - share)[:, None] * below + far[..., None]
    return jnp.where(jnp.asarray(features.measured)[..., None], below, jnp.nan)


def _curves(params: DensityParams) -> LogLinear:
    return LogLinear(
        origin=params.origin, step=params.step, log_density=params.log_density, fall=params.fall
    )


def _n_nodes(params: DensityParams) -> int:
    return params.log_density.shape[1]


def _wide(log_density: Float[Array, "F C B"], fall, limited, noisy: tuple[int, ...]):
    """The convolved densities [E R B C], per node of the first rung, and their slopes [E R C 2]."""
    _, n_classes, n_nodes = log_density.shape
    n_wide = error_ladder.N_RUNGS - 1
    wide = jnp.zeros((len(noisy), n_wide, n_classes, n_nodes), log_density.dtype)
    falls = jnp.zeros((len(noisy), n_wide, n_classes, 2), log_density.dtype)
    for ends in sorted({tuple(limited[f].tolist()) for f in noisy}):
        rows = [e for e, f in enumerate(noisy) if tuple(limited[f].tolist()) == ends]
        f = np.array(noisy)[rows]
        rungs = error_ladder.convolved(jnp.exp(log_density[f]), fall[f], ends)
        flat = jnp.log(jnp.maximum(rungs, 1e-30)).reshape(-1, n_classes, n_nodes)
        flat, slopes = log_linear.normalised(jnp.array([ends] * len(flat)), flat)
        _, step = error_ladder.rung_grids(ends, n_nodes)
        in_base = flat.reshape(rungs.shape) - jnp.log(step[1:])[:, None, None]
        wide = wide.at[np.array(rows)].set(in_base)
        falls = falls.at[np.array(rows)].set(slopes.reshape(*rungs.shape[:-1], 2))
    return wide.transpose(0, 1, 3, 2), falls


def _rungs(params: DensityParams, limited, noisy: tuple[int, ...]) -> LogLinear:
    """The densities on all rungs, one after another for each feature with errors."""
    f = np.array(noisy)
    grids_of = [error_ladder.rung_grids(tuple(limited[k].tolist()), _n_nodes(params)) for k in f]
    origin, step = (
        jnp.asarray(np.stack(part), params.step.dtype) for part in zip(*grids_of, strict=True)
    )
    joined = jnp.concatenate([params.log_density[f, None], params.wide_log_density], 1)
    fall = jnp.concatenate([params.fall[f, None], params.wide_fall], 1)
    return LogLinear(
        origin=(params.origin[f, None] + params.step[f, None] * origin).ravel(),
        step=(params.step[f, None] * step).ravel(),
        log_density=joined.reshape(-1, *joined.shape[2:]),
        fall=fall.reshape(-1, *fall.shape[2:]),
    )


def _rungs_of(params: DensityParams, features: Features, noisy: tuple[int, ...]):
    """The rung below the error of each value, and the share of the next one."""
    f = np.array(noisy)
    error = jnp.asarray(features.error)[:, f]
    error = jnp.where(jnp.isfinite(error), error, params.usual_error[f])
    return error_ladder.rung_of(error / params.step[f], _n_nodes(params))


def _sampled(key, grid, smoothing: Smoothing, process: ProcessFit, count) -> Float[Array, "F C B"]:
    """A posterior sample of the log densities, given counts of randomly weighted sources.

    The prior is a logistic Gaussian process around the pool. A feature with few distinct values is
    a histogram. The weight of its pseudo-sources is Gamma distributed, as that of its sources is,
    so the sample is Dirichlet.
    """
    process_key, tail_key, pool_key = jax.random.split(key, 3)
    tail = jax.random.gamma(tail_key, jnp.full_like(smoothing.pseudo, TAIL_SOURCES))
    pool = jax.random.gamma(pool_key, smoothing.pseudo)
    total, _ = kernel_sums(grid, count)
    histogram = jnp.log(shrunk_density(smoothing, count, total, tail, pool))
    discrete = jnp.asarray(grid.discrete)[:, None, None]
    return jnp.where(discrete, histogram, draw_process(process_key, process, count))


def _common_beyond(
    log_density: Float[Array, "F C B"], count: Float[Array, "F C B"]
) -> Float[Array, "F C B"]:
    """Densities whose ratio fades to 1 beyond the range of the training values of all classes.

    Outside this range the densities follow from the pseudo-sources alone, which speak for the
    class with the fewest sources. There the log-ratio is that at the nearest training value, times
    a factor that falls to 0 within FADE.
    """
    n_nodes, occupied = log_density.shape[-1], count.sum(1) > 0  # [F, B]
    node = jnp.arange(n_nodes)
    first = occupied.argmax(-1, keepdims=True)
    last = n_nodes - 1 - occupied[:, ::-1].argmax(-1, keepdims=True)
    nearest = jnp.clip(node, first, last)  # [F, B]
    factor = jnp.clip(1 - jnp.abs(node - nearest) / (FADE * (n_nodes - 1)), 0.0, 1.0)
    mean = log_density.mean(1, keepdims=True)
    ratio = jnp.take_along_axis(log_density - mean, nearest[:, None], axis=2)
    return mean + factor[:, None] * ratio
