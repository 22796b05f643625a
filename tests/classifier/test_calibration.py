"""Calibration: the right kind corrects known distortions; calibrated scores stay unchanged."""

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
    """Scores whose evidence z, times `distort`, is exact, for classes drawn with `share`.

    The data are Gaussian with unit covariance.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(share), n, p=share)
    x = sharpness * np.eye(len(share))[truth] + rng.normal(size=(n, len(share)))
    score = np.log(share) + sharpness * x
    if distort is None:
        return score, truth
    z = np.asarray(evidence(score, np.log(share)))
    return np.log(share) + z @ np.linalg.inv(distort).T, truth


def fit(score, truth, kind="auto", share=SHARE, seed=0, group=None):
    fold = np.random.default_rng(seed).integers(0, 5, len(truth))
    group = np.arange(len(truth)) if group is None else group
    measured = np.ones(len(truth), bool)
    return fit_calibration(
        score, jnp.log(jnp.asarray(share)), measured, truth, fold, group, kind=kind
    )


def log_loss(score, truth):
    return -np.log(class_posterior(score)[np.arange(len(truth)), truth]).mean()


def losses_on_new_rows(calibration, distort, seed=99):
    """Log loss on new rows: of distorted scores, of calibrated scores, and of exact scores."""
    score, truth = simulate(20_000, seed, distort)
    corrected = calibrated(calibration.calibrator, score, LOG_PRIOR, np.ones(len(truth), bool))
    exact, _ = simulate(20_000, seed)
    return tuple(log_loss(np.asarray(s), truth) for s in (score, corrected, exact))


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_a_temperature_is_found(temperature, precision):
    distort = temperature * np.eye(3)
    found = fit(*simulate(distort=distort))
    assert found.report.chosen == "temperature"
    np.testing.assert_allclose(found.calibrator.matrix, distort, atol=0.08 * temperature)
    np.testing.assert_array_equal(found.calibrator.offset, 0.0)


@pytest.mark.slow
def test_a_calibrated_model_keeps_none():
    chosen = [fit(*simulate(1000, seed), seed=seed).report.chosen for seed in range(10)]
    assert chosen.count("none") >= 8


def test_temperatures_by_class_and_offsets_are_found():
    score, truth = simulate()
    shift = np.array([1.0, -1.0, 0.0])
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
def test_auto_is_near_the_exact_scores_on_new_rows(distort):
    calibration = fit(*simulate(distort=distort))
    before, after, best = losses_on_new_rows(calibration, distort)
    assert before > best + 0.01
    assert after - best < 0.25 * (before - best)


def test_only_a_full_matrix_corrects_a_full_matrix():
    full = fit(*simulate(distort=FULL))
    assert full.report.chosen.startswith("dirichlet")
    diagonal = fit(*simulate(distort=FULL), kind="vector")
    assert losses_on_new_rows(full, FULL)[1] < losses_on_new_rows(diagonal, FULL)[1] - 0.003


def test_candidates_are_scored_on_held_out_rows():
    """The labels are independent of the scores: the richest kind must not look best."""
    rng = np.random.default_rng(3)
    truth = rng.choice(3, 120, p=SHARE)
    score = LOG_PRIOR + 3.0 * rng.normal(size=(120, 3)) @ np.diag([1.0, 1.0, 1.0])
    report = fit(score, truth).report
    loss = dict(zip(report.tried, report.held_out_loss, strict=True))
    calibrator = fit(score, truth, "dirichlet").calibrator
    in_sample = log_loss(np.asarray(calibrated(calibrator, score, LOG_PRIOR, truth >= 0)), truth)
    assert loss["dirichlet (3)"] > in_sample
    assert loss["dirichlet (3)"] > -(SHARE * np.log(SHARE)).sum() - 0.05


@pytest.mark.slow
def test_groups_widen_the_error():
    """Ten copies of a source in one group count as one source."""
    score, truth = simulate(150, 4, 1.3 * np.eye(3))
    many = np.repeat(np.arange(150), 10)
    fold = np.random.default_rng(0).integers(0, 5, 150)[many]
    rows = jnp.asarray(LOG_PRIOR), np.ones(1500, bool), truth[many], fold
    single = fit_calibration(score[many], *rows, np.arange(1500)).report
    grouped = fit_calibration(score[many], *rows, many).report
    assert single.held_out_loss == grouped.held_out_loss
    ratio = [g / s for g, s in zip(grouped.error, single.error, strict=True) if s > 0]
    np.testing.assert_allclose(ratio, np.sqrt(10), rtol=0.01)


def test_rows_without_measured_features_get_the_prior(precision):
    score, _ = simulate(500, distort=FULL)
    calibrator = Calibrator(jnp.asarray(FULL), jnp.asarray([1.0, -2.0, 0.5]))
    prior = jnp.asarray(LOG_PRIOR)
    measured = np.arange(500) % 2 == 0
    got = calibrated(calibrator, jnp.asarray(score), prior, measured)
    np.testing.assert_array_equal(got[~measured], np.broadcast_to(prior, (250, 3)))
    assert not np.allclose(got[measured], prior)
    assert got.dtype == jnp.zeros(()).dtype


def test_no_calibration_changes_no_probability():
    score, _ = simulate(200)
    got = calibrated(identity(3), score, LOG_PRIOR, np.ones(200, bool))
    np.testing.assert_allclose(jax.nn.softmax(got), class_posterior(score), rtol=1e-12)


def test_a_calibrator_is_fitted_on_samples_from_all_of_the_posterior():
    """The first half of the samples is twice as sharp; the mean probability decides."""
    score, truth = simulate(n=600)
    sharp = np.log(SHARE) + 2 * np.asarray(evidence(score, LOG_PRIOR))
    samples = np.stack([sharp] * 50 + [score] * 50)
    whole, pair = (fit(s, truth, "temperature") for s in (samples, samples[[0, -1]]))
    half = fit(samples[:50], truth, "temperature")
    matrix = [float(found.calibrator.matrix[0, 0]) for found in (whole, pair, half)]
    assert matrix[0] == pytest.approx(matrix[1], rel=0.02)
    assert matrix[2] < 0.9 * matrix[1]
    assert whole.log_joint.shape == score.shape


def test_rows_without_a_fold_are_ignored():
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
def test_a_perfectly_separated_class_gives_finite_numbers(kind):
    """The likelihood has no maximum; the shrinkage of the scales gives it one."""
    truth = np.random.default_rng(0).choice(3, 300, p=SHARE)
    score = LOG_PRIOR + 8.0 * np.eye(3)[truth]
    found = fit(score, truth, kind)
    assert np.isfinite(found.log_joint).all()
    assert 1.0 <= float(jnp.diag(found.calibrator.matrix).max()) < 5.0
    assert np.abs(found.calibrator.offset).max() < 3.0
    assert log_loss(found.log_joint, truth) <= log_loss(score, truth)


@pytest.mark.slow
def test_a_class_of_eight_does_not_increase_the_loss():
    share = np.array([0.6, 0.39, 0.01])
    score, truth = simulate(500, 2, share=share)
    assert 0 < (truth == 2).sum() <= 8
    for kind in ("vector", "dirichlet"):
        found = fit(score, truth, kind, share)
        assert np.isfinite(found.calibrator.matrix).all()
        assert log_loss(found.log_joint, truth) < log_loss(score, truth) + 0.02


def test_a_single_class_leaves_the_scores_unchanged():
    score, _ = simulate(100)
    found = fit(score, np.zeros(100, int))
    assert found.report.chosen == "none"
    np.testing.assert_array_equal(found.log_joint, score)
    np.testing.assert_array_equal(found.calibrator.matrix, np.eye(3))


NAMES = Names(
    features=("a", "b", "c"),
    categories=("x", "y"),
    category=(0, 0, 1),
    classes=("A", "B", "C", "D"),
)


@pytest.fixture(scope="module")
def recipe():
    density = smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 4)
    return Recipe(
        density=density,
        model=naive_bayes((0, 0, 1), 4, "matrix"),
        names=NAMES,
        penalties=(3.0,),
        n_starts=1,
        n_folds=3,
    )


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
    same = after.prediction == before.prediction
    np.testing.assert_array_equal(after.prediction_set[same], before.prediction_set[same])
    assert after.prediction_set[np.arange(len(same)), after.prediction].all()


def test_the_track_is_the_posterior_given_each_category_alone(recipe, distorted):
    """Against the same source with the other category not available."""
    classifier, features = distorted
    products = classify(recipe, classifier, features)
    for g in range(2):
        member = np.array(NAMES.category) == g
        alone = features._replace(
            measured=features.measured & member, available=features.available & member
        )
        np.testing.assert_allclose(
            products.track[:, g], classify(recipe, classifier, alone).posterior, atol=1e-12
        )


def test_a_calibrated_track_starts_from_unchanged_offsets(recipe, distorted):
    """A temperature multiplies contributions and offsets, and leaves no remainder."""
    classifier, features = distorted
    temperature = Calibrator(matrix=2.0 * jnp.eye(4), offset=jnp.zeros(4))
    plain, scaled = (
        explain(recipe, classifier._replace(calibrator=calibrator), features)
        for calibrator in (identity(4), temperature)
    )
    np.testing.assert_allclose(scaled.contribution, 2.0 * plain.contribution, atol=1e-12)
    np.testing.assert_allclose(scaled.offset, 2.0 * plain.offset, atol=1e-10)


@pytest.mark.slow
def test_calibration_is_learned_with_the_classifier(recipe, four_classes):
    """A large penalty makes the weights too small; the temperature corrects it."""
    features, truth = four_classes
    penalised = recipe._replace(calibration="auto", penalties=(3000.0,))
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    labels = Labels(truth, np.arange(600))
    classifier, report = fit_classifier(penalised, features, labels, inner, jax.random.key(0))
    assert len(report.calibration.tried) == len(report.calibration.held_out_loss) == 6
    chosen = report.calibration.tried.index(report.calibration.chosen)
    best = min(report.calibration.held_out_loss)
    assert report.calibration.held_out_loss[chosen] <= best + report.calibration.error[chosen]
    assert (report.calibration.chosen == "none") == np.array_equal(
        classifier.calibrator.matrix, np.eye(4)
    )
