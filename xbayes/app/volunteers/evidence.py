"""What a volunteer sees of a source before the vote: its data, and nothing of the classifier."""

from functools import lru_cache
from typing import NamedTuple

from xbayes.app import source_page
from xbayes.app.finder_chart import finder_svg
from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.words import Translate, feature_words
from xbayes.catalog.light_curves import FluxPoint
from xbayes.catalog.query import VIEW
from xbayes.figures.track_record import state_of

CHARTS = 2000  # kept in memory; drawing one takes longer than a vote


class Fact(NamedTuple):
    """A feature of a source in plain words."""

    name: str
    value: str
    measured: bool
    help: str


class Evidence(NamedTuple):
    """The data of a source."""

    source: str
    position: tuple[float, float] | None  # degrees
    facts: dict[str, list[Fact]]  # by category
    curve: list[FluxPoint]


class _Value(NamedTuple):
    feature: str
    category: str
    text: str


def evidence_of(
    _: Translate, run: ServedRun, source: str, light_curve: list[FluxPoint]
) -> Evidence:
    """The evidence of a source."""
    descriptions = source_page.descriptions(run)
    facts: dict[str, list[Fact]] = {}
    for value in _values(run, source):
        words = feature_words(_, value.feature, descriptions.get(value.feature, ""))
        measured = state_of(value.text) == "measured"
        fact = Fact(
            name=words.name,
            value=value.text if measured else _(value.text),
            measured=measured,
            help=words.help,
        )
        facts.setdefault(value.category, []).append(fact)
    return Evidence(
        source=source, position=position_of(run, source), facts=facts, curve=light_curve
    )


def prepare(run: ServedRun) -> None:
    """Look at one source, so that the first volunteer does not wait for the compiler."""
    id_column = run.catalogue.quoted(run.catalogue.id)
    first = run.catalogue.query(f"SELECT {id_column} FROM {VIEW} LIMIT 1").to_pydict()
    for (source,) in zip(*first.values(), strict=True):
        _values(run, str(source))


@lru_cache(maxsize=20_000)
def position_of(run: ServedRun, source: str) -> tuple[float, float] | None:
    """The position of a source in degrees."""
    return source_page.positions(run, source_page.source_row(run, source))


@lru_cache(maxsize=20_000)
def _values(run: ServedRun, source: str) -> tuple[_Value, ...]:
    """The values of the features, which the track of the source has in their units."""
    result = source_page.computed(run, source)
    if result is None:
        return ()
    track = result.track
    return tuple(
        _Value(feature=name, category=track.categories[track.category[f]], text=text)
        for f, (name, text) in enumerate(zip(track.features, track.value_texts, strict=True))
    )


@lru_cache(maxsize=CHARTS)
def plain_chart(run: ServedRun, source: str) -> bytes:
    """A finder chart without classes, as SVG: a neighbour may be the same source once more.

    Raises InputError for a source without a position.
    """
    row = source_page.source_row(run, source)
    return finder_svg(run, row, with_classes=False)
