"""Values of the catalogue as text in tables."""

import math

from xbayes.catalog.query import ColumnInfo

ABSENT = "–"
PLAIN = (1e-3, 1e6)  # numbers outside are written with an exponent


def cell_text(value: object, column: ColumnInfo) -> str:
    """A value as a table shows it: the digits that matter, and a dash for none."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return ABSENT
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if not isinstance(value, float):
        return str(value)
    if column.unit == "deg" and abs(value) >= PLAIN[0]:
        return _minus(f"{value:.5f}")
    if column.ucd.startswith("stat.probability"):
        return _probability(value)
    if value == 0 or PLAIN[0] <= abs(value) < PLAIN[1]:
        return _minus(f"{value:.4g}")
    return _minus(f"{value:.3e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e"))


def _probability(value: float) -> str:
    if 0 < value < 0.0005:
        return f"{value:.1e}".replace("e-0", "e-")
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
