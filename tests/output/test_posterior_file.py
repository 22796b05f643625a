"""posterior.nc and what is told of its chains: each doubt has a sample that earns it."""

import json

import numpy as np
import pytest

from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.output.posterior_file import (
    compare_posteriors,
    diagnose,
    inference_data,
    write_posterior,
)
from xbayes.types import Names

PROPERTIES = Names(("a", "b", "c"), ("one", "two"), (0, 0, 1), ("AGN", "XRB"))
N_CHAINS, N_DRAWS, N_ROWS = 4, 400, 12


def sampled(seed=0, method="nuts", chains=N_CHAINS):
    """Independent draws, as of chains that mix perfectly; W of two classes is a diagonal."""
    rng = np.random.default_rng(seed)
    shape = (chains, N_DRAWS)
    alpha = np.exp(0.2 * rng.normal(size=(*shape, 3)))
    sites = {
        "alpha": alpha,
        "scale_property": rng.gamma(5, size=shape),
        "mixing": alpha[..., None, None] * np.eye(2),
        "offset": rng.normal(size=(*shape, 2)),
    }
    log_lik = np.log(rng.uniform(0.5, 0.6, (*shape, N_ROWS))).astype(np.float32)
    stats = {"diverging": np.zeros(shape, bool), "num_steps": np.full(shape, 7)}
    known = {} if method == "laplace" else stats
    return PosteriorReport(sites, known, log_lik, np.arange(N_ROWS) % 2, 0.8, method)


def told(report):
    return diagnose(inference_data(report, PROPERTIES), report)


def test_converged_chains_give_no_doubt():
    found = told(sampled())
    assert found.doubts == ()
    assert found.record["draws"] == N_CHAINS * N_DRAWS
    assert (found.record["method"], found.record["power"]) == ("nuts", 0.8)
    assert found.record["diverging"] == 0
    rows = {row["name"]: row for row in found.record["sites"]}
    assert set(rows) == {"alpha", "scale_property", "mixing", "offset"}
    for row in rows.values():
        assert 0.99 < row["rhat"] < 1.01
        assert 1000 < row["ess_bulk"] < 3000 and 800 < row["ess_tail"] < 3000
    json.dumps(found.record, allow_nan=False)


def test_zeros_of_the_mixing_matrix_are_not_counted():
    """Its two off-diagonal elements never move: neither chains that agree, nor ones that do not."""
    rows = {row["name"]: row for row in told(sampled()).record["sites"]}
    assert (rows["mixing"]["numbers"], rows["alpha"]["numbers"]) == (6, 3)
    assert rows["mixing"]["rhat"] == rows["alpha"]["rhat"]


def test_a_chain_that_went_elsewhere_is_named_with_its_rhat():
    report = sampled()
    report.sites["offset"][2, :, 1] += 3.0
    found = told(report)
    rows = {row["name"]: row for row in found.record["sites"]}
    assert rows["offset"]["rhat"] > 1.3 and rows["alpha"]["rhat"] < 1.01
    (doubt,) = found.doubts
    assert f"R-hat of offset is {rows['offset']['rhat']:.3f}, above 1.01" in doubt
    assert "offset has" in doubt and "effective draws, fewer than 400" in doubt
    assert "posterior.warmup" in doubt and "alpha" not in doubt


def test_draws_that_repeat_each_other_count_once():
    report = sampled()
    own = report.sites["scale_property"]
    own[:] = np.repeat(own[:, ::20], 20, axis=1)  # 80 different ones
    found = told(report)
    row = next(r for r in found.record["sites"] if r["name"] == "scale_property")
    assert 30 < row["ess_bulk"] < 160
    assert "scale_property has" in found.doubts[0]


def test_one_chain_is_compared_with_itself():
    """Its halves stand in for chains, so that one that drifts is not believed."""
    assert all(row["rhat"] < 1.02 for row in told(sampled(chains=1)).record["sites"])
    report = sampled(chains=1)
    report.sites["offset"][0, :, 0] += np.linspace(0, 5, N_DRAWS)
    assert "R-hat of offset" in told(report).doubts[0]


@pytest.mark.parametrize(("diverging", "doubted"), [(8, False), (9, True)])
def test_diverging_draws_are_counted(diverging, doubted):
    report = sampled()
    report.sample_stats["diverging"].flat[:diverging] = True
    found = told(report)
    assert found.record["diverging"] == diverging
    assert any(f"{diverging} of 1600 draws diverged" in d for d in found.doubts) == doubted


def test_an_approximation_has_no_chains_to_doubt():
    report = sampled(method="laplace", chains=1)
    report.sites["offset"][0, :, 0] += np.linspace(0, 5, N_DRAWS)
    found = told(report)
    assert found.doubts == () and "sites" not in found.record
    assert found.record["loo"]["elpd"] == pytest.approx(report.log_lik.mean((0, 1)).sum(), rel=0.01)


def test_a_source_that_draws_disagree_on_troubles_loo():
    report = sampled()
    assert told(report).record["loo"]["troubled"] == 0
    wild = np.random.default_rng(3).standard_cauchy((N_CHAINS, N_DRAWS))
    report.log_lik[..., 5] = -np.abs(wild)
    assert told(report).record["loo"]["troubled"] == 1


def read_back(report, path):
    import arviz

    write_posterior(inference_data(report, PROPERTIES), path)
    return arviz.from_netcdf(str(path), engine="h5netcdf")


def test_the_file_is_read_back_with_its_names(tmp_path):
    report = sampled()
    data = read_back(report, tmp_path / "posterior.nc")
    posterior = data.posterior
    assert not [name for name in posterior.data_vars if str(name).startswith("z_")]
    assert posterior["alpha"].dims == ("chain", "draw", "property")
    assert posterior["mixing"].dims == ("chain", "draw", "property", "class", "likelihood_of")
    np.testing.assert_array_equal(
        posterior["alpha"].sel(property="b"), report.sites["alpha"][..., 1]
    )
    np.testing.assert_array_equal(
        posterior["offset"].sel({"class": "XRB"}), report.sites["offset"][..., 1]
    )
    np.testing.assert_array_equal(data.log_likelihood["label"], report.log_lik)
    assert data.log_likelihood["label"].dims == ("chain", "draw", "source")
    np.testing.assert_array_equal(data.observed_data["label"], report.truth)
    assert set(data.sample_stats.data_vars) == {"diverging", "num_steps"}


def test_weights_by_category_and_assignments_have_names_too(tmp_path):
    report, rng = sampled(method="laplace"), np.random.default_rng(1)
    shape = (N_CHAINS, N_DRAWS)
    sites = {"alpha": rng.gamma(5, size=(*shape, 2)), "temperature": rng.gamma(5, size=shape)}
    posterior = read_back(report._replace(sites=sites), tmp_path / "category.nc").posterior
    assert posterior["alpha"].dims == ("chain", "draw", "category")
    assert posterior["category"].values.tolist() == ["one", "two"]
    sites = {"assignment": rng.dirichlet(np.ones(2), size=(*shape, 5))}
    data = read_back(report._replace(sites=sites), tmp_path / "assignment.nc")
    assert data.posterior["assignment"].dims == ("chain", "draw", "cluster", "class")
    assert "sample_stats" not in data.groups()


def test_posteriors_of_the_same_sources_are_compared_the_best_first(tmp_path):
    good, bad = sampled(0), sampled(1)
    worse = np.linspace(0.0, 0.2, N_ROWS)
    paths = {name: tmp_path / f"{name}.nc" for name in ("bad", "good")}
    write_posterior(inference_data(good, PROPERTIES), paths["good"])
    write_posterior(
        inference_data(bad._replace(log_lik=good.log_lik - worse), PROPERTIES), paths["bad"]
    )
    first, second = compare_posteriors(paths)
    assert (first["name"], second["name"]) == ("good", "bad")
    assert first["difference"] == 0 and first["troubled"] == 0
    assert second["difference"] == pytest.approx(-worse.sum(), rel=1e-6)
    spread = np.sqrt(N_ROWS) * worse.std()  # of a sum of independent differences
    assert second["difference_se"] == pytest.approx(spread, rel=1e-6)
    other = bad._replace(truth=1 - bad.truth)
    write_posterior(inference_data(other, PROPERTIES), paths["bad"])
    with pytest.raises(ValueError, match="same sources"):
        compare_posteriors(paths)
