"""The class densities of each feature, as numbers for plots.

They are the curves of the report: of the classifier fitted on all labelled sources, per unit of the
feature on its scale, without the errors of a source. Those of a joint density are its marginals.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import densities_of_classes
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError
from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.types import Features

TAIL = 0.001  # of the mean density over classes, at either end, that a plot leaves out
MARGIN = 0.1  # of the range, at both ends
FEW = 2  # points


class FeatureDensity(NamedTuple):
    """The densities of one feature in C classes, at P values."""

    label: FeatureLabel  # name, category, description, unit and scale
    axis: str  # text of the axis of `x`
    classes: tuple[str, ...]
    x: Float[np.ndarray, "P"]  # on the scale
    value: Float[np.ndarray, "P"]  # the same without the scale, in the unit
    density: Float[np.ndarray, "C P"]  # per unit of x
    # P(not detected | class); None where it is no evidence, or not known.
    not_detected: Float[np.ndarray, "C"] | None


def feature_densities(
    model: FittedModel, names: Sequence[str] | None = None, points: int = 200
) -> list[FeatureDensity]:
    """The class densities of features over the range in which they are not negligible.

    Parameters
    ----------
    names
        Names of features; None: all.
    points
        P, the number of values of each feature.

    Raises
    ------
    InputError
        If there is no such feature, or fewer than two points are asked for.
    """
    config, recipe = model.config, model.recipe
    if points < FEW:
        raise InputError(f"a curve needs at least {FEW} points; found {points}")
    for name in names or ():
        if name not in config.features:
            near = did_you_mean(name, list(config.features), "it has")
            raise InputError(f"the run has no feature {name!r}{near}")
    with jax.enable_x64(config.precision == "float64"):
        node, of_subclass = recipe.density.curves(model.classifier.density)
        rates = _not_detected(model)
    height = densities_of_classes(recipe, model.classifier, np.asarray(of_subclass, np.float64))
    found = []
    for f, (name, feature) in enumerate(config.features.items()):
        if names is not None and name not in names:
            continue
        x, density = _curve(np.asarray(node[f], np.float64), height[f], points)
        label = FeatureLabel(
            name, feature.category, feature.description, feature.unit, feature.scale
        )
        found.append(
            FeatureDensity(
                label=label,
                axis=axis_label(label),
                classes=model.classes,
                x=x,
                value=unscaled(x, feature.scale),
                density=density,
                not_detected=rates.get(name),
            )
        )
    if names is None:
        return found
    by_name = {each.label.name: each for each in found}
    return [by_name[name] for name in names]


def unscaled(x: Float[np.ndarray, "..."], scale: str) -> Float[np.ndarray, "..."]:
    """Values in the unit of the feature, from values on its scale."""
    if scale == "log10":
        return 10.0**x
    return x / (1 - np.abs(x)) if scale == "squash" else x


def _curve(
    node: Float[np.ndarray, "B"], height: Float[np.ndarray, "B C"], points: int
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "C P"]]:
    """The densities between the tails, at evenly spaced values."""
    mean = height.mean(1)
    mass = np.concatenate([[0.0], np.cumsum(0.5 * (mean[1:] + mean[:-1]) * np.diff(node))])
    low, high = float(node[0]), float(node[-1])
    if mass[-1] > 0:
        low, high = np.interp([TAIL, 1 - TAIL], mass / mass[-1], node)
        margin = MARGIN * (high - low)
        low, high = max(low - margin, float(node[0])), min(high + margin, float(node[-1]))
    x = np.linspace(low, high, points)
    # The curves are exponentials between nodes.
    logged = np.log(np.maximum(height, 1e-300))
    return x, np.exp(np.stack([np.interp(x, node, curve) for curve in logged.T]))


def _not_detected(model: FittedModel) -> dict[str, Float[np.ndarray, "C"]]:
    """P(not detected | class) of each feature of which it is evidence."""
    weight, names = model.config.model.missing_weight, model.recipe.names.features
    if not isinstance(weight, float | int) or weight <= 0:
        return {}
    alone = np.eye(len(names), dtype=bool)  # row f: feature f is not detected, all else unknown
    zero = np.zeros(alone.shape)
    features = Features(
        value=zero,
        measured=np.zeros_like(alone),
        available=alone,
        weight=zero + 1,
        error=zero,
    )
    log_lik = model.recipe.density.log_lik(model.classifier.density, features)
    of_subclass = np.exp(np.asarray(log_lik, np.float64)[alone] / weight)  # [F, T]
    rates = densities_of_classes(model.recipe, model.classifier, of_subclass)
    told = _evidence(model) & (np.abs(np.log(of_subclass)).max(1) > 0)
    return {name: rates[f] for f, name in enumerate(names) if told[f]}


def _evidence(model: FittedModel) -> Bool[np.ndarray, "F"]:
    stated = [feature.missing == "evidence" for feature in model.config.features.values()]
    return np.array(stated) & np.asarray(model.classifier.states.not_detected)
