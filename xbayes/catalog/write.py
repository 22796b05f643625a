"""Write a catalogue, whatever its format; a file is there whole or not at all."""

import os
import secrets
from pathlib import Path

from astropy.table import Table

from xbayes.catalog.columns import from_table, plain_meta
from xbayes.catalog.format_arrow import write_csv, write_parquet
from xbayes.catalog.format_ecsv import write_ecsv
from xbayes.catalog.format_fits import write_fits, write_fits_gz
from xbayes.catalog.format_votable import write_votable
from xbayes.catalog.formats import format_of
from xbayes.types import InputError

_WRITERS = {
    "FITS": write_fits,
    "VOTable": write_votable,
    "ECSV": write_ecsv,
    "CSV": write_csv,
    "Parquet": write_parquet,
}


def write_catalog(table: Table, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a table as FITS, VOTable, ECSV, CSV or Parquet, as the ending of the name says.

    Masked values, NaN and the empty string are all written as missing. Units, descriptions, UCDs
    and plain metadata are kept, except in CSV, which keeps values and missing cells only.
    Limits of the formats: FITS holds ASCII text and drops blanks at its end; ECSV drops them at
    both ends; in CSV text that looks like a number is one when read; FITS and VOTable widen int8,
    uint16, uint32 and uint64 to the next type they know, and FITS stores small integers with
    missing values as 32 bits.
    Raises InputError where the file exists (unless `overwrite`), the folder does not, or a
    column cannot be held.
    """
    path = Path(path).expanduser()
    check_output(path, overwrite)
    columns, meta = from_table(table), plain_meta(table.meta)
    zipped = path.name.lower().endswith(".gz")
    writer = write_fits_gz if zipped else _WRITERS[format_of(path).name]
    temporary = path.with_name(f".xbayes-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("wb") as handle:
            writer(columns, meta, handle)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise InputError where no catalogue can be written; for long work, ask before it."""
    path = Path(path).expanduser()
    format_of(path)
    check_place(path, overwrite)


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise InputError where no file can be written, whatever its format."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give another name or --overwrite")
