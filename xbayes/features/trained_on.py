"""Facts about a training catalogue that a run keeps: units, and ranges of columns and features."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.catalog.columns import subset
from xbayes.catalog.ranges import TrainedOn, ValueRange, range_of
from xbayes.catalog.stand_in_messages import stand_in_messages
from xbayes.catalog.stand_ins import StandInCheck
from xbayes.catalog.units import state_units, units_of
from xbayes.config.schema import Config
from xbayes.features.availability import LackedBy
from xbayes.features.blocks import lacking_blocks
from xbayes.features.build import columns_lacking, error_columns, needed_columns, sky_columns
from xbayes.features.conditions import condition_columns
from xbayes.features.values import read_column
from xbayes.types import Features

SAMPLED = 50_000  # rows from which the ranges are taken


def trained_on(
    table: Table, features: Features, labelled: Bool[np.ndarray, "N"], config: Config
) -> TrainedOn:
    """The units and ranges of the columns that features need, and the ranges of the features.

    Ranges leave stand-ins out.
    """
    ranges = {}
    for f, name in enumerate(config.features):
        measured = np.asarray(features.measured)[:, f] & labelled
        found = range_of(np.asarray(features.value, np.float64)[measured, f])
        ranges |= {} if found is None else {name: found}
    return TrainedOn(
        units=units_of(table, list(needed_columns(config))),
        columns=column_ranges(table, config),
        features=ranges,
        lacked_by=_lacked_by(table, config) if config.catalog.block else {},
    )


def _lacked_by(table: Table, config: Config) -> LackedBy:
    """Of each column that features and classes need, the blocks that lack it entirely."""
    values = {name: read_column(table, name) for name in condition_columns(config)}
    return {**lacking_blocks(table, config, values), **columns_lacking(table, config)}


def stand_in_check(config: Config) -> StandInCheck:
    """The check of the columns that features need and of the coordinates, for a config."""
    roles = config.catalog
    names = dict.fromkeys([*needed_columns(config), *filter(None, (roles.ra, roles.dec))])
    return StandInCheck(names, roles.measured_values, error_columns(config))


def sampled(table: Table) -> Table:
    """Rows spread evenly over a table, at most SAMPLED."""
    return subset(table, rows=slice(None, None, max(1, -(-len(table) // SAMPLED))))


def column_ranges(table: Table, config: Config) -> dict[str, ValueRange]:
    """The range of every column of numbers that features need."""
    check, rows = stand_in_check(config), sampled(table)
    check.add(table)
    return check.ranges(rows, check.suspects(rows))


def training_stand_ins(table: Table, config: Config) -> tuple[str, ...]:
    """Warnings of probable stand-ins in a training catalogue. Raises InputError for many."""
    check = stand_in_check(config)
    check.add(table)
    return stand_in_messages(check.suspects(sampled(table)), config.catalog.missing_values)


def state_degrees(table: Table, config: Config) -> None:
    """Coordinates for which nobody names a unit are in degrees; in place."""
    ra, dec = sky_columns(config)
    state_units(table, dict.fromkeys([*ra, *dec], "deg"))
