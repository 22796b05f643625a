"""Sources of two classified catalogues that two runs give different classes, by DuckDB."""

import threading
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from xbayes.catalog.query import ParquetCatalogue, quote
from xbayes.errors import InputError


class Page(NamedTuple):
    """One page of the sources on which two runs disagree, and how many there are."""

    common: int  # sources in both catalogues
    total: int
    rows: list[dict[str, object]]  # id, prediction and probability of each run, distance


class Disagreements:
    """The common sources of two catalogues, joined by id.

    Raises
    ------
    InputError
        If no class is in both.
    """

    def __init__(self, first: ParquetCatalogue, second: ParquetCatalogue) -> None:
        self.classes = tuple(name for name in first.classes if name in second.classes)
        if not self.classes:
            raise InputError(
                "the two runs have no class in common; compare runs of the same classes"
            )
        self._second = second
        self._first = first
        self._lock = threading.Lock()
        self._known: tuple[int, pa.Table] | None = None

    def page(self, limit: int, offset: int) -> Page:
        """A page of the sources with different predictions, the most different posteriors first.

        The distance is the total variation distance of the posteriors over the common classes,
        from 0 to 1.
        """
        with self._lock:
            if self._known is None:
                self._known = self._join()
            common, joined = self._known
        rows = joined.slice(offset, limit).to_pylist()
        return Page(common=common, total=joined.num_rows, rows=rows)

    def _join(self) -> tuple[int, pa.Table]:
        import duckdb

        connection = duckdb.connect(config={"threads": 2})
        distance = " + ".join(
            f"abs(a.{quote(f'p_{c}')} - b.{quote(f'p_{c}')})" for c in self.classes
        )
        sides = (("a", self._first), ("b", self._second))
        views = {
            side: f"(SELECT *, CAST({quote(own.id)} AS VARCHAR) AS own_id, "
            f"greatest({', '.join(quote(f'p_{c}') for c in own.classes)}) AS p_max "
            f"FROM read_parquet({_text(own.path)})) {side}"
            for side, own in sides
        }
        joined = f"{views['a']} JOIN {views['b']} ON a.own_id = b.own_id"
        count = connection.execute(f"SELECT count(*) FROM {joined}").fetchall()
        rows = connection.sql(
            "SELECT a.own_id AS id, a.prediction AS first, a.p_max AS p_first, "
            "b.prediction AS second, b.p_max AS p_second, "
            f"0.5 * ({distance}) AS distance FROM {joined} "
            "WHERE a.prediction <> b.prediction ORDER BY distance DESC, id"
        ).to_arrow_table()
        connection.close()
        return count[0][0], rows


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
