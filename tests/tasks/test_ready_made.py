"""Ready-made models: what is released, and how it is used. Fast tier, on the shared demo run."""

from pathlib import Path

import numpy as np
import pytest

import xbayes
from xbayes.tasks import fitted_run, ready_made
from xbayes.tasks.precision import in_precision

CARD = "# Demo\n\nSimulated sources,\nfor tests.\n\nMore.\n"


@pytest.fixture(scope="module")
def shelf(demo, tmp_path_factory):
    """A folder with the demo as its only ready-made model."""
    folder = tmp_path_factory.mktemp("ready")
    with in_precision("float64"):
        ready_made.release(xbayes.load(demo.folder).model, folder / "demo-model", CARD)
    return folder


@pytest.fixture
def ready(shelf, monkeypatch):
    found = {each.name: each for each in shelf.iterdir()}
    monkeypatch.setattr(ready_made, "ready_made", lambda: found)
    return found


def test_a_model_is_loaded_by_name_and_classifies_like_its_run(ready, demo):
    run, model = xbayes.load(demo.folder), xbayes.load("demo-model")
    assert model.folder == ready["demo-model"]
    expected, made = (fit.classify(demo.catalog) for fit in (run, model))
    for name in run.classes:
        np.testing.assert_allclose(made[f"p_{name}"], expected[f"p_{name}"], atol=0.02)
    same = np.asarray(made["prediction"] == expected["prediction"])
    assert same.mean() > 0.995
    assert np.abs(made["outlier_p"] - expected["outlier_p"])[same].max() < 0.05
    under = {"prior": {"AGN": 0.4, "Star": 0.3, "XRB": 0.2, "CV": 0.1}}
    made, expected = (fit.classify(demo.catalog, **under) for fit in (model, run))
    assert np.mean(made["prediction"] == expected["prediction"]) > 0.99
    assert model.metrics == run.metrics and model.card == CARD


def test_nothing_in_it_is_the_value_of_a_single_source(ready, demo):
    """No held-out posterior or score, and no array with a row for each of the sources."""
    arrays = np.load(ready["demo-model"] / "model" / "arrays.npz")
    original = np.load(demo.folder / "model" / "arrays.npz")
    n_sources = len(xbayes.load(demo.folder).predictions)
    for name in arrays.files:
        if name.startswith("held_out."):
            continue
        assert n_sources not in arrays[name].shape
    kept = np.unique(arrays["held_out.posterior"], axis=0)
    assert len(kept) <= n_sources / 10 + 4
    for name in ("outlier.outlier_score", "conformal.score"):
        known = original[name][np.isfinite(original[name])].astype(np.float32)
        made = arrays[name][np.isfinite(arrays[name])]
        # Values at the known levels of a class whose number fits the level.
        assert np.isin(made, known).mean() < 0.1
    files = {path.name for path in ready["demo-model"].rglob("*") if path.is_file()}
    expected = {"model.json", "arrays.npz", "SHA256", "metrics.json", "provenance.json", "card.md"}
    assert files == expected


def test_the_list_the_card_and_what_a_model_does_not_have(ready, exit_code, capsys):
    table = ready_made.models()
    assert table["name"].tolist() == ["demo-model"]
    assert table["for"][0] == "Simulated sources, for tests."
    assert exit_code("models") == 0 and "demo-model" in capsys.readouterr().out
    assert (
        exit_code("models", "demo-model") == 0 and capsys.readouterr().out.strip() == CARD.strip()
    )
    assert exit_code("models", "demo-modle") == 2
    assert "did you mean 'demo-model'?" in capsys.readouterr().err
    with pytest.raises(xbayes.InputError, match="has no training sources"):
        _ = xbayes.load("demo-model").predictions
    assert exit_code("report", "demo-model") == 2
    assert "ready-made model" in capsys.readouterr().err


def test_a_missing_column_is_told_with_the_way_to_its_source(ready, tmp_path):
    catalog = tmp_path / "few.csv"
    catalog.write_text("name,ra,dec\na,1,2\nb,3,4\n")
    with pytest.raises(xbayes.InputError, match="xbayes models demo-model"):
        xbayes.load("demo-model").classify(catalog)


@pytest.mark.parametrize("name", ["no-model", Path("no-model")])
def test_an_unknown_name_is_told_with_those_there_are(ready, name):
    with pytest.raises(
        xbayes.InputError, match="no ready-made model"
    ):
        xbayes.load(name)
    assert fitted_run.folder_of("./no-model") == Path("no-model")


def test_patterns_that_are_shipped():
    assert [p.tolist() for p in ready_made.shipped_patterns(2)] == [
        [True, False],
        [False, True],
        [True, True],
    ]
    many = [*ready_made.shipped_patterns(8)]
    assert len(many) == ready_made.MOST_PATTERNS and many[-1].all()
    assert sum(pattern.sum() == 1 for pattern in many) == 8
