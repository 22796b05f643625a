"""Differential evolution for the weights of highest F1, the published optimiser."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.infer.test_f1 import CATEGORY, problem, true_f1
from xbayes.models.grid import reweigh_missing
from xbayes.models.naive_bayes import KINDS, naive_bayes
from xbayes.published import evolution
from xbayes.published.evolution import evolve_f1, f1_of


def search(model, log_lik, truth, row_weight=None, **options):
    n = len(truth)
    like = model.init(jax.random.key(0), log_lik)
    measured = options.pop("measured", np.ones((n, 4), bool))
    row_weight = jnp.ones(n) if row_weight is None else row_weight
    measured = jnp.asarray(measured)
    return evolve_f1(model, like, log_lik, measured, truth, row_weight, focus=2, seed=1, **options)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(evolution, "GENERATIONS", 30)


def test_f1_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(300, 3))
    truth, times = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    got = f1_of(jnp.asarray(scores), jnp.asarray(truth), jnp.asarray(times * 1.0), 1)
    expected = f1_score(truth == 1, scores.argmax(-1) == 1, sample_weight=times)
    assert float(got) == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_has_every_free_parameter(kind):
    model = naive_bayes(CATEGORY, 3, kind)
    start = model.init(jax.random.key(0), jnp.zeros((1, 4, 3)))
    middle = jnp.asarray(np.mean([model.box.low, model.box.high], axis=0))
    free = {"category": 3, "property": 4, "property_class": 12, "matrix": 4 + 36}[kind] + 3
    assert middle.shape == (free,)
    assert np.allclose(model.alpha(model.box.params(start, middle)), 5.0)  # halfway to 10
    log_lik, _ = problem(3, 50)

    def scores(vector):
        return model.log_joint(model.box.params(start, vector), log_lik)

    moved = [np.abs(scores(middle.at[i].add(0.5)) - scores(middle)).max() for i in range(free)]
    assert min(moved) > 1e-6  # each parameter changes the scores


def test_evolution_beats_plain_naive_bayes_on_the_training_rows():
    log_lik, truth = problem(1)
    model = naive_bayes(CATEGORY, 3, "property")
    like = model.init(jax.random.key(0), log_lik)
    plain = model.box.params(like, jnp.array([1.0] * 4 + [0.0] * 3))
    found = search(model, log_lik, truth)
    reached = true_f1(model, found.params, log_lik, truth)
    assert reached > true_f1(model, plain, log_lik, truth) + 0.1
    assert float(found.info.loss) == pytest.approx(1 - reached)


def test_rows_of_weight_zero_change_nothing():
    log_lik, truth = problem(1, 400)
    weight = jnp.asarray(np.arange(400) % 3 > 0, float)
    other = jnp.where(weight[:, None, None] > 0, log_lik, -log_lik)
    model = naive_bayes(CATEGORY, 3, "category")
    first, second = (search(model, x, truth, weight) for x in (log_lik, other))
    assert np.array_equal(first.params.raw_category, second.params.raw_category)


def test_the_exponent_of_missing_values_is_searched():
    """The exponent is small if missing values mislead and large if they identify the class."""
    log_lik, truth = problem(2)
    measured = np.ones((len(truth), 4), bool)
    measured[::2, 3] = False
    evidence = 3.0 * (np.eye(3)[np.asarray(truth)] - 1 / 3)
    exponents = []
    for sign in (-1.0, 1.0):
        x = jnp.asarray(np.where(measured[..., None], log_lik, sign * evidence[:, None]))
        model = naive_bayes(CATEGORY, 3, "category")
        found = search(model, x, truth, measured=measured, reweigh_missing=reweigh_missing)
        exponents.append(found.missing_weight * float(model.alpha(found.params)[3, 0]))
    assert exponents[0] < 0.3 < exponents[1]


def test_watch_is_called_after_each_generation():
    log_lik, truth = problem(1, 200)
    model = naive_bayes(CATEGORY, 3, "category")
    seen = []
    found = search(model, log_lik, truth, watch=lambda *best: seen.append(best))
    assert len(seen) == int(found.info.n_steps)
    f1 = [true_f1(model, params, log_lik, truth) for params, _ in seen]
    assert np.all(np.diff(f1) >= 0)
