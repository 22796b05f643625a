"""The volunteers' pages in a real browser: Debian's Chromium, driven by Playwright."""

import re

import pytest

from tests.app.running import WAIT, browsing, running
from tests.app.volunteers.people import PASSWORD, account
from tests.app.volunteers.sites import open_site_of
from xbayes.app.volunteers.database import open_database
from xbayes.app.volunteers.tables import Role

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PHONE = {"width": 390, "height": 844}
expect.set_options(timeout=WAIT)
PAGES = ["/volunteer", "/volunteer/vote", "/volunteer/tutorial", "/ranking", "/account"]
PAGES += ["/campaigns", "/researchers?q=SIM%20000007", "/admin/users", "/admin/labels"]


@pytest.fixture
def open_page(chromium, demo, half, new_url):
    """Opens pages of a new site."""
    database = open_database(url := new_url("sqlite"))
    account(database, "Ada", Role.ADMIN)
    account(database, "Vera")
    database.close()
    with running(open_site_of(demo, half, url)) as address, browsing(chromium, address) as call:
        yield lambda path="/volunteer", **options: call(path, **options)


def log_in(page, name):
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Log in").click()
    expect(page.locator(".who")).to_contain_text(name)


def as_guest(page):
    page.get_by_label(re.compile("I agree")).check()
    page.get_by_role("button", name="Continue as a guest").click()
    expect(page.locator("h1")).to_contain_text("Tutorial")


def expect_shown(page, selector):
    """What `selector` names is on the page, and the page listens to keys: its script has run."""
    expect(page.locator(selector)).to_be_visible()
    page.wait_for_load_state()


def test_from_tutorial_over_votes_and_sign_up_to_streak_and_ranking_by_keyboard(open_page):
    page = open_page()
    as_guest(page)
    page.goto("/volunteer/tutorial?step=6")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Right!")).to_be_visible()
    for path, times in (("/volunteer/train", 1), ("/volunteer/vote", 10)):
        page.goto(path)
        for _ in range(times):
            page.keyboard.press("1")
            page.keyboard.press("Enter")
            expect_shown(page, "#outcome-title")
            page.keyboard.press("Enter")
            expect_shown(page, "form[data-ballot]")
    page.goto("/signup")
    page.get_by_label("Name, which everyone sees").fill("Rosa")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label(re.compile("I agree")).check()
    page.locator("main").get_by_role("button", name="Sign up").click()
    expect(page.locator(".progress")).to_contain_text("1 day")
    page.goto("/ranking")
    expect(page.locator("main")).to_contain_text("Your place: 1, with 10 votes")


def test_moderation(open_page):
    page = open_page()
    log_in(page, "Vera")
    page.goto("/source/SIM%20000007#discussion")
    page.get_by_label(re.compile("Write about this source")).fill("<b>buy this</b>")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator(".post-text")).to_have_text("<b>buy this</b>")
    moderator = open_page()
    log_in(moderator, "Ada")
    moderator.goto("/discussion/SIM%20000007")
    moderator.get_by_text("Flag", exact=False).first.click()
    moderator.get_by_label("What is wrong with it?").fill("spam")
    moderator.get_by_role("button", name="Send to the moderators").click()
    moderator.goto("/admin")
    moderator.get_by_label("Reason, which people see").fill("an advertisement")
    moderator.get_by_role("button", name="Hide").click()
    expect(moderator.get_by_text("No flags wait.")).to_be_visible()
    page.goto("/discussion/SIM%20000007")
    expect(page.locator("main")).not_to_contain_text("buy this")


def test_pages_fit_a_phone_and_axe_finds_no_serious_fault(open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(viewport=PHONE)
    log_in(page, "Ada")
    for path in PAGES:
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{path} is {width} wide"
        found = axe.Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(path, v["id"], v["nodes"][0]["html"]) for v in serious] == []
