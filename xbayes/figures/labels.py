"""The text of a feature on an axis and in a table."""

import re
import textwrap
from typing import NamedTuple

# A number in front of a unit: a power of ten, as in 10**-15 erg/s, 10^-15 erg/s or 10-15 erg/s, or
# any other, as in 1e-15 erg/s.
_POWER = re.compile(r"\s*10(?:\*\*|\^)?\(?([+-]\d+)\)?\s*\*?\s*(?=[^\d\s])")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?:\s*\*\s*|\s+)(?=[^\d\s*])")


class FeatureLabel(NamedTuple):
    """The name, description and unit of a feature, for readers."""

    name: str
    category: str
    description: str = ""
    unit: str = ""  # of the expression, before the scale
    scale: str = "linear"  # linear, log10 or squash


def value_text(value: float, unit: str) -> str:
    """A value with its unit, such as 1.429e-13 erg/s/cm2 for 142.9 of 1e-15 erg/s/cm2."""
    if power := _POWER.match(unit):
        value, unit = value * 10.0 ** int(power[1]), unit[power.end() :]
    elif number := _NUMBER.match(unit):
        value, unit = value * float(number[1]), unit[number.end() :]
    return f"{value:.4g} {unit}".strip()


def axis_label(label: FeatureLabel, width: int = 10_000) -> str:
    """'<description> [unit]' with the scale, in lines of at most `width` characters."""
    text = label.description or label.name
    if label.unit:
        text += f" [{label.unit}]"
    if label.scale == "log10":
        text = f"log10 of {text}"
    if label.scale == "squash":
        text = f"x / (1 + |x|), x = {text}"
    return "\n".join(textwrap.wrap(text, width))


def shortened(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis if some were dropped; never a formula."""
    short = text if len(text) <= length else text[: max(length - 1, 1)].rstrip() + "…"
    return short.replace("$", r"\$")  # matplotlib would typeset text between two dollars
