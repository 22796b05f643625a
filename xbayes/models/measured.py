"""Rows with missing values and measurement errors, and the checks before a mixture is fitted."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.errors import InputError


class Measured(NamedTuple):
    """N rows of F features; a plain array stands for rows that are complete and exact.

    None means that no row has missing values, or errors, and selects the fast path.
    """

    value: Float[Array | np.ndarray, "N F"]  # arbitrary where not observed
    observed: Bool[Array | np.ndarray, "N F"] | None = None
    # Error variances, or error covariances, in the squared unit of value.
    noise: Float[Array | np.ndarray, "N F"] | Float[Array | np.ndarray, "N F F"] | None = None


Rows = Measured | Float[Array | np.ndarray, "N ..."]


def as_measured(x: Rows) -> Measured:
    """The rows as a `Measured` record."""
    return x if isinstance(x, Measured) else Measured(value=x)


def check_values(x: Rows) -> None:
    """Refuse values and errors that have no density; a row with nothing observed is valid.

    Raises
    ------
    InputError
        An observed value is infinite or NaN, or the noise is not a covariance.
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


def check_rows(x: Rows, row_weight: np.ndarray, n_components: int) -> None:
    """Refuse rows to which a mixture of K components cannot be fitted.

    A constant or collinear feature is valid: the regulariser sets its width.

    Raises
    ------
    InputError
        As `check_values`; or a feature is observed in no row, a weight is negative or not finite,
        or there are fewer rows of positive weight than components.
    """
    check_values(x)
    x, row_weight = as_measured(x), np.asarray(row_weight)
    if not np.all(np.isfinite(row_weight) & (row_weight >= 0)):
        raise InputError(
            "row weights must be finite and not negative; set the weights of unused rows to 0"
        )
    used = row_weight > 0
    if not used.any():
        raise InputError("every row has weight zero; give at least one row a positive weight")
    if used.sum() < n_components:
        raise InputError(
            f"{n_components} components need as many rows; got {used.sum()} rows of positive "
            "weight; lower n_components"
        )
    empty = np.flatnonzero(~(_observed(x) & used[:, None]).any(0))
    if empty.size:
        raise InputError(f"features {empty.tolist()} are observed in no row; drop them")


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
        raise InputError(
            "noise is not finite where values are observed; mark those values as not observed"
        )
    if noise.ndim == 2:
        least = noise.min(initial=0.0)
    else:
        if not np.allclose(noise, noise.swapaxes(1, 2), rtol=1e-5, atol=0.0):
            raise InputError("noise covariances must be symmetric; average each with its transpose")
        largest = np.abs(noise).max(initial=0.0)
        least = np.linalg.eigvalsh(noise).min(initial=0.0) + 1e-6 * largest
    if least < 0:
        raise InputError("noise has negative variance; give variances, not standard deviations")
