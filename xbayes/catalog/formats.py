"""Which format a file has: by the ending of its name, and by its first bytes."""

from pathlib import Path
from typing import NamedTuple

from xbayes.types import InputError


class Format(NamedTuple):
    """A file format and what the first bytes of such a file must look like."""

    name: str
    looks: tuple[str, ...]


_VOTABLE = Format("VOTable", ("VOTable", "XML"))
FORMATS = {
    ".fits": Format("FITS", ("FITS",)),
    ".fits.gz": Format("FITS", ("gzip",)),
    ".vot": _VOTABLE,
    ".xml": _VOTABLE,
    ".ecsv": Format("ECSV", ("ECSV",)),
    ".csv": Format("CSV", ("text",)),
    ".parquet": Format("Parquet", ("Parquet",)),
}
_MAGIC = {
    b"SIMPLE  =": "FITS",
    b"\x1f\x8b": "gzip",
    b"PAR1": "Parquet",
    b"# %ECSV": "ECSV",
    b"\x89HDF": "HDF5",
    b"PK\x03\x04": "a zip archive or spreadsheet",
    b"%PDF": "PDF",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def format_of(path: Path) -> Format:
    """The format that the ending of the name says. Raises InputError for an unknown ending."""
    # The longest first, so that .fits.gz is not read as .gz.
    for ending in sorted(FORMATS, key=len, reverse=True):
        if path.name.lower().endswith(ending):
            return FORMATS[ending]
    raise InputError(
        f"{path}: the ending of the name says the format, and {path.suffix or 'no ending'!r} is "
        f"none of {', '.join(FORMATS)}; rename or convert the file"
    )


def looks_like(head: bytes) -> str:
    """What a file is, from its first bytes."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)"
    if start.startswith(b"<"):
        return "VOTable" if b"<votable" in start else "XML"
    return "binary data" if b"\0" in head else "text"


def check_looks(path: Path) -> None:
    """Raise InputError where the file is of another format than its name says, or is empty."""
    with path.open("rb") as handle:
        head = handle.read(4096)
    if not head:
        raise InputError(f"{path} is empty (0 bytes); make or fetch it again")
    expected, found = format_of(path), looks_like(head)
    if found in expected.looks:
        return
    endings = [ending for ending, known in FORMATS.items() if found in known.looks]
    hint = f"; rename it to {endings[0]}" if endings else ""
    # A compressed file may hold anything, so the ending is not known.
    hint = "; unpack it, or name it .fits.gz if it is FITS" if found == "gzip" else hint
    raise InputError(f"{path} is named as {expected.name} but looks like {found}{hint}")
