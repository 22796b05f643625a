"""Discussion, flags, bans, campaigns, and the audit log of all that."""

import pytest
from sqlalchemy import func, select

from tests.app.volunteers.people import NOON, RUN, account, days, first_admin, new_guest
from xbayes.app.volunteers import audit, moderation
from xbayes.app.volunteers.accounts import n_accounts
from xbayes.app.volunteers.admin import issue_reset_link, list_users, set_role
from xbayes.app.volunteers.audit import audit_log
from xbayes.app.volunteers.campaigns import (
    NewCampaign,
    campaign_sources,
    campaigns,
    create_campaign,
    end_campaign,
)
from xbayes.app.volunteers.discussion import add_post, discussion, remove_post
from xbayes.app.volunteers.moderation import (
    ban,
    dismiss_flags,
    flag_post,
    hide_post,
    open_flags,
    unban,
    unhide_post,
)
from xbayes.app.volunteers.problems import Forbidden, Missing, TooOften
from xbayes.app.volunteers.roles import account_of
from xbayes.app.volunteers.tables import OPEN_CAMPAIGN, Audit, Flag, Post, Role, User
from xbayes.errors import InputError


@pytest.fixture
def people(database):
    """The ids of an account of each role."""
    admin = first_admin(database)
    ids = {r: account(database, f"Bea {r}", r) for r in Role if r is not Role.ADMIN}
    return ids | {Role.ADMIN: admin}


def viewer(database, user_id):
    with database.read() as session:
        return account_of(session.get(User, user_id))


def test_posts_are_plain_text_in_the_order_of_time(database, people):
    first = add_post(
        database, people[Role.VOLUNTEER], RUN, "s1", "<script>x</script>\x00", now=NOON
    )
    add_post(database, people[Role.RESEARCHER], RUN, "s1", "Two\r\nlines", now=NOON)
    add_post(database, people[Role.RESEARCHER], RUN, "s2", "elsewhere", now=NOON)
    posts = discussion(database, RUN, "s1")
    assert [p.text for p in posts] == ["<script>x</script>", "Two\nlines"]
    assert posts[0].author == "Bea volunteer" and posts[0].id == first
    for empty in ("", " \n ", "\u202e"):
        with pytest.raises(InputError, match="empty"):
            add_post(database, people[Role.VOLUNTEER], RUN, "s1", empty, now=NOON)
    with pytest.raises(InputError, match="2000"):
        add_post(database, people[Role.VOLUNTEER], RUN, "s1", "x" * 2001, now=NOON)


def test_guests_and_people_in_haste_do_not_post(database, people):
    with pytest.raises(Forbidden, match="guests"):
        add_post(database, new_guest(database).account.id, RUN, "s1", "hello", now=NOON)
    for _ in range(5):
        add_post(database, people[Role.VOLUNTEER], RUN, "s1", "hello", now=NOON)
    with pytest.raises(TooOften):
        add_post(database, people[Role.VOLUNTEER], RUN, "s1", "hello", now=NOON)
    assert add_post(database, people[Role.VOLUNTEER], RUN, "s1", "hello", now=NOON + days(1))


def test_only_the_author_removes_a_post(database, people):
    post = add_post(database, people[Role.VOLUNTEER], RUN, "s1", "hello", now=NOON)
    with pytest.raises(Forbidden, match="somebody else"):
        remove_post(database, people[Role.ADMIN], post)
    remove_post(database, people[Role.VOLUNTEER], post)
    with pytest.raises(Missing):
        remove_post(database, people[Role.VOLUNTEER], post)


def test_a_flag_leads_a_moderator_to_hide_a_post(database, people):
    author, reader = people[Role.VOLUNTEER], people[Role.RESEARCHER]
    moderator = people[Role.MODERATOR]
    post = add_post(database, author, RUN, "s1", "rude", now=NOON)
    for _ in range(2):
        flag_post(database, reader, post, "it is rude", now=NOON)
    with pytest.raises(Missing):
        flag_post(database, reader, post + 1, "", now=NOON)
    (flag,) = open_flags(database, moderator)
    assert (flag.post_id, flag.reason, flag.text) == (post, "it is rude", "rude")
    assert (flag.author, flag.flagged_by) == ("Bea volunteer", "Bea researcher")
    hide_post(database, moderator, post, "rude", now=NOON)
    assert open_flags(database, moderator) == []
    for who, text in ((None, ""), (author, ""), (moderator, "rude")):
        (seen,) = discussion(database, RUN, "s1", who and viewer(database, who))
        assert seen.hidden and seen.text == text
    unhide_post(database, moderator, post, now=NOON)
    assert discussion(database, RUN, "s1")[0].text == "rude"


def test_flags_can_be_dismissed(database, people):
    post = add_post(database, people[Role.VOLUNTEER], RUN, "s1", "fine", now=NOON)
    flag_post(database, people[Role.RESEARCHER], post, "", now=NOON)
    dismiss_flags(database, people[Role.MODERATOR], post, now=NOON)
    assert open_flags(database, people[Role.MODERATOR]) == []
    assert not discussion(database, RUN, "s1")[0].hidden


@pytest.mark.parametrize("role", [Role.VOLUNTEER, Role.RESEARCHER])
def test_only_moderators_moderate(database, people, role):
    post = add_post(database, people[Role.VOLUNTEER], RUN, "s1", "fine", now=NOON)
    actor, other = people[role], new_guest(database).account.id
    for action in (
        lambda: open_flags(database, actor),
        lambda: hide_post(database, actor, post, "why"),
        lambda: unhide_post(database, actor, post),
        lambda: dismiss_flags(database, actor, post),
        lambda: ban(database, actor, other, "why"),
        lambda: unban(database, actor, other),
        lambda: list_users(database, actor),
    ):
        with pytest.raises(Forbidden, match="moderator"):
            action()
    with database.read() as session:
        assert session.scalar(select(func.count()).where(Audit.actor_id.is_not(None))) == 0


def test_nobody_bans_an_equal_or_higher_role(database, people):
    for target in (Role.MODERATOR, Role.ADMIN):
        with pytest.raises(Forbidden, match="higher role"):
            ban(database, people[Role.MODERATOR], people[target], "why", now=NOON)
    ban(database, people[Role.ADMIN], people[Role.MODERATOR], "why", now=NOON)
    with pytest.raises(Forbidden, match="banned: why"):
        open_flags(database, people[Role.MODERATOR])
    unban(database, people[Role.ADMIN], people[Role.MODERATOR], now=NOON)
    assert open_flags(database, people[Role.MODERATOR]) == []
    with pytest.raises(Missing):
        ban(database, people[Role.ADMIN], 12345, "why")


def test_every_action_is_in_the_audit_log(database, people):
    moderator, admin, user = people[Role.MODERATOR], people[Role.ADMIN], people[Role.VOLUNTEER]
    post = add_post(database, user, RUN, "s1", "rude", now=NOON)
    hide_post(database, moderator, post, "rude", now=NOON)
    unhide_post(database, moderator, post, now=NOON)
    dismiss_flags(database, moderator, post, now=NOON)
    ban(database, moderator, user, "rude", NOON + days(3), now=NOON)
    unban(database, moderator, user, now=NOON)
    set_role(database, admin, user, Role.RESEARCHER, now=NOON)
    issue_reset_link(database, admin, user, now=NOON)
    new = NewCampaign(name="ULX", question="Is it?", run=RUN, sources=["s1"])
    end_campaign(database, user, create_campaign(database, user, new, now=NOON), now=NOON)
    log = audit_log(database, admin)
    assert [(entry.actor, entry.action) for entry in log[::-1]] == [
        ("", "make admin"),
        ("", "issue reset link"),
        ("Bea moderator", "hide post"),
        ("Bea moderator", "unhide post"),
        ("Bea moderator", "dismiss flags"),
        ("Bea moderator", "ban"),
        ("Bea moderator", "unban"),
        ("Ada", "set role"),
        ("Ada", "issue reset link"),
        ("Bea volunteer", "create campaign"),
        ("Bea volunteer", "end campaign"),
    ]
    assert log[3].detail == "volunteer to researcher" and log[3].target == "Bea volunteer"
    assert audit_log(database, admin, limit=2, offset=1) == log[1:3]
    with pytest.raises(Forbidden):
        audit_log(database, moderator)


def test_an_action_that_cannot_be_logged_does_not_happen(database, people, monkeypatch):
    """The log and the action are one transaction."""
    post = add_post(database, people[Role.VOLUNTEER], RUN, "s1", "rude", now=NOON)

    def fail(*_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(moderation, "record", fail)
    with pytest.raises(RuntimeError):
        hide_post(database, people[Role.MODERATOR], post, "rude", now=NOON)
    monkeypatch.setattr(moderation, "record", audit.record)
    assert not discussion(database, RUN, "s1")[0].hidden


def test_a_post_takes_its_flags_along(either):
    database = either
    one, two = account(database, "One"), account(database, "Two")
    post = add_post(database, one, RUN, "s1", "hello", now=NOON)
    flag_post(database, two, post, "", now=NOON)
    flag_post(database, two, post, "again", now=NOON)
    remove_post(database, one, post)
    with database.read() as session:
        assert session.scalar(select(func.count(Flag.id))) == 0
        assert session.scalar(select(func.count(Post.id))) == 0
    assert n_accounts(database) == 2


def test_campaigns_are_listed_with_their_numbers(either):
    database = either
    boss = account(database, "Boss", Role.RESEARCHER)
    other = account(database, "Other", Role.RESEARCHER)
    new = NewCampaign(
        name="ULX", question="Is it one?", run=RUN, sources=["s2", "s1", "s1"],
        selection="f_x > 1e-12", ends=NOON + days(3),
    )  # fmt: skip
    campaign = create_campaign(database, boss, new, now=NOON)
    view = campaigns(database, RUN, current=True, now=NOON)[0]
    assert (view.id, view.n_sources, view.n_votes, view.ends) == (campaign, 2, 0, new.ends)
    assert campaign_sources(database, campaign) == ["s1", "s2"]
    for run, when, expected in (
        ("other", NOON, [OPEN_CAMPAIGN]),
        (RUN, NOON + days(3), [OPEN_CAMPAIGN]),
        (None, NOON, [campaign, OPEN_CAMPAIGN]),
    ):
        assert [v.id for v in campaigns(database, run, current=True, now=when)] == expected
    with pytest.raises(Forbidden, match="another researcher"):
        end_campaign(database, other, campaign, now=NOON)
    end_campaign(database, first_admin(database), campaign, now=NOON + days(1))
    assert len(campaigns(database, RUN, current=True, now=NOON + days(2))) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [({"name": " "}, "empty"), ({"question": ""}, "empty"), ({"sources": []}, "1 to 200,000"),
     ({"ends": NOON - days(1)}, "after it starts"), ({"name": "open"}, "already")],
)  # fmt: skip
def test_wrong_campaigns_are_refused(database, change, says):
    boss, user = account(database, "Boss", Role.RESEARCHER), account(database, "One")
    new = NewCampaign(name="ULX", question="Is it?", run=RUN, sources=["s1"])
    with pytest.raises(InputError, match=says):
        create_campaign(database, boss, new._replace(**change), now=NOON)
    with pytest.raises(Forbidden, match="researcher"):
        create_campaign(database, user, new, now=NOON)
    with pytest.raises(Missing):
        end_campaign(database, boss, 99)
    with pytest.raises(Forbidden, match="open campaign"):
        end_campaign(database, boss, OPEN_CAMPAIGN)
