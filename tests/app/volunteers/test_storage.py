"""Migrations, backup and restoration, export, and the commands."""

import csv
import os
import re
import sqlite3
import stat
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select, text

from tests.app.volunteers.people import (
    NOON,
    RULES,
    RUN,
    account,
    days,
    first_admin,
    new_account,
    new_guest,
    shown,
    vote,
)
from xbayes.app.volunteers.accounts import use_reset_link
from xbayes.app.volunteers.assignments import Task, show_source
from xbayes.app.volunteers.backup import backup, restore
from xbayes.app.volunteers.campaigns import NewCampaign, create_campaign
from xbayes.app.volunteers.discussion import add_post
from xbayes.app.volunteers.engine import parse_url, sqlite_file
from xbayes.app.volunteers.export import export_votes, import_labels
from xbayes.app.volunteers.moderation import ban, flag_post, hide_post
from xbayes.app.volunteers.schema import downgrade, head, migrate_to, revision_of, upgrade
from xbayes.app.volunteers.sessions import account_of_session
from xbayes.app.volunteers.tables import Base, Kind, Label, Role, Standing, User, Vote
from xbayes.app.volunteers.voting import Ballot, record_vote
from xbayes.errors import InputError

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
PAIRS = [
    (a, b) if a == b == "sqlite" else pytest.param(a, b, marks=pytest.mark.slow)
    for a in ("sqlite", "postgresql")
    for b in ("sqlite", "postgresql")
]


def fill(database, folder):
    """A row at least in every table; the token of a session."""
    admin = first_admin(database)
    boss = account(database, "Boss", Role.RESEARCHER)
    made = new_account(database, "Éloïse")
    guest = new_guest(database).account.id
    for n, user in enumerate((boss, made.account.id, guest)):
        for number in range(4):
            vote(database, user, f"s{number}", "Star" if n else "AGN", comment="é",
                 true_class=None if number else "XRB")  # fmt: skip
    new = NewCampaign(name="ULX", question="Is it?", run=RUN, sources=["s1"])
    campaign = create_campaign(database, boss, new, now=NOON)
    vote(database, boss, "s1", campaign_id=campaign)
    show_source(database, boss, Task(run=RUN), shown("s9", "AGN"), now=NOON)
    post = add_post(database, boss, RUN, "s1", "hello", now=NOON)
    flag_post(database, guest, post, "why", now=NOON)
    hide_post(database, admin, post, "rude", now=NOON)
    ban(database, admin, boss, "rude", now=NOON)
    labels = folder / "labels.csv"
    labels.write_text("name,p_AGN,p_Star,entropy,n_votes,settled\ns1,0.75,0.25,0.56,3,False\n")
    import_labels(database, None, RUN, labels, now=NOON)
    export_votes(database, folder / "votes.csv")
    return made.token


def content(database):
    """All rows of all tables."""
    with database.read() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


@pytest.mark.parametrize("kind", KINDS)
def test_the_migrations_make_the_tables_that_the_code_has(kind, new_url, opened):
    url = new_url(kind, empty=True)
    assert kind == "sqlite" or revision_of(url) is None
    upgrade(url)
    assert revision_of(url) == head()
    with opened(url).engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_forwards_and_back_keep_the_votes(kind, new_url, opened, tmp_path):
    url = new_url(kind)
    database = opened(url)
    fill(database, tmp_path)
    before = content(database)
    assert all(before.values()), "every table has rows"
    database.close()
    downgrade(url, "r1")
    assert revision_of(url) == "r1"
    with pytest.raises(InputError, match="xbayes volunteers migrate"):
        opened(url)
    upgrade(url)
    after = content(opened(url))
    new = {"labels", "users", "posts"}  # what r2 adds is lost by going back
    assert {n: rows for n, rows in after.items() if n not in new} == {
        n: rows for n, rows in before.items() if n not in new
    }
    assert after["labels"] == []
    assert [row[:12] for row in after["users"]] == [row[:12] for row in before["users"]]
    assert all(row[12:] == (None, "") for row in after["users"])
    downgrade(url, "base")
    assert revision_of(url) is None
    upgrade(url, "r1")
    upgrade(url)
    assert first_admin(opened(url)) == 1


def test_a_migration_that_fails_changes_nothing(new_url, opened):
    url = new_url("sqlite")
    downgrade(url, "r1")
    with sqlite3.connect(sqlite_file(parse_url(url))) as connection:
        connection.execute("ALTER TABLE posts ADD COLUMN hidden_reason TEXT")
    with pytest.raises(Exception, match="duplicate column"):
        upgrade(url)
    assert revision_of(url) == "r1"
    with sqlite3.connect(sqlite_file(parse_url(url))) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert ("labels",) not in tables, "the first half of the migration is undone"


def test_wrong_revisions_and_databases_are_refused(new_url, opened, tmp_path):
    url = new_url("sqlite")
    for action in (upgrade, downgrade, migrate_to):
        with pytest.raises(InputError, match="r1, r2"):
            action(url, "r99")
    for wrong, says in (
        ("nonsense", "this is no URL"),
        ("mysql://x/y", "mysql"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        (f"sqlite:///{tmp_path}/none.sqlite", "there is no database"),
        ("postgresql://u:secret@127.0.0.1:9/x", "cannot be opened"),
    ):
        with pytest.raises(InputError, match=says) as refused:
            opened(wrong)
        assert "secret" not in str(refused.value)
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with pytest.raises(InputError, match="cannot be opened"):
        opened(f"sqlite:///{tmp_path}/text.sqlite")


def test_sqlite_is_opened_so_that_votes_last(new_url, opened):
    url = new_url("sqlite")
    with opened(url).engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 30_000]
    database = opened(url)
    for durable, mode in ((True, 2), (False, 1), (True, 2)):
        with database.write(durable=durable) as session:
            assert session.execute(text("PRAGMA synchronous")).scalar() == mode
    upgrade(f"{url}.new")
    mode = stat.S_IMODE(os.stat(f"{sqlite_file(parse_url(url))}.new").st_mode)
    assert mode == 0o600


@pytest.mark.parametrize(("kind", "other"), PAIRS)
def test_a_backup_restores_everything_to_either_kind(kind, other, new_url, opened, tmp_path):
    database = opened(url := new_url(kind))
    token = fill(database, tmp_path)
    file = tmp_path / "backup.sqlite"
    assert backup(url, file) == 13
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = content(database)
    vote(database, first_admin(database), "later")
    target = new_url(other, empty=True)
    assert restore(file, target) == 13
    again = opened(target)
    assert content(again) == before
    assert account_of_session(again, token, now=NOON).name == "Éloïse"
    # New rows are numbered after those that were restored.
    assert vote(again, account(again, "New"), "s1")[0].others == {"AGN": 2, "Star": 2}
    for action, where in ((backup, (url, file)), (restore, (file, target))):
        with pytest.raises(InputError, match="--overwrite"):
            action(*where)
    again.close()
    assert backup(url, file, overwrite=True) == 14
    assert restore(file, target, overwrite=True) == 14
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_is_consistent_while_votes_come_in(kind, new_url, opened, tmp_path):
    database = opened(url := new_url(kind))
    users = [account(database, f"User {n}") for n in range(3)]
    stop, done = threading.Event(), []

    def votes_of(user):
        number = 0
        while not stop.is_set():
            vote(database, user, f"s{number}", true_class="AGN" if number % 2 else None)
            number += 1
            done.append(user)

    threads = [threading.Thread(target=votes_of, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    try:
        numbers, acknowledged = [], []
        for n in range(6):
            until = time.monotonic() + 60
            while len(done) <= 3 * n and time.monotonic() < until:
                time.sleep(0.001)  # votes must come in between
            acknowledged.append(len(done))
            numbers.append(backup(url, tmp_path / f"b{n}.sqlite"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert numbers == sorted(numbers) and numbers[-1] > numbers[0]
    assert all(n >= a for n, a in zip(numbers, acknowledged, strict=True)), "none is missing"
    for n, number in enumerate(numbers):
        restore(tmp_path / f"b{n}.sqlite", target := new_url("sqlite", empty=True) + f".{n}")
        with opened(target).read() as session:
            assert session.scalar(select(func.count(Vote.id))) == number
            assert sum(session.scalars(select(Standing.n_votes))) == number
            votes = session.execute(
                select(Vote.user_id, func.count()).group_by(Vote.user_id)
            ).all()  # fmt: skip
            counts = {s.user_id: s.n_votes for s in session.scalars(select(Standing))}
        assert all(counts[user] == votes_ for user, votes_ in votes)


def test_an_old_backup_is_brought_forwards_and_a_newer_one_is_refused(new_url, opened, tmp_path):
    url = new_url("sqlite")
    account(opened(url), "One")
    downgrade(url, "r1")
    backup(url, tmp_path / "old.sqlite")
    restore(tmp_path / "old.sqlite", target := f"sqlite:///{tmp_path}/new.sqlite")
    with opened(target).read() as session:
        assert session.scalars(select(User.name)).all() == ["One"]
    with sqlite3.connect(tmp_path / "old.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'r99'")
    connection.close()
    with pytest.raises(InputError, match="does not know"):
        restore(tmp_path / "old.sqlite", f"sqlite:///{tmp_path}/newer.sqlite")
    assert not (tmp_path / "newer.sqlite").exists()


def test_a_damaged_backup_is_refused_and_the_database_stays(new_url, opened, tmp_path):
    database = opened(url := new_url("sqlite"))
    user = account(database, "One")
    for number in range(60):
        vote(database, user, f"s{number}", comment="x" * 2000)
    backup(url, file := tmp_path / "b.sqlite")
    whole = file.read_bytes()
    for name, content_ in (
        ("cut", whole[: len(whole) // 2]),
        ("text", b"no database" * 100),
        ("empty", b""),
        ("holes", whole[:20_000] + b"\xff" * 40_000 + whole[60_000:]),
    ):
        (tmp_path / name).write_bytes(content_)
        with pytest.raises(InputError, match=r"no backup|damaged"):
            restore(tmp_path / name, url, overwrite=True)
    with pytest.raises(InputError, match="no file"):
        restore(tmp_path / "none", url, overwrite=True)
    assert vote(database, user, "more")[1].n_votes == 61


def test_the_export_has_pseudonyms_that_stay_and_no_comments(either, tmp_path):
    database = either
    one, two = account(database, "One"), account(database, "Two")
    vote(database, one, "s,1", "AGN", comment="secret")
    vote(database, one, "k1", "Star", true_class="XRB")
    vote(database, one, "k2", "Star", true_class="XRB", training=True)
    vote(database, two, "s,1", "unknown", now=NOON + days(1))
    out = tmp_path / "v.csv"
    assert export_votes(database, out) == 3
    rows = list(csv.reader(out.read_text().splitlines()))
    assert rows[0] == ["source", "user", "answer", "time"]
    assert [(r[0], r[2], r[3]) for r in rows[1:]] == [
        ("s,1", "AGN", "2026-11-25T12:00:00Z"),
        ("k1", "Star", "2026-11-25T12:00:00Z"),
        ("s,1", "unknown", "2026-11-26T12:00:00Z"),
    ]
    users = [r[1] for r in rows[1:]]
    assert users[0] == users[1] != users[2] and all(re.fullmatch("[0-9a-f]{16}", u) for u in users)
    assert "secret" not in out.read_text() and "One" not in out.read_text()
    first = out.read_text()
    export_votes(database, out)
    assert out.read_text() == first
    assert export_votes(database, out, kinds=tuple(Kind)) == 4
    vote(database, one, "s1", run="another")
    with pytest.raises(InputError, match="another, demo"):
        export_votes(database, out)
    assert export_votes(database, out, run="another") == 1


def test_exports_of_other_databases_have_other_pseudonyms(new_url, opened, tmp_path):
    texts = set()
    for n in range(2):
        database = opened(new_url("sqlite"))
        vote(database, account(database, "One"), "s1")
        export_votes(database, out := tmp_path / f"{n}.csv")
        texts.add(out.read_text())
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("text_", "says"),
    [
        ("name,entropy,n_votes,settled\n", "p_<CLASS>"),
        ("name,p_A,n_votes,settled\n", "entropy"),
        ("name,p_A,entropy,n_votes,settled\ns1,x,0,1,True\n", "line 2"),
        ("name,p_A,entropy,n_votes,settled\ns1,1.5,0,1,True\n", "from 0 to 1"),
        ("name,p_A,entropy,n_votes,settled\ns1,1,0,1,maybe\n", "True or False"),
        ("name,p_A,entropy,n_votes,settled\ns1,1\n", "line 2"),
        ("name,p_A,entropy,n_votes,settled\n" + "s1,1,0,1,True\n" * 2, "more than once"),
    ],
)
def test_wrong_labels_are_refused_and_earlier_ones_stay(database, tmp_path, text_, says):
    good, wrong = tmp_path / "good.csv", tmp_path / "wrong.csv"
    good.write_text("name,p_A,entropy,n_votes,settled\ns7,1,0,1,True\n")
    assert import_labels(database, None, RUN, good) == 1
    wrong.write_text(text_)
    with pytest.raises(InputError, match=says):
        import_labels(database, None, RUN, wrong)
    with pytest.raises(InputError, match="cannot be read"):
        import_labels(database, None, RUN, tmp_path / "none.csv")
    with database.read() as session:
        assert session.scalars(select(Label.source)).all() == ["s7"]


def test_a_text_is_never_a_part_of_a_query(database):
    """Statements in names, sources and comments are stored as they are."""
    evil = "s'; DROP TABLE votes; --"
    user = account(database, "x'); --")
    outcome, _ = vote(database, user, evil, comment=evil)
    add_post(database, user, RUN, evil, evil, now=NOON)
    assert outcome.others == {}
    with database.read() as session:
        assert session.scalars(select(Vote.source)).all() == [evil]


def test_the_database_itself_refuses_a_second_vote_and_a_vote_of_nobody(either):
    """What the rules check is also a constraint of the table."""
    user = account(either, "One")
    vote(either, user, "s1")
    vote(either, user, "k1", true_class="AGN")
    copy = (
        "INSERT INTO votes (user_id, run, source, campaign_id, answer, nothing_to_see, comment, "
        "kind, true_class, time) SELECT {user}, run, {source}, {campaign}, answer, "
        "nothing_to_see, comment, {kind}, true_class, time FROM votes WHERE source = 's1'"
    )
    good = {"user": user, "source": "'s2'", "campaign": 1, "kind": "kind"}
    for wrong in ({"source": "'s1'"}, {"user": 999}, {"campaign": 999}, {"kind": "'test'"},
                  {"kind": "'x'"}):  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)constraint"), either.write() as session:
            session.execute(text(copy.format(**{**good, **wrong})))
    with either.write() as session:
        session.execute(text(copy.format(**good)))


def test_the_commands(xbayes, refused, tmp_path, monkeypatch, opened):
    monkeypatch.delenv("XBAYES_DATABASE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    url = f"sqlite:///{tmp_path}/data/xbayes/volunteers.sqlite"
    refused("volunteers", "admin", "Ada", says=("migrate",))
    assert xbayes("volunteers", "migrate")[1].strip().endswith("r2")
    code, out, _ = xbayes("volunteers", "admin", "Ada", "--site", "https://x.org/")
    assert code == 0 and "a new account" in out
    token = re.search(r"https://x\.org/reset/(\S+)", out)[1]
    database = opened(url)
    made = use_reset_link(database, token, "glacier-mantis-violin")
    assert made.account.role is Role.ADMIN and not made.account.guest
    assert "new account" not in xbayes("volunteers", "admin", "ada")[1]
    refused("volunteers", "export", "--out", tmp_path / "v.csv", says=("no votes",))
    show_source(database, made.account.id, Task(run=RUN), shown("s1"))
    record_vote(database, made.account.id, Ballot(run=RUN, source="s1", answer="AGN"), RULES)
    assert "1 votes" in xbayes("volunteers", "export", "--out", tmp_path / "v.csv")[1]
    refused("volunteers", "export", "--out", tmp_path / "v.csv", says=("--overwrite",))
    assert "1 votes" in xbayes("volunteers", "backup", tmp_path / "b.sqlite")[1]
    other = f"sqlite:///{tmp_path}/other.sqlite"
    assert (
        "1 votes" in xbayes("volunteers", "restore", tmp_path / "b.sqlite", "--database", other)[1]
    )
    labels = tmp_path / "l.csv"
    labels.write_text("name,p_A,entropy,n_votes,settled\ns7,1,0,1,True\n")
    assert "1 settled" in xbayes("volunteers", "labels", labels, "--run", RUN)[1]
    database.close()
    assert xbayes("volunteers", "migrate", "--to", "r1")[1].strip().endswith("r1")
    monkeypatch.setenv("XBAYES_DATABASE", other)
    assert xbayes("volunteers", "migrate", "--to", "base")[1].strip().endswith("empty")
    refused("volunteers", "migrate", "--to", "r7", says=("r1", "r2"))
