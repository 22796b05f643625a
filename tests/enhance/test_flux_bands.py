"""Fluxes from band to band, against numerical integration and published numbers."""

import numpy as np
import pytest
from scipy.integrate import quad

from xbayes.config.enhance_flux import SpectrumConfig
from xbayes.enhance.flux_bands import band_energy, cross_section, flux_factor

EDGES = [0.1, 0.284, 0.4, 0.532, 0.707, 0.867, 1.303, 1.84, 2.471, 3.21, 4.038, 7.111, 8.331]


@pytest.mark.parametrize("index", [-1.0, 0.5, 1.7, 2.0, 2.0 + 1e-11, 4.0])
@pytest.mark.parametrize("column_density", [0.0, 3e20, 1e22, 1e24])
@pytest.mark.parametrize("band", [(0.2, 12.0), (0.5, 2.0), (2.0, 10.0), (0.05, 0.09)])
def test_the_energy_in_a_band_agrees_with_numerical_integration(index, column_density, band):
    def integrand(energy):
        return energy ** (1 - index) * np.exp(
            -column_density * cross_section(np.array([energy]))[0]
        )

    inside = [edge for edge in EDGES if band[0] < edge < band[1]]
    right, _ = quad(integrand, *band, points=inside or None, limit=1000, epsabs=0, epsrel=1e-10)
    assert band_energy(band, index, column_density) == pytest.approx(right, rel=1e-7)


def test_the_power_law_by_hand():
    assert band_energy((0.5, 2.0), 2.0) == pytest.approx(np.log(4))
    assert band_energy((1.0, 4.0), 1.5) == pytest.approx(2.0)  # (4^0.5 - 1) / 0.5


def test_the_cross_section_of_morrison_and_mccammon():
    # Values of their formula at round energies, in 1e-24 cm2, by hand from table 2.
    energy = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
    right = np.array(
        [
            (34.6 + 267.9 * 0.2 - 476.1 * 0.04) / 0.008,
            (71.4 + 66.8 * 0.5 - 51.4 * 0.25) / 0.125,
            120.6 + 169.3 - 47.7,
            (202.7 + 104.7 * 2 - 17.0 * 4) / 8,
            (433.9 - 2.4 * 5 + 0.75 * 25) / 125,
            (701.2 + 25.2 * 10) / 1000,
        ]
    )
    np.testing.assert_allclose(cross_section(energy), 1e-24 * right, rtol=1e-12)


def test_the_cross_section_jumps_up_at_edges_and_only_there():
    grid = np.geomspace(0.03, 12, 20_000)
    change = np.diff(np.log(cross_section(grid)))
    up = grid[1:][change > 0.02]
    # N, O, Fe L, Ne, Mg, Si, S, Fe K; elsewhere it falls.
    for edge in up:
        assert np.abs(np.array(EDGES) / edge - 1).min() < 1e-3
    assert len(up) >= 7


def test_factors():
    spectrum = SpectrumConfig(photon_index=1.7, column_density=3e20)
    own = ((0.2, 12.0), True)
    assert flux_factor(*own, *own, spectrum) == 1
    there = flux_factor(*own, (0.5, 7.0), True, spectrum)
    back = flux_factor((0.5, 7.0), True, *own, spectrum)
    assert there * back == pytest.approx(1, rel=1e-14)
    assert there < 1
    # To correct for absorption makes a flux larger, the more so at low energies.
    soft = flux_factor((0.2, 0.5), True, (0.2, 0.5), False, spectrum)
    hard = flux_factor((2.0, 10.0), True, (2.0, 10.0), False, spectrum)
    assert soft > 1.2 > 1.01 > hard > 1
    # Without absorption it is the ratio of powers: 10^0.3 - 0.3^0.3 over 2.3^0.3 - 0.2^0.3.
    clear = SpectrumConfig(photon_index=1.7, column_density=0)
    right = (10**0.3 - 0.3**0.3) / (2.3**0.3 - 0.2**0.3)
    assert flux_factor((0.2, 2.3), True, (0.3, 10.0), True, clear) == pytest.approx(right)
