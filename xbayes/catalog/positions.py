"""Positions as people write them: degrees, sexagesimal, names of the form J..., Galactic."""

import re
from typing import Any, NamedTuple

from xbayes.errors import InputError

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_SIGNED = rf"[+-]?(?:{_NUMBER})"
_J_NAME = re.compile(
    r"(?:\S+\s+|\d?[A-Z]+)?J(\d\d)(\d\d)(\d\d(?:\.\d*)?|\.\d+)?([+-])(\d\d)(\d\d)(\d\d(?:\.\d*)?|\.\d+)?",
    re.IGNORECASE,
)
_GALACTIC = (
    re.compile(rf"G\s*({_NUMBER})\s*([+-](?:{_NUMBER}))", re.IGNORECASE),
    re.compile(
        rf"(?:gal\w*\s+)?l\s*[=:]?\s*({_SIGNED})d?[\s,;]+b\s*[=:]?\s*({_SIGNED})d?", re.IGNORECASE
    ),
    re.compile(rf"gal\w*\s+({_SIGNED})d?[\s,;]+({_SIGNED})d?", re.IGNORECASE),
    re.compile(rf"({_SIGNED})d?[\s,;]+({_SIGNED})d?\s+gal\w*", re.IGNORECASE),
)
_WORDS = re.compile(r"\b(?:ra|dec|icrs|fk5|eq\w*|j2000(?:\.0)?)\b\s*[=:]?", re.IGNORECASE)
_MARKS = str.maketrans(
    {"−": "-", "–": "-", "°": "d", "º": "d", "′": "m", "'": "m", "″": "s", '"': "s", "ʰ": "h"}
    | {"ᵐ": "m", "ˢ": "s", ",": " ", ";": " "}
)


class Position(NamedTuple):
    """A position in degrees (ICRS)."""

    ra: float
    dec: float


class _Angle(NamedTuple):
    numbers: list[float]
    negative: bool
    letters: frozenset[str]  # of h, d, m, s and :


def parse_position(text: str) -> Position | None:
    """The position that a text states; None if it is something else, such as a name.

    Two numbers are degrees; sexagesimal right ascension is in hours. A name that holds a position,
    such as 4XMM J004244.3+411609, is the position.

    Raises
    ------
    InputError
        If no such place exists on the sky.
    """
    found = galactic_position(text) or j_position(text)
    if found is not None:
        return found
    plain = _WORDS.sub(" ", text).translate(_MARKS).strip().lower()
    if not re.fullmatch(r"[+-]?[\d.][\d\s.:hmsd+-]*", plain):
        return None
    halves = _halves(plain)
    if halves is None:
        return None
    first, second = (_angle(half) for half in halves)
    if first is None or second is None:
        return None
    in_hours = "h" in first.letters or (len(first.numbers) > 1 and "d" not in first.letters)
    ra = _degrees(first, text) * (15 if in_hours else 1)
    return _checked(ra, _degrees(second, text), text)


def j_position(text: str) -> Position | None:
    """The position in a name such as CXO J004244.3+411609; None if there is none."""
    found = _J_NAME.fullmatch(text.translate(_MARKS).strip())
    if found is None:
        return None
    h, m, s, sign, d, arcmin, arcsec = found.groups()
    ra = _Angle([float(h), *_rest(m, s)], negative=False, letters=frozenset("h"))
    dec = _Angle([float(d), *_rest(arcmin, arcsec)], negative=sign == "-", letters=frozenset("d"))
    return _checked(15 * _degrees(ra, text), _degrees(dec, text), text)


def galactic_position(text: str) -> Position | None:
    """The position of a text such as G121.17-21.57 or l=121.17 b=-21.57; None for other texts."""
    plain = text.translate(_MARKS).strip()
    found = next((m for form in _GALACTIC if (m := form.fullmatch(plain))), None)
    if found is None:
        return None
    l_deg, b_deg = map(float, found.groups())
    if not -180 <= l_deg <= 360 or not -90 <= b_deg <= 90:
        raise InputError(
            f"{text!r}: l must be from 0 to 360 degrees and b from -90 to 90; found l = {l_deg:g}, "
            f"b = {b_deg:g}"
        )
    return _of_galactic(l_deg, b_deg)


def _of_galactic(l_deg: float, b_deg: float) -> Position:
    import numpy as np
    from astropy.coordinates import SkyCoord

    place: Any = SkyCoord(l_deg, b_deg, unit="deg", frame="galactic").transform_to("icrs")
    ra, dec = (np.asarray(angle.to_value("deg")) for angle in (place.ra, place.dec))
    return Position(float(ra) % 360, float(dec))


def _rest(minutes: str, seconds: str | None) -> list[float]:
    """Minutes and seconds; what follows a point directly are decimals of the minutes."""
    if seconds is None or seconds.startswith("."):
        return [float(minutes + (seconds or ""))]
    return [float(minutes), float(seconds)]


def _halves(text: str) -> tuple[str, str] | None:
    """The texts of the two coordinates."""
    sign = re.search(r"(?<=[\d.\shmsd])[+-]", text[1:])
    if sign is not None:
        first, second = text[: sign.start() + 1], text[sign.start() + 1 :]
        # 0042+4116 is a part of a name, but 10.68+41.27 is a place.
        is_name = re.fullmatch(r"\d+", first.strip()) and " " not in first and ":" not in first
        return None if is_name else (first, second)
    words = text.split()
    if len(words) % 2 or not words:
        return None
    middle = len(words) // 2
    return " ".join(words[:middle]), " ".join(words[middle:])


def _angle(text: str) -> _Angle | None:
    numbers = re.findall(_NUMBER, text)
    whole = rf"\s*[+-]?\s*(?:(?:{_NUMBER})[\s:hmsd]*){{1,3}}"
    if not re.fullmatch(whole, text):
        return None
    # Only the last number may have decimals.
    if any("." in number for number in numbers[:-1]):
        return None
    letters = frozenset(re.findall(r"[hmsd:]", text))
    return _Angle([float(n) for n in numbers], text.strip().startswith("-"), letters)


def _degrees(angle: _Angle, text: str) -> float:
    if any(part >= 60 for part in angle.numbers[1:]):
        raise InputError(f"{text!r}: minutes and seconds must be below 60")
    value = sum(part / 60**power for power, part in enumerate(angle.numbers))
    return -value if angle.negative else value


def _checked(ra: float, dec: float, text: str) -> Position:
    if not -90 <= dec <= 90:
        swapped = "; right ascension comes first" if abs(ra) <= 90 else ""
        raise InputError(
            f"{text!r}: the declination must be from -90 to 90 degrees; found {dec:g}{swapped}"
        )
    if not -180 <= ra <= 360:
        raise InputError(
            f"{text!r}: the right ascension must be from 0 to 360 degrees; found {ra:g}"
        )
    return Position(ra % 360, dec)
