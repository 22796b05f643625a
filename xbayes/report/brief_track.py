"""The probability track of one source in brief: a table that the browser draws."""

from typing import NamedTuple

import numpy as np

from xbayes.figures.style import class_colours, class_markers, readable_on
from xbayes.figures.track_record import (
    Track,
    factor_text,
    facts_text,
    is_absent,
    ln_odds,
    percent_text,
    runner_up,
    unlike_text,
)

# The markers of the figures as characters.
SYMBOLS = dict(zip("o^sDvPX<*>", "●▲■◆▼✚✖◀★▶", strict=True))
SHORTEST = 0.5  # ln odds from the left to the right end of the longest bars, at least
FACTOR_ROOM = 0.2  # of these, room for the factor beside a bar
WIDE, NARROW = (
    0.17,
    0.115,
)  # share of a bar that has room for class and percent, or for percent only


class Segment(NamedTuple):
    """A class in a bar of probabilities, or its mark on a line from 0 to 100 %."""

    share: float
    colour: str
    ink: str
    text: str
    title: str


class BriefLine(NamedTuple):
    """The sum of a category, or one of its features, as a bar of ln odds."""

    name: str
    value: str
    is_sum: bool
    is_absent: bool
    marks: list[Segment]
    left: float  # of the bar, as a share of the cell
    width: float
    towards_left: bool
    colour: str
    factor: str  # on the odds
    exponent: str  # of the factor, if that is a power of ten


class BriefBand(NamedTuple):
    """A category: the probabilities that it alone would give, and its lines."""

    name: str
    segments: list[Segment]
    lines: list[BriefLine]


class BriefTrack(NamedTuple):
    """The probability track of a source, with one feature a category."""

    title: str
    facts: str
    unlike: str  # why it is unlike the training sources; empty if it is not
    predicted: str
    runner_up: str
    zero: float  # where no evidence is, as a share of the cell
    bands: list[BriefBand]


class _Row(NamedTuple):
    name: str
    evidence: float  # ln odds of the predicted class against the runner-up
    is_sum: bool = True
    feature: int | None = None


def brief_track(track: Track, rank: int) -> BriefTrack:
    """The track of a source: the sum of each category, and its feature of strongest evidence."""
    against, bands = runner_up(track), _rows(track)
    evidence = [row.evidence for _, _, rows in bands for row in rows]
    low, high = min(0.0, *evidence), max(0.0, *evidence)
    span = max(high - low, SHORTEST)
    low -= FACTOR_ROOM * span if low < 0 else 0.03 * span
    span = high + (FACTOR_ROOM * span if high > 0 else 0.03 * span) - low
    predicted = track.classes[track.prediction]
    share = percent_text(track.posterior[track.prediction], 1)
    return BriefTrack(
        title=f"{rank}. {track.name}: {predicted} {share}, outlier_p {track.outlier_p:.2g}",
        facts=facts_text(track, against),
        unlike=unlike_text(track),
        predicted=predicted,
        runner_up=track.classes[against],
        zero=-low / span,
        bands=[
            BriefBand(
                name=name.replace("_", " "),
                segments=_segments(track, probability),
                lines=[_line(track, row, low, span) for row in rows],
            )
            for name, probability, rows in bands
        ],
    )


def _rows(track: Track) -> list[tuple[str, np.ndarray, list[_Row]]]:
    """Name, probabilities and evidence of all categories, the total first and the prior last."""
    against, odds = runner_up(track), ln_odds(track)
    of_feature = -odds.feature[:, against]
    bands = [("all together", track.posterior, [_Row("total", -float(odds.total[against]))])]
    for g, category in enumerate(track.categories):
        members = np.flatnonzero(np.asarray(track.category) == g)
        strongest = int(members[np.abs(of_feature[members]).argmax()])
        total = _Row("sum", -float(odds.category[g, against]))
        name, evidence = track.features[strongest], float(of_feature[strongest])
        feature = _Row(name, evidence, is_sum=False, feature=strongest)
        bands.append((category, track.category_posterior[g], [total, feature]))
    share = np.exp(track.log_prior - np.max(track.log_prior))
    rows = [_Row("prior", -float(odds.prior[against]))]
    if np.any(track.offset):
        rows.append(_Row("offset, learned", -float(odds.offset[against]), is_sum=False))
    if track.subclass_term is not None and track.subclasses:
        rows.append(_Row("subclasses", -float(odds.subclass_term[against]), is_sum=False))
    return [*bands, ("prior", share / share.sum(), rows)]


def _segments(track: Track, probability: np.ndarray) -> list[Segment]:
    segments = []
    for name, share in zip(track.classes, probability.tolist(), strict=True):
        percent, colour = percent_text(share, 0), class_colours(track.classes)[name]
        title = f"{name} {percent}"
        text = title if share > WIDE + 0.012 * len(name) else percent if share > NARROW else ""
        segments.append(Segment(share, colour, readable_on(colour), text, title))
    return segments


def _line(track: Track, row: _Row, low: float, span: float) -> BriefLine:
    value = "" if row.feature is None else track.value_texts[row.feature]
    towards = track.prediction if row.evidence >= 0 else runner_up(track)
    factor, _, exponent = factor_text(row.evidence).replace("$", "").partition("^")
    return BriefLine(
        name=row.name,
        value=value,
        is_sum=row.is_sum,
        is_absent=is_absent(value),
        marks=[] if row.feature is None else _marks(track, track.share_below[row.feature]),
        left=(min(row.evidence, 0.0) - low) / span,
        width=abs(row.evidence) / span,
        towards_left=row.evidence < 0,
        colour=class_colours(track.classes)[track.classes[towards]],
        factor=factor,
        exponent=exponent.strip("{}"),
    )


def _marks(track: Track, below: np.ndarray) -> list[Segment]:
    """Where the value sits among the sources of each class; none if it was not measured."""
    colours, markers = class_colours(track.classes), class_markers(track.classes)
    return [
        Segment(
            share,
            colours[name],
            colours[name],
            SYMBOLS[markers[name]],
            f"{100 * share:.0f} % of {name} have a smaller value",
        )
        for name, share in zip(track.classes, below.tolist(), strict=True)
        if np.isfinite(share)
    ]
