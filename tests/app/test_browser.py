"""The explorer in a real browser: Debian's Chromium, driven by Playwright."""

import re

import pytest

from tests.app.running import WAIT, browsing, running

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
PHONE = {"width": 390, "height": 844}
expect.set_options(timeout=WAIT)
PAGES = ("/", "/sky", "/scatter", "/source/SIM%20000007", "/results", "/classify")


@pytest.fixture(scope="module")
def address(site):
    """The address of the running site."""
    with running(site) as address:
        yield address


@pytest.fixture
def open_page(chromium, address):
    with browsing(chromium, address) as call:
        yield lambda path="/", **options: call(path, **options)


def test_search_filter_source_what_if_download(open_page):
    page = open_page()
    page.get_by_label("Name or position").fill("SIM 0000")
    page.get_by_role("checkbox", name=re.compile("XRB")).first.check()
    page.get_by_role("button", name="Select").first.click()
    expect(page).to_have_url(re.compile(r"class=XRB"))
    expect(page.locator("#found")).to_have_text(re.compile(r"^\d+ sources$"))
    n_found = int(page.locator("#found").inner_text().split()[0])
    assert page.locator("table.sources tbody tr").count() == min(n_found, 50)
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as started:
        page.locator("a[href*='/api/sources.csv']").last.click()
    lines = started.value.path().read_text().splitlines()
    assert len(lines) == n_found + 1
    page.get_by_text("Download", exact=True).click()  # closes the list over the table
    page.locator("table.sources tbody a").first.click()
    expect(page).to_have_url(re.compile("/source/SIM"))
    expect(page.locator("h1")).to_contain_text("SIM 0000")
    page.get_by_label(re.compile("all of counterparts")).check()
    page.get_by_role("button", name="Compute").click()
    expect(page.locator("#what-if-result")).to_contain_text("The posterior moves")


def test_the_sky_map_selects_in_the_table_and_the_back_button_returns(open_page):
    page = open_page("/", viewport={"width": 1400, "height": 1000})
    plot = page.locator("#sky .plot")
    expect(plot.locator(".scatterlayer")).to_be_visible()
    box = plot.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 60, y - 40)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("box=galactic"))
    expect(page.locator("#found")).not_to_have_text("3,000 sources")
    page.go_back()
    expect(page.locator("#found")).to_have_text("3,000 sources")


def test_classify_a_source(open_page):
    page = open_page("/classify")
    for name, value in {"ra": "34.3", "dec": "-36.3", "g_mag": "19.4", "w1_mag": "14.9"}.items():
        page.locator(f"#v-{name}").fill(value)
    page.get_by_role("button", name="Classify", exact=True).click()
    expect(page.locator("#result")).to_contain_text("Result")
    expect(page.locator("#result")).to_contain_text("What was missing")


def test_by_keyboard_only(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Name or position").focus()
    page.keyboard.type("SIM 000007")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text("1 source")
    page.locator("table.sources tbody a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("SIM 000007")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone_and_axe_finds_no_serious_fault(open_page, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(path, viewport=PHONE)
    page.wait_for_load_state("networkidle")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{path} is {width} wide"
    found = axe.Axe().run(page).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []


def test_in_french(open_page):
    page = open_page("/?lang=fr")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("h1")).to_have_text("Catalogue")
    expect(page.locator("#found")).to_have_text("3,000 sources")
    page.get_by_role("link", name="Classer une source").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
