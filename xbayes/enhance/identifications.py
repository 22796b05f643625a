"""The step `identifications`: the type in SIMBAD, classes in reference catalogues, and a label.

A label comes from reference catalogues that agree. SIMBAD changes from day to day and copies from
many sources: its class is no label unless the config asks for it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.config.enhance import (
    EnhanceCatalogConfig,
    IdentificationsConfig,
    ReferenceConfig,
)
from xbayes.config.enhance_reader import local_file
from xbayes.enhance.others import Others, from_service, nearest, objects_near
from xbayes.enhance.services import Services
from xbayes.enhance.simbad_types import simbad_types
from xbayes.enhance.sky import Places, columns_of_positions, places_of
from xbayes.enhance.steps import AddedColumn, Made, column_of
from xbayes.errors import InputError

_SIMBAD = (
    AddedColumn("simbad_id", "Nearest object in SIMBAD", "", "meta.id"),
    AddedColumn("simbad_type", "Its type in SIMBAD", "", "src.class"),
    AddedColumn(
        "simbad_class", "Class of this type; empty if the type tells none", "", "src.class"
    ),
    AddedColumn("simbad_separation", "Separation from it", "arcsec", "pos.angDistance"),
    AddedColumn(
        "simbad_n", "Number of objects in SIMBAD within the search radius", "", "meta.number"
    ),
    AddedColumn("simbad_date", "Time at which SIMBAD was asked (UTC)", "", "time.processing"),
)


class Identify:
    """Types in SIMBAD, and classes in reference catalogues."""

    name = "identifications"

    def __init__(self, settings: IdentificationsConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        return columns_of_positions(self.catalog)

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        simbad = self.settings.simbad
        given = {f"{_key(name)}.file": r.file for name, r in self.settings.references.items()} | {
            "identifications.simbad.file": None if simbad is None else simbad.file
        }
        return [local_file(file, key) for key, file in given.items() if file is not None]

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        made = [] if self.settings.simbad is None else [*_SIMBAD]
        radius = AddedColumn("search_radius", "Search radius of identifications", "arcsec", "pos")
        if self.settings.references:
            bits = ", ".join(
                f"{1 << i} {name} ({reference.label})"
                for i, (name, reference) in enumerate(self.settings.references.items())
            )
            made += [
                AddedColumn("reference_bits", f"Bits of references: {bits}", "", "meta.code"),
                AddedColumn(
                    "reference_class", "Class in the references; empty if they conflict", "",
                    "src.class",
                ),
                AddedColumn(
                    "reference_separation", "Separation from the nearest object of a reference",
                    "arcsec", "pos.angDistance",
                ),
            ]  # fmt: skip
        return [
            radius,
            *made,
            AddedColumn("identified_class", self._meaning(), "", "src.class"),
        ]

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        places = places_of(table, self.catalog)
        radius = self._radii(places, None)
        values: dict[str, np.ndarray] = {"search_radius": radius}
        lacking = ~places.known
        missing = {"search_radius": lacking}
        in_simbad = np.full(len(table), "")
        notes = []
        if self.settings.simbad is not None:
            values |= self._simbad(places, radius, services)
            in_simbad = values["simbad_class"]
            missing["simbad_n"] = lacking
        bits = np.zeros(len(table), np.int64)
        if self.settings.references:
            values |= self._references(places, services)
            bits = values["reference_bits"]
            missing["reference_bits"] = lacking
            found = _of_each(bits, lambda each: self._agreed(self._classes(each)))
            values["reference_class"] = found
            n_conflicts = np.count_nonzero((bits > 0) & (found == ""))
            if n_conflicts:
                notes.append(f"{n_conflicts} rows have references of different classes: no class")
        values["identified_class"] = self._labels(bits, in_simbad)
        columns = {
            added.name: column_of(added, values[added.name], missing.get(added.name))
            for added in self.columns()
        }
        return Made(columns=columns, notes=tuple(notes))

    def _meaning(self) -> str:
        role = self.settings.simbad.role if self.settings.simbad is not None else "ignore"
        sources = [] if not self.settings.references else ["the references"]
        sources += ["SIMBAD"] if role == "label" else []
        text = f"Class by {' and '.join(sources) or 'nothing'}; empty if they conflict"
        return f"{text}, or SIMBAD conflicts with them" if role == "check" else text

    def _radii(self, places: Places, least: float | None) -> Float[np.ndarray, "N"]:
        """The search radius of each row in arcsec; NaN without a position."""
        settings = self.settings
        least = settings.radius_arcsec if least is None else least
        wanted = np.where(places.given_sigma, settings.error_factor * places.sigma, 0.0)
        most = max(settings.max_radius_arcsec, least)
        return np.where(places.known, np.clip(wanted, least, most), np.nan)

    def _simbad(
        self, places: Places, radius: Float[np.ndarray, "N"], services: Services | None
    ) -> dict[str, np.ndarray]:
        """The columns of SIMBAD."""
        if services is None:
            raise InputError("identifications.simbad needs the network; set it to null without it")
        settings = self.settings.simbad
        assert settings is not None
        file = settings.file
        types = simbad_types(
            None if file is None else local_file(file, "identifications.simbad.file")
        )
        dates: list[str] = []

        def ask(sent: Table, limit: float) -> Table:
            answer = services.simbad(sent, limit)
            dates.append(str((answer.meta or {})["date"]))
            return answer

        found = from_service(places.position, radius, ask, "separation")
        n_rows = len(radius)
        best = found.chosen(nearest(found.row, found.separation))
        kinds = _texts(best, "otype")
        separation = np.full(n_rows, np.nan)
        separation[best.row] = best.separation
        date = min(dates) if dates else ""
        return {
            "simbad_id": _spread(best, _texts(best, "main_id"), n_rows),
            "simbad_type": _spread(best, kinds, n_rows),
            "simbad_class": _spread(best, [types.label(kind) for kind in kinds], n_rows),
            "simbad_separation": separation,
            "simbad_n": np.bincount(found.row, minlength=n_rows),
            "simbad_date": np.where(places.known, date, ""),
        }

    def _references(self, places: Places, services: Services | None) -> dict[str, np.ndarray]:
        """The bits, and the separation from the nearest object of a reference."""
        bits = np.zeros(len(places.sigma), np.int64)
        separation = np.full(len(bits), np.inf)
        for number, (name, reference) in enumerate(self.settings.references.items()):
            radius = self._radii(places, reference.radius_arcsec)
            for found in _found_in(places, radius, name, reference, services):
                best = nearest(found.row, found.separation)
                rows = found.row[best]
                bits[rows] |= 1 << number
                separation[rows] = np.minimum(separation[rows], found.separation[best])
        values = {"reference_bits": bits}
        separation = np.where(np.isfinite(separation), separation, np.nan)
        return {**values, "reference_separation": separation}

    def _agreed(self, classes: Collection[str]) -> str:
        """The most special of the classes, if each is part of the next; "" otherwise."""
        return agreed_class(classes, self.settings.subclasses)

    def _classes(self, bits: int) -> set[str]:
        """The classes of the references that have a bit."""
        labels = [reference.label for reference in self.settings.references.values()]
        return {label for number, label in enumerate(labels) if bits >> number & 1}

    def _labels(self, bits: np.ndarray, in_simbad: np.ndarray) -> np.ndarray:
        """The label of each row, from its references and its class in SIMBAD."""
        kinds, kind = np.unique(in_simbad, return_inverse=True)
        both = np.stack([bits, kind.ravel()], 1)
        cases, case = np.unique(both, axis=0, return_inverse=True)
        labels = [self._label(self._classes(int(b)), str(kinds[k])) for b, k in cases]
        return np.array(labels, dtype=str)[case.ravel()]

    def _label(self, references: set[str], in_simbad: str) -> str:
        role = "ignore" if self.settings.simbad is None else self.settings.simbad.role
        if role == "ignore" or not in_simbad:
            return self._agreed(references)
        if role == "label":
            return self._agreed(references | {in_simbad})
        # SIMBAD only checks: it neither makes a label nor makes one more special.
        return self._agreed(references) if self._agreed(references | {in_simbad}) else ""


def _of_each(values: np.ndarray, make: Callable[[int], str]) -> np.ndarray:
    """The text of each value, made once for equal ones."""
    found, index = np.unique(values, return_inverse=True)
    return np.array([make(int(value)) for value in found], dtype=str)[index.ravel()]


def agreed_class(classes: Collection[str], subclasses: Mapping[str, Sequence[str]]) -> str:
    """The most special of the classes, if all others contain it; "" for none, or a conflict.

    Parameters
    ----------
    classes
        The classes that references give one source.
    subclasses
        The classes that are part of each class.
    """
    parents: dict[str, set[str]] = {}
    for whole, parts in subclasses.items():
        for part in parts:
            parents.setdefault(part, set()).add(whole)

    def above(name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for parent in parents.get(waiting.pop(), set()) - found:
                found.add(parent)
                waiting.append(parent)
        return found

    fitting = [name for name in classes if set(classes) - {name} <= above(name)]
    return fitting[0] if len(fitting) == 1 else ""


def _found_in(
    places: Places,
    radius: Float[np.ndarray, "N"],
    name: str,
    reference: ReferenceConfig,
    services: Services | None,
) -> list[Others]:
    """The objects of a reference near each row, one entry for each of its tables."""
    key = _key(name)
    tables: Sequence[str | None] = [None]
    if reference.catalogue is not None:
        if services is None:
            raise InputError(f"{key}.catalogue needs the network; give a file instead")
        tables = tables_with_positions(reference.catalogue, key, services)
    return [
        objects_near(
            places.position, radius, catalogue=table, file=reference.file, ra=reference.ra,
            dec=reference.dec, key=key, services=services,
        )
        for table in tables
    ]  # fmt: skip


def tables_with_positions(catalogue: str, key: str, services: Services) -> list[str]:
    """The tables of a catalogue of VizieR that have positions; the catalogue itself if it is one.

    Raises InputError if it has none.
    """
    name = catalogue.replace("'", "''")
    adql = (
        "SELECT DISTINCT table_name FROM TAP_SCHEMA.columns WHERE ucd LIKE 'pos.eq.ra%' AND "
        f"(table_name LIKE '{name}%' OR table_name LIKE '\"{name}%') ORDER BY table_name"
    )
    found = services.tap("vizier", adql, wait=False)
    names = [str(table).strip('"') for table in found["table_name"]] if len(found) else []
    tables = [table for table in names if f"{table}/".startswith(f"{catalogue}/")]
    if not tables:
        raise InputError(
            f"{key}.catalogue: VizieR has no table with positions in {catalogue!r}; correct the "
            f"name, give a file, or leave the reference out: --set {key}=null"
        )
    return tables


def _key(name: str) -> str:
    return f"identifications.references.{name}"


def _texts(found: Others, name: str) -> list[str]:
    if name not in found.table.colnames:
        return [""] * len(found.row)
    return ["" if cell is np.ma.masked else str(cell) for cell in found.table[name]]


def _spread(found: Others, texts: Sequence[str], n_rows: int) -> np.ndarray:
    """Texts of rows as a column, empty elsewhere."""
    column = np.full(n_rows, "", dtype=object)
    column[found.row] = texts
    return column.astype(str)
