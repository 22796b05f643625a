"""Dask's workers: those of this machine, or of a scheduler elsewhere, and the run on each.

The files of the run are sent to each worker once, also to one that replaces a killed one. A worker
loads the run once, so that JAX compiles once.
"""

import hashlib
import io
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dask
from distributed import Client, Future, LocalCluster, WorkerPlugin

from xbayes.classifier.patterns import Patterns
from xbayes.errors import InputError
from xbayes.tasks.absent_features import patterns_of
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.precision import use_precision

if TYPE_CHECKING:
    from distributed import Worker

UNNEEDED = ("figures", "catalog.fits", "catalog.parquet", "report.html")  # to classify
WAIT = 10  # seconds for a scheduler to answer

# A run is loaded, and a partition classified, by one thread at a time: JAX and pyarrow use all
# cores by themselves, and the precision is that of the whole process.
ONE_AT_A_TIME = threading.RLock()


class Work(NamedTuple):
    """Who does the work."""

    scheduler: str | None = None  # address of a Dask scheduler; None: processes of this machine
    n_workers: int = 2


class OnWorker(NamedTuple):
    """The run on a worker, and the classifiers of rows that lack whole groups of features."""

    run: FittedRun
    patterns: Patterns


class SentRun(WorkerPlugin):
    """The files of a run, which the scheduler sends to every worker once."""

    def __init__(self, run: FittedRun) -> None:
        self.packed = _packed(run)
        self.name = f"xbayes-{hashlib.sha256(self.packed).hexdigest()[:16]}"

    def setup(self, worker: "Worker") -> None:
        """Keep the files; they are unpacked when the first partition needs them."""
        _packed_runs[self.name] = self.packed


_packed_runs: dict[str, bytes] = {}
_loaded: dict[str, OnWorker] = {}


def run_on_worker(name: str) -> OnWorker:
    """The run that was sent under this name, loaded once by each worker."""
    with ONE_AT_A_TIME:
        if name not in _loaded:
            folder = Path(tempfile.mkdtemp(prefix="xbayes-run-"))
            with zipfile.ZipFile(io.BytesIO(_packed_runs[name])) as archive:
                archive.extractall(folder)
            run = load(folder)
            use_precision(run.config)
            _loaded.clear()  # one run is in memory
            _loaded[name] = OnWorker(run=run, patterns=patterns_of(run.model, kept={}))
        return _loaded[name]


def loaded_on_workers(client: Client, name: str) -> list[Future]:
    """Every worker begins to load the run; Dask forgets it if the futures are not kept."""
    workers = client.scheduler_info()["workers"]
    return [client.submit(_load, name, workers=[each], pure=False) for each in workers]


def _load(name: str) -> None:
    run_on_worker(name)


@contextmanager
def dask_client(work: Work, say: Callable[[str], None]) -> Iterator[Client]:
    """A client of the scheduler, else of processes on this machine.

    Raises
    ------
    InputError
        If no scheduler answers, or it has no workers.
    """
    if work.scheduler is None:
        if work.n_workers < 1:
            raise InputError(f"--workers must be at least 1; found {work.n_workers}")
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": _environment(work.n_workers)}),
            LocalCluster(
                n_workers=work.n_workers,
                threads_per_worker=1,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster) as client,
        ):
            say(f"{work.n_workers} workers; dashboard: {client.dashboard_link}")
            yield client
        return
    try:
        client = Client(work.scheduler, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {work.scheduler}: {error}; give the address that "
            "'dask scheduler' prints"
        ) from None
    with client:
        n_found = len(client.scheduler_info()["workers"])
        if not n_found:
            raise InputError(
                f"the Dask scheduler at {work.scheduler} has no workers; start some: dask worker "
                f"{work.scheduler}"
            )
        say(f"{n_found} workers; dashboard: {client.dashboard_link}")
        yield client


@contextmanager
def sent_run(client: Client, run: FittedRun) -> Iterator[str]:
    """The name under which every worker has the run."""
    plugin = SentRun(run)
    client.register_plugin(plugin)
    try:
        yield plugin.name
    finally:
        client.unregister_worker_plugin(plugin.name)


def _environment(n_workers: int) -> dict[str, str]:
    """Workers that share the cores; the rest of the environment is that of this process."""
    threads = max(1, (os.cpu_count() or 1) // n_workers)
    made = {"XBAYES_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    # The blocks of a partition are computed in threads; one heap for all of them is less memory.
    made["MALLOC_ARENA_MAX"] = "1"
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        made["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return made


def _packed(run: FittedRun) -> bytes:
    """The files that a run needs to classify, as a zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(run.folder.rglob("*")):
            name = path.relative_to(run.folder)
            if path.is_file() and name.parts[0] not in UNNEEDED:
                archive.write(path, str(name))
    return made.getvalue()
