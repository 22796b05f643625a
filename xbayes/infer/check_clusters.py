"""Training rows that no clusters can be fitted to are refused."""

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from xbayes.models.base import Density
from xbayes.types import Features, InputError


def refusing(
    density: Density, names: Sequence[str], n_components: int, fills_gaps: bool = False
) -> Density:
    """The same density, which raises `InputError` for training rows it cannot learn from.

    `fills_gaps`: missing values are filled, so that a property may be missing everywhere.
    """
    return _refusing(density, tuple(names), n_components, fills_gaps)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _refusing(
    density: Density, names: tuple[str, ...], n_components: int, fills_gaps: bool
) -> Density:

    def lay_grid(features: Features, training: np.ndarray):
        refuse_rows(features, training, names, n_components, fills_gaps)
        return density.lay_grid(features, training)

    return density._replace(lay_grid=lay_grid)


def refuse_rows(
    features: Features,
    training: np.ndarray,
    names: Sequence[str],
    n_components: int,
    fills_gaps: bool,
) -> None:
    """Raise `InputError` for fewer training rows than clusters, values too large, or none."""
    value, observed = np.asarray(features.value), np.asarray(features.measured)
    n_rows = int(np.sum(training))
    if n_rows < n_components:
        raise InputError(
            f"{n_components} clusters need as many sources to learn from; found {n_rows} in a "
            "training part; lower model.clusters.components"
        )
    # The scaler squares values in double precision, and they are clipped far out in any.
    largest = min(1e150, 1e-8 * float(jnp.finfo(jax.dtypes.canonicalize_dtype(float)).max))
    for f, name in enumerate(names):
        size = np.abs(value[observed[:, f], f]).max(initial=0.0)
        if not size <= largest:
            raise InputError(
                f"feature {name!r} has a value of size {size:.3g}; clusters need values below "
                f"{largest:.3g}; scale it (scale: log10) or mark it as missing"
            )
        if not fills_gaps and not observed[training, f].any():
            raise InputError(
                f"feature {name!r} has a value in none of the {n_rows} sources of a training part "
                f"(in {observed[:, f].sum()} of all); leave it out, or use fewer folds"
            )
