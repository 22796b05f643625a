"""The results of an experiment, from which the run directory and the report are written."""

from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

from astropy.table import Table

from xbayes.catalog.inputs import Origin
from xbayes.classifier.fit import FitReport
from xbayes.classifier.patterns import Patterns
from xbayes.classifier.predict import Classifier, Products
from xbayes.classifier.recipe import Recipe
from xbayes.config.schema import Config
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.features.build import FeatureReport
from xbayes.types import Features, Labels

if TYPE_CHECKING:
    import arviz


class Metrics(TypedDict):
    """The content of `metrics.json`; the blocks of scores are those of `evaluate.scores.score`."""

    classes: list[str]
    in_sample: dict  # scores of the classifier that was fitted on these rows
    cross_validated: dict  # out-of-fold scores
    prior_weighted: dict  # out-of-fold scores under `proportions`
    groups: NotRequired[dict]  # out-of-fold scores of the groups and of the classes in no group
    aggregated: NotRequired[dict]  # out-of-fold scores of the aggregated classes
    well_characterised: NotRequired[dict]  # out-of-fold scores of the well-characterised sources
    proportions: dict[str, float]  # of the classes on the sky
    decision: dict  # the rule, its threshold and the scores expected of it
    penalty: list[float]  # chosen in each outer fold; empty if the weights are given
    calibration: list[dict]  # chosen in each outer fold
    outlier: dict  # rates of false alarms
    splines: NotRequired[list[dict]]  # gain of the smooth curves in each outer fold
    terms: NotRequired[list[dict]]  # gain of the boosted terms in each outer fold
    harder: NotRequired[dict]  # scores on harder folds: `evaluate.harder_split.harder_block`
    crowd: NotRequired[dict]  # agreement of the votes with the classifier, out of fold
    posterior: NotRequired[dict]  # diagnostics of the chains


class Results(NamedTuple):
    """The results of an experiment, before they are written."""

    config: Config
    """The config, after overrides."""
    origin: Origin
    """The file that the table was read from, or the checksum of a table in memory."""
    table: Table
    """The N rows of the catalogue."""
    features: Features
    """The F features of the N rows, scaled."""
    feature_report: FeatureReport
    """Counts of the states of the values of each feature."""
    labels: Labels
    """Known classes and groups of the N rows."""
    warnings: tuple[str, ...]
    """Warnings about the catalogue and the chains, for the report."""
    recipe: Recipe
    """The model to fit and how to fit it."""
    classifier: Classifier
    """The classifier, fitted on all labelled rows."""
    patterns: Patterns
    """The classifiers for rows in which groups of features are absent."""
    fit: FitReport
    """The choices made when the classifier was fitted."""
    held_out: CrossValidation
    """Out-of-fold products of the labelled rows."""
    products: Products
    """Products of all N rows from `classifier`."""
    metrics: Metrics
    """The scores, as in `metrics.json`."""
    seconds: float
    """Wall time of the experiment."""
    posterior: "arviz.InferenceData | None" = None
    """Posterior samples, if the config asks for them."""
