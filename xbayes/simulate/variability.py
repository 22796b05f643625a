"""How often simulated sources were observed, and how sure their variability is."""

import numpy as np
from jaxtyping import Float, Int

from xbayes.simulate.kinds import by_kind, stream

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
_ONCE = 0.38  # share of sources observed once; each further observation is as likely


def draw_variability(
    kind: Int[np.ndarray, "N"],
    significance: Float[np.ndarray, "N"],
    release: Int[np.ndarray, "N"],
    seed: int,
) -> dict[str, np.ndarray]:
    """Number of detections and probabilities of variability; NaN between observations if one.

    Release 1 never measured variability between observations.
    """
    size = len(kind)
    number = stream(seed, "n_detections").geometric(_ONCE, size)
    # It shows in bright sources; where it does not, its probability is broad.
    power = 1 / (1 + np.exp(-6 * (np.log10(significance) - 0.6)))
    columns: dict[str, np.ndarray] = {"n_detections": number}
    for name, share in zip(("intra", "inter"), by_kind(_VARIABLE, kind), strict=True):
        rng = stream(seed, f"var_{name}")
        shows = rng.random(size) < share * power
        columns[f"var_{name}_prob"] = np.where(
            shows, 1 - rng.beta(0.3, 12, size), rng.beta(1.1, 0.75, size)
        )
    columns["var_inter_prob"][(number == 1) | (release == 1)] = np.nan
    return columns
