"""The step `variability`: fluxes of one source over missions and years.

Detections of several missions are linked to the sources of the catalogue, their fluxes brought to
one band, and the largest divided by the smallest. The light curves are a table of their own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import DetectionsConfig, VariabilityConfig
from xbayes.config.enhance_reader import local_file
from xbayes.config.enhance_tables import FluxColumns
from xbayes.enhance.flux_bands import flux_factor
from xbayes.enhance.flux_ratios import flux_ratios
from xbayes.enhance.fluxes import FLUX_UNIT, Fluxes, fluxes_of, joined
from xbayes.enhance.links import mean_positions, unambiguous
from xbayes.enhance.moc import covered, moc_files
from xbayes.enhance.others import Others, objects_near
from xbayes.enhance.pairs import Positions
from xbayes.enhance.services import Services
from xbayes.enhance.sky import (
    columns_of_positions,
    flat,
    numbers_in,
    places_of,
    position_errors,
    row_names,
)
from xbayes.enhance.steps import AddedColumn, Made, column_of

TABLE = "light_curves"  # name of the further table


class _Sources(NamedTuple):
    """The sources of the catalogue, each of one or several rows."""

    index: Int[np.ndarray, "N"]  # source of each row
    names: np.ndarray  # S texts
    position: Positions  # S
    sigma: Float[np.ndarray, "S"]


class LongTermVariability:
    """Long-term variability over several missions."""

    name = "variability"

    def __init__(self, settings: VariabilityConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        own = self.settings.own
        fluxes = [] if own is None else flux_columns(own)
        ids = flat(self.catalog.id, self.catalog.source)
        return [*columns_of_positions(self.catalog), *ids, *fluxes]

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        found = []
        for name, given in self.settings.catalogues.items():
            if given.file is not None:
                found.append(local_file(given.file, f"{_key(name)}.file"))
        for name, given in self.settings.limits.items():
            found += moc_files(given.file, f"variability.limits.{name}.file")
        return found

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        low, high = self.settings.band
        observed = "observed" if self.settings.absorbed else "corrected for absorption"
        flux = f"{low:g}-{high:g} keV, {observed}, over all missions"
        ucd = "phot.flux;em.X-ray;stat.{}"
        return [
            AddedColumn("lt_n", "Number of fluxes of the source", "", "meta.number"),
            AddedColumn("lt_n_limits", "Number of upper limits of its flux", "", "meta.number"),
            AddedColumn("lt_missions", "Missions that measured it", "", "instr.obsty"),
            AddedColumn("lt_flux_max", f"Largest flux, {flux}", FLUX_UNIT, ucd.format("max")),
            AddedColumn("lt_flux_min", f"Smallest flux, {flux}", FLUX_UNIT, ucd.format("min")),
            AddedColumn("lt_ratio", "Largest over smallest flux", "", "src.var.amplitude"),
            AddedColumn(
                "lt_ratio_errors",
                "Largest flux less its error over smallest flux or limit plus its error; below 1 "
                "the error bars overlap",
                "", "src.var.amplitude",
            ),
            AddedColumn(
                "lt_ratio_least", "Largest flux over smallest flux or upper limit, at least 1",
                "", "src.var.amplitude;stat.min",
            ),
            AddedColumn(
                "lt_ratio_is_limit", "Whether lt_ratio_least is a lower bound, by an upper limit",
                "", "meta.code",
            ),
            AddedColumn("lt_mjd_max", "Time of the largest flux, MJD", "d", "time.epoch"),
            AddedColumn("lt_mjd_min", "Time of the smallest flux, MJD", "d", "time.epoch"),
            AddedColumn("lt_mjd_first", "Start of the first measurement, MJD", "d", "time.start"),
            AddedColumn("lt_mjd_last", "End of the last measurement, MJD", "d", "time.end"),
            AddedColumn(
                "lt_ambiguous", "Whether a link to another mission was ambiguous, and dropped",
                "", "meta.code",
            ),
        ]  # fmt: skip

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        sources = self._sources(table)
        ambiguous = np.zeros(len(sources.names), bool)
        parts, notes = [], []
        own = self.settings.own
        if own is not None:
            parts.append(self._own(table, own, sources))
        for name, given in self.settings.catalogues.items():
            found, doubtful = self._linked(name, given, sources, services)
            parts.append(found)
            ambiguous |= doubtful
            limits = self._limits(name, given, found, sources, doubtful, services)
            parts += [] if limits is None else [limits]
            notes.append(
                f"{name}: {len(np.unique(found.source))} sources linked, "
                f"{doubtful.sum()} ambiguous links dropped"
            )
        fluxes = joined(parts)
        values = self._values(fluxes, sources, ambiguous)
        columns = {
            added.name: column_of(added, values[added.name][sources.index])
            for added in self.columns()
        }
        return Made(
            columns=columns, tables={TABLE: self._light_curves(fluxes, sources)}, notes=tuple(notes)
        )

    def _sources(self, table: Table) -> _Sources:
        """The sources: rows with one name of a source are one."""
        places = places_of(table, self.catalog)
        names = row_names(table, self.catalog.id, "catalog.id")
        index = np.arange(len(table))
        if self.catalog.source is not None:
            of_rows = row_names(table, self.catalog.source, "catalog.source")
            # A row without a source is one by itself.
            of_rows = np.where(of_rows == "", np.char.add("row ", index.astype(str)), of_rows)
            names, index = np.unique(of_rows, return_inverse=True)
            index = index.ravel()
        position, sigma = mean_positions(places.position, places.sigma, index, len(names))
        return _Sources(index=index, names=names, position=position, sigma=sigma)

    def _factor(self, given: FluxColumns) -> float:
        settings = self.settings
        return flux_factor(
            given.band, given.absorbed, settings.band, settings.absorbed, settings.spectrum
        )

    def _own(self, table: Table, own: FluxColumns, sources: _Sources) -> Fluxes:
        return fluxes_of(
            table, own, self._factor(own), source=sources.index,
            separation=np.zeros(len(table)),
            detection=row_names(table, self.catalog.id, "catalog.id"),
            mission=own.mission or "catalogue", key="variability.own",
        )  # fmt: skip

    def _linked(
        self, name: str, given: DetectionsConfig, sources: _Sources, services: Services | None
    ) -> tuple[Fluxes, np.ndarray]:
        """The fluxes of linked detections, and the sources that lost an ambiguous link."""
        key, settings = _key(name), self.settings
        known = np.isfinite(sources.position.ra)
        found = objects_near(
            sources.position, np.where(known, given.search_arcsec, np.nan),
            catalogue=given.catalogue, file=given.file, ra=given.ra, dec=given.dec, key=key,
            services=services,
        )  # fmt: skip
        if not len(found.row):
            return _no_fluxes(), np.zeros(len(known), bool)
        other_sigma, _ = position_errors(
            found.table, given.error, given.error_kind, given.default_error, f"{key}.error"
        )
        links = unambiguous(
            found.row,
            other_sources(found, given, key),
            found.separation / np.hypot(sources.sigma[found.row], other_sigma),
            len(known),
            sigma=settings.sigma,
            ambiguous_sigma=settings.ambiguous_sigma or settings.sigma,
        )
        kept = found.chosen(links.kept)
        fluxes = fluxes_of(
            kept.table, given, self._factor(given), source=kept.row, separation=kept.separation,
            detection=row_names(kept.table, given.id, f"{key}.id"),
            mission=given.mission or name, key=key,
        )  # fmt: skip
        return fluxes, links.ambiguous

    def _limits(
        self,
        name: str,
        given: DetectionsConfig,
        found: Fluxes,
        sources: _Sources,
        doubtful: np.ndarray,
        services: Services | None,
    ) -> Fluxes | None:
        """Upper limits of the sources that a survey covers and did not detect."""
        limits = self.settings.limits.get(name)
        if limits is None:
            return None
        inside = covered(
            sources.position, moc=limits.moc, file=limits.file,
            key=f"variability.limits.{name}", services=services,
        )  # fmt: skip
        undetected = inside & ~doubtful
        undetected[found.source] = False
        source = np.flatnonzero(undetected)
        time = np.full(len(source), np.nan if limits.mjd is None else limits.mjd)
        unknown = np.full(len(source), np.nan)
        return Fluxes(
            source=source,
            mission=np.full(len(source), given.mission or name),
            detection=np.full(len(source), ""),
            flux=np.full(len(source), self._factor(given) * limits.limit),
            error_low=unknown,
            error_high=unknown,
            limit=np.ones(len(source), bool),
            start=time,
            end=time,
            separation=unknown,
        )

    def _values(
        self, fluxes: Fluxes, sources: _Sources, ambiguous: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The columns, one value a source."""
        n_sources = len(sources.names)
        ratios = flux_ratios(fluxes, n_sources)
        missions: list[dict[str, None]] = [{} for _ in range(n_sources)]
        for source, mission in zip(
            fluxes.source[~fluxes.limit], fluxes.mission[~fluxes.limit], strict=True
        ):
            missions[source][str(mission)] = None
        return {
            "lt_n": ratios.n,
            "lt_n_limits": ratios.n_limits,
            "lt_missions": np.array([" ".join(sorted(each)) for each in missions], dtype=str),
            "lt_flux_max": ratios.largest,
            "lt_flux_min": ratios.smallest,
            "lt_ratio": ratios.ratio,
            "lt_ratio_errors": ratios.between_errors,
            "lt_ratio_least": ratios.least,
            "lt_ratio_is_limit": ratios.is_limit,
            "lt_mjd_max": ratios.at_largest,
            "lt_mjd_min": ratios.at_smallest,
            "lt_mjd_first": ratios.first,
            "lt_mjd_last": ratios.last,
            "lt_ambiguous": ambiguous,
        }

    def _light_curves(self, fluxes: Fluxes, sources: _Sources) -> Table:
        """One row a measurement, in order of source and time."""
        low, high = self.settings.band
        spectrum = self.settings.spectrum
        observed = "observed" if self.settings.absorbed else "corrected for absorption"
        text = (
            f"Flux or upper limit, {low:g}-{high:g} keV, {observed}; converted by a power law of "
            f"photon index {spectrum.photon_index:g} and column density "
            f"{spectrum.column_density:g} cm-2"
        )
        described = {
            "source": ("Source", "", "meta.id", sources.names[fluxes.source]),
            "mission": ("Mission", "", "instr.obsty", fluxes.mission),
            "detection": ("Detection", "", "meta.id", fluxes.detection),
            "mjd_start": ("Start, MJD", "d", "time.start", fluxes.start),
            "mjd_end": ("End, MJD", "d", "time.end", fluxes.end),
            "flux": (text, FLUX_UNIT, "phot.flux;em.X-ray", fluxes.flux),
            "flux_error_low": ("Error downwards", FLUX_UNIT, "stat.error", fluxes.error_low),
            "flux_error_high": ("Error upwards", FLUX_UNIT, "stat.error", fluxes.error_high),
            "upper_limit": ("Whether flux is an upper limit", "", "meta.code", fluxes.limit),
            "separation": (
                "Separation from the source", "arcsec", "pos.angDistance", fluxes.separation
            ),
        }  # fmt: skip
        return Table(
            [
                column_of(AddedColumn(name, words, unit, ucd), values)
                for name, (words, unit, ucd, values) in described.items()
            ]
        )


def flux_columns(given: FluxColumns) -> list[str]:
    """The columns of fluxes and times, by all their names."""
    return flat(
        given.flux, given.flux_error, given.flux_error_low, given.flux_error_high,
        given.flux_low, given.flux_high, given.upper_limit, given.start, given.end,
    )  # fmt: skip


def other_sources(found: Others, given: DetectionsConfig, key: str) -> Int[np.ndarray, "P"]:
    """The number of the other source of each pair; without a name of it, by its position."""
    if given.source is not None:
        names = row_names(found.table, given.source, f"{key}.source")
        alone = names == ""
        if not alone.any():
            return np.unique(names, return_inverse=True)[1].ravel()
    places = [
        numbers_in(found.table, each, "", f"{key}.{label}")
        for label, each in (("ra", given.ra), ("dec", given.dec))
    ]
    at = np.unique(np.stack(places, 1), axis=0, return_inverse=True)[1].ravel()
    if given.source is None:
        return at
    texts = np.where(alone, np.char.add("\0", at.astype(str)), names)
    return np.unique(texts, return_inverse=True)[1].ravel()


def _no_fluxes() -> Fluxes:
    none, text = np.zeros(0), np.zeros(0, dtype="U1")
    return Fluxes(
        source=np.zeros(0, int), mission=text, detection=text, flux=none, error_low=none,
        error_high=none, limit=np.zeros(0, bool), start=none, end=none, separation=none,
    )  # fmt: skip


def _key(name: str) -> str:
    return f"variability.catalogues.{name}"
