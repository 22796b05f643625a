"""`model.alpha`: weights that the config gives, applied without learning."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.table import Table

from tests.small_sky import small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.explain import explain
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.errors import InputError
from xbayes.features.build import build_features
from xbayes.tasks.fitted_run import load
from xbayes.types import Labels

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
GIVEN = "model.alpha={one: 0.5, two: 3}"
EXACT = ("model.weights=category", "model.offsets=false", "model.calibration=none")
EXACT = (*EXACT, "model.shrink_outliers=false", "validation.inner_folds=3")
CLASSES = ["AGN", "Star", "XRB"]


@pytest.fixture(scope="module")
def fit(small_config):
    """`fit(*settings)`: recipe, classifier, report and features of 300 sources."""
    table = Table(small_sky(300, 4, missing=0.15), masked=True)
    truth = np.array([CLASSES.index(name) for name in table["Class"]])

    def call(*settings):
        config = parse_config(small_config, overrides=(*EXACT, *settings))
        features, _ = build_features(table, config)
        recipe = build_recipe(config)
        labels = Labels(class_index=truth, group=np.arange(300))
        fold = np.arange(300) % 3
        classifier, report = fit_classifier(recipe, features, labels, fold, jax.random.key(1))
        return recipe, classifier, report, features

    return call


def by_hand(recipe, classifier, features, alpha, prior):
    """log prior + sum over features of alpha_t r, by loops."""
    log_lik = np.asarray(recipe.density.log_lik(classifier.density, features))
    n, n_features, n_classes = log_lik.shape
    posterior = np.zeros((n, n_classes))
    for i in range(n):
        score = [float(np.log(share)) for share in prior]
        for f in range(n_features):
            mean = sum(log_lik[i, f]) / n_classes
            for c in range(n_classes):
                score[c] += alpha[recipe.names.category[f]] * (log_lik[i, f, c] - mean)
        weight = np.exp(np.array(score) - max(score))
        posterior[i] = weight / weight.sum()
    return posterior


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("missing", ["features.c.missing=ignore", "features.c.missing=evidence"])
def test_the_posterior_is_the_formula(fit, normalise, missing):
    settings = (GIVEN, f"model.normalise={str(normalise).lower()}", missing)
    recipe, classifier, _, features = fit(*settings, "model.missing_weight=0.4")
    alpha = np.array([0.5, 3.0]) / (3.5 if normalise else 1.0)
    prior = np.exp(np.asarray(classifier.weights.log_prior))
    expected = by_hand(recipe, classifier, features, alpha, prior)
    got = classify(recipe, classifier, features).posterior
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    other = np.array([0.2, 0.3, 0.5])
    got = classify(recipe, classifier, features, np.log(other)).posterior
    expected = by_hand(recipe, classifier, features, alpha, other)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_given_weights_equal_the_same_weights_learned(fit):
    recipe, learned, _, features = fit()
    alpha = np.asarray(recipe.model.alpha(learned.weights))[[0, 2], 0].tolist()
    expected = classify(recipe, learned, features)
    setting = f"model.alpha={json.dumps(dict(zip(('one', 'two'), alpha, strict=True)))}"
    recipe, given, report, features = fit(setting)
    got = classify(recipe, given, features)
    np.testing.assert_allclose(got.posterior, expected.posterior, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(got.outlier_p, expected.outlier_p, rtol=1e-12)
    np.testing.assert_allclose(recipe.model.alpha(given.weights)[[0, 2], 0], alpha, rtol=1e-14)
    assert report.penalties == () and int(report.weights.n_steps) == 0


def test_nothing_is_learned(fit, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights are given, so none are fitted")

    for name in ("select_penalty", "fit_from_starts", "evolve_f1"):
        monkeypatch.setattr(f"xbayes.classifier.fit.{name}", refuse)
    _, classifier, report, _ = fit(GIVEN)
    assert (np.asarray(classifier.weights.offset) == 0).all()
    assert np.isnan(report.penalty)


def test_a_weight_of_zero_leaves_a_category_out_exactly(fit):
    recipe, classifier, _, features = fit("model.alpha={one: 0, two: 2}")
    terms = explain(recipe, classifier, features)
    assert (terms.contribution[:, :2] == 0).all()
    assert np.abs(terms.contribution[:, 2]).max() > 0.1
    total = terms.log_prior + terms.offset + terms.contribution.sum(1)
    posterior = classify(recipe, classifier, features).posterior
    np.testing.assert_allclose(np.exp(total - np.logaddexp.reduce(total, 1)[:, None]), posterior)


def test_calibration_and_rule_still_use_held_out_scores(fit):
    plain = fit(GIVEN)
    settings = ("model.calibration=temperature", "decision=f1")
    recipe, classifier, report, features = fit(GIVEN, *settings)
    assert report.calibration.chosen == "temperature"
    assert (np.asarray(classifier.rule.class_weight) != 1).any()
    got = classify(recipe, classifier, features).posterior
    assert np.abs(got - classify(plain[0], plain[1], features).posterior).max() > 1e-3


def test_the_config_stands_in_the_stored_config(small_config):
    text = small_config.replace("weights: property, ", "alpha: {one: 1, two: 2}, ")
    config = parse_config(text)
    assert (config.model.weights, config.model.offsets) == ("category", False)
    assert parse_config(dump_config(config)) == config
    assert build_recipe(config).given_alpha == (1.0, 2.0)


def test_a_config_may_give_weights_to_the_one_that_it_extends(tmp_path):
    """The other one holds weights: matrix and offsets: true, whether it says so or not."""
    path = tmp_path / "given.yaml"
    text = f"extends: {CONFIG}\nname: given\nmodel:\n  alpha: {{location: 0, spectrum: 3, "
    path.write_text(f"{text}counterparts: 6, variability: 9}}\n")
    model = load_config(path).model
    assert (model.weights, model.offsets, model.missing_weight) == ("category", False, 1.0)
    path.write_text(path.read_text() + "  weights: matrix\n")
    with pytest.raises(InputError, match=r"given.yaml:5:3: model.weights: must be category"):
        load_config(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["{location: 0, spectrum: 3}"], "model.alpha: needs a weight for every category; none"),
        (["{}"], "none for 'location', 'spectrum', 'counterparts', 'variability'"),
        (["{locaton: 1}"], "no feature has this category .did you mean 'location'"),
        ([-1], "model.alpha.location: a weight must be at least 0; found -1"),
        ([".inf"], "model.alpha.location: must be a finite number"),
        (["'3'"], "model.alpha.location: must be a number; found '3'"),
        ([0, "model.normalise=true"], "model.alpha: normalise: true divides by the sum"),
        ([1, "model.weights=property"], "model.weights: must be category if model.alpha gives"),
        ([1, "model.offsets=true"], "model.offsets: must be false if model.alpha gives"),
        ([1, "model.objective=f1"], "model.objective: must be log_loss if model.alpha gives"),
        (
            [1, "model.objective=f1", "model.optimiser=evolution"],
            "model.optimiser: must be gradient if model.alpha gives",
        ),
        ([1, "model.splines=true"], "model.splines: must be false if model.alpha gives"),
        ([1, "model.terms=pairs"], "model.terms: must be none if model.alpha gives"),
        ([1, "model.missing_weight=auto"], "model.missing_weight: must be a number from 0 to 1"),
        ([1, "variant=bayes"], "variant: bayes samples the weights, but model.alpha gives them"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    value, *others = settings
    if not (isinstance(value, str) and value.startswith("{")):
        value = "{" + ", ".join(f"{c}: {value}" for c in ("location", "spectrum")) + ", "
        value += f"counterparts: {settings[0]}, variability: {settings[0]}" + "}"
    given = [f"model.alpha={value}", "model.weights=category", "model.offsets=false", *others]
    with pytest.raises(InputError, match=message):
        load_config(CONFIG, given)


@pytest.mark.slow
def test_a_run_with_given_weights(small_config, tmp_path, exit_code, check_sums, capsys):
    """The whole way: a category of which no feature is left, report, stored model, explain."""
    (tmp_path / "x.yaml").write_text(
        small_config.replace("weights: property", "alpha: {one: 1, two: 2, three: 4}").replace(
            "  c: {", "  d: {expression: 0 * a, category: three}\n  c: {"
        )
    )
    write_catalog(small_sky(120, 2), tmp_path / "x.fits")
    arguments = ("--catalog", tmp_path / "x.fits", "--out", tmp_path / "run")
    assert exit_code("run", tmp_path / "x.yaml", *arguments) == 0
    said = capsys.readouterr().err
    assert "category 'three' has no feature left, so its weight model.alpha.three is" in said
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["penalty"] == []
    report = (tmp_path / "run" / "report.html").read_text()
    assert "Weights given in the config" in report and 'id="penalty"' not in report
    fit = load(tmp_path / "run")
    assert fit.config.model.alpha == {"one": 1, "two": 2}
    table = read_catalog(tmp_path / "x.fits")
    again = fit.classify(table)
    first = read_catalog(tmp_path / "run" / "catalog.parquet")
    np.testing.assert_allclose(again["p_XRB"], first["p_XRB"], atol=1e-12)
    check_sums(fit.explain(table, "s3").track)
