"""Every figure: not empty, nothing cut off, from one property and two classes to sixty and ten."""

import itertools

import numpy as np
import pytest
from agreement import Sample, agreement
from figure_agreement import draw_agreement
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import beta

from xbayes.evaluate.learning_curve import Point
from xbayes.figures.all_figures import (
    draw_confusion,
    draw_densities,
    draw_histograms,
    draw_outliers,
    draw_precision_recall,
    draw_reliability,
    draw_scatter,
    draw_sky,
    draw_track,
    draw_weights,
)
from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.learning import draw_learning
from xbayes.figures.reliability import reliability
from xbayes.figures.style import png_bytes
from xbayes.figures.track_record import factor_text, factor_tick, percent_text, runner_up

SIZES = [(1, 2), (14, 4), (60, 10)]
FIGURES = [
    *("confusion", "reliability", "densities", "histograms", "precision", "outliers"),
    *("sky", "scatter", "track", "track, brief"),
]
KINDS = ["category", "property", "property_class", "matrix"]


def draw(invented, kind, n_features, n_classes):
    classes, labels = invented.classes(n_classes), invented.labels(n_features)
    posterior, truth = invented.predictions(1500, n_classes)
    if kind == "confusion":
        counts = np.zeros((n_classes, n_classes))
        np.add.at(counts, (truth, posterior.argmax(-1)), 100.5)
        return draw_confusion(counts, classes)
    if kind == "reliability":
        return draw_reliability(posterior, truth, classes)
    if kind == "densities":
        node, density, values = invented.densities(n_features, n_classes)
        return draw_densities(node, density, labels, classes, values)
    if kind == "histograms":
        _, _, values = invented.densities(n_features, n_classes)
        absent = np.linspace(0, 1, n_features * n_classes).reshape(n_features, n_classes)
        return draw_histograms(values, absent, labels, classes)
    if kind == "precision":
        return draw_precision_recall(posterior, truth, posterior.argmax(-1), classes)
    points = invented.points(labels, classes, posterior)
    if kind == "outliers":
        return draw_outliers(points.outlier_p, points.prediction, classes)
    if kind == "sky":
        return draw_sky(*points.galactic.T, points.prediction, classes)
    if kind == "scatter":
        pair = [0, n_features - 1]
        axes = [labels[f] for f in pair]
        return draw_scatter(points.value[:, pair], points.prediction, axes, classes)
    if kind.startswith("track"):
        most = 1 if kind == "track, brief" else None
        return draw_track(invented.track(n_features, n_classes), most)
    alpha, mixing = invented.weights(n_features, n_classes)
    category = [invented.categories.index(label.category) for label in labels]
    names = [label.name for label in labels]
    return draw_weights(alpha, mixing, names, invented.categories, category, classes, kind)


@pytest.mark.parametrize(("n_features", "n_classes"), SIZES)
@pytest.mark.parametrize("kind", [*FIGURES, *KINDS])
def test_figures_are_whole_at_every_size(invented, kind, n_features, n_classes, assert_whole):
    assert_whole(draw(invented, kind, n_features, n_classes))


def test_densities_need_no_values_and_bear_a_class_without_any(invented, assert_whole):
    node, density, values = invented.densities(3, 2)
    assert_whole(draw_densities(node, density, invented.labels(3), ["A", "B"]))
    values[0][1] = np.array([])
    assert_whole(draw_densities(node, density, invented.labels(3), ["A", "B"], values))


def test_a_spike_gets_a_square_root_scale_and_no_other_property_does(invented, assert_whole):
    node, density, _ = invented.densities(2, 3)
    spike = np.exp(-0.5 * ((node[1] - 4.9) / 0.03) ** 2)[:, None]
    density[1] = 0.05 * density[1] + 10 * spike
    figure = draw_densities(node, density, invented.labels(2), ["A", "B", "C"])
    assert_whole(figure)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "function"]
    assert [axes.get_title("right") for axes in figure.axes] == ["", "square-root scale"]


def test_long_names_are_not_cut_off_by_the_page(invented, assert_whole):
    long = "_the quick $brown$ fox jumps over the $lazy dog " * 3
    labels = [FeatureLabel(long, "spectrum", long, "erg/s/cm2", "squash") for _ in range(5)]
    node, density, values = invented.densities(5, 3)
    classes = [f"{long}{c}" for c in range(3)]
    assert_whole(draw_densities(node, density, labels, classes, values))
    alpha, mixing = invented.weights(5, 3)
    for kind in KINDS:
        assert_whole(draw_weights(alpha, mixing, [long] * 5, [long], [0] * 5, classes, kind))
    assert_whole(draw_confusion(np.full((3, 3), 1234567.0), classes))
    assert_whole(draw_reliability(*invented.predictions(300, 3), classes))
    track = invented.track(14, 3)._replace(
        name=long, classes=classes, properties=[long] * 14, alternative=long, values=[long] * 14
    )
    assert_whole(draw_track(track))


def test_an_empty_class_has_no_percentages(assert_whole):
    figure = draw_confusion(np.array([[5.0, 0.0], [0.0, 0.0]]), ["A", "B"])
    assert "–" in texts(figure) and "nan" not in " ".join(texts(figure))
    assert_whole(figure)


def test_weights_of_kind_matrix_need_their_mixing(invented):
    with pytest.raises(ValueError, match="mixing"):
        draw_weights(np.ones((1, 2)), None, ["a"], ["g"], [0], ["A", "B"], "matrix")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("seed", range(4))
def test_no_two_texts_of_a_track_overlap(invented, seed):
    track = invented.track(20 + 5 * seed, 2 + seed, seed)
    long = [f"{label.description} {label.name}" for label in invented.labels(len(track.values))]
    figure = draw_track(track._replace(features=long))
    FigureCanvasAgg(figure).draw()
    shown = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in shown]
    clashes = [(a, b) for (a, at), (b, to) in itertools.combinations(boxes, 2) if at.overlaps(to)]
    assert not clashes


def test_the_ledger_adds_up_to_the_posterior_odds(invented):
    track = invented.track()
    odds = track.posterior[track.prediction] / track.posterior[runner_up(track)]
    assert factor_text(float(np.log(odds))) in texts(draw_track(track))


def test_a_source_without_any_measurement_is_drawn(invented, assert_whole):
    track = invented.track(14, 4)
    prior = np.exp(track.log_prior)
    nothing = track._replace(
        values=["missing"] * 7 + ["not available"] * 7,
        contribution=np.zeros((14, 4)),
        offset=np.zeros(4),
        posterior=prior,
        category_posterior=np.tile(prior, (4, 1)),
        prediction=int(prior.argmax()),
        alternative="",
    )
    assert_whole(draw_track(nothing))


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (0.0, "×1"),
        (0.03, "×1"),
        (np.log(3.52), "×3.5"),
        (-np.log(20), "÷20"),
        (np.log(1234), "×1,200"),
        (np.log(10) * 6.5, "×$10^{6.5}$"),
        (1e6, "×$10^{304.0}$"),
    ],
)
def test_factors_read_easily(evidence, text):
    assert factor_text(evidence) == text


def test_factor_axis_labels():
    decades = np.log(10) * np.array([-3, -1, 0, 2])
    assert [factor_tick(x) for x in decades] == ["÷$10^{3}$", "÷10", "1", "×100"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.8409, "84.1 %"), (0.99999, ">99.9 %"), (1e-9, "<0.1 %")]
)
def test_no_posterior_is_certain(share, text):
    assert percent_text(share, 1) == text


def test_axis_labels_say_unit_and_scale():
    label = FeatureLabel("flux", "spectrum", "X-ray flux", "erg/s/cm2", "log10")
    assert axis_label(label) == "log10 of X-ray flux [erg/s/cm2]"
    assert axis_label(FeatureLabel("v", "variability", scale="squash")) == "x / (1 + |x|), x = v"


def test_reliability_bins_against_a_loop():
    rng = np.random.default_rng(1)
    probability = rng.random(400) ** 2
    hit = rng.random(400) < probability
    bins = reliability(probability, hit)
    for k in range(10):
        inside = (probability >= k / 10) & (probability < (k + 1) / 10)
        n, hits = inside.sum(), hit[inside].sum()
        assert bins.size[k] == n
        np.testing.assert_allclose(bins.predicted[k], probability[inside].mean(), rtol=1e-12)
        np.testing.assert_allclose(bins.observed[k], hits / n, rtol=1e-12)
        if 0 < hits < n:
            jeffreys = beta.interval(0.9, hits + 0.5, n - hits + 0.5)
            np.testing.assert_allclose(bins.interval[:, k], jeffreys, rtol=1e-9)


def test_the_band_holds_nine_of_ten_calibrated_models_and_few_wrong_ones():
    rng = np.random.default_rng(2)
    probability = rng.random(1000)

    def inside(truth_probability):
        bins = reliability(probability, rng.random(1000) < truth_probability)
        low, high = bins.calibrated
        return ((bins.observed >= low) & (bins.observed <= high)).mean()

    # The band of a discrete count holds at least, and little more than, 90 %.
    assert 0.88 < np.mean([inside(probability) for _ in range(100)]) < 0.96
    assert np.mean([inside(probability**2) for _ in range(100)]) < 0.5


def test_empty_bins_show_nothing():
    bins = reliability(np.array([0.05, 1.0]), np.array([False, True]))
    assert bins.size.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert np.isnan(bins.observed[1:-1]).all()


def test_learning_curves_have_two_panels_a_class_and_survive_no_score():
    nothing, score = {"value": None, "lo": None, "hi": None}, {"value": 0.6, "lo": 0.5, "hi": 0.7}
    members = np.array([10.0, 20.0])
    points = [
        Point(f, f * members, f * members, [score, nothing], [score, nothing], score, score)
        for f in (0.5, 1.0)
    ]
    figure = draw_learning(points, ("A", "B"))
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 4
    assert figure.axes[0].get_ylabel() == "held-out F1"
    png_bytes(figure)


def test_agreement_names_the_class_that_differs_most():
    rng = np.random.default_rng(0)
    value, there = rng.normal(size=(60, 1)), np.ones((60, 1), bool)
    weight = np.eye(2)[np.arange(60) % 2]
    known = Sample(value, there, weight, np.arange(60))
    new = Sample(value + 2.0 * weight[:, [1]], there, weight, np.arange(60))
    labels = [FeatureLabel("a", "one")]
    figure = draw_agreement(known, new, agreement(known, new), labels, ("A", "B"))
    assert figure.axes[0].texts[0].get_text().startswith("largest distance: B")
    png_bytes(figure)
