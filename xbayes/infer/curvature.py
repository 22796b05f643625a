"""Gauss-Newton curvature of a penalised log loss, used to precondition its minimisation.

The curvature differs by orders of magnitude between the weights of informative and uninformative
features, and between classes with many and with few sources. L-BFGS then converges slowly. In
coordinates in which the curvature is the identity, it needs about as many steps as Newton's
method. A change of coordinates does not move the minimum, so a subsample of the rows suffices.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from xbayes.models.base import Params, ScoreModel

MAX_ROWS = 8192  # about the largest subsample used for the curvature
FLOOR = 1e-12  # relative to the largest curvature; a parameter below it is treated as flat
RIDGE = 1e-5  # relative to the curvature of each parameter; above the rounding of float32


def log_loss_curvature(
    model: ScoreModel,
    params: Params,
    design: Float[Array, "N D"],
    row_weight: Float[Array, "N"],
    penalty: Float[Array, ""] | float,
) -> Float[Array, "P P"]:
    """Gauss-Newton matrix of the loss of `fit_log_loss` with respect to the P raveled parameters.

    With the scores log_prior + design @ B(params), the matrix is

        (dB/dparams)^T H (dB/dparams) + (2 penalty / W) (dr/dparams)^T (dr/dparams),

    where H is the Hessian of the mean log loss with respect to B, r are the penalised deviations
    and W is the sum of the row weights (Nocedal & Wright 2006, Numerical Optimization, Eq. 10.23).
    H is computed from every k-th row, so that at most about `MAX_ROWS` rows are read.
    """
    coefficient = model.coefficient
    assert coefficient is not None, "only models with linear scores have this curvature"
    flat, unflatten = ravel_pytree(params)
    subsample = slice(None, None, -(-design.shape[0] // MAX_ROWS))
    rows, weight = design[subsample], row_weight[subsample]
    posterior = jax.nn.softmax(params.log_prior + rows @ coefficient(params))
    hessian = log_loss_hessian(rows, posterior, weight / jnp.maximum(weight.sum(), 1.0))
    slope = jax.jacfwd(lambda vector: coefficient(unflatten(vector)).reshape(-1))(flat)
    pull = jax.jacfwd(lambda vector: model.deviations(unflatten(vector)))(flat)
    shrinkage = 2 * penalty / jnp.maximum(row_weight.sum(), 1.0)
    return slope.T @ hessian @ slope + shrinkage * pull.T @ pull


def log_loss_hessian(
    rows: Float[Array, "N D"], posterior: Float[Array, "N C"], weight: Float[Array, "N"]
) -> Float[Array, "DC DC"]:
    """Sum over rows n of weight_n d_ni d_nj (p_nc [c = c'] - p_nc p_nc').

    Böhning 1992, Ann. Inst. Stat. Math. 44, 197. Float32 suffices to precondition.
    """
    n_classes, size = posterior.shape[1], rows.shape[1]
    single = rows.astype(jnp.float32)

    def block(c, other):
        row_curvature = weight * posterior[:, c] * ((c == other) - posterior[:, other])
        return single.T @ (single * row_curvature.astype(jnp.float32)[:, None])

    upper = {(c, d): block(c, d) for c in range(n_classes) for d in range(c, n_classes)}
    blocks = [[upper[min(c, d), max(c, d)] for d in range(n_classes)] for c in range(n_classes)]
    hessian = jnp.asarray(blocks).transpose(2, 0, 3, 1)  # [D, C, D, C]
    return hessian.reshape(size * n_classes, -1).astype(rows.dtype)


def whitening(curvature: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """Matrix S with S^T curvature S = 1, up to a small ridge.

    The coordinates z of params = start + S z then have unit curvature.
    """
    diagonal = jnp.diag(curvature)
    scale = 1 / jnp.sqrt(jnp.where(diagonal > FLOOR * diagonal.max(), diagonal, diagonal.max()))
    eye = jnp.eye(len(diagonal), dtype=curvature.dtype)
    lower = jnp.linalg.cholesky(curvature * scale * scale[:, None] + RIDGE * eye)
    return scale[:, None] * jax.scipy.linalg.solve_triangular(lower, eye, lower=True).T
