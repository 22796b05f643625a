"""Rows with holes and error bars, and what is refused of them before a mixture is fitted."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.types import InputError


class Measured(NamedTuple):
    """N rows of F properties; plain arrays stand for rows that are complete and exact.

    None says there is nothing of the kind in any row, which selects the fast path.
    """

    value: Float[Array | np.ndarray, "N F"]  # anything where not observed
    observed: Bool[Array | np.ndarray, "N F"] | None = None
    noise: Float[Array | np.ndarray, "N F"] | Float[Array | np.ndarray, "N F F"] | None = None
    # error variances, or error covariances, in the squared unit of value


def as_measured(x) -> Measured:
    """The record of an array, or the record itself."""
    return x if isinstance(x, Measured) else Measured(x)


def check_values(x) -> None:
    """Refuse values and errors no density can be read from; a row with nothing observed is fine.

    Raises
    ------
    InputError
        An observed value that is infinite or NaN, noise that is not a covariance.
    """
    x = as_measured(x)
    value, observed = np.asarray(x.value), _observed(x)
    bad = observed & ~np.isfinite(value)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"value[{row}, {column}] is {value[row, column]}; {bad.sum()} observed values are "
            "not finite; drop them or mark them as not observed"
        )
    if x.noise is not None:
        _check_noise(np.asarray(x.noise), observed)


def check_rows(x, row_weight: np.ndarray, n_components: int) -> None:
    """Refuse rows no mixture of K components can be fitted to.

    Allowed: a constant or collinear property (the regulariser sets its width).

    Raises
    ------
    InputError
        As `check_values`; a property observed in no row, a weight that is negative or not finite,
        fewer rows of positive weight than components.
    """
    check_values(x)
    x, row_weight = as_measured(x), np.asarray(row_weight)
    if not np.all(np.isfinite(row_weight) & (row_weight >= 0)):
        raise InputError("row weights must be finite and not negative; set others to 0")
    used = row_weight > 0
    if not used.any():
        raise InputError("every row has weight zero; nothing is left to fit")
    if used.sum() < n_components:
        raise InputError(
            f"{n_components} components need as many rows; got {used.sum()} rows of positive "
            "weight; lower n_components"
        )
    empty = np.flatnonzero(~(_observed(x) & used[:, None]).any(0))
    if empty.size:
        raise InputError(f"properties {empty.tolist()} are observed in no row; drop them")


def _observed(x: Measured) -> np.ndarray:
    return np.ones(x.value.shape, bool) if x.observed is None else np.asarray(x.observed)


def _check_noise(noise: np.ndarray, observed: np.ndarray) -> None:
    if noise.shape not in (observed.shape, (*observed.shape, observed.shape[1])):
        raise InputError(
            f"noise has shape {noise.shape}; give variances {observed.shape} or covariances "
            f"{(*observed.shape, observed.shape[1])}"
        )
    both = observed if noise.ndim == 2 else observed[:, :, None] & observed[:, None, :]
    noise = np.where(both, noise, 0.0)
    if not np.isfinite(noise).all():
        raise InputError("noise is not finite where values are observed; mark those not observed")
    if noise.ndim == 2:
        least = noise.min(initial=0.0)
    else:
        if not np.allclose(noise, noise.swapaxes(1, 2), rtol=1e-5, atol=0.0):
            raise InputError("noise covariances must be symmetric")
        largest = np.abs(noise).max(initial=0.0)
        least = np.linalg.eigvalsh(noise).min(initial=0.0) + 1e-6 * largest
    if least < 0:
        raise InputError("noise has negative variance; give variances, not standard deviations")
