"""The curvature of a penalised log loss, which makes its minimum a matter of a few steps.

Weights of properties that say much and little, and of classes of many and few sources, differ in
curvature by orders of magnitude; L-BFGS then creeps. In coordinates in which the curvature is one
in every direction it takes about as many steps as Newton's method. The minimum stays where it is,
so the curvature may come from a part of the rows.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from xbayes.models.base import Params, ScoreModel

MAX_ROWS = 8192  # whose curvature is computed
FLOOR = 1e-12  # of the largest curvature: a parameter with less counts for nothing
RIDGE = 1e-5  # of each parameter's own curvature, above what single precision loses


def log_loss_curvature(
    model: ScoreModel,
    params: Params,
    design: Float[Array, "N D"],
    row_weight: Float[Array, "N"],
    penalty: Float[Array, ""] | float,
) -> Float[Array, "P P"]:
    """Gauss-Newton matrix of `fit_log_loss` over the P numbers of the parameters.

    Every k-th row stands for all, so that there are at most about MAX_ROWS.
    """
    coefficient = model.coefficient
    assert coefficient is not None, "only linear scores have this curvature"
    flat, unflatten = ravel_pytree(params)
    each = slice(None, None, -(-design.shape[0] // MAX_ROWS))
    rows, weight = design[each], row_weight[each]
    posterior = jax.nn.softmax(params.log_prior + rows @ coefficient(params))
    of_scores = _softmax_curvature(rows, posterior, weight / jnp.maximum(weight.sum(), 1.0))
    slope = jax.jacfwd(lambda vector: coefficient(unflatten(vector)).reshape(-1))(flat)
    pull = jax.jacfwd(lambda vector: model.deviations(unflatten(vector)))(flat)
    shrinkage = 2 * penalty / jnp.maximum(row_weight.sum(), 1.0)
    return slope.T @ of_scores @ slope + shrinkage * pull.T @ pull


def _softmax_curvature(rows, posterior, weight) -> Float[Array, "DC DC"]:
    """Sum over rows of weight d_i d_j (p_c [c = c'] - p_c p_c'), the Hessian by coefficients.

    In single precision: it only sets the scale of steps.
    """
    n_classes, size = posterior.shape[1], rows.shape[1]
    single = rows.astype(jnp.float32)

    def block(c, other):
        each = weight * posterior[:, c] * ((c == other) - posterior[:, other])
        return single.T @ (single * each.astype(jnp.float32)[:, None])

    pairs = {(c, d): block(c, d) for c in range(n_classes) for d in range(c, n_classes)}
    joined = [[pairs[min(c, d), max(c, d)] for d in range(n_classes)] for c in range(n_classes)]
    every = jnp.asarray(joined).transpose(2, 0, 3, 1)  # [D C D C]
    return every.reshape(size * n_classes, -1).astype(rows.dtype)


def whitening(curvature: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """S with S^T curvature S = 1 but for a small ridge: parameters = start + S z."""
    own = jnp.diag(curvature)
    scale = 1 / jnp.sqrt(jnp.where(own > FLOOR * own.max(), own, own.max()))
    eye = jnp.eye(len(own), dtype=curvature.dtype)
    lower = jnp.linalg.cholesky(curvature * scale * scale[:, None] + RIDGE * eye)
    return scale[:, None] * jax.scipy.linalg.solve_triangular(lower, eye, lower=True).T
