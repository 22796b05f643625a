"""Why one source of a catalogue got its class: its probability track under a fitted run."""

import difflib
from bisect import bisect
from collections.abc import Callable

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import table_chunks
from xbayes.catalog.roles import check_catalog
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.patterns import classify_by_pattern, parts_of
from xbayes.errors import InputError
from xbayes.features.build import build_features, needed_columns
from xbayes.features.conditions import number_columns
from xbayes.features.prior import source_prior
from xbayes.figures.track_record import Track
from xbayes.report.build_tracks import tracks_of
from xbayes.tasks.absent_features import patterns_of
from xbayes.tasks.classify import AS_TRAINED
from xbayes.tasks.survey import check_values, in_units_of_run, match_to_run

COMPARED = 4000  # names compared letter by letter, those nearest in alphabetical order


def explain_source(
    model: FittedModel,
    table: Table,
    name: str,
    *,
    columns: ColumnOptions = AS_TRAINED,
    warn: Callable[[str], None] = lambda message: None,
) -> Track:
    """The probability track of the source called `name`.

    The whole catalogue is classified, not only this row: the columns available in a block are known
    from all its rows, and so the numbers are exactly those of `classify`.

    Parameters
    ----------
    model
        The fitted run, under the prior to apply.
    table
        The catalogue that holds the source.
    name
        Its id, as in the id column.
    columns
        How the columns of the catalogue differ from those of the run, as in `classify_chunks`.
    warn
        Called with each warning.

    Raises
    ------
    InputError
        If the catalogue cannot be classified, or does not hold the source exactly once.
    """
    matched = match_to_run(model, table_chunks(table, len(table)), columns)
    model = model.with_optional(columns.optional, **columns.values_by_key())
    config = model.config
    id_column = config.catalog.id
    with matched.explaining_errors():
        table = next(matched.chunks.read(None))
        if id_column in table.colnames:
            find_row(masked_column(table, id_column), name)  # an error comes before the long work
        needed, numbers = list(needed_columns(config)), number_columns(config)
        checked = check_catalog(table, config.catalog, needed, "classify", numbers=numbers)
        lacked_by = model.trained_on.lacked_by
        converted = in_units_of_run(model, checked)
        features, report = build_features(converted, config, lacked_by)
        of_source = source_prior(converted, config, model.applied_log_prior, lacked_by)
        suspicions = check_values(model, checked)
    for message in (*suspicions, *report.warnings):
        warn(matched.explained(message))
    row = find_row(masked_column(checked, id_column), name)
    features = features.rows(slice(row, row + 1))
    log_prior = model.log_prior
    if of_source is not None:
        log_prior = of_source.log_prior[row : row + 1]
    patterns = patterns_of(model, warn)
    (part,) = parts_of(model.classifier, features, patterns)
    products = classify_by_pattern(
        model.recipe, model.classifier, features, patterns, log_prior=log_prior
    )
    return tracks_of(
        config,
        model.recipe,
        part.classifier,
        [str(checked[id_column][row])],
        part.features,
        products,
        log_prior=log_prior,
    )[0]


def find_row(ids: MaskedColumn, name: str) -> int:
    """The row of the source with this id; in a column of numbers "7" and "007" are both 7.

    Raises `InputError` if there is no such row, naming the nearest ids, or more than one.
    """
    values = np.ma.getdata(ids)
    texts = np.char.strip(values.astype(str))
    rows = np.flatnonzero((texts == name.strip()) & ~np.ma.getmaskarray(ids))
    if not len(rows) and values.dtype.kind in "iuf":
        rows = np.flatnonzero(_equal_numbers(values, name))
    if len(rows) > 1:
        shown = ", ".join(str(row + 1) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
        raise InputError(
            f"{name!r} is in rows {shown} of the catalogue (column {ids.name!r}); ids must be "
            "unique: remove the repeated rows"
        )
    if not len(rows):
        near = ", ".join(repr(text) for text in _nearest(name.strip(), texts.tolist()))
        raise InputError(
            f"no source {name!r} in column {ids.name!r} of the catalogue; the nearest are {near}"
        )
    return int(rows[0])


def _equal_numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        # Integers stay integers: long ids would lose digits as floats.
        return values == (float(name) if values.dtype.kind == "f" else int(name))
    except ValueError:
        return np.zeros(len(values), bool)


def _nearest(name: str, texts: list[str]) -> list[str]:
    texts = sorted(set(texts) - {""})
    at = bisect(texts, name)
    first = max(0, min(at - COMPARED // 2, len(texts) - COMPARED))
    nearby = texts[first : first + COMPARED]
    return difflib.get_close_matches(name, nearby, n=3, cutoff=0.0)
