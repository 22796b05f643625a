"""The sources whose probability tracks are shown, and the content of these tracks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.explain import explain
from xbayes.classifier.predict import Classifier, Products
from xbayes.classifier.recipe import Recipe
from xbayes.config.schema import Config, focus_class
from xbayes.figures.labels import value_text
from xbayes.figures.track_record import NOT_AVAILABLE, NOT_DETECTED, Track
from xbayes.output.novelty_text import novelty_texts
from xbayes.output.results import Results
from xbayes.types import Features

MOST_PAIRS = 5  # terms of two features in a track


def focus_of(results: Results) -> int:
    """The class that the config focuses on, or the rarest class."""
    classes, name = results.recipe.names.classes, focus_class(results.config)
    truth = results.labels.class_index[results.held_out.rows]
    counts = np.bincount(truth, minlength=len(classes))
    return classes.index(name) if name else int(counts.argmin())


def most_certain(products: Products, c: int, n: int) -> Int[np.ndarray, "M"]:
    """The rows predicted to be of class c, the n most probable first."""
    rows = np.flatnonzero(products.prediction == c)
    return rows[np.argsort(-products.posterior[rows, c], kind="stable")][:n]


def strongest_outliers(products: Products, n: int) -> Int[np.ndarray, "M"]:
    """The n rows with the smallest outlier p-value; the larger outlier score breaks ties."""
    return np.lexsort((-products.outlier, products.outlier_p))[:n]


def tracks_of(
    config: Config,
    recipe: Recipe,
    classifier: Classifier,
    ids: Sequence[str],
    features: Features,
    products: Products,
    *,
    log_prior: Float[np.ndarray, "*R C"] | None,
) -> list[Track]:
    """The probability tracks of a few sources.

    Parameters
    ----------
    ids, features, products
        Names, features and products of these sources only.
    log_prior
        The prior of their classification; None for the class proportions of the training sample.
    """
    names = recipe.names
    explained = explain(recipe, classifier, features, log_prior)
    value = _values(config, features)
    unit = [feature.unit for feature in config.features.values()]
    why = novelty_texts(config.features, products) or [""] * len(ids)
    return [
        Track(
            name=str(name),
            classes=names.classes,
            categories=names.categories,
            category=names.category,
            features=names.features,
            value_texts=_value_texts(features, n, value[n], config),
            contribution=explained.contribution[n],
            offset=explained.offset[n] - explained.subclass_term[n],
            log_prior=explained.log_prior[n],
            category_posterior=products.track[n],
            posterior=products.posterior[n],
            prediction=int(products.prediction[n]),
            outlier_p=float(products.outlier_p[n]),
            alternative=names.classes[products.alternative[n]]
            if products.alternative[n] >= 0
            else "",
            outlier=float(products.outlier[n]),
            value=value[n],
            unit=unit,
            share_below=explained.share_below[n],
            subclass_term=explained.subclass_term[n],
            subclasses=names.subclasses,
            responsibility=explained.responsibility[n],
            subclass_of=names.subclass_of,
            novelty_why=why[n],
            groups=[
                (group, float(products.posterior[n, list(members)].sum()))
                for group, members in names.groups
            ],
            **_largest_pairs(explained.pairs[n], classifier, names.features),
        )
        for n, name in enumerate(ids)
    ]


def _largest_pairs(
    term: Float[np.ndarray, "P C"], classifier: Classifier, names: Sequence[str]
) -> dict[str, Any]:
    """The terms of two features with the largest effect on the scores of this source."""
    if not len(term):
        return {}
    assert classifier.terms is not None  # or there were no pairs
    spread = term.max(1) - term.min(1)
    order = np.argsort(-spread, kind="stable")[:MOST_PAIRS]
    order = order[spread[order] > 0]
    pair = np.asarray(classifier.terms.pair)[order]
    return {"pairs": [pair_name(names, p) for p in pair], "pair_contribution": term[order]}


def pair_name(names: Sequence[str], pair: Sequence[int] | Int[np.ndarray, "2"]) -> str:
    """The names of two features with a multiplication sign between them."""
    return f"{names[pair[0]]} × {names[pair[1]]}"


def _values(config: Config, features: Features) -> Float[np.ndarray, "N F"]:
    """Values in the units of their expressions, without the scale; NaN if not measured."""
    value = np.where(features.measured, features.value, np.nan).astype(np.float64)
    for f, feature in enumerate(config.features.values()):
        if feature.scale == "log10":
            value[:, f] = 10.0 ** value[:, f]
        elif feature.scale == "squash":
            value[:, f] /= 1 - np.abs(value[:, f])
    return value


def _value_texts(
    features: Features, row: int, value: Float[np.ndarray, "F"], config: Config
) -> list[str]:
    """The values of one row with their units, or the states of values that were not measured."""
    texts = []
    for f, feature in enumerate(config.features.values()):
        if features.measured[row, f]:
            texts.append(value_text(float(value[f]), feature.unit))
        elif features.available[row, f]:
            texts.append(NOT_DETECTED)
        else:
            texts.append(NOT_AVAILABLE)
    return texts
