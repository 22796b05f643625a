"""Figures of a comparison: differences, precision against recall, reliability of the top label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from xbayes.figures.labels import shortened
from xbayes.figures.precision import frame_precision, precision_recall
from xbayes.figures.reliability import draw_reliability_diagram, reliability
from xbayes.figures.style import (
    CLASS_LINES,
    CLASS_MARKERS,
    CLASS_PALETTE,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    styled,
)

COLUMNS = 4
TITLE_WIDTH = 28  # letters in a line of a panel title


def variant_style(number: int) -> dict[str, Any]:
    """Colour and line style of a variant by its number; colours repeat with other line styles."""
    turn = number // len(CLASS_PALETTE)
    line = CLASS_LINES[(number + turn) % len(CLASS_LINES)]
    return {"color": CLASS_PALETTE[number % len(CLASS_PALETTE)], "linestyle": line}


@styled
def draw_differences(
    names: Sequence[str], reference: str, changes: dict[str, Sequence[dict | None]], focus: str
) -> Figure:
    """Log loss and F1 of each variant minus the reference, with 90 % intervals; filled if real.

    `changes` holds a difference per variant, None for the reference itself.
    """
    height = 1.5 + 0.34 * len(names)
    figure = Figure((WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))
    axes = figure.subplots(1, 2, sharey=True)
    titles = {
        "log_loss": ("log loss", "nats; left is better"),
        "f1": (f"F1 of {focus}", "by the rule; right is better"),
    }
    for panel, (score, (title, unit)) in zip(axes, titles.items(), strict=True):
        panel.axvline(0.0, color=MUTED, linewidth=0.9)
        reach = _reach(changes[score])
        panel.set_xlim(-reach, reach)
        for row, change in enumerate(changes[score]):
            _interval(panel, row, change, reach)
        panel.set_title(title, fontweight="bold")
        panel.set_xlabel(f"difference to {shortened(reference, 40)} ({unit})")
        panel.grid(axis="x", color=FAINT, linewidth=0.4)
    axes[0].set_yticks(range(len(names)), [shortened(name, 44) for name in names])
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def _reach(changes: Sequence[dict | None]) -> float:
    """Half the width of the axis; differences far beyond the usual ones get an arrow."""
    known = [c for c in changes if c is not None and c["value"] is not None]
    ends = np.array([max(abs(c["lo"]), abs(c["hi"])) for c in known])
    if not known or not ends.max() > 0:
        return 1.0
    usual = 2.5 * float(np.median(ends))
    return 1.08 * (float(ends.max()) if usual == 0 else min(float(ends.max()), usual))


def _interval(axes: Axes, row: int, change: dict | None, reach: float) -> None:
    if change is None or change["value"] is None:
        text = "reference" if change is None else "rule not known"
        axes.annotate(
            text, (0, row), (6, 0), textcoords="offset points", va="center", color=MUTED, fontsize=8
        )
        return
    if abs(change["value"]) > reach:
        side = np.sign(change["value"])
        text = f"{change['value']:+.3f} →" if side > 0 else f"← {change['value']:+.3f}"
        place = {"ha": "right" if side > 0 else "left", "va": "center", "fontsize": 8.5}
        axes.text(0.98 * side * reach, row, text, color=INK, **place)
        return
    real = change["lo"] > 0 or change["hi"] < 0
    axes.plot([change["lo"], change["hi"]], [row, row], color=INK, linewidth=1.4)
    face = INK if real else "white"
    axes.plot(change["value"], row, "o", color=INK, markerfacecolor=face, markersize=6)


@styled
def draw_compared_precision(
    posteriors: dict[str, Float[np.ndarray, "N C"]],
    truth: Int[np.ndarray, "N"],
    predictions: dict[str, Int[np.ndarray, "N"]],
    classes: Sequence[str],
) -> Figure:
    """Precision against recall, a panel per class and a curve per variant; points: F1 rule."""
    n_columns = min(2, len(classes))
    n_rows = -(-len(classes) // n_columns)
    legend = 0.24 * (-(-len(posteriors) // 2)) + 0.3
    size = (WIDTH, legend + 4.0 * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for c, name in enumerate(classes):
        panel, hit = axes.flat[c], truth == c
        frame_precision(panel)
        for v, (variant, posterior) in enumerate(posteriors.items()):
            precision, recall = precision_recall(posterior[:, c], hit)
            style = variant_style(v)
            label = shortened(variant, 60)
            panel.step(recall, precision, where="post", linewidth=1.5, label=label, **style)
            _point(panel, hit, predictions[variant] == c, v, style["color"])
        panel.set_title(shortened(name, 20), fontweight="bold")
        panel.set_title(f"{hit.sum():,} sources", loc="right", fontsize=8.5, color=MUTED)
        panel.set_xlabel("recall")
        panel.set_ylabel("precision")
    for panel in axes.flat[len(classes) :]:
        panel.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=3.5)
    return figure


def _point(axes: Axes, hit: np.ndarray, chosen: np.ndarray, number: int, colour: str) -> None:
    if not hit.any() or not chosen.any():
        return
    axes.plot(
        (hit & chosen).sum() / hit.sum(),
        (hit & chosen).sum() / chosen.sum(),
        marker=CLASS_MARKERS[number % len(CLASS_MARKERS)],
        color=colour,
        markersize=7,
        markeredgecolor=INK,
        markeredgewidth=0.8,
        linestyle="none",
        clip_on=False,
        zorder=5,
        label="_",
    )


@styled
def draw_compared_reliability(
    posteriors: dict[str, Float[np.ndarray, "N C"]], truth: Int[np.ndarray, "N"]
) -> Figure:
    """Fraction of correct top labels against their probability, with a panel per variant."""
    n_columns = min(COLUMNS, len(posteriors))
    n_rows = -(-len(posteriors) // n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), 0.7 + 2.9 * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for v, (name, posterior) in enumerate(posteriors.items()):
        panel = axes.flat[v]
        bins = reliability(posterior.max(1), posterior.argmax(1) == truth)
        draw_reliability_diagram(bins, panel, colour=variant_style(v)["color"])
        panel.tick_params(labelbottom=True)
        panel.set(xlabel="", ylabel="")
        panel.set_title(_two_lines(name), fontsize=8.5)
        if v % n_columns == 0:
            panel.set_ylabel("fraction correct")
        if v + n_columns >= len(posteriors):
            panel.set_xlabel("probability of the top class")
    for panel in axes.flat[len(posteriors) :]:
        panel.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if n_columns > 2 else 1)
    return figure


def _two_lines(name: str) -> str:
    """The name, on two lines if it is long."""
    if len(name) <= TITLE_WIDTH:
        return shortened(name, TITLE_WIDTH)
    cut = max(name.rfind(mark, 0, TITLE_WIDTH) for mark in "_[,-") + 1 or TITLE_WIDTH
    cut = cut if cut > TITLE_WIDTH // 3 else TITLE_WIDTH
    return f"{shortened(name[:cut], TITLE_WIDTH + 1)}\n{shortened(name[cut:], TITLE_WIDTH)}"
