"""Fluxes brought from one energy band to another, for an absorbed power law.

The energy flux in a band of photons that follow E^-index is proportional to the integral of
E^(1 - index) exp(-N_H sigma(E)) over the band; a flux that is corrected for absorption lacks the
exponential. sigma(E) is the cross-section of Morrison & McCammon (1983, ApJ 270, 119, table 2), in
cm2 per atom of hydrogen with solar abundances.
"""

import numpy as np
from jaxtyping import Float

from xbayes.config.enhance_flux import SpectrumConfig

Band = tuple[float, float]

# Lower ends in keV and the coefficients of (c0 + c1 E + c2 E^2) E^-3 in 1e-24 cm2.
_EDGES = np.array(
    [0.03, 0.1, 0.284, 0.4, 0.532, 0.707, 0.867, 1.303, 1.84, 2.471, 3.21, 4.038, 7.111, 8.331]
)
_COEFFICIENTS = np.array(
    [
        *((17.3, 608.1, -2150.0), (34.6, 267.9, -476.1), (78.1, 18.8, 4.3), (71.4, 66.8, -51.4)),
        *((95.5, 145.8, -61.1), (308.9, -380.6, 294.0), (120.6, 169.3, -47.7)),
        *((141.3, 146.8, -31.5), (202.7, 104.7, -17.0), (342.7, 18.7, 0.0), (352.2, 18.7, 0.0)),
        *((433.9, -2.4, 0.75), (629.0, 30.9, 0.0), (701.2, 25.2, 0.0)),
    ]
)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def cross_section(energy_kev: Float[np.ndarray, "E"]) -> Float[np.ndarray, "E"]:
    """Photoelectric cross-section in cm2 per hydrogen atom, from 0.03 keV on.

    The coefficients are fitted up to 10 keV; above, where absorption is weak, the last ones hold.
    """
    piece = np.clip(np.searchsorted(_EDGES, energy_kev, side="right") - 1, 0, len(_EDGES) - 1)
    c0, c1, c2 = _COEFFICIENTS[piece].T
    return 1e-24 * (c0 + c1 * energy_kev + c2 * energy_kev**2) / energy_kev**3


def band_energy(band: Band, photon_index: float, column_density: float = 0.0) -> float:
    """The integral of E^(1 - index) exp(-N_H sigma(E)) over a band in keV.

    By Gauss-Legendre quadrature in log E on each piece of the cross-section, within which the
    integrand is smooth; without absorption in closed form.
    """
    low, high = band
    if column_density == 0:
        power = 2 - photon_index
        if abs(power) < 1e-9:
            return float(np.log(high / low))
        return float((high**power - low**power) / power)
    inside = _EDGES[(low < _EDGES) & (high > _EDGES)]
    ends = np.log(np.array([low, *inside, high]))
    half = np.diff(ends) / 2
    log_e = (ends[:-1] + half)[:, None] + half[:, None] * _NODES
    energy = np.exp(log_e)
    attenuation = np.exp(-column_density * cross_section(energy.ravel())).reshape(energy.shape)
    integrand = energy ** (2 - photon_index) * attenuation  # dE = E dlogE
    return float((integrand * _WEIGHTS * half[:, None]).sum())


def flux_factor(
    band: Band, absorbed: bool, to_band: Band, to_absorbed: bool, spectrum: SpectrumConfig
) -> float:
    """The factor that brings a flux in a band to another band.

    Parameters
    ----------
    band, to_band
        Energy bands in keV.
    absorbed, to_absorbed
        Whether the fluxes are the observed ones; else they are corrected for absorption.
    spectrum
        Photon index, and the column density in atoms per cm2.
    """

    def energy(of: Band, observed: bool) -> float:
        return band_energy(of, spectrum.photon_index, spectrum.column_density if observed else 0.0)

    return energy(to_band, to_absorbed) / energy(band, absorbed)
