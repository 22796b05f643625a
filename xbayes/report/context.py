"""What the HTML report is made of: plain records, filled by whoever ran the experiment."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.style import DPI, png_bytes
from xbayes.report.interactive import Points


class ReportFigure(NamedTuple):
    """A figure and the sentence below it, which also stands in for it where it is not seen."""

    caption: str
    png: bytes
    width: float  # inches on the page, so that its letters are readable
    fold: str = ""  # if not empty, the figure is folded away below this line


def rendered(caption: str, figure: Figure, fold: str = "", dpi: int = DPI) -> ReportFigure:
    """Draw the figure once, for the page and for its file."""
    return ReportFigure(caption, png_bytes(figure, dpi), figure.get_figwidth(), fold)


class Section(NamedTuple):
    """A section of figures; the report shows them in the order given."""

    anchor: str  # of the table of contents: letters, digits and hyphens
    title: str
    text: str
    figures: Sequence[ReportFigure]
    live: str = ""  # 'sky' or 'scatter': the interactive figure that a screen shows instead


class Penalty(NamedTuple):
    """What one outer fold, or the fit on all, chose among the penalties it tried."""

    fold: str
    chosen: float
    tried: Sequence[float] = ()
    loss: Sequence[float] = ()  # held out on the inner folds, of each tried; NaN if not computed


class FeatureRow(NamedTuple):
    """How often a property was there; the counts are of all sources of the catalogue."""

    label: FeatureLabel
    measured: int
    not_detected: int
    not_available: int
    non_positive: int  # of these, those whose logarithm was asked for


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
    features: Sequence[FeatureRow]
    provenance: Mapping
    command: str  # that regenerates the run
    subclasses: Mapping[str, Mapping[str, int]] = {}  # sources of each subclass, by class
    points: Points | None = None  # of the interactive figures; None if no section has one


KNOWN_SECTIONS = {
    "confusion": (
        "Confusion",
        "Which class is taken for which, held out. Left: where the sources of each true class go. "
        "Right: what the sources given each class truly are. Rows are the truth in both.",
    ),
    "precision": (
        "Precision and recall",
        "What a sample of each class would be like if all held-out sources above some probability "
        "were taken: how many of the class it finds, and how pure it is. The marked point is the "
        "decision of this run, which gives each source one class and so need not lie on the curve.",
    ),
    "reliability": (
        "Reliability",
        "Of the sources given a probability near 70 %, about 70 % should be of that class. Points "
        "are what held-out sources show, with 90 % intervals; the grey steps hold 90 % of what a "
        "calibrated model would show with as many sources, labels drawn from its probabilities. "
        "Below: how many sources got such a probability; a sharp classifier has them at both ends.",
    ),
    "sky": (
        "Sky",
        "All sources of the catalogue that have a position, by predicted class, in galactic "
        "coordinates: the galactic centre in the middle, longitude growing to the left.",
    ),
    "clusters": (
        "Clusters",
        "The groups that all training sources fall into whatever their class, how the classes "
        "share them, and where their sources lie. Each source belongs to each cluster with a "
        "probability; the panels show it in the most probable one.",
    ),
    "weights": (
        "Weights",
        "How strongly the classifier, fitted on all labelled sources, lets each property speak. "
        "At weight 1 on its own class everywhere it would be the plain naive Bayes; 0 is silence.",
    ),
    "terms": (
        "Terms",
        "What smooth curves add to the weighted densities, or boosted trees as tables: of single "
        "properties, and of pairs beyond what each of the two tells alone. Scores of classes in "
        "nats, with the share of these terms in the log-odds, before calibration. Each "
        "map is of the class that its pair moves most: brown lowers its score, violet raises it.",
    ),
    "posterior": (
        "Posterior",
        "What the labels leave open. Weights are drawn from their posterior, given class densities "
        "that are drawn too; each draw gives every source its probabilities, whose mean and 90 % "
        "interval the catalogue holds.",
    ),
    "densities": (
        "Densities",
        "How the sources of each class spread over each property, as the classifier fitted on all "
        "labelled sources has learned it. Filled: histogram of the training values. "
        "Every curve has unit area, however rare its class.",
    ),
    "histograms": (
        "Property histograms",
        "The values themselves: of the labelled sources of each class that have one, the share in "
        "each bin. The numbers above a panel say which share of a class has no value, missing or "
        "not available.",
    ),
    "scatter": (
        "Two properties",
        "All sources of the catalogue that have both values, by predicted class.",
    ),
    "outliers": (
        "Outliers",
        "How strange the held-out sources are for the class they were given: outlier_p is the "
        "share of held-out sources of that class at least as strange. Among ordinary sources it is "
        "flat, so that 5 % lie below 0.05; sources unlike any of their class would pile up on "
        "the left.",
    ),
    "tracks": (
        "Most certain {focus}",
        "Why a source got its class: what each category alone would say, and what each property "
        "adds to the log-odds of the predicted class against the runner-up. First the source most "
        "certainly {focus} in full, by the classifier fitted on all labelled sources; below it the "
        "{n} most certain, each with the property that says most in each category. A click "
        "unfolds a track.",
    ),
    "strange": (
        "Strangest sources",
        "The {n} sources of the catalogue with the smallest outlier_p: least like the class they "
        "were given, so perhaps of no class known here, or of wrong measurements.",
    ),
}


def known_section(
    anchor: str, figures: Sequence[ReportFigure], live: str = "", **named: object
) -> Section:
    """A section with the title and text of `KNOWN_SECTIONS`, what is in braces filled in."""
    title, text = (part.format(**named) for part in KNOWN_SECTIONS[anchor])
    return Section(anchor, title, text, figures, live)
