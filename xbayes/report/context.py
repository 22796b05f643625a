"""What the HTML report is made of: plain records, filled by whoever ran the experiment."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from xbayes.report.labels import PropertyLabel


class ReportFigure(NamedTuple):
    """A figure and the sentence below it, which also stands in for it where it is not seen."""

    caption: str
    figure: Figure


class Section(NamedTuple):
    """A section of figures; the report shows them in the order given."""

    anchor: str  # of the table of contents: letters, digits and hyphens
    title: str
    text: str
    figures: Sequence[ReportFigure]


class Penalty(NamedTuple):
    """What one outer fold, or the fit on all, chose among the penalties it tried."""

    fold: str
    chosen: float
    tried: Sequence[float] = ()
    loss: Sequence[float] = ()  # held out on the inner folds, of each tried; NaN if not computed


class PropertyCounts(NamedTuple):
    """How often a property was there; the counts are of all sources of the catalogue."""

    label: PropertyLabel
    observed: int
    missing: int  # looked for, not found
    not_surveyed: int
    non_positive: int  # of the missing, those whose logarithm was asked for


class ReportContext(NamedTuple):
    """All that the report says; `metrics` is the content of `metrics.json`."""

    name: str
    classes: Sequence[str]
    labelled: Mapping[str, int]  # sources of each class
    n_sources: int  # rows of the catalogue
    metrics: Mapping
    warnings: Sequence[str]
    sections: Sequence[Section]
    penalties: Sequence[Penalty]
    properties: Sequence[PropertyCounts]
    provenance: Mapping
    command: str  # that regenerates the run


KNOWN_SECTIONS = {
    "confusion": (
        "Confusion",
        "Which class is taken for which, held out. Left: where the sources of each true class go. "
        "Right: what the sources given each class truly are. Rows are the truth in both.",
    ),
    "reliability": (
        "Reliability",
        "Of the sources given a probability near 70 %, about 70 % should be of that class. Points "
        "are what held-out sources show, with 90 % intervals; the grey steps hold 90 % of what a "
        "calibrated model would show with as many sources. Below: how many sources got such a "
        "probability.",
    ),
    "weights": (
        "Weights",
        "How strongly the classifier, fitted on all labelled sources, lets each property speak. "
        "At weight 1 on its own class everywhere it would be the plain naive Bayes; 0 is silence.",
    ),
    "densities": (
        "Densities",
        "How the sources of each class spread over each property, as the classifier fitted on all "
        "labelled sources has learned it. Filled: histogram of the training values. "
        "Every curve has unit area, however rare its class.",
    ),
}


def known_section(anchor: str, figures: Sequence[ReportFigure]) -> Section:
    """A section with the title and text of `KNOWN_SECTIONS`."""
    title, text = KNOWN_SECTIONS[anchor]
    return Section(anchor, title, text, figures)
