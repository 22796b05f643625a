"""The selection that a request asks for, and what was asked of it before."""

import re
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import pyarrow as pa
from starlette.requests import Request

from xbayes.app.answer_cache import AnswerCache
from xbayes.app.request import served, site_of
from xbayes.app.selection_url import selection_of
from xbayes.app.served_run import ServedRun
from xbayes.catalog.positions import parse_position
from xbayes.catalog.query import ColumnInfo
from xbayes.catalog.selection import (
    PROBABILITY,
    SEPARATION,
    WIDTH,
    FewSources,
    Selection,
    count_by_class,
    few_sources,
    has_intervals,
    select,
    shown_columns,
)
from xbayes.errors import InputError

TIMEOUT = 5.0  # seconds, of the service that knows names of objects
LONGEST_NAME = 100
T = TypeVar("T")


class Selected(NamedTuple):
    """A run, the selection that a request makes from it, and the answers kept."""

    run: ServedRun
    selection: Selection
    answers: AnswerCache

    def kept(self, question: Hashable, answer: Callable[[], T]) -> T:
        """The answer to a question about the run."""
        return self.answers.get((str(self.run.catalogue.path), question), answer)

    def counts(self) -> dict[str, int]:
        """The number of selected sources by class."""
        few, whole = self._few(), self.selection.unordered()
        if few is not None:
            return {name: few.classes.count(name) for name in self.run.catalogue.classes}
        return self.kept(("counts", whole), lambda: count_by_class(whole, self.run.catalogue))

    def known(self) -> "Selected":
        """The same sources; few are known by their rows, which is quicker."""
        few = self._few()
        if few is None:
            return self
        return self._replace(selection=self.selection._replace(rows=few.rows))

    def _few(self) -> FewSources | None:
        whole = self.selection.unordered()
        if whole == Selection():
            return None
        return self.kept(("few", whole), lambda: few_sources(whole, self.run.catalogue))

    def total(self) -> int:
        """The number of selected sources."""
        return sum(self.counts().values())

    def rows(self, columns: tuple[str, ...]) -> pa.Table:
        """One page of the selected sources."""
        return self.kept(
            ("rows", self.selection, columns),
            lambda: select(self.known().selection, self.run.catalogue, columns),
        )

    def column_infos(self) -> dict[str, ColumnInfo]:
        """The columns that a table of the selection can show."""
        return shown_columns(self.run.catalogue, self.selection.cone)

    def columns(self, wanted: list[str]) -> tuple[str, ...]:
        """The columns asked for, by name or as A,B; usual ones if none are.

        Raises InputError for a name that is no column.
        """
        infos = self.column_infos()
        names = [part for text in wanted for part in ([text] if text in infos else text.split(","))]
        names = [name for name in names if name and (name != SEPARATION or name in infos)]
        unknown = [name for name in names if name not in infos]
        if unknown:
            raise InputError(f"no column {unknown[0]!r} in the catalogue; see /api/columns")
        return tuple(dict.fromkeys(names)) or self._usual_columns()

    def _usual_columns(self) -> tuple[str, ...]:
        catalogue, infos = self.run.catalogue, self.column_infos()
        names = [catalogue.id]
        names += [SEPARATION] if SEPARATION in infos else []
        names += ["prediction", PROBABILITY, *([WIDTH] if has_intervals(catalogue) else [])]
        names += ["prediction_set", "outlier_p", "n_not_available"]
        names += [name for name in (catalogue.ra, catalogue.dec) if name]
        return tuple(name for name in names if name in infos)


def selected(request: Request) -> Selected:
    """The selection that the address of a request holds.

    Raises
    ------
    InputError
        For a value that cannot be understood.
    """
    run, answers = served(request), request.app.state.answers
    nothing = Selected(run, Selection(), answers)
    selection = selection_of(
        request.query_params,
        run.catalogue,
        lambda text: _located(text, nothing, resolve=site_of(request).options.resolve),
    )
    return Selected(run, selection, answers)


def _located(text: str, asked: Selected, *, resolve: bool) -> tuple[float, float] | None:
    """The position of a text that is no part of a name in the catalogue."""
    if not re.search(r"[a-ce-gi-ln-rt-z]", text, re.IGNORECASE):  # no letter but h, d, m, s
        position = parse_position(text)
        if position is not None:
            return position
    if asked._replace(selection=Selection(search=text)).total():
        return None
    position = parse_position(text)
    if position is not None or not resolve or not 2 <= len(text) <= LONGEST_NAME:
        return position
    return asked.kept(("place", text), lambda: _place_of_name(text))


def _place_of_name(name: str) -> tuple[float, float]:
    from xbayes.enhance.cache import default_cache
    from xbayes.enhance.services import Services

    try:
        return Services(cache=default_cache(), timeout=TIMEOUT, retries=1).position(name)
    except InputError as error:
        raise InputError(
            f"no source has {name!r} in its name, and the name service of CDS gave no position: "
            f"{error}"
        ) from None
