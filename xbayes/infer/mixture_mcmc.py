"""NUTS samples of the Bayesian mixture of `models/bayesian_mixture`.

Prior and likelihood are the same; the component of each row is summed out, so no discrete variable
is sampled. NUTS is slow, and exact where it mixes. It may or may not visit the modes that differ by
a permutation of the components: relabel the samples (`infer/mixture_draws`).
"""

import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jax.scipy.special import polygamma
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpyro.diagnostics import split_gelman_rubin
from numpyro.infer.hmc import hmc
from numpyro.infer.util import constrain_fn, potential_energy

from xbayes.errors import InputError, XbayesWarning
from xbayes.models.bayesian_mixture import VariationalParams
from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.models.measured import Measured, Rows, as_measured, check_rows
from xbayes.models.normal_wishart import from_standard, log_density
from xbayes.models.sticks import log_weight_of

MAX_SIZE = 1_000_000  # see `_check_size`; about 20 ms for each of thousands of steps
TARGET_ACCEPT = 0.9
MOST_RHAT, MOST_DIVERGING = 1.1, 0.05  # more make a warning
MAX_TREE_DEPTH = 8  # trajectories have at most 2^depth - 1 steps


class MixtureDraws(NamedTuple):
    """Posterior samples, and how NUTS performed; a first axis H is that of the chains, if any."""

    params: MixtureParams  # leaves [*H S ...]
    potential: Float[Array, "*H S"]  # -log joint in the unconstrained coordinates
    diverging: Bool[Array, "*H S"]
    n_steps: Int[Array, "*H S"]  # of the trajectory


def mixture_model(around: VariationalParams, x: Rows, row_weight: Float[Array, "N"]) -> None:
    """The NumPyro model; rows may have values that are not measured, and errors.

    The sites are independent standard variables of the approximate posterior `around` (Bartlett's
    decomposition, see `normal_wishart.from_standard`), and a factor replaces its density by that of
    its prior. So the posterior does not depend on `around`, but the closer `around` is, the closer
    the sites are to independent variables of width one, which NUTS samples in few steps.
    """
    component, stick, prior = around.component, around.stick, around.prior
    n_components, n_features = component.mean.shape
    share, log_ratio = stick.taken[:-1], 0.0
    if n_components > 1:
        approximate = dist.Beta(share, stick.left[:-1]).to_event(1)
        share = jnp.asarray(numpyro.sample("share", approximate))
        log_ratio = dist.Beta(prior.stick.taken[:-1], prior.stick.left[:-1]).log_prob(share).sum()
        log_ratio = log_ratio - approximate.log_prob(share)
    half_degrees = (component.degrees[:, None] - np.arange(n_features)) / 2
    chi2 = numpyro.sample("chi2", dist.Gamma(half_degrees, 0.5).to_event(2))
    zero = jnp.zeros((n_components, n_features), component.mean.dtype)
    offset = numpyro.sample("offset", dist.Normal(zero, 1.0).to_event(2))
    below = np.tril_indices(n_features, -1)
    flat = jnp.zeros((n_components, len(below[0])), zero.dtype)
    shear = numpyro.sample("shear", dist.Normal(flat, 1.0).to_event(2))
    shear = jnp.zeros((*zero.shape, n_features), zero.dtype).at[:, *below].set(shear)
    mean, covariance = from_standard(component, jnp.asarray(chi2), shear, jnp.asarray(offset))
    of_prior = log_density(prior.component, mean, covariance)
    log_ratio = log_ratio + (of_prior - log_density(component, mean, covariance)).sum()
    numpyro.factor("prior_over_approximate", log_ratio)
    params = MixtureParams(log_weight=log_weight_of(share), mean=mean, covariance=covariance)
    for name, leaf in params._asdict().items():
        numpyro.deterministic(name, leaf)
    log_lik = jax.nn.logsumexp(log_joint(params, x), axis=1)
    numpyro.factor("log_lik", jnp.where(row_weight > 0, row_weight * log_lik, 0.0).sum())


def sample_chain(
    key: PRNGKeyArray,
    around: VariationalParams,
    x: Rows,
    row_weight: Float[Array, "N"],
    *,
    n_warmup: int,
    n_draws: int,
    thin: int = 1,
) -> MixtureDraws:
    """Posterior samples of one chain of NUTS (Hoffman & Gelman 2014); every `thin`-th is kept.

    The chain starts near the mean of `around`, see `mixture_model`. The function is pure: jit and
    vmap over keys, priors or rows of equal shape work.
    """
    arguments = (around, x, row_weight)
    run_key, start_key = jax.random.split(key)
    potential = partial(potential_energy, mixture_model, arguments, {})
    start, variance = _start_near(start_key, around)
    init_kernel, sample_kernel = hmc(potential, algo="NUTS")
    n_before = -(-n_warmup // thin)  # one loop for warm-up and samples: half as much to compile
    state = init_kernel(
        start,
        n_before * thin,
        inverse_mass_matrix=ravel_pytree(variance)[0],
        target_accept_prob=TARGET_ACCEPT,
        max_tree_depth=MAX_TREE_DEPTH,
        rng_key=run_key,
    )

    def step(state, _):
        state = jax.lax.fori_loop(0, thin, lambda _, s: sample_kernel(s), state)
        return state, (state.z, state.potential_energy, state.diverging, state.num_steps)

    _, states = jax.lax.scan(step, state, length=n_before + n_draws)
    sites, potentials, diverging, n_steps = jax.tree.map(lambda leaf: leaf[n_before:], states)

    def params_at(unconstrained):
        values = constrain_fn(
            mixture_model, arguments, {}, unconstrained, return_deterministic=True
        )
        return MixtureParams(**{name: values[name] for name in MixtureParams._fields})

    return MixtureDraws(
        params=jax.lax.map(params_at, sites),
        potential=potentials,
        diverging=diverging,
        n_steps=n_steps,
    )


@partial(jax.jit, static_argnames=("n_warmup", "n_draws", "thin"))
def _sample_chains(keys, around, x, row_weight, *, n_warmup, n_draws, thin):
    chain = partial(sample_chain, n_warmup=n_warmup, n_draws=n_draws, thin=thin)
    return jax.vmap(chain, in_axes=(0, None, None, None))(keys, around, x, row_weight)


def sample_posterior(
    key: PRNGKeyArray,
    around: VariationalParams,
    x: Rows,
    row_weight: Float[Array, "N"] | None = None,
    *,
    n_warmup: int = 500,
    n_draws: int = 500,
    n_chains: int = 2,
    thin: int = 1,
) -> MixtureDraws:
    """Posterior samples of several chains, leaves [H S ...]; a row of weight w counts w times.

    Raises
    ------
    InputError
        The rows are not fit for a mixture (`check_rows`) or too many, no samples are requested,
        the prior's weights do not sum to one, or a chain ended where the density is not finite.

    Warns
    -----
    XbayesWarning
        The chains disagree, or trajectories diverged.
    """
    n_rows = jax.tree.leaves(x)[0].shape[0]
    row_weight = jnp.ones(n_rows) if row_weight is None else jnp.asarray(row_weight)
    check_rows(x, np.asarray(row_weight), 1)
    _check_size(around, as_measured(x))
    if min(n_warmup, n_draws, n_chains, thin) < 1:
        raise InputError(
            "n_warmup, n_draws, n_chains and thin must be at least 1; found "
            f"{n_warmup}, {n_draws}, {n_chains} and {thin}"
        )
    if float(around.stick.left[-1]) != 0:
        raise InputError("NUTS needs weights that sum to 1; make the prior without open_end")
    keys = jax.random.split(key, n_chains)
    draws = _sample_chains(
        keys, around, x, row_weight, n_warmup=n_warmup, n_draws=n_draws, thin=thin
    )
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in (*draws.params, draws.potential)):
        raise InputError(
            "a chain reached values that are not finite; scale the rows, or widen the prior"
        )
    warn_if_not_converged(draws)
    return draws


def warn_if_not_converged(draws: MixtureDraws) -> None:
    """Warn if the chains disagree about the log joint, or many trajectories diverged."""
    diverging = float(draws.diverging.mean())
    # The log joint does not depend on the order of the components.
    rhat = float(split_gelman_rubin(np.asarray(draws.potential)))
    if rhat > MOST_RHAT or diverging > MOST_DIVERGING:
        text = (
            f"NUTS of the clusters did not converge: R-hat of the log joint is {rhat:.2f} (at most "
            f"{MOST_RHAT}), and {diverging:.1%} of the trajectories diverged (at most "
            f"{MOST_DIVERGING:.0%}); use more model.clusters.draws, or fewer components"
        )
        warnings.warn(text, XbayesWarning, stacklevel=3)


def _check_size(around: VariationalParams, x: Measured) -> None:
    """Refuse what takes hours: each step reads all rows, and factorises incomplete ones."""
    n_components, n_features = around.component.mean.shape
    exact = x.observed is None and x.noise is None
    n_rows = x.value.shape[0]
    found = n_rows * n_components * n_features ** (1 if exact else 3)
    if found > MAX_SIZE:
        cubed = "" if exact else "^3, because values are missing or have errors"
        raise InputError(
            f"too many rows for NUTS: rows x components x features{cubed} must be at most "
            f"{MAX_SIZE:,}; found {n_rows} x {n_components} x {n_features}{cubed[:2]} = {found:,}; "
            "use fewer of them, or model.clusters.mixture: dirichlet"
        )


def _start_near(key: PRNGKeyArray, around: VariationalParams):
    """Unconstrained sites near the mean of `around`, and their variances under it."""
    n_components, n_features = around.component.mean.shape
    dtype = around.component.mean.dtype
    taken, left = around.stick.taken[:-1], around.stick.left[:-1]
    offset_key, shear_key = jax.random.split(key)
    degrees = (around.component.degrees[:, None] - np.arange(n_features)).astype(dtype)
    flat = jnp.zeros((n_components, n_features * (n_features - 1) // 2), dtype)
    start = {
        "chi2": jnp.log(degrees),
        "offset": jax.random.normal(offset_key, degrees.shape, dtype) / 2,
        "shear": jax.random.normal(shear_key, flat.shape, dtype) / 2,
    }
    variance = {
        "chi2": polygamma(1, degrees / 2),  # of the logarithm of a gamma variable
        "offset": jnp.ones_like(degrees),
        "shear": jnp.ones_like(flat),
    }
    if n_components > 1:
        start["share"] = jnp.log(taken) - jnp.log(left)
        variance["share"] = polygamma(1, taken) + polygamma(1, left)  # of the log-odds
    return start, variance
