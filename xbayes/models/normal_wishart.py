"""The normal-Wishart distribution of a mean and a precision (covariance: inverse Wishart).

    Lambda ~ Wishart(degrees, inv scatter),   mu | Lambda ~ N(mean, inv (mean_precision Lambda))

In the symbols of Bishop 2006 (Pattern Recognition and Machine Learning, section 10.2): degrees nu,
scatter inv W, mean m, mean_precision beta. The covariance is inverse Wishart(degrees, scatter).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, multigammaln
from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.models.small_matrices import (
    cholesky,
    inverse_lower,
    log_det_lower,
    solve_lower,
)


class NormalWishart(NamedTuple):
    """One distribution, or one per component."""

    mean_precision: Float[Array, "*A"]
    mean: Float[Array, "*A F"]
    degrees: Float[Array, "*A"]  # above F - 1
    scatter: Float[Array, "*A F F"]


def given_moments(
    prior: NormalWishart,
    centre: Float[Array, "K F"],
    count: Float[Array, "K"],
    first: Float[Array, "K F"],
    second: Float[Array, "K F F"],
) -> NormalWishart:
    """The posterior given weighted moments of rows about `centre` (Bishop 2006, 10.60-10.63).

    Without rows it is the prior. Bishop's 10.63 has nu_0 + N_k + 1, which is a misprint.
    """
    precision = prior.mean_precision + count  # [K]
    positive = jnp.where(count > 0, count, 1.0)[:, None]
    step = jnp.where(count[:, None] > 0, first / positive, 0.0)  # from centre to the mean of rows
    offset = centre + step - prior.mean
    within = second - first[:, :, None] * step[:, None]
    between = prior.mean_precision * count / precision
    scatter = prior.scatter + within + between[:, None, None] * offset[:, :, None] * offset[:, None]
    mean = prior.mean + (count / precision)[:, None] * offset
    scatter = (scatter + scatter.swapaxes(1, 2)) / 2
    return NormalWishart(
        mean_precision=precision, mean=mean, degrees=prior.degrees + count, scatter=scatter
    )


def log_density(
    component: NormalWishart, mean: Float[Array, "*A F"], covariance: Float[Array, "*A F F"]
) -> Float[Array, "*A"]:
    """Log density of a mean and the precision Lambda = inv covariance (Bishop 2006, B.78-B.79)."""
    n_features, root = mean.shape[-1], cholesky(covariance)
    beta, nu = component.mean_precision, component.degrees
    scatter_root = cholesky(component.scatter)
    white = solve_lower(root, jnp.broadcast_to(scatter_root, root.shape))
    off = solve_lower(root, (mean - component.mean)[..., None])[..., 0]
    squares = (white**2).sum((-2, -1)) + beta * (off**2).sum(-1)
    norm = _log_norm(nu, scatter_root) - n_features / 2 * jnp.log(beta / (2 * np.pi))
    return -(nu - n_features) * log_det_lower(root) - squares / 2 - norm


def expected_log_det(component: NormalWishart) -> Float[Array, "*A"]:
    """E[log det Lambda] (Bishop 2006, 10.65)."""
    n_features = component.mean.shape[-1]
    of_degrees = digamma((component.degrees[..., None] - np.arange(n_features)) / 2).sum(-1)
    return of_degrees + n_features * np.log(2) - 2 * log_det_lower(cholesky(component.scatter))


def divergence(component: NormalWishart, prior: NormalWishart) -> Float[Array, "*A"]:
    """KL(posterior || prior) (Bishop 2006, 10.74 and 10.77).

    The Wishart part is log Z_0 - log Z + (nu - nu_0)/2 E log det Lambda + nu/2 (tr(W inv W_0) - F),
    with normalising constant Z. The normal part is averaged over the precision.
    """
    n_features = component.mean.shape[-1]
    beta, nu = component.mean_precision, component.degrees
    root, prior_root = cholesky(component.scatter), cholesky(prior.scatter)
    trace = (solve_lower(root, jnp.broadcast_to(prior_root, root.shape)) ** 2).sum((-2, -1))
    log_norm = _log_norm(prior.degrees, prior_root) - _log_norm(nu, root)
    wishart = log_norm + (nu - prior.degrees) / 2 * expected_log_det(component)
    wishart = wishart + nu / 2 * (trace - n_features)
    off = solve_lower(root, (component.mean - prior.mean)[..., None])[..., 0]
    ratio = prior.mean_precision / beta
    normal = n_features * (ratio - 1 - jnp.log(ratio))
    return wishart + (normal + prior.mean_precision * nu * (off**2).sum(-1)) / 2


def from_standard(
    component: NormalWishart,
    chi2: Float[Array, "*A F"],
    shear: Float[Array, "*A F F"],
    offset: Float[Array, "*A F"],
) -> tuple[Float[Array, "*A F"], Float[Array, "*A F F"]]:
    """Mean and covariance as functions of independent standard variables (Bartlett 1933).

    Parameters
    ----------
    chi2 : chi-squared variables, the i-th with degrees - i degrees of freedom (i from 0).
    shear : standard normal variables, of which the part below the diagonal is used.
    offset : standard normal variables.

    Lambda = inv(C)' A A' inv(C), where C C' = scatter and A is lower triangular with sqrt(chi2) on
    its diagonal and `shear` below.
    """
    identity = jnp.eye(chi2.shape[-1], dtype=chi2.dtype)
    bartlett = jnp.tril(shear, -1) + jnp.sqrt(chi2)[..., None] * identity
    root = cholesky(component.scatter) @ inverse_lower(bartlett).swapaxes(-1, -2)
    moved = (root @ offset[..., None])[..., 0] / jnp.sqrt(component.mean_precision)[..., None]
    return component.mean + moved, root @ root.swapaxes(-1, -2)


def draw(
    key: PRNGKeyArray, component: NormalWishart, n_draws: int
) -> tuple[Float[Array, "S *A F"], Float[Array, "S *A F F"]]:
    """Samples of means and covariances."""
    n_features = component.mean.shape[-1]
    of_chi2, of_shear, of_offset = jax.random.split(key, 3)
    shape = (n_draws, *component.mean.shape)
    half = (component.degrees[..., None] - np.arange(n_features)) / 2
    chi2 = 2 * jax.random.gamma(of_chi2, half, shape)
    shear = jax.random.normal(of_shear, (*shape, n_features), half.dtype)
    offset = jax.random.normal(of_offset, shape, half.dtype)
    return from_standard(component, chi2, shear, offset)


def log_student(
    component: NormalWishart, value: Float[Array, "F"], observed: Float[Array, "F"]
) -> Float[Array, "*A"]:
    """Log density of the observed values of one new row, parameters integrated out.

    It is a multivariate Student t (Bishop 2006, 10.81-10.82). Its marginals have the same degrees
    of freedom and blocks of its shape matrix. `observed` is 1 or 0.
    """
    n_features, n_observed = component.mean.shape[-1], observed.sum()
    degrees = component.degrees + 1 - n_features
    scale = (1 + component.mean_precision) / (component.mean_precision * degrees)
    pairs = observed[:, None] * observed
    # A missing feature gets a row and column of the identity, which contributes zero.
    shape = pairs * scale[..., None, None] * component.scatter + jnp.diag(1 - observed)
    root = cholesky(shape)
    offset = jnp.where(observed > 0, value - component.mean, 0.0)
    distance = (solve_lower(root, offset[..., None])[..., 0] ** 2).sum(-1)
    norm = gammaln((degrees + n_observed) / 2) - gammaln(degrees / 2)
    norm = norm - n_observed / 2 * jnp.log(degrees * np.pi) - log_det_lower(root)
    return norm - (degrees + n_observed) / 2 * jnp.log1p(distance / degrees)


def _log_norm(degrees, root: Float[Array, "*A F F"]):
    """log Z of a Wishart of scatter root root' (Bishop 2006, B.79, where it is -log B)."""
    n_features = root.shape[-1]
    powers = degrees * (n_features * np.log(2) - 2 * log_det_lower(root)) / 2
    return powers + multigammaln(degrees / 2, n_features)
