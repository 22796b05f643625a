"""The form that classifies one source, made from the config of the run."""

from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import QueryParams

from xbayes.app.served_run import Cell, ServedRun
from xbayes.app.what_if_url import NOT_DETECTED, number, value_of
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.features.conditions import text_columns

VALUE, STATE = "v.", "s."  # of the names of fields


class Field(NamedTuple):
    """A column that the features read, as a field of the form."""

    name: str
    unit: str
    description: str
    is_text: bool
    low: float | None  # 5 % and 95 % quantile of the training sample
    high: float | None
    readers: tuple[str, ...]  # features
    may_be_not_detected: bool
    is_position: bool


def fields_of(run: ServedRun) -> dict[str, list[Field]]:
    """The fields by the category of the first feature that reads them."""
    config, names = run.fitted.config, run.fitted.model.recipe.names
    found: dict[str, list[Field]] = {"": [], **{name: [] for name in names.categories}}
    for column, readers in needed_columns(config).items():
        category = config.features[readers[0]].category if readers else ""
        found[category].append(_field(run, column, readers))
    return {category: fields for category, fields in found.items() if fields}


def _field(run: ServedRun, column: str, readers: tuple[str, ...]) -> Field:
    config, trained = run.fitted.config, run.fitted.model.trained_on
    known = trained.columns.get(column)
    info = run.catalogue.columns.get(column)
    text = info.description if info is not None and info.description else ""
    if not text and len(readers) == 1:
        feature = config.features[readers[0]]
        text = feature.description if feature.expression.strip() == column else ""
    return Field(
        name=column,
        unit=trained.units.get(column, ""),
        description=text,
        is_text=column in text_columns(config),
        low=None if known is None else known.q05,
        high=None if known is None else known.q95,
        readers=readers,
        may_be_not_detected=any(config.features[r].missing == "evidence" for r in readers),
        is_position=column in (config.catalog.ra, config.catalog.dec),
    )


def row_of(query: QueryParams, run: ServedRun) -> dict[str, Cell]:
    """The source in a filled-in form: an empty field is not available, None is not detected.

    Raises
    ------
    InputError
        For a field that cannot be understood.
    """
    needed, row = needed_columns(run.fitted.config), {}
    for key, text in query.multi_items():
        name = key[len(VALUE) :]
        if key.startswith(STATE) and text == NOT_DETECTED:
            row[_known(name, needed)] = None
        elif key.startswith(VALUE) and text.strip() and _known(name, needed) not in row:
            row[name] = value_of(run, name, text)
    return row


def prior_of(query: QueryParams) -> dict[str, float] | None:
    """The prior in a filled-in form; None if it is empty."""
    given = {
        key.removeprefix("prior."): number(text, f"the prior of {key[6:]}")
        for key, text in query.multi_items()
        if key.startswith("prior.") and text.strip()
    }
    return given or None


def _known(name: str, needed: Mapping[str, object]) -> str:
    if name not in needed:
        raise InputError(f"no feature reads a column {name!r}; they read {', '.join(needed)}")
    return name
