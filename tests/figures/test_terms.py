"""The figures of boosted terms and smooth curves show the fitted tables."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.patches import StepPatch

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.splines import draw_splines
from xbayes.figures.terms import draw_terms
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.term_tables import TermTables

CLASSES = ("AGN", "Star", "XRB")
LABELS = [FeatureLabel(name, "spectrum", f"feature {name}", "mag") for name in "abc"]
SHARE, BINS = 0.5, 6


@pytest.fixture
def tables():
    """Features a and b have four bins and one for missing values; all values of c are equal."""
    rng = np.random.default_rng(0)
    edge = np.full((3, BINS - 2), np.inf)
    edge[:2, :3] = [[0.0, 1.0, 3.0], [-1.0, 0.0, 2.0]]
    pair_table = rng.normal(size=(2, BINS, BINS, 3)) * np.array([1.0, 1.0, 5.0])
    main = rng.normal(size=(3, BINS, 3))
    pair = np.array([[0, 2], [0, 1]])
    reach = np.array([[-2.0, 9.0], [-5.0, 5.0], [0.0, 0.0]])
    return TermTables(
        share=np.array(SHARE),
        base=np.zeros(3),
        edge=edge,
        main=main,
        pair=pair,
        pair_table=pair_table,
        reach=reach,
    )


def test_curves_and_maps_are_the_tables_times_their_share(tables):
    figure = draw_terms(tables, [0, 1], LABELS, CLASSES)
    curves = [a for a in figure.axes if any(isinstance(p, StepPatch) for p in a.patches)]
    assert sorted(a.get_xlabel() for a in curves) == ["feature a [mag]", "feature b [mag]"]
    first = next(a for a in curves if a.get_xlabel() == "feature a [mag]")
    for c, patch in enumerate(first.patches):
        values, edges, _ = patch.get_data()
        np.testing.assert_allclose(values, SHARE * tables.main[0, :4, c])
        np.testing.assert_allclose(edges, [-1, 0, 1, 3, 5])
    meshes = [c for a in figure.axes for c in a.collections if isinstance(c, QuadMesh)]
    shown = [m for m in meshes if m.get_array().shape == (4, 4)]
    assert len(shown) == 1  # no map of c, which has one bin
    np.testing.assert_allclose(shown[0].get_array(), SHARE * tables.pair_table[1, :4, :4, 2].T)


def test_without_pairs_there_are_curves_only(tables):
    alone = tables._replace(pair=np.zeros((0, 2), int), pair_table=tables.pair_table[:0])
    figure = draw_terms(alone, [], LABELS, CLASSES)
    assert len(figure.axes) == 2


def test_smooth_curves_are_shown_times_their_share_the_largest_first():
    rng = np.random.default_rng(1)
    node = np.stack([np.linspace(0, 1, 9), np.linspace(-2, 2, 9), np.linspace(5, 9, 9)])
    height = rng.normal(size=(3, 9, 3)) * np.array([1.0, 5.0, 0.1])[:, None, None]
    splines = SplineTerms(np.array(SHARE), np.zeros(3), node, height, np.zeros((3, 3)))
    figure = draw_splines(splines, LABELS, CLASSES)
    first = figure.axes[0]
    assert first.get_xlabel() == "feature b [mag]"
    for c, name in enumerate(CLASSES):
        (line,) = (line for line in first.lines if line.get_label() == name)
        np.testing.assert_allclose(line.get_xdata(), node[1])
        np.testing.assert_allclose(line.get_ydata(), SHARE * height[1, :, c])
