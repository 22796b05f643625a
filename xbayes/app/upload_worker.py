"""The work of the process that reads and classifies a table that somebody sent."""

import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table

from xbayes.app.upload_answers import FORMATS, MOST_ROWS, SHOWN, Made, Summary
from xbayes.catalog.match import column_options
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError, XbayesWarning
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.given_catalogue import table_of

ROW = "row"  # numbers rows that have no id


def work(run: Path, path: Path, format: str) -> Summary | Made:
    """The table of a file, classified, for a page or as a file."""
    fitted = load(run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = _read(fitted, path)
        made = fitted.classify(table, **_options(fitted, table))
    told = [str(one.message) for one in caught if issubclass(one.category, XbayesWarning)]
    if format == "page":
        return _summary(fitted, made, list(dict.fromkeys(told)))
    out = path.with_name(f"classified.{format}")
    write_catalog(made, out)
    return Made(content=out.read_bytes(), media_type=FORMATS[format], name=out.name)


def _read(fitted: FittedRun, path: Path) -> Table:
    table, _ = table_of(fitted.config, path, column_options())
    if len(table) > MOST_ROWS:
        raise InputError(
            f"the table has {len(table):,} rows; at most {MOST_ROWS:,} are taken. Larger ones: "
            "xbayes classify RUN CATALOG --out FILE"
        )
    return table


def _options(fitted: FittedRun, table: Table) -> dict:
    """Rows without an id are numbered, and columns that are lacking are not available."""
    from xbayes.features.build import needed_columns

    roles = fitted.config.catalog
    known = {*table.colnames}
    lacking = [
        name
        for name in needed_columns(fitted.config)
        if name not in known and not known & {*roles.aliases.get(name, ())}
    ]
    has_id = bool(known & {roles.id, *roles.aliases.get(roles.id, ())})
    if len(lacking) == len(needed_columns(fitted.config)):
        raise InputError(
            "the table has none of the columns that the features read: "
            f"{', '.join(list(lacking)[:12])}; its columns are {', '.join(table.colnames[:12])}"
        )
    return {"optional": lacking} | ({} if has_id else {"id": ROW})


def _summary(fitted: FittedRun, made: Table, told: list[str]) -> Summary:
    intervals = [f"p_{c}{end}" for c in fitted.classes for end in ("", "_lo", "_hi")]
    wanted = ["prediction", "prediction_set", *intervals, "outlier_p", "n_not_available"]
    first = made.colnames[0]
    name = fitted.config.catalog.id
    ids = name if name in made.colnames else ROW if ROW in made.colnames else first
    columns = [ids, *(column for column in wanted if column in made.colnames)]
    rows = [{name: _cell(made[name][k]) for name in columns} for k in range(min(len(made), SHOWN))]
    return Summary(columns=columns, rows=rows, n_rows=len(made), warnings=told)


def _cell(value: object) -> float | int | str | bool | None:
    if value is np.ma.masked:
        return None
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not np.isfinite(plain):
        return None
    return plain if isinstance(plain, float | int | str | bool) or plain is None else str(plain)
