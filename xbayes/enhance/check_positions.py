"""The step `positions`: galactic coordinates, ICRS where needed, flags of doubtful positions."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Int

from xbayes.catalog.columns import masked_column
from xbayes.config.enhance import EnhanceCatalogConfig, PositionsConfig
from xbayes.enhance.moc import covered, moc_files
from xbayes.enhance.pairs import Positions, find_pairs
from xbayes.enhance.services import Services
from xbayes.enhance.sky import (
    columns_of_positions,
    flat,
    found_column,
    galactic_of,
    places_of,
    row_names,
    years_of,
)
from xbayes.enhance.steps import AddedColumn, Made, column_of
from xbayes.errors import InputError

NO_POSITION, REPEATED, OUTSIDE = 1, 2, 4
_OLD = re.compile(r"b?1950", re.IGNORECASE)
_GALACTIC = re.compile(r"^(l|b)$|(^|_)(glon|glat|lii|bii|gal_?(l|b|lon|lat))$", re.IGNORECASE)
_SAME_DEG = 1e-6 / 3600
_YEARS = (1960.0, 2100.0)  # X-ray observations


class CheckPositions:
    """Galactic coordinates, and a check of the positions."""

    name = "positions"

    def __init__(self, settings: PositionsConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        catalog = self.catalog
        return [*columns_of_positions(catalog), *flat(catalog.epoch, catalog.source)]

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        survey = self.settings.survey
        return [] if survey is None else moc_files(survey.file, "positions.survey.file")

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        made = [
            AddedColumn("gal_l", "Galactic longitude", "deg", "pos.galactic.lon"),
            AddedColumn("gal_b", "Galactic latitude", "deg", "pos.galactic.lat"),
        ]
        if self.catalog.frame != "icrs":
            source = f"from the frame {self.catalog.frame}"
            made += [
                AddedColumn("icrs_ra", f"Right ascension (ICRS) {source}", "deg", "pos.eq.ra"),
                AddedColumn("icrs_dec", f"Declination (ICRS) {source}", "deg", "pos.eq.dec"),
            ]
        if self.catalog.epoch is not None:
            text = "Time of the observation, as Julian year"
            made.append(AddedColumn("epoch_yr", text, "yr", "time.epoch;obs"))
        text = "Bits: 1 no position, 2 another source has the same position, 4 outside the survey"
        return [*made, AddedColumn("position_flag", text, "", "meta.code;pos")]

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        self._check_frame(table)
        places = places_of(table, self.catalog)
        if not places.known.any():
            raise InputError(
                f"no row has a position: {self.catalog.ra!r} and {self.catalog.dec!r} are empty; "
                "set catalog.ra and catalog.dec to the columns with the positions"
            )
        longitude, latitude = galactic_of(places.position)
        values = {"gal_l": longitude, "gal_b": latitude}
        if self.catalog.frame != "icrs":
            values |= {"icrs_ra": places.position.ra, "icrs_dec": places.position.dec}
        notes = []
        if self.catalog.epoch is not None:
            values["epoch_yr"] = _checked_epochs(table, self.catalog.epoch)
        flag = np.where(places.known, 0, NO_POSITION)
        source = np.arange(len(table))
        if self.catalog.source is not None:
            names = row_names(table, self.catalog.source, "catalog.source")
            source = np.unique(names, return_inverse=True)[1].ravel()
        same = sources_at(places.position, source, self.settings.duplicate_arcsec) > 1
        flag |= np.where(same, REPEATED, 0)
        flag |= np.where(self._outside(places.position, services), OUTSIDE, 0)
        values["position_flag"] = flag
        texts = {
            "without a position": flag & NO_POSITION,
            "with the position of another source": flag & REPEATED,
            "outside the survey": flag & OUTSIDE,
        }
        notes += [f"{np.count_nonzero(n)} rows {text}" for text, n in texts.items() if n.any()]
        lacking = places.known & ~places.given_sigma
        if lacking.any():
            notes.append(
                f"{lacking.sum()} rows without a position error: {self.catalog.default_error:g} "
                "arcsec per axis is assumed (catalog.default_error)"
            )
        columns = {added.name: column_of(added, values[added.name]) for added in self.columns()}
        return Made(columns=columns, notes=tuple(notes))

    def _check_frame(self, table: Table) -> None:
        """Raise InputError if names or UCDs of the columns speak of another frame."""
        catalog = self.catalog
        for key, names in (("ra", catalog.ra), ("dec", catalog.dec)):
            name = found_column(table, names, f"catalog.{key}")
            ucd = str((masked_column(table, name).meta or {}).get("ucd") or "")
            if ucd.startswith("pos.galactic") or (not ucd and _GALACTIC.search(name)):
                looks = "galactic"
            elif _OLD.search(name):
                looks = "fk4"
            else:
                continue
            if self.catalog.frame != looks:
                shown = f" (UCD {ucd})" if ucd else ""
                raise InputError(
                    f"column {name!r}{shown} looks {looks}, but catalog.frame is "
                    f"{self.catalog.frame}; set catalog.frame: {looks}, and the positions are "
                    "converted; if they are in another frame, rename the column"
                )

    def _outside(self, position: Positions, services: Services | None) -> np.ndarray:
        survey = self.settings.survey
        if survey is None:
            return np.zeros(len(position.ra), bool)
        options = {"moc": survey.moc, "file": survey.file, "key": "positions.survey"}
        known = np.isfinite(position.ra)
        inside = covered(position, **options, services=services)
        allowed = known & (np.abs(position.ra) <= 90)
        if inside.sum() < 0.5 * known.sum() and allowed.sum() > 0.5 * known.sum():
            swapped = Positions(
                ra=np.where(allowed, position.dec % 360, np.nan),
                dec=np.where(allowed, position.ra, np.nan),
            )
            if covered(swapped, **options, services=services).sum() > 0.9 * known.sum():
                raise InputError(
                    f"{known.sum() - inside.sum()} of {known.sum()} positions lie outside the "
                    "survey, and inside it with right ascension and declination exchanged; swap "
                    f"them: catalog: {{ra: {self.catalog.dec[0]}, dec: {self.catalog.ra[0]}}}"
                )
        return known & ~inside


def sources_at(
    position: Positions, source: Int[np.ndarray, "N"], radius_arcsec: float
) -> Int[np.ndarray, "N"]:
    """The number of sources at the position of each row, its own included; 0 where unknown.

    Parameters
    ----------
    position
        In degrees.
    source
        Number of the source of each row; several detections of one source count once.
    radius_arcsec
        Positions closer than this are the same; 0: equal to a millionth of an arcsec.
    """
    known = np.flatnonzero(np.isfinite(position.ra))
    count = np.zeros(len(position.ra), int)
    if not len(known):
        return count
    cells = np.stack([position.ra[known], position.dec[known]], 1)
    cells[np.abs(cells[:, 1]) == 90, 0] = 0  # at a pole all right ascensions are one
    cells = np.round(cells / _SAME_DEG).astype(np.int64)
    places, place = np.unique(cells, axis=0, return_inverse=True)
    place = place.ravel()
    # One entry a place and source.
    entries = np.unique(np.stack([place, source[known]], 1), axis=0)
    if radius_arcsec <= 0:
        total = np.bincount(entries[:, 0], minlength=len(places))
    else:
        first = np.zeros(len(places), int)
        first[place] = known
        at = position.rows(first)
        pairs = find_pairs(at, at, radius_arcsec)
        begin = np.searchsorted(entries[:, 0], np.arange(len(places)))
        size = np.diff(np.append(begin, len(entries)))
        near = np.repeat(pairs.first, size[pairs.second])
        offset = np.arange(len(near)) - np.repeat(
            np.cumsum(size[pairs.second]) - size[pairs.second], size[pairs.second]
        )
        which = entries[np.repeat(begin[pairs.second], size[pairs.second]) + offset, 1]
        distinct = np.unique(np.stack([near, which], 1), axis=0)
        total = np.bincount(distinct[:, 0], minlength=len(places))
    count[known] = total[place]
    return count


def _checked_epochs(table: Table, names: Sequence[str]) -> np.ndarray:
    years = years_of(table, names, "catalog.epoch")
    wrong = (years < _YEARS[0]) | (years > _YEARS[1])
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"catalog.epoch: {int(wrong.sum())} values of {names[0]!r} are no times of X-ray "
            f"observations, such as the year {years[row]:.1f} in row {row + 1}; give years, JD or "
            "MJD, or another column"
        )
    return years
