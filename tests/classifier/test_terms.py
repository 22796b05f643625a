"""`model.terms` and `model.splines`: fitted, explained and stored; scores are sums of terms."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from xbayes.catalog.read import read_catalog
from xbayes.classifier.explain import explain
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.store import load_model
from xbayes.config.reader import parse_config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.figures.track_record import ln_odds
from xbayes.infer.select_terms import TermPlan
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.tasks.fitted_run import load
from xbayes.types import Features, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
N = 600
NAMES = Names(
    features=("a", "b", "c"), categories=("x", "y"), category=(0, 1, 1), classes=("A", "B", "C")
)


def recipe_of(terms, splines=False):
    return Recipe(
        density=smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 3),
        model=naive_bayes((0, 1, 1), 3, "property"),
        names=NAMES,
        penalties=(3.0, 30.0),
        n_starts=2,
        n_folds=3,
        terms=terms,
        splines=splines,
    )


PLAIN, PAIRS = recipe_of(None), recipe_of(TermPlan(depth=2))
CURVES, BOTH = recipe_of(None, splines=True), recipe_of(TermPlan(depth=2), splines=True)


def simulate(seed):
    """A and B differ in the sign of the product a b only; C differs in c."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, N, p=[0.4, 0.4, 0.2])
    sign = rng.choice([-1.0, 1.0], N)
    value = rng.normal(size=(N, 3))
    value[:, 0] += 2 * sign
    value[:, 1] += 2 * sign * np.where(truth == 1, -1, 1)
    value[:, 2] += 2 * (truth == 2)
    measured = np.ones((N, 3), bool)
    measured[:, 2] = rng.random(N) < np.array([0.9, 0.9, 0.5])[truth]
    measured[:3] = False
    available = np.ones((N, 3), bool)
    available[:2] = False  # rows 0 and 1 without any available feature
    value = np.where(measured, value, 0.0)
    features = Features(
        value=value,
        measured=measured,
        available=available,
        weight=np.ones_like(value),
        error=0 * value,
    )
    return features, truth


@pytest.fixture(scope="module")
def sources():
    return simulate(3)


def fit(recipe, features, truth):
    inner = inner_folds(truth, np.arange(N), np.ones(N, bool), 3, 0)
    return fit_classifier(recipe, features, Labels(truth, np.arange(N)), inner, jax.random.key(0))


@pytest.fixture(scope="module")
def fitted(sources):
    return fit(PAIRS, *sources)


def test_terms_find_what_naive_bayes_cannot(sources, fitted):
    features, truth = simulate(4)  # new sources
    losses = []
    for recipe, classifier in ((PLAIN, fit(PLAIN, *sources)[0]), (PAIRS, fitted[0])):
        posterior = classify(recipe, classifier, features).posterior
        losses.append(-np.log(posterior[np.arange(N), truth]).mean())
    assert losses[1] < losses[0] - 0.1
    assert fitted[1].terms.pair[0] == (0, 1)


def test_contributions_with_terms_sum_to_the_log_odds(sources, fitted, explained_in_sum):
    features, classifier = sources[0].rows(slice(100)), fitted[0]
    for prior in (None, np.log([0.2, 0.2, 0.6])):
        explained = explained_in_sum(PAIRS, classifier, features, prior)
    assert np.abs(explained.pairs).max() > 0.5
    assert not explained.contribution[:2].any() and not explained.pairs[:2].any()
    assert not explained.offset[:2].any()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [CURVES, BOTH], ids=["curves", "both"])
def test_curves_are_part_of_the_contributions(recipe, sources, explained_in_sum):
    """The classes differ in b - a, which separate weights of a and b cannot subtract."""
    rng, truth = np.random.default_rng(5), sources[1]
    value = sources[0].value.copy()
    value[:, 0] = 3 * rng.normal(size=N)
    value[:, 1] = value[:, 0] + truth + 0.3 * rng.normal(size=N)
    features = sources[0]._replace(value=np.where(sources[0].measured, value, 0.0))
    classifier, report = fit(recipe, features, truth)
    assert classifier.splines is not None and report.splines.share > 0
    assert (classifier.terms is not None) == (report.terms is not None and report.terms.share > 0)
    few = features.rows(slice(100))
    explained = explained_in_sum(recipe, classifier, few)
    plain = explain(recipe, classifier._replace(splines=None), few)
    assert np.abs(plain.contribution - explained.contribution).max() > 0.1
    assert not explained.contribution[:2].any() and not explained.offset[:2].any()


def test_alternative_leaves_out_the_terms_of_a_category(sources, fitted):
    """Against explicit sums: half of every pair of the category is left out."""
    features = sources[0].rows(slice(100))
    products = classify(PAIRS, fitted[0], features)
    explained = explain(PAIRS, fitted[0], features)
    score = explained.log_prior + explained.offset + explained.contribution.sum(1)
    without = [score - explained.contribution[:, m].sum(1) for m in ([0], [1, 2])]
    changed = np.stack([s.argmax(1) != products.prediction for s in without]).any(0)
    np.testing.assert_array_equal(products.alternative >= 0, changed)
    assert 0 < changed.sum() < 100


@pytest.mark.slow
def test_there_are_no_terms_without_a_gain(sources):
    features, truth = sources
    shuffled = np.random.default_rng(1).permutation(truth)
    plain, mixed = (fit(recipe, features, shuffled) for recipe in (PLAIN, PAIRS))
    assert mixed[0].terms is None and mixed[1].terms.share == 0
    for a, b in zip(*map(jax.tree.leaves, (plain[0], mixed[0])), strict=True):
        np.testing.assert_array_equal(a, b)


def test_terms_do_not_depend_on_rows_outside_the_training_part(sources, fitted):
    features, truth = sources
    labels, out = Labels(truth, np.arange(N)), np.arange(N) % 4 == 0
    inner = inner_folds(truth, np.arange(N), ~out, 3, 0)
    wild = np.where(out[:, None], 1e3, features.value)
    fits = [
        fit_classifier(PAIRS, rows, known, inner, jax.random.key(0))[0]
        for rows, known in (
            (features, labels),
            (features._replace(value=wild), Labels(np.where(out, 2 - truth, truth), np.arange(N))),
        )
    ]
    for a, b in zip(*map(jax.tree.leaves, fits), strict=True):
        np.testing.assert_array_equal(a, b)
    # Control: rows of the training part do change the terms.
    leaves = [jax.tree.leaves(classifier.terms) for classifier in (fits[0], fitted[0])]
    assert not all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))


@pytest.fixture(scope="module")
def run(exit_code, tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms")
    assert exit_code("simulate", "--out", folder / "sky.fits", "-n", 600, "--seed", 3) == 0
    quick = ("validation.bootstrap=20", "validation.folds=2", "validation.inner_folds=2")
    asked = ("model.splines=true", "model.terms=pairs", "model.terms_share=0.5", *quick)
    options = [word for key in asked for word in ("--set", key)]
    options += ["--catalog", folder / "sky.fits", "--out", folder / "run"]
    assert exit_code("run", CONFIG, *options) == 0
    return folder


@pytest.mark.slow
def test_the_stored_model_gives_the_numbers_of_the_run(run, xbayes):
    config, recipe, classifier, _ = load_model(run / "run")
    assert config.model.terms == "pairs" and classifier.terms is not None
    assert np.asarray(classifier.terms.pair_table).shape[0] > 0
    table, written = read_catalog(run / "sky.fits"), read_catalog(run / "run" / "catalog.fits")
    classes = recipe.names.classes
    rows = [0, 7, int(np.flatnonzero(np.ma.getmaskarray(table["g_mag"]))[0])]
    fit = load(run / "run")
    for row in rows:
        track = fit.explain(table, str(table["name"][row])).track
        stored = [written[f"p_{name}"][row] for name in classes]
        np.testing.assert_allclose(track.posterior, stored, rtol=1e-12)
        odds = np.log(track.posterior / track.posterior[track.prediction])
        np.testing.assert_allclose(ln_odds(track).total, odds, atol=1e-6)
        assert 1 <= len(track.pairs) <= 5
    code, shown, err = xbayes("explain", run / "run", run / "sky.fits", str(table["name"][7]))
    assert code == 0, err
    assert "terms of two features" in shown and " × " in shown


@pytest.mark.slow
def test_the_metrics_report_the_gain_of_the_terms(run):
    reports = json.loads((run / "run" / "metrics.json").read_text())["terms"]
    names = set(load_model(run / "run")[0].features)
    assert len(reports) == 2  # outer folds
    for fold in reports:
        assert fold["share"] == 0.5 and fold["rounds"] in (40, 80)
        size = [pair["importance"] for pair in fold["largest"]]
        assert size == sorted(size, reverse=True) and size[-1] > 0
        assert all(set(pair["properties"]) < names for pair in fold["largest"])
        assert fold["pairs"] >= len(fold["largest"]) > 0
    assert (run / "run" / "figures" / "terms.png").stat().st_size > 10_000
    assert 'id="terms"' in (run / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.terms=pairs", "model.density=published"], "found density: published"),
        (["model.terms=pairs", "model.objective=f1"], "found objective: f1"),
        (["model.splines=true", "model.density=published"], "found density: published"),
        (["model.splines=true", "variant=bayes"], "posterior.average: must be log_odds"),
        (["model.terms_share=0.5"], "needs terms: single or pairs"),
        (["model.terms=pairs", "model.terms_share=0"], "above 0, at most 1"),
        (["model.terms=triples"], "'none', 'single' or 'pairs'"),
    ],
)
def test_unsupported_combinations_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        parse_config(CONFIG.read_text(), overrides=overrides)
