"""The format of a file, from the ending of its name and from its first bytes."""

from pathlib import Path
from typing import NamedTuple

from xbayes.types import InputError


class Format(NamedTuple):
    """A file format, and what `looks_like` may return for the first bytes of such a file."""

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
    """The format that the ending of the name gives. Raises InputError for an unknown ending."""
    for ending, known in FORMATS.items():
        if path.name.lower().endswith(ending):
            return known
    raise InputError(
        f"{path}: the ending of the name gives the format, but {path.suffix or 'no ending'!r} is "
        f"none of {', '.join(FORMATS)}; rename or convert the file"
    )


def looks_like(head: bytes) -> str:
    """The kind of a file, from its first bytes."""
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
    """Raise InputError if the file is empty, or not of the format that its name gives."""
    with path.open("rb") as handle:
        head = handle.read(4096)
    if not head:
        raise InputError(f"{path} is empty (0 bytes); make or fetch it again")
    expected, found = format_of(path), looks_like(head)
    if found in expected.looks:
        return
    endings = [ending for ending, known in FORMATS.items() if found in known.looks]
    hint = f"; rename it to {endings[0]}" if endings else ""
    # A compressed file may hold any format, so the right ending is unknown.
    hint = "; unpack it, or name it .fits.gz if it is FITS" if found == "gzip" else hint
    raise InputError(f"{path} is named as {expected.name} but looks like {found}{hint}")
