"""Conversion between scikit-learn's arrays, shaped by covariance type, and full `MixtureParams`."""

import numpy as np
from scipy.linalg import solve_triangular

from xbayes.errors import InputError
from xbayes.estimators.arrays import complete
from xbayes.models.gaussian_mixture import MixtureParams


def shape_of(covariance_type: str, n_components: int, n_features: int) -> tuple[int, ...]:
    """The shape of covariances_, precisions_ and precisions_init."""
    return {
        "full": (n_components, n_features, n_features),
        "tied": (n_features, n_features),
        "diag": (n_components, n_features),
        "spherical": (n_components,),
    }[covariance_type]


def to_full(array: np.ndarray, covariance_type: str, n_components: int, n_features: int):
    """Matrices [K F F] from an array of that covariance type."""
    identity = np.eye(n_features)
    if covariance_type == "tied":
        return np.broadcast_to(array, (n_components, n_features, n_features))
    if covariance_type == "diag":
        return array[:, :, None] * identity
    if covariance_type == "spherical":
        return array[:, None, None] * identity
    return array


def from_full(matrix: np.ndarray, covariance_type: str) -> np.ndarray:
    """An array of that covariance type from matrices [K F F]."""
    if covariance_type == "tied":
        return matrix[0].copy()
    if covariance_type == "diag":
        return np.diagonal(matrix, axis1=1, axis2=2).copy()
    if covariance_type == "spherical":
        return matrix[:, 0, 0].copy()
    return matrix


def precision_factors(covariance: np.ndarray) -> np.ndarray:
    """Upper triangular matrices U [K F F]; U U^T is the inverse of the covariance."""
    identity = np.eye(covariance.shape[-1])
    roots = np.linalg.cholesky(covariance)
    return np.stack([solve_triangular(root, identity, lower=True).T for root in roots])


def with_given(params: MixtureParams, weights, means, precisions, covariance_type: str):
    """The starts [S K ...], with the checked weights, means and precisions in their place."""
    n_starts, *shape = params.mean.shape

    def repeat(array):
        return np.broadcast_to(array, (n_starts, *array.shape))

    if weights is not None:
        with np.errstate(divide="ignore"):
            params = params._replace(log_weight=repeat(np.log(weights)))
    if means is not None:
        params = params._replace(mean=repeat(means))
    if precisions is not None:
        full = to_full(precisions, covariance_type, *shape)
        params = params._replace(covariance=repeat(np.linalg.inv(full)))
    return params


def checked_weights(weights, n_components: int) -> np.ndarray | None:
    """Proportions [K] as float64.

    Raises
    ------
    InputError
        The messages are those of scikit-learn.
    """
    if weights is None:
        return None
    weights = checked("weights", weights, (n_components,))
    if (weights < 0).any() or (weights > 1).any():
        raise InputError(  # scikit-learn has the two numbers in this order
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.min():.5f}, min value {weights.max():.5f}"
        )
    if abs(weights.sum() - 1) > 1e-6:
        raise InputError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}"
        )
    return weights


def checked_precisions(precisions, shape: tuple[int, ...], covariance_type: str, name: str):
    """Precisions or a prior covariance of that covariance type as float64, or None."""
    if precisions is None:
        return None
    given = checked(f"{covariance_type} {name}", precisions, shape)
    if covariance_type in ("full", "tied"):
        symmetric = np.allclose(given, given.swapaxes(-1, -2))
        if not symmetric or not (np.linalg.eigvalsh(given) > 0).all():
            raise InputError(
                f"'{covariance_type} precision' should be symmetric, positive-definite"
            )
    elif not (given > 0).all():
        raise InputError(f"'{covariance_type} precision' should be positive")
    return given


def checked(name: str, array, shape: tuple[int, ...]) -> np.ndarray:
    """A finite float64 array of that shape, or an error with its name."""
    array = np.asarray(complete(name, array), np.float64)
    if array.shape != shape:
        raise InputError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"The parameter '{name}' has values that are not finite")
    return array
