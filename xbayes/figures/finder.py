"""A finder chart drawn from a catalogue, and the flux of a source over missions and years."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import shortened
from xbayes.figures.style import (
    CATEGORY_PALETTE,
    CLASS_MARKERS,
    INK,
    MUTED,
    class_colours,
    class_markers,
    styled,
)

SIDE = 5.6  # inches
CHART_COLUMNS, CURVE_COLUMNS = 4, 5  # of a legend
ROUND = (1.0, 2.0, 5.0)
LOG_FROM = 10.0  # ratio of fluxes above which the axis is logarithmic
DAYS_PER_YEAR = 365.25
MJD_2000 = 51544.5


class Neighbours(NamedTuple):
    """Sources around a position, with offsets from it in arcsec."""

    east: Float[np.ndarray, "N"]
    north: Float[np.ndarray, "N"]
    prediction: Int[np.ndarray, "N"]  # -1: no class


class Counterparts(NamedTuple):
    """Possible counterparts, with offsets in arcsec and the catalogue of each."""

    east: Float[np.ndarray, "K"]
    north: Float[np.ndarray, "K"]
    label: Sequence[str]


class Epochs(NamedTuple):
    """Fluxes of one source in time, all in one band and unit."""

    start: Float[np.ndarray, "N"]  # MJD
    end: Float[np.ndarray, "N"]
    flux: Float[np.ndarray, "N"]
    error_low: Float[np.ndarray, "N"]  # NaN where unknown
    error_high: Float[np.ndarray, "N"]
    is_limit: Bool[np.ndarray, "N"]  # whether `flux` is an upper limit
    mission: Sequence[str]


@styled
def finder(
    neighbours: Neighbours,
    classes: Sequence[str],
    *,
    radius: float,
    error_radius: float | None = None,
    counterparts: Counterparts | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Finder chart: what a catalogue holds around a source, with north up and east to the left.

    Parameters
    ----------
    neighbours
        The other sources of the catalogue.
    classes
        The names of the classes.
    radius
        Half the side of the chart, in arcsec.
    error_radius
        Position error of the source, in arcsec; None: not known.
    counterparts
        Possible counterparts from other catalogues.
    title
        Stands above the chart, such as the name of the source.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"finder needs a radius above 0 arcsec; got {radius}")
    axes = _square() if ax is None else ax
    handles = [_cross(axes, radius)]
    if error_radius is not None and np.isfinite(error_radius) and error_radius > 0:
        axes.add_patch(Circle((0, 0), error_radius, fill=False, color=INK, linewidth=1.1, zorder=4))
        text = f"position error {error_radius:.2g} arcsec"
        handles.append(_entry("o", INK, text, hollow=True))
    handles += _neighbours(axes, neighbours, classes, radius)
    if counterparts is not None:
        handles += _counterparts(axes, counterparts, radius)
    axes.set_xlim(radius, -radius)  # east is to the left on the sky
    axes.set_ylim(-radius, radius)
    axes.set_aspect("equal")
    axes.set_xlabel("offset to the east [arcsec]")
    axes.set_ylabel("offset to the north [arcsec]")
    axes.spines[["top", "right"]].set_visible(True)
    axes.set_title(shortened(title, 48))
    _arrows(axes)
    _scale_bar(axes, radius)
    columns = min(len(handles), CHART_COLUMNS)
    place = {"loc": "upper left", "bbox_to_anchor": (-0.14, -0.12), "ncols": columns}
    axes.legend(handles=handles, **place, columnspacing=1.2, handletextpad=0.3, fontsize=8.5)
    return axes


@styled
def long_term_light_curve(
    epochs: Epochs, unit: str, *, band: str = "", title: str = "", ax: Axes | None = None
) -> Axes:
    """The flux of a source over missions and years; upper limits are arrows that point down.

    Parameters
    ----------
    epochs
        The fluxes. A measurement without a time is not drawn.
    unit
        Unit of the fluxes.
    band
        Their band, such as "0.5-7 keV".
    """
    axes = _wide() if ax is None else ax
    middle = 0.5 * (np.asarray(epochs.start, float) + np.asarray(epochs.end, float))
    year, span = 2000 + (middle - MJD_2000) / DAYS_PER_YEAR, (epochs.end - epochs.start) / 2
    known = np.isfinite(year) & np.isfinite(epochs.flux)
    positive = epochs.flux[known & (epochs.flux > 0)]
    log = len(positive) == known.sum() > 0 and positive.max() > LOG_FROM * positive.min()
    missions, handles = list(dict.fromkeys(epochs.mission)), []
    of_row = np.array(epochs.mission, dtype=str)
    for k, name in enumerate(missions):
        colour = CATEGORY_PALETTE[k % len(CATEGORY_PALETTE)]
        marker = CLASS_MARKERS[k % len(CLASS_MARKERS)]
        own = known & (of_row == name)
        at = own & ~epochs.is_limit
        error = np.stack([epochs.error_low, epochs.error_high])[:, at]
        if log:
            error[0] = np.minimum(error[0], 0.98 * epochs.flux[at])
        axes.errorbar(
            year[at],
            epochs.flux[at],
            yerr=np.where(error > 0, error, 0.0),
            xerr=span[at] / DAYS_PER_YEAR,
            linestyle="none",
            marker=marker,
            color=colour,
            elinewidth=1.0,
            markersize=6,
            zorder=3 + k,
        )
        limit = own & epochs.is_limit
        axes.plot(year[limit], epochs.flux[limit], marker, color=colour, fillstyle="none")
        for x, y in zip(year[limit], epochs.flux[limit], strict=True):
            axes.annotate(
                "",
                xy=(x, y),
                xytext=(0, -20),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": colour, "shrinkA": 0, "shrinkB": 4},
            )
        handles.append(_entry(marker, colour, shortened(name, 18)))
    if (known & epochs.is_limit).any():
        handles.append(_entry("$\\downarrow$", INK, "upper limit (hollow)"))
    if log:
        axes.set_yscale("log")
    axes.margins(0.06, 0.16)
    axes.set_xlabel("year")
    axes.set_ylabel(f"flux{f' {band}' if band else ''} [{unit}]")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if not known.any():
        axes.text(0.5, 0.5, "no flux with a time", transform=axes.transAxes, ha="center")
    axes.set_title(shortened(title, 60))
    if handles:
        place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.16), "ncols": CURVE_COLUMNS}
        axes.legend(handles=handles, **place, handletextpad=0.3, columnspacing=1.2)
    return axes


def _square() -> Axes:
    figure = Figure((SIDE, SIDE + 0.75))
    return figure.add_axes((0.13, 0.225, 0.82, 0.82 * SIDE / (SIDE + 0.75)))


def _wide() -> Axes:
    return Figure((8.0, 4.2)).add_axes((0.1, 0.25, 0.88, 0.67))


def _entry(marker: str, colour: str, label: str, hollow: bool = False) -> Line2D:
    fill = "none" if hollow else "full"
    return Line2D(
        [], [], linestyle="none", marker=marker, color=colour, label=label, fillstyle=fill
    )


def _cross(axes: Axes, radius: float) -> Line2D:
    """A cross that leaves the position itself free."""
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = np.array([0.05, 0.13]) * radius
        axes.plot(x * ends, y * ends, color=INK, linewidth=1.3, solid_capstyle="butt", zorder=6)
    return _entry("+", INK, "the source")


def _neighbours(
    axes: Axes, neighbours: Neighbours, classes: Sequence[str], radius: float
) -> list[Line2D]:
    colours, markers = class_colours(classes), class_markers(classes)
    inside = np.maximum(np.abs(neighbours.east), np.abs(neighbours.north)) <= radius
    handles = []
    for c, name in [*enumerate(classes), (-1, "no class")]:
        own = inside & (neighbours.prediction == c)
        if own.any():
            marker, colour = markers.get(name, "o"), colours.get(name, MUTED)
            axes.plot(
                neighbours.east[own],
                neighbours.north[own],
                marker,
                color=colour,
                markersize=7,
                markeredgecolor="white",
                zorder=3,
            )
            handles.append(_entry(marker, colour, f"{shortened(name, 14)} ({own.sum()})"))
    return handles


def _counterparts(axes: Axes, counterparts: Counterparts, radius: float) -> list[Line2D]:
    """Hollow markers, so that they never hide what lies below."""
    labels, handles = np.array(counterparts.label, dtype=str), []
    inside = np.maximum(np.abs(counterparts.east), np.abs(counterparts.north)) <= radius
    for k, name in enumerate(dict.fromkeys(labels.tolist())):
        own = inside & (labels == name)
        if not own.any():
            continue
        marker = ("D", "s", "^", "o")[k % 4]
        colour = CATEGORY_PALETTE[k % len(CATEGORY_PALETTE)]
        axes.plot(
            counterparts.east[own],
            counterparts.north[own],
            marker,
            color=colour,
            markerfacecolor="none",
            markersize=9,
            markeredgewidth=1.5,
            zorder=5,
        )
        handles.append(_entry(marker, colour, f"counterpart: {shortened(name, 14)}", hollow=True))
    return handles


def _arrows(axes: Axes) -> None:
    """North and east, in the upper right corner."""
    look = {"arrowstyle": "<-", "color": INK, "linewidth": 1.2, "shrinkA": 1, "shrinkB": 0}
    for end, text, ha, va in (
        ((0.95, 0.95), "N", "center", "bottom"),
        ((0.83, 0.83), "E", "right", "center"),
    ):
        axes.annotate(
            text,
            xy=(0.95, 0.83),
            xytext=end,
            xycoords="axes fraction",
            textcoords="axes fraction",
            arrowprops=look,
            ha=ha,
            va=va,
        )


def _scale_bar(axes: Axes, radius: float) -> None:
    """A bar of a round length, about a fourth of the chart."""
    unit, name = (60.0, "arcmin") if radius / 2 >= 60 else (1.0, "arcsec")
    aim = radius / 2 / unit
    decade = 10.0 ** np.floor(np.log10(aim))
    step = max(each * decade for each in ROUND if each * decade <= aim)
    length = step * unit
    left, height = 0.93 * radius, -0.93 * radius
    axes.plot([left, left - length], [height, height], color=INK, linewidth=2.2, zorder=6)
    axes.text(
        left,
        height + 0.025 * radius,
        f"{step:g} {name}",
        fontsize=8.5,
        va="bottom",
        ha="left",
        zorder=6,
    )
