"""The class densities of Tranin et al. 2022 (A&A 657, A138, Sect. 4) as the paper writes them.

    h(x | c) = kernel exp(-|d| / b) over the values of class c,  b = range / (5 N^0.2)
    L(x | c) = (h + 0.01 / n) / (1 + 0.02 / n),  n values of class c, N of all classes

The known weaknesses are kept: one bandwidth for all classes, and kernels that extend beyond natural
limits. The paper does not say what holds outside the range of the training rows; as in the code of
its authors (`xbayes.published.code_density`), the likelihood is 1 there for every class.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.infer.fit_clusters import membership_statistics
from xbayes.models import grid as grids
from xbayes.models.base import Density, Params
from xbayes.published import kernels
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
    """Exponential-kernel densities on 101 bins, centred on nodes over the range of the values.

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

    def prepare(features, training):
        grid = grids.lay_grid(
            features,
            training,
            bounds=np.full((n_features, 2), np.nan),
            evidence=np.array(evidence, bool),
            n_nodes=n_nodes,
            margin=0.0,
        )
        return kernels.training_rows(grid, features)

    def fit(rows, membership):
        height, size = _kernel_density(rows, membership, n_nodes)
        height = kernels.half_cosine(height, rows.grid, jnp.asarray(cosine))
        share, available = kernels.detected_share(rows, membership)
        is_evidence = jnp.asarray(rows.grid.evidence)[:, None]
        log_missing = missing_weight * jnp.log(_floored(1 - share, available))
        return PublishedDensityParams(
            origin=jnp.asarray(rows.grid.origin),
            step=jnp.asarray(rows.grid.step),
            log_density=jnp.log(_floored(height, size[:, None])),
            log_present=jnp.where(is_evidence, jnp.log(_floored(share, available)), 0.0),
            log_missing=jnp.where(is_evidence, log_missing, 0.0),
        )

    return Density(
        prepare=prepare,
        statistics=membership_statistics(n_classes),
        fit=jax.jit(fit),
        log_lik=jax.jit(log_lik),
        share_below=jax.jit(share_below),
        curves=grids.curves,
        reweigh_missing=grids.reweigh_missing,
        with_missing_weight=grids.with_missing_weight,
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


def share_below(params: Params, features: Features) -> Float[Array, "N F C"]:
    """Share of each class in the bins below the value, of either form; NaN where not measured.

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


def _kernel_density(
    rows: kernels.TrainingRows, membership: Float[Array, "N C"], n_nodes: int
) -> tuple[Float[Array, "F B C"], Float[Array, "F C"]]:
    """Probability per bin, and the number of measured values of each class."""
    grid = rows.grid

    def of_feature(feature):
        origin, step, discrete, value, weight = feature
        member = weight[:, None] * membership  # [N, C]
        size = member.sum(0)
        bandwidth = kernels.rule_of_thumb(step * (n_nodes - 1), size.sum())
        smoothing = kernels.Smoothing(origin=origin, step=step, bandwidth=bandwidth)
        smooth = kernels.kernel_sums(smoothing, value, member, n_nodes=n_nodes)
        nearest = jnp.clip(jnp.rint((value - origin) / step), -1, n_nodes).astype(jnp.int32)
        counts = kernels.histogram(nearest, member, n_nodes)
        return jnp.where(discrete, counts, smooth), size

    arrays = (grid.origin, grid.step, grid.discrete, rows.value.T, rows.weight.T)
    height, size = jax.lax.map(of_feature, jax.tree.map(jnp.asarray, arrays))
    return kernels.normalised(height), size


def _floored(height: Array, size: Array) -> Array:
    """The published floor, (h + 0.01/n) / (1 + 0.02/n), for n measured members of the class."""
    n = jnp.maximum(size, 1.0)
    return (height + 0.01 / n) / (1.0 + 0.02 / n)
