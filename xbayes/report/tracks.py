"""Which sources to explain, and their probability tracks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from xbayes.classifier import Classifier, Products, Recipe, explain
from xbayes.config import Config, given_log_prior
from xbayes.report.track import MISSING, NOT_SURVEYED, Track
from xbayes.types import Features


def most_certain(products: Products, c: int, n: int) -> Int[np.ndarray, "M"]:
    """The rows given class c with the highest probability of it, at most n, the surest first."""
    rows = np.flatnonzero(products.prediction == c)
    return rows[np.argsort(-products.posterior[rows, c], kind="stable")][:n]


def strangest(products: Products, n: int) -> Int[np.ndarray, "M"]:
    """The rows of smallest `outlier_p`, at most n; of equal ones the largest `outlier` first."""
    return np.lexsort((-products.outlier, products.outlier_p))[:n]


def tracks_of(
    config: Config,
    recipe: Recipe,
    classifier: Classifier,
    names: Sequence[str],
    features: Features,
    products: Products,
) -> list[Track]:
    """The probability tracks of a few sources; `features` and `products` hold theirs, no others."""
    properties = recipe.properties
    explained = explain(recipe, classifier, features, given_log_prior(config))
    return [
        Track(
            name=str(name),
            classes=properties.classes,
            categories=properties.categories,
            category=properties.category,
            properties=properties.features,
            values=_value_texts(config, features, n),
            contribution=explained.contribution[n],
            offset=explained.offset[n],
            log_prior=explained.log_prior,
            category_posterior=products.track[n],
            posterior=products.posterior[n],
            prediction=int(products.prediction[n]),
            outlier_p=float(products.outlier_p[n]),
            alternative=properties.classes[products.alternative[n]]
            if products.alternative[n] >= 0
            else "",
        )
        for n, name in enumerate(names)
    ]


def _value_texts(config: Config, features: Features, row: int) -> list[str]:
    """Values of one row in the units of the expression, or why there is none."""
    texts = []
    for f, feature in enumerate(config.features.values()):
        if not features.surveyed[row, f]:
            texts.append(NOT_SURVEYED)
        elif not features.observed[row, f]:
            texts.append(MISSING)
        else:
            value = features.value[row, f]
            if feature.scale == "log10":
                value = 10.0**value
            elif feature.scale == "squash":
                value = value / (1 - abs(value))
            texts.append(f"{value:.4g} {feature.unit}".strip())
    return texts
