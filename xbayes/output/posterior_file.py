"""`posterior.nc`, the posterior samples of the weights, and the diagnostics of their chains.

Only this module calls ArviZ, because version 1 renames its functions.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.types import Names

if TYPE_CHECKING:
    import arviz

MOST_RHAT = 1.01  # Vehtari et al. 2021, Bayesian Analysis 16, 667
LEAST_ESS = 400.0
MOST_DIVERGING = 0.005  # share of the draws
MOST_PARETO_K = 0.7  # above it, PSIS-LOO of a source is unreliable (Vehtari et al. 2017)


class Diagnostics(NamedTuple):
    """Diagnostics of the chains."""

    record: dict  # plain values, for `metrics.json`
    doubts: tuple[str, ...]  # warnings; empty if the chains converged


def inference_data(sampled: PosteriorReport, names: Names) -> "arviz.InferenceData":
    """An ArviZ InferenceData: identified parameters, sample statistics and labels."""
    return _arviz().from_dict(
        posterior=sampled.sites,
        sample_stats=sampled.sample_stats or None,
        log_likelihood={"label": sampled.log_lik},
        observed_data={"label": sampled.truth},
        coords=_coordinates(sampled, names),
        dims=_dimensions(sampled) | {"label": ["source"]},
    )


def diagnose(data: "arviz.InferenceData", sampled: PosteriorReport) -> Diagnostics:
    """R-hat, effective sample sizes, divergences and PSIS-LOO; only PSIS-LOO without NUTS."""
    az = _arviz()
    record: dict = {
        "method": sampled.method,
        "power": sampled.power,
        "draws": int(np.prod(next(iter(sampled.sites.values())).shape[:2])),
        "loo": _loo(data),
    }
    if sampled.method != "nuts":
        return Diagnostics(record=record, doubts=())
    bulk, tail = az.ess(data), az.ess(data, method="tail")
    with np.errstate(invalid="ignore"):  # R-hat of constant elements, skipped below
        rhat = az.rhat(_at_least_two_chains(data))
    per_element: list = [rhat, bulk, tail]
    rows = []
    for name, draws in sampled.sites.items():
        varies = np.ptp(draws, axis=(0, 1)).ravel() > 0  # some elements of W are fixed at 0
        r, b, t = (np.asarray(one[name]).ravel()[varies] for one in per_element)
        row = {"name": name, "numbers": int(varies.sum()), "rhat": float(r.max())}
        rows.append(row | {"ess_bulk": float(b.min()), "ess_tail": float(t.min())})
    record["sites"] = rows
    record["diverging"] = int(sampled.sample_stats["diverging"].sum())
    return Diagnostics(record=record, doubts=tuple(_doubts(record)))


def write_posterior(data: "arviz.InferenceData", path: Path) -> None:
    """Write NetCDF, which `arviz.from_netcdf` reads."""
    data.to_netcdf(str(path), engine="h5netcdf")


def read_posterior(path: Path) -> "arviz.InferenceData":
    """The content of `posterior.nc`."""
    return _arviz().from_netcdf(str(path), engine="h5netcdf")


def compare_posteriors(paths: Mapping[str, Path]) -> list[dict]:
    """PSIS-LOO of the `posterior.nc` files of the same sources, the best first.

    `difference` and `difference_se`, its standard error, are relative to the best; `troubled`
    counts the sources with a large Pareto k. The densities are fixed: PSIS-LOO compares the
    posteriors of the weights, given out-of-fold log-likelihoods (Vehtari et al. 2017).

    Raises
    ------
    ValueError
        The files hold different sources.
    """
    az = _arviz()
    data = {name: read_posterior(path) for name, path in paths.items()}
    labels = [np.asarray(one["observed_data"]["label"]) for one in data.values()]
    if any(not np.array_equal(labels[0], other) for other in labels[1:]):
        raise ValueError("PSIS-LOO needs posteriors of the same sources in the same order")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large Pareto k, which `troubled` counts
        table = az.compare(data, ic="loo")
    return [
        {
            "name": str(name),
            "elpd": float(row.elpd_loo),
            "se": float(row.se),
            "difference": -float(row.elpd_diff),
            "difference_se": float(row.dse),
            "troubled": _loo(data[str(name)])["troubled"],
        }
        for name, row in table.iterrows()
    ]


def _at_least_two_chains(data: "arviz.InferenceData") -> "arviz.InferenceData":
    """The chains; a single chain is split into halves, so that R-hat shows a drift."""
    posterior = data["posterior"]
    if posterior.sizes["chain"] > 1:
        return data
    half = posterior.sizes["draw"] // 2
    values = {name: np.asarray(v)[:, : 2 * half] for name, v in posterior.data_vars.items()}
    halves = {name: v.reshape(2, half, *v.shape[2:]) for name, v in values.items()}
    return _arviz().from_dict(posterior=halves)


def _arviz():
    """The module arviz, imported without its announcement of version 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def _doubts(record: Mapping) -> list[str]:
    worst = max(record["sites"], key=lambda row: row["rhat"])
    least = min(record["sites"], key=lambda row: min(row["ess_bulk"], row["ess_tail"]))
    n_effective, doubts = min(least["ess_bulk"], least["ess_tail"]), []
    if worst["rhat"] > MOST_RHAT:
        doubts.append(f"R-hat of {worst['name']} is {worst['rhat']:.3f}, above {MOST_RHAT}")
    if n_effective < LEAST_ESS:
        doubts.append(
            f"{least['name']} has {n_effective:.0f} effective draws, fewer than {LEAST_ESS:.0f}"
        )
    if record["diverging"] > MOST_DIVERGING * record["draws"]:
        doubts.append(f"{record['diverging']} of {record['draws']} draws diverged")
    remedy = "raise posterior.warmup and posterior.draws; intervals may be too narrow"
    return [f"the chains did not converge: {'; '.join(doubts)}: {remedy}"] if doubts else []


def _loo(data: "arviz.InferenceData") -> dict[str, float]:
    """Expected log posterior of the labels of new sources, given the densities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large Pareto k, which `troubled` counts
        loo = _arviz().loo(data, pointwise=True)
    troubled = int((np.asarray(loo.pareto_k) > MOST_PARETO_K).sum())
    return {"elpd": float(loo.elpd_loo), "se": float(loo.se), "troubled": troubled}


def _coordinates(sampled: PosteriorReport, names: Names) -> dict:
    coordinates = {
        "property": list(names.features),
        "category": list(names.categories),
        "class": list(names.modelled),
        "likelihood_of": list(names.modelled),
        "source": np.arange(len(sampled.truth)),
    }
    if "assignment" in sampled.sites:
        coordinates["cluster"] = np.arange(sampled.sites["assignment"].shape[2])
    return coordinates


def _dimensions(sampled: PosteriorReport) -> dict[str, list[str]]:
    """Names of the axes of each site, after chain and draw."""
    dims = {
        "offset": ["class"],
        "mixing": ["property", "class", "likelihood_of"],
        "assignment": ["cluster", "class"],
    }
    if "alpha" in sampled.sites:
        first = "property" if "scale_property" in sampled.sites else "category"
        dims["alpha"] = [first, "class"][: sampled.sites["alpha"].ndim - 2]
    return {name: dims[name] for name in sampled.sites if name in dims}
