"""The form of Tranin et al. 2022 (A&A 657, A138) as the code of its authors (CLAXBOI) computes it.

    h(x | c)  kernel exp(-|d| / b) at the centres of 99 bins, b = range / (5 N^0.2)
    L(x | c) = (h + 0.01 / n) / (1 + 0.02 / n), n = 99, normalised again; linear between centres
    P(present | c) = (f + 0.001) / 1.002 for every feature, f the share of class c with a value

    score_c = log prior(c) + e sum over t of alpha_t / sum alpha sum over features p in t of
              log P(present | c) + log L(x_p | c)    if the source has a value
              alpha_null log P(missing | c)          if not

    e = 40 / (2 n_good + alpha_null n_null),  n_good features with a value, n_null without

`log_lik` holds e times the terms, so that the sum over categories is that of the paper. It differs
from the paper (`xbayes.published.density`) in the floor, the histograms (of each class with fewer
than ten distinct values), the presence terms, the exponent e and the grid, whose range is rounded
to two digits. Outside the centres every class has likelihood 1. docs/published_form.md has the
table of the differences, and says which accidents of the code are left out.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.infer.fit_clusters import membership_statistics
from xbayes.models import grid as grids
from xbayes.models.base import Density
from xbayes.published import kernels
from xbayes.published.density import share_below
from xbayes.types import Features

N_BINS = 99  # between the 100 edges of the code
SUPPORT = 100  # parts of the rounded range, one of which is added at either end
EXPONENT = 40.0
FEW = 10  # a class with fewer distinct values keeps its histogram


class CodeDensityParams(NamedTuple):
    """Log probability per bin of each feature and class; the bins are centred on the nodes."""

    origin: Float[Array, "F"]
    step: Float[Array, "F"]
    log_density: Float[Array, "F B C"]
    log_present: Float[Array, "F C"]
    log_missing: Float[Array, "F C"]  # with exponent 1
    missing_weight: Float[Array, ""]  # alpha_null


class CodeRows(NamedTuple):
    """What the densities are fitted to."""

    rows: kernels.TrainingRows
    span: Float[Array | np.ndarray, "F"]  # the rounded range
    distinct: Int[Array | np.ndarray, "N F"]  # number of each distinct value


def published_code_density(cosine: Bool[np.ndarray, "F C"], missing_weight: float = 1.0) -> Density:
    """The densities, presence terms and exponents of the authors' code.

    Parameters
    ----------
    cosine : where feature f is a galactic latitude in degrees, and the density of class c is half
        the kernel density and half cos b.
    missing_weight : alpha_null, the exponent of P(missing | class).
    """
    return _published_code_density(tuple(map(tuple, cosine.tolist())), missing_weight)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _published_code_density(
    of_latitude: tuple[tuple[bool, ...], ...], missing_weight: float
) -> Density:
    cosine = np.array(of_latitude, bool)

    def fit(prepared: CodeRows, membership: Float[Array, "N C"]) -> CodeDensityParams:
        rows = prepared.rows
        height = kernels.half_cosine(_heights(prepared, membership), rows.grid, jnp.asarray(cosine))
        height = kernels.normalised((height + 0.01 / N_BINS) / (1.0 + 0.02 / N_BINS))
        present = (kernels.detected_share(rows, membership)[0] + 0.001) / 1.002
        return CodeDensityParams(
            origin=jnp.asarray(rows.grid.origin),
            step=jnp.asarray(rows.grid.step),
            log_density=jnp.log(height),
            log_present=jnp.log(present),
            log_missing=jnp.log1p(-present),
            missing_weight=jnp.asarray(missing_weight, height.dtype),
        )

    return Density(
        prepare=_prepare,
        statistics=membership_statistics(cosine.shape[1]),
        fit=jax.jit(fit),
        log_lik=jax.jit(log_lik),
        share_below=jax.jit(share_below),
        curves=grids.curves,
        reweigh_missing=_reweigh_missing,
        with_missing_weight=_with_missing_weight,
    )


def log_lik(params: CodeDensityParams, features: Features) -> Float[Array, "N F C"]:
    """The terms of the module's formula, times the exponent e of the source."""
    n_nodes = params.log_density.shape[1]
    position = (grids.measured_value(features) - params.origin) / params.step
    inside = (position >= 0) & (position <= n_nodes - 1)
    low = jnp.clip(jnp.floor(position), 0, n_nodes - 2).astype(jnp.int32)
    share = jnp.clip(position - low, 0.0, 1.0)[..., None]
    f, height = jnp.arange(len(params.log_density)), jnp.exp(params.log_density)
    value = jnp.log((1 - share) * height[f, low] + share * height[f, low + 1])
    value = jnp.where(inside[..., None], value, 0.0)
    missing = params.missing_weight * params.log_missing
    terms = grids.presence_log_lik(features, params.log_present, missing, value)
    counts = _counts(jnp.asarray(features.measured), jnp.asarray(features.available))
    return _exponent(*counts, params.missing_weight)[:, None, None] * terms


def _counts(measured: Bool[Array, "N F"], available: Bool[Array, "N F"]):
    """n_good and n_null of each source."""
    return measured.sum(1), (available & ~measured).sum(1)


def _exponent(n_good: Int[Array, "N"], n_null: Int[Array, "N"], missing_weight):
    """e, and 0 for a source without evidence."""
    size = 2.0 * n_good + missing_weight * n_null
    return jnp.where(size > 0, EXPONENT / jnp.where(size > 0, size, 1.0), 0.0)


def _reweigh_missing(log_lik, measured, available, missing_weight):
    """The exponent alpha_null changes e too."""
    counts = _counts(measured, available)
    size = 2.0 * counts[0] + counts[1]  # of alpha_null = 1
    ratio = _exponent(*counts, missing_weight) * size / EXPONENT
    terms = grids.reweigh_missing(log_lik, measured, available, missing_weight)
    return ratio[:, None, None] * terms


def _with_missing_weight(params: CodeDensityParams, missing_weight: float) -> CodeDensityParams:
    return params._replace(missing_weight=jnp.asarray(missing_weight, params.log_missing.dtype))


def _prepare(features: Features, training: Bool[np.ndarray, "N"]) -> CodeRows:
    """The grid of the code: the largest value and the range are rounded to two digits."""
    n_rows, n_features = features.value.shape
    first, last, span = np.zeros(n_features), np.ones(n_features), np.ones(n_features)
    distinct = np.zeros((n_rows, n_features), np.int32)
    measured = np.asarray(features.measured)
    for f in range(n_features):
        values = np.asarray(features.value, np.float64)[:, f]
        known = values[training & measured[:, f]]
        distinct[:, f] = np.unique(np.where(measured[:, f], values, 0.0), return_inverse=True)[1]
        if known.size:
            last[f] = _two_digits(known.max())
            span[f] = _two_digits(np.ptp(known)) or 1.0
            first[f] = last[f] - span[f]
    edge = first - span / SUPPORT
    step = (span + 2 * span / SUPPORT) / N_BINS
    everything = np.ones(n_features, bool)
    grid = grids.Grid(
        origin=edge + step / 2,
        step=step,
        reflect=np.zeros((n_features, 2), bool),
        discrete=~everything,  # the code decides it for each class
        evidence=everything,
        weight_scale=np.ones(n_features),
        usual_error=np.zeros(n_features),
    )
    # The code weighs no training value by its error.
    equal = features._replace(weight=np.ones_like(np.asarray(features.weight)))
    rows = kernels.training_rows(grid, equal)
    return CodeRows(rows=rows, span=span, distinct=distinct)


def _two_digits(number: float) -> float:
    return float(f"{number:.1e}")


@partial(jax.jit)
def _heights(prepared: CodeRows, membership: Float[Array, "N C"]) -> Float[Array, "F B C"]:
    """Probability per bin of each class: the kernel density, or the histogram of few values."""
    rows = prepared.rows

    def of_feature(feature):
        origin, step, span, value, weight, distinct = feature
        member = weight[:, None] * membership  # [N, C]
        bandwidth = kernels.rule_of_thumb(span, member.sum())
        smoothing = kernels.Smoothing(origin=origin, step=step, bandwidth=bandwidth)
        smooth = kernels.kernel_sums(smoothing, value, member, n_nodes=N_BINS)
        bin_ = jnp.floor(jnp.clip((value - origin) / step + 0.5, -1, N_BINS)).astype(jnp.int32)
        counts = kernels.histogram(bin_, member, N_BINS)
        n_distinct = (jax.ops.segment_sum(member, distinct, len(value)) > 0).sum(0)
        return jnp.where(n_distinct < FEW, counts, smooth)

    grid = rows.grid
    arrays = (grid.origin, grid.step, prepared.span, rows.value.T, rows.weight.T)
    arrays = jax.tree.map(jnp.asarray, (*arrays, prepared.distinct.T))
    return kernels.normalised(jax.lax.map(of_feature, arrays))
