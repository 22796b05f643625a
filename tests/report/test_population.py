"""Counts and candidate lists of the sources without a label."""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from xbayes.catalog.columns import FileColumn, to_table
from xbayes.classifier.decision import by_class_weight
from xbayes.classifier.predict import Products
from xbayes.output.results import Results
from xbayes.report.population import candidate_lists, candidate_table, links, population_sections

CLASSES = ("A", "B")
N = 400


def results(n_labelled: int = 200, with_places: bool = True):
    """A run of 400 sources in two classes, of which the first `n_labelled` have a label."""
    rng = np.random.default_rng(0)
    truth = (rng.random(N) < 0.3).astype(int)
    p = np.clip(rng.normal(0.2 + 0.6 * truth, 0.2), 0.001, 0.999)
    posterior = np.stack([1 - p, p], axis=1)
    index, number = posterior.argmax(1), np.full(N, np.nan)
    products = Products(
        posterior=posterior,
        prediction=index,
        margin=number,
        entropy=-(posterior * np.log(posterior)).sum(1),
        alternative=index,
        outlier=rng.random(N),
        outlier_p=rng.random(N),
        n_missing=index,
        n_not_available=index,
        track=np.zeros((N, 1, 2)),
        subclass=index,
        prediction_set=posterior > 0.1,
        set_flag=np.arange(N) % 5 == 0,
        posterior_interval=np.stack([posterior - 0.01, posterior + 0.01], axis=-1),
        outlier_interval=np.zeros((N, 2)),
        unusual_feature=np.zeros((N, 0, 3), int),
        unusual_number=np.zeros((N, 0, 3)),
    )
    rows = np.arange(n_labelled)
    label = np.where(np.arange(N) < n_labelled, truth, -1)
    known, nowhere = np.zeros(N, bool), np.arange(N) == N - 1
    table = to_table(
        [
            FileColumn(name="name", values=np.array([f"<{i}>" for i in range(N)]), missing=known),
            FileColumn(name="ra", values=rng.uniform(0, 360, N), missing=nowhere),
            FileColumn(name="dec", values=np.linspace(-80, 80, N), missing=known),
        ],
        {},
    )
    unused = dict.fromkeys(Results._fields)
    return truth, Results(**unused)._replace(
        config=SimpleNamespace(
            catalog=SimpleNamespace(id="name", ra="ra" if with_places else None, dec="dec"),
            f1_class=None,
            seed=1,
            features={},
        ),
        table=table,
        labels=SimpleNamespace(class_index=label, group=np.arange(N)),
        recipe=SimpleNamespace(names=SimpleNamespace(classes=CLASSES)),
        held_out=SimpleNamespace(
            rows=rows, products=[products._replace(posterior=posterior[:n_labelled])]
        ),
        products=products,
    )


@pytest.fixture
def focus(monkeypatch):
    monkeypatch.setattr("xbayes.report.population.focus_of", lambda results: 1)
    rule = by_class_weight(np.ones(2))
    monkeypatch.setattr("xbayes.report.population._rule_of", lambda results: rule)


def test_lists_hold_no_training_source_and_are_ordered():
    _, run = results()
    by_title = {c.title: c.rows for c in candidate_lists(run)}
    assert list(by_title) == ["Most certain A", "Most certain B", "Most ambiguous", "Strangest"]
    assert all(rows.min() >= 200 and len(set(rows)) == len(rows) for rows in by_title.values())
    unknown = np.arange(200, N)
    p, entropy, outlier_p = run.products.posterior, run.products.entropy, run.products.outlier_p
    assert by_title["Most certain B"][0] == unknown[p[unknown, 1].argmax()]
    assert by_title["Most ambiguous"][0] == unknown[entropy[unknown].argmax()]
    assert by_title["Strangest"][0] == unknown[outlier_p[unknown].argmin()]
    assert (np.diff(p[by_title["Most certain A"], 0]) <= 0).all()


def test_the_file_has_the_numbers_of_the_catalogue_and_links():
    _, run = results()
    table = candidate_table(run)
    row = table[table["list"] == "Most certain B"][0]
    source = int(str(row["name"])[1:-1])
    assert row["probability"] == run.products.posterior[source, 1] and row["rank"] == 1
    flags = {f"<{i}>": i % 5 == 0 for i in range(N)}
    assert table["set_flag"].dtype == bool and set(table["set_flag"]) == {True, False}
    assert all(row["set_flag"] == flags[str(row["name"])] for row in table)
    assert row["probability_lo"] < row["probability"] < row["probability_hi"]
    assert f"{row['ra']:.6f}" in row["SIMBAD"] and row["ESASky"].startswith("https://")
    lost = table[table["name"] == f"<{N - 1}>"]  # it has no right ascension
    assert len(lost) and set(lost["SIMBAD"]) == {""}
    assert "SIMBAD" not in candidate_table(results(with_places=False)[1]).colnames


def test_links_search_at_the_position():
    query = parse_qs(urlsplit(links(10.5, -0.25)["SIMBAD"]).query)
    assert query["Coord"] == ["10.500000 -0.250000"] and query["Radius.unit"] == ["arcsec"]
    assert parse_qs(urlsplit(links(1.0, 2.0)["Aladin"]).query)["target"] == ["1.000000 +2.000000"]


def test_the_corrected_count_is_near_the_truth(focus):
    truth, run = results()
    population, candidates = population_sections(run)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in population.tables[0].rows}
    for name, c in (("A", 0), ("B", 1)):
        low, high = (float(end) for end in rows[name][3].split(" – "))
        assert low <= np.sum(truth[200:] == c) <= high
        assert int(rows[name][0]) == np.sum(run.products.prediction[200:] == c)
    assert "200 sources" in population.text
    assert candidates.tables[0].title == "Most certain B" and candidates.tables[0].opened
    at = candidates.tables[0].head.index("set flag")
    assert {row[at].text for t in candidates.tables for row in t.rows} == {"yes", "no"}
    assert candidates.tables[0].rows[0][-1].link.startswith("https://")


def test_without_unlabelled_sources_there_is_neither():
    _, run = results(n_labelled=N)
    assert population_sections(run) == [] and len(candidate_table(run)) == 0
