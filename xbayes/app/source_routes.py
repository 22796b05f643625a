"""The page of a source, its parts that load later, and the same as JSON."""

import threading
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xbayes.app import source_page as page
from xbayes.app.archive_links import archive_links
from xbayes.app.density_json import Densities, densities_of
from xbayes.app.request import NotThere, render, served, site_of
from xbayes.app.served_run import ServedRun
from xbayes.app.source_json import (
    Changed,
    Question,
    SourceAnswer,
    finite,
    numbers,
    posterior_of,
    set_of,
    track_answer,
)
from xbayes.app.what_if import answer
from xbayes.app.what_if_url import ASKING, asks_something, checked, question_of
from xbayes.errors import InputError
from xbayes.features.build import needed_columns
from xbayes.figures.track_record import NOT_AVAILABLE, Track, unlike_text
from xbayes.tasks.given_prior import proportions_of

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/sources", tags=["source"])
# Aladin Lite compiles WebAssembly and fetches images of surveys from many servers.
ALADIN_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: https:; font-src 'self' data:; "
    "connect-src 'self' data: blob: https:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_DRAWING = threading.Lock()
Id = Annotated[str, Path(description="id of the source")]


@router.get("/source/{source:path}/finder.svg")
def finder_chart(request: Request, source: str) -> Response:
    """The finder chart, drawn from the catalogue."""
    from xbayes.app.finder_chart import finder_svg

    run = served(request)
    with _DRAWING:  # matplotlib's settings are of the process
        svg = finder_svg(run, page.source_row(run, source))
    return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})


@router.get("/source/{source:path}/aladin")
def aladin(request: Request, source: str) -> HTMLResponse:
    """Surveys around a source in Aladin Lite, on a page of its own with a wider policy."""
    run = served(request)
    at = page.positions(run, page.source_row(run, source))
    if site_of(request).options.aladin is None:
        raise NotThere("Aladin Lite is not installed here; install it with: make aladin")
    if at is None:
        raise NotThere("the source has no position")
    answer = render(
        request,
        "source_aladin.html",
        source=source,
        position=at,
        address=page.source_address(run, source, len(site_of(request).runs) > 1),
    )
    answer.headers["Content-Security-Policy"] = ALADIN_POLICY
    return answer


@router.get("/source/{source:path}/not-available")
def not_available(request: Request, source: str) -> HTMLResponse:
    """What is not available of a source, and what each of these features tells on average."""
    from xbayes.app.feature_values import feature_values

    run = served(request)
    row = page.source_row(run, source)
    result = page.computed(run, source)
    track = None if result is None else result.track
    return render(
        request,
        "source_not_available.html",
        fragment="HX-Request" in request.headers,
        entropy=finite(row.get("entropy")),
        track=track,
        values=feature_values(run),
        features=run.fitted.config.features,
    )


@router.get("/source/{source:path}/products")
def products(request: Request, source: str) -> HTMLResponse:
    """Spectra and light curves of a source, as plots and numbers."""
    from xbayes.app.source_products import for_plot, products_of

    run = served(request)
    row = page.source_row(run, source)
    found = products_of(site_of(request).options.products, row)
    return render(
        request, "source_products.html", products=found, for_plot=for_plot,
        fragment="HX-Request" in request.headers,
    )  # fmt: skip


@router.get("/source/{source:path}")
def source(request: Request, source: str) -> HTMLResponse:
    """The page of a source."""
    run, options = served(request), site_of(request).options
    row = page.source_row(run, source)
    result = page.computed(run, source)
    track = None if result is None else result.track
    inputs = page.inputs_of(run, source)
    at = page.positions(run, row)
    several = len(site_of(request).runs) > 1
    curve = options.light_curves
    points = [] if curve is None else page.light_curve(run, row, curve)
    return render(
        request,
        "source.html",
        source=source,
        address=page.source_address(run, source, several),
        row=row,
        posterior=posterior_of(row, run.fitted.classes),
        prediction=row["prediction"],
        members=set_of(row),
        track=track,
        answer=None if track is None else track_answer(track, page.descriptions(run)),
        unlike=row.get("novelty_why") or ("" if track is None else unlike_text(track)),
        outlier_p=finite(row.get("outlier_p")),
        position=at,
        links={} if at is None else archive_links(*at),
        columns=page.shown_columns(run, row),
        counterparts=page.counterpart_columns(run, inputs, row),
        detections=page.detections(run, row),
        curve=points,
        curve_json=[point._asdict() for point in points],
        curve_unit="" if curve is None else page.light_curves(curve).unit,
        has_products=bool(options.products),
        aladin=options.aladin is not None and at is not None,
        inputs=inputs,
        **_asked(request, run, source, track),
    )


def _asked(request: Request, run: ServedRun, source: str, track: Track | None) -> dict[str, Any]:
    """The what-if form as it was filled in, and the answer to it."""
    query, model = request.query_params, run.fitted.model
    needed = needed_columns(run.fitted.config)
    prior = proportions_of(
        model.applied_log_prior if track is None else track.log_prior, run.fitted.classes
    )
    shown: dict[str, Any] = {
        "prior": prior,
        "needed": needed,
        "ranges": model.trained_on.columns,
        "units": model.units,
        "names": model.recipe.names,
        "query": query,
        "evidence": _evidence_columns(run),
        "asked": False,
        "changes_open": any(key.startswith(("set.", "state.")) and query[key] for key in query),
        "changed": None,
        "problem": "",
        "shared": "",
    }
    if not any(key.startswith(ASKING) for key in query) or track is None:
        return shown
    try:
        question = question_of(query, run)
        if not asks_something(question):
            return shown
        new = answer(run, source, question)
    except InputError as error:
        return {**shown, "asked": True, "problem": str(error)}
    kept = [(key, text) for key, text in query.multi_items() if text and key != "lang"]
    return {
        **shown,
        "asked": True,
        "changed": new.track,
        "changed_answer": track_answer(new.track, page.descriptions(run)),
        "before": numbers(track.posterior, run.fitted.classes),
        "after": posterior_of(new.products, run.fitted.classes),
        "shared": f"{request.url.path}?{urlencode(kept)}",
    }


def _evidence_columns(run: ServedRun) -> set[str]:
    """The columns that may be not detected: a feature that reads them takes this as evidence."""
    features = run.fitted.config.features
    return {
        column
        for column, readers in needed_columns(run.fitted.config).items()
        if any(features[name].missing == "evidence" for name in readers)
    }


@api.get("/{source:path}/densities")
def densities(request: Request, source: Id) -> Densities:
    """Each feature of a source against the densities of the classes."""
    run = served(request)
    page.source_row(run, source)
    return densities_of(run, source)


@api.post("/{source:path}/what-if")
def what_if(request: Request, source: Id, question: Question) -> Changed:
    """The posterior of a source under another prior, without features, or with other values."""
    run = served(request)
    row = page.source_row(run, source)
    new = answer(run, source, checked(question, run))
    classes = run.fitted.classes
    return Changed(
        id=source,
        before=posterior_of(row, classes),
        after=posterior_of(new.products, classes),
        prediction_before=str(row["prediction"]),
        prediction_after=classes[new.track.prediction],
        track=track_answer(new.track, page.descriptions(run)),
    )


@api.get("/{source:path}")
def source_json(request: Request, source: Id) -> SourceAnswer:
    """One source: all columns, posterior with intervals, track, features with their states."""
    run = served(request)
    row = page.source_row(run, source)
    result = page.computed(run, source)
    track = None if result is None else result.track
    return SourceAnswer(
        id=source,
        run=run.name,
        prediction=str(row["prediction"]),
        prediction_set=set_of(row),
        posterior=posterior_of(row, run.fitted.classes),
        alternative=str(row.get("alternative") or ""),
        outlier_p=finite(row.get("outlier_p")),
        unlike="" if track is None else track.novelty_why,
        not_available=[] if track is None else not_available_features(track),
        track=None if track is None else track_answer(track, page.descriptions(run)),
        columns={name: page.plain(row[name]) for name in run.catalogue.columns},
    )


def not_available_features(track: Track) -> list[str]:
    """The features of which nothing is known."""
    pairs = zip(track.features, track.value_texts, strict=True)
    return [name for name, text in pairs if text == NOT_AVAILABLE]
