"""Figures of the posterior: nothing cut off at any size, and the numbers they were given."""

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from xbayes.figures.interval_widths import draw_interval_widths
from xbayes.figures.style import figure_of
from xbayes.figures.weight_posterior import draw_weight_posterior
from xbayes.types import Names

LONG = "_the quick $brown$ fox jumps over the $lazy dog " * 3


@pytest.fixture
def assert_readable(assert_whole):
    """Checks that nothing is cut off and that no two labels overlap."""

    def check(drawn):
        figure = figure_of(drawn)
        assert_whole(figure)
        for axes in figure.axes:
            shown = [t for t in axes.get_yticklabels() if t.get_text()]
            boxes = sorted((t.get_window_extent() for t in shown), key=lambda b: b.y0)
            assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
        for legend in figure.legends:
            entries = [t.get_window_extent() for t in legend.get_texts()]
            assert not any(a.overlaps(b) for i, a in enumerate(entries) for b in entries[:i])

    return check


def weights(n_rows, n_each, n_draws=200):
    rng = np.random.default_rng(4)
    return np.exp(
        rng.normal(0, 0.3, (n_draws, n_rows, n_each)) + rng.normal(0, 0.5, (n_rows, n_each))
    )


def intervals(posterior):
    """Intervals of a score that is 0.7 above or below the log-odds."""
    score = np.log(posterior) - np.log1p(-posterior)
    ends = [1 / (1 + np.exp(-(score + by))) for by in (-0.7, 0.7)]
    return np.stack(ends, axis=-1)


def names_of(features, category, categories, classes):
    return Names(features, tuple(categories), tuple(category), tuple(classes))


@pytest.mark.parametrize(
    ("n_rows", "n_classes"), [(1, 2), (14, 4), pytest.param(60, 10, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("by_class", [False, True])
def test_weights_are_whole_at_every_size(invented, n_rows, n_classes, by_class, assert_readable):
    names = invented.names(invented.labels(n_rows), invented.classes(n_classes))
    alpha = weights(n_rows, n_classes if by_class else 1)
    assert_readable(draw_weight_posterior(alpha, names))


@pytest.mark.parametrize("n_each", [1, 4, 10])
def test_awkward_names_are_not_cut_off(n_each, assert_readable):
    classes, categories = [f"{LONG}{c}" for c in range(10)], [f"{LONG}{g}" for g in range(9)]
    features = (LONG, "", "x_$y", "a\\b", "100 % <b>")
    names = names_of(features, (0, 1, 2, 0, 1), categories, classes)
    assert_readable(draw_weight_posterior(weights(5, n_each), names))


def test_lines_end_at_the_quantiles_of_the_samples():
    alpha = weights(3, 1)
    names = names_of(("a", "b", "c"), (0, 0, 1), ("one", "two"), ("A", "B"))
    axes = draw_weight_posterior(alpha, names)
    outer, inner = axes.collections[:2]
    for lines, levels in ((outer, (0.05, 0.95)), (inner, (0.25, 0.75))):
        ends = np.array([path.vertices[:, 0] for path in lines.get_paths()])
        np.testing.assert_allclose(ends, np.quantile(alpha[..., 0], levels, axis=0).T)
    at = np.asarray(axes.collections[2].get_offsets())
    np.testing.assert_allclose(at[:, 0], np.median(alpha[..., 0], axis=0))


def test_rows_are_categories_if_there_is_a_weight_for_each(assert_readable):
    names = names_of(("a", "b", "c"), (0, 0, 1), ("one", "two"), ("A", "B"))
    ax = Figure((6, 4)).subplots()
    axes = draw_weight_posterior(weights(2, 1), names, ax=ax)
    assert axes is ax
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["one", "two", "naive Bayes"]


@pytest.mark.parametrize("n_each", [1, 2, 4, 10])
def test_the_lines_of_a_row_lie_at_its_name(n_each):
    """One weight per row: on its tick; one per class: around it, within half the distance."""
    names = names_of(("a", "b", "c"), (0, 0, 0), ("one",), [f"C{c}" for c in range(10)])
    axes = draw_weight_posterior(weights(3, n_each), names)
    points = [np.asarray(axes.collections[3 * c + 2].get_offsets())[:, 1] for c in range(n_each)]
    np.testing.assert_allclose(np.mean(points, axis=0), [0, 1, 2], atol=1e-12)
    assert np.abs(np.array(points) - [0, 1, 2]).max() < 0.5


@pytest.mark.parametrize(("n_classes", "shown"), [(2, [0, 1]), (4, [1, 2, 3]), (10, [7, 8, 9])])
def test_intervals_are_whole_at_every_size(invented, n_classes, shown, assert_readable):
    posterior, truth = invented.predictions(1500, n_classes)
    posterior = np.clip(posterior, 1e-9, 1 - 1e-9)
    ends = intervals(posterior)
    classes = invented.classes(n_classes)
    assert_readable(draw_interval_widths(posterior, ends, truth, classes, shown))
    names = [f"{LONG}{c}" for c in range(n_classes)]
    assert_readable(draw_interval_widths(posterior, ends, truth, names, shown))


def test_each_source_is_shown_once_with_its_interval(invented):
    posterior, truth = invented.predictions(40, 3)
    posterior = np.clip(posterior, 1e-9, 1 - 1e-9)
    ends = intervals(posterior)
    figure = draw_interval_widths(posterior, ends, truth, ["A", "B", "C"], [2])
    lines = [c for c in figure.axes[0].collections if hasattr(c, "get_segments")]
    drawn = np.concatenate([np.asarray(c.get_segments()) for c in lines if len(c.get_segments())])
    assert len(drawn) == 40
    order = np.argsort(drawn[:, 0, 0])
    expected = np.argsort(posterior[:, 2])
    np.testing.assert_allclose(drawn[order, 0, 0], posterior[expected, 2])
    np.testing.assert_allclose(drawn[order, :, 1], ends[expected, 2])


def test_a_class_without_sources_and_a_single_source_are_drawn(assert_readable):
    posterior = np.array([[0.7, 0.2, 0.1]])
    figure = draw_interval_widths(
        posterior, intervals(posterior), np.array([0]), ["A", "B", "C"], [1]
    )
    assert_readable(figure)
