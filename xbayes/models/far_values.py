"""What any class may show: a broad density, the same for all classes, behind that of each class.

    p(x | c) = (1 - tails) f_c(x) + tails u(x)

u is a Cauchy density around the middle of the grid, a quarter of the grid wide, within the natural
limits. It is the outlier component of a robust likelihood (Press 1997; Hogg, Bovy & Lang 2010,
section 3) with one twist: since it is common to all classes, log p(x | c) - log p(x | c') goes to 0
where no class has sources. So a value unlike all training values tells nothing, instead of the
more, the farther it lies, and one value never tells more than log(f_c / (tails u)).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

WIDTH = 0.25  # half width at half maximum, of the length of the grid


def log_far(
    position: Float[Array, "N F"], limited: Bool[np.ndarray, "F 2"], n_nodes: int
) -> Float[Array, "N F"]:
    """Log of u per node, at positions in nodes; `limited`: a natural limit at that end.

    Beyond a limit it keeps falling by one e-fold a node, as the densities do, and stays finite.
    """
    inside = _inside(position, limited, n_nodes)
    offset, (_, mass) = _standardised(inside, n_nodes), _shares(limited, n_nodes)
    log_density = -jnp.log1p(offset**2) - jnp.log(np.pi * WIDTH * (n_nodes - 1) * mass)
    return log_density - jnp.abs(position - inside)


def far_below(
    position: Float[Array, "N F"], limited: Bool[np.ndarray, "F 2"], n_nodes: int
) -> Float[Array, "N F"]:
    """Share of u below each position."""
    start, mass = _shares(limited, n_nodes)
    below = _cumulative(_standardised(_inside(position, limited, n_nodes), n_nodes))
    return (below - start) / mass


def _inside(position, limited, n_nodes: int):
    low = jnp.where(jnp.asarray(limited[:, 0]), 0.0, -jnp.inf)
    high = jnp.where(jnp.asarray(limited[:, 1]), n_nodes - 1.0, jnp.inf)
    return jnp.clip(position, low, high)


def _standardised(position, n_nodes: int):
    return (position / (n_nodes - 1) - 0.5) / WIDTH


def _cumulative(offset):
    return 0.5 + jnp.arctan(offset) / np.pi


def _shares(limited, n_nodes: int):
    """Of the unlimited density: what lies below the lower limit, and between both."""
    low = jnp.where(jnp.asarray(limited[:, 0]), _cumulative(_standardised(0.0, n_nodes)), 0.0)
    high = jnp.where(
        jnp.asarray(limited[:, 1]), _cumulative(_standardised(n_nodes - 1.0, n_nodes)), 1.0
    )
    return low, high - low
