"""Spectra and light curves of a detection: where they are, and their content.

A template says where: a folder with the files of the XMM-Newton pipeline, or a path or address in
which {column} stands for the value of a column of the detection, such as
/data/{obsid}/P*{srcnum:03X}.FTZ. Values come from a catalogue, so they never reach outside of the
folder that the template names.
"""

import glob
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote

from xbayes.catalog.ogip import (
    LEAST_COUNTS,
    LightCurve,
    Spectrum,
    companions,
    read_light_curve,
    read_spectrum,
)
from xbayes.errors import InputError
from xbayes.tasks.given_catalogue import Cell

Kind = Literal["spectrum", "background", "response", "light curve"]
MOST_FILES = 200
SCHEMES = ("http://", "https://")
_FIELD = re.compile(r"\{(\w+)(?::(0?\d{0,2}[dxXs]?))?\}")
_UNFIT = re.compile(r"[/\\\x00-\x1f]|^\.+$|\.\.")
# XMM-Newton: P, observation, instrument, exposure, type of product, band, source in hexadecimal.
_XMM = re.compile(
    r"P(?P<observation>\d{10})(?P<instrument>[A-Z][A-Z0-9])(?P<exposure>[SUX]\d{3})"
    r"(?P<type>[A-Z_]{6})(?P<band>[0-9A-Z])(?P<source>[0-9A-F]{3})\.(FTZ|FIT|FITS)(\.GZ)?",
    re.IGNORECASE,
)
_XMM_KINDS: dict[str, Kind] = {
    "SRSPEC": "spectrum", "BGSPEC": "background", "SRCTSR": "light curve",
}  # fmt: skip
_XMM_INSTRUMENTS = {"PN": "EPIC pn", "M1": "EPIC MOS1", "M2": "EPIC MOS2", "R1": "RGS1"} | {
    "R2": "RGS2",
    "EP": "EPIC",
}
_ENDINGS: dict[str, Kind] = {
    "pha": "spectrum", "pi": "spectrum", "pha3": "spectrum", "lc": "light curve",
    "rmf": "response", "bkg": "background", "bak": "background",
}  # fmt: skip
_IN_A_FOLDER = ("", "{obsid}/", "{obsid}/pps/", "{obsid}/PPS/")


class Product(NamedTuple):
    """A file of a detection."""

    kind: Kind
    name: str
    path: str  # or an address
    observation: str = ""  # by the name of an XMM-Newton file, as all that follows
    instrument: str = ""
    exposure: str = ""
    is_remote: bool = False


def find_products(template: str, values: Mapping[str, Cell]) -> list[Product]:
    """The spectra and light curves of a detection, by kind and name.

    Parameters
    ----------
    template
        A folder, where XMM-Newton's names are looked for by the columns obsid and srcnum; or a
        path or address with {column}, {column:04X} and, in a path, the wildcards * ? [...].
    values
        The columns of the detection; case and underscores of their names do not matter.

    Raises
    ------
    InputError
        If the template names a column that there is not, or a value cannot be part of a path.
    """
    by_letters = {_letters(name): value for name, value in values.items()}
    if template.startswith(SCHEMES):
        address = _filled(template, by_letters, lambda text: quote(text, safe=""))
        if address is None:
            return []
        name = address.rsplit("/", 1)[-1]
        made = _product(name, address)
        return [] if made is None else [made._replace(is_remote=True)]
    found = {}
    for path in islice(_paths(template, by_letters), MOST_FILES):
        made = _product(path.name, str(path))
        if made is not None:
            found[made.path] = made
    return sorted(found.values(), key=lambda made: (made.kind != "spectrum", made.kind, made.name))


def spectrum_of(
    product: Product, *, least_counts: int = LEAST_COUNTS, bins: int | None = None
) -> Spectrum:
    """The spectrum in a file, with the background and the response that lie beside it.

    Raises InputError as `read_spectrum` does, and for a file that is not on this machine.
    """
    path = _local(product)
    background, response = companions(path)
    swapped = re.sub("SRSPEC", "BGSPEC", path.name, flags=re.IGNORECASE)
    candidates = [background, *([swapped] if swapped != path.name else [])]
    return read_spectrum(
        path,
        background=_beside(path, candidates),
        response=_beside(path, [response]),
        least_counts=least_counts,
        bins=bins,
    )


def light_curve_of(product: Product, *, bins: int | None = None) -> LightCurve:
    """The light curve in a file. Raises InputError as `spectrum_of` does."""
    return read_light_curve(_local(product), bins=bins)


def _local(product: Product) -> Path:
    if product.is_remote:
        raise InputError(f"{product.name} is not on this machine; open its address")
    return Path(product.path)


def _beside(path: Path, names: list[str]) -> Path | None:
    """The first of these files in the folder of `path`, packed or not."""
    for name in filter(None, names):
        stem = re.sub(r"\.(FTZ|FITS?|FIT)$", "", name, flags=re.IGNORECASE)
        for other in (name, f"{name}.gz", f"{stem}.FTZ", f"{stem}.FIT", f"{stem}.fits"):
            candidate = path.parent / other
            inside = candidate.resolve().parent == path.parent.resolve()
            if candidate.is_file() and inside and candidate != path:
                return candidate
    return None


def _paths(template: str, values: Mapping[str, Cell]) -> Iterator[Path]:
    """The files of a path template that lie in its fixed folder."""
    patterns = [template]
    if not re.search(r"[{*?\[]", template):
        if Path(template).is_file():
            patterns = [glob.escape(template)]
        elif {"obsid", "srcnum"} <= {name for name, v in values.items() if v is not None}:
            folder = glob.escape(template.rstrip("/"))
            ending = "P{obsid}[A-Z][A-Z0-9][SUX][0-9][0-9][0-9]*{srcnum:03X}.*"
            patterns = [f"{folder}/{inside}{ending}" for inside in _IN_A_FOLDER]
        else:
            return
    root = Path(re.split(r"[{*?\[]", template)[0].rpartition("/")[0] or "/")
    if not re.search(r"[{*?\[]", template):
        root = Path(template) if Path(template).is_dir() else Path(template).parent
    root = root.resolve()
    for pattern in patterns:
        filled = _filled(pattern, values, glob.escape)
        for found in sorted(glob.glob(filled)) if filled else ():
            path = Path(found)
            # A link may lead elsewhere.
            if path.is_file() and path.resolve().is_relative_to(root):
                yield path


def _filled(template: str, values: Mapping[str, Cell], escape: "Escape") -> str | None:
    """The template with the values in place of the columns; None if one has no value."""
    absent = False

    def fill(field: re.Match) -> str:
        nonlocal absent
        name, form = _letters(field[1]), field[2] or ""
        if name not in values:
            raise InputError(
                f"the template of products names {{{field[1]}}}, but the catalogue has no such "
                "column; use its columns"
            )
        value = values[name]
        if value is None or value == "":
            absent = True
            return ""
        return escape(_as_text(field[1], value, form))

    text = _FIELD.sub(fill, template)
    return None if absent else text


class Escape(Protocol):
    """Makes a text harmless in a pattern or an address."""

    def __call__(self, text: str, /) -> str: ...  # noqa: D102


def _as_text(name: str, value: Cell, form: str) -> str:
    """The value in this form, refused where it would be more than one part of a path."""
    try:
        if form and form[-1] in "dxX":
            text = format(int(float(str(value))), form)
        elif isinstance(value, float) and value.is_integer():
            text = str(int(value))
        else:
            text = format(str(value).strip(), form)
    except (ValueError, OverflowError):
        raise InputError(f"{name} is {value!r}, which cannot be written as {form!r}") from None
    if _UNFIT.search(text) or len(text) > 200:
        raise InputError(
            f"{name} must be letters, digits, + - . or _ in a path; it is {text[:40]!r}"
        )
    return text


def _product(name: str, path: str) -> Product | None:
    """The product by its name; None if it is neither spectrum nor light curve."""
    xmm = _XMM.fullmatch(name)
    if xmm is not None:
        kind = _XMM_KINDS.get(xmm["type"].upper())
        if kind is None:
            return None
        instrument = xmm["instrument"].upper()
        return Product(
            kind=kind,
            name=name,
            path=path,
            observation=xmm["observation"],
            instrument=_XMM_INSTRUMENTS.get(instrument, instrument),
            exposure=xmm["exposure"].upper(),
        )
    plain = re.sub(r"\.(gz|fits?|ftz)$", "", name.lower())
    plain = re.sub(r"\.(gz|fits?|ftz)$", "", plain)
    kind = _ENDINGS.get(plain.rpartition(".")[2])
    if kind == "spectrum" and re.search(r"(bkg|bgd|back)", plain):
        kind = "background"
    return None if kind is None else Product(kind=kind, name=name, path=path)


def _letters(name: str) -> str:
    return name.lower().replace("_", "")
