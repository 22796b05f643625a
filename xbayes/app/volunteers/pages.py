"""The pages of the volunteers' site, all together."""

from fastapi import APIRouter


def routers() -> tuple[APIRouter, ...]:
    """The routes of all pages."""
    from xbayes.app.volunteers import (
        pages_accounts,
        pages_admin,
        pages_campaigns,
        pages_community,
        pages_learning,
        pages_research,
        pages_settling,
        pages_voting,
    )

    return (
        pages_accounts.router,
        pages_learning.router,
        pages_voting.router,
        pages_community.router,
        pages_research.router,
        pages_campaigns.router,
        pages_admin.router,
        pages_settling.router,
    )
