"""A Bayesian density on a grid: a logistic Gaussian process (Lenk 1988, JASA 83, 509).

    density = softmax of log base + f,   f = sum over j of scale_j w_j sqrt(2) cos(pi j x),
    w_j ~ Normal(0, 1),                  x from 0 to 1 along the grid

f is a Matern process of order 3/2 with spectral density scale_j^2 (Solin & Särkkä 2020, Stat.
Comput. 30, 419); the cosines reflect it at both ends. The posterior of w is approximated by a
normal distribution around its mode. Pairs of length and size of f are weighted by Laplace's
evidence. Unlike the interval of a kernel density, the posterior interval includes the bias of
smoothing (Nychka 1988, JASA 83, 1134).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.models.small_matrices import log_det_lower

N_WAVES = 32
LENGTHS = (0.04, 0.1, 0.25)  # correlation lengths, in units of the length of the grid
SIZES = (0.7, 1.5, 3.0)  # standard deviations of f
STEPS = 10  # of Newton; the log posterior is concave


class ProcessFit(NamedTuple):
    """The posterior of w for each of the H pairs of length and size."""

    mode: Float[Array, "*P H J"]
    root: Float[Array, "*P H J J"]  # lower Cholesky root of the precision
    log_evidence: Float[Array, "*P H"]  # up to a constant common to the H pairs
    log_base: Float[Array, "*P B"]


def fit_process(count: Float[Array, "*P B"], log_base: Float[Array, "*P B"]) -> ProcessFit:
    """Mode and precision of w given counts at the nodes, by Newton's method.

    d log p / dw = Phi' (count - n density) - w, precision = Phi' n (diag - outer)(density) Phi + 1,
    where Phi holds the waves times their scales.
    """
    waves, scale = _waves(count), _scales(count.dtype)
    observed = (count @ waves)[..., None, :] * scale  # [*P, H, J]

    def log_posterior(w):
        log_density = _log_density(log_base, w * scale, waves)
        return jnp.einsum("...b,...hb->...h", count, log_density) - 0.5 * (w**2).sum(-1)

    def moments(w):
        density = jnp.exp(_log_density(log_base, w * scale, waves))
        return _moments(density, count.sum(-1)[..., None], scale)

    def newton(w, _):
        expected, precision = moments(w)
        step = jnp.linalg.solve(precision, (observed - expected - w)[..., None])[..., 0]
        # Far from the mode a full step may overshoot: take the best of several lengths.
        tried = jnp.stack([w + share * step for share in (0.0, 0.1, 0.4, 1.0)])
        best = jax.vmap(log_posterior)(tried).argmax(0)
        return jnp.take_along_axis(tried, best[None, ..., None], 0)[0], None

    mode, _ = jax.lax.scan(newton, jnp.zeros_like(observed), None, length=STEPS)
    root = jnp.linalg.cholesky(moments(mode)[1])
    evidence = log_posterior(mode) - log_det_lower(root)
    return ProcessFit(mode=mode, root=root, log_evidence=evidence, log_base=log_base)


def draw_process(
    key: PRNGKeyArray, fit: ProcessFit, count: Float[Array, "*P B"]
) -> Float[Array, "*P B"]:
    """A posterior sample of the log density per node (randomised maximum a posteriori).

    `count` are the fitted counts with random weights of the sources. The sample is one Newton step
    from the mode towards the mode for the weighted sources and a prior shifted by z ~ Normal(0, 1):
    w = mode + precision^-1 (Phi' (count - n density) - mode + z). With weights of mean and variance
    one, the first term has covariance precision - 1, so w has covariance precision^-1 (Newton &
    Raftery 1994, J. R. Stat. Soc. B 56, 3). Weights common to the features of a source, or to the
    rows of a group, preserve the correlations between them.
    """
    pair_key, prior_key = jax.random.split(key)
    pair = jax.random.categorical(pair_key, fit.log_evidence)  # [*P]

    def chosen(leaf, n_after):
        at = pair.reshape(*pair.shape, *[1] * (n_after + 1))
        return jnp.take_along_axis(leaf, at, pair.ndim)[(slice(None),) * pair.ndim + (0,)]

    mode, root, scale = chosen(fit.mode, 1), chosen(fit.root, 2), _scales(count.dtype)[pair]
    waves = _waves(count)
    density = jax.nn.softmax(fit.log_base + (mode * scale) @ waves.T)
    excess = count - count.sum(-1, keepdims=True) * density
    gradient = (excess @ waves) * scale - mode
    gradient += jax.random.normal(prior_key, mode.shape, mode.dtype)
    step = jax.scipy.linalg.cho_solve((root, True), gradient[..., None])[..., 0]
    return jax.nn.log_softmax(fit.log_base + ((mode + step) * scale) @ waves.T)


def _waves(count: Float[Array, "*P B"]) -> Float[Array, "B J"]:
    x = np.arange(count.shape[-1]) / (count.shape[-1] - 1)
    waves = np.sqrt(2) * np.cos(np.pi * np.outer(x, np.arange(1, N_WAVES + 1)))
    return jnp.asarray(waves, count.dtype)


def _scales(dtype) -> Float[Array, "H J"]:
    """Square roots of the spectral density; the variances of the waves sum to size squared."""
    frequency = np.pi * np.arange(1, N_WAVES + 1)
    each = []
    for size in SIZES:
        for length in LENGTHS:
            power = (1 + (length * frequency) ** 2 / 3) ** -2.0
            each.append(size * np.sqrt(power / power.sum()))
    return jnp.asarray(np.array(each), dtype)


def _log_density(log_base: Array, coefficient: Float[Array, "*P H J"], waves: Array) -> Array:
    return jax.nn.log_softmax(log_base[..., None, :] + coefficient @ waves.T)


def _moments(density: Float[Array, "*P H B"], size: Float[Array, "*P 1"], scale):
    """n E[Phi] and n Cov[Phi] + 1; a product of cosines is a sum of cosines."""
    n_nodes, place = density.shape[-1], np.arange(1, N_WAVES + 1)
    x = np.arange(n_nodes) / (n_nodes - 1)
    cosines = np.cos(np.pi * np.outer(x, np.arange(2 * N_WAVES + 1)))
    mean = density @ jnp.asarray(cosines, density.dtype)  # [*P, H, 2 J + 1]
    wave = jnp.sqrt(2.0).astype(density.dtype) * mean[..., place]
    product = mean[..., np.abs(place[:, None] - place)] + mean[..., place[:, None] + place]
    covariance = product - wave[..., :, None] * wave[..., None, :]
    covariance = covariance * scale[:, :, None] * scale[:, None, :] * size[..., None, None]
    return size[..., None] * wave * scale, covariance + jnp.eye(N_WAVES, dtype=density.dtype)
