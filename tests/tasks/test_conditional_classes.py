"""Classes by label and condition, and their groups, from the catalogue to the counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

import xbayes
from xbayes.catalog.columns import masked_column
from xbayes.config.reader import load_config
from xbayes.errors import InputError
from xbayes.evaluate.metrics import aggregate
from xbayes.evaluate.scores import Predictions, score
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.training import load_training

CONFIGS = Path(__file__).parents[2] / "configs"
SEVEN = CONFIGS / "seven_classes.yaml"


@pytest.fixture(scope="module")
def sky() -> Table:
    return simulate_catalog(400, 1, hosts=True)


def expected_class(sky: Table) -> np.ndarray:
    """The published classes, row by row."""
    names = {"AGN": ("distant_AGN", "nearby_AGN"), "XRB": ("gal_XRB", "ex_XRB")}
    has_host = ~masked_column(sky, "host").mask
    labels = np.asarray(sky["Class"]).astype(str)
    return np.array([names.get(c, (c, c))[int(h)] for c, h in zip(labels, has_host, strict=True)])


def test_the_seven_classes_on_the_simulated_sky(sky):
    planned = xbayes.plan(SEVEN, catalog=sky)
    expected = expected_class(sky)
    assert planned.labelled == {c: int((expected == c).sum()) for c in planned.labelled}
    assert [*planned.labelled] == [*load_config(SEVEN).taxonomy.classes]
    assert f"{planned.labelled['ex_XRB']} ex_XRB" in str(planned)
    training = load_training(load_config(SEVEN), sky)
    names = np.array([*planned.labelled, "Soft"])
    assert np.array_equal(names[training.labels.class_index], expected)


@pytest.mark.parametrize("name", ["seven_classes_prior", "ulx"])
def test_the_other_shipped_configs_fit_the_simulated_sky(sky, name):
    few = ["validation.folds=2", "validation.inner_folds=2"]
    training = load_training(load_config(CONFIGS / f"{name}.yaml", few), sky)
    labels = training.labels
    known = labels.class_index >= 0
    assert labels.log_prior is not None
    prior = np.exp(labels.log_prior)[known]
    np.testing.assert_allclose(prior.sum(1), 1, rtol=1e-9)
    # The prior alone is worth more than constant proportions, though those are of this sample.
    truth = labels.class_index[known]
    share = np.bincount(truth, minlength=prior.shape[1]) / len(truth)
    by_source = -np.log(prior[np.arange(len(truth)), truth]).mean()
    assert by_source < -np.log(share[truth]).mean() - 0.03


def test_a_row_of_two_classes(sky):
    config = load_config(SEVEN, ["taxonomy.classes.gal_XRB.where=flux_soft > 0"])
    with pytest.raises(InputError, match="rows satisfy two classes, gal_XRB and ex_XRB"):
        load_training(config, sky)


def test_a_release_without_the_column_is_told(sky):
    """Nobody knows whether its sources have a host, so they are in neither class."""
    rows = np.random.default_rng(1).permutation(len(sky))
    sky = sky[rows]
    n_one = len(sky) - 80
    one, two = sky[:n_one].copy(), sky[n_one:].copy()
    for name in [n for n in two.colnames if n.startswith("host")]:
        two.remove_column(name)
    few = ["validation.folds=2", "validation.inner_folds=2"]
    config = load_config(SEVEN, ["catalog.keep=[]", "catalog.block=null", *few])
    for table in (one, two):
        table.remove_column("release")
    training = load_training(config, {"one": one, "two": two})
    expected = expected_class(sky)
    lost = np.isin(expected, ["distant_AGN", "nearby_AGN", "gal_XRB", "ex_XRB"])
    lost &= np.arange(len(sky)) >= n_one
    assert (training.labels.class_index >= 0).sum() == (~lost & (expected != "Soft")).sum()
    n_agn = int((lost & np.char.endswith(expected, "AGN")).sum())
    told = [text for text in training.warnings if "is unknown in" in text]
    assert len(told) == 4
    assert f"distant_AGN.where (not detected(host)) is unknown in {n_agn} rows" in told[0]


def test_a_missing_column_is_refused_unless_it_is_optional(sky):
    short = sky.copy()
    short.remove_column("extent")
    config = load_config(SEVEN, ["features.extent=null", "catalog.measured_values={}"])
    with pytest.raises(InputError, match="lacks column 'extent'"):
        load_training(config, short)
    config = load_config(
        SEVEN,
        [
            "features.extent=null",
            "catalog.measured_values={}",
            "catalog.optional=[extent, gamma, var_inter_prob]",
        ],
    )
    with pytest.raises(InputError, match="Extended has 0 labelled sources"):
        xbayes.plan(config, catalog=short)


def test_groups_sum_their_classes_in_the_scores():
    rng = np.random.default_rng(1)
    posterior, truth = rng.dirichlet([1, 1, 1, 1], 200), rng.integers(0, 4, 200)
    fine = Predictions(
        truth=truth,
        posterior=posterior,
        prediction=posterior.argmax(1),
        group=np.arange(200),
        weight=np.ones(200),
    )
    joins = {"AB": ("a", "b"), "c": ("c",), "d": ("d",)}
    coarse = aggregate(("a", "b", "c", "d"), joins, fine)
    of_truth = np.where(truth < 2, posterior[:, :2].sum(1), posterior[np.arange(200), truth])
    made = score(coarse, tuple(joins), n_bootstrap=20, seed=1)
    assert made["log_loss"]["value"] == pytest.approx(-np.log(of_truth).mean())
    is_ab, said_ab = truth < 2, coarse.prediction == 0
    f1 = 2 * (is_ab & said_ab).sum() / (is_ab.sum() + said_ab.sum())
    assert made["f1"]["AB"]["value"] == pytest.approx(f1)


@pytest.mark.slow
def test_a_whole_run_with_groups_and_a_prior_by_source(sky, exit_code, tmp_path, capsys):
    sky.write(tmp_path / "sky.fits")
    arguments = ["--catalog", tmp_path / "sky.fits", "--out", tmp_path / "run"]
    for setting in (
        *("validation.folds=2", "validation.inner_folds=2", "validation.bootstrap=50"),
        *("model.penalty=10", "model.starts=1", "validation.proportions=null"),
    ):
        arguments += ["--set", setting]
    assert exit_code("run", CONFIGS / "seven_classes_prior.yaml", *arguments) == 0
    assert "groups of classes" in capsys.readouterr().out
    fit = xbayes.load(tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [*metrics["groups"]["f1"]] == ["AGN", "Star", "XRB", "CV", "Extended"]
    table = fit.predictions
    np.testing.assert_allclose(table["p_XRB"], table["p_gal_XRB"] + table["p_ex_XRB"], rtol=1e-9)
    truth = np.asarray(table["true_class"]).astype(str)
    p = np.array([row[f"p_{c}"] for row, c in zip(table, truth, strict=True)])
    loss = -np.log(np.clip(p, 1e-6, 1)).mean()
    assert metrics["cross_validated"]["log_loss"]["value"] == pytest.approx(loss, rel=1e-3)
    prior = np.array([[row[f"prior_{c}"] for c in fit.classes] for row in table])
    shares = [metrics["proportions"][c] for c in fit.classes]
    np.testing.assert_allclose(prior.mean(0), shares, rtol=1e-6)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Held-out confusion matrix of the groups of classes" in page
    made = fit.classify(tmp_path / "sky.fits")
    stored = Table.read(tmp_path / "run" / "catalog.fits")
    np.testing.assert_allclose(made["p_ex_XRB"], stored["p_ex_XRB"], rtol=1e-9)
    assert len(fit.counts(tmp_path / "sky.fits", all=True)) == 7
    soft = fit.counts(tmp_path / "sky.fits")
    assert soft["predicted"].sum() == (np.asarray(sky["Class"]) == "Soft").sum()
    assert exit_code("report", tmp_path / "run") == 0


def test_a_column_with_the_name_of_a_group_is_refused(sky):
    table = sky.copy()
    table["p_XRB"] = 0.5
    config = load_config(SEVEN, ["catalog.keep=[p_XRB]"])
    with pytest.raises(InputError, match=r"has a column 'p_XRB', which is also a column of the"):
        load_training(config, table)
