"""Training values with measurement errors: the expected counts of their true values.

The values of class c with error s_r at node i are n[r, i]; K_r is the Gaussian of that error, f the
density of the true values. The E step of EM gives the expected number of true values at node j,

    e_j = f_j sum over r, i of K_r[i, j] n[r, i] / (K_r f)_i,

and the M step of the smooth density is its kernel estimate from e instead of n: EM with a smoothing
step (EMS: Silverman, Jones, Wilson & Nychka 1990, J. R. Stat. Soc. B 52, 271), which needs no other
penalty. Without errors e = n, so that the density is unchanged. A few steps suffice: many would
make peaks of the noise. The counts add over rows, so folds can be subtracted.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.models import error_ladder
from xbayes.models.grid import Grid, measured_value, node_of, relative_weight
from xbayes.types import Features

LAST = 1 + error_ladder.FINE  # rungs used: errors beyond the length of the grid count as this


@partial(jax.jit, static_argnames=("noisy", "n_classes", "n_folds", "n_nodes"))
def count_noisy(
    prepared: Grid,
    features: Features,
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    row_weight: Float[Array, "N"] | None,
    *,
    noisy: tuple[int, ...],
    n_folds: int,
    n_classes: int,
    n_nodes: int,
) -> Float[Array, "J E C R B"]:
    """Counts of the values of the features `noisy`, by the rung nearest to their error."""
    f = np.array(noisy, int)
    counted = (class_index >= 0) & (fold >= 0)
    segment = jnp.where(counted, fold * n_classes + class_index, n_folds * n_classes)
    origin, step = jnp.asarray(prepared.origin)[f], jnp.asarray(prepared.step)[f]
    node, share = node_of(origin, step, measured_value(features)[:, f], n_nodes)
    error = jnp.asarray(features.error)[:, f]
    error = jnp.where(jnp.isfinite(error), error, jnp.asarray(prepared.usual_error)[f])
    below, above = error_ladder.rung_of(error / step, n_nodes)
    rung = jnp.minimum(below + (above > 0.5), LAST - 1)
    weight = (relative_weight(prepared, features) * features.measured)[:, f]
    weight = weight if row_weight is None else weight * row_weight[:, None]
    size = n_folds * n_classes * LAST * n_nodes

    def histogram(node, share, rung, weight):  # of one feature
        at = (segment * LAST + rung) * n_nodes + node
        low = jnp.zeros(size, share.dtype).at[at].add(weight * (1 - share), mode="drop")
        return low.at[at + 1].add(weight * share, mode="drop")

    value = jax.vmap(histogram, in_axes=1)(node, share, rung, weight)
    return value.reshape(-1, n_folds, n_classes, LAST, n_nodes).swapaxes(0, 1)


def expected_counts(
    density: Float[Array, "E C B"],
    noisy: Float[Array, "E C R B"],
    limited: tuple[tuple[bool, bool], ...],
) -> Float[Array, "E C B"]:
    """The expected counts of the true values, given the density of the true values."""
    kinds = sorted(set(limited))
    kernels = jnp.asarray(
        np.stack([_same_grid(k, density.shape[-1]) for k in kinds]), density.dtype
    )
    expected = []
    for e, ends in enumerate(limited):
        kernel = kernels[kinds.index(ends)]  # [R, B, B]
        observed = jnp.maximum(jnp.einsum("rij,cj->cri", kernel, density[e]), 1e-30)
        back = jnp.einsum("rij,cri->cj", kernel, noisy[e] / observed)
        expected.append(density[e] * back)
    return jnp.stack(expected)


@lru_cache(maxsize=8)
def _same_grid(limited: tuple[bool, bool], n_nodes: int) -> Float[np.ndarray, "R B B"]:
    """Gaussians from a true node j to an observed node i, reflected at natural limits."""
    node, last = np.arange(n_nodes), n_nodes - 1.0
    kernels = [np.eye(n_nodes)]
    for width in error_ladder.widths(n_nodes)[1:LAST]:
        total = np.exp(-0.5 * ((node[:, None] - node) / width) ** 2)
        for image in ([-node] if limited[0] else []) + ([2 * last - node] if limited[1] else []):
            total = total + np.exp(-0.5 * ((node[:, None] - image) / width) ** 2)
        kernels.append(total / (np.sqrt(2 * np.pi) * width))
    return np.stack(kernels)
