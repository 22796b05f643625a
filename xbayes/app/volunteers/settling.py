"""What the imported labels say: settled and open sources, and agreement with the classifier."""

import json
from typing import NamedTuple

from sqlalchemy import func, select

from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.tables import Label, Vote
from xbayes.catalog.query import VIEW


class Agreement(NamedTuple):
    """The settled labels of a class, and how many of them the classifier shares."""

    name: str
    labels: int
    same: int


class LabelCounts(NamedTuple):
    """What the labels of a run say."""

    settled: int
    open: int  # with a label that is not settled
    voted: int  # sources with votes
    agreement: list[Agreement]


def settled_sources(database: Database, run: str) -> list[str]:
    """The sources of a run whose label is settled."""
    with database.read() as session:
        found = select(Label.source).where(Label.run == run, Label.settled)
        return list(session.scalars(found))


def label_counts(database: Database, run: ServedRun) -> LabelCounts:
    """The counts of the labels of a run."""
    with database.read() as session:
        rows = session.execute(
            select(Label.source, Label.posterior, Label.settled).where(Label.run == run.name)
        ).all()
        voted = select(func.count(Vote.source.distinct())).where(Vote.run == run.name)
        n_voted = session.scalar(voted) or 0
    best = {row.source: _most_probable(row.posterior) for row in rows if row.settled}
    predictions = _predictions(run) if best else {}
    labels: dict[str, int] = {}
    same: dict[str, int] = {}
    for source, name in best.items():
        if source in predictions:
            labels[name] = labels.get(name, 0) + 1
            same[name] = same.get(name, 0) + (predictions[source] == name)
    return LabelCounts(
        settled=len(best),
        open=len(rows) - len(best),
        voted=n_voted,
        agreement=[Agreement(name=n, labels=labels[n], same=same[n]) for n in sorted(labels)],
    )


def _most_probable(posterior: str) -> str:
    shares: dict[str, float] = json.loads(posterior)
    return max(shares, key=lambda name: shares[name])


def _predictions(run: ServedRun) -> dict[str, str]:
    own_id = f"CAST({run.catalogue.quoted(run.catalogue.id)} AS VARCHAR)"
    found = run.catalogue.query(f"SELECT {own_id} AS id, prediction FROM {VIEW}").to_pydict()
    return dict(zip(found["id"], found["prediction"], strict=True))
