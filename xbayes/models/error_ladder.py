"""Class densities convolved with measurement errors: a ladder of widths, one lookup on two rungs.

    p(x | c, sigma) = integral of f_c(y) N(x - y; sigma) dy

Each rung is f_c convolved with one width s, on a grid of its own that is wide enough for it.
Between two rungs the density is their mixture with variance sigma^2:

    p = (1 - w) p_k + w p_{k+1},  w = (sigma^2 - s_k^2) / (s_{k+1}^2 - s_k^2)

A mixture of normalised densities is normalised, and its mean and variance are exact. The widths
grow by a factor of sqrt(2), so the density of a narrow class is right to a few percent between the
rungs and exact on them. Rung 0 is f_c itself. The last rung is the mean over classes: an error much
larger than the whole range leaves no evidence. At a natural limit the Gaussian is reflected, as the
kernels of the density are.
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

FIRST = 0.5**0.5  # nodes; for narrower errors the sum over nodes would not be their integral
FINE, COARSE = 16, 3  # rungs that grow by sqrt(2), up to the length of the grid; by 2
NO_EVIDENCE = 64.0  # the last rung, in lengths of the grid
NEAR = 12  # nodes beyond the grid that continue it; a tail farther out is summed in wider cells
REACH = 4.0  # the grid of a rung extends so many widths beyond the grid of f_c
N_RUNGS = 1 + FINE + COARSE + 1


def widths(n_nodes: int) -> Float[np.ndarray, "R"]:
    """The standard deviations of the rungs, in nodes; 0 first."""
    fine = FIRST * 2 ** (np.arange(FINE) / 2) * (n_nodes - 1) / 127
    coarse = fine[-1] * 2.0 ** np.arange(1, COARSE + 1)
    return np.concatenate([[0.0], fine, coarse, [NO_EVIDENCE * (n_nodes - 1)]])


def rung_grids(
    limited: tuple[bool, bool], n_nodes: int
) -> tuple[Float[np.ndarray, "R"], Float[np.ndarray, "R"]]:
    """First node and step of the grid of each rung, in nodes of the grid of f_c."""
    low, high = (np.where(end, 0.0, REACH * widths(n_nodes)) for end in limited)
    return -low, (n_nodes - 1 + low + high) / (n_nodes - 1)


def rung_of(
    error: Float[Array, "N E"], n_nodes: int
) -> tuple[Int[Array, "N E"], Float[Array, "N E"]]:
    """The rung below each error (in nodes), and the share of the rung above it."""
    square = jnp.asarray(widths(n_nodes) ** 2, error.dtype)
    below = (error[..., None] ** 2 >= square[1:-1]).sum(-1)
    low, high = square[below], square[below + 1]
    return below, jnp.clip((error**2 - low) / (high - low), 0.0, 1.0)


def convolved(
    density: Float[Array, "E C B"], fall: Float[Array, "E C 2"], limited: tuple[bool, bool]
) -> Float[Array, "E R C B"]:
    """The rungs above rung 0, per node of their own grids: f_c convolved with each width.

    Parameters
    ----------
    density : f_c per node, at the nodes of its grid.
    fall : decrease of log f_c per node beyond the first and the last node.
    limited : natural limits at the first and the last node, the same for all these features.
    """
    n_nodes = density.shape[-1]
    edge, node = _tail_edges(n_nodes), np.arange(1, NEAR + 1)
    # The trapezoidal rule; at a limit the mirror image adds the other half of the last node.
    parts = [
        density * np.where(np.isin(np.arange(n_nodes), _limit_nodes(limited, n_nodes)), 0.5, 1)
    ]
    for end, at in ((0, 0), (1, -1)):
        if not limited[end]:
            slope, height = fall[..., end, None], density[..., at, None]
            remaining = jnp.exp(-slope * edge) / slope
            parts.append(height * jnp.exp(-slope * node))
            parts.append(height * (remaining[..., :-1] - remaining[..., 1:]))
    kernel = jnp.asarray(_kernels(limited, n_nodes), density.dtype)
    rungs = jnp.einsum("ecs,rbs->ercb", jnp.concatenate(parts, -1), kernel)
    return rungs.at[:, -1].set(rungs[:, -1].mean(1, keepdims=True))


def _limit_nodes(limited: tuple[bool, bool], n_nodes: int) -> list[int]:
    return [node for node, end in zip((0, n_nodes - 1), limited, strict=True) if end]


def _tail_edges(n_nodes: int) -> Float[np.ndarray, "T"]:
    """Edges of the cells of the far part of a tail, as distances from the grid, in nodes."""
    edge = (NEAR + 0.5) * 1.1 ** np.arange(200)
    return edge[edge < 40 * n_nodes]


@lru_cache(maxsize=8)
def _kernels(limited: tuple[bool, bool], n_nodes: int) -> Float[np.ndarray, "R B S"]:
    """Gaussians between the nodes of each rung and the sources: nodes, near and far tails."""
    edge, last = _tail_edges(n_nodes), n_nodes - 1.0
    tail = np.concatenate([np.arange(1, NEAR + 1), (edge[1:] + edge[:-1]) / 2])
    source = [np.arange(n_nodes)]
    source += [] if limited[0] else [-tail]
    source += [] if limited[1] else [last + tail]
    source = np.concatenate(source)
    origin, step = rung_grids(limited, n_nodes)
    kernels = []
    for r, width in enumerate(widths(n_nodes)[1:], 1):
        at = (origin[r] + step[r] * np.arange(n_nodes))[:, None]
        if all(limited):
            # All reflections; a width of several lengths is uniform already.
            width = min(width, 4 * last)
            shifts = 2 * last * np.arange(-20, 21)
            images = [*(source + shift for shift in shifts), *(shift - source for shift in shifts)]
        else:
            images = [source]
            images += [-source] if limited[0] else []
            images += [2 * last - source] if limited[1] else []
        total = sum(np.exp(-0.5 * ((at - image) / width) ** 2) for image in images)
        kernels.append(total * step[r] / (np.sqrt(2 * np.pi) * width))
    return np.stack(kernels)
