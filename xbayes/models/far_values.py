"""A broad density common to all classes, which bounds the evidence of a single value.

    p(x | c) = (1 - tails) f_c(x) + tails u(x)

u is a Cauchy density centred on the grid, with a quarter of the grid as its half width, truncated
at natural limits. It is the outlier component of a robust likelihood (Press 1997; Hogg, Bovy & Lang
2010, arXiv 1008.4686, section 3). Because all classes share u, log p(x | c) - log p(x | c') tends
to 0 far from the sources of all classes. So a value unlike all training values is no evidence, and
no value gives more than log(f_c / (tails u)).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

WIDTH = 0.25  # half width at half maximum, in units of the length of the grid


def log_far(
    position: Float[Array, "N F"], limited: Bool[np.ndarray, "F 2"], n_nodes: int
) -> Float[Array, "N F"]:
    """Log of u per node, at positions in nodes; `limited` marks natural limits at the two ends.

    Beyond a limit it falls by one e-fold per node, as the densities do, and stays finite.
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
    """Mass of the Cauchy density below the lower limit, and between the limits."""
    first, last = (_cumulative(_standardised(end, n_nodes)) for end in (0.0, n_nodes - 1.0))
    low = jnp.where(jnp.asarray(limited[:, 0]), first, 0.0)
    return low, jnp.where(jnp.asarray(limited[:, 1]), last, 1.0) - low
