"""Answers of the Virtual Observatory as VOTable, written column by column.

Rows are joined by Arrow instead of one by one, because answers have up to 100,000 of them.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute

from xbayes.catalog.adql_tables import AdqlColumn

pc: Any = pyarrow.compute  # its functions are made at run time, unknown to type checkers
PART = 20_000  # rows that are written together
_NO_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"  # characters that no XML may hold
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_BIG_ENDIAN = {
    "unsignedByte": "u1", "short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4",
    "double": ">f8",
}  # fmt: skip
# Version 1.3 spells units as the CDS does (`xbayes.catalog.standard_units`).
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)


class Info(NamedTuple):
    """An INFO element."""

    name: str
    value: str
    text: str = ""

    def xml(self) -> str:
        """The element."""
        name, value = attribute(self.name), attribute(self.value)
        return f"<INFO name={name} value={value}>{escape(plain(self.text))}</INFO>\n"


def attribute(text: str) -> str:
    """A text as the quoted value of an attribute."""
    return quoteattr(plain(text))


def plain(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return _NOT_IN_XML.sub("?", text)


def votable(
    columns: Sequence[AdqlColumn],
    table: pa.Table,
    *,
    infos: Sequence[Info] = (),
    after: Sequence[Info] = (),
    binary: bool = True,
) -> bytes:
    """A document with one table of results.

    Parameters
    ----------
    columns
        What the columns are.
    table
        Their values, in the same order.
    infos, after
        INFO elements before and after the table.
    binary
        Write BINARY2, which is quicker and smaller, instead of TABLEDATA.
    """
    head = _HEAD + '<RESOURCE type="results">\n' + "".join(info.xml() for info in infos)
    head += "<TABLE>\n" + "".join(_field(column) for column in columns) + "<DATA>\n"
    foot = "</DATA>\n</TABLE>\n" + "".join(info.xml() for info in after)
    foot += "</RESOURCE>\n</VOTABLE>\n"
    if binary:
        rows = [base64.b64encode(b"".join(_binary2(columns, part) for part in _parts(table)))]
        start, end = '<BINARY2><STREAM encoding="base64">', "</STREAM></BINARY2>\n"
    else:
        rows = [_tabledata(columns, part) for part in _parts(table)]
        start, end = "<TABLEDATA>\n", "</TABLEDATA>\n"
    return b"".join([(head + start).encode(), *rows, (end + foot).encode()])


def message(infos: Sequence[Info]) -> bytes:
    """A document without a table, such as one that reports a fault."""
    body = "".join(info.xml() for info in infos)
    return f'{_HEAD}<RESOURCE type="results">\n{body}</RESOURCE>\n</VOTABLE>\n'.encode()


def _field(column: AdqlColumn) -> str:
    attributes = {
        "name": column.name, "datatype": column.datatype, "arraysize": column.arraysize,
        "unit": column.unit, "ucd": column.ucd,
    }  # fmt: skip
    written = " ".join(f"{key}={attribute(value)}" for key, value in attributes.items() if value)
    if not column.description:
        return f"<FIELD {written}/>\n"
    return (
        f"<FIELD {written}><DESCRIPTION>{escape(plain(column.description))}</DESCRIPTION></FIELD>\n"
    )


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """The table in parts: the texts of all rows together would need much memory."""
    return (table.slice(start, PART) for start in range(0, table.num_rows, PART))


def _one(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _text(values: pa.Array) -> pa.Array:
    """Texts that XML can hold; those missing are empty."""
    filled = pc.fill_null(values.cast(pa.large_string()), "")
    return pc.replace_substring_regex(filled, _NO_XML, "?")


def _tabledata(columns: Sequence[AdqlColumn], table: pa.Table) -> bytes:
    arrays = [_one(values) for values in table.columns]
    cells = [_cells(column, values) for column, values in zip(columns, arrays, strict=True)]
    start, between, end, nothing = (
        pa.scalar(text, pa.large_string()) for text in ("<TR><TD>", "</TD><TD>", "</TD></TR>\n", "")
    )
    rows = pc.binary_join_element_wise(*cells, between)
    return _bytes_of(pc.binary_join_element_wise(start, rows, end, nothing))


def _cells(column: AdqlColumn, values: pa.Array) -> pa.Array:
    if column.arraysize:
        text = _text(values)
        for character, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = pc.replace_substring(text, character, written)
        return text
    text = pc.fill_null(values.cast(pa.large_string()), "")
    for found, written in (("nan", "NaN"), ("-inf", "-Inf"), ("inf", "+Inf")):
        if column.datatype in ("float", "double"):
            text = pc.if_else(pc.equal(text, found), pa.scalar(written, pa.large_string()), text)
    return text


def separated(names: Sequence[str], table: pa.Table) -> bytes:
    """The table with tabs between values, and a line of names."""
    head = "\t".join(re.sub(r"[\t\r\n]", " ", name) for name in names) + "\n"
    return head.encode() + b"".join(_separated(part) for part in _parts(table))


def _separated(table: pa.Table) -> bytes:
    texts = [
        pc.replace_substring_regex(
            pc.fill_null(_one(values).cast(pa.large_string()), ""), r"[\t\r\n]", " "
        )
        for values in table.columns
    ]
    between, end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\t", "\n", ""))
    rows = pc.binary_join_element_wise(*texts, between)
    return _bytes_of(pc.binary_join_element_wise(rows, end, nothing))


def _binary2(columns: Sequence[AdqlColumn], table: pa.Table) -> bytes:
    """The rows in BINARY2: flags of missing values, then the values, big end first."""
    n = table.num_rows
    arrays = [_one(values) for values in table.columns]
    missing = np.stack([_missing(values) for values in arrays], axis=1)  # [n, columns]
    parts: list[pa.Array] = []
    fixed = [np.packbits(missing, axis=1)]
    for column, values in zip(columns, arrays, strict=True):
        if not column.arraysize:
            fixed.append(_fixed(column.datatype, values))
            continue
        lengths, text = _coded(column.datatype, values)
        fixed.append(lengths.astype(">u4").view("u1").reshape(n, 4))
        parts += [_as_binary(fixed), text]
        fixed = []
    if fixed:
        parts.append(_as_binary(fixed))
    return _bytes_of(pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary())))


def _missing(values: pa.Array) -> np.ndarray:
    return pc.is_null(values, nan_is_null=pa.types.is_floating(values.type)).to_numpy(
        zero_copy_only=False
    )


def _fixed(datatype: str, values: pa.Array) -> np.ndarray:
    n = len(values)
    if datatype == "boolean":
        letters = pc.if_else(values, ord("T"), ord("F"))
        return (
            pc.fill_null(letters, ord("?"))
            .to_numpy(zero_copy_only=False)
            .astype("u1")
            .reshape(n, 1)
        )
    filler = np.nan if datatype in ("float", "double") else 0
    numbers = pc.fill_null(values, pa.scalar(filler, values.type)).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(numbers.astype(_BIG_ENDIAN[datatype])).view("u1").reshape(n, -1)


def _coded(datatype: str, values: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """The number of characters of each text, and the bytes."""
    text = _text(values)
    if datatype == "char":
        return pc.binary_length(text).to_numpy(zero_copy_only=False), text.cast(pa.large_binary())
    # unicodeChar has two bytes a character, which is too few for the rare ones.
    coded = [
        "".join(c if c <= "\uffff" else "\ufffd" for c in value).encode("utf-16-be")
        for value in text.to_pylist()
    ]
    return np.array([len(b) // 2 for b in coded]), pa.array(coded, pa.large_binary())


def _as_binary(pieces: Sequence[np.ndarray]) -> pa.Array:
    """Columns of bytes, side by side, as one binary value a row."""
    rows = np.ascontiguousarray(np.concatenate(pieces, axis=1))
    n, width = rows.shape
    offsets = np.arange(n + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(rows)]
    return pa.Array.from_buffers(pa.large_binary(), n, buffers)


def _bytes_of(values: pa.Array) -> bytes:
    """The values one after the other."""
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    return data.slice(int(ends[0]), int(ends[-1] - ends[0])).to_pybytes()
