"""The posterior of weights given labels and out-of-fold log-likelihoods: NUTS, SVI or Laplace.

All three work in the coordinates of `label_model`, in which the posterior given the scales is
round, so that steps are long. Laplace keeps the scales where the evidence is greatest; the others
sample them.
"""

from collections.abc import Callable
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
    placed,
    potential,
)
from xbayes.models.base import Params, ScoreModel

SVI_STEPS, SVI_RATE = 1500, (0.05, 0.0005)
ACCEPT = 0.85  # smaller steps than the default: the scales make a funnel
REFIT_STEPS = 40
REFIT_TOL = 0.01  # standard deviations from the mode

Method = Literal["nuts", "svi", "laplace"]


class Draws(NamedTuple):
    """Draws of the posterior, chain by chain; Laplace and SVI give one chain of exact draws."""

    sites: dict[str, Float[Array, "M S ..."]]
    params: Params  # the model's, leaves [M S ...]
    log_lik: Float[Array, "M S N"]  # of the labels; zero for rows not counted
    sample_stats: dict[str, Array]  # diverging, num_steps and so on [M S]; empty but for NUTS
    power: float  # of the likelihood
    local: Local


class Sampling(NamedTuple):
    """How to sample."""

    method: Method = "nuts"
    chains: int = 4
    warmup: int = 500
    draws: int = 500  # of each chain
    thin: int = 1  # steps for each of them


def sample_posterior(
    program: Callable,
    model: ScoreModel,
    rows: Rows,
    group: Int[np.ndarray, "N"],
    key: PRNGKeyArray,
    sampling: Sampling,
) -> Draws:
    """Draws of every site; rows of a `group` (numbers below N) may be alike.

    Compiles once for equal shapes, `program` and `model`.
    """
    local = local_coordinates(program, model, rows)
    power = likelihood_power(program, model, rows, local, jnp.asarray(group))
    if power < 1.0:
        rows = rows._replace(power=jnp.asarray(power, rows.design.dtype))
        local = local_coordinates(program, model, rows)
    z, stats = SAMPLERS[sampling.method](program, model, rows, local, key, sampling)
    sites, params, log_lik = _unwhitened(program, model, rows, local, z)
    return Draws(sites, params, log_lik, stats, power, local)


def likelihood_power(
    program: Callable, model: ScoreModel, rows: Rows, local: Local, group: Int[Array, "N"]
) -> float:
    """What the log-likelihood must be multiplied by where rows of one group are alike.

    tr(H^-1 J) with J from single rows over the same with J from groups: 1 for groups of one row
    (the magnitude adjustment of composite likelihoods: Ribatet, Cooley & Davison 2012, Statistica
    Sinica 22, 813). In the local coordinates H is one.
    """
    gradient = _row_gradients(program, model, rows, local)
    grouped = jax.ops.segment_sum(gradient, group, num_segments=len(group))
    return min(1.0, float((gradient**2).sum() / jnp.maximum((grouped**2).sum(), 1e-12)))


@partial(jax.jit, static_argnums=(0, 1))
def _row_gradients(program, model, rows: Rows, local: Local) -> Float[Array, "N P"]:
    def log_lik(z):
        params = placed(program, rows.given, local, z)[1]
        return label_log_lik(model, rows, params)

    return jax.jacfwd(log_lik)(jnp.zeros_like(local.centre))


@partial(jax.jit, static_argnums=(0, 1))
def refitted(program: Callable, model: ScoreModel, rows: Rows, local: Local) -> Params:
    """The mode under other rows, the scales kept, searched from the centre of `local`."""
    _, _, is_scale = layout(program, rows.given)
    still = local._replace(root=jnp.where(is_scale[:, None], 0.0, local.root))

    size = jnp.maximum(rows.counted.sum(), 1)

    def loss(z):
        return potential(program, model, rows, still.centre + still.root @ z) / size

    # Of unit curvature is the potential, not the mean that is minimised.
    tol = jnp.minimum(REFIT_TOL / size, fine_tol())
    z, _ = minimise(loss, jnp.zeros_like(local.centre), REFIT_STEPS, tol)
    return placed(program, rows.given, still, z)[1]


def _whitened_model(program, model, rows: Rows, local: Local) -> None:
    size = local.centre.shape[0]
    flat = dist.ImproperUniform(dist.constraints.real_vector, (), (size,))
    z = numpyro.sample("z", flat)
    with handlers.block():
        minus_log = potential(program, model, rows, local.centre + local.root @ z)
    numpyro.factor("posterior", -minus_log)


@partial(jax.jit, static_argnums=(0, 1))
def _unwhitened(program, model, rows: Rows, local: Local, z: Float[Array, "M S P"]):
    def one(z):
        sites, params = placed(program, rows.given, local, z)
        return sites, params, label_log_lik(model, rows, params).astype(jnp.float32)

    return jax.lax.map(lambda chain: jax.lax.map(one, chain, batch_size=16), z)


def _laplace(program, model, rows, local: Local, key, sampling: Sampling):
    """The scales stay: at a joint mode they say nothing of what is likely."""
    del model
    _, _, is_scale = layout(program, rows.given)
    shape = (1, sampling.chains * sampling.draws, local.centre.shape[0])
    z = jax.random.normal(key, shape, local.centre.dtype)
    # Scales have directions of their own in the root; a still scale is a zero there.
    own = (local.root**2 * is_scale[:, None]).sum(0) > 0.5 * (local.root**2).sum(0)
    return jnp.where(own, 0.0, z), {}


@lru_cache(maxsize=8)
def _sampler(program, model, sampling: Sampling) -> MCMC:
    whitened = partial(_whitened_model, program, model)
    kernel = NUTS(whitened, target_accept_prob=ACCEPT)
    return MCMC(
        kernel,
        num_warmup=sampling.warmup,
        num_samples=sampling.draws * sampling.thin,
        thinning=sampling.thin,
        num_chains=sampling.chains,
        chain_method="vectorized",
        progress_bar=False,
        jit_model_args=True,
    )


STATS = ("diverging", "num_steps", "accept_prob", "energy")


def _nuts(program, model, rows, local: Local, key, sampling: Sampling):
    sampler = _sampler(program, model, sampling)
    begin, walk = jax.random.split(key)
    # Chains begin apart, further than the posterior is wide, or R-hat could not tell.
    z = 1.5 * jax.random.normal(begin, (sampling.chains, len(local.centre)), local.centre.dtype)
    sampler.run(walk, rows, local, init_params={"z": z}, extra_fields=STATS)
    found = sampler.get_samples(group_by_chain=True)["z"]
    stats = sampler.get_extra_fields(group_by_chain=True)
    return found, dict(stats)


@lru_cache(maxsize=8)
def _guide(program, model):
    whitened = partial(_whitened_model, program, model)
    return whitened, AutoDiagonalNormal(whitened, init_scale=0.7)


def _rate(step):
    """Falls, or the mean would go on walking a quarter of a standard deviation."""
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
