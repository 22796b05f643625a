"""The formats in which TAP answers."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from xbayes.catalog.adql_database import Answer
from xbayes.catalog.votable_stream import Info, separated, votable
from xbayes.errors import InputError

Write = Callable[[Answer, str], bytes]


class OutputFormat(NamedTuple):
    """A format: what it is called in a request and in an answer, and how it is written."""

    mime: str
    names: tuple[str, ...]
    ending: str
    write: Write


def _votable(answer: Answer, query: str, binary: bool) -> bytes:
    infos = [Info(name="QUERY_STATUS", value="OK"), Info(name="QUERY", value=query)]
    after = [Info(name="QUERY_STATUS", value="OVERFLOW")] if answer.overflow else []
    return votable(answer.columns, answer.table, infos=infos, after=after, binary=binary)


def _binary2(answer: Answer, query: str) -> bytes:
    return _votable(answer, query, binary=True)


def _tabledata(answer: Answer, query: str) -> bytes:
    return _votable(answer, query, binary=False)


def _csv(answer: Answer, query: str) -> bytes:
    from pyarrow import csv

    out = io.BytesIO()
    names = [column.name for column in answer.columns]
    csv.write_csv(answer.table.rename_columns(names), out)
    return out.getvalue()


def _tsv(answer: Answer, query: str) -> bytes:
    """Values between tabs. The format has no quotes, so tabs and ends of lines become blanks."""
    return separated([column.name for column in answer.columns], answer.table)


def _catalogue(answer: Answer, ending: str) -> bytes:
    """The answer as a catalogue file, with units, descriptions and UCDs."""
    from xbayes.catalog.inputs import as_table
    from xbayes.catalog.write import write_catalog

    fields = [
        pa.field(name, values.type, metadata=_metadata(column._asdict()))
        for name, column, values in zip(
            _unique([c.name for c in answer.columns]),
            answer.columns,
            answer.table.columns,
            strict=True,
        )
    ]
    table = pa.table(answer.table.columns, schema=pa.schema(fields))
    with tempfile.TemporaryDirectory(prefix="xbayes-tap-") as folder:
        path = Path(folder) / f"answer{ending}"
        texts = [f.name for f in fields if pa.types.is_large_string(f.type)]
        write_catalog(as_table(table, text=texts), path, warn=lambda told: None)
        return path.read_bytes()


def _metadata(column: dict[str, object]) -> dict[str, str]:
    return {key: str(column[key]) for key in ("unit", "description", "ucd") if column[key]}


def _unique(names: list[str]) -> list[str]:
    """The names; one that was there before gets a number."""
    found: list[str] = []
    for name in names:
        other, number = name, 2
        while other.lower() in {done.lower() for done in found}:
            other, number = f"{name}_{number}", number + 1
        found.append(other)
    return found


def _fits(answer: Answer, query: str) -> bytes:
    return _catalogue(answer, ".fits")


def _parquet(answer: Answer, query: str) -> bytes:
    return _catalogue(answer, ".parquet")


_VOTABLE = "application/x-votable+xml"
FORMATS = (
    OutputFormat(
        mime=_VOTABLE,
        names=("votable", "votable/b2", f"{_VOTABLE};serialization=binary2"),
        ending="vot",
        write=_binary2,
    ),
    OutputFormat(
        mime=f"{_VOTABLE};serialization=TABLEDATA",
        names=("votable/td", "text/xml"),
        ending="vot",
        write=_tabledata,
    ),
    OutputFormat(
        mime="text/csv;header=present", names=("csv", "text/csv"), ending="csv", write=_csv
    ),
    OutputFormat(mime="text/tab-separated-values", names=("tsv",), ending="tsv", write=_tsv),
    OutputFormat(mime="application/fits", names=("fits",), ending="fits", write=_fits),
    OutputFormat(
        mime="application/vnd.apache.parquet", names=("parquet",), ending="parquet", write=_parquet
    ),
)


def format_named(name: str) -> OutputFormat:
    """The format that a request names; VOTable by default."""
    wanted = name.replace(" ", "").lower() or "votable"
    for one in FORMATS:
        if wanted in (one.mime.lower(), *one.names):
            return one
    known = ", ".join(one.names[0] for one in FORMATS)
    raise InputError(f"RESPONSEFORMAT {name[:60]!r} is not written here; the formats are {known}")
