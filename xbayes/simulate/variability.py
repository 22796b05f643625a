"""Number of observations and probability of variability of simulated sources."""

import numpy as np
from jaxtyping import Float, Int

from xbayes.simulate.subclasses import by_subclass, stream

# Share of sources that vary within an observation and between observations.
_VARIABLE = {
    "agn": (0.05, 0.70),
    "obscured": (0.05, 0.65),
    "coronal": (0.25, 0.35),
    "young": (0.65, 0.80),
    "massive": (0.15, 0.40),
    "lmxb": (0.50, 0.97),
    "nearby": (0.40, 0.97),
    "hmxb": (0.60, 1.0),
    "cv": (0.40, 1.0),
}
_ONCE = 0.38  # share of sources observed once: a geometric distribution


def draw_variability(
    subclass: Int[np.ndarray, "N"],
    significance: Float[np.ndarray, "N"],
    release: Int[np.ndarray, "N"],
    seed: int,
) -> dict[str, np.ndarray]:
    """Number of detections, and probabilities of variability within and between observations.

    The latter is NaN for sources observed once and in release 1, which never measured it.
    """
    size = len(subclass)
    number = stream(seed, "n_detections").geometric(_ONCE, size)
    # Variability is detected in bright sources; otherwise its probability is widely spread.
    power = 1 / (1 + np.exp(-6 * (np.log10(significance) - 0.6)))
    columns: dict[str, np.ndarray] = {"n_detections": number}
    for name, share in zip(("intra", "inter"), by_subclass(_VARIABLE, subclass), strict=True):
        rng = stream(seed, f"var_{name}")
        is_detected = rng.random(size) < share * power
        columns[f"var_{name}_prob"] = np.where(
            is_detected, 1 - rng.beta(0.3, 12, size), rng.beta(1.1, 0.75, size)
        )
    columns["var_inter_prob"][(number == 1) | (release == 1)] = np.nan
    return columns
