"""The content of the HTML report: plain records that hold no run and no configuration."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.style import DPI, figure_of, png_bytes
from xbayes.report.brief_track import BriefTrack
from xbayes.report.interactive import Points


class ReportFigure(NamedTuple):
    """A figure and its caption, which is also the alternative text of the image."""

    caption: str
    png: bytes
    width: float  # inches on the page at which the text of the figure is readable
    drawn: Figure | None = None  # for other formats


def rendered(caption: str, drawn: Figure | Axes, dpi: int = DPI) -> ReportFigure:
    """The figure as a PNG, for the page and for the folder of figures."""
    figure = figure_of(drawn)
    png = png_bytes(drawn, dpi)
    return ReportFigure(caption=caption, png=png, width=figure.get_figwidth(), drawn=figure)


class HtmlCell(NamedTuple):
    """A cell of a table, with the address it links to."""

    text: str
    link: str = ""


class HtmlTable(NamedTuple):
    """A table of text; one with a title can be opened and closed."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[HtmlCell]]
    note: str = ""
    opened: bool = False


class Section(NamedTuple):
    """A section of the report with its figures, tables and probability tracks."""

    anchor: str  # of the table of contents: letters, digits and hyphens
    title: str
    text: str
    figures: Mapping[str, ReportFigure]  # by the name of the file
    live: str = ""  # 'sky' or 'scatter': the interactive figure that replaces it on a screen
    tracks: Sequence[BriefTrack] = ()
    tables: Sequence[HtmlTable] = ()


class Penalty(NamedTuple):
    """The penalty that one fit chose, and the penalties it compared."""

    fit: str
    chosen: float
    tried: Sequence[float] = ()
    loss: Sequence[float] = ()  # out-of-fold log loss on the inner folds; NaN if not computed
    f1_weight: float | None = None  # lambda of `objective: f1`


class FeatureRow(NamedTuple):
    """The number of sources of the catalogue in each state of a feature."""

    label: FeatureLabel
    measured: int
    not_detected: int
    not_available: int
    undefined: int  # the expression has no value there, such as the logarithm of a negative number


class ReportContext(NamedTuple):
    """Everything that the report shows; `metrics` is the content of `metrics.json`."""

    name: str
    classes: Sequence[str]
    labelled: Mapping[str, int]  # sources of each class
    n_sources: int  # rows of the catalogue
    metrics: Mapping
    warnings: Sequence[str]
    sections: Sequence[Section]
    penalties: Sequence[Penalty]  # empty if the weights are given
    features: Sequence[FeatureRow]
    provenance: Mapping
    command: str  # that repeats the run
    subclasses: Mapping[str, Mapping[str, int]] = {}  # sources of each subclass, by class
    points: Points | None = None  # of the interactive figures; None if no section has one
    reweighted: bool = True  # the config gives the class proportions that are expected
    split: str = "random"  # validation.split


KNOWN_SECTIONS = {
    "population": (
        "Sources without a label",
        "The {n} sources whose class was unknown, by class. Predicted: number of sources given "
        "this class. Sum of probabilities: the number expected from the posteriors, under the "
        "prior of this run. Corrected count: what the held-out confusion of the classes makes of "
        "the predicted numbers, with its 90 % interval; it holds if the sources of a class are "
        "like its labelled sources. xbayes counts gives both corrections and compares them.",
    ),
    "candidates": (
        "Candidates",
        "Lists of sources without a label. Most certain: the largest probability of the class. "
        "Most ambiguous: the largest entropy of the posterior. Strangest: the smallest outlier "
        "p-value. The file candidates.csv has up to {n} sources of each list. The links search at "
        "the position of the source and need a network.",
    ),
    "confusion": (
        "Confusion",
        "True and predicted classes of the held-out sources; rows are true classes, columns "
        "predicted classes. Left: percentages of each true class; the diagonal is the recall. "
        "Right: percentages of each predicted class; the diagonal is the precision.",
    ),
    "precision": (
        "Precision and recall",
        "Precision (purity) and recall (completeness) of the sample of each class for all "
        "probability thresholds, from held-out sources. The marked point is the decision of this "
        "run. The decision gives each source exactly one class, so the point need not lie on the "
        "curve. Decision rule: {rule}.",
    ),
    "reliability": (
        "Reliability",
        "If the probabilities are calibrated, about 70 % of the sources with a probability near "
        "70 % belong to the class. Points: observed shares of the held-out sources, with 90 % "
        "intervals. Grey steps: the range of 90 % of the shares that a calibrated model shows with "
        "the same number of sources. Below: number of sources in each bin of probability; a sharp "
        "classifier has most of them at the two ends.",
    ),
    "sky": (
        "Sky",
        "All sources of the catalogue with a position, by predicted class, in galactic "
        "coordinates. The galactic centre is in the middle; longitude increases to the left.",
    ),
    "clusters": (
        "Clusters",
        "The mixture components fitted to the training sources of all classes together: the "
        "classes of their members, and where the members lie. A source belongs to each cluster "
        "with a probability; the panels show it in the most probable cluster.",
    ),
    "weights": (
        "Weights",
        "The weight of each feature in the classifier fitted on all labelled sources. If each "
        "class reads only its own likelihoods, with weight 1, the classifier is naive Bayes. A "
        "feature with weight 0 is ignored.",
    ),
    "terms": (
        "Terms",
        "Terms that are added to the weighted densities: smooth curves, or tables from boosted "
        "trees, of single features and of pairs. The term of a pair contains only the "
        "interaction, without the terms of its two features. Vertical axes and colours: "
        "contribution to the class score in nats, before calibration, times the share of "
        "the terms in the log-odds. Each map shows the class on which the pair has the largest "
        "effect: brown lowers the score of this class, violet raises it.",
    ),
    "posterior": (
        "Posterior",
        "The uncertainty due to the finite number of labelled sources. The weights are sampled "
        "from their posterior, with class densities that are sampled too. Each posterior sample "
        "gives the class probabilities of every source; the catalogue contains their mean and "
        "their 90 % interval.",
    ),
    "densities": (
        "Densities",
        "The distribution of each feature in each class, in the classifier fitted on all labelled "
        "sources. Filled: histogram of the training values. Every curve has unit area, however "
        "rare its class.",
    ),
    "histograms": (
        "Feature histograms",
        "The measured values of the labelled sources: the share of each class in each bin. The "
        "numbers above a panel are the percentages of each class without a measured value, either "
        "not detected or not available.",
    ),
    "scatter": (
        "Two features",
        "All sources of the catalogue for which both features were measured, by predicted class.",
    ),
    "outliers": (
        "Outliers",
        "The outlier p-value (outlier_p) of the held-out sources, by predicted class: the share of "
        "held-out sources of that class with at least the same outlier score. For ordinary "
        "sources it is uniform, so 5 % of them lie at or below 0.05. An excess on the left means "
        "sources that resemble no known source of their class.",
    ),
    "tracks": (
        "Most certain {focus}",
        "How each source got its class: the class probabilities from each category alone, and the "
        "contribution of each feature to the log-odds of the predicted class against the "
        "runner-up, for {which}. First the most certain {focus} in full, then the {n} most certain "
        "with the feature of strongest evidence in each category. Click on a line to open its "
        "track. The classifier was fitted on all labelled sources.",
    ),
    "top-outliers": (
        "Strongest outliers",
        "The {n} sources with the smallest outlier p-values, among {which}. They are the least "
        "similar to the class they were given: they may belong to no class of the training sample, "
        "or have wrong measurements. With model.novelty: joint, the value that fits least with the "
        "others is named.",
    ),
}


def known_section(
    anchor: str,
    figures: Mapping[str, ReportFigure],
    live: str = "",
    tracks: Sequence[BriefTrack] = (),
    tables: Sequence[HtmlTable] = (),
    **named: object,
) -> Section:
    """A section of `KNOWN_SECTIONS`; `named` are the values of the braces in its text."""
    title, text = (part.format(**named) for part in KNOWN_SECTIONS[anchor])
    return Section(
        anchor=anchor,
        title=title,
        text=text,
        figures=figures,
        live=live,
        tracks=tracks,
        tables=tables,
    )
