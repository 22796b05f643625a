"""The probability track of one source as a table for files, and as text for the terminal."""

from typing import Any

import numpy as np
from astropy.table import Column, Table
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from xbayes.figures.track_record import (
    LnOdds,
    Track,
    groups_text,
    is_absent,
    ln_odds,
    percent_text,
    state_of,
    subclasses_text,
    unlike_text,
)

NUMBER: dict[str, Any] = {"justify": "right", "no_wrap": True}
OUTLIER, STRONG_OUTLIER = 0.05, 0.01  # largest outlier p-values of such sources


def track_table(track: Track) -> Table:
    """A row for the prior, the offset, the subclasses and each feature.

    `ln_odds_<CLASS>` are the terms of ln p(class) / p(predicted class), which sum to the ln odds of
    the posterior; `below_<CLASS>` is the share of the class with a smaller value.
    """
    odds, classes = ln_odds(track), list(track.classes)
    first = {"prior": odds.prior, "offset": odds.offset}
    if track.subclasses:
        first["subclasses"] = odds.subclass_term
    nothing = np.full((len(first), len(classes)), np.nan)
    category = [track.categories[g] for g in track.category]
    table = Table()
    table["category"] = [*["prior"] * len(first), *category]
    table["property"] = [*first, *track.features]
    table["value"] = [*[np.nan] * len(first), *track.value]
    table["unit"] = [*[""] * len(first), *track.unit]
    table["state"] = [*[""] * len(first), *map(state_of, track.value_texts)]
    terms = np.concatenate([np.stack([*first.values()]), odds.feature])
    below = np.concatenate([nothing, track.share_below])
    reference = classes[track.prediction]
    for c, name in enumerate(classes):
        text = f"added to ln p({name}) / p({reference})"
        table[f"ln_odds_{name}"] = Column(terms[:, c], description=text)
    for c, name in enumerate(classes):
        text = f"share of the density of {name} below the value"
        table[f"below_{name}"] = Column(below[:, c], description=text)
    table.meta = {"SOURCE": track.name, "REFCLASS": reference, "CLASSES": ",".join(classes)}
    if track.novelty_why:
        table.meta["UNLIKE"] = track.novelty_why
    return table


def print_track(track: Track, console: Console) -> None:
    """Print the prediction, the terms of the ln odds, and the share of each class below a value.

    The terms and the shares are one table if the console is wide enough, and two otherwise.
    """
    console.print(_heading(track), soft_wrap=True)
    odds = ln_odds(track)
    whole = _ledger(track, odds, shares=True)
    unbounded = console.options.update(max_width=10_000)  # the width without wrapping
    if console.measure(whole, options=unbounded).maximum <= console.width:
        console.print(whole)
    else:
        console.print(_ledger(track, odds, shares=False))
        console.print(_shares(track))
    if track.pairs:
        console.print(_pairs(track))


def _heading(track: Track) -> Text:
    predicted = track.classes[track.prediction]
    shares = zip(track.classes, track.posterior, strict=True)
    alternative = f"{track.alternative} wins if one category is left out"
    if not track.alternative:
        alternative = f"none: {predicted} whichever category is left out"
    lines = [
        ("posterior", "  ".join(f"{name} {percent_text(p, 1)}" for name, p in shares)),
        ("alternative", alternative),
        ("outlier", _outlier_text(track)),
    ]
    if track.groups:
        lines.insert(1, ("groups", groups_text(track, 1)))
    texts = {name: subclasses_text(track, c) for c, name in enumerate(track.classes)}
    subclasses = "  ".join(f"{name}: {text}" for name, text in texts.items() if text)
    if subclasses:
        lines.insert(1, ("subclasses", subclasses))
    if track.novelty_why:
        lines.append(("", unlike_text(track)))
    text = Text.assemble((f"{track.name}: {predicted}", "bold"))
    for name, line in lines:
        text.append(f"\n{name:12}{line}")
    return text


def _outlier_text(track: Track) -> str:
    predicted = track.classes[track.prediction]
    verdict = f"typical of {predicted}"
    if track.outlier_p <= OUTLIER:
        verdict = "strong outlier" if track.outlier_p <= STRONG_OUTLIER else "outlier"
    share = percent_text(track.outlier_p, 1) if track.outlier_p < 1 else "all"
    score = f"{track.outlier:.3g}, outlier_p {track.outlier_p:.2g}"
    return f"{score}: {verdict}; {share} of known {predicted} have at least this score"


def _ledger(track: Track, odds: LnOdds, shares: bool) -> RichTable:
    """The terms of the ln odds and their total, with a column for each class not predicted."""
    predicted = track.classes[track.prediction]
    title = f"ln p(class) / p({predicted}): negative values favour {predicted}"
    if shares:
        title += ". Right: % of each class below the value"
    table = _empty(title)
    others = [c for c in range(len(track.classes)) if c != track.prediction]
    for c in others:
        table.add_column(Text(track.classes[c]), **NUMBER, min_width=6)
    for name in track.classes if shares else ():
        table.add_column(Text(f"% {name}"), **NUMBER)

    def add(
        name: str, value: str, terms: np.ndarray, f: int | None = None, style: str = ""
    ) -> None:
        cells = [f"{terms[c]:+.2f}" for c in others]
        if shares:
            cells += [""] * len(track.classes) if f is None else _percents(track.share_below[f])
        table.add_row(Text(name), Text(value), *cells, style=style)

    add("prior", "", odds.prior)
    add("offset, learned", "", odds.offset)
    if track.subclasses:
        add("subclasses", "", odds.subclass_term)
    for g, category in enumerate(track.categories):
        table.add_section()
        add(category, "", odds.category[g], style="bold")
        for f in np.flatnonzero(np.asarray(track.category) == g).tolist():
            value = track.value_texts[f]
            style = "dim" if is_absent(value) else ""
            add(f"  {track.features[f]}", value, odds.feature[f], f, style)
    table.add_section()
    add("total", "", odds.total, style="bold")
    return table


def _pairs(track: Track) -> RichTable:
    """The terms of pairs of features in ln p(class) / p(predicted class)."""
    assert track.pair_contribution is not None
    against = track.pair_contribution - track.pair_contribution[:, [track.prediction]]
    others = [c for c in range(len(track.classes)) if c != track.prediction]
    table = _empty("largest terms of two features; half of each is in the row of either feature")
    for c in others:
        table.add_column(Text(track.classes[c]), **NUMBER, min_width=6)
    for name, term in zip(track.pairs, against, strict=True):
        table.add_row(Text(name), "", *(f"{term[c]:+.2f}" for c in others))
    return table


def _shares(track: Track) -> RichTable:
    table = _empty("% of each class below the value")
    for name in track.classes:
        table.add_column(Text(name), **NUMBER, min_width=3)
    for f, name in enumerate(track.features):
        if not is_absent(track.value_texts[f]):
            table.add_row(Text(name), Text(track.value_texts[f]), *_percents(track.share_below[f]))
    return table


def _empty(title: str) -> RichTable:
    table = RichTable(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("evidence", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    return table


def _percents(shares: np.ndarray) -> list[str]:
    return ["" if np.isnan(share) else f"{100 * share:.0f}" for share in shares]
