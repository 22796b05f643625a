"""The published tables, rebuilt on simulated skies and real catalogues: in sample and held out.

Tranin et al. 2022 score the sources they learned from, and re-weight precision to the proportions
expected in the sky; Perez-Diaz et al. 2024 split by detection and let clusters see the test rows.
Here the same tables stand beside held-out ones: run.py [naive_bayes] [clusters] [real].
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from xbayes.catalog.write import write_catalog
from xbayes.config.reader import load_config
from xbayes.simulate.catalog import PRESETS, simulate_catalog, simulate_detections
from xbayes.tasks.run import run_experiment

HERE = Path(__file__).parent
CONFIGS, RUNS = HERE.parents[1] / "configs", Path("runs/published_tables")
SEED, SOURCES = 7, 8756  # of the second paper
# Recall and precision (AGN, star, XRB, CV; per cent) of Tranin et al. 2022, by preset.
PUBLISHED = {
    "2sxps": ((98.1, 97.6, 71.5, 11.3), (94.9, 96.6, 82.3, 52.4)),
    "4xmm": ((98.2, 99.1, 74.4, 34.8), (95.8, 98.6, 79.0, 71.5)),
}


def metrics_of(config: Path, name: str, catalog: Path | None = None, *settings: str) -> dict:
    """What a run has measured; it is kept in runs/published_tables, and read again."""
    out = RUNS / name
    if not (out / "metrics.json").exists():
        run_experiment(load_config(config, settings), catalog, out)
    return json.loads((out / "metrics.json").read_text())


def under_proportions(metrics: dict, block: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision (per cent) with the classes re-weighted to the sky's proportions."""
    confusion = np.array(metrics[block]["confusion"])  # rows are the truth
    recall = np.diag(confusion) / confusion.sum(1)
    share = np.array([metrics["proportions"][name] for name in metrics["classes"]])
    sky = share[:, None] * confusion / confusion.sum(1, keepdims=True)
    return 100 * recall, 100 * np.diag(sky) / np.maximum(sky.sum(0), 1e-12)


def raw(metrics: dict, block: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision (per cent) of the sample as it is."""
    both = (metrics[block]["recall"], metrics[block]["precision"])
    recall, precision = (
        np.array([100 * (of[name]["value"] or 0.0) for name in metrics["classes"]]) for of in both
    )
    return recall, precision


def row(what: str, metrics: dict, block: str, found) -> None:
    """A line of the README's table: recall and precision by class, log loss."""
    cells = [" ".join(f"{value:.1f}" for value in each) for each in found(metrics, block)]
    loss = metrics[block]["log_loss"]["value"]
    print("|", " | ".join([what, *cells, f"{loss:.3f}"]), "|", flush=True)


def naive_bayes() -> None:
    """Recall and precision on simulated skies with the class counts of the paper."""
    print("| sample | recall AGN, star, XRB, CV | precision | log loss |\n|---|---|---|---|")
    for preset, published in PUBLISHED.items():
        sky = RUNS / f"{preset}.fits"
        write_catalog(simulate_catalog(None, SEED, preset), sky, overwrite=True)
        cells = [" ".join(map(str, each)) for each in published]
        print(
            "|", " | ".join([f"{preset} ({sum(PRESETS[preset]):,}), as printed", *cells, ""]), "|"
        )
        for name in ("naive_bayes", "readable"):
            found = metrics_of(HERE / f"{name}.yaml", f"{preset}_{name}", sky)
            told = f"simulated {preset}, {name.replace('_', ' ')}"
            row(f"{told}, in sample, re-weighted", found, "in_sample", under_proportions)
            row(f"{told}, held out, re-weighted", found, "cross_validated", under_proportions)
            row(f"{told}, held out, as it is", found, "cross_validated", raw)


def clusters() -> None:
    """The second paper's recipe on simulated detections of as many sources."""
    detections = RUNS / "detections.fits"
    sky = simulate_catalog(SOURCES, SEED)
    write_catalog(simulate_detections(sky, SEED), detections, overwrite=True)
    _splits("simulated detections", HERE / "clusters.yaml", "simulated", detections)


def real() -> None:
    """Resubstitution against held out on the real catalogues."""
    _splits("real detections", CONFIGS / "chandra_detections_published.yaml", "real", None)
    print("\n| config | log loss in sample | held out | F1 of XRB in sample | held out |")
    print("|---|---|---|---|---|")
    for name in ("chandra_sources_published", "chandra_sources"):
        found = metrics_of(CONFIGS / f"{name}.yaml", name)
        blocks = [found[block] for block in ("in_sample", "cross_validated")]
        entries = [block["log_loss"] for block in blocks] + [block["f1"]["XRB"] for block in blocks]
        cells = [f"{entry['value']:.3f}" for entry in entries]
        print("|", " | ".join([f"`{name}.yaml`", *cells]), "|", flush=True)


def _splits(what: str, config: Path, name: str, catalog: Path | None) -> None:
    print("\n| split | recall by class | balanced accuracy | log loss |\n|---|---|---|---|")
    settings = {
        "sources kept together": (),
        "by detection": ("catalog.group=null",),
        "by detection, clusters see the test rows": (
            *("catalog.group=null", "model.clusters.fit_on=everything"),
        ),
    }
    for n, (split, changed) in enumerate(settings.items()):
        found = metrics_of(config, f"{name}_{n}", catalog, *changed)
        if not n:
            _split_row(f"{what}, in sample", found, "in_sample")
        _split_row(f"{what}, {split}", found, "cross_validated")


def _split_row(what: str, metrics: dict, block: str) -> None:
    recall, _ = raw(metrics, block)
    told = " ".join(
        f"{name} {value:.1f}" for name, value in zip(metrics["classes"], recall, strict=True)
    )
    loss = metrics[block]["log_loss"]["value"]
    print("|", " | ".join([what, told, f"{recall.mean():.1f}", f"{loss:.3f}"]), "|", flush=True)


if __name__ == "__main__":
    os.makedirs(RUNS, exist_ok=True)
    parts = {"naive_bayes": naive_bayes, "clusters": clusters, "real": real}
    for name in sys.argv[1:] or parts:
        parts[name]()
