"""The figures of the report, each a function of arrays and names that returns a Figure."""

from xbayes.report.figure_clusters import draw_assignment, draw_criterion, draw_members
from xbayes.report.figure_confusion import draw_confusion
from xbayes.report.figure_densities import draw_densities
from xbayes.report.figure_histograms import draw_histograms
from xbayes.report.figure_outliers import draw_outliers
from xbayes.report.figure_posterior import draw_interval_widths, draw_weight_posterior
from xbayes.report.figure_precision import draw_precision_recall
from xbayes.report.figure_reliability import draw_reliability
from xbayes.report.figure_scatter import draw_scatter
from xbayes.report.figure_sky import draw_sky
from xbayes.report.figure_terms import draw_splines, draw_terms
from xbayes.report.figure_track import draw_track
from xbayes.report.figure_weights import draw_weights
from xbayes.report.labels import PropertyLabel
from xbayes.report.track import Track

__all__ = [
    "PropertyLabel",
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
