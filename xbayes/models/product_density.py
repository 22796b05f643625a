"""A density made of independent densities, each over its own features."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.models.base import Density, FeatureClassFn, Params
from xbayes.types import Features

NODES = 256  # of the curves, because the grids of the parts differ


def side_by_side(parts: Sequence[tuple[tuple[int, ...], Density]]) -> Density:
    """One density of all features, from parts (feature indices, density) independent given c.

    Its prepared data, statistics and parameters are tuples with one entry per part.
    """
    columns = [np.array(members) for members, _ in parts]
    back = np.argsort(np.concatenate(columns))
    densities = [density for _, density in parts]

    def split(features: Features) -> list[Features]:
        return [Features._make(leaf[:, column] for leaf in features) for column in columns]

    def prepare(features, training):
        each = zip(densities, split(features), strict=True)
        return tuple(density.prepare(part, training) for density, part in each)

    def statistics(prepared, features, class_index, fold, n_folds, row_weight=None):
        return tuple(
            density.statistics(grid, part, class_index, fold, n_folds, row_weight)
            for density, grid, part in zip(densities, prepared, split(features), strict=True)
        )

    def fit(prepared, statistics):
        each = zip(densities, prepared, statistics, strict=True)
        return tuple(density.fit(grid, counts) for density, grid, counts in each)

    preparers = [d.prepare_sampling for d in densities if d.prepare_sampling is not None]
    samplers = [d.sample for d in densities if d.sample is not None]

    def prepare_sampling(prepared, statistics):
        each = zip(preparers, prepared, statistics, strict=True)
        return tuple(of_part(grid, counts) for of_part, grid, counts in each)

    def sample(key, prepared, smoothing, statistics):
        keys = jax.random.split(key, len(densities))
        each = zip(samplers, keys, prepared, smoothing, statistics, strict=True)
        return tuple(of_part(*arguments) for of_part, *arguments in each)

    def joined(function_of: Callable[[Density], FeatureClassFn]) -> FeatureClassFn:
        def joint(params: Params, features: Features) -> Float[Array, "N F C"]:
            each = zip(densities, params, split(features), strict=True)
            terms = [function_of(density)(own, part) for density, own, part in each]
            return jnp.concatenate(terms, axis=1)[:, back]

        return joint

    def curves(params):
        each = [_resampled(*d.curves(own)) for d, own in zip(densities, params, strict=True)]
        node, height = zip(*each, strict=True)
        return np.concatenate(node)[back], np.concatenate(height)[back]

    sampled = len(preparers) == len(samplers) == len(densities)
    return Density(
        prepare=prepare,
        statistics=statistics,
        fit=fit,
        log_lik=joined(lambda density: density.log_lik),
        share_below=joined(lambda density: density.share_below),
        curves=curves,
        prepare_sampling=prepare_sampling if sampled else None,
        sample=sample if sampled else None,
    )


def _resampled(node: Float[np.ndarray, "F B"], height: Float[np.ndarray, "F B C"]):
    """Curves on NODES nodes over the same range."""
    new = np.linspace(node[:, 0], node[:, -1], NODES, axis=1)
    values = [
        np.stack([np.interp(new[f], node[f], curve) for curve in height[f].T], axis=-1)
        for f in range(len(node))
    ]
    return new, np.stack(values)
