"""What each feature tells on average: how much worse known sources are classified without it.

The sources are labelled ones that have the feature. The weights stay as they are, and the sources
were used in training, so the numbers rank the features and are no scores.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.patterns import without
from xbayes.classifier.predict import Products, classify
from xbayes.output.report_data import has_training_rows, load_training_rows
from xbayes.types import Features

MOST_SOURCES = 300  # of a feature: the mean is then known to a few percent


class FeatureValue(NamedTuple):
    """The mean effect of leaving out one feature, in nats per source."""

    name: str
    n_sources: int  # labelled sources that have it; at most MOST_SOURCES
    information: float | None  # mean fall of ln p(true class); None without sources
    entropy: float | None  # mean rise of the entropy of the posterior


def values_of_features(model: FittedModel) -> Iterator[FeatureValue]:
    """The value of each feature, in their order; none for a run without its training sources."""
    if not has_training_rows(model.folder):
        return
    features, labels = load_training_rows(model.folder)
    truth = np.asarray(labels.class_index)
    rng = np.random.default_rng(0)
    for f, name in enumerate(model.recipe.names.features):
        has = np.flatnonzero(np.asarray(features.measured)[:, f] & (truth >= 0))
        rows = np.sort(rng.permutation(has)[:MOST_SOURCES])
        yield _value(model, name, features.rows(rows), truth[rows], f)


def _value(
    model: FittedModel, name: str, features: Features, truth: Int[np.ndarray, "N"], f: int
) -> FeatureValue:
    if not len(truth):
        return FeatureValue(name=name, n_sources=0, information=None, entropy=None)
    left_out = np.arange(len(model.recipe.names.features)) == f
    whole, less = (_products(model, rows) for rows in (features, without(features, left_out)))
    fall = _log_of_truth(whole, truth) - _log_of_truth(less, truth)
    return FeatureValue(
        name=name,
        n_sources=len(truth),
        information=float(fall.mean()),
        entropy=float((less.entropy - whole.entropy).mean()),
    )


def _products(model: FittedModel, features: Features) -> Products:
    return classify(model.recipe, model.classifier, features)


def _log_of_truth(products: Products, truth: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    p = np.asarray(products.posterior, np.float64)[np.arange(len(truth)), truth]
    return np.log(np.maximum(p, 1e-12))
