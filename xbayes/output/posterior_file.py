"""`posterior.nc`, the posterior samples of the weights, and the diagnostics of their chains.

Only this module calls ArviZ, because version 1 renames its functions.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xbayes.classifier.posterior_draws import PosteriorReport
from xbayes.types import Names

if TYPE_CHECKING:
    import arviz

MOST_RHAT = 1.01  # Vehtari et al. 2021, Bayesian Analysis 16, 667
LEAST_ESS = 400.0
MOST_DIVERGING = 0.005  # share of the draws
MOST_PARETO_K = 0.7  # above it, PSIS-LOO of a source is unreliable (Vehtari et al. 2017)
# Relative to its size; below it, the draws of a constant differ by rounding.
LEAST_SPREAD = 1e-5


class Diagnostics(NamedTuple):
    """Diagnostics of the chains."""

    record: dict  # plain values, for `metrics.json`
    doubts: tuple[str, ...]  # warnings; empty if the chains converged


def inference_data(
    sampled: PosteriorReport, names: Names, ids: np.ndarray | None = None
) -> "arviz.InferenceData":
    """An ArviZ InferenceData: identified parameters, sample statistics and labels.

    Parameters
    ----------
    sampled
        The posterior samples. Parameters that are the same in all of them, such as the scales with
        `method: laplace`, are in the group `constant_data`: they have no trace to plot.
    ids
        The ids of the labelled sources, in the order of `sampled.truth`; None numbers them.
    """
    moved = {name: draws for name, draws in sampled.sites.items() if _varies(draws).any()}
    varying = moved or sampled.sites
    constant = {name: sampled.sites[name][0, 0] for name in sampled.sites if name not in varying}
    dims = _dimensions(sampled)
    return _arviz().from_dict(
        posterior=varying,
        sample_stats=sampled.sample_stats or None,
        log_likelihood={"label": sampled.log_lik},
        observed_data={"label": sampled.truth},
        constant_data=constant or None,
        coords=_coordinates(sampled, names, ids),
        dims=dims | {"label": ["source"]},
    )


def _varies(draws: np.ndarray) -> np.ndarray:
    """Which elements of a site differ between samples by more than rounding."""
    size = np.abs(draws).max(axis=(0, 1))
    return np.asarray(np.ptp(draws, axis=(0, 1)) > LEAST_SPREAD * size)


def diagnose(data: "arviz.InferenceData", sampled: PosteriorReport) -> Diagnostics:
    """R-hat, effective sample sizes, divergences and PSIS-LOO; only PSIS-LOO without NUTS.

    R-hat compares chains: it is None (not available) for a single chain, and for chains of which
    each is constant.
    """
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
    chains = data["posterior"].sizes["chain"]
    rhat: Any = None
    if chains > 1:
        with np.errstate(invalid="ignore", divide="ignore"):  # of constant elements, skipped below
            rhat = az.rhat(data)
    rows = []
    for name in map(str, data["posterior"].data_vars):
        varies = _varies(sampled.sites[name]).ravel()  # some elements of W are fixed at 0
        if not varies.any():
            continue
        b, t = (np.asarray(one[name]).ravel()[varies] for one in (bulk, tail))
        largest = None if rhat is None else np.asarray(rhat[name]).ravel()[varies].max()
        row = {"name": name, "numbers": int(varies.sum()), "rhat": _finite(largest)}
        rows.append(row | {"ess_bulk": _finite(b.min()), "ess_tail": _finite(t.min())})
    record["chains"] = chains
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


def _finite(value: float | None) -> float | None:
    """The value; None where it is not available."""
    return None if value is None or not np.isfinite(value) else float(value)


def _arviz():
    """The module arviz, imported without its announcement of version 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def _doubts(record: Mapping) -> list[str]:
    if not record["sites"]:
        return [
            "the chains did not converge: no draw differs from the first; raise posterior.warmup"
        ]
    least = min(record["sites"], key=_effective)
    n_effective, doubts = _effective(least), []
    known = [row for row in record["sites"] if row["rhat"] is not None]
    worst = max(known, key=lambda row: row["rhat"], default=None)
    stuck = [row["name"] for row in record["sites"] if row["rhat"] is None]
    if worst is not None and worst["rhat"] > MOST_RHAT:
        doubts.append(f"R-hat of {worst['name']} is {worst['rhat']:.3f}, above {MOST_RHAT}")
    if record["chains"] > 1 and stuck:
        doubts.append(f"R-hat of {stuck[0]} is not available, because chains did not move")
    if n_effective < LEAST_ESS:
        doubts.append(
            f"{least['name']} has {n_effective:.0f} effective draws, fewer than {LEAST_ESS:.0f}"
        )
    if record["diverging"] > MOST_DIVERGING * record["draws"]:
        doubts.append(f"{record['diverging']} of {record['draws']} draws diverged")
    remedy = "raise posterior.warmup and posterior.draws; intervals may be too narrow"
    found = [f"the chains did not converge: {'; '.join(doubts)}: {remedy}"] if doubts else []
    if record["chains"] == 1:
        found.append(
            "R-hat is not available: it compares chains, and there is one, so that its convergence "
            "cannot be checked; set posterior.chains to 4"
        )
    return found


def _effective(row: Mapping) -> float:
    """The smaller effective sample size of a site; 0 where it is not available."""
    return min(row["ess_bulk"] or 0.0, row["ess_tail"] or 0.0)


def _loo(data: "arviz.InferenceData") -> dict[str, float]:
    """Expected log posterior of the labels of new sources, given the densities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large Pareto k, which `troubled` counts
        loo = _arviz().loo(data, pointwise=True)
    troubled = int((np.asarray(loo.pareto_k) > MOST_PARETO_K).sum())
    return {"elpd": float(loo.elpd_loo), "se": float(loo.se), "troubled": troubled}


def _coordinates(sampled: PosteriorReport, names: Names, ids: np.ndarray | None) -> dict:
    number = np.arange(len(sampled.truth)) if ids is None else np.asarray(ids)
    coordinates = {
        "property": list(names.features),
        "category": list(names.categories),
        "class": list(names.modelled),
        "likelihood_of": list(names.modelled),
        "source": number if number.dtype.kind in "iu" else _texts(number),
    }
    if "assignment" in sampled.sites:
        coordinates["cluster"] = np.arange(sampled.sites["assignment"].shape[2])
    return coordinates


def _texts(values: np.ndarray) -> np.ndarray:
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(str)


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
