"""The site as an ASGI application: routes, guards, and errors as plain messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from xbayes import __version__
from xbayes.app.answer_cache import AnswerCache
from xbayes.app.request import NotThere, render
from xbayes.app.security import Limits, add_headers
from xbayes.app.site import Site
from xbayes.errors import InputError

THREADS = 200
STATIC = Path(__file__).parent / "static"


def create_app(site: Site) -> FastAPI:
    """The application that serves the site."""
    app = FastAPI(
        title="xbayes explorer",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=_with_threads,
    )
    app.state.site = site
    app.state.answers = AnswerCache()
    app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=4)
    app.add_middleware(BaseHTTPMiddleware, dispatch=Limits(site.options.rate))
    app.add_middleware(BaseHTTPMiddleware, dispatch=add_headers)
    app.add_exception_handler(InputError, _wrong_input)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _not_served)
    for router in _routers():
        app.include_router(router)
    if site.options.database:
        _open_to_volunteers(app, site)
    app.mount("/static/plotly", StaticFiles(directory=_plotly()), name="plotly")
    if site.options.aladin is not None:
        app.mount("/static/aladin", StaticFiles(directory=site.options.aladin), name="aladin")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _open_to_volunteers(app: FastAPI, site: Site) -> None:
    """Add the pages of the volunteers, whose packages a site without them does not need."""
    from xbayes.app.volunteers.pages import routers
    from xbayes.app.volunteers.state import open_volunteers
    from xbayes.app.volunteers.visitor import NotSignedIn, keep_private, to_start

    app.state.volunteers = open_volunteers(site)
    app.add_middleware(BaseHTTPMiddleware, dispatch=keep_private)
    app.add_exception_handler(NotSignedIn, to_start)
    for router in routers():
        app.include_router(router)


@asynccontextmanager
async def _with_threads(app: FastAPI) -> AsyncIterator[None]:
    """More threads than by default: those that wait for a query must not hold up kept answers."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    async with anyio.create_task_group() as tasks:
        if hasattr(app.state, "volunteers"):
            tasks.start_soon(_forget_old_sessions, app)
        yield
        tasks.cancel_scope.cancel()


async def _forget_old_sessions(app: FastAPI) -> None:
    """Remove the sessions and links of the volunteers that have expired, every hour."""
    from xbayes.app.volunteers.sessions import remove_expired

    while True:
        await anyio.to_thread.run_sync(remove_expired, app.state.volunteers.database)
        await anyio.sleep(3600)


def _routers():
    from xbayes.app import (
        api_routes,
        catalogue_routes,
        classify_routes,
        download_routes,
        plot_routes,
        results_routes,
        source_routes,
        vo_scs_routes,
        vo_tap_routes,
        vo_uws_routes,
    )

    return (
        catalogue_routes.router,
        api_routes.router,
        download_routes.router,
        plot_routes.router,
        source_routes.api,
        source_routes.router,
        results_routes.api,
        results_routes.router,
        classify_routes.api,
        classify_routes.router,
        vo_scs_routes.router,
        vo_tap_routes.router,
        vo_uws_routes.router,
    )


def _plotly() -> Path:
    """The folder of plotly's script in the installed package."""
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data"


def wants_json(request: Request) -> bool:
    """Whether an error is answered as JSON: for the API and for other programs."""
    return request.url.path.startswith("/api") or "text/html" not in request.headers.get(
        "accept", ""
    )


def _error(request: Request, status: int, message: str) -> Response:
    if wants_json(request):
        return JSONResponse({"error": message}, status)
    run = next(iter(request.app.state.site.runs.values()))
    return render(request, "error.html", status=status, run=run, message=message)


def _wrong_input(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotThere) else getattr(error, "status", 422)
    answer = _error(request, status, str(error))
    if status == 429:
        answer.headers["Retry-After"] = str(getattr(error, "wait", 60))
    return answer


def _wrong_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = (f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()[:5])
    return _error(request, 422, "; ".join(told))


def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _error(request, error.status_code, str(error.detail))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer
