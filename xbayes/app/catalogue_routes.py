"""Pages of the catalogue: table, sky map and scatter plot of one selection."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from xbayes.app.address import Address
from xbayes.app.catalogue_page import chips_of, form_of, table_of
from xbayes.app.languages import language_of, translations_of
from xbayes.app.plot_routes import first_axes
from xbayes.app.request import render, served
from xbayes.app.selected import Selected, selected
from xbayes.app.selection_url import canonical
from xbayes.catalog.selection import FRAMES, Selection
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)


@router.get("/")
def catalogue(request: Request) -> Response:
    """The table, with the sky map and the scatter plot beside it."""
    return _page(request, "catalogue")


@router.get("/sky")
def sky(request: Request) -> Response:
    """The map of the sky."""
    return _page(request, "sky")


@router.get("/scatter")
def scatter(request: Request) -> Response:
    """The scatter plot."""
    return _page(request, "scatter")


def _page(request: Request, view: str) -> Response:
    items = canonical(request.query_params)
    if items != request.query_params.multi_items():
        return RedirectResponse(Address(request.url.path, tuple(items)).but(), status_code=303)
    address = Address(request.url.path, tuple(kv for kv in items if kv[0] != "lang"))
    translations = translations_of(language_of(request))
    assert translations is not None
    fragment = "HX-Request" in request.headers
    message, status = "", 200
    nothing = Selected(served(request), Selection(), request.app.state.answers)
    found, table, conditions = nothing, None, []
    try:
        found = selected(request)
        table = table_of(request, found, address)
        conditions = chips_of(request, found, address, translations.gettext)
        counts = found.counts()
    except InputError as error:
        message, status, table, counts = str(error), 422, None, {}
    answer = render(
        request,
        "catalogue_results.html" if fragment else f"{view}.html",
        status=status,
        view=view,
        fragment=fragment,
        message=message,
        total=sum(counts.values()),
        counts=counts,
        table=table,
        chips=conditions,
        form=form_of(request, found, address),
        address=address,
        frames=tuple(FRAMES),
        axes=first_axes(nothing),
        numbers=[c for c in nothing.column_infos().values() if c.kind in ("number", "integer")],
        has_positions=nothing.run.catalogue.ra is not None,
    )
    answer.headers["Vary"] = "HX-Request, Cookie, Accept-Language"
    if fragment:
        answer.headers["Cache-Control"] = "no-store"
    return answer
