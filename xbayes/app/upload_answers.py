"""What the process that classifies a table answers, and how much it takes."""

from typing import NamedTuple

MOST_ROWS = 5_000
FORMATS = {
    "csv": "text/csv",
    "ecsv": "text/plain",
    "fits": "application/fits",
    "vot": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
}
SHOWN = 200  # rows on a page


class Made(NamedTuple):
    """A classified table."""

    content: bytes
    media_type: str
    name: str


class Summary(NamedTuple):
    """A classified table as a page shows it."""

    columns: list[str]
    rows: list[dict[str, float | int | str | bool | None]]  # at most SHOWN
    n_rows: int
    warnings: list[str]
