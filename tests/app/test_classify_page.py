"""Classify your own source: the form, JSON, and tables that cannot harm the server."""

import gzip
import io
import re
from html import unescape

import numpy as np
import pytest
from astropy.table import Table

from xbayes.app.uploads import MOST_BYTES, Limits, classified_page, ending_of
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError

ROW = {"flux_soft": 2e-14, "flux_medium": 3e-14, "flux_hard": 5e-14, "g_mag": 20.1}


@pytest.fixture(scope="module")
def fit(site):
    return site.runs["demo"].fitted


@pytest.fixture(scope="module")
def sent(demo, tmp_path_factory):
    """The first sources of the demo catalogue as CSV."""
    path = tmp_path_factory.mktemp("sent") / "sent.csv"
    write_catalog(read_catalog(demo.catalog)[:20], path)
    return path.read_text()


def test_json_gives_what_classify_gives(ask_json, fit):
    answer = ask_json.post("/api/classify", json=[ROW, {**ROW, "g_mag": None}]).json()
    for one, row in zip(answer["sources"], (ROW, {**ROW, "g_mag": None}), strict=True):
        made = fit.classify(row)
        assert one["prediction"] == made["prediction"][0]
        for each in one["posterior"]:
            assert each["p"] == pytest.approx(made[f"p_{each['name']}"][0], abs=1e-9)
        assert len(one["track"]["features"]) == len(fit.config.features)
    assert "fx_g" in answer["sources"][1]["not_detected"]
    alone = ask_json.post("/api/classify", json=ROW).json()
    assert alone["sources"] == answer["sources"][:1]


@pytest.mark.parametrize(
    "wrong",
    [[], {}, [ROW] * 101, {"flux": 1}, {"flux_soft": "x"}, {"flux_soft": [1]}, "x", None, [[1]], 3],
)
def test_wrong_json_is_refused_with_a_reason(ask_json, wrong):
    answer = ask_json.post("/api/classify", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_the_form_has_every_column_with_unit_and_range(ask, fit):
    page = ask.get("/classify")
    for name in fit.model.trained_on.columns:
        assert f'name="v.{name}"' in page.text
    assert "[erg / (s cm2)]" in page.text
    assert 'name="s.w1_mag" value="not_detected"' in page.text
    assert 'name="s.gamma"' not in page.text  # its absence is no evidence


def test_a_filled_form_gives_the_result_and_keeps_its_values(ask, fit):
    asked = {f"v.{name}": str(value) for name, value in ROW.items()} | {"s.w1_mag": "not_detected"}
    page = ask.get("/classify", params=asked)
    made = fit.classify({**ROW, "w1_mag": None})
    share = 100 * made["p_" + made["prediction"][0]][0]
    assert f"<strong>{share:.1f}\u00a0%" in page.text
    for name, value in ROW.items():
        assert (
            f'name="v.{name}" inputmode="decimal" autocomplete="off" value="{value}"' in page.text
        )
    assert 'name="s.w1_mag" value="not_detected" checked' in page.text
    assert "What was missing" in page.text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"v.flux_soft": "bright"}, "flux_soft [erg / (s cm2)] must be a number"),
        ({"v.nothing": "1"}, "no feature reads a column"),
        ({"s.w1_mag": "not_detected"}, "give at least one measured value"),
        ({"v.g_mag": "12", "prior.AGN": "1"}, "the prior needs a positive number"),
    ],
)
def test_a_wrong_form_is_kept_with_a_message(ask, asked, says):
    page = ask.get("/classify", params=asked)
    assert page.status_code == 200
    assert says in unescape(page.text)
    for name, value in asked.items():
        assert f'value="{value}"' in page.text or name == "v.nothing"


def test_a_pasted_table_is_classified(ask, sent, fit):
    page = ask.post("/classify/table", data={"text": sent})
    assert page.status_code == 200
    assert "20 sources, classified" in page.text
    rows = re.findall(r'<th scope="row">(SIM \d+)</th>', page.text)
    assert len(rows) == 20
    assert sent.splitlines()[0] in unescape(page.text)  # the text is kept


def test_a_file_is_classified_and_downloaded(ask, sent, fit, demo):
    for format, name in (("csv", "x.csv"), ("fits", "../../etc/x.csv")):
        answer = ask.post(
            "/classify/table", data={"format": format}, files={"file": (name, sent.encode())}
        )
        assert answer.status_code == 200
        assert (
            answer.headers["content-disposition"] == f'attachment; filename="classified.{format}"'
        )
    table = Table.read(io.BytesIO(answer.content))
    made = fit.classify(read_catalog(demo.catalog)[:20])
    np.testing.assert_allclose(table["p_AGN"], made["p_AGN"], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("", b"", "empty"),
        ("x.csv", b"a,b\n1,2\n", "none of the columns"),
        ("x.fits", b"SIMPLE  = nonsense", "cannot read the table as FITS"),
        ("x.parquet", b"PAR1 nonsense", "cannot read the table as Parquet"),
        ("x.csv", b"<html><body>no</body></html>", "looks like a web page"),
        ("x.xml", b"<?xml version='1.0'?><a>", "table"),
        ("x.csv", b"name,g_mag\n" + b"".join(b"s%d,1\n" % n for n in range(5001)), "5,001 rows"),
        ("x.csv", b"x" * (MOST_BYTES + 1), "at most 5,000,000"),
        ("x.csv", b"\xff\xfe\x00\x00", "table"),
    ],
)
def test_what_is_no_table_is_refused(ask, name, content, says):
    page = ask.post("/classify/table", files={"file": (name or "x", content)})
    assert page.status_code == 422
    assert says in unescape(page.text)
    assert "xbayes-upload-" not in page.text  # no path of the server


def test_a_votable_cannot_name_other_files(demo, tmp_path):
    secret = tmp_path / "secret.fits"
    Table({"name": ["a"], "g_mag": [1.0]}).write(secret)
    text = f"""<?xml version="1.0"?><VOTABLE version="1.3"
    xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
    <FIELD name="name" datatype="char" arraysize="*"/><FIELD name="g_mag" datatype="double"/>
    <DATA><FITS extnum="1"><STREAM href="file://{secret}"/></FITS></DATA></TABLE></RESOURCE>
    </VOTABLE>"""
    with pytest.raises(InputError, match="refers to another file"):
        classified_page(demo.folder, "x.xml", text.encode())


def test_a_bomb_runs_out_of_its_memory(demo):
    bomb = gzip.compress(b"name,g_mag\n" + b"a,1\n" * 100_000_000, compresslevel=9)
    assert len(bomb) < MOST_BYTES
    with pytest.raises(InputError, match=r"memory|stopped|allocate"):
        classified_page(demo.folder, "x.csv.gz", bomb, Limits(memory_bytes=200_000_000))


def test_a_table_that_takes_too_long_is_stopped(demo, sent):
    with pytest.raises(InputError, match=r"longer than 0\.05 seconds"):
        classified_page(demo.folder, "x.csv", sent.encode(), Limits(wall_seconds=0.05))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null"},
    ],
)
def test_forms_of_other_sites_are_refused(ask, sent, headers):
    page = ask.post("/classify/table", data={"text": sent}, headers=headers)
    assert page.status_code == 422
    assert "another site" in page.text


def test_the_name_gives_the_format_and_nothing_else():
    assert ending_of("../../a b/X.FITS.GZ", b"") == ".fits.gz"
    assert ending_of("x.exe", b"a,b\n") == ".csv"
    assert ending_of("", b"# %ECSV 1.0") == ".ecsv"
    assert ending_of("", b"<?xml version='1.0'?><VOTABLE") == ".vot"
