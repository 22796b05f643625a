"""`posterior.nc` and the diagnostics of its chains: a sample for each possible warning."""

import json

import numpy as np
import pytest

from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.output.posterior_file import (
    compare_posteriors,
    diagnose,
    inference_data,
    read_posterior,
    write_posterior,
)
from xbayes.types import Names

NAMES = Names(
    features=("a", "b", "c"), categories=("one", "two"), category=(0, 0, 1), classes=("AGN", "XRB")
)
N_CHAINS, N_DRAWS, N_ROWS = 4, 400, 12


def sampled(seed=0, method="nuts", chains=N_CHAINS):
    """Independent draws, as from chains that mix perfectly; W is a 2 x 2 diagonal matrix."""
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
    return PosteriorReport(
        sites=sites,
        sample_stats={} if method == "laplace" else stats,
        log_lik=log_lik,
        truth=np.arange(N_ROWS) % 2,
        power=0.8,
        method=method,
    )


def diagnosed(report):
    return diagnose(inference_data(report, NAMES), report)


def by_site(found):
    return {row["name"]: row for row in found.record["sites"]}


def test_converged_chains_give_no_warning():
    found = diagnosed(sampled())
    assert found.doubts == ()
    assert found.record["draws"] == N_CHAINS * N_DRAWS
    assert (found.record["method"], found.record["power"]) == ("nuts", 0.8)
    assert found.record["diverging"] == 0
    rows = by_site(found)
    assert set(rows) == {"alpha", "scale_property", "mixing", "offset"}
    for row in rows.values():
        assert 0.99 < row["rhat"] < 1.01
        assert 1000 < row["ess_bulk"] < 3000 and 800 < row["ess_tail"] < 3000
    json.dumps(found.record, allow_nan=False)


def test_constant_elements_of_w_are_not_counted():
    """The off-diagonal elements of W are constant and must not affect R-hat."""
    rows = by_site(diagnosed(sampled()))
    assert (rows["mixing"]["numbers"], rows["alpha"]["numbers"]) == (6, 3)
    assert rows["mixing"]["rhat"] == rows["alpha"]["rhat"]


def test_a_chain_in_another_place_is_reported_with_its_rhat():
    report = sampled()
    report.sites["offset"][2, :, 1] += 3.0
    found = diagnosed(report)
    rows = by_site(found)
    assert rows["offset"]["rhat"] > 1.3 and rows["alpha"]["rhat"] < 1.01
    (doubt,) = found.doubts
    assert f"R-hat of offset is {rows['offset']['rhat']:.3f}, above 1.01" in doubt
    assert "offset has" in doubt and "effective draws, fewer than 400" in doubt
    assert "posterior.warmup" in doubt and "alpha" not in doubt


def test_repeated_draws_count_once():
    report = sampled()
    scale = report.sites["scale_property"]
    scale[:] = np.repeat(scale[:, ::20], 20, axis=1)  # 4 x 20 distinct draws
    found = diagnosed(report)
    row = by_site(found)["scale_property"]
    assert 30 < row["ess_bulk"] < 160
    assert "scale_property has" in found.doubts[0]


def test_the_rhat_of_a_single_chain_is_not_available():
    """It compares chains; a number for one would be no evidence of convergence."""
    found = diagnosed(sampled(chains=1))
    assert found.record["chains"] == 1
    assert [row["rhat"] for row in found.record["sites"]] == [None] * 4
    doubt = found.doubts[-1]  # the other: 400 draws are fewer than 400 effective ones
    assert "R-hat is not available" in doubt and "posterior.chains" in doubt
    assert "nan" not in json.dumps(found.record, allow_nan=False).lower()


def test_the_drift_of_a_single_chain_shows_in_its_effective_draws():
    report = sampled(chains=1)
    report.sites["offset"][0, :, 0] += np.linspace(0, 5, N_DRAWS)
    drift, single = diagnosed(report).doubts
    assert "offset has" in drift and "R-hat is not available" in single


def test_chains_that_never_move_have_no_rhat():
    report = sampled()
    report.sites["scale_property"][:] = np.arange(1.0, N_CHAINS + 1)[:, None]
    found = diagnosed(report)
    assert by_site(found)["scale_property"]["rhat"] is None
    assert "R-hat of scale_property is not available" in found.doubts[0]
    json.dumps(found.record, allow_nan=False)


@pytest.mark.parametrize(("diverging", "doubted"), [(8, False), (9, True)])
def test_diverging_draws_are_counted(diverging, doubted):
    report = sampled()
    report.sample_stats["diverging"].flat[:diverging] = True
    found = diagnosed(report)
    assert found.record["diverging"] == diverging
    assert any(f"{diverging} of 1600 draws diverged" in d for d in found.doubts) == doubted


def test_an_approximation_has_no_chains_to_diagnose():
    report = sampled(method="laplace", chains=1)
    report.sites["offset"][0, :, 0] += np.linspace(0, 5, N_DRAWS)
    found = diagnosed(report)
    assert found.doubts == () and "sites" not in found.record
    assert found.record["loo"]["elpd"] == pytest.approx(report.log_lik.mean((0, 1)).sum(), rel=0.01)


def test_loo_counts_a_source_with_a_large_pareto_k():
    report = sampled()
    assert diagnosed(report).record["loo"]["troubled"] == 0
    wild = np.random.default_rng(3).standard_cauchy((N_CHAINS, N_DRAWS))
    report.log_lik[..., 5] = -np.abs(wild)
    assert diagnosed(report).record["loo"]["troubled"] == 1


def read_back(report, path):
    import arviz

    write_posterior(inference_data(report, NAMES), path)
    return arviz.from_netcdf(str(path), engine="h5netcdf")


def test_the_file_has_names_on_its_axes(tmp_path):
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


@pytest.mark.parametrize("noise", [0.0, 1e-13])
def test_a_constant_parameter_is_data_and_has_no_trace(tmp_path, noise):
    """Laplace fixes the scales; draws of a constant may differ by rounding."""
    report, rng = sampled(method="laplace", chains=1), np.random.default_rng(0)
    report.sites["scale_property"] = 0.3 + noise * rng.normal(size=(1, N_DRAWS))
    data = read_back(report, tmp_path / "posterior.nc")
    assert set(data.posterior.data_vars) == {"alpha", "mixing", "offset"}
    assert data.constant_data["scale_property"].item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([f"CXO {i}" for i in range(N_ROWS)]),
        np.arange(N_ROWS) + 2**62,
        np.array([f"é{i}".encode() for i in range(N_ROWS)]),
        np.array(["a", "bb"] * (N_ROWS // 2), object),
    ],
)
def test_the_sources_are_named_by_their_ids(tmp_path, ids):
    write_posterior(inference_data(sampled(), NAMES, ids), tmp_path / "posterior.nc")
    data = read_posterior(tmp_path / "posterior.nc")
    expected = [i.decode() if isinstance(i, bytes) else i for i in ids.tolist()]
    for group in (data.observed_data, data.log_likelihood):
        assert group["source"].values.tolist() == expected


def test_weights_by_category_and_assignments_have_names_on_their_axes(tmp_path):
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


def test_posteriors_are_compared_the_best_first(tmp_path):
    good, bad = sampled(0), sampled(1)
    worse = np.linspace(0.0, 0.2, N_ROWS)
    paths = {name: tmp_path / f"{name}.nc" for name in ("bad", "good")}
    write_posterior(inference_data(good, NAMES), paths["good"])
    write_posterior(inference_data(bad._replace(log_lik=good.log_lik - worse), NAMES), paths["bad"])
    first, second = compare_posteriors(paths)
    assert (first["name"], second["name"]) == ("good", "bad")
    assert first["difference"] == 0 and first["troubled"] == 0
    assert second["difference"] == pytest.approx(-worse.sum(), rel=1e-6)
    spread = np.sqrt(N_ROWS) * worse.std()  # standard error of a sum of independent terms
    assert second["difference_se"] == pytest.approx(spread, rel=1e-6)
    other = bad._replace(truth=1 - bad.truth)
    write_posterior(inference_data(other, NAMES), paths["bad"])
    with pytest.raises(ValueError, match="same sources"):
        compare_posteriors(paths)
