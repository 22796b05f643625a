"""Optical and infrared data of simulated sources: magnitudes, distances, proper motions.

Magnitudes are in the Vega system. The G magnitude follows from log(Fx/Fopt), the others from
colours, and all are dimmed by dust. A survey lists a source only above its limit, so a missing
magnitude carries information.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.simulate.sky import Place
from xbayes.simulate.subclasses import NAMES, by_subclass, stream

# log(Fx/Fopt) without dust at log10(flux) = -13.5, its slope with log10(flux), its slope with
# colour (late stars are X-ray loud), its scatter; probability of a counterpart.
_FX_FO = {
    "agn": (-0.30, 0.75, 0.0, 0.50, 0.997),
    "obscured": (0.25, 0.75, 0.0, 0.50, 0.99),
    "coronal": (-3.50, 0.50, 0.60, 0.70, 1.0),
    "young": (-2.40, 0.20, 0.20, 0.65, 1.0),
    "massive": (-4.70, 0.40, 0.0, 0.70, 1.0),
    "lmxb": (-0.80, 0.85, 0.0, 0.85, 0.84),
    "nearby": (0.0, 1.0, 0.0, 0.5, 0.0),  # no individual counterparts
    "hmxb": (-4.0, 1.0, 0.0, 1.0, 0.99),
    "cv": (-1.15, 0.9, 0.0, 0.80, 0.99),
}
# Probability that WISE blends the source with its neighbours: in a cluster, the bulge, the plane.
_CROWDED = {
    "agn": (0.01,), "obscured": (0.01,), "coronal": (0.02,), "young": (0.1,), "massive": (0.22,),
    "lmxb": (0.35,), "nearby": (0.9,), "hmxb": (0.12,), "cv": (0.20,),
}  # fmt: skip
COLOURS = ("bp_rp", "g_j", "j_h", "h_k", "k_w1", "w1_w2", "w2_w3")
# Each colour without dust: mean, slope with the colour parameter (standard normal), scatter.
_COLOURS = {
    "agn": ((0.60, 0.1, 0.25), (1.6, 0.3, 0.85), (0.74, 0, 0.2), (0.66, 0, 0.25),
            (1.10, 0, 0.35), (0.95, 0, 0.32), (3.15, 0, 0.5)),
    "obscured": ((1.0, 0.2, 0.35), (2.3, 0.4, 0.7), (0.80, 0, 0.2), (0.65, 0, 0.25),
                 (1.0, 0, 0.4), (0.75, 0, 0.4), (3.4, 0, 0.6)),
    "coronal": ((0.98, 0.50, 0.10), (1.27, 0.50, 0.12), (0.38, 0.13, 0.08), (0.09, 0.05, 0.03),
                (0.06, 0.04, 0.05), (-0.01, 0.04, 0.05), (0.08, 0.10, 0.30)),
    "young": ((2.0, 0.5, 0.2), (2.8, 0.6, 0.3), (0.75, 0.1, 0.15), (0.38, 0, 0.22),
              (0.50, 0, 0.4), (0.42, 0, 0.38), (1.95, 0, 0.8)),
    "massive": ((0.0, 0, 0.15), (0.1, 0, 0.2), (0.0, 0, 0.1), (0.05, 0, 0.08),
                (0.10, 0, 0.12), (-0.02, 0, 0.12), (0.10, 0, 0.9)),
    "lmxb": ((0.65, 0.2, 0.45), (1.3, 0.4, 0.8), (0.45, 0, 0.2), (0.25, 0, 0.2),
             (0.20, 0, 0.5), (0.10, 0, 0.27), (3.0, 0, 1.5)),
    "nearby": ((0.6, 0, 0.4), (1.6, 0, 0.8), (0.45, 0, 0.2), (0.25, 0, 0.2),
               (0.2, 0, 0.5), (0.1, 0, 0.25), (3.0, 0, 1.5)),
    "hmxb": ((0.10, 0, 0.3), (0.3, 0, 0.4), (0.10, 0, 0.15), (0.15, 0, 0.15),
             (0.35, 0, 0.3), (0.12, 0, 0.14), (0.45, 0, 0.5)),
    "cv": ((0.45, 0.2, 0.5), (1.05, 0.3, 0.75), (0.38, 0, 0.2), (0.22, 0, 0.2),
           (0.22, 0, 0.35), (0.20, 0, 0.22), (1.2, 0, 1.6)),
}  # fmt: skip
# Visual extinction by dust at the source in magnitudes (median, scatter in dex), and transverse
# velocity in km/s, including the rotation of the Galaxy.
_LOCAL = {
    "agn": (0.05, 0.3, 0), "obscured": (0.1, 0.3, 0), "coronal": (0.02, 0.3, 26),
    "young": (1.2, 0.45, 9), "massive": (2.0, 0.3, 40), "lmxb": (0.1, 0.3, 110),
    "nearby": (0.1, 0.3, 0), "hmxb": (0.8, 0.3, 90), "cv": (0.1, 0.4, 50),
}  # fmt: skip
# Extinction relative to visual extinction, close to Cardelli et al. 1989; BP and RP are separate.
_BANDS = {"g": 0.84, "j": 0.28, "h": 0.18, "k": 0.11, "w1": 0.06, "w2": 0.05, "w3": 0.05}
_REDDENING_BP_RP = 1.08 - 0.63
_LIMITS = {
    "g": 21.0, "bp": 22.7, "j": 16.5, "h": 15.8, "k": 15.2, "w1": 17.7, "w2": 16.7, "w3": 12.4,
}  # fmt: skip
_BEYOND = 2.5  # mag below its limit at which a band is listed for the sake of the other bands
_DEPTH = {"gaia": 0.1, "2mass": 0.25, "wise": 0.35}  # scatter of the limits over the sky, mag


def draw_counterparts(
    subclass: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    place: Place,
    visual_extinction: Float[np.ndarray, "N"],
    seed: int,
) -> dict[str, Float[np.ndarray, "N"]]:
    """Magnitudes, parallax over error, proper motion, distance and p_any; NaN where missing."""
    local, scatter, _ = by_subclass(_LOCAL, subclass)
    local = local * 10 ** (scatter * stream(seed, "own dust").standard_normal(len(subclass)))
    dust = visual_extinction + local
    magnitude, bp_rp = _magnitudes(subclass, log_flux, dust, seed)
    listed = _listed(subclass, magnitude, seed)
    columns = {f"{band}_mag": np.where(listed[band], magnitude[band], np.nan) for band in _BANDS}
    blue = magnitude["g"] + 0.6 * bp_rp  # about the BP magnitude
    columns["bp_rp"] = np.where(listed["g"] & (blue < _LIMITS["bp"]), bp_rp, np.nan)
    columns |= _astrometry(subclass, columns["g_mag"], place, seed)
    in_any_survey = np.logical_or.reduce(list(listed.values()))
    doubt = 0.003 * stream(seed, "p_any").exponential(1, len(subclass))
    columns["p_any"] = np.where(in_any_survey, np.clip(1 - doubt, 0.1, 1), 0.0)
    return columns


def _magnitudes(
    subclass: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    dust: Float[np.ndarray, "N"],
    seed: int,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "N"]]:
    """Magnitudes by band and the colour BP - RP, behind dust, if there is a counterpart."""
    size = len(subclass)
    parameter = stream(seed, "own colour").standard_normal(size)
    # Coronal stars have a long tail of red dwarfs.
    coronal = subclass == NAMES.index("coronal")
    parameter = np.where(coronal, np.expm1(0.6 * parameter) / 0.6, parameter)
    level, slope, colour_slope, scatter, _ = by_subclass(_FX_FO, subclass)
    log_fx_fo = level + slope * (log_flux + 13.5) + colour_slope * parameter
    log_fx_fo = log_fx_fo + scatter * stream(seed, "fx_fo").standard_normal(size)
    # log10(fx/fo) = log10(fx) + g/2.5 + 5.37
    intrinsic = 2.5 * (log_fx_fo - log_flux - 5.37)
    colour = {name: _colour(i, subclass, parameter, seed) for i, name in enumerate(COLOURS)}
    magnitude = {}
    for band, name in zip(_BANDS, [*COLOURS[1:], ""], strict=True):
        magnitude[band] = intrinsic + _BANDS[band] * dust
        intrinsic = intrinsic - colour[name] if name else intrinsic
    return magnitude, colour["bp_rp"] + _REDDENING_BP_RP * dust


def _colour(
    index: int, subclass: Int[np.ndarray, "N"], parameter: Float[np.ndarray, "N"], seed: int
) -> Float[np.ndarray, "N"]:
    mean, slope, scatter = by_subclass(
        {name: rows[index] for name, rows in _COLOURS.items()}, subclass
    )
    noise = stream(seed, COLOURS[index]).standard_normal(len(subclass))
    return mean + slope * parameter + scatter * noise


def _listed(
    subclass: Int[np.ndarray, "N"], magnitude: dict[str, np.ndarray], seed: int
) -> dict[str, Bool[np.ndarray, "N"]]:
    """Which bands have a magnitude.

    2MASS lists its three bands together, and WISE W1 and W2, except for a band far below its limit.
    """
    size = len(subclass)
    has_counterpart = stream(seed, "counterpart").random(size) < by_subclass(_FX_FO, subclass)[-1]
    shift = {
        name: depth * stream(seed, name).standard_normal(size) for name, depth in _DEPTH.items()
    }

    def above(band: str, survey: str, beyond: float = 0.0) -> np.ndarray:
        return has_counterpart & (magnitude[band] < _LIMITS[band] + shift[survey] + beyond)

    near_infrared = above("j", "2mass") | above("h", "2mass") | above("k", "2mass")
    (crowded,) = by_subclass(_CROWDED, subclass)
    isolated = stream(seed, "crowded").random(size) >= crowded
    wise = (above("w1", "wise") | above("w2", "wise")) & isolated
    return {
        "g": above("g", "gaia"),
        **{band: near_infrared & above(band, "2mass", _BEYOND) for band in ("j", "h", "k")},
        **{band: wise & above(band, "wise", _BEYOND) for band in ("w1", "w2")},
        "w3": wise & above("w3", "wise"),
    }


def _astrometry(
    subclass: Int[np.ndarray, "N"], g_mag: Float[np.ndarray, "N"], place: Place, seed: int
) -> dict[str, Float[np.ndarray, "N"]]:
    size = len(subclass)
    _, _, velocity = by_subclass(_LOCAL, subclass)
    # In mas for the parallax, and nearly the same number in mas/yr for the motion (Gaia DR3).
    error = 0.02 + 0.05 * 10 ** (0.35 * (g_mag - 17))
    parallax = 1 / place.distance + error * stream(seed, "parallax").standard_normal(size)
    # Faint sources often have a position but no parallax and no proper motion.
    unsolved = stream(seed, "solution").random(size) < np.clip((g_mag - 19.3) / 5, 0, 0.4)
    parallax = np.where(unsolved, np.nan, parallax)
    motion = velocity / (4.74 * place.distance) * stream(seed, "motion").standard_normal((2, size))
    motion = motion + 0.7 * error * stream(seed, "motion error").standard_normal((2, size))
    snr = parallax / error
    return {
        "parallax_snr": snr,
        "pm": np.where(unsolved, np.nan, np.hypot(*motion)),
        "distance": _geometric_distance(parallax, snr, g_mag, seed),
    }


def _geometric_distance(
    parallax: Float[np.ndarray, "N"],
    snr: Float[np.ndarray, "N"],
    g_mag: Float[np.ndarray, "N"],
    seed: int,
) -> Float[np.ndarray, "N"]:
    """Distance in pc, like Gaia's geometric distances: from a precise parallax, else typical."""
    size = len(g_mag)
    typical = 3.5 - 0.1 * (g_mag - 19) + 0.2 * stream(seed, "usual distance").standard_normal(size)
    trust = np.maximum(snr, 0) ** 2 / (np.maximum(snr, 0) ** 2 + 9)
    measured = 3 - np.log10(np.maximum(parallax, 0.01))
    return 10 ** np.clip(trust * measured + (1 - trust) * typical, 0.5, 4.5)
