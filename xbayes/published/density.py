"""The class densities of Tranin et al. 2022 (A&A 657, A138, Sect. 4; code CLAXBOI), a baseline.

    h(x | c) = kernel exp(-|d| / b) over the values of class c,  b = range / (5 N^0.2)
    L(x | c) = (h + 0.01 / n) / (1 + 0.02 / n),  n values of class c, N of all classes

The known weaknesses are kept: one bandwidth for all classes, kernels that extend beyond natural
limits, and likelihood 1 for every class outside the range of the training rows.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models import grid as grids
from xbayes.models.base import Density
from xbayes.types import Features


class PublishedDensityParams(NamedTuple):
    """Log probability per bin of each feature and class; the bins are centred on the nodes."""

    origin: Float[Array, "F"]
    step: Float[Array, "F"]
    log_density: Float[Array, "F B C"]
    log_present: Float[Array, "F C"]
    log_missing: Float[Array, "F C"]


def published_density(
    evidence: Bool[np.ndarray, "F"],
    cosine: Bool[np.ndarray, "F C"],
    missing_weight: float = 1.0,
    n_nodes: int = 101,
) -> Density:
    """Exponential-kernel densities on about 100 bins.

    Where `cosine[f, c]`, feature f is a galactic latitude in degrees, signed or absolute, and the
    density of class c is half the kernel density and half cos b. `missing_weight` is the exponent
    of P(not detected | class).
    """
    of_latitude = tuple(map(tuple, cosine.tolist()))
    return _published_density(tuple(evidence.tolist()), of_latitude, missing_weight, n_nodes)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _published_density(
    evidence: tuple[bool, ...],
    of_latitude: tuple[tuple[bool, ...], ...],
    missing_weight: float,
    n_nodes: int,
) -> Density:
    cosine = np.array(of_latitude, bool)
    n_features, n_classes = cosine.shape

    def fit(grid, counts):
        size = counts.value.sum(-1, keepdims=True)  # [F, C, 1]
        height = _kernel_density(grid, counts.value)
        origin, step = jnp.asarray(grid.origin), jnp.asarray(grid.step)
        latitude = origin[:, None] + step[:, None] * jnp.arange(n_nodes)
        cos_b = jnp.maximum(jnp.cos(jnp.deg2rad(latitude)), 0.0)[:, None]
        cos_b = cos_b / jnp.maximum(cos_b.sum(-1, keepdims=True), 1e-9)
        height = jnp.where(jnp.asarray(cosine)[..., None], 0.5 * height + 0.5 * cos_b, height)
        available = jnp.maximum(counts.available, 1.0)
        present = _floored(counts.present / available, available)
        missing = _floored(1 - counts.present / available, available)
        is_evidence = jnp.asarray(grid.evidence)[:, None]
        return PublishedDensityParams(
            origin=origin,
            step=step,
            log_density=jnp.log(_floored(height, size)).transpose(0, 2, 1),
            log_present=jnp.where(is_evidence, jnp.log(present), 0.0),
            log_missing=jnp.where(is_evidence, missing_weight * jnp.log(missing), 0.0),
        )

    return Density(
        prepare=partial(
            grids.lay_grid,
            bounds=np.full((n_features, 2), np.nan),
            evidence=np.array(evidence, bool),
            n_nodes=n_nodes,
            margin=0.0,
        ),
        statistics=partial(grids.count, n_classes=n_classes, n_nodes=n_nodes),
        fit=jax.jit(fit),
        log_lik=jax.jit(log_lik),
        share_below=jax.jit(share_below),
        curves=grids.curves,
    )


def log_lik(params: PublishedDensityParams, features: Features) -> Float[Array, "N F C"]:
    """Log probability of the bin of each value, with its detection term; 0 outside all bins."""
    n_nodes = params.log_density.shape[1]
    position = (grids.measured_value(features) - params.origin) / params.step
    node = jnp.clip(jnp.rint(position), 0, n_nodes - 1).astype(jnp.int32)
    inside = (position > -0.5) & (position < n_nodes - 0.5)
    value = params.log_density[jnp.arange(params.log_density.shape[0]), node]
    value = jnp.where(inside[..., None], value, 0.0)
    return grids.presence_log_lik(features, params.log_present, params.log_missing, value)


def share_below(params: PublishedDensityParams, features: Features) -> Float[Array, "N F C"]:
    """Share of each class in the bins below the value; NaN where not measured.

    The bins are normalised, because the published floor is not, and uniform inside.
    """
    probability = jax.nn.softmax(params.log_density, axis=1)  # [F, B, C]
    before = jnp.cumsum(probability, 1) - probability
    n_nodes = probability.shape[1]
    # Bins are centred on the nodes, so the first begins half a step before its node.
    position = (grids.measured_value(features) - params.origin) / params.step + 0.5
    position = jnp.clip(position, 0.0, float(n_nodes))
    bin_ = jnp.minimum(position.astype(jnp.int32), n_nodes - 1)
    f, share = jnp.arange(len(probability)), (position - bin_)[..., None]
    below = jnp.clip(before[f, bin_] + share * probability[f, bin_], 0.0, 1.0)
    return jnp.where(jnp.asarray(features.measured)[..., None], below, jnp.nan)


def _kernel_density(grid: grids.Grid, count: Float[Array, "F C B"]) -> Float[Array, "F C B"]:
    """Probability per bin: kernel exp(-|d| / b), b = range / (5 N^0.2), N over all classes."""
    n_nodes = count.shape[-1]
    measured = count.sum((1, 2))  # [F]
    bandwidth = 1.0 / (5.0 * jnp.maximum(measured, 1.0) ** 0.2)  # in units of the range
    node = jnp.arange(n_nodes) / (n_nodes - 1.0)
    kernel = jnp.exp(-jnp.abs(node[:, None] - node) / bandwidth[:, None, None])  # [F, B, B]
    smooth = jnp.einsum("fcd,fbd->fcb", count, kernel)
    height = jnp.where(jnp.asarray(grid.discrete)[:, None, None], count, smooth)
    return height / jnp.maximum(height.sum(-1, keepdims=True), 1e-9)


def _floored(height: Array, size: Array) -> Array:
    """The published floor, (h + 0.01/n) / (1 + 0.02/n), for n measured members of the class."""
    n = jnp.maximum(size, 1.0)
    return (height + 0.01 / n) / (1.0 + 0.02 / n)
