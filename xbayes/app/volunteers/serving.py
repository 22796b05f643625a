"""Choosing the next source for a person: the queue of sources beside the votes of the database."""

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sqlalchemy import func, select

from xbayes.app.volunteers.assignments import Shown, Task, show_source, shown_source
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.next_source import UNKNOWN_CLASS, QueueOptions, SourceQueue
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, CampaignSource, Kind, Label, Vote
from xbayes.app.volunteers.voting import check_runs
from xbayes.errors import InputError

REFRESH = 1.0  # seconds between looks at the votes that other processes recorded
LOOK_BACK = 1000  # ids of votes: a transaction with a lower id may end later
MOST_PEOPLE = 5000  # whose votes are remembered


class Sources(NamedTuple):
    """The sources of a run: what the queue needs of the classified catalogue."""

    run: str
    ids: Sequence[str]
    score: Float[np.ndarray, "N"]  # how informative a label would be
    true_class: Int[np.ndarray, "N"]  # number of the class, -1 for unknown sources
    classes: tuple[str, ...]


class _Seen(NamedTuple):
    """The votes of a person, up to the id of the last one."""

    last: int
    index: Int[np.ndarray, "V"]
    campaign: Int[np.ndarray, "V"]


class Server:
    """Shows sources of a run to people. One for a process, used by all its threads.

    Parameters
    ----------
    database
        The database of the votes.
    sources
        The sources of the run.
    options
        How sources are chosen.
    """

    def __init__(
        self, database: Database, sources: Sources, options: QueueOptions | None = None
    ) -> None:
        n_sources = len(sources.ids)
        if not len(sources.score) == len(sources.true_class) == n_sources:
            raise InputError(
                f"{n_sources} ids, {len(sources.score)} scores and {len(sources.true_class)} "
                "classes; give one of each for every source"
            )
        self.database, self.sources = database, sources
        self.options = options or QueueOptions()
        self._row = {source: row for row, source in enumerate(sources.ids)}
        self._queues: dict[int, SourceQueue] = {}
        self._seen: dict[int, _Seen] = {}
        self._lock = threading.RLock()
        self._counted: dict[int, int] = {}  # the last vote that a queue has counted, and
        self._recent: dict[int, set[int]] = {}  # those shortly before
        self._looked = 0.0

    def next_source(self, user_id: int, task: Task, *, now: datetime | None = None) -> Shown | None:
        """The source to show to a person; None if nothing is left.

        It stays the same until the person votes on it, however often the page is loaded.

        Raises Forbidden if the campaign does not run.
        """
        now = now or utc_now()
        shown = shown_source(self.database, user_id, task)
        if shown is not None and shown.source in self._row:
            return shown
        with self.database.read() as session:
            check_runs(session, task.campaign_id, now)
        with self._lock:
            queue = self._queue(task.campaign_id)
            seen = self._votes_of(user_id)
            choice = queue.choose(
                seen.index[seen.campaign == task.campaign_id],
                seen.index,
                user_id,
                len(seen.index),
                training=task.training,
            )
        if choice is None:
            return None
        truth = self.sources.true_class[choice.index]
        found = Shown(
            source=self.sources.ids[choice.index],
            kind=choice.kind,
            true_class=None if choice.kind is Kind.REAL else self.sources.classes[truth],
        )
        return show_source(self.database, user_id, task, found, now=now)

    def settle(self, sources: Sequence[str]) -> None:
        """Show these sources no more."""
        with self._lock:
            for queue in self._queues.values():
                for source in sources:
                    if source in self._row:
                        queue.settle(self._row[source])

    def true_class(self, source: str) -> str | None:
        """The class of a known source; None for an unknown one."""
        number = self.sources.true_class[self._row[source]]
        return None if number == UNKNOWN_CLASS else self.sources.classes[number]

    def _queue(self, campaign_id: int) -> SourceQueue:
        if campaign_id not in self._queues:
            self._queues[campaign_id] = self._new_queue(campaign_id)
        if time.monotonic() - self._looked > REFRESH:
            for each in self._queues:
                self._count_new_votes(each)
            self._looked = time.monotonic()
        return self._queues[campaign_id]

    def _new_queue(self, campaign_id: int) -> SourceQueue:
        n_sources = len(self.sources.ids)
        votes, settled = np.zeros(n_sources, int), np.zeros(n_sources, bool)
        run = self.sources.run
        with self.database.read() as session:
            of_campaign = (Vote.run == run, Vote.campaign_id == campaign_id)
            self._counted[campaign_id] = session.scalar(select(func.max(Vote.id))) or 0
            start = self._counted[campaign_id] - LOOK_BACK
            recent = session.scalars(select(Vote.id).where(Vote.id > start)).all()
            self._recent[campaign_id] = set(recent)
            counts = select(Vote.source, func.count()).where(*of_campaign).group_by(Vote.source)
            for source, number in session.execute(counts):
                if source in self._row:
                    votes[self._row[source]] = number
            if campaign_id == OPEN_CAMPAIGN:
                done = select(Label.source).where(Label.run == run, Label.settled)
                settled[self._rows_of(session.scalars(done))] = True
            else:
                # Outside the selection no source is shown, but for hidden known ones.
                chosen = select(CampaignSource.source).where(
                    CampaignSource.campaign_id == campaign_id
                )
                settled[:] = True
                settled[self._rows_of(session.scalars(chosen))] = False
        return SourceQueue(
            self.sources.score, self.sources.true_class, votes, settled, self.options
        )

    def _rows_of(self, sources: Iterable[str]) -> Int[np.ndarray, "V"]:
        return np.array([self._row[s] for s in sources if s in self._row], int)

    def _count_new_votes(self, campaign_id: int) -> None:
        """Count the votes that came since the last look, in this process and in others."""
        start = self._counted[campaign_id] - LOOK_BACK
        query = select(Vote.id, Vote.run, Vote.campaign_id, Vote.source).where(Vote.id > start)
        with self.database.read() as session:
            rows = session.execute(query).all()
        known = self._recent[campaign_id]
        for row in rows:
            own = row.run == self.sources.run and row.campaign_id == campaign_id
            if row.id not in known and own and row.source in self._row:
                self._queues[campaign_id].count(self._row[row.source])
        if rows:
            self._recent[campaign_id] = {row.id for row in rows}
            self._counted[campaign_id] = max(row.id for row in rows)

    def _votes_of(self, user_id: int) -> _Seen:
        """The sources that a person has voted on; reads only the votes since the last time."""
        empty = np.zeros(0, int)
        seen = self._seen.get(user_id, _Seen(last=0, index=empty, campaign=empty))
        query = (
            select(Vote.id, Vote.source, Vote.campaign_id)
            .where(Vote.user_id == user_id, Vote.run == self.sources.run, Vote.id > seen.last)
            .order_by(Vote.id)
        )
        with self.database.read() as session:
            rows = session.execute(query).all()
        if rows:
            here = [row for row in rows if row.source in self._row]
            index = self._rows_of(row.source for row in here)
            campaign = np.array([row.campaign_id for row in here], int)
            seen = _Seen(
                last=rows[-1].id,
                index=np.append(seen.index, index),
                campaign=np.append(seen.campaign, campaign),
            )
        if len(self._seen) >= MOST_PEOPLE and user_id not in self._seen:
            self._seen.pop(next(iter(self._seen)))
        self._seen[user_id] = seen
        return seen
