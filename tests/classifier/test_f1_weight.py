"""The weight of the F1 term: chosen where it helps, 0 where it does not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.small_recipe import cluster_recipe
from xbayes.classifier import f1_weight
from xbayes.classifier.f1_weight import held_out_f1, learn_for_f1, smallest_good
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.training_part import TrainingPart
from xbayes.infer.f1 import F1_WEIGHTS
from xbayes.infer.gradient import fine_tol, fit_design
from xbayes.infer.out_of_fold import OutOfFold
from xbayes.infer.select_penalty import select_penalty
from xbayes.models.naive_bayes import naive_bayes
from xbayes.types import Labels, Names

FOCUS, N_FOLDS = 2, 3
MODEL = naive_bayes((0, 1), 3, "property")
NAMES = Names(
    features=("x", "y"), categories=("a", "b"), category=(0, 1), classes=("A", "B", "XRB")
)


class Sample(NamedTuple):
    """Log-likelihoods of two features and the classes."""

    log_lik: np.ndarray
    truth: np.ndarray


def misspecified(n, seed):
    """The first feature separates A from B, but its likelihood of the focus class is noise.

    One weight for all classes cannot be right: the log loss wants the feature, the F1 does not.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    x = np.zeros((n, 2, 3))
    side = np.array([1.0, -1.0, 0.0])[truth] + 0.5 * rng.normal(size=n)
    x[:, 0] = np.stack([2 * side, -2 * side, 4 * rng.normal(size=n)], 1)
    x[:, 1, 2] = 3.0 * ((truth == 2) - 0.5) + 1.2 * rng.normal(size=n)
    return Sample(x, truth)


def well_specified(n, seed):
    """Independent normal features with their true densities: the weights 1 are right."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.5, 0.4, 0.1])
    mean = np.array([[0.0, 2.0, 1.0], [0.0, 0.0, 2.0]])  # [F C]
    value = mean.T[truth] + rng.normal(size=(n, 2))
    return Sample(-0.5 * (value[:, :, None] - mean) ** 2, truth)


def learned(sample):
    """Weights by log loss, weights by `learn_for_f1`, and its selection."""
    x, truth = jnp.asarray(sample.log_lik), jnp.asarray(sample.truth)
    n = len(truth)
    fold = jnp.asarray(np.arange(n) % N_FOLDS)
    log_prior = jnp.log(jnp.bincount(truth, length=3) / n)
    nested = jnp.stack([x] * N_FOLDS)
    selection = select_penalty(
        MODEL, jax.random.key(0), nested, truth, fold, log_prior=log_prior, penalties=(3.0,)
    )
    start = MODEL.init(jax.random.key(0), x)._replace(log_prior=log_prior)
    by_loss, info = fit_design(
        MODEL,
        start,
        MODEL.design(x),
        truth,
        jnp.ones(n),
        penalty=jnp.asarray(3.0),
        tol=jnp.asarray(fine_tol()),
    )
    training = TrainingPart(
        rows=np.ones(n, bool),
        prepared=None,
        features=None,
        truth=truth,
        fold=fold,
        group=np.arange(n),
        log_prior=log_prior,
        row_weight=None,
    )
    recipe = Recipe(
        density=None,
        model=MODEL,
        names=NAMES,
        penalties=(3.0,),
        n_starts=1,
        n_folds=N_FOLDS,
        objective="f1",
        focus=FOCUS,
    )
    log_lik = OutOfFold(single=x, nested=nested)
    by_f1, _, chosen = learn_for_f1(recipe, training, log_lik, selection, by_loss, info, seed=0)
    return by_loss, by_f1, selection, chosen


def best_f1(params, sample):
    """F1 of the focus class at its best threshold."""
    p = np.asarray(jax.nn.softmax(MODEL.log_joint(params, jnp.asarray(sample.log_lik))))[:, FOCUS]
    hit = (sample.truth == FOCUS)[np.argsort(-p)]
    return (2 * np.cumsum(hit) / (np.arange(len(p)) + 1 + hit.sum())).max()


@pytest.mark.slow
def test_the_term_wins_where_the_log_loss_is_misspecified():
    by_loss, by_f1, before, chosen = learned(misspecified(1200, 0))
    assert chosen.f1_weight > 0
    fresh = misspecified(20_000, 1)
    gain = best_f1(by_f1, fresh) - best_f1(by_loss, fresh)
    # Of 2,000 members, the F1 of one classifier is known to 0.01; the difference much better.
    assert gain > 0.03
    alpha = [np.asarray(MODEL.alpha(params))[:, 0] for params in (by_loss, by_f1)]
    assert alpha[1][0] / alpha[1][1] < 0.8 * alpha[0][0] / alpha[0][1], "less of the noise"
    assert np.abs(np.asarray(chosen.log_joint - before.log_joint)).max() > 0.1


@pytest.mark.slow
def test_lambda_is_0_where_the_log_loss_is_right():
    """In 95 % of the samples: more than 2 of 12 others have a probability of 0.02."""
    others = 0
    for seed in range(12):
        by_loss, by_f1, before, chosen = learned(well_specified(1200, seed))
        assert len(chosen.held_out_f1) == len(F1_WEIGHTS)
        if chosen.f1_weight == 0:
            assert by_f1 is by_loss
            assert chosen.log_joint is before.log_joint
        others += chosen.f1_weight > 0
    assert others <= 2


def test_the_bootstrap_f1_is_that_of_repeated_rows_averaged_over_sets(monkeypatch):
    monkeypatch.setattr(f1_weight, "N_BOOTSTRAP", 3)
    rng = np.random.default_rng(0)
    p, is_focus, group = rng.beta(1, 3, (2, 80)), rng.random(80) < 0.3, np.arange(80) // 2
    got = held_out_f1(p, is_focus, group, 5)
    ordered, total = np.sort(p[0])[::-1], p[0].sum()
    expected_f1 = [2 * ordered[:k].sum() / (k + total) for k in range(1, 81)]
    central = 1 + int(np.argmax(expected_f1))
    sizes = [round(central * 2**power) for power in np.linspace(-1, 1, 9)]
    times = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), size=3)
    for row, scores in zip(p, got, strict=True):
        chosen = [np.isin(np.arange(80), np.argsort(-row)[:size]) for size in sizes]
        for copies, score in zip(times, scores, strict=True):
            rows = np.repeat(np.arange(80), copies[group])
            f1 = [f1_score(is_focus[rows], picked[rows]) for picked in chosen]
            assert score == pytest.approx(np.mean(f1))


def test_sharper_posteriors_with_the_same_order_have_the_same_f1():
    rng = np.random.default_rng(1)
    p, is_focus = rng.random(200), rng.random(200) < 0.2
    got = held_out_f1(np.stack([p, p**3, 0.1 * p]), is_focus, np.arange(200), 0)
    np.testing.assert_array_equal(got[0], got[1])
    np.testing.assert_array_equal(got[0], got[2])


def test_lambda_is_the_smallest_near_a_best_that_is_surely_better_than_0():
    noise = np.random.default_rng(0).normal(size=200)
    assert smallest_good(np.stack([noise * 0, 0.5 + noise])) == 0, "not in 95 % of the samples"
    assert smallest_good(np.stack([noise * 0, 3 + noise])) == 1
    f1 = np.stack([noise * 0, 2 + noise, 4.5 + 0 * noise, 5 + noise, 4 + noise])
    assert smallest_good(f1) == 2, "within one standard error of the best"
    assert smallest_good(np.stack([5 + noise, 4 + noise, 4.9 + noise])) == 0
    assert smallest_good(np.zeros((3, 200))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("assignment", [False, True])
def test_with_lambda_0_the_classifier_is_that_of_the_log_loss(
    four_classes, assignment, monkeypatch
):
    monkeypatch.setattr(f1_weight, "F1_WEIGHTS", (0.0,))
    features, truth = four_classes
    recipe = cluster_recipe("property" if assignment else "matrix", assignment=assignment)
    labels, fold = Labels(truth, np.arange(600)), np.arange(600) % 2
    fits = [
        fit_classifier(recipe._replace(objective=o), features, labels, fold, jax.random.key(0))
        for o in ("log_loss", "f1")
    ]
    (by_loss, _), (by_f1, report) = fits
    assert report.f1_weight == 0
    for want, got in zip(jax.tree.leaves(by_loss), jax.tree.leaves(by_f1), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-10, rtol=0)
