"""Conditions over columns: which rows satisfy enough of them, and which columns are numbers."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.config.catalog import SEXAGESIMAL
from xbayes.config.schema import Config
from xbayes.config.validation import WellCharacterised
from xbayes.features.build import expressions_of, needed_columns
from xbayes.features.expression import errors_name, parse
from xbayes.types import InputError


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
    return () if wanted is None else wanted.of


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
