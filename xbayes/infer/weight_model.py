"""Labels given weights, as a NumPyro model, and coordinates in which its posterior is round.

    weights ~ a prior program,   label_n ~ Categorical(softmax(log prior + scores(weights, x_n)))

The sites of the program become one unconstrained vector; `local_coordinates` finds the mode and
the curvature there, with the learned scales where the evidence is greatest.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int
from numpyro import handlers
from numpyro.infer.util import log_density, transform_fn, unconstrain_fn

from xbayes.infer.gradient import minimise
from xbayes.models.base import Params, ScoreModel
from xbayes.models.weight_prior import Given

SCALE = "scale_"  # how the names of the learned scales begin
SCALE_WIDTH = 0.3  # of log scale, where a walk begins
FIRST_SCALE, LEAST_SCALE, MOST_SCALE = 0.5, 0.05, 3.0
EVIDENCE_ROUNDS = 8
RIDGE = 1e-6
LEAST_CURVATURE = 0.1  # of any direction: about what the priors alone have


class Rows(NamedTuple):
    """What is observed."""

    design: Float[Array, "N D"]  # of the out-of-fold log-likelihoods
    class_index: Int[Array, "N"]
    counted: Bool[Array, "N"]  # rows that are not change nothing
    given: Given
    power: Float[Array, ""]  # of the likelihood; below 1 where rows of a group are alike


def label_model(program: Callable, model: ScoreModel, rows: Rows) -> None:
    """The NumPyro model."""
    score, truth = _scores(model, rows, program(rows.given))
    labels: Any = dist.Categorical(logits=score)
    with handlers.mask(mask=rows.counted), handlers.scale(scale=rows.power):
        numpyro.sample("label", labels, obs=truth)


class Local(NamedTuple):
    """Unconstrained values = centre + root z, with unit curvature in z given the scales."""

    centre: Float[Array, "P"]
    root: Float[Array, "P P"]


def _blank(n_clusters: int, n_classes: int) -> Given:
    uniform = jnp.full((n_clusters, n_classes), 1.0 / n_classes)
    return Given(jnp.full(n_classes, -jnp.log(n_classes)), uniform)


def _sites(program: Callable, n_clusters: int, n_classes: int) -> dict[str, Any]:
    """One draw of the prior, for names, shapes and supports."""
    with handlers.block(), handlers.seed(rng_seed=0):
        traced = handlers.trace(program).get_trace(_blank(n_clusters, n_classes))
    return {name: site for name, site in traced.items() if site["type"] == "sample"}


def layout(program: Callable, given: Given):
    """Unconstrained sites as one vector: its zero, how to unravel it, where the scales lie."""
    return _layout(program, *given.counted.shape, str(given.log_prior.dtype))


@lru_cache(maxsize=16)
def _layout(program: Callable, n_clusters: int, n_classes: int, dtype: str):
    del dtype  # what is kept for one precision does not serve the other
    sites = _sites(program, n_clusters, n_classes)
    given = _blank(n_clusters, n_classes)
    values = {name: site["value"] for name, site in sites.items()}
    free = unconstrain_fn(lambda: program(given), (), {}, values)
    start, unravel = ravel_pytree(jax.tree.map(jnp.zeros_like, free))
    marks = {n: jnp.full_like(v, n.startswith(SCALE)) for n, v in free.items()}
    return start, unravel, ravel_pytree(marks)[0] > 0


def potential(program, model, rows: Rows, vector) -> Float[Array, ""]:
    """-log posterior of the unconstrained sites, up to a constant."""
    _, unravel, _ = layout(program, rows.given)
    free = unravel(vector)
    sites = constrained(program, rows.given, free)
    log_joint = log_density(label_model, (program, model, rows), {}, sites)[0]
    return -log_joint - _log_jacobian(program, rows.given, free)


def constrained(program, given: Given, free: dict[str, Array]) -> dict[str, Array]:
    """Values of the sites from unconstrained ones."""
    return transform_fn(_transforms(program, given), free)


def _transforms(program, given: Given):
    return _of_supports(program, *given.counted.shape)


@lru_cache(maxsize=16)
def _of_supports(program, n_clusters: int, n_classes: int):
    sites = _sites(program, n_clusters, n_classes)
    return {name: dist.transforms.biject_to(site["fn"].support) for name, site in sites.items()}


def _log_jacobian(program, given: Given, free) -> Float[Array, ""]:
    total = jnp.zeros(())
    for name, transform in _transforms(program, given).items():
        value = transform(free[name])
        total += transform.log_abs_det_jacobian(free[name], value).sum()
    return total


def local_coordinates(program, model, rows: Rows) -> Local:
    """The mode and its curvature at the scales of greatest evidence, as Laplace sees it."""
    start, unravel, is_scale = layout(program, rows.given)
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
def _whitened(program, model, rows: Rows, start, is_scale) -> Local:
    """The mode given the scales, and its curvature."""

    def loss(vector):
        vector = jnp.where(is_scale, start, vector)
        return potential(program, model, rows, vector) / jnp.maximum(rows.counted.sum(), 1)

    centre, _ = minimise(loss, start)
    centre = jnp.where(is_scale, start, centre)
    hessian = jax.hessian(lambda v: potential(program, model, rows, v))(centre)
    fixed = is_scale[:, None] | is_scale[None, :]
    own = jnp.where(is_scale, SCALE_WIDTH**-2, jnp.maximum(jnp.diag(hessian), RIDGE))
    hessian = jnp.where(fixed, 0.0, (hessian + hessian.T) / 2)
    hessian = hessian.at[jnp.diag_indices(len(own))].set(own)
    # Where the mode is no minimum in some direction, steps there stay finite.
    value, vector = jnp.linalg.eigh(hessian)
    root = vector / jnp.sqrt(jnp.maximum(value, LEAST_CURVATURE))
    return Local(centre, root)


def placed(
    program: Callable, given: Given, local: Local, z: Float[Array, "P"]
) -> tuple[dict[str, Array], Params]:
    """Every site, deterministic ones too, and the model's parameters."""
    _, unravel, _ = layout(program, given)
    free = unravel(local.centre + local.root @ z)
    sites = constrained(program, given, free)
    with handlers.block(), handlers.substitute(data=sites), handlers.trace() as traced:
        params = program(given)
    kept = ("sample", "deterministic")
    return {name: site["value"] for name, site in traced.items() if site["type"] in kept}, params


def label_log_lik(model: ScoreModel, rows: Rows, params: Params) -> Float[Array, "N"]:
    """log P(label) of each row; zero of those not counted."""
    score, truth = _scores(model, rows, params)
    own = jnp.take_along_axis(jax.nn.log_softmax(score), truth[:, None], 1)[:, 0]
    return jnp.where(rows.counted, own, 0.0)


def _scores(model: ScoreModel, rows: Rows, params: Params):
    """Scores [N C], and the class of each row, some class where none is known."""
    score = rows.given.log_prior + model.scores(params, rows.design)
    return score, jnp.maximum(rows.class_index, 0)
