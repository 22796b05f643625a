"""The class of each type of SIMBAD, by a table that users may edit (simbad_types.csv)."""

import csv
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from xbayes.errors import InputError

NONE = "-"
_COLUMNS = ("type", "parent", "class", "names", "description")


class SimbadTypes(NamedTuple):
    """The table of types; a type is found by its code, or by one of its other names."""

    code_of: dict[str, str]  # code of each code and name
    class_of: dict[str, str]  # class of each code; "" for none

    def label(self, otype: str) -> str:
        """The class of a type of SIMBAD, under its new or old name; "" if it has none."""
        return self.class_of.get(self.code_of.get(otype.strip(), ""), "")


def simbad_types(path: Path | None = None) -> SimbadTypes:
    """The table of types in a file, or the one that xbayes ships.

    Raises
    ------
    InputError
        For a file that is no such table, types listed twice, and circles of parents.
    """
    if path is None:
        text = files("xbayes.enhance").joinpath("simbad_types.csv").read_text(encoding="utf-8")
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"identifications.simbad.file: cannot read {path}: {error}; give a CSV file with "
                f"the columns {', '.join(_COLUMNS)}"
            ) from error
    return _types(text.splitlines(), str(path or "simbad_types.csv"))


def _types(lines: Iterable[str], name: str) -> SimbadTypes:
    rows = csv.DictReader(line for line in lines if line.strip() and not line.startswith("#"))
    lacking = [column for column in _COLUMNS[:3] if column not in (rows.fieldnames or ())]
    if lacking:
        raise InputError(
            f"{name}: no column {lacking[0]!r}; a table of types has the columns "
            f"{', '.join(_COLUMNS)}"
        )
    parent: dict[str, str] = {}
    given: dict[str, str] = {}
    names: dict[str, str] = {}
    for row in rows:
        code = (row["type"] or "").strip()
        if not code or code in parent:
            what = f"lists {code!r} twice" if code else "has a row without a type"
            raise InputError(f"{name}: {what}; each type needs one row")
        parent[code] = (row["parent"] or "").strip()
        given[code] = (row["class"] or "").strip()
        for other in filter(None, (row.get("names") or "").split("|")):
            owner = names.setdefault(other.strip(), code)
            if owner != code:
                raise InputError(f"{name}: {other!r} is a name of {owner!r} and of {code!r}")
    codes = {**names, **{code: code for code in parent}}
    class_of = {code: _inherited(code, parent, given, name) for code in parent}
    return SimbadTypes(code_of=codes, class_of=class_of)


def _inherited(code: str, parent: dict[str, str], given: dict[str, str], name: str) -> str:
    """The class of a type, or of the nearest type above it that has one."""
    seen = []
    here = code
    while here:
        if here in seen:
            raise InputError(f"{name}: {' > '.join([*seen, here])} is a circle of parents")
        if here not in parent:
            raise InputError(f"{name}: {here!r}, the parent of {seen[-1]!r}, has no row")
        if given[here]:
            return "" if given[here] == NONE else given[here]
        seen.append(here)
        here = parent[here]
    return ""
