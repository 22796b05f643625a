"""Classify your own source: a form, a table that is sent, and the same as JSON."""

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from xbayes.app.compute import computing, fitting
from xbayes.app.request import render, served
from xbayes.app.served_run import ServedRun
from xbayes.app.source_form import fields_of, prior_of, row_of
from xbayes.app.source_json import (
    ClassProbability,
    TrackAnswer,
    finite,
    posterior_of,
    set_of,
    track_answer,
)
from xbayes.app.source_page import descriptions, plain
from xbayes.app.upload_answers import FORMATS, MOST_ROWS, SHOWN
from xbayes.app.uploads import MOST_BYTES, classified_file, classified_page, refuse_foreign
from xbayes.errors import InputError
from xbayes.figures.track_record import NOT_AVAILABLE, NOT_DETECTED
from xbayes.tasks.given_prior import in_proportion, proportions_of
from xbayes.tasks.what_if import SourceResult

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api", tags=["classify"])
MOST_SOURCES = 100  # of a JSON request
Value = float | int | str | bool | None


class ClassifiedSource(BaseModel):
    """One source, classified."""

    prediction: str
    prediction_set: list[str]
    posterior: list[ClassProbability]
    outlier_p: float | None
    not_available: list[str] = Field(description="features without information on this source")
    not_detected: list[str] = Field(description="features that were looked for and not found")
    warnings: list[str]
    track: TrackAnswer
    products: dict[str, Value] = Field(description="the columns that xbayes classify writes")


class Classified(BaseModel):
    """The sources of a request, in its order."""

    run: str
    sources: list[ClassifiedSource]


@router.get("/classify")
def classify_page(request: Request) -> HTMLResponse:
    """The form, and the result if it was filled in."""
    run = served(request)
    problem, result, asked = "", None, False
    try:
        row = row_of(request.query_params, run)
        asked = bool(row)
        if asked:
            result = classified(run, row, prior_of(request.query_params))
    except InputError as error:
        problem = str(error)
    return _page(request, problem=problem, result=result, asked=asked)


@router.get("/classify/table")
def classify_table_again(request: Request) -> RedirectResponse:
    """The form: a table that was sent is not kept."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/classify{query}#table", status_code=303)


@router.post("/classify/table")
async def classify_table(request: Request) -> Response:
    """A table, classified: on a page, or as a file."""
    async with request.form(max_files=1, max_fields=4, max_part_size=MOST_BYTES + 1) as form:
        return await run_in_threadpool(_classified_table, request, form)


def _classified_table(request: Request, form: FormData) -> Response:
    run, text = served(request), _text(form, "text")
    format = _text(form, "format") or "page"
    try:
        refuse_foreign(request)
        name, content = _content(text, form.get("file"))
        if format != "page":
            made = classified_file(run.fitted.folder, name, content, format)
            return Response(
                made.content,
                media_type=made.media_type,
                headers={"Content-Disposition": f'attachment; filename="{made.name}"'},
            )
        summary = classified_page(run.fitted.folder, name, content)
    except InputError as error:
        return _page(request, table_problem=str(error), text=text, status=422)
    return _page(request, summary=summary, text=text)


@api.post("/classify")
def classify_json(
    request: Request, source: dict[str, Value] | list[dict[str, Value]]
) -> Classified:
    """Classify one source, or a list of up to 100, each as `{"column": value}`.

    A column that is omitted is not available; null is not detected. The run is that of `?run=`.
    """
    run = served(request)
    rows = source if isinstance(source, list) else [source]
    if not 1 <= len(rows) <= MOST_SOURCES:
        raise InputError(
            f"send 1 to {MOST_SOURCES} sources at once; found {len(rows)}. For a table: "
            "POST /classify/table, or xbayes classify"
        )
    return Classified(run=run.name, sources=[_answer(run, row) for row in rows])


def classified(
    run: ServedRun, row: dict[str, Value], prior: dict[str, float] | None = None
) -> SourceResult:
    """The result for a source given by its columns. Raises InputError."""
    given = None if prior is None else in_proportion(prior, run.fitted.classes)
    if not any(value is not None for value in row.values()):
        raise InputError("give at least one measured value")
    with fitting(), computing(run):  # a new pattern of absent features is fitted
        return run.fitted.track(row, prior=given)


def _answer(run: ServedRun, row: dict[str, Value]) -> ClassifiedSource:
    result = classified(run, row)
    states = dict(zip(result.track.features, result.track.value_texts, strict=True))
    return ClassifiedSource(
        prediction=str(result.products["prediction"]),
        prediction_set=set_of(result.products),
        posterior=posterior_of(result.products, run.fitted.classes),
        outlier_p=finite(result.products.get("outlier_p")),
        not_available=[name for name, state in states.items() if state == NOT_AVAILABLE],
        not_detected=[name for name, state in states.items() if state == NOT_DETECTED],
        warnings=list(result.warnings),
        track=track_answer(result.track, descriptions(run)),
        products={name: plain(value) for name, value in result.products.items()},
    )


def _content(text: str, file: UploadFile | str | None) -> tuple[str, bytes]:
    """The name and the bytes of what was sent; a file goes before a pasted text."""
    if isinstance(file, UploadFile) and file.filename:
        return file.filename, file.file.read(MOST_BYTES + 1)
    return "", text.encode()


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _page(
    request: Request,
    *,
    status: int = 200,
    result: SourceResult | None = None,
    **context: object,
) -> HTMLResponse:
    run = served(request)
    shown: dict[str, object] = {
        "problem": "",
        "asked": False,
        "table_problem": "",
        "summary": None,
        "text": "",
    }
    if result is not None:
        shown |= {
            "answer": _answer_of(run, result),
            "posterior": posterior_of(result.products, run.fitted.classes),
            "unlike": result.track.novelty_why,
        }
    return render(
        request,
        "classify.html",
        status=status,
        run=run,
        fields=fields_of(run),
        prior=proportions_of(run.fitted.model.applied_log_prior, run.fitted.classes),
        query=request.query_params,
        prior_open=any(key.startswith("prior.") and v for key, v in request.query_params.items()),
        result=result,
        formats=list(FORMATS),
        most_bytes=MOST_BYTES,
        most_rows=MOST_ROWS,
        most_shown=SHOWN,
        **{**shown, **context},
    )


def _answer_of(run: ServedRun, result: SourceResult) -> TrackAnswer:
    return track_answer(result.track, descriptions(run))
