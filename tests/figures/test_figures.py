"""Every figure: nothing cut off at any size, and the numbers it was given."""

import itertools

import numpy as np
import pytest
from agreement import Sample, agreement
from figure_agreement import draw_agreement
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from scipy.stats import beta

from xbayes.evaluate.learning_curve import Point
from xbayes.figures.assignment import draw_assignment
from xbayes.figures.confusion import draw_confusion
from xbayes.figures.criterion import draw_criterion
from xbayes.figures.densities import draw_densities
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.learning import draw_learning
from xbayes.figures.members import draw_members
from xbayes.figures.outliers import draw_outliers
from xbayes.figures.precision import draw_precision_recall
from xbayes.figures.reliability import draw_reliability, draw_reliability_diagram, reliability
from xbayes.figures.scatter import draw_scatter
from xbayes.figures.sky import draw_sky
from xbayes.figures.terms import draw_terms
from xbayes.figures.track import draw_track
from xbayes.figures.track_record import factor_text, factor_tick, percent_text, runner_up
from xbayes.figures.weights import draw_weights
from xbayes.types import Names

SIZES = [(1, 2), (14, 4), pytest.param(60, 10, marks=pytest.mark.slow)]
FIGURES = [
    *("confusion", "reliability", "densities", "histograms", "precision", "outliers", "sky"),
    *("scatter", "track", "learning", "assignment", "members"),
]
KINDS = ["category", "property", "property_class", "matrix"]
LONG = "_the quick $brown$ fox jumps over the $lazy dog " * 3


def score(value, lo, hi):
    return {"value": value, "lo": lo, "hi": hi}


def learning_points(n_classes):
    """Points with F1 f and log loss 1 - f, where f is the fraction of the labels."""
    members = np.linspace(1000, 10, n_classes)
    return [
        Point(
            fraction=f,
            members=f * members,
            groups=f * members,
            f1=[score(f, 0.9 * f, 1.1 * f)] * n_classes,
            class_log_loss=[score(1 - f, 0.9 - f, 1.1 - f)] * n_classes,
            macro_f1=score(f, f, f),
            log_loss=score(1 - f, 1 - f, 1 - f),
        )
        for f in (0.1, 0.3, 0.8)
    ]


def draw(invented, kind, n_features, n_classes):
    classes, labels = invented.classes(n_classes), invented.labels(n_features)
    posterior, truth = invented.predictions(1500, n_classes)
    prediction = posterior.argmax(-1)
    node, density, values = invented.densities(n_features, n_classes)
    points = invented.points(labels, classes, posterior)
    if kind == "confusion":
        counts = np.zeros((n_classes, n_classes))
        np.add.at(counts, (truth, prediction), 100.5)
        return draw_confusion(counts, classes)
    if kind == "reliability":
        return draw_reliability(posterior, truth, classes)
    if kind == "densities":
        return draw_densities(node, density, labels, classes, values)
    if kind == "histograms":
        absent = np.linspace(0, 1, n_features * n_classes).reshape(n_features, n_classes)
        return draw_histograms(values, absent, labels, classes)
    if kind == "precision":
        return draw_precision_recall(posterior, truth, prediction, classes)
    if kind == "outliers":
        return draw_outliers(points.outlier_p, prediction, classes)
    if kind == "sky":
        return draw_sky(*points.galactic.T, prediction, classes)
    if kind == "scatter":
        pair = [0, n_features - 1]
        return draw_scatter(points.value[:, pair], prediction, [labels[f] for f in pair], classes)
    if kind == "track":
        return draw_track(invented.track(n_features, n_classes))
    if kind == "learning":
        return draw_learning(learning_points(n_classes), classes)
    if kind == "assignment":
        share = np.random.default_rng(1).dirichlet(np.ones(n_classes), n_features)
        return draw_assignment(share, np.full(n_features, 1 / n_features), share, classes)
    if kind == "members":
        x, y, colour = points.value[:, [0, 0, n_features - 1]].T
        n_clusters, three = n_classes + 1, [labels[0]] * 3
        return draw_members(np.stack([x, y], 1), colour, prediction, three, n_clusters)
    alpha, mixing = invented.weights(n_features, n_classes)
    return draw_weights(alpha, invented.names(labels, classes), kind, mixing)


@pytest.mark.parametrize(("n_features", "n_classes"), SIZES)
@pytest.mark.parametrize("kind", [*FIGURES, *KINDS])
def test_nothing_is_cut_off_at_any_size(invented, kind, n_features, n_classes, assert_whole):
    assert_whole(draw(invented, kind, n_features, n_classes))


@pytest.mark.slow
def test_nothing_is_cut_off_with_long_names(invented, assert_whole):
    labels = [FeatureLabel(LONG, "spectrum", LONG, "erg/s/cm2", "squash") for _ in range(5)]
    node, density, values = invented.densities(5, 3)
    classes = tuple(f"{LONG}{c}" for c in range(3))
    assert_whole(draw_densities(node, density, labels, classes, values))
    alpha, mixing = invented.weights(5, 3)
    names = Names(features=(LONG,) * 5, categories=(LONG,), category=(0,) * 5, classes=classes)
    for kind in KINDS:
        assert_whole(draw_weights(alpha, names, kind, mixing))
    assert_whole(draw_confusion(np.full((3, 3), 1234567.0), classes))
    assert_whole(draw_reliability(*invented.predictions(300, 3), classes))
    assert_whole(draw_assignment(np.full((4, 3), 1 / 3), np.full(4, 0.25), np.eye(4, 3), classes))
    track = invented.track(14, 3)._replace(
        name=LONG,
        classes=classes,
        features=[LONG] * 14,
        alternative=LONG,
        value_texts=[LONG] * 14,
    )
    assert_whole(draw_track(track))


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_cells_of_a_confusion_matrix_are_counts_and_both_percentages():
    figure = draw_confusion(np.array([[30.0, 10.0], [0.0, 1234.5]]), ["A", "B"])
    recall, precision = ([t.get_text() for t in axes.texts] for axes in figure.axes)
    assert recall == ["30", "75 %", "10", "25 %", "0", "0 %", "1,234", "100 %"]
    assert precision == ["30", "100 %", "10", "0.8 %", "0", "0 %", "1,234", "99 %"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["true class"] * 2


def test_an_empty_class_has_no_percentages(assert_whole):
    figure = draw_confusion(np.array([[5.0, 0.0], [0.0, 0.0]]), ["A", "B"])
    assert "–" in texts(figure) and "nan" not in " ".join(texts(figure))
    assert_whole(figure)


def test_densities_are_drawn_as_given_in_front_of_histograms_of_unit_area(invented):
    node, density, values = invented.densities(3, 2)
    figure = draw_densities(node, density, invented.labels(3), ["A", "B"], values)
    for f, axes in enumerate(figure.axes):
        assert axes.get_title("left") == invented.labels(3)[f].name
        for c, line in enumerate(axes.lines):
            np.testing.assert_array_equal(
                line.get_xydata(), np.stack([node[f], density[f, :, c]], 1)
            )
        for c, patch in enumerate(axes.patches):
            height, edges, _ = patch.get_data()
            inside = (values[f][c] >= edges[0]) & (values[f][c] <= edges[-1])
            np.testing.assert_allclose((height * np.diff(edges)).sum(), inside.mean())
        assert axes.get_ylim()[1] == pytest.approx(1.08 * density[f].max())


def test_densities_without_values_or_members_have_no_histogram(invented):
    node, density, values = invented.densities(3, 2)
    figure = draw_densities(node, density, invented.labels(3), ["A", "B"])
    assert not any(axes.patches for axes in figure.axes)
    values[0][1] = np.array([])
    figure = draw_densities(node, density, invented.labels(3), ["A", "B"], values)
    assert [len(axes.patches) for axes in figure.axes] == [1, 2, 2]


def test_only_a_feature_with_a_spike_has_a_square_root_scale(invented, assert_whole):
    node, density, _ = invented.densities(2, 3)
    spike = np.exp(-0.5 * ((node[1] - 4.9) / 0.03) ** 2)[:, None]
    density[1] = 0.05 * density[1] + 10 * spike
    figure = draw_densities(node, density, invented.labels(2), ["A", "B", "C"])
    assert_whole(figure)
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "function"]
    assert [axes.get_title("right") for axes in figure.axes] == ["", "square-root scale"]


def test_histograms_hold_the_share_of_each_class_in_each_bin(invented):
    _, _, values = invented.densities(2, 3)
    figure = draw_histograms(values, np.zeros((2, 3)), invented.labels(2), ["A", "B", "C"])
    for f, axes in enumerate(figure.axes):
        for c, patch in enumerate(axes.patches):
            share, edges, _ = patch.get_data()
            counts, _ = np.histogram(np.clip(values[f][c], edges[0], edges[-1]), edges)
            np.testing.assert_allclose(share, counts / len(values[f][c]))


def test_weights_of_kind_matrix_need_their_mixing(invented):
    names = Names(features=("a",), categories=("g",), category=(0,), classes=("A", "B"))
    with pytest.raises(ValueError, match="mixing"):
        draw_weights(np.ones((1, 2)), names, "matrix")


def test_weights_are_drawn_as_given_in_the_order_of_their_categories():
    names = Names(
        features=("a", "b", "c"), categories=("g", "h"), category=(1, 0, 1), classes=("A", "B")
    )
    alpha, mixing = np.array([[0.5, 0.6], [1.5, 1.6], [2.5, 2.6]]), np.zeros((3, 2, 2))
    mixing[0, 0, 1] = -0.7
    order = [1, 0, 2]
    bars = draw_weights(alpha, names, "property").axes[0]
    assert [bar.get_width() for bar in bars.patches] == alpha[order, 0].tolist()
    assert [t.get_text() for t in bars.get_yticklabels()] == ["b", "a", "c"]
    bars = draw_weights(alpha, names, "category").axes[0]
    assert [bar.get_width() for bar in bars.patches] == [1.5, 0.5]
    assert [t.get_text() for t in bars.texts] == [" 1.50", "b", " 0.50", "a, c"]
    cells = draw_weights(alpha, names, "property_class").axes[0].images[0].get_array()
    np.testing.assert_array_equal(cells, alpha[order])
    figure = draw_weights(alpha, names, "matrix", mixing)
    blocks = [np.asarray(axes.images[0].get_array()) for axes in figure.axes[1:3]]
    np.testing.assert_allclose(blocks[0], [[1.5, 0], [0.5, -0.7], [2.5, 0]])
    np.testing.assert_allclose(blocks[1], [[0, 1.6], [0, 0.6], [0, 2.6]])


def test_points_of_the_sky_and_of_two_features_are_those_with_values(invented):
    posterior, _ = invented.predictions(300, 3)
    classes, labels = invented.classes(3), invented.labels(2)
    points = invented.points(labels, classes, posterior)
    sky = draw_sky(*points.galactic.T, points.prediction, classes)
    scatter = draw_scatter(points.value, points.prediction, labels, classes)
    place = np.radians(points.galactic * [-1, 1])
    for axes, xy in ((sky, place), (scatter, points.value)):
        counts = []
        for c in range(3):
            rows = (points.prediction == c) & np.isfinite(xy).all(1)
            counts.append(rows.sum())
            assert any(np.array_equal(line.get_xydata(), xy[rows]) for line in axes.lines)
        legend = axes.get_legend() or axes.figure.legends[0]
        shown = [text.get_text() for text in legend.get_texts()]
        assert shown == [f"{name} ({n})" for name, n in zip(classes, counts, strict=True)]


def test_figures_of_one_panel_draw_on_the_axes_of_the_caller(invented):
    posterior, truth = invented.predictions(300, 3)
    classes, labels = invented.classes(3), invented.labels(2)
    points = invented.points(labels, classes, posterior)
    figure = Figure()
    sky, plain = figure.add_subplot(121, projection="mollweide"), figure.add_subplot(122)
    assert draw_sky(*points.galactic.T, points.prediction, classes, ax=sky) is sky
    assert draw_scatter(points.value, points.prediction, labels, classes, ax=plain) is plain
    bins = reliability(posterior[:, 0], truth == 0)
    other = Figure().subplots()
    assert draw_reliability_diagram(bins, ax=other) is other
    assert other.get_xlabel() == "predicted probability"
    with pytest.raises(ValueError, match="projection='mollweide'; got 'rectilinear'"):
        draw_sky(*points.galactic.T, points.prediction, classes, ax=plain)


def test_the_assignment_matrix_is_drawn_as_given():
    share, membership = np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0.3, 0.6], [0.7, 0.4]])
    figure = draw_assignment(share, np.array([0.25, 0.75]), membership, ["A", "B"])
    left, middle, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["20 %", "80 %", "100 %", "<1 %"]
    assert [t.get_text() for t in middle.texts] == ["30 %", "60 %", "70 %", "40 %"]
    assert [bar.get_width() for bar in right.patches] == [25.0, 75.0]


def test_each_panel_of_members_has_the_sources_of_its_cluster():
    value = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, np.nan], [5.0, 6.0]])
    colour, cluster = np.array([1.0, 2.0, 3.0, np.nan]), np.array([0, 1, 1, 0])
    labels = [FeatureLabel(name, "spectrum") for name in "abc"]
    figure = draw_members(value, colour, cluster, labels, 2)
    first, second = figure.axes[:2]
    np.testing.assert_array_equal(first.collections[0].get_offsets(), value[[0]])
    np.testing.assert_array_equal(second.collections[0].get_offsets(), value[[1]])
    assert first.get_title("left") == "cluster 1 (2 sources)"
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("a", "b")


def test_the_criterion_shows_mean_range_and_change_of_the_runs():
    bic = np.array([[5000.0, 5200.0], [4000.0, 4600.0], [4500.0, 4700.0]])
    figure = draw_criterion(np.array([1, 2, 3]), bic, 2)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [5.1, 4.3, 4.6])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [-0.8, 0.3])
    band = left.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (4.0, 5.2)
    assert left.lines[1].get_xdata() == [2, 2]


@pytest.mark.parametrize("seed", range(4))
def test_no_two_texts_of_a_track_overlap(invented, seed):
    track = invented.track(20 + 5 * seed, 2 + seed, seed)
    labels = invented.labels(len(track.features))
    figure = draw_track(
        track._replace(features=[f"{label.description} {label.name}" for label in labels])
    )
    FigureCanvasAgg(figure).draw()
    shown = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in shown]
    clashes = [(a, b) for (a, at), (b, to) in itertools.combinations(boxes, 2) if at.overlaps(to)]
    assert not clashes


def test_the_bars_of_a_track_are_its_contributions_and_its_posteriors(invented):
    track = invented.track()
    against = runner_up(track)
    figure = draw_track(track)
    _, shares, odds = figure.axes
    widths = np.array([p.get_width() for p in shares.patches if isinstance(p, Rectangle)])
    expected = np.concatenate(
        [[track.posterior], track.category_posterior, [np.exp(track.log_prior)]]
    )
    np.testing.assert_allclose(widths.reshape(-1, 4), expected)
    bars = np.array([p.get_width() for p in odds.patches])
    added = track.contribution[:, track.prediction] - track.contribution[:, against]
    for value in added[added != 0]:
        assert np.isclose(np.abs(bars), np.abs(value)).any()
    total = np.log(track.posterior[track.prediction] / track.posterior[against])
    assert factor_text(float(total)) in texts(figure)


def test_a_source_without_any_measurement_has_no_bars_of_features(invented, assert_whole):
    track = invented.track(14, 4)
    prior = np.exp(track.log_prior)
    nothing = track._replace(
        value_texts=["not detected"] * 7 + ["not available"] * 7,
        contribution=np.zeros((14, 4)),
        share_below=np.full((14, 4), np.nan),
        offset=np.zeros(4),
        posterior=prior,
        category_posterior=np.tile(prior, (4, 1)),
        prediction=int(prior.argmax()),
        alternative="",
    )
    figure = draw_track(nothing)
    assert_whole(figure)
    assert len(figure.axes[2].patches) == 6  # the total, four sums and the prior
    assert not figure.axes[1].lines


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
def test_factors_have_two_digits(evidence, text):
    assert factor_text(evidence) == text


def test_factor_axis_labels():
    decades = np.log(10) * np.array([-3, -1, 0, 2])
    assert [factor_tick(x) for x in decades] == ["÷$10^{3}$", "÷10", "1", "×100"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.8409, "84.1 %"), (0.99999, ">99.9 %"), (1e-9, "<0.1 %")]
)
def test_no_posterior_is_certain(share, text):
    assert percent_text(share, 1) == text


def test_axis_labels_state_unit_and_scale():
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


@pytest.mark.slow
def test_the_consistency_band_holds_nine_of_ten_calibrated_models():
    rng = np.random.default_rng(2)
    probability = rng.random(1000)

    def inside(truth_probability):
        bins = reliability(probability, rng.random(1000) < truth_probability)
        low, high = bins.calibrated
        return ((bins.observed >= low) & (bins.observed <= high)).mean()

    # The band of a discrete count holds at least, and little more than, 90 %.
    assert 0.88 < np.mean([inside(probability) for _ in range(100)]) < 0.96
    assert np.mean([inside(probability**2) for _ in range(100)]) < 0.5  # negative control


def test_empty_bins_are_nan():
    bins = reliability(np.array([0.05, 1.0]), np.array([False, True]))
    assert bins.size.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert np.isnan(bins.observed[1:-1]).all()


def test_reliability_diagrams_show_the_bins_of_each_class(invented):
    posterior, truth = invented.predictions(1500, 3)
    figure = draw_reliability(posterior, truth, ["A", "B", "C"])
    for c in range(3):
        above, below = figure.axes[c], figure.axes[3 + c]
        bins = reliability(posterior[:, c], truth == c)
        points = next(line for line in above.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(
            points.get_xydata(), np.stack([bins.predicted, bins.observed], 1)
        )
        assert [bar.get_height() for bar in below.patches] == bins.size.tolist()
        assert above.get_title("right") == f"{(truth == c).sum():,} sources"
    assert legend_texts(figure) == [
        "perfect calibration",
        "90 % range of a calibrated model",
        "observed, 90 % interval",
    ]


def test_learning_curves_show_the_scores_of_each_class(assert_whole):
    points = learning_points(2)
    points[1] = points[1]._replace(f1=[points[1].f1[0], score(None, None, None)])
    figure = draw_learning(points, ("A", "B"))
    f1_a, f1_b, loss_a, _ = figure.axes
    np.testing.assert_allclose(f1_a.lines[0].get_xydata(), [[100, 0.1], [300, 0.3], [800, 0.8]])
    np.testing.assert_allclose(f1_b.lines[0].get_ydata(), [0.1, np.nan, 0.8])
    np.testing.assert_allclose(loss_a.lines[0].get_ydata(), [0.9, 0.7, 0.2])
    assert f1_a.get_ylabel() == "held-out F1"
    assert_whole(figure)


def test_agreement_names_the_class_that_differs_most(assert_whole):
    rng = np.random.default_rng(0)
    value, observed = rng.normal(size=(60, 1)), np.ones((60, 1), bool)
    weight = np.eye(2)[np.arange(60) % 2]
    known = Sample(value, observed, weight, np.arange(60))
    new = Sample(value + 2.0 * weight[:, [1]], observed, weight, np.arange(60))
    labels = [FeatureLabel("a", "one")]
    figure = draw_agreement(known, new, agreement(known, new), labels, ("A", "B"))
    assert figure.axes[0].texts[0].get_text().startswith("largest distance: B")
    assert_whole(figure)


def test_terms_of_many_features_are_whole(invented, assert_whole):
    figure = draw_terms(*invented.terms(invented.labels(14), invented.classes(4)))
    assert_whole(figure)
    assert sum(isinstance(p, StepPatch) for axes in figure.axes for p in axes.patches) == 6 * 4
