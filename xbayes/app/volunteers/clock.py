"""Times of the site. All are in UTC, and so are its days and weeks."""

from datetime import UTC, date, datetime, timedelta

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


def monday_of(day: date) -> date:
    """The Monday of the week of a day: weeks run from Monday to Sunday."""
    return day - timedelta(days=day.weekday())
