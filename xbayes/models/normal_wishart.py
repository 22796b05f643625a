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

from xbayes.models.small_matrices import cholesky, inverse_lower, solve_lower


class NormalWishart(NamedTuple):
    """One distribution, or one a component."""

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

    Without rows it is the prior. Bishop's 10.63 has nu_0 + N_k + 1: an error of print.
    """
    precision = prior.mean_precision + count  # [K]
    some = jnp.where(count > 0, count, 1.0)[:, None]
    step = jnp.where(count[:, None] > 0, first / some, 0.0)  # the rows' mean, from centre
    off = centre + step - prior.mean
    within = second - first[:, :, None] * step[:, None]
    held = prior.mean_precision * count / precision
    scatter = prior.scatter + within + held[:, None, None] * off[:, :, None] * off[:, None]
    mean = prior.mean + (count / precision)[:, None] * off
    scatter = (scatter + scatter.swapaxes(1, 2)) / 2
    return NormalWishart(precision, mean, prior.degrees + count, scatter)


def expected_log_det(component: NormalWishart) -> Float[Array, "*A"]:
    """E[log det Lambda] (Bishop 2006, 10.65)."""
    n_features = component.mean.shape[-1]
    of_degrees = digamma((component.degrees[..., None] - np.arange(n_features)) / 2).sum(-1)
    return of_degrees + n_features * np.log(2) - _log_det(cholesky(component.scatter))


def divergence(component: NormalWishart, prior: NormalWishart) -> Float[Array, "*A"]:
    """Kullback-Leibler divergence of the posterior from the prior (Bishop 2006, 10.74 and 10.77).

    Of the Wishart: log Z_0 - log Z + (nu - nu_0)/2 E log det Lambda + nu/2 (tr(W inv W_0) - F), Z
    its normalising constant; of the normal, its own averaged over the precision.
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
    """Mean and covariance made of independent standard variables (Bartlett 1933).

    chi2_i of degrees - i degrees of freedom (i from 0); of `shear` what lies below the diagonal,
    and `offset`, standard normal. Lambda = inv(C)' A A' inv(C), where C C' = scatter and A is lower
    triangular with sqrt(chi2) on its diagonal and `shear` below.
    """
    identity = jnp.eye(chi2.shape[-1], dtype=chi2.dtype)
    bartlett = jnp.tril(shear, -1) + jnp.sqrt(chi2)[..., None] * identity
    root = cholesky(component.scatter) @ inverse_lower(bartlett).swapaxes(-1, -2)
    moved = (root @ offset[..., None])[..., 0] / jnp.sqrt(component.mean_precision)[..., None]
    return component.mean + moved, root @ root.swapaxes(-1, -2)


def draw(key: PRNGKeyArray, component: NormalWishart, n_draws: int):
    """Means [S K F] and covariances [S K F F]."""
    n_features = component.mean.shape[-1]
    of_chi2, of_shear, of_offset = jax.random.split(key, 3)
    shape = (n_draws, *component.mean.shape)
    half = (component.degrees[..., None] - np.arange(n_features)) / 2
    chi2 = 2 * jax.random.gamma(of_chi2, half, shape)
    shear = jax.random.normal(of_shear, (*shape, n_features), half.dtype)
    offset = jax.random.normal(of_offset, shape, half.dtype)
    return from_standard(component, chi2, shear, offset)


def log_student(
    component: NormalWishart, value: Float[Array, "F"], seen: Float[Array, "F"]
) -> Float[Array, "*A"]:
    """Log density of the seen values of one new row, parameters integrated out.

    A multivariate Student t (Bishop 2006, 10.81-10.82), whose marginals have the same degrees of
    freedom and the blocks of its shape matrix. `seen` is 1 or 0.
    """
    n_features, n_seen = component.mean.shape[-1], seen.sum()
    degrees = component.degrees + 1 - n_features
    wider = (1 + component.mean_precision) / (component.mean_precision * degrees)
    pairs = seen[:, None] * seen
    # An unseen property gets a row and column of the identity: it adds nothing to any product.
    shape = pairs * wider[..., None, None] * component.scatter + jnp.diag(1 - seen)
    root = cholesky(shape)
    off = jnp.where(seen > 0, value - component.mean, 0.0)
    far = (solve_lower(root, off[..., None])[..., 0] ** 2).sum(-1)
    norm = gammaln((degrees + n_seen) / 2) - gammaln(degrees / 2)
    norm = norm - n_seen / 2 * jnp.log(degrees * np.pi) - _log_det(root) / 2
    return norm - (degrees + n_seen) / 2 * jnp.log1p(far / degrees)


def _log_norm(degrees, root: Float[Array, "*A F F"]):
    """log Z of a Wishart of scatter root root' (Bishop 2006, B.79, where it is -log B)."""
    n_features = root.shape[-1]
    powers = degrees * (n_features * np.log(2) - _log_det(root)) / 2
    return powers + multigammaln(degrees / 2, n_features)


def _log_det(root: Float[Array, "*A F F"]) -> Float[Array, "*A"]:
    return 2 * jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum(-1)
