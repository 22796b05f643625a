"""The posterior of weights given labels and out-of-fold log-likelihoods: NUTS, SVI or Laplace.

    weights ~ a prior program,   label_n ~ Categorical(softmax(log prior + scores(weights, x_n)))

All three work in coordinates in which the posterior given the scales has unit curvature, so that
steps are long. Laplace keeps the scales where the evidence is greatest; the others sample them.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoDiagonalNormal
from numpyro.infer.util import log_density, transform_fn, unconstrain_fn

from xbayes.infer.gradient import minimise
from xbayes.models.base import Params, ScoreModel

SCALE = "scale_"  # how the names of the learned scales begin
SCALE_WIDTH = 0.3  # of log scale, where the walk begins
FIRST_SCALE, LEAST_SCALE, MOST_SCALE = 0.5, 0.05, 3.0
EVIDENCE_ROUNDS = 8
SVI_STEPS, SVI_RATE = 1500, 0.02
ACCEPT = 0.9  # smaller steps than the default: the scales make a funnel
RIDGE = 1e-6

Method = Literal["nuts", "svi", "laplace"]


class Rows(NamedTuple):
    """What is observed."""

    design: Float[Array, "N D"]  # of the out-of-fold log-likelihoods
    class_index: Int[Array, "N"]
    counted: Bool[Array, "N"]  # rows that are not change nothing
    log_prior: Float[Array, "C"]
    power: Float[Array, ""]  # of the likelihood; below 1 where rows of a group are alike


class Draws(NamedTuple):
    """Draws of the posterior, chain by chain; Laplace and SVI give one chain of exact draws."""

    sites: dict[str, Float[Array, "M S ..."]]
    sample_stats: dict[str, Array]  # diverging, tree_depth and so on [M S]; empty but for NUTS


class Sampling(NamedTuple):
    """How to sample."""

    method: Method = "nuts"
    chains: int = 4
    warmup: int = 500
    draws: int = 500  # of each chain


def label_model(program: Callable, model: ScoreModel, rows: Rows) -> None:
    """The NumPyro model."""
    params = program(rows.log_prior)
    score = rows.log_prior + model.scores(params, rows.design)
    truth = jnp.maximum(rows.class_index, 0)
    with handlers.mask(mask=rows.counted), handlers.scale(scale=rows.power):
        numpyro.sample("label", dist.Categorical(logits=score), obs=truth)


def sample_posterior(
    program: Callable,
    model: ScoreModel,
    rows: Rows,
    key: PRNGKeyArray,
    sampling: Sampling,
) -> Draws:
    """Draws of every site.

    Compiles once for equal shapes, `program` and `model`.
    """
    local = _local(program, model, rows)
    if sampling.method == "laplace":
        return _laplace(program, model, rows, local, key, sampling)
    if sampling.method == "svi":
        return _svi(program, model, rows, local, key, sampling)
    return _nuts(program, model, rows, local, key, sampling)


def params_of(program: Callable, sites: dict[str, Array], log_prior: Array) -> Params:
    """The model's parameters at one draw of the sites."""
    with handlers.block(), handlers.substitute(data=sites):
        return program(log_prior)


class _Local(NamedTuple):
    """Unconstrained values = centre + root z, with unit curvature in z given the scales."""

    centre: Float[Array, "P"]
    root: Float[Array, "P P"]


def _sites(program: Callable, n_classes: int) -> dict[str, Any]:
    """One draw of the prior, for names, shapes and supports."""
    with handlers.block(), handlers.seed(rng_seed=0):
        traced = handlers.trace(program).get_trace(jnp.zeros(n_classes))
    return {name: site for name, site in traced.items() if site["type"] == "sample"}


@lru_cache(maxsize=16)
def _layout(program: Callable, n_classes: int):
    """Unconstrained sites as one vector: its zero, how to unravel it, where the scales lie."""
    sites = _sites(program, n_classes)
    free = unconstrain_fn(
        lambda: program(jnp.zeros(n_classes)), (), {}, {n: s["value"] for n, s in sites.items()}
    )
    start, unravel = ravel_pytree(jax.tree.map(jnp.zeros_like, free))
    marks = {n: jnp.full_like(v, n.startswith(SCALE)) for n, v in free.items()}
    return start, unravel, ravel_pytree(marks)[0] > 0


def _potential(program, model, rows: Rows, vector) -> Float[Array, ""]:
    """-log posterior of the unconstrained sites, up to a constant."""
    _, unravel, _ = _layout(program, rows.log_prior.shape[0])
    free = unravel(vector)
    sites = constrained(program, rows.log_prior, free)
    log_joint = log_density(label_model, (program, model, rows), {}, sites)[0]
    return -log_joint - _log_jacobian(program, rows.log_prior.shape[0], free)


def constrained(program, log_prior, free: dict[str, Array]) -> dict[str, Array]:
    """Values of the sites from unconstrained ones."""
    return transform_fn(_transforms(program, log_prior.shape[0]), free)


@lru_cache(maxsize=16)
def _transforms(program, n_classes: int):
    return {
        name: dist.transforms.biject_to(site["fn"].support)
        for name, site in _sites(program, n_classes).items()
    }


def _log_jacobian(program, n_classes: int, free) -> Float[Array, ""]:
    total = jnp.zeros(())
    for name, transform in _transforms(program, n_classes).items():
        value = transform(free[name])
        total += transform.log_abs_det_jacobian(free[name], value).sum()
    return total


def _local(program, model, rows: Rows) -> _Local:
    """The mode and its curvature at the scales of greatest evidence, as Laplace sees it."""
    start, unravel, is_scale = _layout(program, rows.log_prior.shape[0])
    scales = {n: FIRST_SCALE for n in unravel(start) if n.startswith(SCALE)}
    local = None
    for _ in range(EVIDENCE_ROUNDS):
        free = {n: jnp.log(jnp.asarray(v, start.dtype)) for n, v in scales.items()}
        vector = start if local is None else local.centre
        centre = ravel_pytree(unravel(vector) | free)[0]
        local = _whitened(program, model, rows, centre, is_scale)
        # EM: with z ~ N(0, 1), the scale is right when its members' mean square is one.
        square = unravel(local.centre**2 + (local.root**2).sum(1))
        growth = {n: float(jnp.sqrt(square["z_" + n.removeprefix(SCALE)].mean())) for n in scales}
        scales = {n: min(max(v * growth[n], LEAST_SCALE), MOST_SCALE) for n, v in scales.items()}
    assert local is not None
    return local


@partial(jax.jit, static_argnums=(0, 1))
def _whitened(program, model, rows: Rows, start, is_scale) -> _Local:
    """The mode given the scales, and its curvature."""

    def loss(vector):
        vector = jnp.where(is_scale, start, vector)
        return _potential(program, model, rows, vector) / jnp.maximum(rows.counted.sum(), 1)

    centre, _ = minimise(loss, start)
    centre = jnp.where(is_scale, start, centre)
    hessian = jax.hessian(lambda v: _potential(program, model, rows, v))(centre)
    fixed = is_scale[:, None] | is_scale[None, :]
    own = jnp.where(is_scale, SCALE_WIDTH**-2, jnp.maximum(jnp.diag(hessian), RIDGE))
    hessian = jnp.where(fixed, 0.0, (hessian + hessian.T) / 2)
    hessian = hessian.at[jnp.diag_indices(len(own))].set(own)
    # Where the mode is no minimum in some direction, its curvature there is the prior's.
    value, vector = jnp.linalg.eigh(hessian)
    root = vector / jnp.sqrt(jnp.maximum(value, 0.1))
    return _Local(centre, root)


def _whitened_model(program, model, rows: Rows, local: _Local) -> None:
    size = local.centre.shape[0]
    flat = dist.ImproperUniform(dist.constraints.real_vector, (), (size,))
    z = numpyro.sample("z", flat)
    with handlers.block():
        potential = _potential(program, model, rows, local.centre + local.root @ z)
    numpyro.factor("posterior", -potential)


def _unwhitened(program, log_prior, local: _Local, z: Float[Array, "M S P"]):
    """Every site, deterministic ones too, of each draw."""
    _, unravel, _ = _layout(program, log_prior.shape[0])

    def one(z):
        free = unravel(local.centre + local.root @ z)
        with handlers.block(), handlers.substitute(data=constrained(program, log_prior, free)):
            traced = handlers.trace(program).get_trace(log_prior)
        kept = ("sample", "deterministic")
        return {name: site["value"] for name, site in traced.items() if site["type"] in kept}

    return jax.vmap(jax.vmap(one))(z)


_sites_of = jax.jit(_unwhitened, static_argnums=0)


def _laplace(program, model, rows, local: _Local, key, sampling: Sampling) -> Draws:
    """The scales stay: at a joint mode they say nothing of what is likely."""
    del model
    _, _, is_scale = _layout(program, rows.log_prior.shape[0])
    shape = (1, sampling.chains * sampling.draws, local.centre.shape[0])
    z = jax.random.normal(key, shape, local.centre.dtype)
    still = local._replace(root=jnp.where(is_scale[:, None], 0.0, local.root))
    return Draws(_sites_of(program, rows.log_prior, still, z), {})


@lru_cache(maxsize=8)
def _sampler(program, model, sampling: Sampling) -> MCMC:
    whitened = partial(_whitened_model, program, model)
    kernel = NUTS(whitened, target_accept_prob=ACCEPT)
    return MCMC(
        kernel,
        num_warmup=sampling.warmup,
        num_samples=sampling.draws,
        num_chains=sampling.chains,
        chain_method="vectorized",
        progress_bar=False,
        jit_model_args=True,
    )


STATS = ("diverging", "num_steps", "accept_prob", "energy")


def _nuts(program, model, rows, local: _Local, key, sampling: Sampling) -> Draws:
    sampler = _sampler(program, model, sampling)
    begin, walk = jax.random.split(key)
    # Chains begin apart, further than the posterior is wide, or R-hat could not tell.
    z = 1.5 * jax.random.normal(begin, (sampling.chains, len(local.centre)), local.centre.dtype)
    sampler.run(walk, rows, local, init_params={"z": z}, extra_fields=STATS)
    found = sampler.get_samples(group_by_chain=True)["z"]
    stats = sampler.get_extra_fields(group_by_chain=True)
    return Draws(_sites_of(program, rows.log_prior, local, found), dict(stats))


@lru_cache(maxsize=8)
def _guide(program, model):
    whitened = partial(_whitened_model, program, model)
    return whitened, AutoDiagonalNormal(whitened, init_scale=0.7)


def _svi(program, model, rows, local: _Local, key, sampling: Sampling) -> Draws:
    whitened, guide = _guide(program, model)
    svi = SVI(whitened, guide, numpyro.optim.Adam(SVI_RATE), Trace_ELBO(num_particles=4))
    fit_key, draw_key = jax.random.split(key)
    zero = {"auto_loc": jnp.zeros_like(local.centre)}
    run = svi.run(fit_key, SVI_STEPS, rows, local, progress_bar=False, init_params=zero)
    shape = (1, sampling.chains * sampling.draws)
    z = guide.sample_posterior(draw_key, run.params, sample_shape=shape)["z"]
    return Draws(_sites_of(program, rows.log_prior, local, z), {})
