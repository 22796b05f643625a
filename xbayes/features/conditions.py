"""Which rows satisfy enough of several conditions over columns."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.config.validation import WellCharacterised
from xbayes.features.expression import errors_name, parse
from xbayes.types import InputError


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
