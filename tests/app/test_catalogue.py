"""The catalogue page, its JSON and its downloads, on the demo run."""

import json
import re
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord

from xbayes.app import selected
from xbayes.app.api_routes import json_answer, records
from xbayes.catalog.read import read_catalog
from xbayes.errors import InputError


@pytest.fixture(scope="module")
def table(demo):
    return pq.read_table(demo.folder / "catalog.parquet").to_pandas()


def found(page):
    return int(re.search(r'id="found">([\d,]+) ', page.text)[1].replace(",", ""))


def best(table):
    return np.array([table[f"p_{c}"][i] for i, c in enumerate(table["prediction"])])


def test_the_page_shows_all_sources(ask, table):
    page = ask.get("/")
    assert page.status_code == 200
    assert found(page) == len(table)
    assert page.text.count('name="ids"') == 50
    assert "<script>" not in page.text and "onclick" not in page.text
    for path in ("/sky", "/scatter"):
        assert found(ask.get(path)) == len(table)


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("class=XRB&class=CV", lambda t: t["prediction"].isin(["XRB", "CV"])),
        ("p_min=0.9", lambda t: best(t) >= 0.9),
        ("f.outlier_p=0.2..0.4", lambda t: t["outlier_p"].between(0.2, 0.4)),
        ("f.n_missing=3", lambda t: t["n_missing"] == 3),
        ("f.true_class=Star|CV", lambda t: t["true_class"].isin(["Star", "CV"])),
        ("f.alternative=null", lambda t: t["alternative"].fillna("") == ""),
        ("set=CV", lambda t: t["prediction_set"].str.contains("CV")),
        ("q=sim 0000", lambda t: t["name"].str.startswith("SIM 0000")),
        ("ids=SIM 000001|SIM 000007", lambda t: t["name"].isin(["SIM 000001", "SIM 000007"])),
    ],
)
def test_page_json_and_plots_hold_the_same_selection(ask, ask_json, table, query, chosen):
    n = int(np.sum(chosen(table)))
    assert 0 < n < len(table)
    assert found(ask.get(f"/?{query}")) == n
    assert ask_json.get(f"/api/sources?{query}&limit=1").json()["total"] == n
    assert sum(ask_json.get(f"/api/sky?{query}").json()["counts"].values()) == n
    scatter = ask_json.get(f"/api/scatter?{query}&x=entropy&y=margin&xlog=0&ylog=0").json()
    assert sum(scatter["counts"].values()) + scatter["without"] == n


def test_positions_in_any_form_find_the_sources_around(ask, ask_json, table):
    ra, dec = table["ra"][10], table["dec"][10]
    sky = SkyCoord(table["ra"], table["dec"], unit="deg")
    near = sky.separation(sky[10]).deg < 5
    text = sky[10].to_string("hmsdms")
    for query in ({"ra": ra, "dec": dec}, {"q": f"{ra} {dec}"}, {"q": text}):
        answer = ask_json.get("/api/sources", params={**query, "radius": "5deg"}).json()
        assert answer["total"] == near.sum()
        assert answer["sources"][0]["name"] == table["name"][10]
        assert answer["sources"][0]["separation"] < 0.01
    page = ask.get("/", params={"q": text, "radius": "5deg"})
    assert found(page) == near.sum() and "within 5° of" in page.text


def test_names_are_asked_of_the_name_service_only_if_no_source_has_them(site, monkeypatch):
    asked = []

    def place(name):
        asked.append(name)
        if name == "M31":
            return (10.68, 41.27)
        raise InputError(f"no position of {name!r}")

    monkeypatch.setattr(selected, "_place_of_name", place)
    run, nothing = next(iter(site.runs.values())), selected.Selection()
    one = selected.Selected(run, nothing, selected.AnswerCache())
    assert selected._located("M31", one, resolve=True) == (10.68, 41.27)
    assert selected._located("M31", one, resolve=True) == (10.68, 41.27)
    assert selected._located("SIM 00", one, resolve=True) is None
    assert selected._located("M33", one, resolve=False) is None
    assert asked == ["M31"]
    with pytest.raises(InputError, match="M33"):
        selected._located("M33", one, resolve=True)


def test_the_form_without_a_script_leads_to_the_usual_address(ask):
    form = {"q": "", "class": "XRB", "lo.outlier_p": "0.1", "hi.outlier_p": "", "p_min": ""}
    more = {"column": "n_missing", "condition": "", "low": "2", "high": "4", "values": ""}
    page = ask.get("/", params={**form, **more})
    assert str(page.url).endswith("/?class=XRB&f.outlier_p=0.1..&f.n_missing=2..4")
    assert page.status_code == 200
    absent = ask.get("/?column=alternative&condition=null")
    assert str(absent.url).endswith("/?f.alternative=null")


def test_conditions_can_be_removed_and_columns_sorted(ask):
    page = ask.get("/?class=XRB&p_min=0.5&sort=-outlier_p&offset=0")
    chips = re.findall(r'<li><a href="([^"]+)" data-go aria-label="Remove', page.text)
    assert chips == ["/?p_min=0.5&amp;sort=-outlier_p", "/?class=XRB&amp;sort=-outlier_p"]
    assert 'aria-sort="descending"' in page.text
    assert "sort=outlier_p" in page.text  # the other way
    values = [
        source["outlier_p"]
        for source in ask.get("/api/sources?class=XRB&sort=-outlier_p").json()["sources"]
    ]
    assert values == sorted(values, reverse=True)


def test_columns_are_chosen_in_the_address(ask):
    page = ask.get("/?columns=name,entropy&limit=5")
    heads = re.findall(r'<th scope="col"[^>]*><a [^>]*>([^<]+)', page.text)
    assert [head.strip() for head in heads] == ["name", "entropy"]
    repeated = ask.get("/?columns=name&columns=entropy&limit=5")
    assert len(re.findall('data-go title="', repeated.text)) == len(heads)


def test_pages_of_the_table(ask):
    page = ask.get("/?limit=20&offset=20")
    assert "Sources 21 to 40 of 3,000" in page.text
    assert "offset=40" in page.text and 'href="/?limit=20"' in page.text
    assert ">Next<" not in ask.get("/?limit=1000&offset=2500").text


def test_a_part_of_the_page_is_sent_to_scripts(ask):
    part = ask.get("/?class=XRB", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert 'id="results"' in part.text and 'hx-swap-oob="true"' in part.text
    assert part.headers["cache-control"] == "no-store"
    assert "HX-Request" in part.headers["vary"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("q=100 200", "declination"),
        ("class=QSO", "no class"),
        ("f.nothing=1..2", "no column"),
        ("f.name=1..2", "holds no numbers"),
        ("f.entropy=high", "holds numbers"),
        ("sort=nothing", "no column"),
        ("columns=nothing", "no column"),
        ("box=galactic,1,2", "must be frame"),
        ("box=ecliptic,0,1,0,1", "no frame"),
        ("width_max=0.1", "no intervals"),
        ("ra=10", "both ra and dec"),
        ("ra=10&dec=10&radius=5parsec", "not understood"),
        ("p_min=nan", "must be a number"),
        ("x=name", "must hold numbers"),
        ("frame=none", "no frame"),
    ],
)
def test_what_cannot_be_understood_is_said(ask, ask_json, query, says):
    path = "/api/scatter" if query.startswith("x=") else "/api/sky"
    path = "/api/sources" if query.startswith(("sort", "columns")) else path
    answer = ask_json.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert says in answer.json()["error"]
    if not query.startswith(("x=", "frame=")):
        page = ask.get(f"/?{query}")
        assert page.status_code == 422
        assert 'role="alert"' in page.text and says in page.text
        assert 'id="filters"' in page.text


@pytest.mark.parametrize("ending", ["fits", "vot", "csv", "parquet"])
def test_downloads_are_catalogues(ask_json, table, tmp_path, ending):
    answer = ask_json.get(f"/api/sources.{ending}?class=XRB&sort=-ra")
    assert answer.status_code == 200
    path = tmp_path / f"selection.{ending}"
    path.write_bytes(answer.content)
    read = read_catalog(path)
    expected = table[table["prediction"] == "XRB"].sort_values("ra", ascending=False)
    assert list(read["name"]) == list(expected["name"])
    np.testing.assert_allclose(read["p_XRB"], expected["p_XRB"])
    assert read.colnames == list(table.columns)
    if ending != "csv":
        assert str(read["ra"].unit) == "deg"
        assert read["p_XRB"].description == "posterior probability of XRB"
        assert read["p_XRB"].meta["ucd"] == "stat.probability;src.class"
        assert read.meta["CLASSES"] == "AGN,Star,XRB,CV"


def test_downloads_of_chosen_columns_and_of_nothing(ask_json):
    csv = ask_json.get("/api/sources.csv?ids=SIM 000001&columns=name,p_predicted").text
    assert csv.splitlines()[0].replace('"', "") == "name,p_predicted"
    assert (
        pq.read_table(BytesIO(ask_json.get("/api/sources.parquet?q=nobody").content)).num_rows == 0
    )
    assert ask_json.get("/api/sources.exe").status_code == 422


def test_a_download_that_is_too_large_is_refused(ask_json, monkeypatch):
    monkeypatch.setattr("xbayes.tasks.selection_file.MOST_CELLS", 1000)
    answer = ask_json.get("/api/sources.csv")
    assert answer.status_code == 422 and "choose fewer columns" in answer.json()["error"]
    assert ask_json.get("/api/sources.parquet").status_code == 200


def test_missing_values_are_null():
    table = pa.table({"x": [1.5, float("nan"), float("inf"), None], "name": ["a", None, "", "b"]})
    answer = json_answer(records(table))
    found = json.loads(answer.body, parse_constant=lambda name: pytest.fail(name))
    assert [one["x"] for one in found] == [1.5, None, None, None]


def test_columns_have_units_and_descriptions(ask_json):
    columns = {one["name"]: one for one in ask_json.get("/api/columns").json()}
    assert columns["ra"]["unit"] == "deg"
    assert columns["p_XRB"]["description"] == "posterior probability of XRB"
    assert columns["p_predicted"]["kind"] == "number"
