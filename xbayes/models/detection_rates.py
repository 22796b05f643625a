"""Rates of detection per feature and class, shrunk by what the classes have in common.

The number of detected sources of a class is binomial, and the rates of the classes are Beta
distributed around their mean:

    k_c | r_c ~ Binomial(n_c, r_c),   r_c ~ Beta(s m, s (1 - m))

so the posterior mean is (k_c + s m) / (n_c + s): the mean m counts for s sources. s maximises the
marginal likelihood of all classes (Carlin & Louis 2000, section 3.3): it is small if the rates
differ by more than their uncertainties, large if they do not. Then

    P(not detected | c) = (1 - LOST) (1 - r_c) + LOST (1 - m)

because a cell is also empty for reasons that have nothing to do with the class, such as a gap in
the match to a survey. Without it, a class that was detected every time would be excluded by one
empty cell, the more so the larger the class.
"""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln
from jaxtyping import Array, Bool, Float

SOURCES = (2.0, 5.0, 15.0, 50.0, 200.0)  # candidates of s
LOST = 0.02


def pseudo_sources(
    detected: Float[Array, "F C"], available: Float[Array, "F C"]
) -> Float[Array, "F 1"]:
    """s of each feature: the number of sources that the mean rate counts for."""
    mean = mean_rate(detected, available)
    s = jnp.asarray(SOURCES, mean.dtype)
    a, b = s * mean, s * (1 - mean)  # [F, S]
    hits, misses = detected[..., None], (available - detected)[..., None]
    evidence = betaln(a[:, None] + hits, b[:, None] + misses) - betaln(a, b)[:, None]
    return s[evidence.sum(1).argmax(-1)][:, None]


def mean_rate(detected: Float[Array, "F C"], available: Float[Array, "F C"]) -> Float[Array, "F 1"]:
    """The mean over classes, each counting the same."""
    rate = detected / jnp.maximum(available, 1.0)
    seen = (available > 0).astype(rate.dtype)
    mean = (rate * seen).sum(1, keepdims=True) / jnp.maximum(seen.sum(1, keepdims=True), 1.0)
    return jnp.clip(mean, 0.005, 0.995)


def log_rates(
    detected: Float[Array, "F C"],
    available: Float[Array, "F C"],
    sources: Float[Array, "F *C"],
    evidence: Bool[np.ndarray | Array, "F"],
    missing_weight: float,
) -> tuple[Float[Array, "F C"], Float[Array, "F C"]]:
    """Log P(measured | class) and log P(not detected | class); zero where they are not evidence.

    A feature that was detected in every source gives no evidence either: its rates would be those
    of the smoothing.
    """
    mean = mean_rate(detected, available)
    rate = (detected + sources * mean) / (available + sources)
    rate = (1 - LOST) * rate + LOST * mean
    both = (available - detected).sum(1, keepdims=True) > 0
    told = jnp.asarray(evidence)[:, None] & both
    log_detected = jnp.where(told, jnp.log(rate), 0.0)
    return log_detected, jnp.where(told, missing_weight * jnp.log1p(-rate), 0.0)
