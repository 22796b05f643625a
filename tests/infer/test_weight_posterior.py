"""The posterior of the weights: simulation-based calibration, quadrature, invariances."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy.stats import chi2

from xbayes.infer.weight_model import (
    Rows,
    _hessian,
    layout,
    local_coordinates,
    potential,
    sites_and_params,
)
from xbayes.infer.weight_posterior import (
    SAMPLERS,
    Sampling,
    likelihood_power,
    refit_mode,
    sample_posterior,
)
from xbayes.models.assignment_matrix import assignment_model
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.weight_prior import Given, assignment_prior, mixing_directions, weight_prior

C, N = 3, 60
CATEGORY = (0, 0, 1)
LOG_PRIOR = np.log([0.5, 0.3, 0.2])
SHORT = Sampling("nuts", chains=2, warmup=60, draws=80)
REPLICATIONS, RANKS, BINS = 80, 20, 4


def given_of(counted=None):
    return Given(jnp.asarray(LOG_PRIOR), jnp.zeros((0, C)) if counted is None else counted)


def case(kind, n=N):
    """Program, model, and rows without labels; the random log-likelihoods are always the same."""
    rng = np.random.default_rng(0)
    if kind == "assignment":
        counted = jnp.asarray(rng.dirichlet([2.0, 2.0, 2.0], 2))
        model, program, given = assignment_model(2, C), assignment_prior, given_of(counted)
        x = rng.normal(size=(n, 2, 1)) * 2 + rng.normal(size=(n, 2, C))
    else:
        model = naive_bayes(CATEGORY, C, kind)
        program, given = weight_prior(kind, CATEGORY, C), given_of()
        x = 1.5 * rng.normal(size=(n, 3, C))
    design = model.design(jnp.asarray(x))
    rows = Rows(design, jnp.zeros(n, int), jnp.ones(n, bool), given, jnp.ones(()))
    return program, model, rows


def labels_of(model, rows, params, key):
    """Random labels given the parameters."""
    return jax.random.categorical(key, rows.given.log_prior + model.scores(params, rows.design))


@partial(jax.jit, static_argnums=0)
def prior_draw(program, given, key):
    """Every site of one prior sample, and its parameters."""
    with handlers.seed(rng_seed=key), handlers.trace() as traced:
        params = program(given)
    return {name: site["value"] for name, site in traced.items()}, params


SUMMARIES = {
    "property_class": {
        "temperature": lambda s: s["temperature"],
        "alpha of a feature and class": lambda s: s["alpha"][2, 1],
        "offset": lambda s: s["offset"][0],
        "scale": lambda s: s["scale_class"],
    },
    "matrix": {
        "alpha": lambda s: s["alpha"][0],
        "mixing": lambda s: s["mixing"][1, 0, 1],
        "offset": lambda s: s["offset"][2],
    },
    "assignment": {
        "temperature": lambda s: s["temperature"],
        "assignment": lambda s: s["assignment"][1, 0],
        "offset": lambda s: s["offset"][1],
        "concentration": lambda s: s["concentration"],
    },
}


@lru_cache  # compiled once for every power of the likelihood
def simulation(kind):
    """Functions of a key and of simulated rows: the truth and its labels; the rank of the truth."""
    program, model, rows = case(kind)

    def values(sites):
        return jnp.stack([of(sites) for of in SUMMARIES[kind].values()])

    def simulated(key):
        prior_key, label_key = jax.random.split(key)
        sites, params = prior_draw(program, rows.given, prior_key)
        return values(sites), labels_of(model, rows, params, label_key)

    def ranks(rows, truth, local, key):
        z, _ = SAMPLERS["nuts"](program, model, rows, local, key, SHORT)
        apart = z.reshape(-1, z.shape[-1])[4 :: SHORT.chains * SHORT.draws // (RANKS - 1)]

        def at(z):
            return values(sites_and_params(program, rows.given, local, z)[0])

        return (jax.vmap(at)(apart[: RANKS - 1]) < truth).sum(0)

    return jax.jit(jax.vmap(simulated)), jax.jit(jax.vmap(ranks))


def rank_p(kind, power=1.0):
    """P-value of uniform ranks of the truth, by summary (Talts et al. 2018, algorithm 2)."""
    program, model, rows = case(kind)
    simulated, ranks = simulation(kind)
    keys = jax.random.split(jax.random.key(1), (2, REPLICATIONS))
    truth, labels = simulated(keys[0])
    each = [rows._replace(class_index=one, power=jnp.asarray(power)) for one in labels]
    local = [local_coordinates(program, model, one) for one in each]
    each, local = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *many) for many in (each, local))
    found = ranks(each, truth, local, keys[1])
    return dict(zip(SUMMARIES[kind], map(uniform_p, np.asarray(found).T), strict=True))


def uniform_p(ranks):
    count = np.bincount(ranks * BINS // RANKS, minlength=BINS)
    return chi2.sf((count**2).sum() * BINS / len(ranks) - len(ranks), BINS - 1)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
@pytest.mark.parametrize("kind", SUMMARIES)
def test_ranks_of_the_truth_are_uniform(kind):
    p = rank_p(kind)
    assert min(p.values()) > 0.01, p


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_an_overconfident_likelihood_fails_the_same_test():
    """Negative control: every label counts four times."""
    p = rank_p("property_class", power=4.0)
    assert min(p.values()) < 0.01, p


LONG = Sampling("nuts", chains=2, warmup=100, draws=300)
LONGER = Sampling(
    "nuts", chains=4, warmup=200, draws=1000
)  # for standard deviations to a few per cent
EXACT = Sampling("laplace", chains=4, draws=500)


def labelled(kind, n=N, seed=3):
    """A case whose labels come from one prior sample."""
    program, model, rows = case(kind, n)
    prior_key, label_key = jax.random.split(jax.random.key(seed))
    _, params = prior_draw(program, rows.given, prior_key)
    return program, model, rows._replace(class_index=labels_of(model, rows, params, label_key))


def sampled(program, model, rows, sampling, group=None, seed=7):
    group = np.arange(len(rows.design)) if group is None else group
    return sample_posterior(program, model, rows, group, jax.random.key(seed), sampling)


def moments(draws, site):
    flat = np.asarray(draws.sites[site], np.float64)
    flat = flat.reshape(-1, *flat.shape[2:])
    return flat.mean(0), flat.std(0)


def one_offset(n):
    """Two classes, no weights: one free number, the offset, and its moments by quadrature."""
    rng = np.random.default_rng(2)
    relative = rng.normal(size=(n, 3, 2))
    model, program = naive_bayes(CATEGORY, 2, "none"), weight_prior("none", CATEGORY, 2)
    design = model.design(jnp.asarray(relative))
    log_odds = np.log(0.7 / 0.3) + (relative[..., 0] - relative[..., 1]).sum(1)
    truth = (rng.random(n) > 1 / (1 + np.exp(-log_odds - 1.0))).astype(int)
    given = Given(jnp.log(jnp.array([0.7, 0.3])), jnp.zeros((0, 2)))
    rows = Rows(design, jnp.asarray(truth), jnp.ones(n, bool), given, jnp.ones(()))
    # offset = (b, -b) with b sqrt(2) ~ N(0, 1.5)
    b = np.linspace(-6, 6, 8001)
    signed = np.where(truth == 0, 1, -1)[:, None] * (log_odds[:, None] + 2 * b)
    log_posterior = -np.logaddexp(0, -signed).sum(0) - 0.5 * (b * np.sqrt(2) / 1.5) ** 2
    share = np.exp(log_posterior - log_posterior.max())
    share /= share.sum()
    mean = (share * b).sum()
    return program, model, rows, mean, np.sqrt((share * (b - mean) ** 2).sum())


@pytest.mark.parametrize(
    ("n", "sampling"),
    [
        (600, EXACT),
        pytest.param(12, LONG, marks=pytest.mark.slow),
        pytest.param(24, LONG, marks=pytest.mark.slow),  # with the same sampler
        pytest.param(600, Sampling("svi", chains=4, draws=500), marks=pytest.mark.slow),
    ],
)
def test_one_offset_against_quadrature(n, sampling):
    *problem, mean, sd = one_offset(n)
    found = sampled(*problem, sampling)
    got, spread = moments(found, "offset")
    np.testing.assert_allclose(got[0], mean, atol=0.12 * sd)
    np.testing.assert_allclose(spread[0], sd, rtol=0.12)
    np.testing.assert_allclose(got[1], -got[0], rtol=1e-6)


@pytest.mark.slow
def test_chains_for_rows_of_one_shape_compile_once(caplog):
    """As the outer folds of a cross-validation; another number of rows works too."""
    *problem, _, _ = one_offset(24)
    program, model, rows = problem
    short = Sampling("nuts", chains=2, warmup=20, draws=10)
    first = sampled(*problem, short)
    unknown = rows._replace(class_index=jnp.zeros_like(rows.class_index))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        other = sampled(program, model, unknown, short, seed=8)
    assert "Compiling" not in caplog.text
    assert other.sites["offset"].shape == first.sites["offset"].shape == (2, 10, 2)
    fewer = rows._replace(design=rows.design[:9], class_index=rows.class_index[:9])
    again = sampled(program, model, fewer._replace(counted=rows.counted[:9]), short)
    assert np.isfinite(np.asarray(again.sites["offset"])).all()


@pytest.mark.parametrize(
    "kind", ["matrix", *(pytest.param(k, marks=pytest.mark.slow) for k in ("property", "category"))]
)
def test_the_curvature_is_the_hessian_of_the_potential(kind):
    """Away from the mode, with a power and rows that are not counted."""
    program, model, rows = labelled(kind)
    counted = jnp.arange(N) % 4 > 0
    rows = rows._replace(power=jnp.asarray(0.7), counted=counted)
    start, *_ = layout(program, rows.given)
    vector = start + 0.3 * jnp.sin(jnp.arange(len(start)) + 1.0)
    exact = jax.jit(jax.hessian(lambda v: potential(program, model, rows, v)))
    expected = exact(vector)
    found = jax.jit(_hessian, static_argnums=(0, 1))(program, model, rows, vector)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_refitted_mode_is_the_maximum_of_the_posterior():
    program, model, rows, mean, sd = one_offset(600)
    local = local_coordinates(program, model, rows)
    away = local._replace(centre=local.centre + 3 * local.root[:, 0])
    for start in (local, away):
        found = refit_mode(program, model, rows, start).offset[0]
        assert found == pytest.approx(mean, abs=0.05 * sd)


def test_correlated_rows_get_the_power_of_independent_groups():
    """Every row three times in one group counts once; a third in groups of three, in between."""
    program, model, rows, *_ = one_offset(600)
    thrice = np.arange(600) // 3 * 3
    rows = rows._replace(design=rows.design[thrice], class_index=rows.class_index[thrice])
    local = local_coordinates(program, model, rows)
    power = [
        likelihood_power(program, model, rows, local, jnp.asarray(group))
        for group in (
            np.arange(600),
            thrice,
            np.where(np.arange(600) < 200, thrice, np.arange(600)),
        )
    ]
    assert power[0] == 1.0
    assert power[1] == pytest.approx(1 / 3, rel=1e-6)
    assert 1 / 3 < power[2] < 1.0


@pytest.mark.slow
def test_with_many_rows_all_three_methods_agree():
    problem = labelled("property", 300)
    ways = [LONGER, EXACT, Sampling("svi", chains=4, draws=2000)]
    (mean, sd), *others = (moments(sampled(*problem, way), "alpha") for way in ways)
    for other, width in others:
        np.testing.assert_allclose(other, mean, atol=0.3 * sd.max())
        np.testing.assert_allclose(width, sd, rtol=0.25)


def test_mixing_directions_are_orthogonal_to_everything_identified_elsewhere():
    for n_classes in (2, 3, 5):
        direction = mixing_directions(n_classes)
        flat = direction.reshape(len(direction), n_classes**2)
        assert len(direction) == (n_classes - 1) ** 2 - 1
        np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-12)
        for gone in (direction.sum(1), direction.sum(2), np.trace(direction, axis1=1, axis2=2)):
            np.testing.assert_allclose(gone, 0.0, atol=1e-12)


def test_directions_outside_the_mixing_space_change_no_posterior():
    """Constants in rows and columns change nothing; the identity changes alpha."""
    program, model, rows = case("matrix")
    _, params = prior_draw(program, rows.given, jax.random.key(0))
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(3, C, 1)) + rng.normal(size=(3, 1, C))
    alpha = jax.nn.softplus(params.raw_property)
    more = params._replace(raw_property=jnp.log(jnp.expm1(alpha + 0.4)))

    def posterior(params):
        return jax.nn.softmax(LOG_PRIOR + model.scores(params, rows.design))

    same = posterior(params._replace(mixing=params.mixing + hidden))
    np.testing.assert_allclose(same, posterior(params), atol=1e-10)
    diagonal = posterior(params._replace(mixing=params.mixing + 0.4 * np.eye(C)))
    np.testing.assert_allclose(diagonal, posterior(more), atol=1e-10)
    other = posterior(params._replace(mixing=params.mixing + mixing_directions(C)[0]))
    assert np.abs(other - posterior(params)).max() > 0.05


@pytest.mark.slow
def test_a_matrix_of_two_classes_is_one_weight_per_feature():
    """Two classes leave no mixing direction; nothing becomes NaN."""
    _, _, rows, *_ = one_offset(N)
    means = []
    for kind in ("matrix", "property"):
        program, model = weight_prior(kind, CATEGORY, 2), naive_bayes(CATEGORY, 2, kind)
        means.append(moments(sampled(program, model, rows, EXACT), "alpha")[0])
    np.testing.assert_allclose(*means, rtol=1e-6)
    assert np.isfinite(means).all()


@pytest.mark.slow
def test_rows_not_counted_change_nothing():
    program, model, rows = labelled("property")
    kept = jnp.arange(N) < 40
    wild = rows._replace(
        design=jnp.where(kept[:, None], rows.design, 50.0),
        class_index=jnp.where(kept, rows.class_index, -1),
        counted=kept,
    )
    a, b = (sampled(program, model, r, EXACT) for r in (rows._replace(counted=kept), wild))
    np.testing.assert_allclose(a.sites["alpha"], b.sites["alpha"], rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(b.log_lik)[..., 40:], 0.0)
    assert np.all(np.asarray(b.log_lik)[..., :40] < 0)


@pytest.mark.slow
def test_a_row_repeated_three_times_counts_once():
    program, model, rows = labelled("property")
    thrice = rows._replace(
        design=jnp.repeat(rows.design, 3, 0),
        class_index=jnp.repeat(rows.class_index, 3),
        counted=jnp.repeat(rows.counted, 3),
    )
    once = sampled(program, model, rows, EXACT)
    group = np.repeat(np.arange(N), 3)
    grouped = sampled(program, model, thrice, EXACT, group)
    believed = sampled(program, model, thrice, EXACT)
    assert once.power == believed.power == 1.0
    assert grouped.power == pytest.approx(1 / 3, rel=1e-6)
    np.testing.assert_allclose(grouped.sites["alpha"], once.sites["alpha"], rtol=1e-3)
    assert moments(believed, "offset")[1].max() < 0.8 * moments(once, "offset")[1].max()
    local = local_coordinates(program, model, rows)
    some = np.where(np.arange(N) < 30, np.arange(N) // 3, np.arange(N))  # a third may be correlated
    assert 0.1 < likelihood_power(program, model, rows, local, jnp.asarray(some)) <= 1.0


@pytest.mark.slow
def test_the_mode_refitted_to_the_same_rows_is_the_centre(precision):
    for kind in ("property_class", "assignment"):
        program, model, rows = labelled(kind)
        local = local_coordinates(program, model, rows)
        found = refit_mode(program, model, rows, local)
        centre = sites_and_params(program, rows.given, local, jnp.zeros_like(local.centre))[1]
        jax.tree.map(partial(np.testing.assert_allclose, atol=0.02), found, centre)
        assert found.offset.dtype == jnp.zeros(()).dtype


@pytest.mark.slow
def test_shifted_samples_are_posterior_samples_for_the_other_rows():
    """sample + (mode for the other rows - mode) against NUTS on the other rows.

    Negative control: samples that are not shifted are off by more than a standard deviation.
    """
    program, model, rows = labelled("property", 300)
    here = sampled(program, model, rows, LONGER)
    noise = 0.6 * jax.random.normal(jax.random.key(5), rows.design.shape)
    there = rows._replace(design=rows.design + noise.at[:, -1].set(0.0))
    expected = sampled(program, model, there, LONGER)
    modes = [refit_mode(program, model, r, here.local) for r in (there, rows)]

    def spread(params):
        return np.asarray(params.raw_property).reshape(-1, 3)

    stay, direct = spread(here.params), spread(expected.params)
    moved = stay + np.asarray(modes[0].raw_property - modes[1].raw_property)
    np.testing.assert_allclose(moved.mean(0), direct.mean(0), atol=0.3 * direct.std(0).max())
    np.testing.assert_allclose(moved.std(0), direct.std(0), rtol=0.2)
    assert (np.abs(stay.mean(0) - direct.mean(0)) / direct.std(0)).max() > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["property_class", "matrix", "assignment"])
@pytest.mark.parametrize("sky", ["separated", "five", "one class"])
def test_hard_labels_stay_finite(kind, sky):
    """Where the likelihood has no maximum, the prior keeps the posterior proper."""
    program, model, rows = case(kind)
    truth = np.arange(N) % C
    if sky == "five":
        truth = np.where(np.arange(N) < 5, 2, np.arange(N) % 2)
    if sky == "one class":
        truth = np.zeros(N, int)
    x = np.asarray(rows.design)[:, : rows.design.shape[1] // C * C].reshape(N, -1, C)
    if sky == "separated":
        x = x + 8.0 * np.eye(C)[truth][:, None]
    rows = rows._replace(design=model.design(jnp.asarray(x)), class_index=jnp.asarray(truth))
    found = sampled(program, model, rows, EXACT)
    for values in found.sites.values():
        assert np.isfinite(values).all()
    assert np.isfinite(found.log_lik).all()
    mean, sd = moments(found, "offset")
    assert np.all(sd > 0.05)
    assert np.abs(mean).max() < 6.0
    if sky == "one class":  # the prior bounds its offset
        assert mean[0] > mean[1:].max() + 1.0


@pytest.mark.slow
def test_chains_that_diverge_are_counted(monkeypatch):
    program, model, rows = labelled("property")

    def far_too_wide(*given):
        local = local_coordinates(*given)
        return local._replace(root=200.0 * local.root)

    monkeypatch.setattr("xbayes.infer.weight_posterior.local_coordinates", far_too_wide)
    few = Sampling("nuts", chains=2, warmup=0, draws=10)
    stats = sampled(program, model, rows, few).sample_stats
    assert stats["diverging"].shape == (2, 10)
    assert np.asarray(stats["diverging"]).sum() > 0
    monkeypatch.undo()
    assert np.asarray(sampled(program, model, rows, SHORT).sample_stats["diverging"]).mean() < 0.2
