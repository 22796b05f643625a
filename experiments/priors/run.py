"""What a prior that depends on the source gains on the simulated sky: log loss, purity of ULX.

Every variant is trained on one simulated sky and scored on three others. A run is fitted once for
each config; `--prior` puts a constant prior in its place.
"""

import json
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

import xbayes

RUNS, CONFIGS = Path("runs/priors"), Path(__file__).parents[2] / "configs"
QUICK = ["validation.folds=2", "model.penalty=10", "model.starts=1"]  # scored on other skies
FEATURES = {  # of the variant that learns luminosity and flux instead
    "host_log_lx": {"expression": "host_log_lx", "category": "location"},
    "log_flux": {"expression": "log10(flux_soft+flux_medium+flux_hard)", "category": "location"},
}


def sky(seeds: range) -> Table:
    """Simulated skies below each other."""
    parts = [xbayes.simulate(3000, seed=seed, hosts=True) for seed in seeds]
    for seed, part in zip(seeds, parts, strict=True):
        part["name"] = [f"{seed} {name}" for name in part["name"]]
    return vstack(parts, metadata_conflicts="silent")


def fitted(name: str, config: str, train: Table, settings: list[str]) -> xbayes.FittedRun:
    """The run in its folder, made if it is not there."""
    folder = RUNS / name
    if (folder / "model").is_dir():
        return xbayes.load(folder)
    return xbayes.run(CONFIGS / config, catalog=train, out=folder, set=[*QUICK, *settings])


def scores(made: Table, truth: np.ndarray, xrb: str, luminous: np.ndarray) -> dict[str, float]:
    """Log loss with its standard error, and purity and completeness of the ULX candidates."""
    p = np.array([row[f"p_{c}"] for row, c in zip(made, truth, strict=True)])
    loss = -np.log(np.clip(p, 1e-6, 1))
    chosen, is_xrb = luminous & (np.asarray(made[f"p_{xrb}"]) > 0.5), truth == xrb
    found = int((chosen & is_xrb).sum())
    return {
        "log_loss": float(loss.mean()),
        "se": float(loss.std() / np.sqrt(len(loss))),
        "log_loss_luminous": float(loss[luminous].mean()),
        "candidates": int(chosen.sum()),
        "ulx_purity": found / max(int(chosen.sum()), 1),
        "ulx_completeness": found / int((luminous & is_xrb).sum()),
    }


def ulx(train: Table, test: Table) -> dict:
    """The second run on the sources inside hosts."""
    inside = ~np.ma.getmaskarray(np.ma.asarray(test["host"]))
    test = test[inside & np.isin(np.asarray(test["Class"]), ["AGN", "XRB", "Soft"])]
    truth, luminous = np.asarray(test["Class"]).astype(str), np.asarray(test["host_log_lx"]) > 39
    fit = fitted("ulx", "ulx.yaml", train, [])
    share = fit.metrics["in_sample"]["confusion"]
    members = np.array(share).sum(1)
    constant = dict(zip(fit.classes, (members / members.sum()).tolist(), strict=True))
    by_source = fit.classify(test)
    table = {
        "constant prior": scores(fit.classify(test, prior=constant), truth, "XRB", luminous),
        "prior by source": scores(by_source, truth, "XRB", luminous),
    }
    settings = ["model.prior=training"]
    settings += [f"features.{n}={json.dumps(v)}" for n, v in FEATURES.items()]
    learned = fitted("ulx_features", "ulx.yaml", train, settings)
    table["constant, luminosity and flux as features"] = scores(
        learned.classify(test), truth, "XRB", luminous
    )
    # The published selection: P(XRB) under equal proportions, against the expected frequency of
    # contaminants in this galaxy at this flux.
    equal = fit.classify(test, prior=dict.fromkeys(fit.classes, 1 / 3))
    frequency = 1 - np.asarray(by_source["prior_XRB"])
    published = luminous & (np.asarray(equal["p_XRB"]) > frequency)
    one_step = luminous & (np.asarray(by_source["p_XRB"]) > 0.5)
    is_xrb = truth == "XRB"
    table["published selection"] = {
        "candidates": int(published.sum()),
        "in both": int((published & one_step).sum()),
        "ulx_purity": float(is_xrb[published].mean()),
        "ulx_completeness": float(published[luminous & is_xrb].mean()),
    }
    return table


def seven(train: Table, test: Table) -> dict:
    """The seven classes on the whole sky."""
    host = ~np.ma.getmaskarray(np.ma.asarray(test["host"]))
    names = {"AGN": ("distant_AGN", "nearby_AGN"), "XRB": ("gal_XRB", "ex_XRB")}
    labels = np.asarray(test["Class"]).astype(str)
    keep = labels != "Soft"
    test, host, labels = test[keep], host[keep], labels[keep]
    truth = np.array([names.get(c, (c, c))[int(h)] for c, h in zip(labels, host, strict=True)])
    luminous = host & (np.ma.filled(np.ma.asarray(test["host_log_lx"]), 0) > 39)
    table = {}
    fit = fitted("seven", "seven_classes.yaml", train, ["model.prior=training"])
    table["constant prior, location as features"] = scores(
        fit.classify(test), truth, "ex_XRB", luminous
    )
    fit = fitted("seven_prior", "seven_classes_prior.yaml", train, [])
    members = np.array(fit.metrics["in_sample"]["confusion"]).sum(1)
    constant = dict(zip(fit.classes, (members / members.sum()).tolist(), strict=True))
    made = fit.classify(test, prior=constant)
    table["constant prior"] = scores(made, truth, "ex_XRB", luminous)
    table["prior by source"] = scores(fit.classify(test), truth, "ex_XRB", luminous)
    return table


if __name__ == "__main__":
    train, test = sky(range(1, 2)), sky(range(11, 14))
    RUNS.mkdir(parents=True, exist_ok=True)
    found = {"ulx": ulx(train, test), "seven": seven(train, test)}
    (RUNS / "scores.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
