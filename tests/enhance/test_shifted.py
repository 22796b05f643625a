"""The p_any cut: what it promises, on positions without a source."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.enhance.invented_sky import invented
from xbayes.enhance.matching import match
from xbayes.enhance.pairs import Positions, find_pairs
from xbayes.enhance.shifted import NEVER, p_any_cut, shifted_p_any, shifted_positions
from xbayes.errors import InputError, XbayesWarning


@given(
    p=st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]) | st.floats(0, 1), min_size=1),
    rate=st.floats(0.05, 0.95),
)
def test_the_cut_is_the_least_that_keeps_the_rate(p, rate):
    p = np.array(p)

    def share(cut):
        return (1 + (p >= cut).sum()) / (1 + len(p))

    if 1 / (1 + len(p)) > rate + 1e-6:
        with pytest.warns(XbayesWarning, match="cannot show"):
            assert p_any_cut(p, rate) == NEVER
        return
    cut = p_any_cut(p, rate)
    assert share(cut) <= rate + 1e-6
    # Lower cuts let more pass than the rate allows, down to the next lower p_any.
    lower = p[p < cut]
    if len(lower) and lower.max() > 0:
        assert share(lower.max()) > rate - 1e-6
    assert cut > 0  # a position without any entry never passes


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, 15.0])
def test_a_rate_is_a_share(rate):
    with pytest.raises(InputError, match="between 0 and 1"):
        p_any_cut(np.zeros(10), rate)


@pytest.mark.parametrize("dec", [0.0, 89.99, -90.0])
def test_positions_are_shifted_away_from_all_sources(dec):
    rng = np.random.default_rng(0)
    place = Positions(ra=rng.uniform(359.9, 360.1, 200) % 360, dec=np.full(200, dec))
    place.ra[3] = np.nan
    moved = shifted_positions(place, rng, nearest=20.0, farthest=60.0, clear=20.0)
    assert np.isnan(moved.ra[3]) and np.isfinite(np.delete(moved.ra, 3)).mean() > 0.8
    assert len(find_pairs(moved, place, 20.0).first) == 0
    own = find_pairs(place, moved, 60.0 + 1e-6)
    mine = own.separation[own.first == own.second]
    assert len(mine) == np.isfinite(moved.ra).sum() and mine.min() >= 20
    # Equal areas: the middle of the distances is at the root of the mean square.
    assert np.median(mine) == pytest.approx(np.sqrt((20**2 + 60**2) / 2), rel=0.15)


def test_a_place_that_is_never_clear_is_left_out():
    place = Positions(ra=np.zeros(1), dec=np.zeros(1))
    moved = shifted_positions(
        place, np.random.default_rng(0), nearest=1.0, farthest=2.0, clear=10.0
    )
    assert np.isnan(moved.ra[0])


def test_the_rate_holds_for_sources_without_a_counterpart():
    """A fifth of the sources have none: a tenth of them pass the cut for 10 percent."""
    sky = invented(1, n_sources=3000, densities=(0.01,), listed=(0.8,))
    found = match(sky.sources, sky.catalogues, 6.0)
    shifted = shifted_p_any(sky.sources, sky.catalogues, found, 6.0)
    cut = p_any_cut(shifted, 0.1)
    alone = sky.truth[:, 0] < 0
    passed = (found.associations.p_any >= cut)[alone]
    assert abs(passed.mean() - 0.1) < 3.5 * np.sqrt(0.09 / alone.sum())
    assert (found.associations.p_any >= cut)[~alone].mean() > 0.8
    stricter = p_any_cut(shifted, 0.02)
    assert stricter > cut


def test_a_shift_within_the_radius_is_refused():
    sky = invented(2, n_sources=20)
    found = match(sky.sources, sky.catalogues, 6.0)
    with pytest.raises(InputError, match="at least 3 times the radius"):
        shifted_p_any(sky.sources, sky.catalogues, found, 6.0, shift=10.0)
