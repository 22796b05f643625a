"""Checks that clusters can be fitted to the training rows."""

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from xbayes.errors import InputError
from xbayes.models.base import Density
from xbayes.types import Features


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def checked_density(
    density: Density, names: tuple[str, ...], n_components: int, fills_gaps: bool = False
) -> Density:
    """The same density, whose `prepare` first calls `check_training_rows`."""

    def prepare(features: Features, training: Bool[np.ndarray, "N"]):
        check_training_rows(features, training, names, n_components, fills_gaps)
        return density.prepare(features, training)

    return density._replace(prepare=prepare)


def check_training_rows(
    features: Features,
    training: Bool[np.ndarray, "N"],
    names: Sequence[str],
    n_components: int,
    fills_gaps: bool,
) -> None:
    """Refuse training rows to which no clusters can be fitted.

    Parameters
    ----------
    names
        The names of the features, for the messages.
    fills_gaps
        The density fills in values that are not measured, so a feature may have no values at all.

    Raises
    ------
    InputError
        Fewer rows than clusters, values too large to square, or a feature without any value.
    """
    value, measured = np.asarray(features.value), np.asarray(features.measured)
    n_rows = int(np.sum(training))
    if n_rows < n_components:
        raise InputError(
            f"{n_components} clusters need as many sources to learn from; found {n_rows} in a "
            "training part; lower model.clusters.components"
        )
    # The scaler squares values in float64; either precision clips standardised values far out.
    largest = min(1e150, 1e-8 * float(jnp.finfo(jax.dtypes.canonicalize_dtype(float)).max))
    for f, name in enumerate(names):
        size = np.abs(value[measured[:, f], f]).max(initial=0.0)
        if not size <= largest:
            raise InputError(
                f"feature {name!r} has a value of size {size:.3g}; clusters need values below "
                f"{largest:.3g}; scale it (scale: log10) or mark it as missing"
            )
        if not fills_gaps and not measured[training, f].any():
            raise InputError(
                f"feature {name!r} has a value in none of the {n_rows} sources of a training part "
                f"(in {measured[:, f].sum()} of all); leave it out, or use fewer folds"
            )
