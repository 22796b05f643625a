"""The grid of configs that the `sweep` of a config describes."""

import copy
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from xbayes.config.checks import Problem

MOST_POINTS = 500
# Keys that all variants share: they are compared on the same sources and folds.
SHARED = (
    *("name", "seed", "sweep", "f1_class", "catalog", "taxonomy"),
    *("validation.folds", "validation.repeats", "validation.bootstrap"),
)


class Point(NamedTuple):
    """One point of the grid."""

    label: str  # such as weights=property,calibration=none
    value: dict[str, Any]  # by dotted key
    index: dict[str, int]  # index of the value in the list of its key


def grid(sweep: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination of the values, the last key varying fastest; one point without a sweep."""
    short = _short_names(list(sweep))
    points = []
    for indices in product(*(range(len(values)) for values in sweep.values())):
        index = dict(zip(sweep, indices, strict=True))
        value = {key: sweep[key][i] for key, i in index.items()}
        label = ",".join(f"{short[key]}={_as_text(one)}" for key, one in value.items())
        points.append(Point(label=label, value=value, index=index))
    return points


def with_values(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """The values of a config, with those of the point put in and the sweep removed."""
    changed = copy.deepcopy({key: value for key, value in values.items() if key != "sweep"})
    for key, value in point.value.items():
        *above, last = key.split(".")
        section = changed
        for part in above:
            inner = section.get(part)
            section[part] = section = inner if isinstance(inner, dict) else {}
        section[last] = copy.deepcopy(value)
    return changed


def sweep_problems(sweep: Mapping[str, Sequence[Any]]) -> list[Problem]:
    """Problems of the keys and lists of a sweep; the reader checks the values, point by point."""
    problems = []
    for key, values in sweep.items():
        shared = next((s for s in SHARED if key == s or key.startswith(f"{s}.")), None)
        if shared is not None:
            text = f"variants must share {shared}, else they cannot be compared; remove it"
            problems.append(Problem(("sweep", key), text))
        elif not all(key.split(".")):
            problems.append(Problem(("sweep", key), "must be a dotted key, such as model.weights"))
        if not values:
            problems.append(Problem(("sweep", key), "needs at least one value; found none"))
        texts = [_as_text(value) for value in values]
        problems += [
            Problem(("sweep", key, i), f"lists {text} twice; list each value once")
            for i, text in enumerate(texts)
            if text in texts[:i]
        ]
    n_points = prod(map(len, sweep.values()))
    if n_points > MOST_POINTS:
        text = f"has {n_points:,} combinations; at most {MOST_POINTS} are allowed"
        problems.append(Problem(("sweep",), text))
    return problems


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key; the whole key if two keys share that part."""
    last = [key.split(".")[-1] for key in keys]
    return {key: end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)}


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_as_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_as_text, value)) + "]"
    return str(value)
