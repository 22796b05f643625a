"""Calibration: known distortions are undone by the right kind, and what is right stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.classifier.calibration import (
    Calibrator,
    calibrated,
    evidence,
    fit_calibration,
    identity,
)
from xbayes.classifier.explain import explain
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.probabilities import class_posterior, with_prior
from xbayes.classifier.recipe import Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

SHARE = np.array([0.5, 0.3, 0.2])
LOG_PRIOR = np.log(SHARE)
N = 3000
BY_CLASS = np.diag([2.0, 1.0, 0.4])
FULL = np.array([[1.0, 0.6, 0.0], [0.0, 1.0, -0.5], [-0.6, 0.0, 1.0]])


def simulate(n=N, seed=0, distort=None, share=SHARE, sharpness=2.0):
    """Scores whose z, times `distort`, is what the data tell of classes drawn with `share`.

    Gaussian evidence of unit covariance: its log posterior is exact, and its mean is `share`.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(share), n, p=share)
    x = sharpness * np.eye(len(share))[truth] + rng.normal(size=(n, len(share)))
    score = np.log(share) + sharpness * x
    if distort is None:
        return score, truth
    told = np.asarray(evidence(score, np.log(share)))
    # The inverse matrix: only the matrix itself brings the true evidence back.
    return np.log(share) + told @ np.linalg.inv(distort).T, truth


def fit(score, truth, kind="auto", share=SHARE, seed=0, group=None):
    fold = np.random.default_rng(seed).integers(0, 5, len(truth))
    group = np.arange(len(truth)) if group is None else group
    seen = np.ones(len(truth), bool)
    return fit_calibration(score, jnp.log(jnp.asarray(share)), seen, truth, fold, group, kind)


def log_loss(score, truth):
    return -np.log(class_posterior(score)[np.arange(len(truth)), truth]).mean()


def on_new_rows(found, distort, seed=99):
    """Log loss on new rows: as they come, calibrated, and of the truth."""
    score, truth = simulate(20_000, seed, distort)
    given = found.calibrator, score, LOG_PRIOR, np.ones(len(truth), bool)
    exact, _ = simulate(20_000, seed)
    return tuple(log_loss(np.asarray(s), truth) for s in (score, calibrated(*given), exact))


@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_a_temperature_is_found(temperature, precision):
    distort = temperature * np.eye(3)
    found = fit(*simulate(distort=distort))
    assert found.report.chosen == "temperature"
    np.testing.assert_allclose(found.calibrator.matrix, distort, atol=0.08 * temperature)
    np.testing.assert_array_equal(found.calibrator.offset, 0.0)


def test_a_calibrated_model_keeps_none():
    kept = [fit(*simulate(1000, seed), seed=seed).report.chosen for seed in range(10)]
    assert kept.count("none") >= 8


def test_temperatures_by_class_and_offsets_are_found():
    score, truth = simulate()
    shift = np.array([1.0, -1.0, 0.0])
    # z is normalised again inside, so distort scores, whose softmax alone counts.
    found = fit(score + shift, truth)
    assert found.report.chosen == "vector"
    before, after, best = (
        log_loss(s, truth)
        for s in (
            score + shift,
            np.asarray(calibrated(found.calibrator, score + shift, LOG_PRIOR, truth >= 0)),
            score,
        )
    )
    assert before > best + 0.03
    assert after < best + 0.003


@pytest.mark.parametrize("distort", [2.0 * np.eye(3), BY_CLASS, FULL])
def test_what_auto_takes_is_near_the_truth_on_new_rows(distort):
    found = fit(*simulate(distort=distort))
    before, after, best = on_new_rows(found, distort)
    assert before > best + 0.01
    assert after - best < 0.25 * (before - best)


def test_only_a_full_matrix_undoes_a_full_matrix():
    found = fit(*simulate(distort=FULL))
    assert found.report.chosen.startswith("dirichlet")
    diagonal = fit(*simulate(distort=FULL), kind="vector")
    assert on_new_rows(found, FULL)[1] < on_new_rows(diagonal, FULL)[1] - 0.003


def test_candidates_are_scored_on_rows_they_never_saw():
    """Labels drawn by the posterior of no information: the richest kind must not look best."""
    rng = np.random.default_rng(3)
    truth = rng.choice(3, 120, p=SHARE)
    score = LOG_PRIOR + 3.0 * rng.normal(size=(120, 3)) @ np.diag([1.0, 1.0, 1.0])
    report = fit(score, truth).report
    loss = dict(zip(report.tried, report.held_out_loss, strict=True))
    own = fit(score, truth, "dirichlet").calibrator
    seen = log_loss(np.asarray(calibrated(own, score, LOG_PRIOR, truth >= 0)), truth)
    assert loss["dirichlet (3)"] > seen
    assert loss["dirichlet (3)"] > -(SHARE * np.log(SHARE)).sum() - 0.05


def test_groups_widen_the_error():
    """Ten copies of a source are no ten sources; then the simpler kind is kept more easily."""
    score, truth = simulate(150, 4, 1.3 * np.eye(3))
    many = np.repeat(np.arange(150), 10)
    fold = np.random.default_rng(0).integers(0, 5, 150)[many]
    rows = jnp.asarray(LOG_PRIOR), np.ones(1500, bool), truth[many], fold
    single = fit_calibration(score[many], *rows, np.arange(1500)).report
    grouped = fit_calibration(score[many], *rows, many).report
    assert single.held_out_loss == grouped.held_out_loss
    ratio = [g / s for g, s in zip(grouped.error, single.error, strict=True) if s > 0]
    np.testing.assert_allclose(ratio, np.sqrt(10), rtol=0.01)


def test_nothing_measured_keeps_the_prior_exactly(precision):
    score, _ = simulate(500, distort=FULL)
    calibrator = Calibrator(jnp.asarray(FULL), jnp.asarray([1.0, -2.0, 0.5]))
    prior = jnp.asarray(LOG_PRIOR)
    seen = np.arange(500) % 2 == 0
    got = calibrated(calibrator, jnp.asarray(score), prior, seen)
    np.testing.assert_array_equal(got[~seen], np.broadcast_to(prior, (250, 3)))
    assert not np.allclose(got[seen], prior)
    assert got.dtype == jnp.zeros(()).dtype


def test_no_calibration_changes_no_probability():
    score, _ = simulate(200)
    got = calibrated(identity(3), score, LOG_PRIOR, np.ones(200, bool))
    np.testing.assert_allclose(jax.nn.softmax(got), class_posterior(score), rtol=1e-12)


def test_rows_of_no_fold_change_nothing():
    score, truth = simulate(400, distort=2.0 * np.eye(3))
    fold = np.where(np.arange(400) < 300, np.arange(400) % 3, -1)
    rows = jnp.asarray(LOG_PRIOR), np.ones(400, bool)
    wild = np.where(fold[:, None] < 0, 1e6, score)
    a, b = (
        fit_calibration(s, *rows, t, fold, np.arange(400))
        for s, t in ((score, truth), (wild, np.where(fold < 0, -1, truth)))
    )
    for x, y in zip(a.calibrator, b.calibrator, strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.report == b.report


@pytest.mark.parametrize("kind", ["temperature", "vector", "dirichlet"])
def test_a_class_told_apart_perfectly_makes_nothing_diverge(kind):
    """The likelihood has no maximum there; the shrinkage of the scales gives it one."""
    truth = np.random.default_rng(0).choice(3, 300, p=SHARE)
    score = LOG_PRIOR + 8.0 * np.eye(3)[truth]
    found = fit(score, truth, kind)
    assert np.isfinite(found.log_joint).all()
    assert 1.0 <= float(jnp.diag(found.calibrator.matrix).max()) < 5.0
    assert np.abs(found.calibrator.offset).max() < 3.0
    assert log_loss(found.log_joint, truth) <= log_loss(score, truth)


def test_a_class_of_five_is_fitted_and_harms_nobody():
    share = np.array([0.6, 0.39, 0.01])
    score, truth = simulate(500, 2, share=share)
    assert 0 < (truth == 2).sum() <= 8
    for kind in ("vector", "dirichlet"):
        found = fit(score, truth, kind, share)
        assert np.isfinite(found.calibrator.matrix).all()
        assert log_loss(found.log_joint, truth) < log_loss(score, truth) + 0.02


def test_of_one_class_nothing_is_learned():
    score, _ = simulate(100)
    found = fit(score, np.zeros(100, int))
    assert found.report.chosen == "none"
    np.testing.assert_array_equal(found.log_joint, score)
    np.testing.assert_array_equal(found.calibrator.matrix, np.eye(3))


PROPERTIES = Names(("a", "b", "c"), ("x", "y"), (0, 0, 1), ("A", "B", "C", "D"))


@pytest.fixture(scope="module")
def recipe():
    density = smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 4)
    return Recipe(density, naive_bayes((0, 0, 1), 4, "matrix"), PROPERTIES, (3.0,), 1, 3)


@pytest.fixture
def distorted(recipe, four_classes):
    """A classifier whose calibrator is a full matrix with offsets, and the features."""
    features, truth = four_classes
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    labels = Labels(truth, np.arange(600))
    classifier, _ = fit_classifier(recipe, features, labels, inner, jax.random.key(0))
    rng = np.random.default_rng(1)
    matrix = np.eye(4) + 0.3 * rng.normal(size=(4, 4))
    return classifier._replace(
        calibrator=Calibrator(jnp.asarray(matrix), jnp.asarray(rng.normal(size=4)))
    ), features


@pytest.mark.parametrize("given", [None, np.log([0.1, 0.2, 0.3, 0.4])])
def test_the_terms_of_a_calibrated_score_sum_to_the_log_odds(recipe, distorted, given):
    classifier, features = distorted
    nothing = np.zeros((1, 3), bool)
    features = Features(*(np.concatenate([a, a[:1]]) for a in features))
    features.measured[-1:], features.available[-1:] = nothing, nothing
    products = classify(recipe, classifier, features, given)
    terms = explain(recipe, classifier, features, given)
    total = terms.log_prior + terms.offset + terms.contribution.sum(1)
    np.testing.assert_allclose(class_posterior(total), products.posterior, atol=1e-12)
    prior = given if given is not None else np.asarray(classifier.weights.log_prior)
    np.testing.assert_allclose(products.posterior[-1], np.exp(prior), rtol=1e-12)
    np.testing.assert_array_equal(terms.offset[-1], 0.0)


def test_another_prior_replaces_only_the_prior(recipe, distorted):
    classifier, features = distorted
    new = np.array([0.1, 0.2, 0.3, 0.4])
    old = np.exp(np.asarray(classifier.weights.log_prior))
    before, after = (classify(recipe, classifier, features, p) for p in (None, np.log(new)))
    np.testing.assert_allclose(
        after.posterior, with_prior(before.posterior, old, new), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_array_equal(after.prediction_set, before.prediction_set)


def test_the_track_is_what_each_category_alone_would_give(recipe, distorted):
    """Against the same source with the other category not available."""
    classifier, features = distorted
    products = classify(recipe, classifier, features)
    for g in range(2):
        own = np.array(PROPERTIES.category) == g
        alone = Features(
            features.value, features.measured & own, features.available & own, *features[3:]
        )
        np.testing.assert_allclose(
            products.track[:, g], classify(recipe, classifier, alone).posterior, atol=1e-12
        )


def test_a_calibrated_track_starts_from_unchanged_offsets(recipe, distorted):
    """A temperature multiplies contributions and offsets, and leaves no remainder."""
    classifier, features = distorted
    warm = Calibrator(2.0 * jnp.eye(4), jnp.zeros(4))
    plain, scaled = (
        explain(recipe, classifier._replace(calibrator=c), features) for c in (identity(4), warm)
    )
    np.testing.assert_allclose(scaled.contribution, 2.0 * plain.contribution, atol=1e-12)
    np.testing.assert_allclose(scaled.offset, 2.0 * plain.offset, atol=1e-10)


def test_calibration_is_learned_with_the_classifier(recipe, four_classes):
    """Shrunk to nearly nothing, weights are too timid; the temperature makes up for it."""
    features, truth = four_classes
    timid = recipe._replace(calibration="auto", penalties=(3000.0,))
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    labels = Labels(truth, np.arange(600))
    classifier, report = fit_classifier(timid, features, labels, inner, jax.random.key(0))
    assert len(report.calibration.tried) == len(report.calibration.held_out_loss) == 6
    chosen = report.calibration.tried.index(report.calibration.chosen)
    best = min(report.calibration.held_out_loss)
    assert report.calibration.held_out_loss[chosen] <= best + report.calibration.error[chosen]
    assert (report.calibration.chosen == "none") == np.array_equal(
        classifier.calibrator.matrix, np.eye(4)
    )
