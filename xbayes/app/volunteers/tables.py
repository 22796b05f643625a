"""The tables of the volunteers' site.

Times are stored in UTC. Tokens and passwords are stored as hashes only.
"""

from datetime import UTC, date, datetime
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

OPEN_CAMPAIGN = 1  # the campaign that always runs, over all sources; the first migration makes it
ID_LENGTH = 200  # characters of the name of a run or a source
HASH_LENGTH = 64  # characters of a SHA-256 in hexadecimal


class Role(StrEnum):
    """What an account may do. Each role may do all that the roles before it may."""

    VOLUNTEER = "volunteer"
    RESEARCHER = "researcher"
    MODERATOR = "moderator"
    ADMIN = "admin"


class Kind(StrEnum):
    """What a vote is for."""

    TRAINING = "training"  # on a known source; the volunteer knows that it is one
    TEST = "test"  # on a known source among unknown ones, which measures skill
    REAL = "real"  # on an unknown source


class Slot(StrEnum):
    """Why a source is shown: each person has one source at a time of each."""

    TRAINING = "training"
    REAL = "real"
    CHOSEN = "chosen"  # a researcher asked for this source


class UtcTime(TypeDecorator[datetime]):
    """A time, stored in UTC without a zone, because SQLite drops the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time as it is stored."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The stored time with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


def _one_of(kind: type[StrEnum]) -> Enum:
    return Enum(
        kind,
        name=kind.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda choices: [choice.value for choice in choices],
    )


class Base(DeclarativeBase):
    """What all tables share. Constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _owner(primary_key: bool = False) -> MappedColumn[int]:
    return mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=primary_key)


class User(Base):
    """A person: an account, or a guest, who has a pseudonym and no password."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    name_key: Mapped[str] = mapped_column(String(80), unique=True)  # without case
    password_hash: Mapped[str | None] = mapped_column(String(HASH_LENGTH * 4))
    guest: Mapped[bool]
    role: Mapped[Role] = mapped_column(_one_of(Role), index=True)
    language: Mapped[str] = mapped_column(String(8))
    created: Mapped[datetime] = mapped_column(UtcTime)
    consent_version: Mapped[str] = mapped_column(String(20))
    consented: Mapped[datetime] = mapped_column(UtcTime)
    keep_votes: Mapped[bool]  # consent: the votes stay when the account is deleted
    deleted: Mapped[datetime | None] = mapped_column(UtcTime)
    banned_until: Mapped[datetime | None] = mapped_column(UtcTime)
    ban_reason: Mapped[str] = mapped_column(Text, server_default="")

    # The id of a deleted row is never used again: a pseudonym in an export stays with one person.
    __table_args__ = ({"sqlite_autoincrement": True},)


class LogIn(Base):
    """A session: who holds the token is logged in as the user."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(String(HASH_LENGTH), primary_key=True)
    user_id: Mapped[int] = _owner()
    created: Mapped[datetime] = mapped_column(UtcTime)
    seen: Mapped[datetime] = mapped_column(UtcTime)
    expires: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index(None, "user_id"), Index(None, "expires"))


class ResetLink(Base):
    """A link that sets a new password once."""

    __tablename__ = "reset_links"

    token_hash: Mapped[str] = mapped_column(String(HASH_LENGTH), primary_key=True)
    user_id: Mapped[int] = _owner()
    issued_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created: Mapped[datetime] = mapped_column(UtcTime)
    expires: Mapped[datetime] = mapped_column(UtcTime)
    used: Mapped[datetime | None] = mapped_column(UtcTime)

    __table_args__ = (Index(None, "user_id"),)


class Campaign(Base):
    """A question about a selection of the sources of a run, for some time."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    question: Mapped[str] = mapped_column(Text)
    run: Mapped[str] = mapped_column(String(ID_LENGTH))  # empty for the open campaign: every run
    selection: Mapped[str] = mapped_column(Text)  # how the sources were selected, for people
    starts: Mapped[datetime] = mapped_column(UtcTime)
    ends: Mapped[datetime | None] = mapped_column(UtcTime)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class CampaignSource(Base):
    """A source of a campaign."""

    __tablename__ = "campaign_sources"

    campaign_id: Mapped[int] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)


class Assignment(Base):
    """The source that a person is looking at. Only such a source can be voted on.

    The server decides here whether the source is a test, so that no browser can.
    """

    __tablename__ = "assignments"

    user_id: Mapped[int] = _owner(primary_key=True)
    run: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True
    )
    slot: Mapped[Slot] = mapped_column(_one_of(Slot), primary_key=True)
    source: Mapped[str] = mapped_column(String(ID_LENGTH))
    kind: Mapped[Kind] = mapped_column(_one_of(Kind))
    true_class: Mapped[str | None] = mapped_column(String(40))
    time: Mapped[datetime] = mapped_column(UtcTime)


class Vote(Base):
    """The answer of one person about one source. It is never changed."""

    __tablename__ = "votes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner()
    run: Mapped[str] = mapped_column(String(ID_LENGTH))
    source: Mapped[str] = mapped_column(String(ID_LENGTH))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    answer: Mapped[str] = mapped_column(String(40))
    nothing_to_see: Mapped[bool]
    comment: Mapped[str] = mapped_column(Text)
    kind: Mapped[Kind] = mapped_column(_one_of(Kind))
    true_class: Mapped[str | None] = mapped_column(String(40))  # as known at the time
    right: Mapped[bool | None]  # None: an unknown source, or the answer was "don't know"
    time: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        UniqueConstraint("user_id", "run", "source", "campaign_id"),
        Index(None, "run", "source"),
        Index(None, "user_id", "time"),
        CheckConstraint("(kind = 'real') = (true_class IS NULL)", name="known_has_class"),
        {"sqlite_autoincrement": True},  # votes are read from the last id on
    )

    @property
    def is_known(self) -> bool:
        """Whether the class of the source was known at the time."""
        return self.kind is not Kind.REAL


class Standing(Base):
    """Running counts of the votes of a person, so that a ranking reads no votes."""

    __tablename__ = "standings"

    user_id: Mapped[int] = _owner(primary_key=True)
    n_votes: Mapped[int] = mapped_column(default=0)  # real and test
    n_training: Mapped[int] = mapped_column(default=0)
    training_answered: Mapped[int] = mapped_column(default=0)  # other than "don't know"
    training_right: Mapped[int] = mapped_column(default=0)
    n_tests: Mapped[int] = mapped_column(default=0)
    tests_answered: Mapped[int] = mapped_column(default=0)
    tests_right: Mapped[int] = mapped_column(default=0)
    week: Mapped[date | None]  # its Monday
    week_votes: Mapped[int] = mapped_column(default=0)
    day: Mapped[date | None]  # of the last vote
    day_votes: Mapped[int] = mapped_column(default=0)
    streak: Mapped[int] = mapped_column(default=0)  # days in a row up to streak_day
    streak_day: Mapped[date | None]
    longest_streak: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index(None, "n_votes"), Index(None, "week", "week_votes"))


class Post(Base):
    """A contribution to the discussion of a source, in plain text."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner()
    run: Mapped[str] = mapped_column(String(ID_LENGTH))
    source: Mapped[str] = mapped_column(String(ID_LENGTH))
    text: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(UtcTime)
    hidden: Mapped[datetime | None] = mapped_column(UtcTime)
    hidden_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    hidden_reason: Mapped[str] = mapped_column(Text, server_default="")

    __table_args__ = (Index(None, "run", "source"), Index(None, "user_id", "time"))


class Flag(Base):
    """A reader's request that a moderator looks at a post."""

    __tablename__ = "flags"

    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"))
    user_id: Mapped[int] = _owner()
    reason: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(UtcTime)
    resolved: Mapped[datetime | None] = mapped_column(UtcTime)
    resolved_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    __table_args__ = (UniqueConstraint("post_id", "user_id"), Index(None, "user_id"))


class Audit(Base):
    """An action of a researcher, moderator or admin, written with the action itself."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(UtcTime, index=True)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(ID_LENGTH))
    detail: Mapped[str] = mapped_column(Text)


class Label(Base):
    """The label of a source that `xbayes crowd aggregate` made of the votes."""

    __tablename__ = "labels"

    run: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    source: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    posterior: Mapped[str] = mapped_column(Text)  # JSON: probability by class
    entropy: Mapped[float]
    n_votes: Mapped[int]
    settled: Mapped[bool]
    imported: Mapped[datetime] = mapped_column(UtcTime)


class Setting(Base):
    """A value that belongs to the database itself, such as the salt of exported pseudonyms."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
