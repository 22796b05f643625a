"""Posterior samples of the weights, by NUTS, stochastic variational inference (SVI) or Laplace.

The data are the labels and the out-of-fold log-likelihoods. All three methods work in the local
coordinates of `weight_model`, in which the posterior at fixed scales has unit curvature. Laplace
fixes the scales at their greatest evidence; NUTS and SVI sample them.
"""

from functools import lru_cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoDiagonalNormal

from xbayes.infer.gradient import fine_tol, minimise
from xbayes.infer.weight_model import (
    Local,
    Rows,
    label_log_lik,
    layout,
    local_coordinates,
    potential,
    sites_and_params,
)
from xbayes.models.base import Params, ScoreModel
from xbayes.models.weight_prior import Program

SVI_STEPS, SVI_RATE = 1500, (0.05, 0.0005)
TARGET_ACCEPT = 0.85  # smaller steps than the default: the scales make a funnel
STATS = ("diverging", "num_steps", "accept_prob", "energy")
REFIT_STEPS = 40
REFIT_TOL = 0.01  # standard deviations from the mode

Method = Literal["nuts", "svi", "laplace"]


class Draws(NamedTuple):
    """Posterior samples, chain by chain; Laplace and SVI give one chain of independent samples."""

    sites: dict[str, Float[Array, "M S ..."]]
    params: Params  # of the model; leaves [M S ...]
    log_lik: Float[Array, "M S N"]  # of the labels; zero for rows that are not counted
    sample_stats: dict[str, Array]  # [M S], named in STATS; empty unless NUTS was used
    power: float  # of the likelihood
    local: Local


class Sampling(NamedTuple):
    """Method and size of the sampling."""

    method: Method = "nuts"
    chains: int = 4
    warmup: int = 500
    draws: int = 500  # per chain
    thin: int = 1  # steps per sample


def sample_posterior(
    program: Program,
    model: ScoreModel,
    rows: Rows,
    group: Int[np.ndarray, "N"],
    key: PRNGKeyArray,
    sampling: Sampling,
) -> Draws:
    """Posterior samples of every site.

    Rows of one `group` (numbers below N) may be correlated; see `likelihood_power`. Compiles once
    for equal shapes, `program` and `model`.
    """
    local = local_coordinates(program, model, rows)
    power = likelihood_power(program, model, rows, local, jnp.asarray(group))
    if power < 1.0:
        rows = rows._replace(power=jnp.asarray(power, rows.design.dtype))
        local = local_coordinates(program, model, rows)
    z, stats = SAMPLERS[sampling.method](program, model, rows, local, key, sampling)
    sites, params, log_lik = _values_at(program, model, rows, local, z)
    return Draws(
        sites=sites, params=params, log_lik=log_lik, sample_stats=stats, power=power, local=local
    )


def likelihood_power(
    program: Program, model: ScoreModel, rows: Rows, local: Local, group: Int[Array, "N"]
) -> float:
    """Power of the log-likelihood that corrects for correlated rows within groups; at most 1.

    The magnitude adjustment of composite likelihoods, tr(H^-1 J) of independent rows over
    tr(H^-1 J) of groups, with J the sum over rows or groups of the squared gradient of the
    log-likelihood (Ribatet, Cooley & Davison 2012, Statistica Sinica 22, 813). In the local
    coordinates the curvature H is the identity. Groups of one row give 1.
    """
    gradient = _row_gradients(program, model, rows, local)
    grouped = jax.ops.segment_sum(gradient, group, num_segments=len(group))
    return min(1.0, float((gradient**2).sum() / jnp.maximum((grouped**2).sum(), 1e-12)))


@partial(jax.jit, static_argnums=(0, 1))
def _row_gradients(program, model, rows: Rows, local: Local) -> Float[Array, "N P"]:
    def log_lik(z):
        params = sites_and_params(program, rows.given, local, z)[1]
        return label_log_lik(model, rows, params)

    return jax.jacfwd(log_lik)(jnp.zeros_like(local.centre))


@partial(jax.jit, static_argnums=(0, 1))
def refit_mode(program: Program, model: ScoreModel, rows: Rows, local: Local) -> Params:
    """Parameters at the mode for other rows, at the scales of `local`, starting from its centre."""
    _, _, is_scale = layout(program, rows.given)
    fixed = local._replace(root=jnp.where(is_scale[:, None], 0.0, local.root))
    size = jnp.maximum(rows.counted.sum(), 1)

    def loss(z):
        return potential(program, model, rows, fixed.centre + fixed.root @ z) / size

    # The potential has unit curvature, its mean over rows does not.
    tol = jnp.minimum(REFIT_TOL / size, fine_tol())
    z, _ = minimise(loss, jnp.zeros_like(local.centre), REFIT_STEPS, tol)
    return sites_and_params(program, rows.given, fixed, z)[1]


def _whitened_model(program, model, rows: Rows, local: Local) -> None:
    size = local.centre.shape[0]
    flat = dist.ImproperUniform(dist.constraints.real_vector, (), (size,))
    z = numpyro.sample("z", flat)
    with handlers.block():
        minus_log = potential(program, model, rows, local.centre + local.root @ z)
    numpyro.factor("posterior", -minus_log)


@partial(jax.jit, static_argnums=(0, 1))
def _values_at(program, model, rows: Rows, local: Local, z: Float[Array, "M S P"]):
    def one(z):
        sites, params = sites_and_params(program, rows.given, local, z)
        return sites, params, label_log_lik(model, rows, params).astype(jnp.float32)

    return jax.lax.map(lambda chain: jax.lax.map(one, chain, batch_size=16), z)


def _laplace(program, model, rows, local: Local, key, sampling: Sampling):
    """Normal samples with the scales fixed: the Laplace approximation fails for scales."""
    del model
    _, _, is_scale = layout(program, rows.given)
    shape = (1, sampling.chains * sampling.draws, local.centre.shape[0])
    z = jax.random.normal(key, shape, local.centre.dtype)
    # The scales are separate directions of the root; z = 0 there keeps a scale fixed.
    of_scale = (local.root**2 * is_scale[:, None]).sum(0) > 0.5 * (local.root**2).sum(0)
    return jnp.where(of_scale, 0.0, z), {}


@partial(jax.jit, static_argnums=(0, 1, 5))
def _nuts(program, model, rows, local: Local, key, sampling: Sampling):
    """Compiled once for equal shapes; NumPyro alone compiles its vectorised chains at each run."""
    sampler = MCMC(
        NUTS(partial(_whitened_model, program, model), target_accept_prob=TARGET_ACCEPT),
        num_warmup=sampling.warmup,
        num_samples=sampling.draws * sampling.thin,
        thinning=sampling.thin,
        num_chains=sampling.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    start_key, run_key = jax.random.split(key)
    # R-hat needs chains that start further apart than the posterior is wide.
    z = 1.5 * jax.random.normal(start_key, (sampling.chains, len(local.centre)), local.centre.dtype)
    start = z if sampling.chains > 1 else z[0]  # NumPyro knows no axis of a single chain
    sampler.run(run_key, rows, local, init_params={"z": start}, extra_fields=STATS)
    samples = sampler.get_samples(group_by_chain=True)["z"]
    return samples, dict(sampler.get_extra_fields(group_by_chain=True))


@lru_cache(maxsize=8)
def _guide(program, model):
    whitened = partial(_whitened_model, program, model)
    return whitened, AutoDiagonalNormal(whitened, init_scale=0.7)


def _rate(step):
    """Falling learning rate; a constant one leaves the mean a quarter of a deviation off."""
    first, last = SVI_RATE
    return first * (last / first) ** (step / SVI_STEPS)


def _svi(program, model, rows, local: Local, key, sampling: Sampling):
    whitened, guide = _guide(program, model)
    svi = SVI(whitened, guide, numpyro.optim.Adam(_rate), Trace_ELBO(num_particles=4))
    fit_key, draw_key = jax.random.split(key)
    zero = {"auto_loc": jnp.zeros_like(local.centre)}
    run = svi.run(fit_key, SVI_STEPS, rows, local, progress_bar=False, init_params=zero)
    shape = (1, sampling.chains * sampling.draws)
    return guide.sample_posterior(draw_key, run.params, sample_shape=shape)["z"], {}


SAMPLERS = {"nuts": _nuts, "svi": _svi, "laplace": _laplace}
