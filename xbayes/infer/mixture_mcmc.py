"""The Bayesian mixture of `models/bayesian_mixture` by NUTS: slow, and right where it mixes.

The same prior and likelihood, components summed over, so that nothing discrete is sampled. It
checks variational Bayes on small data; NUTS visits the modes that renaming components makes, or
does not, and so only what `infer/mixture_draws` reads without names, or relabels, is to be read.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpyro.infer.hmc import hmc
from numpyro.infer.util import constrain_fn, potential_energy

from xbayes.models.bayesian_mixture import MixturePrior, starting_from
from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.models.measured import check_rows
from xbayes.models.normal_wishart import from_standard
from xbayes.models.sticks import log_weight_of
from xbayes.types import InputError

MOST_ROWS = 5000
ACCEPTED, DEPTH = 0.9, 8  # target of the step size; trajectories of at most 2^depth - 1 steps


class MixtureDraws(NamedTuple):
    """Draws of the posterior, with how NUTS fared; chains, if there are several, come first."""

    params: MixtureParams  # S on each leaf
    potential: Float[Array, "*H S"]  # minus log joint, in the sampler's own coordinates
    diverging: Bool[Array, "*H S"]
    n_steps: Int[Array, "*H S"]  # of the trajectory


def mixture_model(prior: MixturePrior, x, row_weight: Float[Array, "N"]) -> None:
    """The NumPyro model; rows with holes or errors too, as in `gaussian_mixture`.

    Sites are independent standard variables (Bartlett's, see `normal_wishart.from_standard`), so
    that the geometry is the same for a component that holds rows and one that holds none.
    """
    every = starting_from(prior).component
    n_components, n_features = every.mean.shape
    stick = prior.stick
    share = stick.taken[:-1]
    if n_components > 1:
        share = numpyro.sample("share", dist.Beta(share, stick.left[:-1]).to_event(1))
    half = (every.degrees[:, None] - np.arange(n_features)) / 2
    chi2 = numpyro.sample("chi2", dist.Gamma(half, 0.5).to_event(2))
    zero = jnp.zeros((n_components, n_features), every.mean.dtype)
    offset = numpyro.sample("offset", dist.Normal(zero, 1.0).to_event(2))
    below = np.tril_indices(n_features, -1)
    flat = jnp.zeros((n_components, len(below[0])), zero.dtype)
    shear = numpyro.sample("shear", dist.Normal(flat, 1.0).to_event(2))
    shear = jnp.zeros((*zero.shape, n_features), zero.dtype).at[:, *below].set(shear)
    mean, covariance = from_standard(every, jnp.asarray(chi2), shear, jnp.asarray(offset))
    params = MixtureParams(log_weight_of(jnp.asarray(share)), mean, covariance)
    for name, leaf in params._asdict().items():
        numpyro.deterministic(name, leaf)
    log_lik = jax.nn.logsumexp(log_joint(params, x), axis=1)
    numpyro.factor("log_lik", jnp.where(row_weight > 0, row_weight * log_lik, 0.0).sum())


def sample_chain(
    key: PRNGKeyArray,
    prior: MixturePrior,
    x,
    row_weight: Float[Array, "N"],
    n_warmup: int,
    n_draws: int,
    thin: int = 1,
) -> MixtureDraws:
    """One chain of NUTS (Hoffman & Gelman 2014), from near the prior; of every `thin` draws one.

    Pure: jit and vmap over keys, priors or rows of equal shape work.
    """
    arguments = (prior, x, row_weight)
    run, begin = jax.random.split(key)
    potential = partial(potential_energy, mixture_model, arguments, {})
    start = _near_the_prior(begin, prior)
    init_kernel, sample_kernel = hmc(potential, algo="NUTS")
    n_before = -(-n_warmup // thin)  # one loop serves warm-up and draws: half as much to compile
    state = init_kernel(
        start, n_before * thin, target_accept_prob=ACCEPTED, max_tree_depth=DEPTH, rng_key=run
    )

    def step(state, _):
        state = jax.lax.fori_loop(0, thin, lambda _, s: sample_kernel(s), state)
        return state, (state.z, state.potential_energy, state.diverging, state.num_steps)

    _, kept = jax.lax.scan(step, state, length=n_before + n_draws)
    places, *fared = jax.tree.map(lambda leaf: leaf[n_before:], kept)

    def params_at(place):
        sites = constrain_fn(mixture_model, arguments, {}, place, return_deterministic=True)
        return MixtureParams(*(sites[name] for name in MixtureParams._fields))

    return MixtureDraws(jax.lax.map(params_at, places), *fared)


_sample_chains = jax.jit(
    jax.vmap(sample_chain, in_axes=(0, None, None, None, None, None, None)),
    static_argnums=(4, 5, 6),
)


def sample_posterior(
    key: PRNGKeyArray,
    prior: MixturePrior,
    x,
    row_weight: Float[Array, "N"] | None = None,
    n_warmup: int = 500,
    n_draws: int = 500,
    n_chains: int = 2,
    thin: int = 1,
) -> MixtureDraws:
    """Several chains on small data, leaves [H S ...]; a row of weight w counts w times.

    Raises
    ------
    InputError
        Rows no mixture can be fitted to (`check_rows`), more than 5000 of them, no draws asked for,
        a prior whose last stick leaves something, or a chain that ended where nothing is finite.
    """
    n_rows = jax.tree.leaves(x)[0].shape[0]
    row_weight = jnp.ones(n_rows) if row_weight is None else jnp.asarray(row_weight)
    check_rows(x, np.asarray(row_weight), 1)
    if n_rows > MOST_ROWS:
        raise InputError(
            f"NUTS reads all rows at every step: at most {MOST_ROWS}; found {n_rows}; take a "
            "sample of them, or variational Bayes"
        )
    if min(n_warmup, n_draws, n_chains, thin) < 1:
        raise InputError("n_warmup, n_draws, n_chains and thin must be at least 1")
    if float(prior.stick.left[-1]) != 0:
        raise InputError("NUTS needs weights that sum to 1; make the prior without open_end")
    keys = jax.random.split(key, n_chains)
    found = _sample_chains(keys, prior, x, row_weight, n_warmup, n_draws, thin)
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in (*found.params, found.potential)):
        raise InputError("a chain left the finite numbers; scale the rows, or widen the prior")
    return found


def _near_the_prior(key: PRNGKeyArray, prior: MixturePrior):
    """Unconstrained sites: shares and chi2 at the prior's means, the rest drawn from half of it."""
    n_components, (n_features,) = prior.stick.taken.shape[0], prior.component.mean.shape
    dtype = prior.component.mean.dtype
    taken, left = prior.stick.taken[:-1], prior.stick.left[:-1]
    of_offset, of_shear = jax.random.split(key)
    expected = jnp.log(prior.component.degrees - np.arange(n_features))
    pairs = n_features * (n_features - 1) // 2
    share = {"share": jnp.log(taken) - jnp.log(left)} if n_components > 1 else {}
    return {
        **share,
        "chi2": jnp.broadcast_to(expected, (n_components, n_features)).astype(dtype),
        "offset": jax.random.normal(of_offset, (n_components, n_features), dtype) / 2,
        "shear": jax.random.normal(of_shear, (n_components, pairs), dtype) / 2,
    }
