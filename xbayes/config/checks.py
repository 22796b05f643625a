"""Types of config values, checks that several sections share, and how a check reports problems."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, Strict
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Column = Annotated[str, Field(min_length=1)]
Proportions = dict[str, Number]

SUM_TOLERANCE = 1e-6
# Keys that had another name in the previous release. The old name is read for one release.
RENAMED_KEYS = {
    "model.clusters.strength": "model.clusters.penalty",
    "posterior.kept": "posterior.samples",
}
# Names of classes, categories and features become parts of output column names.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
CLASS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Record(BaseModel):
    """A section of a config: it is frozen and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Problem(NamedTuple):
    """One thing wrong in a config: its path (keys and list indices) and the message."""

    path: tuple[str | int, ...]
    message: str


def below(dotted: str, key: object) -> str:
    """The dotted key of a key in the section `dotted`. Keys of a sweep are dotted already."""
    return str(key) if dotted in ("", "sweep") else f"{dotted}.{key}"


def other_name(dotted: str, key: object, names: Mapping[str, str]) -> object:
    """The name that `names` (dotted old to new, or new to old) gives a key, else the key itself."""
    other = names.get(below(dotted, key))
    if other is None:
        return key
    return other if dotted == "sweep" else other.rpartition(".")[2]


def did_you_mean(name: str, known: Iterable[str], label: str = "have") -> str:
    """Ending of a message: the nearest known name, or else the label and the first known names."""
    names = list(known)
    spelled = {known.lower(): known for known in reversed(names)}
    near = difflib.get_close_matches(str(name).lower(), spelled, n=1)
    if near:
        return f" (did you mean {spelled[near[0]]!r}?)"
    more = ", ..." if len(names) > 20 else ""
    return f"; {label} {', '.join(names[:20])}{more}" if names else ""


def proportion_problems(proportions: Mapping[str, float], classes: Sequence[str]) -> list[Problem]:
    """Problems of a mapping that must give every class a positive proportion, with sum 1."""
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
    """Raise the problems as pydantic errors; paths are relative to the record being checked."""
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
    names: Iterable[str], form: re.Pattern[str], subject: str, path: tuple[str, ...] = ()
) -> list[Problem]:
    """A problem at `path` + name for every name that does not match the form."""
    return [
        Problem((*path, name), f"{subject} must match {form.pattern}; found {name!r}")
        for name in names
        if not form.fullmatch(name)
    ]


def is_number(value: object) -> TypeGuard[float]:
    """Whether YAML calls the value a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
