"""Write a catalogue in any of the formats. An interrupted write leaves no file."""

import errno
import gzip
import os
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from xbayes.catalog.adapt import Told, adapted, like, without_rows
from xbayes.catalog.columns import FileColumn, from_table, plain_meta
from xbayes.catalog.format_arrow import write_csv
from xbayes.catalog.format_ecsv import write_ecsv
from xbayes.catalog.format_fits import write_fits
from xbayes.catalog.format_votable import write_votable
from xbayes.catalog.formats import format_of, is_zipped
from xbayes.catalog.ragged import as_objects
from xbayes.catalog.write_parquet import parquet_writer
from xbayes.errors import InputError, XbayesWarning

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_ERRORS = (*_FULL, errno.EROFS)
Append = Callable[[list[FileColumn], dict[str, Any]], None]
_WRITERS = {
    "FITS": write_fits,
    "VOTable": write_votable,
    "ECSV": write_ecsv,
    "CSV": write_csv,
}


def _warn(message: str) -> None:
    warnings.warn(message, XbayesWarning, stacklevel=5)


def write_catalog(
    table: Table,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    warn: Callable[[str], None] = _warn,
) -> None:
    """Write a table as FITS, VOTable, ECSV, CSV or Parquet; the file ending gives the format.

    Masked values, NaN and the empty string are written as missing. Units, descriptions, UCDs and
    plain metadata are written too, except in CSV. A unit that the format cannot spell goes to the
    end of the description. Columns that the format cannot hold are left out, and names that it
    cannot hold are changed, each with a warning (`xbayes.catalog.adapt`).

    Limits of the formats: FITS holds ASCII text only and drops blanks at its end; ECSV drops blanks
    at both ends; a CSV column of text that looks like numbers is read back as numbers; FITS and
    VOTable store int8, uint16, uint32 and uint64 in the next wider type that they have; FITS stores
    8-bit and 16-bit integers with missing values in 32 bits.

    Raises InputError if the file exists (unless `overwrite`), or cannot be written there.
    """
    with catalog_writer(path, overwrite, warn=warn) as append:
        append(table)


@contextmanager
def catalog_writer(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    warn: Callable[[str], None] = _warn,
    told: set[Told] | None = None,
) -> Iterator[Callable[[Table], None]]:
    """A function that appends a chunk of the table; the file appears when the block ends.

    Chunks of a Parquet file are written at once; for the other formats they are collected in
    memory. `warn` is called with what changes in the columns, but not with what `column_messages`
    added to `told`. Raises InputError as `write_catalog` does.
    """
    path = Path(path).expanduser()
    check_output(path, overwrite)
    temporary = path.with_name(f".xbayes-{secrets.token_hex(8)}.tmp")
    open_writer = _streaming if format_of(path).name == "Parquet" else _collecting

    def opened(handle: BufferedIOBase) -> AbstractContextManager[Append]:
        return open_writer(path, handle, warn, set() if told is None else told)

    try:
        with temporary.open("wb") as handle, opened(handle) as append:
            yield lambda table: append(from_table(table), plain_meta(table.meta))
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _streaming(
    path: Path, handle: BufferedIOBase, warn: Callable[[str], None], told: set[Told]
) -> Iterator[Append]:
    """A writer that writes each chunk at once; the first decides which columns are written."""
    kind, first = format_of(path).name, None
    with parquet_writer(handle) as write:

        def append(columns: list[FileColumn], meta: dict[str, Any]) -> None:
            nonlocal first
            result = adapted(columns, kind, told) if first is None else like(first, columns, told)
            first = without_rows(result) if first is None else first
            for message in result.messages:
                warn(message)
            write(result.columns, meta)

        yield append


@contextmanager
def _collecting(
    path: Path, handle: BufferedIOBase, warn: Callable[[str], None], told: set[Told]
) -> Iterator[Append]:
    """A writer that collects the chunks and writes them together."""
    kind = format_of(path).name
    chunks: list[tuple[list[FileColumn], dict[str, Any]]] = []
    yield lambda columns, meta: chunks.append((columns, meta))
    if chunks:
        columns, meta = _joined(chunks)
        result = adapted(columns, kind, told)
        for message in result.messages:
            warn(message)
        if is_zipped(path):
            # Without name and time, so that the same table gives the same bytes.
            with gzip.GzipFile(filename="", fileobj=handle, mode="wb", mtime=0) as zipped:
                _WRITERS[kind](result.columns, meta, zipped)
        else:
            _WRITERS[kind](result.columns, meta, handle)


def _joined(
    chunks: list[tuple[list[FileColumn], dict[str, Any]]],
) -> tuple[list[FileColumn], dict[str, Any]]:
    if len(chunks) == 1:
        return chunks[0]
    each = zip(*(columns for columns, _ in chunks), strict=True)
    return [_joined_column(same) for same in each], chunks[0][1]


def _joined_column(parts: Sequence[FileColumn]) -> FileColumn:
    if len({(part.values.dtype.kind == "O", part.values.shape[1:]) for part in parts}) > 1:
        parts = [as_objects(part) for part in parts]
    return parts[0]._replace(
        values=np.concatenate([part.values for part in parts]),
        missing=np.concatenate([part.missing for part in parts]),
    )


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise InputError if no catalogue can be written there; call this before long work."""
    path = Path(path).expanduser()
    format_of(path)
    check_place(path, overwrite)


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise InputError if no file can be written there, whatever its format."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give another name or --overwrite")
    check_writable(path.parent, path)


def check_writable(folder: Path, path: Path) -> None:
    """Raise InputError, about `path`, if no file can be made in the folder."""
    try:
        # Permissions do not tell: a disk may be mounted read-only.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"?")
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The message for a place that is read-only or full."""
    # numpy says how many bytes were written instead of giving the error of a full disk.
    full = error.errno in _FULL or error.errno is None
    advice = "make room, or choose another place" if full else "choose a place where you may write"
    reason = error.strerror or f"no room for the whole file ({error})"
    return InputError(f"cannot write {path}: {reason}; nothing was left there; {advice}")
