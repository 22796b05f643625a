"""Tables that people send: read and classified in a process of their own, with limits.

The process may use so many seconds and so much memory, and writes no file beyond its folder, which
is removed. A file can thus cost a moment, but not the server.
"""

import multiprocessing
import os
import resource
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple, NoReturn

from starlette.requests import Request

from xbayes.app.upload_answers import FORMATS, Made, Summary
from xbayes.errors import InputError

MOST_BYTES = 5_000_000  # of the file as it is sent


class Limits(NamedTuple):
    """What the process of one upload may use."""

    cpu_seconds: int = 60
    wall_seconds: float = 90.0
    memory_bytes: int = 3_000_000_000  # beyond what the process has when it starts
    file_bytes: int = 200_000_000


USUAL = Limits()
_BUSY = threading.BoundedSemaphore(2)
WAIT = 20.0  # seconds for a place


def refuse_foreign(request: Request) -> None:
    """Raise InputError for a form that another site sent."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    own = request.headers.get("host", "")
    foreign = origin is not None and origin.partition("://")[2] != own
    if site not in ("same-origin", "none") or foreign:
        raise InputError("this form was sent by another site; open the page here and send it again")


def ending_of(name: str, content: bytes) -> str:
    """The ending that a table is stored under: from its name if it says the format, else from it.

    Nothing else of the name is used.
    """
    from xbayes.catalog.formats import ENDINGS, looks_like

    lower = name.lower()
    found = [ending for ending in ENDINGS if lower.endswith(ending)]
    if found:
        return max(found, key=len)
    kinds = {
        "FITS": ".fits",
        "VOTable": ".vot",
        "XML": ".vot",
        "ECSV": ".ecsv",
        "Parquet": ".parquet",
    }
    return kinds.get(looks_like(content[:2000].lstrip()), ".csv")


def classified_page(run: Path, name: str, content: bytes, limits: Limits = USUAL) -> Summary:
    """The classified table for a page.

    Raises
    ------
    InputError
        If it is too large, no table, or takes too long.
    """
    answer = _in_process(run, name, content, "page", limits)
    assert isinstance(answer, Summary)
    return answer


def classified_file(
    run: Path, name: str, content: bytes, format: str, limits: Limits = USUAL
) -> Made:
    """The classified table as a file in a format of FORMATS; errors as of `classified_page`."""
    if format not in FORMATS:
        raise InputError(f"no format {format!r}; the formats are {', '.join(FORMATS)}")
    answer = _in_process(run, name, content, format, limits)
    assert isinstance(answer, Made)
    return answer


def _in_process(
    run: Path, name: str, content: bytes, format: str, limits: Limits
) -> Summary | Made:
    if not content.strip():
        raise InputError("the table is empty; choose a file or paste a table with a header line")
    if len(content) > MOST_BYTES:
        raise InputError(
            f"the table has {len(content):,} bytes; at most {MOST_BYTES:,} are taken. Larger ones: "
            "xbayes classify RUN CATALOG --out FILE"
        )
    if not _BUSY.acquire(timeout=WAIT):
        raise InputError("other tables are being classified; try again in a minute")
    try:
        with tempfile.TemporaryDirectory(prefix="xbayes-upload-") as folder:
            path = Path(folder) / f"table{ending_of(name, content)}"
            path.write_bytes(content)
            return _limited(run, path, format, limits)
    finally:
        _BUSY.release()


def _limited(run: Path, path: Path, format: str, limits: Limits) -> Summary | Made:
    # Forked from a process that only imported modules: no sessions, connections or threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["xbayes.app.upload_worker"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_enter, args=(sender, run, path, format, limits), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(limits.wall_seconds):
            raise InputError(_too_long(limits))
        try:
            kind, answer = receiver.recv()
        except EOFError:
            process.join(5)
            raise InputError(_stopped(process.exitcode, limits)) from None
    finally:
        process.kill()
        process.join(5)
        receiver.close()
    if kind == "wrong":
        raise InputError(answer)
    return answer


def _enter(sender, run: Path, path: Path, format: str, limits: Limits) -> None:
    """The process: sets its limits, works, and sends the answer."""
    os.environ.pop("XBAYES_SECRET_KEY", None)
    urllib.request.urlopen = _no_other_files  # a VOTable may name files or addresses as its data
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = _address_space() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    from xbayes.app.upload_worker import work

    try:
        sender.send(("made", work(run, path, format)))
    except InputError as error:
        sender.send(("wrong", _without_path(str(error), path)))
    except MemoryError:
        sender.send(("wrong", _too_much(limits)))
    except Exception as error:  # a damaged file makes readers fail in any way
        sender.send(("wrong", f"the table cannot be read ({type(error).__name__})"))


def _no_other_files(*_: object, **__: object) -> NoReturn:
    raise InputError("the table refers to another file; send one that holds its data")


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _without_path(message: str, path: Path) -> str:
    """The message, with the name of the table instead of the file on the server."""
    return message.replace(str(path), "the table").replace(path.name, "the table")


def _too_long(limits: Limits) -> str:
    return f"the table takes longer than {limits.wall_seconds:g} seconds; send fewer rows"


def _too_much(limits: Limits) -> str:
    return f"the table needs over {limits.memory_bytes / 1e9:g} GB of memory once it is unpacked"


def _stopped(code: int | None, limits: Limits) -> str:
    if code in (-24, -9):  # SIGXCPU, SIGKILL
        return f"the table takes over {limits.cpu_seconds} seconds of computing; send fewer rows"
    return "the table could not be classified: its process stopped; it may be too large or damaged"
