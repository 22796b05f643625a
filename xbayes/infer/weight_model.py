"""NumPyro model of the labels given the weights, and coordinates that whiten its posterior.

    weights ~ a prior program,   label_n ~ Categorical(softmax(log prior + scores(weights, x_n)))

The sites of the program are joined into one unconstrained vector. `local_coordinates` finds the
mode of the posterior and its curvature there, with the learned scales at their greatest evidence.
"""

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

from xbayes.infer.curvature import log_loss_hessian
from xbayes.infer.gradient import minimise
from xbayes.models.base import Params, ScoreModel
from xbayes.models.weight_prior import Given, Program

SCALE = "scale_"  # prefix of the names of the learned scales
SCALE_WIDTH = 0.3  # standard deviation of log scale in the local coordinates
FIRST_SCALE, MIN_SCALE, MAX_SCALE = 0.5, 0.05, 3.0
EVIDENCE_ROUNDS = 8
RIDGE = 1e-6
MIN_CURVATURE = 0.1  # in any direction: about the curvature of the priors alone


class Rows(NamedTuple):
    """The observed rows."""

    design: Float[Array, "N D"]  # of the out-of-fold log-likelihoods
    class_index: Int[Array, "N"]
    counted: Bool[Array, "N"]  # the other rows change nothing
    given: Given
    power: Float[Array, ""]  # of the likelihood; below 1 if rows of a group are correlated


class Local(NamedTuple):
    """Unconstrained values = centre + root z, with unit curvature in z at fixed scales."""

    centre: Float[Array, "P"]
    root: Float[Array, "P P"]


def label_model(program: Program, model: ScoreModel, rows: Rows) -> None:
    """The NumPyro model."""
    score, truth = _scores(model, rows, program(rows.given))
    labels: Any = dist.Categorical(logits=score)
    with handlers.mask(mask=rows.counted), handlers.scale(scale=rows.power):
        numpyro.sample("label", labels, obs=truth)


def label_log_lik(model: ScoreModel, rows: Rows, params: Params) -> Float[Array, "N"]:
    """Log probability of the label of each row; zero for rows that are not counted."""
    score, truth = _scores(model, rows, params)
    log_lik = jnp.take_along_axis(jax.nn.log_softmax(score), truth[:, None], 1)[:, 0]
    return jnp.where(rows.counted, log_lik, 0.0)


def _scores(model: ScoreModel, rows: Rows, params: Params):
    """Scores [N, C], and the class of each row; unlabelled rows get class 0."""
    score = rows.given.log_prior + model.scores(params, rows.design)
    return score, jnp.maximum(rows.class_index, 0)


def _placeholder(n_clusters: int, n_classes: int) -> Given:
    uniform = jnp.full((n_clusters, n_classes), 1.0 / n_classes)
    return Given(log_prior=jnp.full(n_classes, -jnp.log(n_classes)), counted=uniform)


def _sites(program: Program, n_clusters: int, n_classes: int) -> dict[str, Any]:
    """The sites of one prior sample, for their names, shapes and supports."""
    with handlers.block(), handlers.seed(rng_seed=0):
        traced = handlers.trace(program).get_trace(_placeholder(n_clusters, n_classes))
    return {name: site for name, site in traced.items() if site["type"] == "sample"}


def layout(program: Program, given: Given):
    """The zero of the unconstrained vector, its unravel function, and a mask of the scales."""
    return _layout(program, *given.counted.shape, str(given.log_prior.dtype))


@lru_cache(maxsize=16)
def _layout(program: Program, n_clusters: int, n_classes: int, dtype: str):
    del dtype  # part of the key of the cache: each precision has its own arrays
    sites = _sites(program, n_clusters, n_classes)
    given = _placeholder(n_clusters, n_classes)
    values = {name: site["value"] for name, site in sites.items()}
    free = unconstrain_fn(lambda: program(given), (), {}, values)
    start, unravel = ravel_pytree(jax.tree.map(jnp.zeros_like, free))
    marks = {n: jnp.full_like(v, n.startswith(SCALE)) for n, v in free.items()}
    return start, unravel, ravel_pytree(marks)[0] > 0


@lru_cache(maxsize=16)
def _transforms(program: Program, n_clusters: int, n_classes: int):
    """The bijection from the unconstrained space to the support of each site."""
    sites = _sites(program, n_clusters, n_classes)
    return {name: dist.transforms.biject_to(site["fn"].support) for name, site in sites.items()}


def _constrained(program: Program, given: Given, free: dict[str, Array]) -> dict[str, Array]:
    return transform_fn(_transforms(program, *given.counted.shape), free)


def potential(
    program: Program, model: ScoreModel, rows: Rows, vector: Float[Array, "P"]
) -> Float[Array, ""]:
    """-log posterior of the unconstrained vector, up to a constant."""
    _, unravel, _ = layout(program, rows.given)
    free = unravel(vector)
    sites = _constrained(program, rows.given, free)
    log_joint = log_density(label_model, (program, model, rows), {}, sites)[0]
    return -log_joint - _log_jacobian(program, rows.given, free)


def _log_jacobian(program: Program, given: Given, free) -> Float[Array, ""]:
    total = jnp.zeros(())
    for name, transform in _transforms(program, *given.counted.shape).items():
        value = transform(free[name])
        total += transform.log_abs_det_jacobian(free[name], value).sum()
    return total


def local_coordinates(program: Program, model: ScoreModel, rows: Rows) -> Local:
    """The mode and its curvature, at the scales that maximise the Laplace evidence.

    Values are scale * z with z ~ N(0, 1). Each round of parameter-expanded EM (Liu, Rubin & Wu
    1998, Biometrika 85, 755) multiplies a scale by the root of the mean of E[z^2], where the
    expectation is that of the Laplace approximation.
    """
    start, unravel, is_scale = layout(program, rows.given)
    scales = {n: FIRST_SCALE for n in unravel(start) if n.startswith(SCALE)}
    local = None
    for _ in range(EVIDENCE_ROUNDS):
        log_scales = {n: jnp.log(jnp.asarray(v, start.dtype)) for n, v in scales.items()}
        vector = start if local is None else local.centre
        centre = ravel_pytree(unravel(vector) | log_scales)[0]
        local = _coordinates_at(program, model, rows, centre, is_scale)
        square = unravel(local.centre**2 + (local.root**2).sum(1))
        growth = {n: float(jnp.sqrt(square["z_" + n.removeprefix(SCALE)].mean())) for n in scales}
        scales = {n: min(max(v * growth[n], MIN_SCALE), MAX_SCALE) for n, v in scales.items()}
    assert local is not None
    return local


@partial(jax.jit, static_argnums=(0, 1))
def _coordinates_at(program, model, rows: Rows, start, is_scale) -> Local:
    """The mode at the scales in `start`, and its curvature."""

    def loss(vector):
        vector = jnp.where(is_scale, start, vector)
        return potential(program, model, rows, vector) / jnp.maximum(rows.counted.sum(), 1)

    centre, _ = minimise(loss, start)
    centre = jnp.where(is_scale, start, centre)
    hessian = _hessian(program, model, rows, centre)
    fixed = is_scale[:, None] | is_scale[None, :]
    diagonal = jnp.where(is_scale, SCALE_WIDTH**-2, jnp.maximum(jnp.diag(hessian), RIDGE))
    hessian = jnp.where(fixed, 0.0, (hessian + hessian.T) / 2)
    hessian = hessian.at[jnp.diag_indices(len(diagonal))].set(diagonal)
    # Where the mode is not a minimum in some direction, steps along it stay finite.
    value, vector = jnp.linalg.eigh(hessian)
    root = vector / jnp.sqrt(jnp.maximum(value, MIN_CURVATURE))
    return Local(centre=centre, root=root)


def _hessian(program, model, rows: Rows, centre) -> Float[Array, "P P"]:
    """The exact Hessian of the potential.

    With scores that are linear in B(vector), the rows enter only through the gradient G and the
    Hessian H of the log loss with respect to B:

        (dB)^T H (dB) + Hessian of <G, B(vector)> + Hessian of the potential without rows

    so that no array has an axis of rows and one of parameters.
    """
    if model.coefficient is None:
        return jax.hessian(lambda v: potential(program, model, rows, v))(centre)
    of_model, (_, unravel, _) = model.coefficient, layout(program, rows.given)

    def coefficient(vector):
        sites = _constrained(program, rows.given, unravel(vector))
        with handlers.block(), handlers.substitute(data=sites):
            return of_model(program(rows.given))

    at_centre = coefficient(centre)
    truth = jnp.maximum(rows.class_index, 0)
    weight = rows.power * rows.counted
    posterior = jax.nn.softmax(rows.given.log_prior + rows.design @ at_centre)
    excess = weight[:, None] * (posterior - jax.nn.one_hot(truth, posterior.shape[1]))
    gradient = rows.design.T @ excess
    slope = jax.jacfwd(lambda v: coefficient(v).reshape(-1))(centre)
    nobody = rows._replace(
        design=rows.design[:1], class_index=rows.class_index[:1], counted=jnp.array([False])
    )

    def without_rows(vector):
        return potential(program, model, nobody, vector) + (gradient * coefficient(vector)).sum()

    curvature = log_loss_hessian(rows.design, posterior, weight)
    return slope.T @ (curvature @ slope) + jax.hessian(without_rows)(centre)


def sites_and_params(
    program: Program, given: Given, local: Local, z: Float[Array, "P"]
) -> tuple[dict[str, Array], Params]:
    """The value of every site at z, deterministic sites included, and the model's parameters."""
    _, unravel, _ = layout(program, given)
    sites = _constrained(program, given, unravel(local.centre + local.root @ z))
    with handlers.block(), handlers.substitute(data=sites), handlers.trace() as traced:
        params = program(given)
    values = {
        name: site["value"]
        for name, site in traced.items()
        if site["type"] in ("sample", "deterministic")
    }
    return values, params
