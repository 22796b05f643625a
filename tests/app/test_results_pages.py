"""The results pages: scores, the sources behind a confusion matrix, and disagreements of runs."""

import re
import shutil
from html import unescape

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.app.clients import OPTIONS, browser_of
from xbayes.app.site import open_site


@pytest.fixture(scope="module")
def two(demo, tmp_path_factory):
    """A site of two runs; the second predicts another class for ten sources."""
    other = tmp_path_factory.mktemp("runs") / "other"
    shutil.copytree(demo.folder, other)
    table = pq.read_table(other / "catalog.parquet")
    prediction = table["prediction"].to_pylist()
    changed = ["XRB" if name != "XRB" else "AGN" for name in prediction[:10]] + prediction[10:]
    column = table.schema.get_field_index("prediction")
    table = table.set_column(column, table.schema.field(column), pa.array(changed))
    pq.write_table(table, other / "catalog.parquet")
    return browser_of(open_site([demo.folder, other], None, OPTIONS))


def test_scores_and_confusion_are_those_of_the_run(ask, site):
    page, metrics = ask.get("/results"), site.runs["demo"].fitted.metrics
    assert page.status_code == 200
    for block in ("in_sample", "cross_validated", "prior_weighted"):
        assert f"{metrics[block]['macro_f1']['value']:.3f}" in page.text
    links = re.findall(r'href="(/results/sources[^"]+)"[^>]*>([\d,]+)</a>', page.text)
    counts = np.array(metrics["cross_validated"]["confusion"])
    assert len(links) == (counts > 0).sum()


def test_a_cell_leads_to_its_sources(ask, ask_json, site):
    counts = site.runs["demo"].fitted.metrics["cross_validated"]["confusion"]
    asked = {"true": "XRB", "predicted": "AGN"}
    page = ask.get("/results/sources", params=asked)
    found = ask_json.get("/api/results/sources", params={**asked, "limit": 5}).json()
    assert found["total"] == counts[2][0]
    assert len(found["sources"]) == 5
    assert all(one["true_class"] == "XRB" for one in found["sources"])
    first = re.search(r'href="(/source/[^"]+)"', page.text)[1]
    assert ask.get(unescape(first)).status_code == 200


def test_reliability_counts_every_source(ask_json, site):
    found = ask_json.get("/api/results/reliability").json()
    n = site.runs["demo"].fitted.metrics["cross_validated"]["n_sources"]
    for bins in found["classes"].values():
        assert sum(bins["size"]) == n
    assert len(found["edges"]) == 11


def test_figures_are_served_by_name_and_nothing_else_is(ask):
    page = ask.get("/results")
    names = set(re.findall(r'src="(/results/figures/[^"]+)"', page.text))
    assert len(names) > 5
    answer = ask.get(sorted(names)[0])
    assert answer.headers["content-type"] == "image/png"
    for path in (
        *("..%2Fconfig", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "../metrics", "....//x", "a%00b"),
        *("confusion.png%00", "/etc/passwd"),
    ):
        assert ask.get(f"/results/figures/{path}.png").status_code == 404


def test_the_report_runs_apart_from_the_site(ask):
    answer = ask.get("/results/report.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


def test_wrong_questions_are_answered(ask_json):
    for path, status in (
        ("/results/sources?true=Nova&predicted=AGN", 422),
        ("/results/sources", 422),
        ("/results/sources?true=AGN&predicted=AGN&offset=-1", 422),
        ("/results/disagreements?other=x", 404),
        ("/results/disagreements?other=demo", 422),
        ("/api/results/sources?true=AGN&predicted=AGN&limit=0", 422),
        ("/results?run=x", 404),
    ):
        answer = ask_json.get(path)
        assert answer.status_code == status, path
        assert answer.json()["error"]


def test_runs_are_compared_on_the_same_sources(two):
    page = two.get("/results")
    assert page.status_code == 200
    # The copy has the same held-out predictions.
    assert "0.000" in page.text
    assert "Paired differences" in page.text


def test_disagreements_are_the_sources_with_other_predictions(two):
    page = two.get("/results/disagreements", params={"run": "demo", "other": "other"})
    assert "10 of the 3,000 sources" in page.text
    assert page.text.count("<tr><th") == 11
    beyond = two.get(
        "/results/disagreements", params={"run": "demo", "other": "other", "offset": 1000}
    )
    assert beyond.status_code == 200
