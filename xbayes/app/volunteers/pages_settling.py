"""Pages of admins on labels and votes: labels come in, votes go out."""

import shutil
import tempfile
from pathlib import Path

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from xbayes.app.request import served
from xbayes.app.volunteers.export import export_votes, import_labels
from xbayes.app.volunteers.settling import label_counts, settled_sources
from xbayes.app.volunteers.state import server_of, volunteers_of
from xbayes.app.volunteers.tables import Role
from xbayes.app.volunteers.visitor import Form, go, member, page
from xbayes.errors import InputError

router = APIRouter(include_in_schema=False)
HOME = "/admin/labels"


@router.get(HOME)
def labels(request: Request) -> Response:
    """How many sources are settled, and how often labels agree with the classifier."""
    return _labels(request)


@router.post(HOME)
def read_labels(request: Request, form: Form) -> Response:
    """Read the labels that `xbayes crowd aggregate` wrote."""
    account, run = member(request, Role.ADMIN), served(request)
    upload, found = form.file("labels"), volunteers_of(request)
    if upload is None:
        return _labels(request, problem="choose the file that xbayes crowd aggregate wrote")
    with tempfile.TemporaryDirectory(prefix="xbayes-labels-") as folder:
        path = Path(folder) / "labels.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        try:
            import_labels(found.database, account.id, run.name, path)
        except InputError as error:
            return _labels(request, problem=str(error).replace(str(path), "the file"))
        except UnicodeDecodeError:
            return _labels(request, problem="the file is no CSV table in UTF-8")
    server_of(request).settle(settled_sources(found.database, run.name))
    return go(HOME, done="labels")


@router.post("/admin/votes.csv")
def votes(request: Request, form: Form) -> Response:
    """Download the votes under pseudonyms."""
    member(request, Role.ADMIN)
    folder = tempfile.TemporaryDirectory(prefix="xbayes-votes-")
    path, run = Path(folder.name) / "votes.csv", served(request).name
    export_votes(volunteers_of(request).database, path, run=run)
    return FileResponse(
        path,
        media_type="text/csv",
        filename=f"votes-{run}.csv",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(folder.cleanup),
    )


def _labels(request: Request, problem: str = "") -> Response:
    member(request, Role.ADMIN)
    found = volunteers_of(request)
    return page(
        request,
        "labels.html",
        status=422 if problem else 200,
        counts=label_counts(found.database, served(request)),
        done=request.query_params.get("done", ""),
        problem=problem,
    )
