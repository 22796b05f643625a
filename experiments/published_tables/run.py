"""The published tables on simulated skies and real catalogues, in sample and held out.

Tranin et al. 2022 score the sources that they train on, and re-weight precision to the proportions
expected in the sky. Perez-Diaz et al. 2024 split by detection and fit clusters to the test rows as
well. This script prints their tables and held-out ones: run.py [naive_bayes] [clusters] [real].
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
    """The metrics of a run; it is kept in runs/published_tables and made only once."""
    out = RUNS / name
    if not (out / "metrics.json").exists():
        run_experiment(load_config(config, settings), catalog, out=out)
    return json.loads((out / "metrics.json").read_text())


def under_proportions(metrics: dict, block: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision (per cent) with the classes re-weighted to the sky's proportions."""
    confusion = np.array(metrics[block]["confusion"])  # rows are the truth
    recall = np.diag(confusion) / confusion.sum(1)
    share = np.array([metrics["proportions"][name] for name in metrics["classes"]])
    sky = share[:, None] * confusion / confusion.sum(1, keepdims=True)
    return 100 * recall, 100 * np.diag(sky) / np.maximum(sky.sum(0), 1e-12)


def raw(metrics: dict, block: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision (per cent) of the sample without re-weighting."""

    def by_class(score: str) -> np.ndarray:
        entries = metrics[block][score]
        return np.array([100 * (entries[name]["value"] or 0.0) for name in metrics["classes"]])

    return by_class("recall"), by_class("precision")


def row(title: str, metrics: dict, block: str, scores_of) -> None:
    """Print one row of the table: recall and precision by class, log loss."""
    cells = [" ".join(f"{value:.1f}" for value in each) for each in scores_of(metrics, block)]
    loss = metrics[block]["log_loss"]["value"]
    print("|", " | ".join([title, *cells, f"{loss:.3f}"]), "|", flush=True)


def naive_bayes() -> None:
    """Print recall and precision on simulated skies with the class counts of the paper."""
    print("| sample | recall AGN, star, XRB, CV | precision | log loss |\n|---|---|---|---|")
    for preset, published in PUBLISHED.items():
        sky = RUNS / f"{preset}.fits"
        write_catalog(simulate_catalog(None, SEED, preset), sky, overwrite=True)
        cells = [" ".join(map(str, each)) for each in published]
        print(
            "|", " | ".join([f"{preset} ({sum(PRESETS[preset]):,}), as printed", *cells, ""]), "|"
        )
        for name in ("naive_bayes", "readable"):
            metrics = metrics_of(HERE / f"{name}.yaml", f"{preset}_{name}", sky)
            title = f"simulated {preset}, {name.replace('_', ' ')}"
            row(f"{title}, in sample, re-weighted", metrics, "in_sample", under_proportions)
            row(f"{title}, held out, re-weighted", metrics, "cross_validated", under_proportions)
            row(f"{title}, held out, not re-weighted", metrics, "cross_validated", raw)


def clusters() -> None:
    """Print the scores of the second paper's recipe on detections of as many simulated sources."""
    detections = RUNS / "detections.fits"
    sky = simulate_catalog(SOURCES, SEED)
    write_catalog(simulate_detections(sky, SEED), detections, overwrite=True)
    _splits("simulated detections", HERE / "clusters.yaml", "simulated", detections)


def real() -> None:
    """Print in-sample and held-out scores on the real catalogues."""
    _splits("real detections", CONFIGS / "chandra_detections_published.yaml", "real", None)
    print("\n| config | log loss in sample | held out | F1 of XRB in sample | held out |")
    print("|---|---|---|---|---|")
    for name in (
        "chandra_sources_published",
        "chandra_sources_published_code",
        "chandra_sources_plain",
    ):
        metrics = metrics_of(CONFIGS / f"{name}.yaml", name)
        blocks = [metrics[block] for block in ("in_sample", "cross_validated")]
        entries = [block["log_loss"] for block in blocks] + [block["f1"]["XRB"] for block in blocks]
        cells = [f"{entry['value']:.3f}" for entry in entries]
        print("|", " | ".join([f"`{name}.yaml`", *cells]), "|", flush=True)


def _splits(title: str, config: Path, name: str, catalog: Path | None) -> None:
    print("\n| split | recall by class | balanced accuracy | log loss |\n|---|---|---|---|")
    settings = {
        "sources kept together": (),
        "by detection": ("catalog.group=null",),
        "by detection, clusters see the test rows": (
            "catalog.group=null",
            "model.clusters.fit_on=everything",
        ),
    }
    for n, (split, changed) in enumerate(settings.items()):
        metrics = metrics_of(config, f"{name}_{n}", catalog, *changed)
        if not n:
            _split_row(f"{title}, in sample", metrics, "in_sample")
        _split_row(f"{title}, {split}", metrics, "cross_validated")


def _split_row(title: str, metrics: dict, block: str) -> None:
    recall, _ = raw(metrics, block)
    by_class = " ".join(
        f"{name} {value:.1f}" for name, value in zip(metrics["classes"], recall, strict=True)
    )
    loss = metrics[block]["log_loss"]["value"]
    print(
        "|", " | ".join([title, by_class, f"{recall.mean():.1f}", f"{loss:.3f}"]), "|", flush=True
    )


if __name__ == "__main__":
    os.makedirs(RUNS, exist_ok=True)
    parts = {"naive_bayes": naive_bayes, "clusters": clusters, "real": real}
    for name in sys.argv[1:] or parts:
        parts[name]()
