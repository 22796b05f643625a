"""The format of a file, from the ending of its name and from its first bytes."""

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from xbayes.errors import InputError


class Format(NamedTuple):
    """A file format, and what `looks_like` may return for the first bytes of such a file."""

    name: str
    looks: tuple[str, ...]


_FITS, _VOTABLE = Format("FITS", ("FITS",)), Format("VOTable", ("VOTable", "XML"))
FORMATS = {
    ".fits": _FITS,
    ".fit": _FITS,
    ".fts": _FITS,
    ".vot": _VOTABLE,
    ".votable": _VOTABLE,
    ".xml": _VOTABLE,
    ".ecsv": Format("ECSV", ("ECSV",)),
    ".csv": Format("CSV", ("text",)),
    ".parquet": Format("Parquet", ("Parquet",)),
    ".pq": Format("Parquet", ("Parquet",)),
}
_ZIPPED = ".gz"
_USUAL = (".fits", ".fits.gz", ".vot", ".xml", ".ecsv", ".csv", ".parquet")
_OTHERS = tuple(ending for ending in FORMATS if ending not in _USUAL)
ENDINGS = (*FORMATS, *(ending + _ZIPPED for ending, f in FORMATS.items() if f.name != "Parquet"))
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
    name = path.name.lower()
    if name.endswith(ENDINGS):
        name = name.removesuffix(_ZIPPED)
        return next(known for ending, known in FORMATS.items() if name.endswith(ending))
    found = "".join(path.suffixes[-2:]) if name.endswith(_ZIPPED) else path.suffix
    raise InputError(
        f"{path}: the ending of the name gives the format, but {found or 'no ending'!r} is "
        f"none of {', '.join(_USUAL)} (or {', '.join(_OTHERS)}; with {_ZIPPED} all but Parquet); "
        "rename or convert the file"
    )


def is_zipped(path: Path) -> bool:
    """Whether the name says that the file is compressed."""
    return path.name.lower().endswith(_ZIPPED)


def file_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if its name says that it is compressed."""
    return gzip.decompress(path.read_bytes()) if is_zipped(path) else path.read_bytes()


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
        if is_zipped(path) and looks_like(head) == "gzip":
            handle.seek(0)
            head = _unpacked_head(path, handle)
        elif is_zipped(path) and head:
            hint = f"rename it to {path.name[: -len(_ZIPPED)]}"
            found = looks_like(head)
            raise InputError(f"{path} is named as compressed but looks like {found}: {hint}")
    if not head:
        raise InputError(f"{path} is empty (0 bytes); make or fetch it again")
    expected, found = format_of(path), looks_like(head)
    if found in expected.looks:
        return
    endings = [ending for ending, known in FORMATS.items() if found in known.looks]
    hint = "; make or fetch it again, or convert it"
    hint = f"; rename it to {endings[0]}" if endings else hint
    # A compressed file may hold any format, so the right ending is unknown.
    named = path.name + _ZIPPED
    hint = f"; unpack it, or name it {named} if that is its format" if found == "gzip" else hint
    raise InputError(f"{path} is named as {expected.name} but looks like {found}{hint}")


def _unpacked_head(path: Path, handle: BinaryIO) -> bytes:
    try:
        with gzip.GzipFile(fileobj=handle) as unpacked:
            return unpacked.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"cannot unpack {path}: {error}; it is damaged or truncated: make or fetch it again"
        ) from error
