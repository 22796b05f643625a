"""A Bayesian Gaussian mixture, by variational Bayes with updates in closed form.

    pi ~ Dirichlet, or a stick broken K - 1 times;   Lambda_k ~ Wishart, mu_k | Lambda_k ~ normal
    z_n ~ pi,   t_n ~ N(mu_z, inv Lambda_z) the true values,   x_n what was seen of them

The posterior is sought in the form q(z, t) q(pi, mu, Lambda) that is nearest to the true one
(Bishop 2006, section 10.2; Blei & Jordan 2006 for the sticks). Then q(pi) is a stick, q(mu, Lambda)
a normal-Wishart a component, and the expected log joint is that of a common Gaussian mixture,

    E log N(t; mu, inv Lambda) = log N(t; m, S) + c,   S = scatter / nu,
    c = (sum_i digamma((nu - i)/2) + F log(2/nu)) / 2 - F/(2 beta),  i = 0 .. F - 1   (10.64-10.65),

of log weights E log pi + c. So the E step is that of `gaussian_mixture`: with missing values and
errors it gives the best q(z, t), exactly, and the bound

    ELBO = sum_n log sum_k exp(E log joint of what was seen) - KL(q(pi, mu, Lambda) || prior)

holds and never falls. (What is missing is one more unknown of the row, so rows with holes make the
bound looser than integrating them out would: with everything missing c still counts.) The M step
adds counts and moments to the prior. A row of weight w is w rows of responsibilities in common.
Components that the rows do not need stay at the prior: they are not seeded anew.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma
from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.models import gaussian_mixture as gaussian
from xbayes.models import normal_wishart, sticks
from xbayes.models.base import Model, Statistics
from xbayes.models.gaussian_mixture import MixtureParams, first_moments, moments_about
from xbayes.models.measured import as_measured
from xbayes.models.mixture_start import Start, k_means
from xbayes.models.normal_wishart import NormalWishart
from xbayes.models.sticks import Sticks
from xbayes.types import InputError

WEIGHTS = ("dirichlet", "stick_breaking")
ROWS_AT_ONCE = 256


class MixturePrior(NamedTuple):
    """Of the weights, and of the mean and precision that all components have in common."""

    stick: Sticks  # K
    component: NormalWishart  # without an axis of components


class VariationalParams(NamedTuple):
    """The posterior, and the prior it came from, which no step changes."""

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
    """At most K Gaussians of full covariance over `Measured` rows or an array [N F].

    `init` takes the prior from the rows: mean theirs, scatter their variances on a diagonal (1
    where a property is constant), and `degrees` F unless given, so that a component expects 1/F of
    all variance; `mean_precision` is what the mean of all rows counts for, in rows. To give it all,
    use `mixture_prior`, `starting_from` and `m_step`. `concentration` as there.

    Raises `InputError` for numbers that make no prior.
    """
    _check(n_components, weights, concentration, mean_precision)
    if degrees is not None and not 0 < degrees < np.inf:
        raise InputError(f"degrees must be a number above F - 1; found {degrees}")

    def init(key, x, row_weight=None):
        everything, found = first_moments(key, x, row_weight, n_components, start)
        centre, spread = everything.mean[0], everything.covariance[0]
        n_features = centre.shape[0]
        if degrees is not None and degrees <= n_features - 1:
            raise InputError(_too_few(degrees, n_features))
        nu = n_features if degrees is None else degrees
        component = _component(mean_precision, centre, nu, spread)
        prior = MixturePrior(_sticks(n_components, weights, concentration, centre.dtype), component)
        return maximise(starting_from(prior), found, everything.mean)

    return Model(
        jax.jit(init),
        log_joint,
        m_step,
        penalty=penalty,
        statistics=statistics,
        maximise=maximise,
        reseeds=False,
    )


def mixture_prior(
    n_components: int,
    mean: Float[Any, "F"],
    scatter: Float[Any, "F F"],
    weights: str = "dirichlet",
    concentration: float | None = None,
    mean_precision: float = 1.0,
    degrees: float | None = None,
    open_end: bool = False,
) -> MixturePrior:
    """A prior in numbers. The prior covariance of a component is inverse Wishart(degrees, scatter).

    `concentration`: of "dirichlet", that of each component (default 1/K); of "stick_breaking",
    gamma (default 1). The defaults agree: Dirichlet(gamma/K) tends to the Dirichlet process with
    growing K (Ishwaran & Zarepour 2002). `degrees` is F unless given. `open_end`: see
    `sticks.stick_breaking`; scikit-learn's "dirichlet_process" is so.

    Raises
    ------
    InputError
        A number that is not positive, degrees not above F - 1, a scatter that is no covariance.
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
    return MixturePrior(stick, _component(mean_precision, mean, nu, scatter))


def starting_from(prior: MixturePrior) -> VariationalParams:
    """The prior as if it were a posterior: what is known before any row."""
    shape = prior.stick.taken.shape
    every = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape), prior.component)
    return VariationalParams(prior.stick, every, prior)


@jax.jit
def log_joint(params: VariationalParams, x) -> Float[Array, "N K"]:
    """Expected log joint of what was seen; its softmax is q(z) (Bishop 2006, 10.46 and 10.49)."""
    return gaussian.log_joint(_surrogate(params), x)


@jax.jit
def statistics(params: VariationalParams, x, row_weight: Float[Array, "N"]) -> Statistics:
    """Best q(z, t) given q(pi, mu, Lambda), as moments of the true values about the means m."""
    return gaussian.statistics(_surrogate(params), x, row_weight)


@jax.jit
def maximise(params, statistics: Statistics, centre=None) -> VariationalParams:
    """Best q(pi, mu, Lambda) given moments about `centre`, without which they are about m."""
    prior, (first, second) = params.prior, statistics.moments
    centre = params.component.mean if centre is None else centre
    component = normal_wishart.given_moments(
        prior.component, centre, statistics.count, first, second
    )
    stick = sticks.given_counts(prior.stick, statistics.count)
    return VariationalParams(stick, component, prior)


@jax.jit
def m_step(params: VariationalParams, x, resp: Float[Array, "N K"]) -> VariationalParams:
    """Best q(pi, mu, Lambda) for responsibilities that are given."""
    return maximise(params, moments_about(_surrogate(params), x, resp))


@jax.jit
def penalty(params: VariationalParams) -> Float[Array, ""]:
    """KL(q(pi, mu, Lambda) || prior)."""
    of_components = normal_wishart.divergence(params.component, params.prior.component).sum()
    return of_components + sticks.divergence(params.stick, params.prior.stick)


def lower_bound(params: VariationalParams, x, row_weight: Float[Array, "N"]) -> Float[Array, ""]:
    """ELBO of all rows, with the best q(z, t): at most log p(x) (Bishop 2006, 10.70-10.77)."""
    return statistics(params, x, row_weight).log_lik - penalty(params)


def point(params: VariationalParams) -> MixtureParams:
    """One mixture to stand for the posterior: E pi, E mu, inv E Lambda = scatter / nu.

    The inverse of the mean precision exists where the mean covariance, scatter / (nu - F - 1), does
    not, as in empty components under the default prior.
    """
    covariance = params.component.scatter / params.component.degrees[:, None, None]
    return MixtureParams(sticks.log_mean_weight(params.stick), params.component.mean, covariance)


@jax.jit
def log_predictive(params: VariationalParams, x) -> Float[Array, "N"]:
    """Log density of new rows under q: a mixture of Student t (Bishop 2006, 10.81).

    Missing values are integrated out. Rows with errors have no closed form: `InputError`.
    """
    x = as_measured(x)
    if x.noise is not None:
        raise InputError("the predictive density is of exact values; found errors; leave them out")
    log_weight = sticks.log_mean_weight(params.stick)
    value = jnp.asarray(x.value)
    seen = jnp.ones_like(value) if x.observed is None else jnp.asarray(x.observed, value.dtype)

    def one(row):
        return jax.nn.logsumexp(log_weight + normal_wishart.log_student(params.component, *row))

    return jax.lax.map(one, (value, seen), batch_size=ROWS_AT_ONCE)


def draw(key: PRNGKeyArray, params: VariationalParams, n_draws: int) -> MixtureParams:
    """Mixtures drawn from q, stacked along a first axis S; from `starting_from`, of the prior."""
    of_stick, of_component = jax.random.split(key)
    log_weight = sticks.draw_log_weight(of_stick, params.stick, n_draws)
    return MixtureParams(log_weight, *normal_wishart.draw(of_component, params.component, n_draws))


def _surrogate(params: VariationalParams) -> MixtureParams:
    """The Gaussian mixture whose log joint is the expected one."""
    component = params.component
    n_features, nu = component.mean.shape[-1], component.degrees
    of_degrees = digamma((nu[:, None] - np.arange(n_features)) / 2).sum(-1)
    shift = (of_degrees + n_features * (jnp.log(2 / nu) - 1 / component.mean_precision)) / 2
    log_weight = sticks.expected_log_weight(params.stick) + shift
    return MixtureParams(log_weight, component.mean, component.scatter / nu[:, None, None])


def _sticks(n_components: int, weights: str, concentration, dtype, open_end=False) -> Sticks:
    if weights == "dirichlet":
        each = 1 / n_components if concentration is None else concentration
        found = sticks.dirichlet(jnp.full(n_components, each, dtype))
    else:
        gamma = 1.0 if concentration is None else concentration
        found = sticks.stick_breaking(n_components, gamma, open_end)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), found)


def _component(mean_precision, mean, degrees, scatter) -> NormalWishart:
    strength, nu = (jnp.asarray(number, mean.dtype) for number in (mean_precision, degrees))
    return NormalWishart(strength, mean, nu, scatter)


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
