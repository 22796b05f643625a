"""Which rows meet enough of several conditions over columns."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from xbayes.config.model import WellCharacterised
from xbayes.features.expression import parse
from xbayes.types import InputError

PLACE = "validation.well_characterised.of"


def well_characterised(table: Table, wanted: WellCharacterised) -> Bool[np.ndarray, "N"]:
    """Rows in which at least as many of the conditions hold as are wanted; missing is not true.

    Raises InputError for an expression that cannot be read or is no condition.
    """
    holding = np.zeros(len(table), int)
    for number, text in enumerate(wanted.of):
        try:
            found = parse(text).evaluate(table)
        except InputError as error:
            raise InputError(f"{PLACE}.{number}: {error}") from None
        if not found.is_condition:
            raise InputError(
                f"{PLACE}.{number}: must be a condition, such as observed(Gmag) or "
                f"significance > 10; {text!r} is a number"
            )
        holding += ~found.missing & (found.value == 1)
    return holding >= wanted.at_least
