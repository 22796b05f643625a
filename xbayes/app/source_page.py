"""What a source page shows besides the posterior: what is there of the source, and where."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

from xbayes.app.compute import computing, fitting
from xbayes.app.request import NotThere
from xbayes.app.served_run import Cell, ServedRun
from xbayes.catalog.light_curves import FluxPoint, LightCurves
from xbayes.catalog.query import VIEW, ColumnInfo
from xbayes.errors import InputError
from xbayes.tasks.given_prior import other_prior, same_posterior
from xbayes.tasks.what_if import SourceResult

NEAREST = 5  # ids that an unknown id is answered with
MOST_DETECTIONS = 200
SAME = 1e-3  # difference of probabilities; runs may have single precision
_COUNTERPART = re.compile(
    r"(^|_)(p_any|p_i|p_any_cut|has_counterpart|n_candidates|sep|separation|offset|mag|gmag|jmag|"
    r"hmag|kmag|w[1-4]mag|counterpart\w*|parallax\w*|pm|pmra|pmdec|distance\w*|log_fx_\w+|"
    r"log_luminosity)$",
    re.IGNORECASE,
)


class Shown(NamedTuple):
    """A column of the source, for a table."""

    info: ColumnInfo
    value: Cell


def source_row(run: ServedRun, source: str) -> dict[str, object]:
    """All columns of a source.

    Raises
    ------
    NotThere
        If there is none; the message names the nearest ids.
    """
    catalogue = run.catalogue
    own_id = f"CAST({catalogue.quoted(catalogue.id)} AS VARCHAR)"
    found = catalogue.query(
        f"SELECT * FROM {VIEW} WHERE {own_id} = ? LIMIT 2", (source,)
    ).to_pylist()
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"ids must be unique; {source!r} is that of more than one source")
    near = catalogue.query(
        f"SELECT {own_id} AS id FROM {VIEW} ORDER BY jaro_winkler_similarity({own_id}, ?) DESC "
        f"LIMIT {NEAREST}",
        (source[:200],),
    )
    names = ", ".join(repr(name) for name in near["id"].to_pylist())
    raise NotThere(f"no source {source!r} in the catalogue; the nearest are {names}")


def source_address(run: ServedRun, source: str, several: bool, ending: str = "") -> str:
    """The address of the page of a source."""
    return f"/source/{quote(source, safe='')}{ending}" + (f"?run={run.name}" if several else "")


def inputs_of(run: ServedRun, source: str) -> dict[str, Cell]:
    """The columns that the features read; with the block, which says what may be not available."""
    inputs = run.inputs(source)
    block = run.fitted.config.catalog.block
    if inputs and block in run.catalogue.columns:
        inputs = {block: plain(source_row(run, source)[block]), **inputs}
    return inputs


@lru_cache(maxsize=1024)
def computed(run: ServedRun, source: str) -> SourceResult | None:
    """The track of a source, under the prior of the catalogue.

    None where the columns of its features are not known: they give another posterior then.
    """
    inputs = inputs_of(run, source)
    if not any(value is not None for value in inputs.values()):
        return None
    with fitting(), computing(run):
        result = run.fitted.track(inputs, prior=prior_of(run))
    row = source_row(run, source)
    same = same_posterior(row, result.products, run.fitted.classes, within=SAME)
    return result if same else None


@lru_cache(maxsize=32)
def prior_of(run: ServedRun) -> dict[str, float] | None:
    """The prior that the catalogue was classified under; None: that of the run."""
    return other_prior(run.catalogue.path, run.fitted.model)


def positions(run: ServedRun, row: Mapping[str, object]) -> tuple[float, float] | None:
    """The position of the source in degrees; None without one."""
    if run.catalogue.ra is None or run.catalogue.dec is None:
        return None
    ra, dec = row[run.catalogue.ra], row[run.catalogue.dec]
    if not isinstance(ra, float | int) or not isinstance(dec, float | int):
        return None
    return (float(ra), float(dec)) if ra == ra and dec == dec else None


def shown_columns(run: ServedRun, row: Mapping[str, object]) -> list[Shown]:
    """Every column of the source, with unit and description."""
    return [Shown(info, plain(row[name])) for name, info in run.catalogue.columns.items()]


def counterpart_columns(run: ServedRun, inputs: Mapping[str, Cell], row: Mapping[str, object]):
    """The columns on counterparts: separations, magnitudes, probabilities of the association."""
    found = {
        name: Shown(info, plain(row[name]))
        for name, info in run.catalogue.columns.items()
        if not _is_product(run, name) and _is_of_counterpart(name, info.ucd)
    }
    units = run.fitted.model.units
    for name, value in inputs.items():
        if name not in found and _is_of_counterpart(name, ""):
            info = ColumnInfo(
                name=name, kind="number", unit=units.get(name, ""), description="", ucd=""
            )
            found[name] = Shown(info, value)
    return list(found.values())


def _is_of_counterpart(name: str, ucd: str) -> bool:
    return bool(_COUNTERPART.search(name)) or ucd.startswith(("phot.mag", "pos.angDistance"))


def _is_product(run: ServedRun, name: str) -> bool:
    from xbayes.output.table import output_names

    return name in output_names(run.fitted.model.recipe.names)


def detections(run: ServedRun, row: Mapping[str, object]) -> list[dict[str, object]]:
    """The rows of the same source, where the catalogue is one of detections; else none."""
    column, catalogue = run.fitted.config.catalog.source, run.catalogue
    if column is None or column not in catalogue.columns or row.get(column) is None:
        return []
    shares = ", ".join(catalogue.quoted(f"p_{name}") for name in catalogue.classes)
    return catalogue.query(
        f"SELECT CAST({catalogue.quoted(catalogue.id)} AS VARCHAR) AS id, prediction, "
        f"prediction_set, outlier_p, {shares} FROM {VIEW} "
        f"WHERE {catalogue.quoted(column)} = ? LIMIT {MOST_DETECTIONS}",
        (row[column],),
    ).to_pylist()


def light_curve(run: ServedRun, row: Mapping[str, object], path: Path) -> list[FluxPoint]:
    """The long-term light curve of the source; empty without one."""
    column = run.fitted.config.catalog.source
    names = [row.get(column)] if column else []
    return light_curves(path).of([str(name) for name in (row[run.catalogue.id], *names) if name])


@lru_cache(maxsize=4)
def light_curves(path: Path) -> LightCurves:
    """The light curves of a file, read once."""
    return LightCurves(path)


def descriptions(run: ServedRun) -> dict[str, str]:
    """The description of each feature."""
    return {name: f.description for name, f in run.fitted.config.features.items()}


def plain(value: object) -> Cell:
    """A value as JSON holds it."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value if isinstance(value, float | int | str | bool) or value is None else str(value)


def with_query(address: str, parameters: Sequence[tuple[str, str]]) -> str:
    """The address with these parameters."""
    joined = "&" if "?" in address else "?"
    return f"{address}{joined}{urlencode(parameters)}" if parameters else address
