"""What an experiment found: the record that the run directory and the report are made of."""

from pathlib import Path
from typing import Any, NamedTuple

from astropy.table import Table

from xbayes.classifier.fit import FitReport
from xbayes.classifier.predict import Classifier, Products
from xbayes.classifier.recipe import Recipe
from xbayes.config.schema import Config
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.features.build import FeatureReport
from xbayes.types import Features, Labels


class Results(NamedTuple):
    """Everything an experiment found, before it is written."""

    config: Config
    catalog: Path
    table: Table
    features: Features
    feature_report: FeatureReport
    labels: Labels
    warnings: tuple[str, ...]
    recipe: Recipe
    classifier: Classifier
    fit: FitReport
    held_out: CrossValidation
    products: Products
    metrics: dict
    seconds: float
    posterior: Any = None  # InferenceData, where a Bayesian variant ran
