"""Votes out, as a VOTES table for `xbayes crowd aggregate`; labels in, as it wrote them."""

import csv
import hashlib
import json
import math
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xbayes.app.volunteers.audit import record
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.files import whole_file
from xbayes.app.volunteers.roles import require_role
from xbayes.app.volunteers.tables import ID_LENGTH, Kind, Label, Role, Setting, Vote
from xbayes.errors import InputError

COLUMNS = ("source", "user", "answer", "time")
SALT = "export salt"
NOT_IDS = ("entropy", "n_votes", "settled")
AT_ONCE = 10_000  # rows


def export_votes(
    database: Database,
    out: Path,
    *,
    run: str | None = None,
    kinds: Collection[Kind] = (Kind.REAL, Kind.TEST),
    campaign_id: int | None = None,
) -> int:
    """Write the votes as CSV with the columns source, user, answer and time; their number.

    A user is a salted hash, the same in every export of a database and after a restoration. Names
    and comments are not exported. Votes in training are left out unless `kinds` names them.

    Raises InputError if the votes are of several runs and none is named, or of none.
    """
    salt = _salt(database)
    pseudonyms: dict[int, str] = {}
    query = select(Vote).where(Vote.kind.in_(kinds)).order_by(Vote.id)
    if campaign_id is not None:
        query = query.where(Vote.campaign_id == campaign_id)
    number = 0
    with database.read() as session:
        run = run or _only_run(session)
        with whole_file(out) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            rows = session.scalars(
                query.where(Vote.run == run).execution_options(yield_per=AT_ONCE)
            )
            for vote in rows:
                user = pseudonyms.get(vote.user_id)
                if user is None:
                    user = pseudonyms[vote.user_id] = pseudonym(vote.user_id, salt)
                time = vote.time.strftime("%Y-%m-%dT%H:%M:%SZ")
                writer.writerow((vote.source, user, vote.answer, time))
                number += 1
    return number


def pseudonym(user_id: int, salt: str) -> str:
    """The name of a person in exports, from which the person cannot be found without the salt."""
    return hashlib.blake2b(str(user_id).encode(), key=salt.encode(), digest_size=8).hexdigest()


def import_labels(
    database: Database, actor_id: int | None, run: str, file: Path, *, now: datetime | None = None
) -> int:
    """Read the labels of a run that `xbayes crowd aggregate` wrote; the number of settled ones.

    They replace earlier labels of the run. `actor_id` is an admin, or None for the command line.

    Raises InputError if the file is no such table.
    """
    now = now or utc_now()
    labels = list(_labels(file, run, now))
    settled = sum(bool(label["settled"]) for label in labels)
    try:
        with database.write() as session:
            if actor_id is not None:
                require_role(session, actor_id, Role.ADMIN, now)
            session.execute(delete(Label).where(Label.run == run))
            for start in range(0, len(labels), AT_ONCE):
                session.execute(insert(Label), labels[start : start + AT_ONCE])
            detail = f"{len(labels)} labels, {settled} settled"
            record(session, actor_id, "import labels", run, detail, now)
    except IntegrityError:
        raise InputError(f"{file} has a source more than once; give one row for each") from None
    return settled


def _salt(database: Database) -> str:
    """The secret of the pseudonyms, made at the first export."""
    with database.read() as session:
        found = session.get(Setting, SALT)
    if found is not None:
        return found.value
    try:
        with database.write() as session:
            session.add(made := Setting(key=SALT, value=secrets.token_hex(16)))
        return made.value
    except IntegrityError:  # another process made it meanwhile
        with database.read() as session:
            return session.get_one(Setting, SALT).value


def _only_run(session: Session) -> str:
    runs = list(session.scalars(select(Vote.run).distinct().order_by(Vote.run)))
    if len(runs) != 1:
        found = ", ".join(runs) or "no votes"
        raise InputError(f"name the run whose votes are exported; found {found}")
    return runs[0]


def _labels(file: Path, run: str, now: datetime) -> Iterator[dict[str, object]]:
    try:
        text = file.open(newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    with text:
        reader = csv.DictReader(text)
        names = list(reader.fieldnames or ())
        classes = [name for name in names if name.startswith("p_")]
        ids = [name for name in names if name not in (*classes, *NOT_IDS)]
        if not classes or not ids or not set(NOT_IDS) <= set(names):
            raise InputError(
                f"{file} needs the columns of `xbayes crowd aggregate`: an id, p_<CLASS>, "
                f"{', '.join(NOT_IDS)}; found {', '.join(names)}"
            )
        for line, row in enumerate(reader, start=2):
            try:
                yield _label(row, ids[0], classes, run, now)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{file}, line {line}: {error}") from None


def _label(
    row: dict[str, str], id_column: str, classes: list[str], run: str, now: datetime
) -> dict[str, object]:
    source = row[id_column]
    if not 0 < len(source) <= ID_LENGTH:
        raise ValueError(f"an id has 1 to {ID_LENGTH} characters; found {source!r}")
    posterior = {name.removeprefix("p_"): float(row[name]) for name in classes}
    entropy = float(row["entropy"])
    if not all(0 <= p <= 1 for p in posterior.values()) or not math.isfinite(entropy):
        raise ValueError("probabilities are from 0 to 1, and the entropy is a number")
    settled = row["settled"].strip().casefold()
    if settled not in ("true", "false", "1", "0"):
        raise ValueError(f"settled is True or False; found {row['settled']!r}")
    return {
        "run": run,
        "source": source,
        "posterior": json.dumps(posterior),
        "entropy": entropy,
        "n_votes": int(row["n_votes"]),
        "settled": settled in ("true", "1"),
        "imported": now,
    }
