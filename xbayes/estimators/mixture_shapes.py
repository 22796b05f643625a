"""Conversion between scikit-learn's arrays, shaped by covariance type, and full `MixtureParams`."""

import numpy as np
from scipy.linalg import solve_triangular

from xbayes.models.gaussian_mixture import MixtureParams
from xbayes.types import InputError


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
    """The starts [S K ...], with the user's checked weights, means and precisions in their place.

    Raises
    ------
    InputError
        A wrong shape, weights that are not proportions, a mean that is not finite, or a precision
        matrix that is not positive definite.
    """
    n_starts, n_components, n_features = params.mean.shape

    def repeat(array):
        return np.broadcast_to(array, (n_starts, *array.shape))

    if weights is not None:
        weights = checked("weights_init", weights, (n_components,))
        if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
            raise InputError(f"weights_init must be proportions that sum to 1; got {weights}")
        with np.errstate(divide="ignore"):
            params = params._replace(log_weight=repeat(np.log(weights)))
    if means is not None:
        params = params._replace(
            mean=repeat(checked("means_init", means, (n_components, n_features)))
        )
    if precisions is not None:
        shape = shape_of(covariance_type, n_components, n_features)
        given = checked("precisions_init", precisions, shape)
        full = to_full(given, covariance_type, n_components, n_features)
        symmetric = np.allclose(full, full.swapaxes(1, 2))
        if not symmetric or not (np.linalg.eigvalsh(full) > 0).all():
            raise InputError(
                f"precisions_init of covariance_type {covariance_type!r} must be symmetric and "
                "positive definite"
            )
        params = params._replace(covariance=repeat(np.linalg.inv(full)))
    return params


def checked(name: str, array, shape: tuple[int, ...]) -> np.ndarray:
    """A finite float64 array of that shape, or an error with its name."""
    array = np.asarray(array, np.float64)
    if array.shape != shape:
        raise InputError(f"{name} must have shape {shape}; got {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} has values that are not finite")
    return array
