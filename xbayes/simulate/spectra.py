"""X-ray data of simulated sources: fluxes and counts in three bands, and the photon index.

The spectrum is a cut-off power law, E^-gamma exp(-E / kT), absorbed by a gas column. This is only
a rough description of thermal plasma, but three bands cannot distinguish the two.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.simulate.subclasses import by_subclass, stream

BANDS = {"soft": (0.5, 1.2), "medium": (1.2, 2.0), "hard": (2.0, 7.0)}  # keV
# Effective area: counts per flux in each band, relative to an AGN in 0.5-7 keV.
_EFFECTIVE = np.array([1.17, 2.05, 0.53])
_BACKGROUND = np.array([0.8, 0.8, 3.0])  # counts per band at the detection limit
_COUNTS_AT_LIMIT = 15.0
_GAS = 2.21e21  # hydrogen atoms per cm2 per magnitude of visual extinction (Guver & Ozel 2009)

# log10 of the survey limit (erg/s/cm2) for this subclass, and its scatter; logN-logS slopes below
# and above a break; log10 of the break. For compact objects the slopes are flatter than in a blind
# survey, because bright sources are more often identified.
_NUMBER_COUNTS = {
    "agn": (-14.20, 0.30, 0.53, 1.5, -13.0),
    "obscured": (-14.10, 0.30, 0.53, 1.5, -13.0),
    "coronal": (-14.40, 0.45, 1.00, 1.5, -13.0),
    "young": (-14.80, 0.35, 0.50, 1.5, -12.8),
    "massive": (-14.75, 0.45, 0.60, 1.5, -12.8),
    "lmxb": (-14.25, 0.40, 0.28, 1.5, -12.6),
    "nearby": (-14.80, 0.30, 0.40, 1.5, -13.3),
    "hmxb": (-13.60, 0.35, 0.20, 1.5, -11.9),
    "cv": (-14.15, 0.45, 0.24, 1.5, -11.9),
}
# Photon index and scatter, log10 kT (keV) and scatter, log10 intrinsic column (cm-2) and scatter,
# share of sources in the soft state.
_SPECTRA = {
    "agn": (1.95, 0.27, 2.5, 0.0, 20.2, 0.5, 0.0),
    "obscured": (1.75, 0.30, 2.5, 0.0, 22.1, 0.5, 0.0),
    "coronal": (3.00, 0.80, 0.0, 0.18, 19.5, 0.3, 0.0),
    "young": (1.80, 0.40, 0.45, 0.20, 21.2, 0.6, 0.0),
    "massive": (1.60, 0.50, 0.25, 0.22, 21.3, 0.4, 0.0),
    "lmxb": (1.60, 0.35, 1.5, 0.15, 20.2, 0.5, 0.42),
    "nearby": (1.70, 0.30, 1.5, 0.1, 20.2, 0.4, 0.45),
    "hmxb": (1.40, 0.40, 1.3, 0.1, 22.0, 0.4, 0.0),
    "cv": (1.45, 0.70, 1.3, 0.2, 20.3, 0.8, 0.12),
}
_SOFT_KT = -0.10  # log10 keV, accretion disc of an XRB


class Brightness(NamedTuple):
    """log10 of the true flux and of the local survey limit, both in erg/s/cm2."""

    log_flux: Float[np.ndarray, "N"]
    log_limit: Float[np.ndarray, "N"]


def draw_brightness(subclass: Int[np.ndarray, "N"], seed: int) -> Brightness:
    """Fluxes above the survey limit, from a broken power law N(>F) per subclass."""
    limit, scatter, faint, bright, log_break = by_subclass(_NUMBER_COUNTS, subclass)
    limit = limit + scatter * stream(seed, "limit").standard_normal(len(subclass))
    below = limit < log_break
    log_number = -np.where(below, faint, bright) * (limit - log_break)
    # 1 - u is never 0; N(>F) is 1 at the break.
    log_number = log_number + np.log10(1 - stream(seed, "flux").random(len(subclass)))
    log_flux = log_break - log_number / np.where(log_number > 0, faint, bright)
    return Brightness(log_flux=np.clip(log_flux, limit, -8.0), log_limit=limit)


def draw_spectra(
    subclass: Int[np.ndarray, "N"],
    brightness: Brightness,
    visual_extinction: Float[np.ndarray, "N"],
    seed: int,
) -> dict[str, Float[np.ndarray, "N"]]:
    """Measured fluxes with errors, significance and the fitted photon index, by column name."""
    index, scatter, log_kt, kt_scatter, log_column, column_scatter, soft = by_subclass(
        _SPECTRA, subclass
    )
    size = len(subclass)
    in_soft_state = stream(seed, "state").random(size) < soft
    index = index + scatter * stream(seed, "index").standard_normal(size)
    log_kt = np.where(in_soft_state, _SOFT_KT, log_kt)
    log_kt = log_kt + kt_scatter * stream(seed, "kT").standard_normal(size)
    column = 10 ** (log_column + column_scatter * stream(seed, "column").standard_normal(size))
    temperature = 10**log_kt
    shares = _band_shares(index, temperature, _GAS * visual_extinction + column)
    columns = _observe(10**brightness.log_flux, 10**brightness.log_limit, shares, seed)
    significance = columns["significance"]
    # A fitted power law follows the local slope where most photons are, near 1.6 keV.
    slope = index + 1.6 / temperature
    error = np.maximum(slope, 0.5) / np.maximum(significance, 3)
    fitted = slope + error * stream(seed, "gamma error").standard_normal(size)
    # The photon index is not fitted for sources with too few counts.
    chance = 1 / (1 + np.exp(-12 * (np.log10(significance) - 1.03)))
    has_fit = stream(seed, "gamma fit").random(size) < 0.85 * chance
    columns["gamma"] = np.where(has_fit, np.clip(fitted, -1, 11), np.nan)
    columns["e_gamma"] = np.where(has_fit, error, np.nan)
    return columns


def _band_shares(
    index: Float[np.ndarray, "N"], kt: Float[np.ndarray, "N"], column: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N 3"]:
    """Share of the 0.5-7 keV energy flux in each band, by three-point Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    parts = []
    for low, high in BANDS.values():
        part = np.zeros_like(index)
        for node, weight in zip(nodes, weights, strict=True):
            energy = (low + high) / 2 + (high - low) / 2 * node
            # Photoelectric cross-section per hydrogen atom, roughly (Morrison & McCammon 1983).
            depth = np.minimum(2.3e-22 * energy**-2.6 * column, 60)
            shape = np.exp(-(energy - 1) / kt - depth + (1 - index) * np.log(energy))
            part += weight * (high - low) / 2 * shape
        parts.append(part)
    total = np.sum(parts, axis=0)
    return np.stack(parts, axis=1) / total[:, None]


def _observe(
    flux: Float[np.ndarray, "N"],
    limit: Float[np.ndarray, "N"],
    shares: Float[np.ndarray, "N 3"],
    seed: int,
) -> dict[str, Float[np.ndarray, "N"]]:
    rng = stream(seed, "counts")
    per_flux = _COUNTS_AT_LIMIT * _EFFECTIVE / limit[:, None]  # [N, 3] counts per flux
    expected = flux[:, None] * shares * per_flux
    # Bright sources are observed for a shorter time: at most a million counts in a band.
    shorter = 1e6 / np.maximum(expected, 1e6)
    expected, per_flux = expected * shorter, per_flux * shorter
    counts = rng.poisson(expected + _BACKGROUND)
    # Net counts are never negative: instead they are small, in effect an upper limit.
    net = np.maximum(counts - _BACKGROUND, rng.random(counts.shape) * np.array([1, 1, 2]))
    error = np.sqrt(counts + 0.75)
    columns = {}
    for index, band in enumerate(BANDS):
        columns[f"flux_{band}"] = net[:, index] / per_flux[:, index]
        columns[f"e_flux_{band}"] = error[:, index] / per_flux[:, index]
    total = net.sum(axis=1)
    noise = np.sqrt(total + 2 * _BACKGROUND.sum())
    columns["significance"] = np.maximum(total / noise, 1.5)
    # Width of the point spread function over root counts, and the aspect error of the spacecraft.
    columns["e_pos"] = np.hypot(0.35, 2.0 / np.sqrt(np.maximum(total, 4)))
    return columns
