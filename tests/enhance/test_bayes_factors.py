"""Bayes factors against the published equations, and against integrals over the sphere."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from xbayes.enhance.bayes_factors import (
    LOG_SKY,
    log_bayes_factor,
    log_bayes_factor_sphere,
    log_overlap,
    moments,
)
from xbayes.enhance.pairs import ARCSEC, Covariances, Positions, unit_vectors


def circular(sigma):
    return Covariances(xx=sigma**2, xy=0 * sigma, yy=sigma**2)


def test_two_catalogues_are_equation_16():
    rng = np.random.default_rng(0)
    offset = rng.normal(0, 3, (20, 2, 2))
    s1, s2 = rng.uniform(0.1, 3, (2, 20))
    psi = np.hypot(*(offset[:, 0] - offset[:, 1]).T)
    s = (s1**2 + s2**2) * ARCSEC**2
    wanted = np.log(2 / s) - (psi * ARCSEC) ** 2 / 2 / s
    np.testing.assert_allclose(log_bayes_factor(offset, [circular(s1), circular(s2)]), wanted)


@pytest.mark.parametrize("number", [3, 4])
def test_several_catalogues_are_equation_18(number):
    rng = np.random.default_rng(number)
    offset = rng.normal(0, 1, (20, number, 2))
    sigma = rng.uniform(0.2, 2, (number, 20))
    w = 1 / (sigma * ARCSEC) ** 2
    pairs = [(i, j) for i in range(number) for j in range(i)]
    square = sum(
        w[i] * w[j] * ((offset[:, i] - offset[:, j]) ** 2).sum(1) * ARCSEC**2 for i, j in pairs
    )
    wanted = (number - 1) * np.log(2) + np.log(w).sum(0) - np.log(w.sum(0)) - square / 2 / w.sum(0)
    np.testing.assert_allclose(
        log_bayes_factor(offset, [circular(s) for s in sigma]), wanted, rtol=1e-10
    )


def test_ellipses_are_integrated_over_the_plane():
    """A sum over a fine grid of true places."""
    rng = np.random.default_rng(5)
    offset = rng.normal(0, 0.7, (1, 3, 2))
    roots = rng.normal(0, 0.6, (3, 2, 2))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(2)
    at = np.linspace(-8, 8, 641)
    grid = np.stack(np.meshgrid(at, at), -1)
    density = np.prod(
        [multivariate_normal(offset[0, k], matrices[k]).pdf(grid) for k in range(3)], axis=0
    )
    wanted = np.log(density.sum() * (at[1] - at[0]) ** 2) + 2 * LOG_SKY
    errors = [Covariances(xx=m[None, 0, 0], xy=m[None, 0, 1], yy=m[None, 1, 1]) for m in matrices]
    np.testing.assert_allclose(log_bayes_factor(offset, errors), wanted, rtol=1e-9)


def test_one_position_proves_nothing():
    sums = moments(np.array([[3.0, 4.0]]), circular(np.array([0.1])))
    assert abs(log_overlap(sums)[0]) < 1e-9


def test_milliarcsecond_errors_keep_their_digits():
    """Offsets of 30 arcsec with errors of 0.1 mas: the origin does not matter."""
    offset = np.array([[[30.0, -20.0], [30.0001, -20.0002]]])
    sigma = [circular(np.array([1e-4])), circular(np.array([2e-4]))]
    near = log_bayes_factor(offset - offset[:, :1], sigma)
    np.testing.assert_allclose(log_bayes_factor(offset, sigma), near, atol=1e-5)


def directions(*pairs):
    ra, dec = np.array(pairs).T
    return unit_vectors(Positions(ra=ra, dec=dec))[None]


def test_the_sphere_is_flat_for_small_errors():
    rng = np.random.default_rng(1)
    place = rng.normal(0, 2, (3, 2))
    sigma = np.array([[1.0, 2.0, 0.5]])
    exact = log_bayes_factor_sphere(directions(*(place / 3600)), sigma)
    flat = log_bayes_factor(place[None], [circular(s) for s in sigma.T])
    np.testing.assert_allclose(exact, flat, rtol=1e-8)


@pytest.mark.parametrize("sigma_deg", [10.0, 40.0, 200.0])
def test_large_errors_are_integrated_over_the_sphere(sigma_deg):
    """B is the mean over the sphere of the product of 4 pi times the Fisher densities."""
    at = directions((0.0, 90.0), (20.0, 60.0), (200.0, 80.0))
    weight = 1 / np.deg2rad(sigma_deg) ** 2
    sine, part = np.polynomial.legendre.leggauss(300)
    angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    flat = np.sqrt(1 - sine**2)[:, None]
    grid = np.stack(
        [flat * np.cos(angle), flat * np.sin(angle), np.broadcast_to(sine[:, None], (300, 256))],
        -1,
    )
    product = np.prod([weight / np.sinh(weight) * np.exp(weight * grid @ x) for x in at[0]], axis=0)
    wanted = np.log(product.mean(1) @ part / 2)
    found = log_bayes_factor_sphere(at, np.full((1, 3), sigma_deg * 3600))
    np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_opposite_directions_cancel():
    at = directions((0.0, 0.0), (180.0, 0.0))
    found = log_bayes_factor_sphere(at, np.full((1, 2), 3600.0 * 90))
    weight = 1 / (np.pi / 2) ** 2
    np.testing.assert_allclose(found, 2 * np.log(weight / np.sinh(weight)), atol=1e-8)
