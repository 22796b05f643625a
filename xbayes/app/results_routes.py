"""The scores of a run, the sources behind them, and how runs differ."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from xbayes.app.request import NotThere, render, served, site_of
from xbayes.app.results_json import (
    HeldOutSources,
    ReliabilityAnswer,
    held_out_sources,
    reliability_answer,
)
from xbayes.app.served_run import ServedRun
from xbayes.compare.two_runs import difference_of_runs
from xbayes.errors import InputError
from xbayes.report.context import KNOWN_SECTIONS
from xbayes.report.summary import BLOCKS, CLASS_SCORES, OVERALL, cell
from xbayes.tasks.disagreements import Disagreements
from xbayes.tasks.held_out import row_shares

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/results", tags=["results"])
PAGE = 100  # sources
# The report is one file with its own scripts: they run, but apart from the site (no origin).
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Offset = Annotated[int, Query(ge=0, le=10**9)]


@router.get("/results")
def results(request: Request) -> HTMLResponse:
    """Scores, confusion, reliability, figures, and the other runs."""
    run = served(request)
    metrics = run.fitted.metrics
    blocks = [name for name in BLOCKS if name in metrics]
    confusion = metrics["cross_validated"]["confusion"]
    has_sources = (run.fitted.folder / "predictions.parquet").is_file()
    return render(
        request,
        "results.html",
        metrics=metrics,
        blocks=blocks,
        overall={
            name: (title, [cell(metrics[block][name]) for block in blocks])
            for name, (title, _) in OVERALL.items()
        },
        by_class={
            name: [
                [cell(metrics[block][score][name]) for score in CLASS_SCORES] for block in blocks
            ]
            for name in run.fitted.classes
        },
        class_scores=CLASS_SCORES,
        confusion=confusion,
        shares=row_shares(confusion).tolist(),
        has_sources=has_sources,
        repeats=run.fitted.config.validation.repeats,
        figures=figures_of(run),
        has_report=(run.fitted.folder / "report.html").is_file(),
        others=[other for other in site_of(request).runs.values() if other is not run],
        side_by_side=_side_by_side(list(site_of(request).runs.values())),
        differences=_differences(run, list(site_of(request).runs.values())),
    )


@router.get("/results/sources")
def sources(
    request: Request,
    true: Annotated[str, Query()],
    predicted: Annotated[str, Query()],
    offset: Offset = 0,
) -> HTMLResponse:
    """The held-out sources of a cell of the confusion matrix."""
    run = served(request)
    found = held_out_sources(run, true, predicted, PAGE, offset)
    return render(
        request,
        "results_sources.html",
        found=found,
        true=true,
        predicted=predicted,
        offset=offset,
        size=PAGE,
        ids_known=_ids_in_catalogue(run, [str(one["id"]) for one in found.sources]),
    )


@router.get("/results/disagreements")
def disagreements(
    request: Request, other: Annotated[str, Query()], offset: Offset = 0
) -> HTMLResponse:
    """The sources that two runs give different classes."""
    run, runs = served(request), site_of(request).runs
    if other not in runs:
        raise NotThere(f"no run {other!r} is served here; there are {', '.join(runs)}")
    if runs[other] is run:
        raise InputError("a run agrees with itself; choose another one")
    found = _disagreements(run, runs[other]).page(PAGE, offset)
    return render(
        request, "results_disagreements.html", found=found, other=other, offset=offset, size=PAGE
    )


@router.get("/results/figures/{name}.png")
def figure(request: Request, name: str) -> Response:
    """A figure of the report."""
    known = {path.stem: path for path in figure_files(served(request))}
    if name not in known:
        raise NotThere(f"no figure {name!r}; there are {', '.join(known) or 'none'}")
    return FileResponse(known[name], headers={"Cache-Control": "max-age=3600"})


@router.get("/results/report.html")
def report(request: Request) -> Response:
    """The report of the run, kept apart from the site by its policy."""
    path = served(request).fitted.folder / "report.html"
    if not path.is_file():
        raise NotThere("this run has no report.html")
    return FileResponse(
        path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY}
    )


@api.get("/metrics")
def metrics_json(request: Request) -> dict[str, object]:
    """The scores of the run: in sample, held out, and re-weighted to the expected proportions."""
    return served(request).fitted.metrics


@api.get("/reliability")
def reliability_json(request: Request) -> ReliabilityAnswer:
    """Observed against predicted probability of each class."""
    return reliability_answer(served(request))


@api.get("/sources")
def sources_json(
    request: Request,
    true: Annotated[str, Query(description="the true class")],
    predicted: Annotated[str, Query(description="the predicted class")],
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
    offset: Offset = 0,
) -> HeldOutSources:
    """The held-out sources of a cell of the confusion matrix."""
    return held_out_sources(served(request), true, predicted, limit, offset)


def figure_files(run: ServedRun) -> list[Path]:
    """The figures of the report, in the order of its sections."""
    folder, order = run.fitted.folder / "figures", list(KNOWN_SECTIONS)
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    return sorted(files, key=lambda path: order.index(_section(path.stem)))


def figures_of(run: ServedRun) -> list[tuple[str, str, str]]:
    """Name, title and caption of each figure."""
    rule = run.fitted.metrics.get("decision", {}).get("rule", "")
    found = []
    for path in figure_files(run):
        title, text = KNOWN_SECTIONS[_section(path.stem)]
        part = path.stem.partition("_")[2].replace("_", " ")
        if _section(path.stem) == "tracks":
            title, text = "Probability track", "How one source got its class."
        shown = title if not part else f"{title}: {part}"
        found.append((path.stem, shown, text.replace("{rule}", rule)))
    return found


def _section(stem: str) -> str:
    """The section of the report that a figure belongs to."""
    first = {"track": "tracks", "splines": "terms", "posterior": "posterior"}
    name = stem.split("_")[0]
    name = first.get(name, name)
    return name if name in KNOWN_SECTIONS else list(KNOWN_SECTIONS)[-1]


def _side_by_side(runs: list[ServedRun]) -> list[tuple[str, list[str]]]:
    """The held-out scores of each run."""
    if len(runs) < 2:
        return []
    rows = []
    for name, (title, _) in OVERALL.items():
        scores = [run.fitted.metrics["cross_validated"].get(name) for run in runs]
        rows.append((title, [_text(score) for score in scores]))
    classes = dict.fromkeys(name for run in runs for name in run.fitted.classes)
    for label in classes:
        scores = [run.fitted.metrics["cross_validated"]["f1"].get(label) for run in runs]
        rows.append((f"F1, {label}", [_text(score) for score in scores]))
    return rows


def _text(score: dict | None) -> str:
    if score is None:
        return "–"
    shown = cell(score)
    return f"{shown.value} ({shown.interval})" if shown.interval else shown.value


def _differences(run: ServedRun, runs: list[ServedRun]) -> list[tuple[str, dict[str, str], str]]:
    """Of each other run: its name, the differences of the scores, and why there are none."""
    found = []
    for other in runs:
        if other is not run:
            found.append((other.name, *_difference(run, other)))
    return found


@lru_cache(maxsize=32)
def _difference(run: ServedRun, other: ServedRun) -> tuple[dict[str, str], str]:
    if any(not (r.fitted.folder / "predictions.parquet").is_file() for r in (run, other)):
        return {}, "one of the two has no held-out predictions"
    try:
        found = difference_of_runs(run.fitted, other.fitted)
    except InputError as error:
        return {}, str(error)
    shown = {title: _text(found[name]) for name, (title, _) in OVERALL.items()}
    return shown, f"{found['n_sources']:,}"


@lru_cache(maxsize=8)
def _disagreements(run: ServedRun, other: ServedRun) -> Disagreements:
    return Disagreements(run.catalogue, other.catalogue)


def _ids_in_catalogue(run: ServedRun, ids: list[str]) -> set[str]:
    """Those of the ids that the classified catalogue has, so that their pages exist."""
    if not ids:
        return set()
    own_id = f"CAST({run.catalogue.quoted(run.catalogue.id)} AS VARCHAR)"
    marks = ", ".join("?" * len(ids))
    found = run.catalogue.query(
        f"SELECT {own_id} AS id FROM catalogue WHERE {own_id} IN ({marks})", ids
    )
    return set(found["id"].to_pylist())
