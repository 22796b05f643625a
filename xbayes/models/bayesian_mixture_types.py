"""The Bayesian Gaussian mixture of scikit-learn, with its four covariance types.

Model, posterior and E step are those of `bayesian_mixture`. The M step has four updates, given
counts N_k, weighted means x_k and covariances S_k of the rows (Bishop 2006, 10.58-10.63):

    weights     q(pi): `sticks.given_counts`
    mean        beta_k = beta_0 + N_k,   m_k = (beta_0 m_0 + N_k x_k) / beta_k
    degrees     nu_k = nu_0 + N_k
    scatter     W_k = W_0 + A_k,   A_k = N_k S_k + N_k beta_0 / beta_k (x_k - m_0) (x_k - m_0)'

"diag" keeps the diagonal of A_k, "spherical" its mean; "tied" takes the mean of A_k and of N_k over
the components. As in scikit-learn, S_k contains `reg_covar`, and these three types keep the
Wishart's functions of nu_k. For "full" with reg_covar = 0 the objective is then exactly the
evidence lower bound after the M step, up to a constant; it never decreases. For the other types it
is scikit-learn's approximation.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln, gammaln
from jaxtyping import Array, Float

from xbayes.errors import InputError
from xbayes.models import bayesian_mixture as bayesian
from xbayes.models import gaussian_mixture as gaussian
from xbayes.models import sticks
from xbayes.models.base import Model, Statistics
from xbayes.models.bayesian_mixture import VariationalParams
from xbayes.models.gaussian_mixture import COUNT_FLOOR, COVARIANCE_TYPES
from xbayes.models.normal_wishart import NormalWishart
from xbayes.models.small_matrices import cholesky, log_det_lower, solve_lower
from xbayes.models.sticks import Sticks


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def bayesian_mixture_of_type(covariance_type: str, reg_covar: float = 0.0) -> Model:
    """The variational updates of one covariance type, for params that carry their prior.

    Starting values are `maximise(params, statistics)` with params that have the prior and, as
    means, the centres of the statistics. `Model.bound` is the objective of scikit-learn, for all
    rows together. A covariance that is singular to rounding gives NaN.

    Raises
    ------
    InputError
        An unknown covariance type, or a negative `reg_covar`.
    """
    if covariance_type not in COVARIANCE_TYPES:
        raise InputError(f"covariance_type must be in {COVARIANCE_TYPES}; got {covariance_type!r}")
    if not reg_covar >= 0:
        raise InputError(f"reg_covar must be at least 0; got {reg_covar}")

    def updated(params, statistics):
        return maximise(params, statistics, covariance_type=covariance_type, reg_covar=reg_covar)

    def init(key, x, row_weight=None):
        raise InputError("the prior is part of the starting values; make them with `maximise`")

    return Model(
        init=init,
        log_joint=bayesian.log_joint,
        statistics=bayesian.statistics,
        maximise=jax.jit(updated),
        reseeds=False,
        bound=bound,
    )


def maximise(
    params: VariationalParams,
    statistics: Statistics,
    *,
    covariance_type: str,
    reg_covar: float,
) -> VariationalParams:
    """The four updates, given moments about the means m."""
    prior, centre = params.prior, params.component.mean
    floor = COUNT_FLOOR * jnp.finfo(centre.dtype).eps
    count = statistics.count + floor
    step = statistics.moments.first / count[:, None]  # from centre to the mean of the rows
    within = statistics.moments.second - count[:, None, None] * step[:, :, None] * step[:, None]
    within = within + count[:, None, None] * reg_covar * jnp.eye(centre.shape[1])
    offset = centre + step - prior.component.mean
    precision = prior.component.mean_precision + count
    between = count * prior.component.mean_precision / precision
    added = within + between[:, None, None] * offset[:, :, None] * offset[:, None]
    shared = count if covariance_type != "tied" else jnp.broadcast_to(count.mean(), count.shape)
    degrees = prior.component.degrees + shared
    scatter = prior.component.scatter + _of_type(
        (added + added.swapaxes(1, 2)) / 2, covariance_type
    )
    component = NormalWishart(
        mean_precision=precision,
        mean=prior.component.mean + (count / precision)[:, None] * offset,
        degrees=degrees,
        scatter=gaussian.nan_where_singular(scatter),
    )
    stick = sticks.given_counts(prior.stick, count)
    return VariationalParams(stick=stick, component=component, prior=prior)


def bound(
    params: VariationalParams, statistics: Statistics, updated: VariationalParams
) -> Float[Array, ""]:
    """The evidence lower bound after the M step, up to a constant (scikit-learn's objective).

    It is the entropy of q(z, t) plus the log normalisation of q(pi, mu, Lambda). The entropy is the
    difference between the log-likelihood of the E step and the expected log joint, which follows
    from the moments about the means.
    """
    surrogate = bayesian.surrogate(params)
    root = cholesky(surrogate.covariance)
    n_features = root.shape[-1]
    white = solve_lower(root, statistics.moments.second)
    square = jnp.trace(solve_lower(root, white.swapaxes(1, 2)), axis1=1, axis2=2)
    log_norm = surrogate.log_weight - log_det_lower(root) - 0.5 * n_features * gaussian.LOG_2PI
    joint = jnp.where(statistics.count > 0, statistics.count * log_norm, 0.0) - 0.5 * square
    entropy = statistics.log_lik - joint.sum()
    return entropy + _log_norm(updated.component) + _log_norm_of_sticks(updated.stick)


def _of_type(matrix: Float[Array, "K F F"], covariance_type: str) -> Float[Array, "K F F"]:
    if covariance_type == "full":
        return matrix
    if covariance_type == "tied":
        return jnp.broadcast_to(matrix.mean(0), matrix.shape)
    variance = jnp.diagonal(matrix, axis1=1, axis2=2)
    if covariance_type == "spherical":
        variance = jnp.broadcast_to(variance.mean(1, keepdims=True), variance.shape)
    return variance[:, :, None] * jnp.eye(matrix.shape[1], dtype=matrix.dtype)


def _log_norm(component: NormalWishart) -> Float[Array, ""]:
    """Log normalisation of the normal-Wisharts, without the powers of pi."""
    nu, n_features = component.degrees, component.mean.shape[1]
    half_log_det = log_det_lower(cholesky(component.scatter))
    of_degrees = gammaln((nu[:, None] - np.arange(n_features)) / 2).sum(1)
    wishart = nu * (0.5 * n_features * np.log(2) - half_log_det) + of_degrees
    return (wishart - 0.5 * n_features * jnp.log(component.mean_precision)).sum()


def _log_norm_of_sticks(stick: Sticks) -> Float[Array, ""]:
    ended = stick.left == 0
    return jnp.where(ended, 0.0, betaln(stick.taken, jnp.where(ended, 1.0, stick.left))).sum()
