"""The figure of the boosted terms shows the tables themselves."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.patches import StepPatch

from xbayes.figures.all_figures import FeatureLabel, draw_splines, draw_terms
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.term_tables import TermTables

CLASSES = ("AGN", "Star", "XRB")
LABELS = [FeatureLabel(name, "spectrum", f"property {name}", "mag") for name in "abc"]
SHARE, BINS = 0.5, 6


@pytest.fixture
def tables():
    """Four bins of a and b, and one of the missing; all values of c are alike."""
    rng = np.random.default_rng(0)
    edge = np.full((3, BINS - 2), np.inf)
    edge[:2, :3] = [[0.0, 1.0, 3.0], [-1.0, 0.0, 2.0]]
    pair_table = rng.normal(size=(2, BINS, BINS, 3)) * np.array([1.0, 1.0, 5.0])
    main = rng.normal(size=(3, BINS, 3))
    pair = np.array([[0, 2], [0, 1]])
    reach = np.array([[-2.0, 9.0], [-5.0, 5.0], [0.0, 0.0]])
    return TermTables(np.array(SHARE), np.zeros(3), edge, main, pair, pair_table, reach)


def test_curves_and_maps_are_the_tables_with_their_share(tables):
    figure = draw_terms(tables, [0, 1], LABELS, CLASSES)
    curves = [a for a in figure.axes if any(isinstance(p, StepPatch) for p in a.patches)]
    assert sorted(a.get_xlabel() for a in curves) == ["property a [mag]", "property b [mag]"]
    own = next(a for a in curves if a.get_xlabel() == "property a [mag]")
    for c, patch in enumerate(own.patches):
        values, edges, _ = patch.get_data()
        np.testing.assert_allclose(values, SHARE * tables.main[0, :4, c])
        np.testing.assert_allclose(edges, [-1, 0, 1, 3, 5])
    meshes = [c for a in figure.axes for c in a.collections if isinstance(c, QuadMesh)]
    shown = [m for m in meshes if m.get_array().shape == (4, 4)]
    assert len(shown) == 1  # none of c, which has one bin
    np.testing.assert_allclose(shown[0].get_array(), SHARE * tables.pair_table[1, :4, :4, 2].T)


def test_without_pairs_there_are_curves_only(tables):
    alone = tables._replace(pair=np.zeros((0, 2), int), pair_table=tables.pair_table[:0])
    figure = draw_terms(alone, [], LABELS, CLASSES)
    assert len(figure.axes) == 2


def test_the_smooth_curves_are_shown_with_their_share_the_furthest_first():
    rng = np.random.default_rng(1)
    node = np.stack([np.linspace(0, 1, 9), np.linspace(-2, 2, 9), np.linspace(5, 9, 9)])
    height = rng.normal(size=(3, 9, 3)) * np.array([1.0, 5.0, 0.1])[:, None, None]
    splines = SplineTerms(np.array(SHARE), np.zeros(3), node, height, np.zeros((3, 3)))
    figure = draw_splines(splines, LABELS, CLASSES)
    first = figure.axes[0]
    assert first.get_xlabel() == "property b [mag]"
    for c, name in enumerate(CLASSES):
        (line,) = (drawn for drawn in first.lines if drawn.get_label() == name)
        np.testing.assert_allclose(line.get_xdata(), node[1])
        np.testing.assert_allclose(line.get_ydata(), SHARE * height[1, :, c])
