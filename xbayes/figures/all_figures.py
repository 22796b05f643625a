"""The figures of the report, each a function of arrays and names that returns a Figure."""

from xbayes.figures.clusters import draw_assignment, draw_criterion, draw_members
from xbayes.figures.confusion import draw_confusion
from xbayes.figures.densities import draw_densities
from xbayes.figures.histograms import draw_histograms
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.outliers import draw_outliers
from xbayes.figures.posterior import draw_interval_widths, draw_weight_posterior
from xbayes.figures.precision import draw_precision_recall
from xbayes.figures.reliability import draw_reliability
from xbayes.figures.scatter import draw_scatter
from xbayes.figures.sky import draw_sky
from xbayes.figures.terms import draw_splines, draw_terms
from xbayes.figures.track import draw_track
from xbayes.figures.track_record import Track
from xbayes.figures.weights import draw_weights

__all__ = [
    "FeatureLabel",
    "Track",
    "draw_assignment",
    "draw_confusion",
    "draw_criterion",
    "draw_densities",
    "draw_histograms",
    "draw_interval_widths",
    "draw_members",
    "draw_outliers",
    "draw_precision_recall",
    "draw_reliability",
    "draw_scatter",
    "draw_sky",
    "draw_splines",
    "draw_terms",
    "draw_track",
    "draw_weight_posterior",
    "draw_weights",
]
