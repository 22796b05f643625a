"""The step `counterparts`: optical and infrared counterparts in several catalogues at once.

Every entry within the radius is a candidate. `matching` gives the probabilities, `shifted` the cut,
and `counterpart_columns` the columns of the best hypothesis. All hypotheses are a further table,
from which `averaging` makes class posteriors that do not depend on one choice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Float, Int

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.hats_names import properties_file
from xbayes.config.counterparts import CounterpartsConfig
from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_reader import local_file
from xbayes.config.enhance_tables import sigma_over_error
from xbayes.enhance.associations import Associations
from xbayes.enhance.candidates import Candidates, XraySky, candidates
from xbayes.enhance.counterpart_columns import Distances, added_columns, values_of
from xbayes.enhance.matching import Learned, MatchOptions, apply, learn
from xbayes.enhance.nearby import source_covariances
from xbayes.enhance.others import read_file
from xbayes.enhance.pairs import Ellipses, Positions
from xbayes.enhance.services import Services
from xbayes.enhance.shifted import p_any_cut, shifted_positions
from xbayes.enhance.sky import columns_of_positions, flat, numbers_in, places_of, years_of
from xbayes.enhance.steps import AddedColumn, Made, column_of
from xbayes.errors import InputError

HYPOTHESES = "counterpart_hypotheses"  # name of the further table
SOURCE, WEIGHT = "counterpart_row", "counterpart_weight"  # its columns
_NARROW = 4.0  # position errors within the search radius that are expected
_DISTANCE_RADIUS = 5.0  # arcsec; entries are then joined by their number
_MOST_SHIFTS = 60  # of one position


class FindCounterparts:
    """Optical and infrared counterparts."""

    name = "counterparts"

    def __init__(self, settings: CounterpartsConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        settings, catalog = self.settings, self.catalog
        more = flat(catalog.epoch, settings.error_minor, settings.error_angle, settings.flux)
        return [*dict.fromkeys([*columns_of_positions(catalog), *more])]

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        given = [(c.name, c.file) for c in self.settings.catalogues if c.file is not None]
        if self.settings.engine == "lsdb":
            described = [properties_file(file) for _, file in given]
            return [path for path in described if path is not None]
        return [local_file(file, f"counterparts.catalogues.{name}.file") for name, file in given]

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        return added_columns(self.settings)

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        settings = self.settings
        sky, notes = self._sky(table)
        search = _Search(settings=settings, services=services, tables=_local_tables(settings))
        found = search.around(sky)
        own = source_covariances(sky.place, sky.errors)
        near = [_without_priors(c, settings).near for c in found]
        learned = learn(sky.place, own, near, float(settings.radius_arcsec), _options(settings))
        associations = apply(own, near, learned)
        cut = search.cut(sky, learned)
        flux = None
        if settings.flux is not None:
            flux = numbers_in(table, settings.flux, "erg / (s cm2)", "counterparts.flux")
        kept = _kept(associations, settings.least_probability)
        distances = search.distances(found, associations.members[kept])
        result = _Result(
            settings=settings, found=found, associations=associations, flux=flux,
            distances=distances, known=np.isfinite(sky.place.ra + sky.place.dec), cut=cut,
        )  # fmt: skip
        return Made(
            columns=result.columns(self.columns()),
            tables={HYPOTHESES: result.hypotheses(self.columns(), kept)},
            notes=(*notes, *result.notes(learned)),
        )

    def _sky(self, table: Table) -> tuple[XraySky, list[str]]:
        """The X-ray positions, their error ellipses and epochs."""
        settings, catalog = self.settings, self.catalog
        places = places_of(table, catalog)
        factor = sigma_over_error(catalog.error_kind)
        minor, angle, notes = places.sigma, np.zeros(len(table)), []
        for label, names in (("minor", settings.error_minor), ("angle", settings.error_angle)):
            if names is not None and not set(names) & set(table.colnames):
                notes.append(
                    f"there is no column {' or '.join(names)} (counterparts.error_{label}): the "
                    "position errors count as circles"
                )
            elif names is not None and label == "minor":
                key = "counterparts.error_minor"
                given = factor * numbers_in(table, names, "arcsec", key)
                minor = np.where(given > 0, given, minor)
            elif names is not None:
                angle = np.nan_to_num(numbers_in(table, names, "deg", "counterparts.error_angle"))
        year = np.full(len(table), np.nan if settings.epoch is None else settings.epoch)
        if catalog.epoch is not None:
            given = years_of(table, catalog.epoch, "catalog.epoch")
            year = np.where(np.isfinite(given), given, year)
        system = settings.systematic_arcsec
        errors = Ellipses(
            major=np.hypot(places.sigma, system), minor=np.hypot(minor, system), angle=angle
        )
        lacking = int((places.known & ~places.given_sigma).sum())
        if lacking:
            notes.append(
                f"{lacking} rows have no position error; {catalog.default_error:g} arcsec per axis "
                "is taken (catalog.default_error)"
            )
        wide = places.known & (_NARROW * errors.major > settings.radius_arcsec)
        if wide.any():
            notes.append(
                f"{int(wide.sum())} rows have position errors above a quarter of the search radius "
                "(counterparts.radius_arcsec): their counterparts may lie outside"
            )
        return XraySky(place=places.position, errors=errors, year=year), notes


class _Search(NamedTuple):
    """Where entries are found."""

    settings: CounterpartsConfig
    services: Services | None
    tables: Mapping[str, Table]  # local ones, by name

    def around(self, sky: XraySky) -> list[Candidates]:
        """The entries of all catalogues around the positions."""
        settings = self.settings
        return [
            candidates(
                sky,
                catalogue,
                radius=float(settings.radius_arcsec),
                motion=float(settings.motion_arcsec),
                table=self.tables.get(catalogue.name),
                services=self.services,
                hats=settings.engine == "lsdb" and catalogue.file is not None,
            )
            for catalogue in settings.catalogues
        ]

    def cut(self, sky: XraySky, learned: Learned) -> float:
        """The p_any cut, from shifted positions."""
        settings = self.settings
        known = np.flatnonzero(np.isfinite(sky.place.ra))
        if not settings.shifted or not len(known):
            return 0.0
        rng = np.random.default_rng(settings.seed)
        radius = float(settings.radius_arcsec)
        rounds = min(-(-settings.shifted // len(known)), _MOST_SHIFTS)
        places = [
            shifted_positions(
                sky.place,
                rng,
                nearest=2 * radius,
                farthest=float(settings.shift_arcsec),
                clear=2 * radius,
            ).rows(known)
            for _ in range(rounds)
        ]
        rows = np.tile(known, rounds)
        some = np.sort(rng.permutation(len(rows))[: settings.shifted])
        rows = rows[some]
        place = Positions(
            ra=np.concatenate([p.ra for p in places])[some],
            dec=np.concatenate([p.dec for p in places])[some],
        )
        away = sky.rows(rows)._replace(place=place)
        found = [_without_priors(c, settings).near for c in self.around(away)]
        own = source_covariances(away.place, away.errors)
        p_any = apply(own, found, learned.at(rows)).p_any
        return p_any_cut(p_any[np.isfinite(away.place.ra)], float(settings.false_match_rate))

    def distances(
        self, found: Sequence[Candidates], members: Int[np.ndarray, "H K"]
    ) -> dict[str, Distances]:
        """Distances of the entries that are members of a hypothesis, by catalogue."""
        made = {}
        for k, catalogue in enumerate(self.settings.catalogues):
            if catalogue.distances is not None and self.services is not None:
                wanted = np.unique(members[:, k][members[:, k] >= 0])
                made[catalogue.name] = _distances(
                    found[k], wanted, catalogue.distances, self.services
                )
        return made


def _distances(
    found: Candidates, wanted: Int[np.ndarray, "W"], name: str, services: Services
) -> Distances:
    """Distances from a table with the columns Source, rgeo, b_rgeo and B_rgeo (Bailer-Jones)."""
    size = len(found.id)
    values = {column: np.full(size, np.nan) for column in ("rgeo", "b_rgeo", "B_rgeo")}
    if len(wanted):
        sent = Table(
            {"row": wanted, "ra": found.listed.ra[wanted], "dec": found.listed.dec[wanted]}
        )
        answer = services.crossmatch(sent, name, _DISTANCE_RADIUS)
        lacking = sorted({"Source", *values} - set(answer.colnames)) if len(answer) else []
        if lacking:
            raise InputError(
                f"counterparts.catalogues.{found.near.name}.distances: {name} has no column "
                f"{', '.join(lacking)}; name a table like I/352/gedr3dis, or null for no distances"
            )
        if len(answer):
            row = np.asarray(answer["row"], int)
            number = np.ma.getdata(masked_column(answer, "Source")).astype(str)
            own = np.array([text.rpartition(" ")[2] for text in found.id[row].tolist()])
            same = own == number
            for column, array in values.items():
                array[row[same]] = np.ma.filled(
                    masked_column(answer, column).astype(float), np.nan
                )[same]
    return Distances(middle=values["rgeo"], low=values["b_rgeo"], high=values["B_rgeo"])


class _Result(NamedTuple):
    """What was found."""

    settings: CounterpartsConfig
    found: Sequence[Candidates]
    associations: Associations
    flux: Float[np.ndarray, "N"] | None
    distances: Mapping[str, Distances]
    known: np.ndarray  # N: whether the source has a position
    cut: float

    def columns(self, added: Sequence[AddedColumn]) -> dict[str, MaskedColumn]:
        """The columns of the best hypotheses."""
        associations, size = self.associations, len(self.known)
        best = associations.best()
        rows = associations.source[best]
        accepted = (associations.p_any >= self.cut) & (associations.p_any > 0)
        whole = self._of_sources(accepted)
        values = self._values(best)
        made = {}
        for each in added:
            name = each.name.removeprefix(self.settings.prefix)
            if name in whole:
                missing = None if name == "p_any_cut" else ~self.known
                made[each.name] = column_of(each, whole[name], missing)
                continue
            shown = np.ones(len(rows), bool) if name == "p_i" else accepted[rows]
            column = _empty(values[name], size)
            column[rows[shown]] = values[name][shown]
            made[each.name] = column_of(each, column.astype(values[name].dtype))
        return made

    def hypotheses(self, added: Sequence[AddedColumn], kept: Int[np.ndarray, "H"]) -> Table:
        """All hypotheses above the least probability, with "none", and their weights.

        The weights of a source sum to 1. The columns of "none" are empty.
        """
        associations = self.associations
        source = np.concatenate([associations.source[kept], np.flatnonzero(self.known)])
        joint = associations.p_any[associations.source[kept]] * associations.p_i[kept]
        weight = np.concatenate([joint, 1 - associations.p_any[self.known]])
        weight = weight / np.bincount(source, weight, len(self.known))[source]
        whole = self._of_sources(np.ones(len(self.known), bool))
        whole["has_counterpart"] = np.repeat([True, False], [len(kept), int(self.known.sum())])
        values = self._values(kept)
        order = np.lexsort((-weight, source))
        table = Table(
            [
                column_of(AddedColumn(SOURCE, "Row of the source, from 0", "", "meta.id"), source),
                column_of(
                    AddedColumn(WEIGHT, "Probability of this hypothesis", "", "stat.probability"),
                    weight,
                ),
            ]
        )
        for each in added:
            name = each.name.removeprefix(self.settings.prefix)
            if name == "has_counterpart":
                column = whole[name]
            elif name in whole:
                column = whole[name][source]
            else:
                column = _empty(values[name], len(source))
                column[: len(kept)] = values[name]
                column = column.astype(values[name].dtype)
            table[each.name] = column_of(each, column)
        return subset(table, rows=order)

    def notes(self, learned: Learned) -> list[str]:
        """What the user should know of the matching."""
        rate = float(self.settings.false_match_rate)
        accepted = int(
            ((self.associations.p_any >= self.cut) & (self.associations.p_any > 0)).sum()
        )
        made = []
        if self.settings.shifted:
            made.append(
                f"{accepted} of {int(self.known.sum())} sources have p_any of at least "
                f"{min(self.cut, 1.0):.3f} and so a counterpart; {100 * rate:g} % of sources "
                "without any counterpart would be given one"
            )
        listed = ", ".join(
            f"{c.name} {100 * share:.0f} %"
            for c, share in zip(self.settings.catalogues, learned.completeness, strict=True)
        )
        made.append(f"estimated share of the sources whose counterpart a catalogue lists: {listed}")
        empty = [c.near.name for c in self.found if not len(c.separation)]
        if empty:
            made.append(f"no entry at all in {', '.join(empty)}")
        return made

    def _of_sources(self, accepted: np.ndarray) -> dict[str, np.ndarray]:
        number = sum(
            np.bincount(c.near.entries.source, minlength=len(self.known)) for c in self.found
        )
        return {
            "p_any": self.associations.p_any,
            "p_any_cut": np.full(len(self.known), min(self.cut, 1.0)),
            "has_counterpart": accepted,
            "n_candidates": np.asarray(number, np.int64),
        }

    def _values(self, chosen: Int[np.ndarray, "B"]) -> dict[str, np.ndarray]:
        return values_of(
            self.settings, self.found, self.associations, chosen, self.flux, self.distances
        )


def _empty(values: np.ndarray, size: int) -> np.ndarray:
    """A column without values for others like these."""
    if values.dtype.kind == "f":
        return np.full(size, np.nan)
    return np.full(size, "", dtype=object)


def _kept(associations: Associations, least: float) -> Int[np.ndarray, "H"]:
    """The hypotheses that are probable enough, and the best one of each source."""
    joint = associations.p_any[associations.source] * associations.p_i
    kept = joint >= least
    kept[associations.best()] = True
    return np.flatnonzero(kept)


def _local_tables(settings: CounterpartsConfig) -> dict[str, Table]:
    return {
        c.name: read_file(c.file, f"counterparts.catalogues.{c.name}")
        for c in settings.catalogues
        if c.file is not None and settings.engine != "lsdb"
    }


def _without_priors(found: Candidates, settings: CounterpartsConfig) -> Candidates:
    if settings.magnitude_priors:
        return found
    return found._replace(near=found.near._replace(features={}))


def _options(settings: CounterpartsConfig) -> MatchOptions:
    learnt = settings.completeness == "learn"
    return MatchOptions(
        completeness=None if learnt else float(settings.completeness), secure=settings.secure
    )
