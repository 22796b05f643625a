"""The discussion of a source: posts in plain text."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from xbayes.app.volunteers.clock import utc_now
from xbayes.app.volunteers.database import Database
from xbayes.app.volunteers.plain_text import needed_text
from xbayes.app.volunteers.problems import Forbidden, Missing, TooOften
from xbayes.app.volunteers.roles import Account, active_user
from xbayes.app.volunteers.tables import Post, Role, User

LONGEST_POST = 2000  # characters
MOST_POSTS, IN = 5, timedelta(minutes=10)


class Contribution(NamedTuple):
    """A post as a person sees it."""

    id: int
    user_id: int
    author: str
    text: str  # empty if hidden, but for moderators
    time: datetime
    hidden: bool
    hidden_reason: str


def add_post(
    database: Database,
    user_id: int,
    run: str,
    source: str,
    text: str,
    *,
    now: datetime | None = None,
) -> int:
    """Add a post to the discussion of a source; its id.

    Raises
    ------
    Forbidden
        For guests, and banned accounts.
    TooOften
        After too many posts in a short time.
    """
    now = now or utc_now()
    text = needed_text(text, LONGEST_POST, "a post")
    with database.write() as session:
        if active_user(session, user_id, now).guest:
            raise Forbidden("guests cannot write in the discussion; make an account")
        recent = select(func.count()).where(Post.user_id == user_id, Post.time > now - IN)
        if (session.scalar(recent) or 0) >= MOST_POSTS:
            raise TooOften(
                f"{MOST_POSTS} posts in {IN.seconds // 60} minutes are the most; wait a little",
                IN.seconds,
            )
        post = Post(user_id=user_id, run=run, source=source, text=text, time=now, hidden_reason="")
        session.add(post)
        session.flush()
        return post.id


def remove_post(database: Database, user_id: int, post_id: int) -> None:
    """Remove one's own post.

    Raises Missing if there is no such post, Forbidden if it is of somebody else.
    """
    with database.write() as session:
        post = session.get(Post, post_id)
        if post is None:
            raise Missing(f"there is no post {post_id}")
        if post.user_id != user_id:
            raise Forbidden("this post is of somebody else")
        session.delete(post)


def discussion(
    database: Database, run: str, source: str, viewer: Account | None = None
) -> list[Contribution]:
    """The posts on a source, the oldest first. Only moderators read the text of hidden ones."""
    moderates = viewer is not None and viewer.may(Role.MODERATOR)
    query = (
        select(Post, User.name)
        .join(User, User.id == Post.user_id)
        .where(Post.run == run, Post.source == source)
        .order_by(Post.id)
    )
    with database.read() as session:
        return [_contribution(post, name, moderates) for post, name in session.execute(query)]


def _contribution(post: Post, author: str, moderates: bool) -> Contribution:
    hidden = post.hidden is not None
    return Contribution(
        id=post.id,
        user_id=post.user_id,
        author=author,
        text=post.text if moderates or not hidden else "",
        time=post.time,
        hidden=hidden,
        hidden_reason=post.hidden_reason,
    )
