"""What optical and infrared surveys see of simulated sources: magnitudes, distances, motions.

Magnitudes are Vega's. The G magnitude follows from log(Fx/Fopt), the others from colours, all
behind dust; a survey lists a source only above its limit, so what is missing says something.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.simulate.kinds import NAMES, by_kind, stream
from xbayes.simulate.sky import Place

# log(Fx/Fopt) without dust at log10(flux) = -13.5, its slope with log10(flux), its slope with the
# colour (late stars are X-ray loud), scatter; chance that there is a counterpart.
_FX_FO = {
    "agn": (-0.30, 0.75, 0.0, 0.50, 0.997),
    "obscured": (0.25, 0.75, 0.0, 0.50, 0.99),
    "coronal": (-3.50, 0.50, 0.60, 0.70, 1.0),
    "young": (-2.40, 0.20, 0.20, 0.65, 1.0),
    "massive": (-4.70, 0.40, 0.0, 0.70, 1.0),
    "lmxb": (-0.80, 0.85, 0.0, 0.85, 0.84),
    "nearby": (0.0, 1.0, 0.0, 0.5, 0.0),  # not one by one
    "hmxb": (-4.0, 1.0, 0.0, 1.0, 0.99),
    "cv": (-1.15, 0.9, 0.0, 0.80, 0.99),
}
# Chance that the wide beam of WISE blends a source with its crowd: a cluster, the bulge, the plane.
_CROWDED = {
    "agn": (0.01,), "obscured": (0.01,), "coronal": (0.02,), "young": (0.1,), "massive": (0.22,),
    "lmxb": (0.35,), "nearby": (0.9,), "hmxb": (0.12,), "cv": (0.20,),
}  # fmt: skip
COLOURS = ("bp_rp", "g_j", "j_h", "h_k", "k_w1", "w1_w2", "w2_w3")
# Each colour without dust: mean, slope with the source's own colour (standard normal), scatter.
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
# Dust of the source itself in magnitudes of visual extinction (median, scatter in dex) and the
# transverse velocity in km/s, rotation of the Galaxy included.
_OWN = {
    "agn": (0.05, 0.3, 0), "obscured": (0.1, 0.3, 0), "coronal": (0.02, 0.3, 26),
    "young": (1.2, 0.45, 9), "massive": (2.0, 0.3, 40), "lmxb": (0.1, 0.3, 110),
    "nearby": (0.1, 0.3, 0), "hmxb": (0.8, 0.3, 90), "cv": (0.1, 0.4, 50),
}  # fmt: skip
# Extinction relative to the visual, about that of Cardelli et al. 1989; BP and RP stand apart.
_BANDS = {"g": 0.84, "j": 0.28, "h": 0.18, "k": 0.11, "w1": 0.06, "w2": 0.05, "w3": 0.05}
_REDDENING_BP_RP = 1.08 - 0.63
_LIMITS = {"g": 21.0, "j": 16.5, "h": 15.8, "k": 15.2, "w1": 17.7, "w2": 16.7, "w3": 12.4}
_DEPTH = {"gaia": 0.1, "2mass": 0.25, "wise": 0.35}  # scatter of the limits over the sky


def draw_counterparts(
    kind: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    place: Place,
    visual_extinction: Float[np.ndarray, "N"],
    seed: int,
) -> dict[str, Float[np.ndarray, "N"]]:
    """Magnitudes, parallax over error, proper motion, distance and p_any; NaN where missing."""
    own, own_scatter, _ = by_kind(_OWN, kind)
    own = own * 10 ** (own_scatter * stream(seed, "own dust").standard_normal(len(kind)))
    dust = visual_extinction + own
    magnitude, bp_rp, found = _magnitudes(kind, log_flux, dust, seed)
    listed = _listed(kind, magnitude, found, seed)
    columns = {f"{band}_mag": np.where(listed[band], magnitude[band], np.nan) for band in _BANDS}
    columns["bp_rp"] = np.where(listed["g"], bp_rp, np.nan)
    columns |= _astrometry(kind, columns["g_mag"], place, seed)
    anywhere = np.logical_or.reduce(list(listed.values()))
    doubt = 0.003 * stream(seed, "p_any").exponential(1, len(kind))
    columns["p_any"] = np.where(anywhere, np.clip(1 - doubt, 0.1, 1), 0.0)
    return columns


def _magnitudes(
    kind: Int[np.ndarray, "N"],
    log_flux: Float[np.ndarray, "N"],
    dust: Float[np.ndarray, "N"],
    seed: int,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    size = len(kind)
    own = stream(seed, "own colour").standard_normal(size)
    # Coronal stars have a long tail of red dwarfs.
    own = np.where(kind == NAMES.index("coronal"), np.expm1(0.6 * own) / 0.6, own)
    level, slope, redder, scatter, chance = by_kind(_FX_FO, kind)
    log_fx_fo = level + slope * (log_flux + 13.5) + redder * own
    log_fx_fo = log_fx_fo + scatter * stream(seed, "fx_fo").standard_normal(size)
    # log10(fx/fo) = log10(fx) + g/2.5 + 5.37
    bright = 2.5 * (log_fx_fo - log_flux - 5.37)
    colour = {name: _colour(index, kind, own, seed) for index, name in enumerate(COLOURS)}
    magnitude, bands = {}, list(_BANDS)
    for band, name in zip(bands, [*COLOURS[1:], ""], strict=True):
        magnitude[band] = bright + _BANDS[band] * dust
        bright = bright - colour[name] if name else bright
    found = stream(seed, "counterpart").random(size) < chance
    return magnitude, colour["bp_rp"] + _REDDENING_BP_RP * dust, found


def _colour(
    index: int, kind: Int[np.ndarray, "N"], own: Float[np.ndarray, "N"], seed: int
) -> Float[np.ndarray, "N"]:
    mean, slope, scatter = by_kind({name: rows[index] for name, rows in _COLOURS.items()}, kind)
    noise = stream(seed, COLOURS[index]).standard_normal(len(kind))
    return mean + slope * own + scatter * noise


def _listed(
    kind: Int[np.ndarray, "N"],
    magnitude: dict[str, np.ndarray],
    found: Bool[np.ndarray, "N"],
    seed: int,
) -> dict[str, np.ndarray]:
    """Which bands have a magnitude: 2MASS lists all of its three, WISE W1 and W2 together."""
    size = len(found)
    shift = {
        name: depth * stream(seed, name).standard_normal(size) for name, depth in _DEPTH.items()
    }

    def above(band: str, survey: str) -> np.ndarray:
        return found & (magnitude[band] < _LIMITS[band] + shift[survey])

    near_infrared = above("j", "2mass") | above("h", "2mass") | above("k", "2mass")
    (crowded,) = by_kind(_CROWDED, kind)
    alone = stream(seed, "crowded").random(size) >= crowded
    wise = (above("w1", "wise") | above("w2", "wise")) & alone
    listed = {band: near_infrared for band in ("j", "h", "k")}
    listed |= {"g": above("g", "gaia"), "w1": wise, "w2": wise}
    return {"g": listed["g"]} | listed | {"w3": wise & above("w3", "wise")}


def _astrometry(
    kind: Int[np.ndarray, "N"], g_mag: Float[np.ndarray, "N"], place: Place, seed: int
) -> dict[str, Float[np.ndarray, "N"]]:
    size = len(kind)
    _, _, velocity = by_kind(_OWN, kind)
    # mas, and nearly the same in mas per year (Gaia DR3).
    error = 0.02 + 0.05 * 10 ** (0.35 * (g_mag - 17))
    parallax = 1 / place.distance + error * stream(seed, "parallax").standard_normal(size)
    # Faint sources often have a position only.
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
    """In pc, as Gaia's geometric distances: the parallax where it is good, else what is usual."""
    size = len(g_mag)
    usual = 3.5 - 0.1 * (g_mag - 19) + 0.2 * stream(seed, "usual distance").standard_normal(size)
    trust = np.maximum(snr, 0) ** 2 / (np.maximum(snr, 0) ** 2 + 9)
    measured = 3 - np.log10(np.maximum(parallax, 0.01))
    return 10 ** np.clip(trust * measured + (1 - trust) * usual, 0.5, 4.5)
