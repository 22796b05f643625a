"""Campaigns: a question about a selection of sources, for some time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from xbayes.app.volunteers.audit import record
from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.plain_text import needed_text, plain_text
from xbayes.app.volunteers.problems import Forbidden, Missing
from xbayes.app.volunteers.roles import require_role
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Campaign, CampaignSource, Role, Vote
from xbayes.errors import InputError

LONGEST_NAME, LONGEST_QUESTION = 80, 500  # characters
MOST_SOURCES = 200_000
AT_ONCE = 10_000  # rows of an insertion


class NewCampaign(NamedTuple):
    """A campaign as a researcher proposes it."""

    name: str
    question: str
    run: str
    sources: Sequence[str]
    selection: str = ""  # how the sources were selected, for people: an expression or a query
    starts: datetime | None = None  # now, if not given
    ends: datetime | None = None


class CampaignView(NamedTuple):
    """A campaign as the pages show it."""

    id: int
    name: str
    question: str
    run: str  # empty for the open campaign
    selection: str
    starts: datetime
    ends: datetime | None
    n_sources: int
    n_votes: int


def create_campaign(
    database: Database, actor_id: int, campaign: NewCampaign, *, now: datetime | None = None
) -> int:
    """A new campaign; its id. For researchers.

    Raises
    ------
    InputError
        If the name is taken or empty, there are no sources, or it ends before it starts.
    """
    now = now or utc_now()
    name = needed_text(campaign.name, LONGEST_NAME, "the name of a campaign")
    question = needed_text(campaign.question, LONGEST_QUESTION, "the question")
    sources = list(dict.fromkeys(campaign.sources))
    starts = campaign.starts or now
    if not 0 < len(sources) <= MOST_SOURCES:
        raise InputError(f"a campaign has 1 to {MOST_SOURCES:,} sources; found {len(sources):,}")
    _check_end(starts, campaign.ends)
    row = Campaign(
        name=name,
        question=question,
        run=campaign.run,
        selection=plain_text(campaign.selection, 10_000, "the selection"),
        starts=starts,
        ends=campaign.ends,
        created_by=actor_id,
    )
    try:
        with database.write() as session:
            require_role(session, actor_id, Role.RESEARCHER, now)
            session.add(row)
            session.flush()
            for start in range(0, len(sources), AT_ONCE):
                some = sources[start : start + AT_ONCE]
                rows = [{"campaign_id": row.id, "source": source} for source in some]
                session.execute(insert(CampaignSource), rows)
            record(session, actor_id, "create campaign", name, f"{len(sources)} sources", now)
    except IntegrityError:
        raise InputError(f"there is a campaign {name!r} already; choose another name") from None
    return row.id


def end_campaign(
    database: Database,
    actor_id: int,
    campaign_id: int,
    ends: datetime | None = None,
    *,
    now: datetime | None = None,
) -> None:
    """End a campaign now, or change the time of its end. For its researcher, and for admins."""
    now = now or utc_now()
    with database.write() as session:
        actor = require_role(session, actor_id, Role.RESEARCHER, now)
        row = _campaign(session, campaign_id)
        if campaign_id == OPEN_CAMPAIGN:
            raise Forbidden("the open campaign does not end")
        if row.created_by != actor_id and not actor.may(Role.ADMIN):
            raise Forbidden(f"the campaign {row.name!r} is of another researcher")
        _check_end(row.starts, ends)
        row.ends = ends or max(now, row.starts)
        record(session, actor_id, "end campaign", row.name, f"{row.ends:%Y-%m-%d %H:%M}", now)


def campaigns(
    database: Database,
    run: str | None = None,
    *,
    current: bool = False,
    now: datetime | None = None,
) -> list[CampaignView]:
    """The campaigns, the newest first; of a run, or those that run now, if asked for.

    The open campaign is among them, for every run.
    """
    now = now or utc_now()
    query = select(Campaign).order_by(Campaign.id.desc())
    if run is not None:
        query = query.where(Campaign.run.in_(("", run)))
    if current:
        still = Campaign.ends.is_(None) | (Campaign.ends > now)
        query = query.where(Campaign.starts <= now, still)
    with database.read() as session:
        rows = session.scalars(query).all()
        votes = _counts(session, Vote.campaign_id)
        sources = _counts(session, CampaignSource.campaign_id)
    return [_view(row, sources.get(row.id, 0), votes.get(row.id, 0)) for row in rows]


def campaign_sources(database: Database, campaign_id: int) -> list[str]:
    """The sources of a campaign; none for the open one, which is about all."""
    query = select(CampaignSource.source).where(CampaignSource.campaign_id == campaign_id)
    with database.read() as session:
        _campaign(session, campaign_id)
        return list(session.scalars(query.order_by(CampaignSource.source)))


def _counts(session: Session, column) -> dict[int, int]:
    query = select(column, func.count()).group_by(column)
    return {key: number for key, number in session.execute(query)}


def _view(row: Campaign, n_sources: int, n_votes: int) -> CampaignView:
    return CampaignView(
        id=row.id,
        name=row.name,
        question=row.question,
        run=row.run,
        selection=row.selection,
        starts=row.starts,
        ends=row.ends,
        n_sources=n_sources,
        n_votes=n_votes,
    )


def _campaign(session: Session, campaign_id: int) -> Campaign:
    row = session.get(Campaign, campaign_id)
    if row is None:
        raise Missing(f"there is no campaign {campaign_id}")
    return row


def _check_end(starts: datetime, ends: datetime | None) -> None:
    if ends is not None and ends <= starts:
        raise InputError(
            f"a campaign ends after it starts; found {starts:%Y-%m-%d %H:%M} to "
            f"{ends:%Y-%m-%d %H:%M}"
        )
