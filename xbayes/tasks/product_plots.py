"""Spectra and light curves of a detection as series of points with errors, for plots and tables."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from xbayes.errors import InputError
from xbayes.tasks.given_catalogue import Cell
from xbayes.tasks.products import Product, find_products, light_curve_of, spectrum_of

BINS = 60  # of a light curve
MOST_PRODUCTS = 24


class Series(NamedTuple):
    """Points with errors; `half_width` is that of the bins."""

    x: list[float]
    half_width: list[float]
    y: list[float]
    error: list[float]
    x_text: str
    y_text: str
    logarithmic: bool  # on both axes
    note: str


class ProductPlot(NamedTuple):
    """A product with its content, or why it cannot be shown."""

    product: Product
    series: Series | None
    problem: str = ""


def product_plots(template: str, values: Mapping[str, Cell]) -> list[ProductPlot]:
    """The spectra and light curves that the template finds for a detection.

    Raises
    ------
    InputError
        As `find_products`.
    """
    shown = [p for p in find_products(template, values) if p.kind in ("spectrum", "light curve")]
    return [_plot(product) for product in shown[:MOST_PRODUCTS]]


def _plot(product: Product) -> ProductPlot:
    if product.is_remote:
        return ProductPlot(product=product, series=None)
    try:
        series = _spectrum(product) if product.kind == "spectrum" else _light_curve(product)
    except InputError as error:
        return ProductPlot(product=product, series=None, problem=str(error))
    return ProductPlot(product=product, series=series)


def _spectrum(product: Product) -> Series:
    found = spectrum_of(product)
    kept = np.isfinite(found.rate) & (found.low > 0)
    note = "background subtracted" if found.has_background else "background not subtracted"
    return Series(
        x=(0.5 * (found.low + found.high))[kept].tolist(),
        half_width=(0.5 * (found.high - found.low))[kept].tolist(),
        y=found.rate[kept].tolist(),
        error=found.error[kept].tolist(),
        x_text=f"energy [{found.unit}]" if found.unit == "keV" else "channel",
        y_text=f"rate [{found.rate_unit}]",
        logarithmic=True,
        note=f"{found.exposure / 1000:.1f} ks, {note}",
    )


def _light_curve(product: Product) -> Series:
    found = light_curve_of(product, bins=BINS)
    kept = np.isfinite(found.rate)
    start = f"MJD {found.start:.4f} ({found.time_system})" if np.isfinite(found.start) else "start"
    return Series(
        x=found.time[kept].tolist(),
        half_width=found.half_width[kept].tolist(),
        y=found.rate[kept].tolist(),
        error=found.error[kept].tolist(),
        x_text=f"time since {start} [s]",
        y_text=f"rate [{found.unit}]",
        logarithmic=False,
        note="",
    )
