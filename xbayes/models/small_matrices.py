"""Factorisations of many small matrices without LAPACK.

Inside compiled loops the batched LAPACK routines behind jnp.linalg can deadlock on a CPU with few
cores (seen with jax 0.10 on two cores, in `lax.map` and `while_loop`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cholesky(matrix: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Lower Cholesky factors; NaN where a matrix is not positive definite."""
    size = matrix.shape[-1]

    def column(f, lower):
        residual = matrix[..., :, f] - jnp.einsum("...gh,...h->...g", lower, lower[..., f, :])
        new = residual / jnp.sqrt(residual[..., f])[..., None]
        return lower.at[..., f].set(jnp.where(jnp.arange(size) >= f, new, 0.0))

    return jax.lax.fori_loop(0, size, column, jnp.zeros_like(matrix))


def solve_lower(
    lower: Float[Array, "*A F F"], right: Float[Array, "*A F M"]
) -> Float[Array, "*A F M"]:
    """Solutions of lower @ x = right, by forward substitution."""

    def row(f, solution):
        known = jnp.einsum("...h,...hm->...m", lower[..., f, :], solution)
        new = (right[..., f, :] - known) / lower[..., f, f][..., None]
        return solution.at[..., f, :].set(new)

    return jax.lax.fori_loop(0, lower.shape[-1], row, jnp.zeros_like(right))


def log_det_lower(lower: Float[Array, "*A F F"]) -> Float[Array, "*A"]:
    """Log determinants of lower triangular matrices with positive diagonals."""
    return jnp.log(jnp.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)


def inverse_lower(lower: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Inverses of lower triangular matrices."""
    eye = jnp.eye(lower.shape[-1], dtype=lower.dtype)
    return solve_lower(lower, jnp.broadcast_to(eye, lower.shape))
