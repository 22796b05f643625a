"""EM: monotone likelihood, row weights, starts, compilations, chunks, refusals."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from xbayes.errors import InputError
from xbayes.infer import em
from xbayes.infer import information_criteria as criteria
from xbayes.infer.em import fit_chunks, fit_em, random_starts
from xbayes.models.base import Model
from xbayes.models.gaussian_mixture import MixtureParams, gaussian_mixture
from xbayes.models.measured import Measured
from xbayes.models.mixture_start import k_means_plus_plus, random_centres


def clumps(n=300, n_features=2, seed=0):
    rng = np.random.default_rng(seed)
    centre = 3 * rng.normal(size=(3, n_features))
    return jnp.asarray(centre[rng.integers(3, size=n)] + rng.normal(size=(n, n_features)))


def fit(model, x, weight=None, n_starts=1, seed=0, **options):
    rows = x.value if isinstance(x, Measured) else x
    weight = jnp.ones(rows.shape[0], rows.dtype) if weight is None else weight
    starts = random_starts(model, jax.random.key(seed), x, weight, n_starts)
    return fit_em(model, starts, x, weight, **options)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kinds=st.sampled_from(
        [
            ("full", "both"),
            ("full", "exact"),
            ("tied", "missing"),
            ("diag", "noise"),
            ("spherical", "both"),
        ]
    ),
    weighted=st.booleans(),
)
def test_log_likelihood_never_falls(seed, kinds, weighted):
    covariance_type, kind = kinds
    rng = np.random.default_rng(seed)
    value = np.asarray(clumps(120, 3, seed))
    observed = rng.random(value.shape) > 0.4
    noise = rng.gamma(0.5, 1.0, value.shape)
    x = Measured(
        jnp.asarray(value),
        jnp.asarray(observed) if kind in ("missing", "both") else None,
        jnp.asarray(noise) if kind in ("noise", "both") else None,
    )
    weight = jnp.asarray(rng.gamma(1.0, 1.0, 120) if weighted else np.ones(120))
    # Starts that run into a singularity are refused.
    model = gaussian_mixture(2, covariance_type, reg_covar=0.0, start=random_centres)
    try:
        _, info = fit(model, x, weight, seed=seed % 1000, tol=0.0, max_steps=32)
    except InputError:
        reject()
    assume(info.n_reseeded == 0)
    assert np.diff(info.history[: int(info.n_steps)]).min() > -1e-10


@pytest.mark.slow
def test_the_regulariser_costs_little_where_components_are_broad():
    _, info = fit(gaussian_mixture(3), clumps(), tol=0.0, max_steps=50)
    assert np.diff(info.history).min() > -1e-6


def test_weight_two_counts_like_two_rows():
    x = clumps(100)
    weight = jnp.repeat(jnp.array([1.0, 2.0]), 50)
    model = gaussian_mixture(3, start=k_means_plus_plus)
    weighted, _ = fit(model, x, weight)
    twice, _ = fit(model, jnp.concatenate([x, x[50:]]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), weighted, twice)


def test_the_order_of_the_components_changes_nothing():
    x, model = clumps(), gaussian_mixture(3)
    starts = random_starts(model, jax.random.key(0), x, jnp.ones(300), 1)
    turned = jax.tree.map(lambda leaf: leaf[:, ::-1], starts)
    found, info = fit_em(model, starts, x, jnp.ones(300))
    other, same = fit_em(model, turned, x, jnp.ones(300))
    np.testing.assert_allclose(other.mean[::-1], found.mean, atol=1e-8)
    np.testing.assert_allclose(info.log_lik, same.log_lik, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [None, 4])
def test_the_best_of_several_starts_is_kept(batch_size, precision):
    x = clumps(200, seed=5).astype(precision)
    model = gaussian_mixture(6, "spherical", start=random_centres)
    starts = random_starts(model, jax.random.key(2), x, jnp.ones(200, precision), 6)
    _, best = fit_em(model, starts, x, jnp.ones(200, precision), batch_size=batch_size)
    each_start = [jax.tree.map(lambda a, i=i: a[i : i + 1], starts) for i in range(6)]
    singles = [float(fit_em(model, one, x, jnp.ones(200))[1].log_lik) for one in each_start]
    assert float(best.log_lik) == pytest.approx(max(singles), abs=1e-5)
    assert max(singles) - min(singles) > 1e-3


def test_a_fit_ends_at_the_tolerance_or_the_step_limit():
    x, model = clumps(), gaussian_mixture(3, start=random_centres)
    _, short = fit(model, x, tol=1e-9, max_steps=3)
    assert (int(short.n_steps), bool(short.converged)) == (3, False)
    _, long = fit(model, x, tol=1e-9, max_steps=500)
    history = np.asarray(long.history[: int(long.n_steps)])
    assert long.converged
    assert abs(history[-1] - history[-2]) < 1e-9 <= np.abs(np.diff(history[:-1])).min()
    start, none = fit(model, x, max_steps=0)
    assert int(none.n_steps) == 0
    assert np.isfinite(start.mean).all()


def test_an_empty_component_is_reseeded():
    x, model = clumps(), gaussian_mixture(3)
    starts = random_starts(model, jax.random.key(0), x, jnp.ones(300), 1)
    dying = starts._replace(mean=starts.mean.at[0, 0].set(1e4))
    found, info = fit_em(model, dying, x, jnp.ones(300), tol=1e-8, max_steps=500)
    assert info.n_reseeded >= 1
    assert info.converged
    assert np.exp(found.log_weight).min() > 0.05
    _, alive = fit_em(model, starts, x, jnp.ones(300), tol=1e-8, max_steps=500)
    assert float(info.log_lik) == pytest.approx(float(alive.log_lik), abs=1e-3)


def test_same_shapes_compile_once(monkeypatch):
    traces = []

    def counted(*arguments):
        traces.append(1)
        return original(*arguments)

    original = em.em_step
    monkeypatch.setattr(em, "em_step", counted)
    for seed in range(3):
        x = clumps(77, 2, seed)
        fit(gaussian_mixture(3), x, seed=seed, tol=10.0**-seed, max_steps=50 + seed)
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(300,), (100, 100, 100), (7, 200, 93)])
def test_chunks_give_the_fit_of_all_rows(sizes):
    x, model = clumps(), gaussian_mixture(3)
    weight = jnp.linspace(0.5, 1.5, 300)
    start = model.init(jax.random.key(0), x, weight)
    whole, info = fit_em(model, jax.tree.map(lambda a: a[None], start), x, weight)
    rows = Measured(np.asarray(x), np.ones(x.shape, bool))
    cuts = np.cumsum((0, *sizes))

    def make_chunks():
        for a, b in pairwise(cuts):
            part = slice(a, b)
            yield Measured(rows.value[part], rows.observed[part]), np.asarray(weight[part])

    found, same = fit_chunks(model, start, make_chunks)
    assert int(same.n_steps) == int(info.n_steps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-8), whole, found)


def test_no_chunks_and_singular_chunks_are_refused():
    model, x = gaussian_mixture(1, reg_covar=0.0), clumps()
    start = model.init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="no rows"):
        fit_chunks(model, start, lambda: iter(()))
    with pytest.raises(ValueError, match="ill-defined covariance"):
        fit_chunks(model, start, lambda: [(np.ones((9, 2)), np.ones(9))])


@pytest.mark.slow
def test_a_singular_mixture_is_refused_not_nan():
    x = clumps()
    flat = jnp.concatenate([x, x[:, :1] + x[:, 1:]], axis=1)  # collinear
    with pytest.raises(ValueError, match="ill-defined covariance"):
        fit(gaussian_mixture(2, reg_covar=0.0), flat)
    found, _ = fit(gaussian_mixture(2), flat)  # reg_covar gives the component a width
    assert np.linalg.eigvalsh(found.covariance).min() == pytest.approx(1e-6, rel=1e-3)
    start = MixtureParams(jnp.zeros((1, 1)), jnp.zeros((1, 1, 2)), -jnp.eye(2)[None, None])
    with pytest.raises(ValueError, match="ill-defined covariance"):
        fit_em(gaussian_mixture(1), start, x, jnp.ones(300))


@pytest.mark.slow
def test_one_start_that_fails_leaves_the_others():
    x, model = clumps(), gaussian_mixture(2)
    starts = random_starts(model, jax.random.key(0), x, jnp.ones(300), 3)
    broken = starts._replace(covariance=starts.covariance.at[0].multiply(-1.0))
    _, info = fit_em(model, broken, x, jnp.ones(300))
    assert np.isfinite(info.log_lik)


def test_any_model_with_an_m_step_can_be_fitted():
    """Two coins, a model with log_joint and m_step only."""
    heads = jnp.asarray(np.random.default_rng(0).binomial(20, np.repeat([0.2, 0.7], 50)) * 1.0)

    def coins(params, x):
        return x[:, None] * jnp.log(params) + (20 - x[:, None]) * jnp.log1p(-params)

    def m_step(params, x, resp):
        return (resp * x[:, None]).sum(0) / (20 * resp.sum(0))

    model = Model(init=lambda key, x, weight: jnp.array([0.4, 0.6]), log_joint=coins, m_step=m_step)
    found, info = fit(model, heads)
    assert info.converged
    np.testing.assert_allclose(found, [0.2, 0.7], atol=0.05)
    with pytest.raises(ValueError, match="needs a model with an m_step"):
        fit(model._replace(m_step=None), heads)


@pytest.mark.slow
def test_criteria_select_the_true_number_of_components():
    rng = np.random.default_rng(1)
    centre = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    x = jnp.asarray(centre[rng.integers(3, size=600)] + rng.normal(size=(600, 2)))
    train, rest = x[:300], x[300:]
    scores = {}
    for k in (2, 3, 6):
        model = gaussian_mixture(k)
        found, info = fit(model, train, n_starts=4, tol=1e-5)
        bic = criteria.bic(300 * float(info.log_lik), 6 * k - 1, 300)
        held_out = criteria.mean_log_lik(model, found, rest, jnp.ones(300))
        scores[k] = (bic, -float(held_out))
    assert min(scores, key=lambda k: scores[k][0]) == 3
    assert min(scores, key=lambda k: scores[k][1]) == 3
    assert criteria.aic(-10.0, 3) == 26.0
