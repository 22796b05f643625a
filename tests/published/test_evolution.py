"""Differential evolution finds the weights of best F1, the published way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.infer.test_f1 import CATEGORY, problem, true_f1
from xbayes.models.naive_bayes import KINDS, naive_bayes
from xbayes.published import evolution
from xbayes.published.evolution import evolve_f1, f1_of


def search(model, log_lik, truth, row_weight=None, **options):
    n = len(truth)
    like = model.init(jax.random.key(0), log_lik)
    observed = options.pop("observed", np.ones((n, 4), bool))
    row_weight = jnp.ones(n) if row_weight is None else row_weight
    return evolve_f1(
        model, like, log_lik, jnp.asarray(observed), truth, row_weight, 2, 1, **options
    )


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(evolution, "GENERATIONS", 30)


def test_f1_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, truth, times = (
        rng.normal(size=(300, 3)),
        rng.integers(0, 3, 300),
        rng.integers(0, 3, 300),
    )
    got = f1_of(jnp.asarray(scores), jnp.asarray(truth), jnp.asarray(times * 1.0), 1)
    expected = f1_score(truth == 1, scores.argmax(-1) == 1, sample_weight=times)
    assert float(got) == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_holds_every_free_number_of_its_kind(kind):
    model = naive_bayes(CATEGORY, 3, kind)
    start = model.init(jax.random.key(0), jnp.zeros((1, 4, 3)))
    middle = jnp.asarray(np.mean([model.box.low, model.box.high], axis=0))
    free = {"category": 3, "property": 4, "property_class": 12, "matrix": 4 + 36}[kind] + 3
    assert middle.shape == (free,)
    assert np.allclose(model.alpha(model.box.params(start, middle)), 5.0)  # halfway to 10
    log_lik, _ = problem(3, 50)
    moved = [
        np.abs(
            model.log_joint(model.box.params(start, middle.at[i].add(0.5)), log_lik)
            - model.log_joint(model.box.params(start, middle), log_lik)
        ).max()
        for i in range(free)
    ]
    assert min(moved) > 1e-6  # each number changes the scores


def test_evolution_beats_plain_naive_bayes_on_its_own_rows():
    log_lik, truth = problem(1)
    model = naive_bayes(CATEGORY, 3, "property")
    plain = model.box.params(
        model.init(jax.random.key(0), log_lik), jnp.array([1.0] * 4 + [0.0] * 3)
    )
    found = search(model, log_lik, truth)
    reached = true_f1(model, found.params, log_lik, truth)
    assert reached > true_f1(model, plain, log_lik, truth) + 0.1
    assert float(found.info.loss) == pytest.approx(1 - reached)


def test_rows_of_weight_zero_change_nothing():
    log_lik, truth = problem(1, 400)
    kept = jnp.asarray(np.arange(400) % 3 > 0, float)
    other = jnp.where(kept[:, None, None] > 0, log_lik, -log_lik)
    model = naive_bayes(CATEGORY, 3, "category")
    first, second = (search(model, x, truth, kept) for x in (log_lik, other))
    assert np.array_equal(first.params.raw_category, second.params.raw_category)


def test_the_exponent_of_the_missing_is_searched():
    """Gaps that point at the wrong class are best ignored; ones that tell it, best kept."""
    log_lik, truth = problem(2)
    observed = np.ones((len(truth), 4), bool)
    observed[::2, 3] = False
    tells = 3.0 * (np.eye(3)[np.asarray(truth)] - 1 / 3)
    exponents = []
    for sign in (-1.0, 1.0):
        x = jnp.asarray(np.where(observed[..., None], log_lik, sign * tells[:, None]))
        model = naive_bayes(CATEGORY, 3, "category")
        found = search(model, x, truth, observed=observed, search_missing=True)
        exponents.append(found.missing_weight * float(model.alpha(found.params)[3, 0]))
    assert exponents[0] < 0.3 < exponents[1]


def test_each_generation_is_watched():
    log_lik, truth = problem(1, 200)
    model = naive_bayes(CATEGORY, 3, "category")
    seen = []
    found = search(model, log_lik, truth, watch=lambda *best: seen.append(best))
    assert len(seen) == int(found.info.n_steps)
    f1 = [true_f1(model, params, log_lik, truth) for params, _ in seen]
    assert np.all(np.diff(f1) >= 0)
