"""A Bayesian Gaussian mixture, by variational Bayes with updates in closed form.

    pi ~ Dirichlet or stick-breaking;   Lambda_k ~ Wishart,   mu_k | Lambda_k ~ normal
    z_n ~ pi,   t_n ~ N(mu_z, inv Lambda_z) the true values,   x_n the observed values

The posterior is approximated by the q(z, t) q(pi, mu, Lambda) nearest to it (Bishop 2006, section
10.2; Blei & Jordan 2006 for stick-breaking). Then q(pi) is a stick, q(mu, Lambda) is a
normal-Wishart per component, and the expected log joint is that of an ordinary Gaussian mixture,

    E log N(t; mu, inv Lambda) = log N(t; m, S) + c,   S = scatter / nu,
    c = (sum_i digamma((nu - i)/2) + F log(2/nu)) / 2 - F/(2 beta),  i = 0 .. F - 1   (10.64-10.65),

with log weights E log pi + c. So the E step is that of `gaussian_mixture`. With missing values and
errors it gives the optimal q(z, t) exactly, and the bound

    ELBO = sum_n log sum_k exp(E log joint of the observed values) - KL(q(pi, mu, Lambda) || prior)

never decreases. (Missing values are latent variables here. The bound is therefore looser than with
missing values integrated out: a row without values still contributes c.) The M step adds counts and
moments to the prior. A row of weight w stands for w rows with common responsibilities. Components
that the rows do not need stay at the prior; they do not get new starting values.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma
from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.errors import InputError
from xbayes.models import gaussian_mixture as gaussian
from xbayes.models import normal_wishart, sticks
from xbayes.models.base import Model, Statistics
from xbayes.models.gaussian_mixture import MixtureParams, first_moments, moments_about
from xbayes.models.measured import Rows, as_measured
from xbayes.models.mixture_start import Start, k_means
from xbayes.models.normal_wishart import NormalWishart
from xbayes.models.sticks import Sticks

WEIGHTS = ("dirichlet", "stick_breaking")
ROWS_AT_ONCE = 256


class MixturePrior(NamedTuple):
    """The priors of the weights, and of mean and precision of every component."""

    stick: Sticks  # K
    component: NormalWishart  # without an axis of components


class VariationalParams(NamedTuple):
    """The posterior, and its prior, which stays fixed."""

    stick: Sticks
    component: NormalWishart  # K
    prior: MixturePrior


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def bayesian_mixture(
    n_components: int,
    weights: str = "dirichlet",
    concentration: float | None = None,
    mean_precision: float = 1.0,
    degrees: float | None = None,
    start: Start = k_means,
) -> Model:
    """A mixture of at most K Gaussians of full covariance over `Measured` rows or an array [N F].

    `init` makes the prior from the rows: their mean, and a diagonal scatter of their variances (1
    for a constant feature). To specify the whole prior, use `mixture_prior`, `starting_from` and
    `m_step`.

    Parameters
    ----------
    concentration : as in `mixture_prior`.
    mean_precision : number of rows that the prior mean counts for.
    degrees : degrees of freedom, F by default; then the prior covariance is 1/F of the variance.

    Raises
    ------
    InputError
        As `mixture_prior`.
    """
    _check(n_components, weights, concentration, mean_precision)
    if degrees is not None and not 0 < degrees < np.inf:
        raise InputError(f"degrees must be a finite number above F - 1; found {degrees}")

    def init(key, x, row_weight=None):
        whole, statistics = first_moments(key, x, row_weight, n_components, start)
        centre, scatter = whole.mean[0], whole.covariance[0]
        n_features = centre.shape[0]
        if degrees is not None and degrees <= n_features - 1:
            raise InputError(_too_few(degrees, n_features))
        nu = n_features if degrees is None else degrees
        prior = MixturePrior(
            stick=_sticks(n_components, weights, concentration, centre.dtype),
            component=_component(mean_precision, centre, nu, scatter),
        )
        return maximise(starting_from(prior), statistics, whole.mean)

    return Model(
        init=jax.jit(init),
        log_joint=log_joint,
        m_step=m_step,
        penalty=penalty,
        statistics=statistics,
        maximise=maximise,
        reseeds=False,
    )


def mixture_prior(
    n_components: int,
    mean: Float[Array | np.ndarray, "F"],
    scatter: Float[Array | np.ndarray, "F F"],
    weights: str = "dirichlet",
    *,
    concentration: float | None = None,
    mean_precision: float = 1.0,
    degrees: float | None = None,
    open_end: bool = False,
) -> MixturePrior:
    """A prior whose component covariances are inverse Wishart(degrees, scatter).

    Parameters
    ----------
    concentration : per component for "dirichlet" (default 1/K), gamma for "stick_breaking" (default
        1). The defaults agree: Dirichlet(gamma/K) tends to the Dirichlet process as K grows
        (Ishwaran & Zarepour 2002).
    mean_precision : number of rows that the prior mean counts for.
    degrees : degrees of freedom, F by default.
    open_end : see `sticks.stick_breaking`; true for scikit-learn's "dirichlet_process".

    Raises
    ------
    InputError
        A number is not positive, degrees are not above F - 1, or the scatter is not a covariance.
    """
    _check(n_components, weights, concentration, mean_precision)
    mean, scatter = jnp.asarray(mean), jnp.asarray(scatter)
    n_features = mean.shape[0]
    nu = n_features if degrees is None else degrees
    if not n_features - 1 < nu < np.inf:
        raise InputError(_too_few(nu, n_features))
    whole = np.asarray(scatter, np.float64)
    finite = np.isfinite(whole).all() and bool(jnp.isfinite(mean).all())
    if not (finite and np.allclose(whole, whole.T) and np.linalg.eigvalsh(whole).min() > 0):
        raise InputError(
            "the prior needs a finite mean and a scatter that is symmetric and positive definite; "
            f"found mean {np.asarray(mean).tolist()}, scatter {whole.tolist()}"
        )
    stick = _sticks(n_components, weights, concentration, mean.dtype, open_end)
    component = _component(mean_precision, mean, nu, scatter)
    return MixturePrior(stick=stick, component=component)


def starting_from(prior: MixturePrior) -> VariationalParams:
    """The posterior without any rows, which is the prior."""
    shape = prior.stick.taken.shape
    every = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape), prior.component)
    return VariationalParams(stick=prior.stick, component=every, prior=prior)


@jax.jit
def log_joint(params: VariationalParams, x: Rows) -> Float[Array, "N K"]:
    """Expected log joint of the observed values, with softmax q(z) (Bishop 2006, 10.46, 10.49)."""
    return gaussian.log_joint(surrogate(params), x)


@jax.jit
def statistics(params: VariationalParams, x: Rows, row_weight: Float[Array, "N"]) -> Statistics:
    """Moments of the true values about the means m, under the optimal q(z, t)."""
    return gaussian.statistics(surrogate(params), x, row_weight)


@jax.jit
def maximise(
    params: VariationalParams, statistics: Statistics, centre: Float[Array, "K F"] | None = None
) -> VariationalParams:
    """The optimal q(pi, mu, Lambda) given moments about `centre`, by default about the means m."""
    prior, count, (first, second) = params.prior, statistics.count, statistics.moments
    centre = params.component.mean if centre is None else centre
    component = normal_wishart.given_moments(prior.component, centre, count, first, second)
    stick = sticks.given_counts(prior.stick, count)
    return VariationalParams(stick=stick, component=component, prior=prior)


@jax.jit
def m_step(params: VariationalParams, x: Rows, resp: Float[Array, "N K"]) -> VariationalParams:
    """The optimal q(pi, mu, Lambda) for given responsibilities."""
    return maximise(params, moments_about(surrogate(params), x, resp))


@jax.jit
def penalty(params: VariationalParams) -> Float[Array, ""]:
    """KL(q(pi, mu, Lambda) || prior)."""
    of_components = normal_wishart.divergence(params.component, params.prior.component).sum()
    return of_components + sticks.divergence(params.stick, params.prior.stick)


def lower_bound(
    params: VariationalParams, x: Rows, row_weight: Float[Array, "N"]
) -> Float[Array, ""]:
    """The ELBO with the optimal q(z, t), at most log p(x) (Bishop 2006, 10.70-10.77)."""
    return statistics(params, x, row_weight).log_lik - penalty(params)


def point(params: VariationalParams) -> MixtureParams:
    """A point estimate of the mixture: E pi, E mu and inv E Lambda = scatter / nu.

    The mean covariance, scatter / (nu - F - 1), does not exist for empty components under the
    default prior; the inverse of the mean precision does.
    """
    component = params.component
    return MixtureParams(
        log_weight=sticks.log_mean_weight(params.stick),
        mean=component.mean,
        covariance=component.scatter / component.degrees[:, None, None],
    )


@jax.jit
def log_predictive(params: VariationalParams, x: Rows) -> Float[Array, "N"]:
    """Log density of new rows under q, a mixture of Student t (Bishop 2006, 10.81).

    Missing values are integrated out.

    Raises
    ------
    InputError
        The rows have errors, for which there is no closed form.
    """
    x = as_measured(x)
    if x.noise is not None:
        raise InputError(
            "the predictive density needs exact values; found measurement errors; leave them out"
        )
    log_weight = sticks.log_mean_weight(params.stick)
    value = jnp.asarray(x.value)
    observed = jnp.ones_like(value) if x.observed is None else jnp.asarray(x.observed, value.dtype)

    def one(row):
        return jax.nn.logsumexp(log_weight + normal_wishart.log_student(params.component, *row))

    return jax.lax.map(one, (value, observed), batch_size=ROWS_AT_ONCE)


def draw(key: PRNGKeyArray, params: VariationalParams, n_draws: int) -> MixtureParams:
    """Mixtures sampled from q, with a first axis S."""
    of_stick, of_component = jax.random.split(key)
    log_weight = sticks.draw_log_weight(of_stick, params.stick, n_draws)
    mean, covariance = normal_wishart.draw(of_component, params.component, n_draws)
    return MixtureParams(log_weight=log_weight, mean=mean, covariance=covariance)


def surrogate(params: VariationalParams) -> MixtureParams:
    """The Gaussian mixture whose log joint is the expected one."""
    component = params.component
    n_features, nu = component.mean.shape[-1], component.degrees
    of_degrees = digamma((nu[:, None] - np.arange(n_features)) / 2).sum(-1)
    shift = (of_degrees + n_features * (jnp.log(2 / nu) - 1 / component.mean_precision)) / 2
    log_weight = sticks.expected_log_weight(params.stick) + shift
    covariance = component.scatter / nu[:, None, None]
    return MixtureParams(log_weight=log_weight, mean=component.mean, covariance=covariance)


def _sticks(n_components: int, weights: str, concentration, dtype, open_end=False) -> Sticks:
    if weights == "dirichlet":
        each = 1 / n_components if concentration is None else concentration
        stick = sticks.dirichlet(jnp.full(n_components, each, dtype))
    else:
        gamma = 1.0 if concentration is None else concentration
        stick = sticks.stick_breaking(n_components, gamma, open_end)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), stick)


def _component(mean_precision, mean, degrees, scatter) -> NormalWishart:
    return NormalWishart(
        mean_precision=jnp.asarray(mean_precision, mean.dtype),
        mean=mean,
        degrees=jnp.asarray(degrees, mean.dtype),
        scatter=scatter,
    )


def _check(n_components: int, weights: str, concentration, mean_precision) -> None:
    if n_components < 1:
        raise InputError(f"a mixture needs at least 1 component; found {n_components}")
    if weights not in WEIGHTS:
        raise InputError(f"weights must be one of {WEIGHTS}; found {weights!r}")
    for name, number in (("concentration", concentration), ("mean_precision", mean_precision)):
        if number is not None and not 0 < number < np.inf:
            raise InputError(f"{name} must be a finite number above 0; found {number}")


def _too_few(degrees, n_features: int) -> str:
    return f"degrees must be above F - 1 = {n_features - 1} and finite; found {degrees}"
