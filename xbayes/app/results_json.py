"""The results of a run as JSON."""

from functools import lru_cache

from pydantic import BaseModel, Field

from xbayes.app.served_run import ServedRun
from xbayes.app.source_json import finite
from xbayes.catalog.query import VIEW, ParquetCatalogue, Roles
from xbayes.errors import InputError
from xbayes.figures.reliability import EDGES
from xbayes.tasks.held_out import held_out, reliability_by_class


class ReliabilityAnswer(BaseModel):
    """Observed against predicted probability of each class, from held-out sources."""

    edges: list[float] = Field(description="ends of the bins of predicted probability")
    classes: dict[str, dict[str, list[float | None]]] = Field(
        description="of each class by bin: size, predicted, observed, low and high (90 % interval "
        "of observed), and the 90 % range of a calibrated model, calibrated_low to calibrated_high"
    )


class HeldOutSources(BaseModel):
    """Held-out sources of one true and one predicted class."""

    total: int
    sources: list[dict[str, float | int | str | bool | None]]


@lru_cache(maxsize=8)
def held_out_catalogue(run: ServedRun) -> ParquetCatalogue:
    """The held-out predictions of the run. Raises InputError for a model without any."""
    path = run.fitted.folder / "predictions.parquet"
    if not path.is_file():
        raise InputError(
            "this model comes without its training sources, so there are no held-out predictions; "
            "its card has its held-out scores"
        )
    return ParquetCatalogue(path, Roles(id=run.fitted.config.catalog.id, ra=None, dec=None))


@lru_cache(maxsize=8)
def reliability_answer(run: ServedRun) -> ReliabilityAnswer:
    """The reliability of the run."""
    held_out_catalogue(run)
    fitted, roles = run.fitted, run.fitted.config.catalog
    found = held_out(fitted.folder, fitted.classes, roles.id, roles.source)
    classes = {}
    for name, bins in reliability_by_class(found, fitted.classes).items():
        columns = {
            "size": bins.size,
            "predicted": bins.predicted,
            "observed": bins.observed,
            "low": bins.interval[0],
            "high": bins.interval[1],
            "calibrated_low": bins.calibrated[0],
            "calibrated_high": bins.calibrated[1],
        }
        classes[name] = {key: [finite(float(v)) for v in one] for key, one in columns.items()}
    return ReliabilityAnswer(edges=EDGES.tolist(), classes=classes)


def held_out_sources(
    run: ServedRun, truth: str, predicted: str, limit: int, offset: int
) -> HeldOutSources:
    """One page of the held-out sources of a cell of the confusion matrix, the surest first."""
    for name in (truth, predicted):
        if name not in run.fitted.classes:
            raise InputError(f"no class {name!r}; the classes are {', '.join(run.fitted.classes)}")
    found = held_out_catalogue(run)
    which, given = "true_class = ? AND prediction = ?", (truth, predicted)
    total = found.query(f"SELECT count(*) FROM {VIEW} WHERE {which}", given)[0][0].as_py()
    shares = ", ".join(found.quoted(f"p_{name}") for name in found.classes)
    rows = found.query(
        f"SELECT CAST({found.quoted(found.id)} AS VARCHAR) AS id, true_class, prediction, "
        f"prediction_set, outlier_p, {shares} FROM {VIEW} WHERE {which} "
        f"ORDER BY {found.quoted(f'p_{predicted}')} DESC, id LIMIT ? OFFSET ?",
        (*given, limit, offset),
    ).to_pylist()
    return HeldOutSources(total=total, sources=rows)
