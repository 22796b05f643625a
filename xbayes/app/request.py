"""What every route needs of a request: the site, the run asked for, and rendered pages."""

import json
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from xbayes.app.class_looks import class_looks
from xbayes.app.languages import language_name, language_of, languages, translations_of
from xbayes.app.served_run import ServedRun
from xbayes.app.site import Site
from xbayes.errors import InputError
from xbayes.figures.style import class_colours

TEMPLATES = Path(__file__).parent / "templates"


class NotThere(InputError):
    """What was asked for does not exist: the answer has the status 404."""


def site_of(request: Request) -> Site:
    """The site that answers the request."""
    return request.app.state.site


def served(request: Request) -> ServedRun:
    """The run that ?run= names; the first by default."""
    runs = site_of(request).runs
    name = request.query_params.get("run") or next(iter(runs))
    if name not in runs:
        raise NotThere(f"no run {name!r} is served here; there are {', '.join(runs)}")
    return runs[name]


def render(
    request: Request, template: str, *, status: int = 200, **context: object
) -> HTMLResponse:
    """A page in the language of the request."""
    code = language_of(request)
    translations = translations_of(code)
    assert translations is not None
    run = served(request) if "run" not in context else context.pop("run")
    assert isinstance(run, ServedRun)
    several = len(site_of(request).runs) > 1
    page = (
        _environment()
        .get_template(template)
        .render(
            _=translations.gettext,
            ngettext=translations.ngettext,
            request=request,
            path=request.url.path,
            site=site_of(request),
            run=run,
            run_query=f"?run={run.name}" if several else "",
            language=code,
            languages={one: language_name(one) for one in languages()},
            colours=class_colours(run.fitted.classes),
            looks=class_looks(run.fitted.classes),
            **context,
        )
    )
    answer = HTMLResponse(page, status_code=status)
    if request.query_params.get("lang") in languages():
        answer.set_cookie("lang", code, samesite="lax", httponly=True, max_age=31_536_000)
    return answer


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, allow_nan=False)
    return environment
