"""The data of the interactive figures, as JSON inside the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.projection import LONGITUDES, mollweide
from xbayes.figures.ranges import robust_range, with_margin
from xbayes.figures.style import class_colours, class_markers

MARGIN = 0.04  # of an axis
MOST_POINTS = 20_000
MOST_VALUES = 600_000  # feature values in the page, about 4 MB
SYMBOLS = {
    **{"o": "circle", "^": "triangle-up", "s": "square", "D": "diamond", "v": "triangle-down"},
    **{"P": "cross", "X": "x", "<": "triangle-left", "*": "star", ">": "triangle-right"},
}


class Points(NamedTuple):
    """The sources of the interactive figures: all, or a random subsample of a large catalogue."""

    names: Sequence[str]
    classes: Sequence[str]
    prediction: Int[np.ndarray, "N"]
    probability: Float[np.ndarray, "N"]  # of the predicted class
    outlier_p: Float[np.ndarray, "N"]
    galactic: Float[np.ndarray, "N 2"] | None  # l, b in degrees; NaN without a position
    value: Float[np.ndarray, "N F"]  # scaled; NaN where not measured
    labels: Sequence[FeatureLabel]
    first: tuple[int, int]  # the features shown first
    n_sources: int  # of the catalogue


def shown_rows(n_sources: int, n_features: int, seed: int) -> Int[np.ndarray, "M"]:
    """The rows that the interactive figures show: at most as many as a page can hold."""
    most = min(MOST_POINTS, MOST_VALUES // max(n_features, 1))
    if n_sources <= most:
        return np.arange(n_sources)
    return np.sort(np.random.default_rng(seed).choice(n_sources, most, replace=False))


def as_json(points: Points) -> str:
    """The points as JSON that is safe inside a script element."""
    record: dict[str, Any] = {
        "names": list(points.names),
        "classes": list(points.classes),
        "colours": list(class_colours(points.classes).values()),
        "symbols": [SYMBOLS[marker] for marker in class_markers(points.classes).values()],
        "prediction": points.prediction.tolist(),
        "probability": _rounded(points.probability, 4),
        "outlier_p": _rounded(points.outlier_p, 2),
        "value": [_rounded(column, 4) for column in points.value.T],
        "range": [with_margin(*robust_range(column), MARGIN) for column in points.value.T],
        "axes": [axis_label(label) for label in points.labels],
        "first": list(points.first),
        "sky": None if points.galactic is None else _sky(points.galactic),
    }
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    # '</script>' would end the script element, and '<!--' change how it is read.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _sky(galactic: Float[np.ndarray, "N 2"]) -> Mapping[str, Any]:
    l_deg, b_deg = galactic.T
    x, y = mollweide(l_deg, b_deg)
    parallels = [_line(np.linspace(-180, 180, 91), b) for b in (-60, -30, 0, 30, 60)]
    meridians = [_line(at, np.linspace(-90, 90, 61)) for at in range(-180, 181, 30)]
    marks = np.array(LONGITUDES, float)
    at = mollweide(marks, np.zeros(len(marks)))
    return {
        "x": _rounded(x, 5),
        "y": _rounded(y, 5),
        "l": _rounded(l_deg % 360, 6),
        "b": _rounded(b_deg, 5),
        "grid": [*parallels, *meridians],
        "marks": {
            "x": _rounded(at[0], 5),
            "y": _rounded(at[1], 5),
            "text": [f"{degrees % 360}°" for degrees in LONGITUDES],
        },
    }


def _line(l_deg, b_deg) -> list[list[float | None]]:
    l_deg, b_deg = np.broadcast_arrays(np.asarray(l_deg, float), np.asarray(b_deg, float))
    return [_rounded(axis, 5) for axis in mollweide(l_deg, b_deg)]


def _rounded(values: np.ndarray, digits: int) -> list[float | None]:
    """Values with `digits` significant digits; None for values that are not finite."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in values.tolist()]
