"""The figure of the probability track of one source: the evidence for its class.

The figure is laid out as a ledger. Each category is a band over the whole width: on the left the
class probabilities from that category alone, on the right the contribution of the category to the
log-odds of the predicted class against the runner-up, and below it those of its features. The
sums, the prior and the offset add up to the total at the top.
"""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from xbayes.figures.labels import shortened
from xbayes.figures.style import (
    BAND,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    class_colours,
    class_markers,
    lighter,
    readable_on,
    styled,
)
from xbayes.figures.track_record import (
    Track,
    factor_text,
    factor_tick,
    facts_text,
    is_absent,
    ln_odds,
    on_two_lines,
    percent_text,
    runner_up,
    unlike_text,
)

ROW, GAP = 0.232, 0.11  # inches per line, and above and below the lines of a band
HEAD = 0.32  # inches of the first line of a band, which shows its probabilities
ABOVE, BELOW = 1.36, 0.74  # inches for the title and a legend of one line, for the axes
LEGEND_COLUMNS = 5
NAMES_AT, BARS = 0.22, (1.5, 4.45)  # inches from the left: category names, stacked bars
FEATURES, ODDS = (4.78, 7.45), (7.62, WIDTH - 0.2)  # names and values, evidence bars
CHARACTERS = 43  # of name and value that fit side by side
CAPTION = 140  # characters of a line below the title


class _Line(NamedTuple):
    """One line of the ledger."""

    text: str
    evidence: float  # ln odds of the predicted class against the runner-up
    is_sum: bool = False
    value: str = ""
    share_below: np.ndarray | None = None  # [C], share of each class below the value
    y: float = 0.0  # inches from the top of the ledger

    @property
    def weight(self) -> str:
        return "bold" if self.is_sum else "normal"


class _Band(NamedTuple):
    """The lines of one category, next to the probabilities from that category alone."""

    name: str
    top: float
    bottom: float
    posterior: np.ndarray
    lines: list[_Line]


@styled
def draw_track(track: Track) -> Figure:
    """The probability track of one source as a figure whose height follows its features."""
    against = runner_up(track)
    bands = _bands(track, against)
    height = bands[-1].bottom
    legend_lines = -(-len(track.classes) // LEGEND_COLUMNS)
    more = 0.19 * (legend_lines - 1 + len(_unlike_lines(track)))
    figure = Figure((WIDTH, ABOVE + more + height + BELOW))
    page = _axes(figure, (0.0, WIDTH), height)
    page.set_xlim(0, WIDTH)
    page.axis("off")
    shares, odds = _axes(figure, BARS, height), _axes(figure, ODDS, height)
    for i, band in enumerate(bands):
        _draw_names(page, band, shaded=i % 2 == 1)
        _stacked_bar(shares, band, track.classes, thick=i == 0)
        _strips(shares, band, track)
    _share_axis(shares)
    _evidence(odds, bands, track, against)
    _heading(figure, page, track, against)
    return figure


def _bands(track: Track, against: int) -> list[_Band]:
    def evidence(score):
        score = np.asarray(score, float)
        return score[..., track.prediction] - score[..., against]

    added = evidence(track.contribution)  # [F]
    total = -float(ln_odds(track).total[against])
    lines = [_Line("total", total, is_sum=True)]
    bands = [_band("all together", 0.0, track.posterior, lines)]
    for g, name in enumerate(track.categories):
        members = [f for f in range(len(added)) if track.category[f] == g]
        lines = [_Line("sum", float(added[members].sum()), is_sum=True)]
        # Features without a value come last, the others by their support.
        members.sort(key=lambda f: (not added[f] and is_absent(track.value_texts[f]), -added[f]))
        lines += [
            _Line(
                text=track.features[f],
                evidence=float(added[f]),
                value=track.value_texts[f],
                share_below=track.share_below[f],
            )
            for f in members
        ]
        bands.append(_band(name, bands[-1].bottom, track.category_posterior[g], lines))
    share = np.exp(track.log_prior - np.max(track.log_prior))
    lines = [_Line("prior", float(evidence(track.log_prior)), is_sum=True)]
    if np.any(track.offset):
        lines.append(_Line("offset, learned", float(evidence(track.offset))))
    if track.subclass_term is not None and track.subclasses:
        lines.append(_Line("subclasses told apart", float(evidence(track.subclass_term))))
    return [*bands, _band("prior", bands[-1].bottom, share / share.sum(), lines)]


def _band(name: str, top: float, posterior: np.ndarray, lines: list[_Line]) -> _Band:
    """A band whose lines are placed below `top`."""
    below_head = top + GAP + HEAD - ROW / 2
    at = [_head(top), *(below_head + ROW * np.arange(1, len(lines)))]
    return _Band(
        name=name,
        top=top,
        bottom=below_head + ROW * (len(lines) - 0.5) + GAP,
        posterior=np.asarray(posterior, float),
        lines=[line._replace(y=float(y)) for y, line in zip(at, lines, strict=True)],
    )


def _head(top: float) -> float:
    return top + GAP + HEAD / 2


def _axes(figure: Figure, span: tuple[float, float], bottom: float) -> Axes:
    """Axes over `span` inches, whose y axis is in inches from the top of the ledger."""
    width, height = figure.get_size_inches()
    place = (span[0] / width, BELOW / height, (span[1] - span[0]) / width, bottom / height)
    axes = figure.add_axes(place)
    axes.patch.set_alpha(0)
    axes.set_ylim(bottom, 0)
    axes.set_yticks([])
    axes.spines[["left", "top", "right"]].set_visible(False)
    return axes


def _draw_names(page: Axes, band: _Band, shaded: bool) -> None:
    if shaded:
        look = {"color": BAND, "linewidth": 0, "zorder": 0}
        page.add_patch(Rectangle((0, band.top), WIDTH, band.bottom - band.top, **look))
    look = {"va": "center", "fontsize": 10.5, "fontweight": "bold", "linespacing": 0.95}
    page.text(NAMES_AT, _head(band.top), on_two_lines(band.name), **look)
    for line in band.lines:
        value = shortened(line.value, CHARACTERS // 2)
        absent = is_absent(line.value)
        name = shortened(line.text, CHARACTERS - 2 - len(value))
        style = {"va": "center", "fontsize": 8.7}
        colour = MUTED if absent else INK
        page.text(FEATURES[0], line.y, name, fontweight=line.weight, color=colour, **style)
        style |= {"fontstyle": "italic" if absent else "normal"}
        page.text(FEATURES[1], line.y, value, ha="right", color=MUTED, **style)


def _stacked_bar(axes: Axes, band: _Band, classes: Sequence[str], thick: bool) -> None:
    middle, height = _head(band.top), 0.33 if thick else 0.25
    left = 0.0
    for name, share in zip(classes, band.posterior, strict=True):
        colour = class_colours(classes)[name]
        look = {"color": colour, "edgecolor": "white", "linewidth": 0.7}
        axes.barh(middle, share, height, left, zorder=3, **look)
        letters = {"color": readable_on(colour), "fontweight": "bold" if thick else "normal"}
        place = {"ha": "center", "va": "center", "zorder": 4}
        text = _share_text(name, share)
        axes.text(left + share / 2, middle, text, fontsize=8.3, **letters, **place)
        left += share


def _share_text(name: str, share: float) -> str:
    """The longest text that fits into a segment of a stacked bar."""
    room = share * (BARS[1] - BARS[0]) / 0.082  # characters
    percent = percent_text(share, 0)
    for text in (f"{name} {percent}", percent, name):
        if len(text) + 0.6 <= room:
            return text
    return ""


def _strips(axes: Axes, band: _Band, track: Track) -> None:
    """A line from 0 to 100 % for each value, with marks at the share of each class below it."""
    colours, markers = class_colours(track.classes), class_markers(track.classes)
    for line in band.lines:
        if line.share_below is None or np.isnan(line.share_below).all():
            continue
        axes.plot([0, 1], [line.y, line.y], color=FAINT, linewidth=0.9, zorder=2)
        for c, name in enumerate(track.classes):
            look = {"color": colours[name], "markeredgecolor": "white", "markeredgewidth": 0.6}
            # Marks of the predicted class cover the others.
            look |= {"zorder": 6 if c == track.prediction else 5, "clip_on": False}
            axes.plot([line.share_below[c]], [line.y], markers[name], markersize=5.6, **look)


def _share_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel(
        "bars: class probability from each category alone\n"
        "marks: share of each class with a smaller value"
    )
    axes.tick_params(axis="x", length=3)


def _evidence(axes: Axes, bands: list[_Band], track: Track, against: int) -> None:
    lines = [line for band in bands for line in band.lines]
    amounts = np.array([line.evidence for line in lines])
    span = max(float(np.ptp([*amounts, 0.0])), 0.5)
    # Room for the factor at the end of the longest bars.
    low, high = min(float(amounts.min()), 0.0), max(float(amounts.max()), 0.0)
    left, right = (0.21 if end else 0.04 for end in (low, high))
    axes.set_xlim(low - left * span, high + right * span)
    colours = class_colours(track.classes)
    for line in lines:
        towards = track.classes[track.prediction if line.evidence >= 0 else against]
        _evidence_bar(axes, line, colours[towards], 0.012 * span)
    axes.axvline(0.0, color=INK, linewidth=0.9, zorder=4)
    names = [shortened(track.classes[c], 14) for c in (track.prediction, against)]
    axes.set_xlabel(f"ln odds of {names[0]} against {names[1]}")
    axes.tick_params(axis="x", length=3)
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    _factor_axis(axes)


def _evidence_bar(axes: Axes, line: _Line, colour: str, gap: float) -> None:
    is_sum, absent = line.is_sum, is_absent(line.value)
    if absent and line.evidence == 0:
        return
    look = {"facecolor": colour if is_sum else lighter(colour), "edgecolor": "none"}
    if absent:
        look = {"facecolor": "white", "edgecolor": colour, "hatch": "/////", "linewidth": 0.7}
    axes.barh(line.y, line.evidence, 0.165 if is_sum else 0.135, zorder=3, **look)
    right = line.evidence >= 0
    axes.text(
        line.evidence + (gap if right else -gap),
        line.y,
        factor_text(line.evidence),
        ha="left" if right else "right",
        va="center",
        fontsize=8,
        zorder=5,
        fontweight=line.weight,
        color=INK if is_sum else MUTED,
    )


def _factor_axis(axes: Axes) -> None:
    """Draw the axis of the factors on the odds along the top."""
    low, high = axes.get_xlim()
    decades = np.log(10)
    if high - low < 2.0 * decades:
        factors = np.log([0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
    else:
        step = max(1, int(np.ceil((high - low) / decades / 5)))
        reach = int(max(-low, high) / decades // step)
        factors = decades * step * np.arange(-reach, reach + 1)
    at = [x for x in factors if low <= x <= high]
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(at, [factor_tick(x) for x in at])
    upper.tick_params(length=3, labelsize=8, pad=2)
    upper.set_xlabel("factor on the odds", fontsize=8.7, labelpad=4)
    upper.spines["top"].set_color(MUTED)


def _heading(figure: Figure, page: Axes, track: Track, against: int) -> None:
    """Draw name and class, the facts, the legend, and the title of the evidence."""
    colours = class_colours(track.classes)
    predicted = track.classes[track.prediction]
    probability = percent_text(track.posterior[track.prediction], 1)
    top = -(figure.get_figheight() - BELOW - page.get_ylim()[0])
    page.text(NAMES_AT, top + 0.42, shortened(track.name, 44), fontsize=16, fontweight="bold")
    text = f"{shortened(predicted, 18)}  {probability}"
    letters = {"fontsize": 16, "fontweight": "bold", "color": readable_on(colours[predicted])}
    box = {"boxstyle": "round,pad=0.32", "facecolor": colours[predicted], "linewidth": 0}
    page.text(WIDTH - 0.25, top + 0.42, text, ha="right", bbox=box, **letters)
    for k, line in enumerate([facts_text(track, against), *_unlike_lines(track)]):
        page.text(NAMES_AT, top + 0.7 + 0.19 * k, line, fontsize=9.5, color=MUTED)
    names = [shortened(track.classes[c], 14) for c in (track.prediction, against)]
    text = f"Evidence for {names[0]} against {names[1]}"
    page.text(FEATURES[0], -0.17, text, fontsize=10.5, fontweight="bold")
    _legend(page, track.classes)


def _unlike_lines(track: Track) -> list[str]:
    return textwrap.wrap(unlike_text(track), CAPTION)


def _legend(page: Axes, classes: Sequence[str]) -> None:
    """Draw colour and marker of each class above the bars."""
    colours, markers = class_colours(classes), class_markers(classes)
    look = {"linestyle": "none", "markersize": 5.6, "markeredgewidth": 0}
    handles = [
        (
            Rectangle((0, 0), 1, 1, color=colours[name]),
            Line2D([], [], color=colours[name], marker=markers[name], **look),
        )
        for name in classes
    ]
    page.legend(
        handles,
        [shortened(name, 12) for name in classes],
        ncols=min(len(handles), LEGEND_COLUMNS),
        loc="lower left",
        bbox_to_anchor=(NAMES_AT, -0.16),
        bbox_transform=page.transData,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.0,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
        handleheight=0.9,
        columnspacing=1.2,
        handletextpad=0.5,
    )
