"""The text of a feature on an axis and in a table."""

import textwrap
from typing import NamedTuple


class FeatureLabel(NamedTuple):
    """The name, description and unit of a feature, for readers."""

    name: str
    category: str
    description: str = ""
    unit: str = ""  # of the expression, before the scale
    scale: str = "linear"  # linear, log10 or squash


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
