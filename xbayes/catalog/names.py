"""Names of columns that can be used: printable, not empty, and each only once."""

import warnings
from collections.abc import Sequence

from xbayes.catalog.adapt import distinct_names
from xbayes.errors import XbayesWarning

_SHOWN = 5


def usable_names(names: Sequence[str], place: object, *, tell: bool = True) -> list[str]:
    """The names under which the columns of a catalogue are read.

    Blanks at the ends are left out, characters that cannot be printed are replaced, and a repeated
    name has a number added. One warning (`tell`) names all changes; `place` is the catalogue in it.
    """
    usable = distinct_names(names, "")
    changed = [
        f"column {number}, named {old!r}, is read as {new!r}"
        for number, (old, new) in enumerate(zip(names, usable, strict=True), start=1)
        if old != new
    ]
    if changed and tell:
        more = f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        text = f"{place}: every column needs a name of its own: {'; '.join(changed[:_SHOWN])}{more}"
        warnings.warn(text, XbayesWarning, stacklevel=2)
    return usable
