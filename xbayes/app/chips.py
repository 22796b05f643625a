"""The conditions of a selection in words, each with the address without it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from starlette.datastructures import QueryParams

from xbayes.app.address import Address
from xbayes.app.selection_url import listed
from xbayes.catalog.selection import PROBABILITY, WIDTH, Selection

SHOWN_NAMES = 3
Translate = Callable[[str], str]


class Chip(NamedTuple):
    """One condition of a selection."""

    text: str
    without: str  # address without the condition


def chips(
    query: QueryParams, selection: Selection, address: Address, translate: Translate
) -> list[Chip]:
    """The conditions of a selection, in words."""
    return list(_chips(query, selection, address, translate))


def _chips(
    query: QueryParams, selection: Selection, address: Address, _: Translate
) -> Iterator[Chip]:
    text, cone = query.get("q", "").strip(), selection.cone
    if cone is not None:
        place = f"{cone.ra:.5f} {cone.dec:+.5f}"
        around = f"{text} ({place})" if text else place
        words = _("within %(radius)s of %(place)s")
        yield Chip(
            words % {"radius": angle_text(cone.radius), "place": around},
            address.without("q", "ra", "dec", "radius"),
        )
    elif text:
        words = _("name contains “%(text)s”") % {"text": text}
        yield Chip(words, address.without("q", "radius"))
    for name in selection.classes:
        words = _("class %(name)s") % {"name": name}
        yield Chip(words, address.without("class", value=name))
    for key, sign in (("p_min", "≥"), ("p_max", "≤"), ("width_max", "≤")):
        value = getattr(selection, key)
        if value is not None:
            what = _("interval width") if key == "width_max" else _("probability")
            yield Chip(f"{what} {sign} {value:g}", address.without(key))
    if selection.in_set:
        words = _("%(name)s in the prediction set") % {"name": selection.in_set}
        yield Chip(words, address.without("set"))
    for key, value in query.multi_items():
        if key.startswith("f.") and value.strip():
            yield Chip(_condition(key[2:], value.strip(), _), address.without(key, value=value))
    if selection.sky_box is not None:
        yield Chip(_("rectangle on the sky map"), address.without("box"))
    names = listed(query, "ids")
    if names:
        yield Chip(_names(names, _), address.without("ids"))


def angle_text(degrees: float) -> str:
    """An angle in the unit that suits it."""
    for unit, per_degree in (("°", 1), ("′", 60), ("″", 3600)):
        if degrees * per_degree >= 1 or unit == "″":
            return f"{degrees * per_degree:.4g}{unit}"
    raise AssertionError


def _condition(column: str, value: str, _: Translate) -> str:
    name = {PROBABILITY: _("probability"), WIDTH: _("interval width")}.get(column, column)
    if value in ("null", "!null"):
        return (_("%(name)s: no value") if value == "null" else _("%(name)s: any value")) % {
            "name": name
        }
    low, dots, high = value.partition("..")
    if not dots:
        return f"{name} = {value.replace('|', ' | ')}"
    low, high = _short(low), _short(high)
    if low and high:
        return f"{low} ≤ {name} ≤ {high}"
    return f"{name} ≥ {low}" if low else f"{name} ≤ {high}"


def _short(text: str) -> str:
    try:
        return f"{float(text):.4g}" if text.strip() else ""
    except ValueError:
        return text


def _names(names: Sequence[str], _: Translate) -> str:
    if len(names) <= SHOWN_NAMES:
        return ", ".join(names)
    return _("%(n)s sources by name") % {"n": len(names)}
