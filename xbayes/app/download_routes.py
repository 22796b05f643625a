"""Downloads of a selection."""

import tempfile
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse

from xbayes.app.selected import selected
from xbayes.app.selection_query import FREE, Sources
from xbayes.tasks.selection_file import MOST_ROWS, check_size, write_selection

router = APIRouter(prefix="/api", tags=["catalogue"])
Ending = Literal["fits", "vot", "csv", "parquet"]
TYPES = {
    "fits": "application/fits",
    "vot": "application/x-votable+xml",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


@router.get(
    "/sources.{ending}",
    description=f"All selected sources in a file, at most {MOST_ROWS:,}, with all columns of the "
    f"catalogue or those named; limit and offset mean nothing here. {FREE}",
    response_class=FileResponse,
    responses={200: {"content": {kind: {} for kind in TYPES.values()}}},
)
def download(request: Request, ending: Ending, query: Sources) -> FileResponse:
    """The selected sources as a file."""
    found = selected(request)
    names = tuple(found.run.catalogue.columns)
    columns = names if query.columns in ([], ["*"]) else found.columns(query.columns)
    folder = tempfile.TemporaryDirectory(prefix="xbayes-")
    path = Path(folder.name) / f"selection.{ending}"
    try:
        check_size(found.total(), len(columns), path)
        write_selection(found.selection, found.run.catalogue, columns, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type=TYPES[ending],
        filename=f"{found.run.name}.{ending}",
        background=BackgroundTask(folder.cleanup),
    )
