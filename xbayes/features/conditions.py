"""Conditions over columns: of classes and of well-characterised rows; which columns are numbers."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.catalog.taxonomy import Condition
from xbayes.config.catalog import SEXAGESIMAL
from xbayes.config.schema import Config
from xbayes.config.validation import WellCharacterised
from xbayes.errors import InputError
from xbayes.features.availability import LackedBy, truth_of, unavailable_columns
from xbayes.features.blocks import lacking_blocks, read_block
from xbayes.features.build import expressions_of, needed_columns
from xbayes.features.expression import errors_name, parse
from xbayes.features.values import nothing, read_column


def number_columns(config: Config) -> frozenset[str]:
    """The columns that are read as numbers, where a file does not say which are: see `read_csv`."""
    roles = config.catalog
    stated = [name for name, unit in roles.units.items() if unit not in SEXAGESIMAL]
    rules = {name for rule in _rules(config) for name in parse(rule).columns}
    columns = {*needed_columns(config), *rules} - text_columns(config)
    columns |= {*stated, *roles.measured_values}
    return frozenset(columns | {name for name in (roles.ra, roles.dec) if name is not None})


def text_columns(config: Config) -> frozenset[str]:
    """The columns that are compared with text, such as flag == "1", and needed as nothing else."""
    kinds: dict[str, set[str]] = {}
    for expression in (*expressions_of(config), *map(parse, _rules(config))):
        for name, of_column in expression.kinds().items():
            kinds.setdefault(name, set()).update(of_column)
    roles = config.catalog
    others = {*roles.units, *roles.measured_values, roles.ra, roles.dec}
    return frozenset(name for name, found in kinds.items() if found == {"text"}) - others


def _rules(config: Config) -> tuple[str, ...]:
    wanted = config.validation.well_characterised
    rules = () if wanted is None else wanted.of
    return (*rules, *config.taxonomy.conditions.values())


def condition_columns(config: Config) -> frozenset[str]:
    """The columns that the conditions of the classes read; they are needed to learn only.

    Raises InputError for a condition that cannot be read.
    """
    columns: set[str] = set()
    for name, where in config.taxonomy.conditions.items():
        with errors_name(_where_key(name)):
            columns |= parse(where).columns
    return frozenset(columns)


def conditions_of_classes(
    table: Table,
    config: Config,
    lacked_by: LackedBy | None = None,
    own_names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Condition]:
    """The conditions of the classes in every row.

    A condition is unknown where a column that it needs is not available, as for features, or is
    not in the table at all.

    Parameters
    ----------
    lacked_by
        The blocks that lack a column, as the run learned them; None learns them from this table.
    own_names
        The names that columns have in this table, by their names in the config.

    Raises
    ------
    InputError
        If a condition cannot be read or is not a condition.
    """
    n_rows, wanted = len(table), condition_columns(config)
    own = {name: own_names.get(name, name) for name in wanted}
    present = {n: read_column(table, own[n]) for n in wanted if own[n] in table.colnames}
    if lacked_by is None:
        lacked_by = lacking_blocks(table, config, present)
    absent = wanted - {*present}
    values = present | dict.fromkeys(absent, nothing("unknown"))
    optional = {*config.catalog.optional, *absent}
    block = read_block(table, config)
    unavailable = unavailable_columns(values, block, lacked_by, optional, n_rows)
    truths = {}
    for name, where in config.taxonomy.conditions.items():
        with errors_name(_where_key(name)):
            truth = truth_of(parse(where), values, unavailable, n_rows)
        truths[name] = Condition(holds=truth.holds, known=truth.known)
    return truths


def _where_key(name: str) -> str:
    return f"taxonomy.classes.{name}.where"


def well_characterised(table: Table, wanted: WellCharacterised) -> Bool[np.ndarray, "N"]:
    """Rows in which at least `wanted.at_least` of the conditions hold; a missing one does not hold.

    Raises
    ------
    InputError
        If an expression cannot be read or is not a condition.
    """
    n_true = np.zeros(len(table), int)
    for number, text in enumerate(wanted.of):
        with errors_name(f"validation.well_characterised.of.{number}"):
            result = parse(text).evaluate(table)
            if not result.is_condition:
                raise InputError(
                    "must be a condition, such as observed(Gmag) or significance > 10; "
                    f"{text!r} is a number"
                )
        n_true += ~result.missing & (result.value == 1)
    return n_true >= wanted.at_least
