"""Asynchronous queries (UWS): jobs, held in memory within limits."""

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from xbayes.catalog.adql_database import Stop, Stopped
from xbayes.errors import InputError

MOST_JOBS = 200
MOST_BYTES = 200_000_000  # of all results
RUNNING = 2  # jobs at once
SECONDS, MOST_SECONDS = 120, 600
LIFETIME = timedelta(days=1)
ACTIVE = ("PENDING", "QUEUED", "EXECUTING")
PHASES = (*ACTIVE, "COMPLETED", "ERROR", "ABORTED", "UNKNOWN", "HELD", "SUSPENDED", "ARCHIVED")


class Result(NamedTuple):
    """The result of a job."""

    body: bytes
    mime: str


Work = Callable[[Mapping[str, str], int, Stop], Result]


class Job:
    """One query, and what became of it."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.parameters = dict(parameters)
        self.phase = "PENDING"
        self.created = datetime.now(UTC)
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.destruction = self.created + LIFETIME
        self.seconds = SECONDS
        self.result: Result | None = None
        self.error = ""
        self.stop = Stop()


class JobStore:
    """The jobs of a site; safe to use from several threads."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._turn = threading.BoundedSemaphore(RUNNING)

    def create(self, parameters: Mapping[str, str]) -> Job:
        """A new job that waits to be run. InputError if there are too many."""
        with self._lock:
            self._drop_old()
            while len(self._jobs) >= MOST_JOBS:
                if not self._drop_oldest():
                    raise InputError(f"{MOST_JOBS} jobs wait or run; try again later")
            job = Job(parameters)
            self._jobs[job.id] = job
            return job

    def get(self, id: str) -> Job | None:
        """The job with this id; None if there is none."""
        with self._lock:
            self._drop_old()
            return self._jobs.get(id)

    def all(self) -> tuple[Job, ...]:
        """All jobs, the newest first."""
        with self._lock:
            self._drop_old()
            return tuple(sorted(self._jobs.values(), key=lambda job: job.created, reverse=True))

    def delete(self, job: Job) -> None:
        """Stop a job and forget it."""
        self.abort(job)
        with self._lock:
            self._jobs.pop(job.id, None)

    def abort(self, job: Job) -> None:
        """Stop a job that has not ended."""
        with self._lock:
            if job.phase in ACTIVE:
                job.phase, job.ended = "ABORTED", datetime.now(UTC)
            job.stop.set()

    def run(self, job: Job, work: Work) -> None:
        """Start a job that waits to be run; others are left alone."""
        with self._lock:
            if job.phase != "PENDING":
                return
            job.phase = "QUEUED"
        threading.Thread(target=self._run, args=(job, work), daemon=True).start()

    def _run(self, job: Job, work: Work) -> None:
        with self._turn:
            with self._lock:
                if job.phase != "QUEUED":
                    return
                job.phase, job.started = "EXECUTING", datetime.now(UTC)
            try:
                result = work(job.parameters, job.seconds, job.stop)
                self._finish(job, result, "")
            except Stopped:
                self.abort(job)
            except InputError as error:
                self._finish(job, None, str(error))
            except Exception:
                self._finish(job, None, "the service failed; tell its owner")
                raise

    def _finish(self, job: Job, result: Result | None, error: str) -> None:
        with self._lock:
            if job.phase != "EXECUTING":
                return
            if result is not None:
                error = self._make_room(len(result.body))
            job.result, job.error = (None, error) if error else (result, "")
            job.phase, job.ended = "ERROR" if error else "COMPLETED", datetime.now(UTC)

    def _make_room(self, size: int) -> str:
        """Forget old results until this one fits; why it cannot, or ""."""
        if size > MOST_BYTES:
            return f"the result has {size:,} bytes; at most {MOST_BYTES:,} are kept: select less"
        while self._size() + size > MOST_BYTES:
            if not self._drop_oldest():
                return "the service has no room for the result; try again later"
        return ""

    def _size(self) -> int:
        return sum(len(job.result.body) for job in self._jobs.values() if job.result is not None)

    def _drop_old(self) -> None:
        now = datetime.now(UTC)
        for job in [job for job in self._jobs.values() if job.destruction <= now]:
            self.delete(job)

    def _drop_oldest(self) -> bool:
        """Forget the oldest job that has ended, or that nobody started; false if all are busy."""
        idle = [j for j in self._jobs.values() if j.phase not in ("QUEUED", "EXECUTING")]
        ended = [job for job in idle if job.phase not in ACTIVE] or idle
        if not ended:
            return False
        self.delete(min(ended, key=lambda job: job.created))
        return True
