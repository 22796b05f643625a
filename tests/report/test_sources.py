"""Single sources in the report: positions, points, tracks, and their selection."""

import json

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from xbayes.classifier.predict import Products
from xbayes.features.functions import galactic
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.outliers import draw_outliers
from xbayes.figures.precision import draw_precision_recall, precision_recall
from xbayes.figures.projection import mollweide
from xbayes.figures.sky import draw_sky
from xbayes.figures.track_record import factor_text, runner_up
from xbayes.report.brief_track import brief_track
from xbayes.report.build_tracks import most_certain, strongest_outliers
from xbayes.report.interactive import MOST_POINTS, as_json, shown_rows


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_galactic_positions_of_centre_and_pole():
    l_deg, b_deg = galactic(
        np.array([266.40499, 192.85948, np.nan, 10.0]), np.array([-28.93617, 27.12825, 0.0, np.nan])
    )
    np.testing.assert_allclose([l_deg[0], b_deg[0], b_deg[1]], [0, 0, 90], atol=1e-3)
    assert np.isnan([*l_deg[2:], *b_deg[2:]]).all()


def test_mollweide_is_matplotlibs_mirrored(invented):
    rng = np.random.default_rng(0)
    l_deg, b_deg = rng.uniform(-180, 180, 200), np.append(rng.uniform(-90, 90, 198), [90, -90])
    x, y = mollweide(l_deg, b_deg)
    axes = draw_sky(l_deg, b_deg, np.zeros(200, int), ["A", "B"])
    project = getattr(axes, "transProjection")  # noqa: B009  no attribute of all axes
    theirs = project.transform(np.radians(np.stack([-l_deg, b_deg], 1))) / np.sqrt(2)
    np.testing.assert_allclose(np.stack([x, y], 1), theirs, atol=1e-3)  # they stop early
    t = np.arcsin(y)
    np.testing.assert_allclose(2 * t + np.sin(2 * t), np.pi * np.sin(np.radians(b_deg)), atol=1e-8)
    assert mollweide(np.array([90.0]), np.array([0.0]))[0][0] < 0  # l grows to the left


def test_precision_and_recall_are_sklearns():
    rng = np.random.default_rng(1)
    probability = np.round(rng.random(300), 2)  # with ties
    hit = rng.random(300) < probability
    precision, recall = precision_recall(probability, hit)
    theirs, found, _ = precision_recall_curve(hit, probability)
    np.testing.assert_allclose(precision, theirs[-2::-1], rtol=1e-12)
    np.testing.assert_allclose(recall, found[-2::-1], rtol=1e-12)


def test_the_operating_point_is_the_decision_not_the_largest_probability():
    posterior = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    truth, prediction = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])
    shown = texts(draw_precision_recall(posterior, truth, prediction, ["A", "B"]))
    assert "precision 100 %\nrecall 50 %" in shown and "precision 67 %\nrecall 100 %" in shown


def test_a_class_without_sources_or_predictions_has_no_operating_point():
    posterior, nobody = np.full((4, 3), 1 / 3), np.array([0, 0, 1, 1])
    shown = texts(draw_precision_recall(posterior, nobody, np.zeros(4, int), ["A", "B", "C"]))
    assert "class never predicted" in shown and "no source of this class" in shown


def test_outliers_at_or_below_the_level_are_counted():
    shown = texts(draw_outliers(np.array([0.01, 0.05, 0.5, 1.0]), np.zeros(4, int), ["A", "B"]))
    assert shown == ["50.0 % (2) at or below 0.05", "(0) at or below 0.05"]


def test_histograms_state_the_missing_shares_and_accept_an_empty_feature():
    values = [[np.array([]), np.array([])], [np.array([1.0, 1.0]), np.array([])]]
    absent = np.array([[1.0, np.nan], [0.004, 0.5]])
    labels = [FeatureLabel(name, "spectrum") for name in ("a", "b")]
    shown = [t for t in texts(draw_histograms(values, absent, labels, ["A", "B"])) if t != "■"]
    assert shown == ["no value, %:", "100", "–", "no value, %:", "<1", "50"]


def test_a_brief_track_has_the_sums_and_the_strongest_feature_of_each_category(invented):
    track = invented.track(14, 4)
    against, brief = runner_up(track), brief_track(track, 3)
    feature = track.contribution[:, track.prediction] - track.contribution[:, against]
    for g, band in enumerate(brief.bands[1:-1]):
        members = np.flatnonzero(np.asarray(track.category) == g)
        total, strongest = band.lines
        assert total.factor + total.exponent == plain(factor_text(feature[members].sum()))
        best = members[np.abs(feature[members]).argmax()]
        assert (strongest.name, strongest.value) == (track.features[best], track.value_texts[best])
        assert [s.share for s in band.segments] == track.category_posterior[g].tolist()
    assert brief.title.startswith(f"3. {track.name}: {brief.predicted} ")


def plain(factor):
    return factor.translate(str.maketrans("", "", "$^{}"))


def test_the_bars_of_a_brief_track_start_at_zero_and_stay_inside_their_cell(invented):
    for seed in range(5):
        brief = brief_track(invented.track(14, 4, seed), 1)
        for line in (line for band in brief.bands for line in band.lines):
            start = line.left + line.width if line.towards_left else line.left
            assert start == pytest.approx(brief.zero)
            assert line.left >= 0 and line.left + line.width <= 1


def test_the_most_certain_sources_and_the_strongest_outliers_are_selected():
    nothing = np.zeros(4)
    products = Products(
        posterior=np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]]),
        prediction=np.array([0, 1, 1, 0]),  # the last by a rule, not by its probability
        margin=nothing,
        entropy=nothing,
        alternative=np.zeros(4, int),
        outlier=np.array([3.0, 5.0, 1.0, 9.0]),
        outlier_p=np.array([0.1, 0.02, 0.5, 0.02]),
        n_missing=np.zeros(4, int),
        n_not_available=np.zeros(4, int),
        track=np.zeros((4, 1, 2)),
        subclass=np.array([0, 1, 1, 0]),
        prediction_set=np.ones((4, 2), bool),
        set_flag=np.zeros(4, bool),
        posterior_interval=np.empty((4, 2, 0)),
        outlier_interval=np.empty((4, 0)),
        unusual_feature=np.zeros((4, 0, 3), int),
        unusual_number=np.zeros((4, 0, 3)),
    )
    assert most_certain(products, 1, 10).tolist() == [1, 2]
    assert most_certain(products, 0, 1).tolist() == [0]
    assert strongest_outliers(products, 3).tolist() == [3, 1, 0]


def test_points_are_json_that_no_name_can_break(invented):
    classes, labels = ("</script><b>", "B"), invented.labels(3)
    posterior, _ = invented.predictions(50, 2)
    points = invented.points(labels, classes, posterior)
    text = as_json(points)
    assert "<" not in text
    record = json.loads(text)
    assert record["classes"] == list(classes) and len(record["value"]) == 3
    assert record["sky"]["l"][0] is None and 0 <= record["sky"]["l"][9] < 360
    missing = [value is None for value in record["value"][1]]
    np.testing.assert_array_equal(missing, np.isnan(points.value[:, 1]))
    assert json.loads(as_json(points._replace(galactic=None)))["sky"] is None


@pytest.mark.parametrize(("n", "features", "shown"), [(500, 5, 500), (10**6, 5, MOST_POINTS)])
def test_a_large_catalogue_is_shown_in_part(n, features, shown):
    rows = shown_rows(n, features, 1)
    assert len(rows) == len(np.unique(rows)) == shown
    np.testing.assert_array_equal(rows, shown_rows(n, features, 1))
    assert len(shown_rows(10**6, 60, 1)) < MOST_POINTS
