"""Checks of names and proportions, and how a check of a config tells what it found."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, Strict
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Column = Annotated[str, Field(min_length=1)]
Proportions = dict[str, Number]

SUM_TOLERANCE = 1e-6
# A category and a feature are part of column names of the output, and so is a class.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
CLASS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Record(BaseModel):
    """A part of a config: frozen, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Problem(NamedTuple):
    """One thing wrong in a config: where (keys and list indices), and what to tell."""

    path: tuple[str | int, ...]
    message: str


def did_you_mean(name: str, known: Iterable[str], what: str = "have") -> str:
    """Ending of a message: the nearest known name, or the first of the known names."""
    names = list(known)
    spelled = {known.lower(): known for known in reversed(names)}
    near = difflib.get_close_matches(str(name).lower(), spelled, n=1)
    if near:
        return f" (did you mean {spelled[near[0]]!r}?)"
    more = ", ..." if len(names) > 20 else ""
    return f"; {what} {', '.join(names[:20])}{more}" if names else ""


def proportion_problems(proportions: Mapping[str, float], classes: Sequence[str]) -> list[Problem]:
    """What keeps a mapping from being one positive proportion per class that sum to 1."""
    problems = [
        Problem((name,), f"no such class{did_you_mean(name, classes, 'classes are')}")
        for name in proportions
        if name not in classes
    ]
    lacking = [name for name in classes if name not in proportions]
    if lacking:
        problems.append(
            Problem((), f"needs a proportion for every class; none for {quoted(lacking)}")
        )
    problems += [
        Problem((name,), f"a proportion must be above 0; found {value}")
        for name, value in proportions.items()
        if not value > 0
    ]
    total = sum(proportions.values())
    if not problems and not abs(total - 1) <= SUM_TOLERANCE:
        problems.append(Problem((), f"proportions must sum to 1; these sum to {total:.7g}"))
    return problems


def quoted(names: Iterable[str]) -> str:
    """Names as a list in a message."""
    return ", ".join(repr(name) for name in names)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise the problems as pydantic errors, each at its own place below the record checked."""
    details = [
        # The text goes in as a value, because braces in a template would be read as fields.
        InitErrorDetails(
            type=PydanticCustomError("config", "{text}", {"text": text}), loc=path, input=None
        )
        for path, text in problems
    ]
    if details:
        raise ValidationError.from_exception_data("config", details)


def name_problems(
    names: Iterable[str], form: re.Pattern[str], what: str, path: tuple[str, ...] = ()
) -> list[Problem]:
    """The names that do not have the form, each a problem at path + its name."""
    return [
        Problem((*path, name), f"{what} must match {form.pattern}; found {name!r}")
        for name in names
        if not form.fullmatch(name)
    ]


def is_number(value: object) -> bool:
    """True for what YAML calls a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
