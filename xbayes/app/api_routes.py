"""The catalogue as JSON, described at /api/openapi.json."""

import json
import math

import pyarrow as pa
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from xbayes.app.request import served, site_of
from xbayes.app.selected import Selected, selected
from xbayes.app.selection_query import FREE, Sources
from xbayes.app.served_run import Cell
from xbayes.catalog.selection import PROBABILITY, SEPARATION, shown_columns

router = APIRouter(prefix="/api", tags=["catalogue"])


class SourcesAnswer(BaseModel):
    """A page of the selected sources."""

    total: int = Field(description="number of selected sources")
    sources: list[dict[str, Cell]]


class Column(BaseModel):
    """A column of the catalogue."""

    name: str
    kind: str = Field(description="number, integer, text or flag")
    unit: str
    description: str
    ucd: str


@router.get("/health")
def health(request: Request) -> dict[str, object]:
    """Whether the site answers, and the runs that it serves."""
    return {"status": "ok", "runs": list(site_of(request).runs)}


@router.get("/columns")
def columns(request: Request, run: str = "") -> list[Column]:
    """The columns that a selection, a table and a plot can use."""
    infos = shown_columns(served(request).catalogue)
    return [Column(**info._asdict()) for info in infos.values()]


@router.get("/sources", description=f"The selected sources. {FREE}", response_model=SourcesAnswer)
def sources(request: Request, query: Sources) -> Response:
    """The selected sources."""
    found = selected(request)
    names = _all(found) if query.columns == ["*"] else _usual(found, query.columns)
    rows = found.rows(names)
    return json_answer({"total": found.total(), "sources": records(rows)})


def _usual(found: Selected, wanted: list[str]) -> tuple[str, ...]:
    names = found.columns(wanted)
    if wanted:
        return names
    known = found.run.catalogue.columns
    return (*names, *(f"p_{c}" for c in found.run.catalogue.classes if f"p_{c}" in known))


def _all(found: Selected) -> tuple[str, ...]:
    derived = (PROBABILITY, SEPARATION)
    infos = found.column_infos()
    return (*found.run.catalogue.columns, *(name for name in derived if name in infos))


def records(table: pa.Table) -> list[dict[str, object]]:
    """The rows as JSON holds them."""
    columns = arrays(table)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arrays(table: pa.Table) -> dict[str, list[object]]:
    """The columns as JSON holds them: what is not finite becomes None."""
    return {name: [_finite(v) for v in table[name].to_pylist()] for name in table.column_names}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_answer(content: object) -> Response:
    """The content as JSON."""
    return Response(json_bytes(content), media_type="application/json")


def json_bytes(content: object) -> bytes:
    """The content as compact JSON."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
