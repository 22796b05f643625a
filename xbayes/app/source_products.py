"""The spectra and light curves of a source, for its page."""

from collections.abc import Mapping
from typing import NamedTuple

from xbayes.app.source_page import plain
from xbayes.errors import InputError
from xbayes.tasks.product_plots import ProductPlot, Series, product_plots


class Products(NamedTuple):
    """The products of a source, or why there are none."""

    plots: list[ProductPlot]
    problem: str = ""


def products_of(template: str, row: Mapping[str, object]) -> Products:
    """The products that the template finds for a row of the catalogue."""
    if not template:
        return Products(plots=[], problem="this site has no folder of spectra and light curves")
    try:
        plots = product_plots(template, {name: plain(value) for name, value in row.items()})
    except InputError as error:
        return Products(plots=[], problem=str(error))
    return Products(plots=plots)


def for_plot(series: Series) -> dict[str, object]:
    """The series as the script of the page draws it."""
    return {
        "x": series.x,
        "width": series.half_width,
        "y": series.y,
        "high": series.error,
        "low": series.error,
        "x_text": series.x_text,
        "y_text": series.y_text,
        "log_x": series.logarithmic,
        "log_y": series.logarithmic,
    }
