"""The posterior of the weights as `posterior.nc`, and whether its chains can be believed.

All calls of ArviZ are here: version 1 renames them.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.types import Names

MOST_RHAT = 1.01  # Vehtari et al. 2021, Bayesian Analysis 16, 667
LEAST_ESS = 400.0
MOST_DIVERGING = 0.005  # of the draws
TROUBLED_K = 0.7  # Pareto k above which PSIS-LOO of a source is not to be trusted


class Diagnostics(NamedTuple):
    """What is told of the chains; plain values, for `metrics.json`."""

    record: dict[str, Any]
    doubts: tuple[str, ...]


def inference_data(sampled: PosteriorReport, properties: Names) -> Any:
    """An ArviZ InferenceData: posterior (identified parameters only), sample stats, and labels."""
    az = _arviz()
    return az.from_dict(
        posterior=sampled.sites,
        sample_stats=sampled.sample_stats or None,
        log_likelihood={"label": sampled.log_lik},
        observed_data={"label": sampled.truth},
        coords=_coordinates(sampled, properties),
        dims=_dimensions(sampled) | {"label": ["source"]},
    )


def diagnose(data: Any, sampled: PosteriorReport) -> Diagnostics:
    """R-hat, effective draws, divergences and PSIS-LOO; of approximations only the last."""
    az = _arviz()
    record: dict[str, Any] = {"method": sampled.method, "power": sampled.power}
    record |= {"draws": int(np.prod(next(iter(sampled.sites.values())).shape[:2]))}
    record["loo"] = _loo(az, data)
    if sampled.method != "nuts":
        return Diagnostics(record, ())
    bulk, tail = az.ess(data), az.ess(data, method="tail")
    with np.errstate(invalid="ignore"):  # of zeros by construction, skipped below
        rhat = az.rhat(_chains(az, data))
    rows = []
    for name, draws in sampled.sites.items():
        worst, few, few_tail = (np.asarray(d[name]).ravel() for d in (rhat, bulk, tail))
        moving = np.ptp(draws, axis=(0, 1)).ravel() > 0  # W has zeros that stay
        row = {"name": name, "numbers": int(moving.sum()), "rhat": float(worst[moving].max())}
        row |= {"ess_bulk": float(few[moving].min()), "ess_tail": float(few_tail[moving].min())}
        rows.append(row)
    record["sites"] = rows
    record["diverging"] = int(sampled.sample_stats["diverging"].sum())
    return Diagnostics(record, tuple(_doubts(record)))


def write_posterior(data: Any, path: Path) -> None:
    """As NetCDF, which ArviZ reads back with `from_netcdf`."""
    data.to_netcdf(str(path), engine="h5netcdf")


def compare_posteriors(paths: Mapping[str, Path]) -> list[dict[str, Any]]:
    """PSIS-LOO of `posterior.nc` of the same sources, the best first (Vehtari et al. 2017).

    `difference` and its standard error are against the best. What is judged is the posterior of the
    weights given out-of-fold log-likelihoods, not the draws of densities.
    Raises ValueError if the files hold different sources.
    """
    az = _arviz()
    data = {name: az.from_netcdf(str(path), engine="h5netcdf") for name, path in paths.items()}
    labels = [np.asarray(one.observed_data["label"]) for one in data.values()]
    if any(not np.array_equal(labels[0], other) for other in labels[1:]):
        raise ValueError("PSIS-LOO needs posteriors of the same sources in the same order")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k, which are counted here
        table = az.compare(data, ic="loo")
    troubled = {name: _loo(az, one)["troubled"] for name, one in data.items()}
    return [
        {"name": name, "elpd": float(row.elpd_loo), "se": float(row.se)}
        | {"difference": -float(row.elpd_diff), "difference_se": float(row.dse)}
        | {"troubled": troubled[name]}
        for name, row in table.iterrows()
    ]


def _chains(az, data) -> Any:
    """At least two chains: of a single one its halves, between which a drift shows."""
    posterior = data.posterior
    if posterior.sizes["chain"] > 1:
        return data
    half = posterior.sizes["draw"] // 2
    values = {name: np.asarray(v)[:, : 2 * half] for name, v in posterior.data_vars.items()}
    halves = {name: v.reshape(2, half, *v.shape[2:]) for name, v in values.items()}
    return az.from_dict(posterior=halves)


def _arviz() -> Any:
    """ArviZ, without the announcement of its next version that importing it prints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def _doubts(record: Mapping) -> list[str]:
    worst = max(record["sites"], key=lambda row: row["rhat"])
    least = min(record["sites"], key=lambda row: min(row["ess_bulk"], row["ess_tail"]))
    few, doubts = min(least["ess_bulk"], least["ess_tail"]), []
    if worst["rhat"] > MOST_RHAT:
        doubts.append(f"R-hat of {worst['name']} is {worst['rhat']:.3f}, above {MOST_RHAT}")
    if few < LEAST_ESS:
        doubts.append(f"{least['name']} has {few:.0f} effective draws, fewer than {LEAST_ESS:.0f}")
    if record["diverging"] > MOST_DIVERGING * record["draws"]:
        doubts.append(f"{record['diverging']} of {record['draws']} draws diverged")
    remedy = "raise posterior.warmup and posterior.draws; intervals may be too narrow"
    return [f"the chains did not converge: {'; '.join(doubts)}: {remedy}"] if doubts else []


def _loo(az, data) -> dict[str, float]:
    """Expected log posterior of the labels of new sources, given these densities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k, which are counted here
        found = az.loo(data, pointwise=True)
    troubled = int((np.asarray(found.pareto_k) > TROUBLED_K).sum())
    return {"elpd": float(found.elpd_loo), "se": float(found.se), "troubled": troubled}


def _coordinates(sampled: PosteriorReport, properties: Names) -> dict[str, Any]:
    known = {
        "property": list(properties.features),
        "category": list(properties.categories),
        "class": list(properties.modelled),
        "likelihood_of": list(properties.modelled),
        "source": np.arange(len(sampled.truth)),
    }
    if "assignment" in sampled.sites:
        known["cluster"] = np.arange(sampled.sites["assignment"].shape[2])
    return known


def _dimensions(sampled: PosteriorReport) -> dict[str, list[str]]:
    """Names of the axes of each site, beside chain and draw."""
    dims = {
        "offset": ["class"],
        "mixing": ["property", "class", "likelihood_of"],
        "assignment": ["cluster", "class"],
    }
    if "alpha" in sampled.sites:
        first = "property" if "scale_property" in sampled.sites else "category"
        dims["alpha"] = [first, "class"][: sampled.sites["alpha"].ndim - 2]
    return {name: dims[name] for name in sampled.sites if name in dims}
