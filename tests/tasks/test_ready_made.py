"""Ready-made models: what is released, and how it is used. Fast tier, on the shared demo run."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import xbayes
from xbayes.config.reader import load_config
from xbayes.tasks import fitted_run, ready_made
from xbayes.tasks.precision import in_precision

CONFIGS = Path(__file__).parents[2] / "configs"
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
    with pytest.raises(xbayes.InputError, match="it has no training sources"):
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
    with pytest.raises(xbayes.InputError, match="no ready-made model"):
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


SHIPPED = sorted(ready_made.ready_made())


def test_all_shipped_models_are_small_and_made_by_their_configs():
    assert SHIPPED == ["chandra-detections", "chandra-sources", "xmm"]
    root = Path(xbayes.__file__).parent
    size = sum(path.stat().st_size for path in (root / "ready").rglob("*") if path.is_file())
    assert size < 8e6
    for path in (root / "ready").rglob("*"):
        if path.suffix in (".json", ".md"):
            assert not re.search(r"2CXO J\d", path.read_text())  # no name of a source
    for name in SHIPPED:
        config = load_config(CONFIGS / "ready" / f"{name.replace('-', '_')}.yaml")
        # Another model must be trained (`make models`) if these differ.
        assert xbayes.load(name).config.features == config.features


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_classifies_without_any_data(name, monkeypatch):
    monkeypatch.delenv("XBAYES_DATA", raising=False)
    fit = xbayes.load(name)
    row = {"ra": 10.0, "dec": 41.0, "phot_g_mean_mag": 17.5, "j_m": 16.0, "w1mpro": 15.0}
    row |= {"Fcsc_s": 1e-14, "Fcsc_m": 2e-14, "Fcsc_h": 4e-14}
    if name == "chandra-detections":
        row = {"hard_hm": 0.1, "hard_hs": 0.4, "hard_ms": 0.3, "powlaw_gamma": 1.7, "bb_kt": 0.8}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xbayes.XbayesWarning)
        made = fit.classify(row)
    assert sum(made[f"p_{c}"][0] for c in fit.classes) == pytest.approx(1, abs=1e-6)
    star = "YSO" if name == "chandra-detections" else "Star"
    assert made[f"p_{star}"][0] < 0.25  # a hard spectrum, and not the colours of a star
    for part in ("Data and classes", "Held-out scores", "must not be used for", "Columns"):
        assert part in fit.card


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "label", "largest"),
    [
        ("chandra-sources", "chandra_sources.csv", "Class", 0.06),
        ("chandra-detections", "chandra_detections.csv", "otype", 0.33),
        ("xmm", "chandra_sources.csv", "Class", 0.09),
    ],
)
def test_a_shipped_model_knows_its_training_sources(name, file, label, largest, data_folder):
    """The log loss in sample; every posterior is finite."""
    fit = xbayes.load(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xbayes.XbayesWarning)
        made = fit.classify(data_folder / file)
    posterior = np.stack([np.asarray(made[f"p_{c}"]) for c in fit.classes], 1)
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-6)
    classes = fit.config.taxonomy.classes.values()
    losses = [
        -np.log(posterior[np.isin(made[label], labels), k]) for k, labels in enumerate(classes)
    ]
    assert np.concatenate(losses).mean() < largest


def test_the_bands_of_xmm_are_converted_as_a_power_law_says():
    """The shares of two XMM bands in the bands of Chandra, for photon index 1.7."""
    config = (CONFIGS / "ready" / "xmm.yaml").read_text()
    for inside, band in (((1.0, 1.2), (1.0, 2.0)), ((4.5, 7.0), (4.5, 12.0))):
        energy = [np.linspace(*ends, 100_001) for ends in (inside, band)]
        part, whole = (np.trapezoid(e * e**-1.7, e) for e in energy)
        assert f"{part / whole:.3f} * EP_" in config
