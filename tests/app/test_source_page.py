"""The source page: the numbers are those of the run, the what-if form, unknown and odd ids."""

import json
import re
from html import unescape
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from tests.app.clients import OPTIONS, browser_of
from xbayes.app.archive_links import archive_links
from xbayes.app.site import open_site
from xbayes.catalog.write import write_catalog

SOURCE = "SIM 000007"
PAGE = f"/source/{quote(SOURCE)}"


@pytest.fixture(scope="module")
def run(site):
    return site.runs["demo"]


def track_on(page, number=0):
    """The track in a page, as its script reads it."""
    return json.loads(unescape(re.findall(r'data-track="([^"]*)"', page.text)[number]))


def test_the_posterior_is_that_of_classify(ask_json, run):
    answer = ask_json.get(f"/api/sources/{quote(SOURCE)}").json()
    made = run.fitted.classify(run.inputs(SOURCE))
    for one in answer["posterior"]:
        assert one["p"] == pytest.approx(made[f"p_{one['name']}"][0], abs=1e-9)
    assert answer["prediction"] == made["prediction"][0]
    assert answer["columns"]["name"] == SOURCE
    assert answer["prediction_set"] == made["prediction_set"][0].split(" or ")


def test_the_terms_of_the_track_sum_to_the_odds(ask_json):
    answer = ask_json.get(f"/api/sources/{quote(SOURCE)}").json()
    p = {one["name"]: one["p"] for one in answer["posterior"]}
    track = answer["track"]
    for name, total in track["total"].items():
        terms = [one["ln_odds"][name] for one in track["features"]]
        terms += [track["prior"][name], track["offset"][name]]
        assert total == pytest.approx(sum(terms), abs=1e-6)
        assert total == pytest.approx(np.log(p[name] / p[track["reference"]]), abs=1e-5)


def test_the_page_shows_posterior_track_and_every_column(ask, run):
    page = ask.get(PAGE)
    assert page.status_code == 200
    assert SOURCE in page.text
    assert track_on(page)["reference"] == run.catalogue.row(SOURCE)["prediction"]
    for column in run.catalogue.columns:
        assert f">{column}</th>" in page.text
    assert page.text.count('rel="noopener noreferrer"') == len(archive_links(10.0, -5.0))
    assert "no posterior samples" in page.text


def test_another_prior_equals_classify_with_it(ask, ask_json, run):
    prior = {"AGN": 0.1, "Star": 0.2, "XRB": 0.3, "CV": 0.4}
    made = run.fitted.classify(run.inputs(SOURCE), prior=prior)
    counts = {name: 100 * share for name, share in prior.items()}
    answer = ask_json.post(f"/api/sources/{quote(SOURCE)}/what-if", json={"prior": counts}).json()
    for one in answer["after"]:
        assert one["p"] == pytest.approx(made[f"p_{one['name']}"][0], abs=1e-9)
    page = ask.get(PAGE, params={f"prior.{name}": value for name, value in counts.items()})
    assert track_on(page, 1)["total"] == pytest.approx(answer["track"]["total"], abs=1e-9)


def test_changed_and_removed_values_equal_classify_of_them(ask_json, run):
    changes = {"g_mag": 12.0}
    answer = ask_json.post(f"/api/sources/{quote(SOURCE)}/what-if", json={"changes": changes})
    made = run.fitted.classify({**run.inputs(SOURCE), **changes})
    assert answer.json()["prediction_after"] == made["prediction"][0]
    assert answer.json()["after"][1]["p"] == pytest.approx(made["p_Star"][0], abs=1e-9)


def test_the_form_keeps_what_was_asked(ask):
    asked = {"set.g_mag": "12.5", "state.w1_mag": "not_detected"}
    page = ask.get(PAGE, params=asked)
    assert 'name="set.g_mag" inputmode="decimal" size="12" autocomplete="off" value="12.5"' in (
        page.text
    )
    assert 'value="not_detected" selected' in page.text
    shared = unescape(re.search(r'href="([^"]+)">Address of this question', page.text)[1])
    assert track_on(ask.get(shared), 1) == track_on(page, 1)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"prior.AGN": "0.5"}, "the prior needs a positive number for every class"),
        ({"prior.AGN": "x"}, "must be a number"),
        ({"prior.Nova": "1"}, "no class"),
        ({"without": "colours"}, "no feature or category"),
        ({"set.g_mag": "bright"}, "g_mag [mag] must be a number"),
        ({"set.nothing": "1"}, "no feature reads a column"),
        ({"distance": "-3"}, "distance must be above 0"),
        ({"distance": "100"}, "distance"),
        ({"prior.AGN": "nan"}, "must be a number"),
    ],
)
def test_a_wrong_question_is_answered_with_a_message(ask, asked, says):
    page = ask.get(PAGE, params=asked)
    assert page.status_code == 200
    assert says in unescape(page.text)
    assert 'role="alert"' in page.text


def test_a_wrong_question_in_json(ask_json):
    address = f"/api/sources/{quote(SOURCE)}/what-if"
    for wrong in ({"without": ["x"]}, {"changes": {"x": 1}}, {"distance": -1}, {"prior": {}}, 3):
        answer = ask_json.post(address, json=wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["error"]


def test_an_unknown_id_names_the_nearest(ask, ask_json):
    page = ask.get("/source/SIM%2000007")
    assert page.status_code == 404
    assert "SIM 000007" in unescape(page.text)
    for path in ("", "/densities"):
        assert ask_json.get(f"/api/sources/nothing{path}").status_code == 404
    assert ask_json.post("/api/sources/nothing/what-if", json={}).status_code == 404
    assert ask.get("/source/SIM%20000007", params={"run": "other"}).status_code == 404


def test_densities_are_of_the_run_with_the_value_of_the_source(ask_json, run):
    answer = ask_json.get(f"/api/sources/{quote(SOURCE)}/densities").json()
    flux = next(one for one in answer["panels"] if one["feature"] == "flux")
    inputs = run.inputs(SOURCE)
    total = inputs["flux_soft"] + inputs["flux_medium"] + inputs["flux_hard"]
    assert flux["value"] == pytest.approx(np.log10(total))
    area = np.trapezoid(flux["density"]["AGN"], flux["x"])
    assert area == pytest.approx(1, abs=0.02)
    assert {one["state"] for one in answer["panels"]} >= {"measured", "not available"}


def test_what_is_not_available_and_what_it_tells(ask):
    page = ask.get(f"{PAGE}/not-available", headers={"HX-Request": "true"})
    assert page.status_code == 200
    assert "gamma" in page.text
    assert "narrows the posterior" in page.text
    assert "<html" not in page.text
    assert "<html" in ask.get(f"{PAGE}/not-available").text


def test_ids_with_slashes_and_signs_have_pages(demo, tmp_path):
    odd = "A/B +1 % é?#&"
    table = pq.read_table(demo.folder / "catalog.parquet").slice(0, 3)
    column = table.schema.get_field_index("name")
    table = table.set_column(column, "name", [[odd, "plain", "densities"]])
    pq.write_table(table, tmp_path / "odd.parquet")
    site = open_site([demo.folder], tmp_path / "odd.parquet", OPTIONS)
    ask = browser_of(site)
    page = ask.get(f"/source/{quote(odd, safe='')}")
    assert page.status_code == 200
    assert "A/B +1 % é?#&amp;" in page.text
    # The columns of its features are nowhere to be found.
    assert "cannot be computed" in page.text
    assert ask.get(f"/api/sources/{quote(odd, safe='')}").json()["track"] is None
    wanted = unescape(re.search(r'href="(/api/sources/[^"]+)"', page.text)[1])
    assert ask.get(wanted).json()["id"] == odd


def test_a_run_with_posterior_samples_shows_intervals(bayes):
    site = open_site([bayes.folder], None, OPTIONS)
    name = next(iter(site.runs.values())).catalogue.query("SELECT name FROM catalogue LIMIT 1")
    source = name["name"][0].as_py()
    ask = browser_of(site)
    page = ask.get(f"/source/{quote(str(source), safe='')}")
    assert page.status_code == 200
    assert "90 % interval" in page.text
    answer = ask.get(f"/api/sources/{quote(str(source), safe='')}").json()
    assert all(one["low"] <= one["high"] for one in answer["posterior"])


def test_light_curve_and_products_of_the_source(demo, tmp_path):
    curves = Table(
        {
            "source": [SOURCE, SOURCE, "other"],
            "mission": ["Chandra", "Swift", "Swift"],
            "detection": ["first", "", "x"],
            "mjd_start": [52000.0, 56000.0, 1.0],
            "mjd_end": [52001.0, np.nan, 2.0],
            "flux": [1.25e-13, 3e-13, 9e-9],
            "flux_error_low": [1e-14, np.nan, np.nan],
            "flux_error_high": [2e-14, np.nan, np.nan],
            "upper_limit": [False, True, False],
        }
    )
    curves["flux"].unit = "erg / (s cm2)"
    write_catalog(curves, tmp_path / "curves.parquet")
    (tmp_path / f"{SOURCE}.pha").write_text("no spectrum")
    options = OPTIONS._replace(
        light_curves=tmp_path / "curves.parquet", products=f"{tmp_path}/{{name}}.*"
    )
    ask = browser_of(open_site([demo.folder], None, options))
    page = ask.get(PAGE)
    assert "52000.5" in page.text
    assert "&lt; 3e-13" in page.text
    assert "9e-09" not in page.text
    assert "SIM 000007.pha" in ask.get(f"{PAGE}/products").text
    assert "SIM 000007.pha" not in ask.get("/source/SIM%20000008/products").text


def test_no_id_leads_out_of_the_folder_of_products(demo, tmp_path):
    inside = tmp_path / "products"
    inside.mkdir()
    (tmp_path / "secret.pha").write_text("secret")
    table = pq.read_table(demo.folder / "catalog.parquet").slice(0, 3)
    column = table.schema.get_field_index("name")
    table = table.set_column(column, "name", [["../secret", "*", "..%2fsecret"]])
    pq.write_table(table, tmp_path / "odd.parquet")
    options = OPTIONS._replace(products=f"{inside}/{{name}}.pha")
    ask = browser_of(open_site([demo.folder], tmp_path / "odd.parquet", options))
    for name in ("../secret", "*", "..%2fsecret"):
        page = ask.get(f"/source/{quote(name, safe='')}/products")
        assert page.status_code in (200, 404)
        assert "secret.pha" not in page.text


def test_aladin_only_where_it_is_installed(ask, demo, tmp_path):
    assert ask.get(f"{PAGE}/aladin").status_code == 404
    (tmp_path / "aladin.js").write_text("")
    site = open_site([demo.folder], None, OPTIONS._replace(aladin=tmp_path))
    browser = browser_of(site)
    page = browser.get(f"{PAGE}/aladin")
    assert "wasm-unsafe-eval" in page.headers["content-security-policy"]
    assert "wasm-unsafe-eval" not in browser.get(PAGE).headers["content-security-policy"]


def test_the_finder_chart_is_drawn_from_the_catalogue(ask):
    answer = ask.get(f"{PAGE}/finder.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert b"<svg" in answer.content
