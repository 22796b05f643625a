"""What the map of the sky and the scatter plot draw, as JSON."""

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.api_routes import arrays, json_bytes
from xbayes.app.compute import computing
from xbayes.app.selected import Selected, selected
from xbayes.app.selection_query import FREE, Scatter, Sky
from xbayes.catalog.query import ColumnInfo
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.tasks.column_densities import column_density
from xbayes.tasks.scatter_plot import (
    BINS,
    MOST_SOURCES,
    Axis,
    Range,
    Spread,
    default_axes,
    few_on_axes,
    finished_axes,
    scatter_layers,
    spread_of,
)
from xbayes.tasks.sky_map import Window, graticule, sky_layers

router = APIRouter(prefix="/api", tags=["plots"])
Arrays = dict[str, list[Any]]
Make = Callable[[Selected], dict[str, object]]


class SkyAnswer(BaseModel):
    """A window of the map: each source, or HEALPix cells (nested, ICRS) with their counts."""

    counts: dict[str, int] = Field(description="sources in the window by predicted class")
    order: int | None = Field(description="HEALPix order of the cells; null if sources are listed")
    cell_degrees: float | None = Field(description="side of a cell")
    sources: Arrays = Field(description="columns id, x, y, class, p")
    cells: Arrays = Field(
        description="columns cell, x, y (mean position) and n: a list for each class"
    )
    sample: bool = Field(description="the sources are a random sample of those in the window")
    lines: list[dict[str, Any]] = Field(description="graticule: x, y, label, at")


class AxisAnswer(BaseModel):
    """An axis as drawn."""

    column: str
    unit: str
    description: str
    log: bool
    range: list[float]
    density: dict[str, Any] | None = Field(description="class densities of the model along it")


class ScatterAnswer(BaseModel):
    """Each source on two axes, or counts in bins."""

    x: AxisAnswer
    y: AxisAnswer
    counts: dict[str, int] = Field(description="sources within the axes by predicted class")
    without: int = Field(description="selected sources without a value on one of the axes")
    sources: Arrays = Field(description="columns id, x, y, class, p, colour")
    bins: Arrays = Field(description="columns class, i, j, n, colour; i from left, j from below")
    shape: list[int] = Field(description="number of bins along x and y")
    colour: str


@router.get("/sky", description=f"A map of the sky. {FREE}", response_model=SkyAnswer)
def sky(request: Request, query: Sky) -> Response:
    """A window of the map of the selected sources."""
    found = selected(request)
    _refuse_infinite(query.x0, query.x1, query.y0, query.y1)
    window = Window(query.frame, x=(query.x0, query.x1), y=(query.y0, query.y1))
    return _answer(found, "sky", (window,), lambda whole: _sky(whole, window))


@router.get(
    "/scatter", description=f"A scatter plot of two columns. {FREE}", response_model=ScatterAnswer
)
def scatter(request: Request, query: Scatter) -> Response:
    """The selected sources on two axes."""
    found = selected(request)
    first, second = first_axes(found)
    x = Axis(query.x or first, query.xlog, _window(query.x0, query.x1))
    y = Axis(query.y or second, query.ylog, _window(query.y0, query.y1))
    colour = query.colour
    return _answer(found, "scatter", (x, y, colour), lambda whole: _scatter(whole, x, y, colour))


def first_axes(found: Selected) -> tuple[str, str]:
    """The columns that the scatter plot begins with."""
    return default_axes(found.run.catalogue, needed_columns(found.run.fitted.config))


def _answer(found: Selected, name: str, asked: tuple[object, ...], make: Make) -> Response:
    whole = found._replace(selection=found.selection.unordered())
    content = found.kept((name, whole.selection, asked), lambda: json_bytes(make(whole.known())))
    return Response(content, media_type="application/json")


def _sky(whole: Selected, window: Window) -> dict[str, object]:
    few = _are_few(whole)
    layers = sky_layers(whole.selection, whole.run.catalogue, window, few=few)
    return {
        "counts": layers.counts,
        "order": layers.order,
        "cell_degrees": layers.cell_degrees,
        "sources": arrays(layers.sources),
        "cells": _cells(layers.cells, len(whole.run.catalogue.classes)),
        "sample": layers.is_sample,
        "lines": [line._asdict() for line in graticule(window)],
    }


def _are_few(whole: Selected) -> bool:
    return whole.selection.rows is not None or whole.total() <= MOST_SOURCES


def _cells(cells: pa.Table, n_classes: int) -> dict[str, object]:
    columns = arrays(cells)
    number = [columns.pop(f"n_{c}", []) for c in range(n_classes)]
    return {**columns, "n": number}


def _scatter(whole: Selected, x: Axis, y: Axis, colour: str) -> dict[str, object]:
    catalogue = whole.run.catalogue

    def spread(column: str, log: bool | None) -> Spread | None:
        return whole.kept(("spread", column, log), lambda: spread_of(column, catalogue, log))

    if _are_few(whole):
        layers = few_on_axes(whole.selection, catalogue, (x, y), colour=colour, spread=spread)
    else:
        x, y = finished_axes(whole.selection, catalogue, x, y, spread=spread)
        layers = scatter_layers(whole.selection, catalogue, x, y, colour=colour)
    infos = whole.column_infos()
    return {
        "x": _axis(layers.x, infos[x.column], whole),
        "y": _axis(layers.y, infos[y.column], whole),
        "counts": layers.counts,
        "without": layers.n_without,
        "sources": arrays(layers.sources),
        "bins": arrays(layers.bins),
        "shape": BINS,
        "colour": colour,
    }


def _axis(axis: Axis, info: ColumnInfo, whole: Selected) -> dict[str, object]:
    return {
        "column": axis.column,
        "unit": info.unit,
        "description": info.description,
        "log": axis.log,
        "range": axis.window,
        "density": _density(axis, whole),
    }


def _density(axis: Axis, whole: Selected) -> dict[str, object] | None:
    """The class densities of the feature that is this column, if one is."""
    run, log = whole.run, bool(axis.log)
    with computing(run):
        found = whole.kept(
            ("density", axis.column, log),
            lambda: column_density(run.fitted.model, axis.column, log=log),
        )
    if found is None:
        return None
    return {
        "feature": found.feature,
        "at": found.value.tolist(),
        "height": dict(zip(found.classes, found.density.tolist(), strict=True)),
    }


def _window(low: float | None, high: float | None) -> Range | None:
    if low is None or high is None:
        return None
    _refuse_infinite(low, high)
    return (low, high)


def _refuse_infinite(*ends: float) -> None:
    if not all(map(math.isfinite, ends)):
        raise InputError("the ends of a window must be finite numbers")
