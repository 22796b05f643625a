"""Matching of local tables: what is learned, calibration of the probabilities, invariances."""

import numpy as np
import pytest

from tests.enhance.invented_sky import invented
from xbayes.enhance.matching import MatchOptions, apply, learn, match
from xbayes.enhance.nearby import Sky, near, source_covariances
from xbayes.enhance.pairs import Positions, circles, find_pairs
from xbayes.errors import InputError

RADIUS = 6.0


def without(skies):
    return [s._replace(features={}) for s in skies]


def right_and_probability(sky, found, k=0):
    """Per entry near a source: whether it is the counterpart, and its probability."""
    entries = found.nearby[k].entries
    return sky.truth[entries.source, k] == entries.entry, found.associations.p_entry[k]


def test_density_completeness_and_prior_are_learned():
    sky = invented(1, n_sources=1000, densities=(0.004,), listed=(0.8,))
    found = match(sky.sources, sky.catalogues, RADIUS)
    assert found.learned.completeness[0] == pytest.approx(0.8, abs=0.04)
    np.testing.assert_allclose(found.learned.density[0], 0.004, rtol=0.02)
    ratio = found.learned.ratios[0]["mag"]
    assert ratio(np.array([16.0]))[0] == pytest.approx(np.log(2), abs=0.25)
    assert ratio(np.array([20.0]))[0] < -2


def test_local_density_without_an_area():
    sky = invented(2, n_sources=1000, densities=(0.004,))
    crowded = sky.catalogues[0].place.ra > 100.5
    rng = np.random.default_rng(0)
    kept = crowded | (rng.random(len(crowded)) < 0.25) | (np.arange(len(crowded)) < 800)
    half = sky.catalogues[0]._replace(
        place=sky.catalogues[0].place.rows(kept),
        errors=sky.catalogues[0].errors.rows(kept),
        area=None,
        features={},
    )
    found = match(sky.sources, [half], RADIUS)
    density = found.learned.density[0]
    east = sky.sources.place.ra > 100.6
    west = sky.sources.place.ra < 100.4
    assert np.median(density[east]) == pytest.approx(0.004, rel=0.15)
    assert np.median(density[west]) == pytest.approx(0.001, rel=0.3)


@pytest.mark.parametrize("densities", [(0.01,), (0.01, 0.006)])
def test_probabilities_are_calibrated(densities):
    """The number of right entries in bins of p is the sum of p, within its binomial scatter."""
    listed = (0.8, 0.6)[: len(densities)]
    sky = invented(3, n_sources=2000, densities=densities, listed=listed)
    found = match(sky.sources, sky.catalogues, RADIUS)
    for k in range(len(densities)):
        right, p = right_and_probability(sky, found, k)
        for low, high in [(0.01, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.99), (0.99, 1.1)]:
            here = (p >= low) & (p < high)
            scatter = np.sqrt((p[here] * (1 - p[here])).sum()) + 1
            assert abs(right[here].sum() - p[here].sum()) < 3.5 * scatter, (k, low)


def test_wrong_position_errors_are_seen_by_that_test():
    """Negative control: with errors of a third the probabilities are far from calibrated."""
    sky = invented(3, n_sources=2000, densities=(0.01,))
    wrong = sky.sources._replace(errors=circles(np.full(2000, 1 / 3)))
    found = match(wrong, sky.catalogues, RADIUS)
    right, p = right_and_probability(sky, found)
    here = (p >= 0.01) & (p < 0.2)
    assert abs(right[here].sum() - p[here].sum()) > 3.5 * np.sqrt((p[here] * (1 - p[here])).sum())


def test_magnitudes_and_a_second_catalogue_help():
    """More true counterparts are the best entry, and log loss falls."""
    sky = invented(
        4, n_sources=500, side=0.5, densities=(0.02, 0.005), listed=(0.9, 0.9), sigma=1.5
    )

    def log_loss(catalogues, options=None):
        found = match(sky.sources, catalogues, 9.0, options)
        right, p = right_and_probability(sky, found)
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return -np.where(right, np.log(p), np.log1p(-p)).sum()

    position = log_loss(without(sky.catalogues)[:1])
    assert log_loss(sky.catalogues[:1]) < position
    assert log_loss(without(sky.catalogues)) < position
    assert log_loss(sky.catalogues) < log_loss(sky.catalogues[:1])
    secure = log_loss(sky.catalogues[:1], MatchOptions(secure=0.9))
    assert secure < position


def test_the_same_magnitude_in_two_catalogues_counts_once():
    """Objects that both catalogues list have one magnitude: its product would be too sure."""
    sky = invented(12, n_sources=2000, densities=(0.012, 0.012), listed=(0.85, 0.85), both=0.7,
                   sigma=1.3)  # fmt: skip
    first, second = sky.catalogues
    common = find_pairs(second.place, first.place, 1.0)
    second.features["mag"][common.first] = first.features["mag"][common.second]
    found = match(sky.sources, sky.catalogues, 8.0)
    own = source_covariances(sky.sources.place, sky.sources.errors)
    independent = apply(own, found.nearby, found.learned._replace(score=None))

    def misfit(p_entry):
        entries = found.nearby[0].entries
        right = sky.truth[entries.source, 0] == entries.entry
        p = np.clip(p_entry, 1e-6, 1 - 1e-6)
        return -np.where(right, np.log(p), np.log1p(-p)).sum()

    assert misfit(found.associations.p_entry[0]) < misfit(independent.p_entry[0])


def test_common_field_objects_are_counted():
    """Half of the field objects of the first catalogue are in the second, and 0.01 = 0.5 nu."""
    sky = invented(5, n_sources=1500, densities=(0.01, 0.01), listed=(0.8, 0.8), both=0.5)
    found = match(sky.sources, without(sky.catalogues), RADIUS)
    assert found.learned.objects_per_entry == pytest.approx(2, abs=0.3)
    apart = match(sky.sources, without(sky.catalogues), RADIUS, MatchOptions(joint_field=False))
    assert apart.learned.objects_per_entry is None

    def misfit(found):
        right, p = right_and_probability(sky, found)
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return -np.where(right, np.log(p), np.log1p(-p)).sum()

    assert misfit(found) < misfit(apart)


def test_the_order_of_rows_and_catalogues_does_not_matter():
    sky = invented(6, n_sources=200, side=0.5, densities=(0.01, 0.01), listed=(0.8, 0.8))
    found = match(sky.sources, sky.catalogues, RADIUS)
    order = np.random.default_rng(0).permutation(200)
    moved = sky.sources._replace(
        place=sky.sources.place.rows(order), errors=sky.sources.errors.rows(order)
    )
    again = match(moved, sky.catalogues[::-1], RADIUS)
    np.testing.assert_allclose(again.associations.p_any, found.associations.p_any[order], rtol=1e-6)


def test_learning_from_some_sources_is_enough():
    sky = invented(7, n_sources=2000, densities=(0.01,))
    whole = match(sky.sources, sky.catalogues, RADIUS)
    part = match(sky.sources, sky.catalogues, RADIUS, MatchOptions(learn_from=1000))
    assert part.associations.p_any.shape == (2000,)
    difference = np.abs(part.associations.p_any - whole.associations.p_any)
    assert difference.mean() < 0.01 and part.learned.density.shape == (1, 2000)


def test_fixed_completeness_and_later_sources():
    """What one table taught serves another one; a stated completeness stays."""
    sky = invented(8, n_sources=300)
    found = match(sky.sources, sky.catalogues, RADIUS, MatchOptions(completeness=0.7))
    assert found.learned.completeness.tolist() == [0.7]
    rows = np.arange(5)
    few = sky.sources._replace(
        place=sky.sources.place.rows(rows), errors=sky.sources.errors.rows(rows)
    )
    own = source_covariances(few.place, few.errors)
    again = apply(own, [near(few, sky.catalogues[0], RADIUS)], found.learned.at(rows))
    np.testing.assert_allclose(again.p_any, found.associations.p_any[:5])


def test_sources_without_a_position_have_no_counterpart():
    sky = invented(9, n_sources=50)
    place = Positions(ra=sky.sources.place.ra.copy(), dec=sky.sources.place.dec)
    place.ra[:2] = np.nan
    found = match(sky.sources._replace(place=place), sky.catalogues, RADIUS)
    assert found.associations.p_any[:2].tolist() == [0, 0]
    place.ra[:] = np.nan
    found = match(sky.sources._replace(place=place), sky.catalogues, RADIUS)
    assert not found.associations.p_any.any()


def test_duplicate_sources_get_the_same_answer():
    sky = invented(10, n_sources=100)
    twice = np.repeat(np.arange(100), 2)
    doubled = sky.sources._replace(
        place=sky.sources.place.rows(twice), errors=sky.sources.errors.rows(twice)
    )
    p_any = match(doubled, sky.catalogues, RADIUS).associations.p_any
    np.testing.assert_array_equal(p_any[::2], p_any[1::2])


def test_nothing_to_match_with():
    sky = invented(11, n_sources=5)
    own = source_covariances(sky.sources.place, sky.sources.errors)
    with pytest.raises(InputError, match="no catalogue"):
        learn(sky.sources.place, own, [], RADIUS)
    empty = Sky(
        name="empty", place=Positions(ra=np.zeros(0), dec=np.zeros(0)),
        errors=circles(np.zeros(0)), features={"mag": np.zeros(0)},
    )  # fmt: skip
    assert not match(sky.sources, [empty], RADIUS).associations.p_any.any()
