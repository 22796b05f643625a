"""A run as the site shows it: the fitted run, its classified catalogue, and what features read."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xbayes.catalog.query import ParquetCatalogue, Roles
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.sky_index import sky_index

Cell = float | int | str | bool | None


class ServedRun:
    """One run of the site.

    Parameters
    ----------
    run
        The run directory, or the name of a ready-made model.
    catalog
        A catalogue that the run classified, in Parquet; by default that of the run.

    Raises
    ------
    InputError
        If there is no run, or the file is no catalogue that a run classified.
    """

    def __init__(self, run: Path, catalog: Path | None = None) -> None:
        self.fitted: FittedRun = load(run)
        self.name = run.name if catalog is None else f"{run.name}-{catalog.stem}"
        path = self.fitted.folder / "catalog.parquet" if catalog is None else catalog
        if not path.is_file():
            raise InputError(
                f"there is no {path}; classify a catalogue (xbayes classify {run} CATALOG --out "
                "classified.parquet) and give it: --catalog classified.parquet"
            )
        named = self.fitted.config.catalog
        roles = Roles(id=named.id, ra=named.ra, dec=named.dec)
        self.catalogue = ParquetCatalogue(path, _present(roles, path), _sky(path, roles))
        if self.catalogue.classes != self.fitted.classes:
            raise InputError(
                f"{path} has the classes {', '.join(self.catalogue.classes)}, but the run has "
                f"{', '.join(self.fitted.classes)}; give the run that classified it"
            )

    def inputs(self, source: str) -> dict[str, Cell]:
        """The columns that the features of the run read, of one source; empty if not known here.

        They stand in the classified catalogue, or in the catalogue of the run where it still is.
        """
        needed = needed_columns(self.fitted.config)
        row = self.catalogue.row(source)
        found = {name: _plain(row[name]) for name in needed if name in row}
        if set(needed) - set(found) and self._training_rows is not None:
            at = self._training_rows[0].get(source)
            if at is not None:
                table = self._training_rows[1]
                known = (name for name in needed if name in table.schema.names)
                found |= {name: _plain(table[name][at].as_py()) for name in known}
        return found

    @cached_property
    def _training_rows(self) -> tuple[Mapping[str, int], pa.Table] | None:
        """The row of each id, and the needed columns of the catalogue of the run if it is there."""
        from xbayes.catalog.columns import from_table, subset
        from xbayes.catalog.format_arrow import to_arrow
        from xbayes.catalog.inputs import as_table
        from xbayes.output.report_data import catalogue_path

        path = catalogue_path(self.fitted.folder)
        if path is None or not path.is_file():
            return None
        table = as_table(path, text=[self.catalogue.id])
        kept = dict.fromkeys((self.catalogue.id, *needed_columns(self.fitted.config)))
        arrow = to_arrow(from_table(subset(table, [n for n in kept if n in table.colnames])))
        ids = arrow[self.catalogue.id].to_pylist()
        return {str(name).strip(): row for row, name in enumerate(ids)}, arrow


def _present(roles: Roles, path: Path) -> Roles:
    """The roles without positions that the file does not have."""
    names = set(pq.read_schema(path).names)
    if {roles.ra, roles.dec} <= names:
        return roles
    return Roles(id=roles.id, ra=None, dec=None)


def _sky(path: Path, roles: Roles) -> dict[str, pa.Table]:
    if _present(roles, path).ra is None:
        return {"sky": sky_index(np.empty(0), np.empty(0))}
    names = [roles.ra, roles.dec]
    table = pq.read_table(path, columns=names)
    ra, dec = (table[n].cast(pa.float64()).to_numpy(zero_copy_only=False) for n in names)
    return {"sky": sky_index(ra, dec)}


def _plain(value: object) -> Cell:
    """A value as JSON holds it: NaN becomes None."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, float | int | str | bool) or value is None else str(value)
