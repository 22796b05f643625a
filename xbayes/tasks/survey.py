"""The survey of a catalogue: the first pass over its chunks, before any row is classified."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table, vstack

from xbayes.catalog.columns import masked_column, parse_unit, subset
from xbayes.catalog.match import ColumnOptions, Matched, match_columns, with_aliases
from xbayes.catalog.ranges import ValueRange
from xbayes.catalog.read import Chunks
from xbayes.catalog.roles import check_present, uniform_catalog
from xbayes.catalog.stand_in_messages import stand_in_messages
from xbayes.catalog.stand_ins import StandInCheck
from xbayes.catalog.units import (
    convert_units,
    factor_between,
    unit_warnings,
    units_of,
    units_option,
)
from xbayes.catalog.whole_check import WholeCheck
from xbayes.classifier.fitted_model import FittedModel
from xbayes.errors import InputError
from xbayes.features.build import needed_columns, sky_columns
from xbayes.features.conditions import number_columns
from xbayes.features.trained_on import column_ranges, sampled, stand_in_check, state_degrees

SAMPLE_SIZE = 50_000  # rows from which the class proportions are estimated


class Survey(NamedTuple):
    """Facts about the whole catalogue that the classification of each row needs."""

    sample: Table  # evenly spaced rows, at most SAMPLE_SIZE, with the columns for the features
    ranges: Mapping[str, ValueRange]  # of the columns, in the units of the run
    stand_ins: tuple[str, ...]  # warnings of probable stand-ins
    units: tuple[str, ...]  # warnings where only the catalogue or only the run has units

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings."""
        return (*self.stand_ins, *self.units)


def survey_catalog(model: FittedModel, chunks: Chunks) -> Survey:
    """Checks columns, ids and coordinates, and samples rows evenly over the whole catalogue.

    Probable stand-ins are counted over the whole catalogue.

    Raises
    ------
    InputError
        For a missing column, a missing or repeated id, coordinates out of range, and a number that
        probably stands for no value in much of a column.
    """
    _check_columns(model, chunks)
    config, roles = model.config, model.config.catalog
    used = {roles.id, roles.ra, roles.dec, roles.block, *needed_columns(config)}
    names = [name for name in chunks.colnames if name in used]

    def read() -> Iterator[Table]:
        return (uniform_chunk(model, chunk) for chunk in chunks.read(names))

    check, sample = WholeCheck(roles), []
    stand_ins = stand_in_check(config)
    spacing, first_row = -(-chunks.n_rows // SAMPLE_SIZE), 0
    for chunk in read():
        check.add(chunk)
        stand_ins.add(chunk)
        sample.append(subset(chunk, rows=slice(-first_row % spacing, None, spacing)))
        first_row += len(chunk)
    check.close(read)
    stacked = sample[0] if len(sample) == 1 else _stacked(sample)
    return Survey(
        sample=stacked,
        ranges=column_ranges(in_units_of_run(model, stacked), config),
        stand_ins=stand_in_warnings(model, stand_ins, stacked),
        units=tuple(run_unit_warnings(model, stacked)),
    )


def _stacked(samples: list[Table]) -> Table:
    """The rows of all samples; a column that is empty in a chunk has the type of other chunks."""
    for name in samples[0].colnames:
        texts = [masked_column(sample, name).dtype.kind == "U" for sample in samples]
        if any(texts) and not all(texts):
            for sample in samples:
                column = masked_column(sample, name)
                if column.dtype.kind == "f" and column.mask.all():
                    empty = MaskedColumn(np.full(len(sample), ""), mask=True)
                    sample.replace_column(name, empty)
    return vstack(samples, metadata_conflicts="silent")


def in_units_of_run(model: FittedModel, table: Table) -> Table:
    """The table with the columns that features need in the units of the run."""
    table = table.copy(copy_data=False)
    state_degrees(table, model.config)
    return convert_units(table, _run_units(model), list(needed_columns(model.config)))


def check_values(model: FittedModel, table: Table) -> tuple[str, ...]:
    """The warnings of `survey_catalog` about stand-ins and units, for a table in memory.

    Raises InputError for a number that probably stands for no value in much of a column.
    """
    check = stand_in_check(model.config)
    check.add(table)
    return (*stand_in_warnings(model, check, sampled(table)), *run_unit_warnings(model, table))


def stand_in_warnings(model: FittedModel, check: StandInCheck, sample: Table) -> tuple[str, ...]:
    """Warnings of values that the training catalogue never had. Raises InputError for many."""
    trained, found = model.trained_on, units_of(sample, sample.colnames)
    ranges, sky = {}, set().union(*sky_columns(model.config))
    for name, values in trained.columns.items():
        if name in sky:
            continue  # another part of the sky is no sign of stand-ins
        wanted = parse_unit(trained.units.get(name, ""))
        given = parse_unit(found.get(name, "")) or wanted
        factor = 1.0 if given is None else factor_between(wanted, given)
        if factor is not None:  # None: refused where units are converted
            ranges[name] = values.times(factor)
    markers = model.config.catalog.missing_values
    return stand_in_messages(check.suspects(sample, ranges), markers, trained=ranges)


def run_unit_warnings(model: FittedModel, table: Table) -> list[str]:
    """Warnings where only one of a catalogue and the run has units."""
    names = [name for name in needed_columns(model.config) if name in table.colnames]
    columns = {name: masked_column(table, name) for name in names}
    # A column without a value, such as one that the catalogue lacks, needs no unit.
    numbers = [n for n, c in columns.items() if c.dtype.kind in "iuf" and not c.mask.all()]
    trained, found = _run_units(model), units_of(table, numbers)
    ra, dec = sky_columns(model.config)
    sky = [name for name in numbers if name in ra | dec and name not in found]
    return unit_warnings(found | dict.fromkeys(sky, "deg"), trained, numbers) + [
        f"column {name!r} names no unit, so it is taken to be in degrees, but the run was trained "
        f"on {trained[name]}; if that is its unit too: {units_option(name, trained[name])} (in "
        "Python units=)"
        for name in sky
        if trained[name] != "deg"
    ]


def _run_units(model: FittedModel) -> dict[str, str]:
    """The units of the run; coordinates without one are in degrees."""
    ra, dec = sky_columns(model.config)
    return dict.fromkeys([*ra, *dec], "deg") | dict(model.units)


def match_to_run(model: FittedModel, chunks: Chunks, columns: ColumnOptions) -> Matched:
    """The catalogue under the column names of the run; errors as of `match_columns`."""
    roles = model.config.catalog
    used = [roles.id, roles.ra, roles.dec, roles.label, roles.source, roles.group, roles.block]
    known = [*needed_columns(model.config), *filter(None, used), *roles.keep]
    columns = with_aliases(columns, roles.aliases, chunks.colnames)
    return match_columns(chunks, columns, roles.id, list(dict.fromkeys(known)))


def uniform_chunk(model: FittedModel, chunk: Table) -> Table:
    """The chunk with the column types of a training catalogue."""
    config = model.config
    needed, numbers = list(needed_columns(config)), number_columns(config)
    return uniform_catalog(chunk, config.catalog, needed, "classify", numbers=numbers)


def _check_columns(model: FittedModel, chunks: Chunks) -> None:
    """Check the names of all columns before reading; an error suggests the nearest name."""
    roles = model.config.catalog
    # A single row without an id is given one.
    names = [*chunks.colnames, *([roles.id] if chunks.n_rows == 1 else [])]
    try:
        check_present(names, roles, list(needed_columns(model.config)), "classify")
    except InputError as error:
        if not (model.folder / "card.md").is_file():
            raise
        name = model.folder.name
        raise InputError(
            f"{error}. The columns of this ready-made model, and the step of 'xbayes enhance' that "
            f"makes each of them: xbayes models {name}"
        ) from None
