"""Links between sources: ambiguous ones are dropped, by both ends; checked by brute force."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.enhance.links import mean_positions, unambiguous
from xbayes.enhance.pairs import Positions


def linked(pairs, n_sources=3, sigma=3.0, ambiguous_sigma=3.0):
    source, other, deviation = (np.array(each) for each in zip(*pairs, strict=True))
    found = unambiguous(
        source, other, deviation.astype(float), n_sources, sigma=sigma,
        ambiguous_sigma=ambiguous_sigma,
    )  # fmt: skip
    return found.kept.tolist(), np.flatnonzero(found.ambiguous).tolist()


def test_one_partner_is_linked():
    assert linked([(0, 5, 1.0), (1, 6, 3.5)]) == ([True, False], [])


def test_two_partners_are_ambiguous():
    assert linked([(0, 5, 0.1), (0, 6, 2.9)]) == ([False, False], [0])


def test_a_partner_with_two_sources_is_ambiguous_for_both():
    assert linked([(0, 5, 0.1), (1, 5, 2.9)]) == ([False, False], [0, 1])


def test_a_far_partner_counts_only_with_a_larger_radius():
    pairs = [(0, 5, 0.1), (0, 6, 3.5)]
    assert linked(pairs) == ([True, False], [])
    assert linked(pairs, ambiguous_sigma=4.0) == ([False, False], [0])


def test_all_detections_of_a_linked_source_belong_to_it():
    assert linked([(0, 5, 0.1), (0, 5, 3.5), (0, 5, 2.0)]) == ([True] * 3, [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 5)), min_size=1))
def test_links_agree_with_brute_force(pairs):
    nearest = {}
    for source, other, deviation in pairs:
        key = (source, other)
        nearest[key] = min(nearest.get(key, np.inf), deviation)
    close = {key for key, deviation in nearest.items() if deviation <= 3}
    right = [
        (s, o) in close
        and sum(a == s for a, _ in close) == 1
        and sum(b == o for _, b in close) == 1
        for s, o, _ in pairs
    ]
    kept, ambiguous = linked(pairs, n_sources=4)
    assert kept == right
    single = {s for (s, o, _), good in zip(pairs, right, strict=True) if good}
    assert ambiguous == sorted({s for s, _ in close} - single)


def test_the_mean_position_weights_by_the_inverse_variance():
    at = Positions(ra=np.array([359.999, 0.002, 7.0, np.nan]), dec=np.array([1.0, 1.0, 89.9, 3.0]))
    sigma = np.array([1.0, 2.0, 0.5, 1.0])
    mean, error = mean_positions(at, sigma, np.array([0, 0, 1, 2]), 3)
    # Weights 4 and 1: a fifth of 0.003 degrees above 359.999.
    assert mean.ra[0] == pytest.approx(359.9996, abs=1e-9)
    assert error[0] == pytest.approx(1 / np.sqrt(1 + 0.25))
    assert (mean.ra[1], error[1]) == (pytest.approx(7.0), 0.5)
    assert np.isnan(mean.ra[2]) and np.isnan(error[2])


def test_the_mean_position_at_a_pole():
    at = Positions(ra=np.array([0.0, 120.0, 240.0]), dec=np.full(3, 89.99))
    mean, _ = mean_positions(at, np.ones(3), np.zeros(3, int), 1)
    assert SkyCoord(mean.ra, mean.dec, unit="deg").dec.deg[0] == pytest.approx(90, abs=1e-6)
