"""A what-if question in the address of a page, so that it can be shared.

prior.CLASS=0.2 (of every class) · without=FEATURE or CATEGORY (may be repeated)
set.COLUMN=value · state.COLUMN=not_detected or not_available · distance=1500 (pc)
"""

import math

from starlette.datastructures import QueryParams

from xbayes.app.served_run import Cell, ServedRun
from xbayes.app.source_json import Question
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.features.conditions import text_columns

NOT_DETECTED, NOT_AVAILABLE = "not_detected", "not_available"
ASKING = ("prior.", "set.", "state.", "without", "distance")


def question_of(query: QueryParams, run: ServedRun) -> Question:
    """The question in an address; an empty one if it asks nothing.

    Raises
    ------
    InputError
        For a value that cannot be understood.
    """
    prior, changes, absent = {}, {}, []
    for key, text in query.multi_items():
        if not text.strip():
            continue
        if key.startswith("prior."):
            prior[key.removeprefix("prior.")] = number(text, f"the prior of {key[6:]}")
        elif key.startswith("set."):
            name = key.removeprefix("set.")
            changes[name] = value_of(run, name, text)
    for key, text in query.multi_items():
        name = key.removeprefix("state.")
        if key.startswith("state.") and text == NOT_DETECTED:
            changes[name] = None
        elif key.startswith("state.") and text == NOT_AVAILABLE:
            absent.append(name)
            changes.pop(name, None)
    distance = query.get("distance", "").strip()
    return checked(
        Question(
            prior=prior or None,
            without=[name for name in query.getlist("without") if name],
            changes=changes,
            not_available=absent,
            distance=positive(distance, "distance") if distance else None,
        ),
        run,
    )


def asks_something(question: Question) -> bool:
    """Whether a question changes anything."""
    return bool(
        question.prior
        or question.without
        or question.changes
        or question.not_available
        or question.distance
    )


def checked(question: Question, run: ServedRun) -> Question:
    """The question, if it names classes, features and columns of the run. Raises InputError."""
    names = run.fitted.model.recipe.names
    known = {*names.features, *names.categories}
    for name in question.without:
        if name not in known:
            raise InputError(
                f"no feature or category {name!r}; the categories are {', '.join(names.categories)}"
            )
    needed = needed_columns(run.fitted.config)
    for name in (*question.changes, *question.not_available):
        if name not in needed:
            raise InputError(
                f"no feature reads a column {name!r}; the columns are {', '.join(needed)}"
            )
    return question


def value_of(run: ServedRun, column: str, text: str) -> Cell:
    """The value of a column as somebody wrote it."""
    if column in text_columns(run.fitted.config):
        return text.strip()
    unit = run.fitted.model.units.get(column, "")
    return number(text, f"{column}{f' [{unit}]' if unit else ''}")


def number(text: str, name: str) -> float:
    """The number that somebody wrote. Raises InputError, naming the field."""
    try:
        value = float(text.strip().replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} must be a number; found {text.strip()[:60]!r}")
    return value


def positive(text: str, name: str) -> float:
    """A number above 0. Raises InputError."""
    value = number(text, name)
    if value <= 0:
        raise InputError(f"{name} must be above 0; found {value:g}")
    return value
