"""The class densities of a feature that is one column of the catalogue, along a plot's axis."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.classifier.fitted_model import FittedModel
from xbayes.config.schema import Config
from xbayes.tasks.feature_densities import FEW, feature_densities


class ColumnDensity(NamedTuple):
    """The densities of C classes at P values of a column."""

    feature: str
    classes: tuple[str, ...]
    value: Float[np.ndarray, "P"]  # of the column, in its unit
    density: Float[np.ndarray, "C P"]  # per unit of the axis: of the value, or of its log10


def feature_of_column(config: Config, column: str) -> str | None:
    """The feature that is the column itself, or its log10; None if there is none."""
    forms = (column, f"log10({column})")
    return next((n for n, f in config.features.items() if f.expression.strip() in forms), None)


def column_density(model: FittedModel, column: str, *, log: bool) -> ColumnDensity | None:
    """The class densities along an axis; None if no feature is the column.

    Parameters
    ----------
    model
        The fitted model.
    column
        The column of the axis.
    log
        Whether the axis is logarithmic.
    """
    name = feature_of_column(model.config, column)
    if name is None:
        return None
    (found,) = feature_densities(model, [name])
    is_logged = re.match(r"\s*log10\(", model.config.features[name].expression) is not None
    value = 10.0**found.value if is_logged else found.value
    if log and not (value > 0).all():
        kept = value > 0
        found = found._replace(x=found.x[kept], density=found.density[:, kept])
        value = value[kept]
    along = np.log10(value) if log else value
    if len(value) < FEW:
        return None
    density = found.density * np.abs(np.gradient(found.x, along))
    return ColumnDensity(feature=name, classes=found.classes, value=value, density=density)
