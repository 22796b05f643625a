"""People, sources and votes for the tests of the volunteers' site."""

from datetime import UTC, datetime, timedelta

from xbayes.app.volunteers.accounts import Consent, Credentials, create_guest, sign_up
from xbayes.app.volunteers.admin import make_admin
from xbayes.app.volunteers.assignments import Shown, Task, show_source
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Kind, Role, User
from xbayes.app.volunteers.voting import Ballot, VotingRules, record_vote

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
PASSWORD = "umbrella-otter-quartz"
RULES = VotingRules(classes=("AGN", "Star", "XRB"), most_a_minute=1_000_000)
RUN = "demo"


def account(database, name, role=Role.VOLUNTEER, now=NOON) -> int:
    """A new account; its id. The password is hashed once for all, which takes time."""
    from xbayes.app.volunteers.names import name_key
    from xbayes.app.volunteers.progress import new_standing

    with database.write() as session:
        user = User(
            name=name, name_key=name_key(name), password_hash=hashed(), guest=False, role=role,
            language="en", created=now, consent_version="2026-11", consented=now,
            keep_votes=True, ban_reason="",
        )  # fmt: skip
        session.add(user)
        session.flush()
        session.add(new_standing(user.id))
        return user.id


_HASH = []


def hashed() -> str:
    """The hash of PASSWORD."""
    from xbayes.app.volunteers.passwords import hash_password

    if not _HASH:
        _HASH.append(hash_password(PASSWORD))
    return _HASH[0]


def shown(source, true_class=None, training=False) -> Shown:
    """A source as it is shown."""
    kind = Kind.REAL if true_class is None else Kind.TRAINING if training else Kind.TEST
    return Shown(source=source, kind=kind, true_class=true_class)


def vote(database, user_id, source, answer="AGN", *, now=NOON, true_class=None, training=False,
         campaign_id=OPEN_CAMPAIGN, run=RUN, comment=""):  # fmt: skip
    """Show a source to a person and let the person vote."""
    task = Task(run=run, campaign_id=campaign_id, training=training)
    show_source(database, user_id, task, shown(source, true_class, training), now=now)
    ballot = Ballot(run=run, source=source, answer=answer, campaign_id=campaign_id, comment=comment)
    return record_vote(database, user_id, ballot, RULES, now=now)


def new_account(database, name, guest_token=None, now=NOON):
    """A new account as the sign-up page makes it."""
    credentials = Credentials(name=name, password=PASSWORD)
    return sign_up(database, credentials, Consent(), guest_token=guest_token, now=now)


def new_guest(database, now=NOON):
    """A new guest."""
    return create_guest(database, Consent(), "en", now=now)


def first_admin(database, name="Ada") -> int:
    """The id of an admin that the command line made."""
    from xbayes.app.volunteers.accounts import find_user

    make_admin(database, name, now=NOON)
    with database.read() as session:
        return find_user(session, name).id


def days(number: float) -> timedelta:
    """So many days."""
    return timedelta(days=number)
