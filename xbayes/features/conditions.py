"""Conditions over columns: which rows satisfy enough of them, and which columns are numbers."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.config.catalog import SEXAGESIMAL
from xbayes.config.schema import Config
from xbayes.config.validation import WellCharacterised
from xbayes.features.build import needed_columns
from xbayes.features.expression import errors_name, parse
from xbayes.types import InputError


def number_columns(config: Config) -> frozenset[str]:
    """The columns that are read as numbers, where a file does not say which are: see `read_csv`."""
    roles, wanted = config.catalog, config.validation.well_characterised
    rules = () if wanted is None else wanted.of
    stated = [name for name, unit in roles.units.items() if unit not in SEXAGESIMAL]
    columns = {*needed_columns(config), *stated, *roles.measured_values}
    columns |= {name for rule in rules for name in parse(rule).columns}
    return frozenset(columns | {name for name in (roles.ra, roles.dec) if name is not None})


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
