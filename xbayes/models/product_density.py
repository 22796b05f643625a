"""Densities of different kinds side by side, each over properties of its own."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xbayes.models.base import Density
from xbayes.types import Features

NODES = 256  # of the curves, where the parts have grids of their own


def side_by_side(parts: Sequence[tuple[tuple[int, ...], Density]]) -> Density:
    """One density of all properties from (their places, their density); independent given c.

    Grid, counts and parameters are tuples of those of the parts.
    """
    places = [np.array(members) for members, _ in parts]
    back = np.argsort(np.concatenate(places))
    densities = [density for _, density in parts]

    def own(features, members):
        return Features(*(a[:, members] for a in features))

    def lay_grid(features, training):
        return tuple(
            density.lay_grid(own(features, members), training)
            for members, density in zip(places, densities, strict=True)
        )

    def count(grid, features, class_index, fold, n_folds, row_weight=None):
        return tuple(
            density.count(part, own(features, members), class_index, fold, n_folds, row_weight)
            for part, members, density in zip(grid, places, densities, strict=True)
        )

    def fit(grid, counts):
        return tuple(d.fit(*part) for d, *part in zip(densities, grid, counts, strict=True))

    smooths = [d.smooth for d in densities if d.smooth is not None]
    draws = [d.draw for d in densities if d.draw is not None]

    def smooth(grid, counts):
        return tuple(of(*part) for of, *part in zip(smooths, grid, counts, strict=True))

    def draw(key, grid, smoothing, counts):
        keys = jax.random.split(key, len(densities))
        parts = zip(draws, keys, grid, smoothing, counts, strict=True)
        return tuple(of(*part) for of, *part in parts)

    def joined(of_part):
        def joint(params, features):
            found = [
                of_part(density)(part, own(features, members))
                for part, members, density in zip(params, places, densities, strict=True)
            ]
            return jnp.concatenate(found, axis=1)[:, back]

        return joint

    def curves(params):
        each = [_resampled(*d.curves(part)) for d, part in zip(densities, params, strict=True)]
        return tuple(np.concatenate(part)[back] for part in zip(*each, strict=True))

    drawn = len(smooths) == len(draws) == len(densities)
    return Density(
        lay_grid,
        count,
        fit,
        joined(lambda d: d.log_lik),
        joined(lambda d: d.share_below),
        curves,
        smooth=smooth if drawn else None,
        draw=draw if drawn else None,
    )


def _resampled(node, height):
    """Curves [F B C] on NODES nodes over the same range."""
    new = np.linspace(node[:, 0], node[:, -1], NODES, axis=1)
    columns = range(height.shape[2])
    values = [
        np.stack([np.interp(new[f], node[f], height[f, :, c]) for c in columns], axis=-1)
        for f in range(len(node))
    ]
    return new, np.stack(values)
