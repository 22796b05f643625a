"""Trains the ready-made models and writes them into the package, with their cards.

    XBAYES_DATA=... python experiments/ready_made/make.py [NAME ...]

Runs are kept in runs/ready and made if they are not there.
"""

import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np

import xbayes
from xbayes.features.build import needed_columns
from xbayes.tasks.absent_features import group_names
from xbayes.tasks.precision import in_precision
from xbayes.tasks.ready_made import release

ROOT = Path(__file__).parents[2]
READY, RUNS = ROOT / "xbayes" / "ready", ROOT / "runs" / "ready"
LIMIT = 8e6  # bytes, all models together
LARGEST = 0.05  # difference of a posterior from that of the run

# Of each model: the summary, what else is known of it, and what it must not be used for.
TEXTS = {
    "chandra-sources": (
        "Chandra sources with counterparts in Gaia, 2MASS and AllWISE: AGN, star, X-ray binary or "
        "cataclysmic variable.",
        "Trained on the 2023 release only, the same model has a log loss of 0.108 (0.064-0.154) "
        "and an F1 of XRB of 0.80 (0.50-1.00; 5 XRB) on the half of the 2022 release that is "
        "reported once; explainable boosting has "
        "0.134 and 0.62, LightGBM 0.156 and 0.53 (experiments/releases).",
        "- Other missions: hardness ratios and fluxes are in the bands of Chandra.\n"
        "- Sources in other galaxies: no training source is one.\n"
        "- Neutron stars that are not in a binary, supernova remnants, clusters of galaxies: they "
        "are no class of the model. `outlier_p` finds few of them.",
    ),
    "chandra-detections": (
        "Single Chandra detections, by eleven X-ray measurements and without counterparts: AGN, "
        "X-ray binary or young stellar object.",
        "",
        "- Sources with counterparts: `chandra-sources` knows far more of them.\n"
        "- Other classes than the three: a star without an accretion disc gets a probability of "
        "one of the three.\n"
        "- Other missions: the bands are those of Chandra.",
    ),
    "xmm": (
        "XMM-Newton sources with counterparts in Gaia, 2MASS and AllWISE, by densities that were "
        "learned on Chandra sources. Untested on XMM-Newton sources.",
        "The scores are those of Chandra sources with the features that both missions give. "
        "**Nothing was tested on XMM-Newton sources.** Their fluxes are converted to the bands of "
        "Chandra with a power law of photon index 1.7. Their positions have larger errors, so that "
        "more counterparts are wrong.",
        "- A published catalogue, before the posteriors were compared with sources of known "
        "class.\n"
        "- Sources without counterparts in crowded fields.\n"
        "- Sources in other galaxies: no training source is one.",
    ),
}
# Where the columns come from, by the words that their names contain.
ORIGINS = (
    (("Fcsc_", "powlaw", "var_", "hard_", "bb_kt"), "Chandra Source Catalog: `xbayes fetch csc21`"),
    (("EP_",), "4XMM: `xbayes fetch 4xmm`"),
    (("Gmag", "BPmag", "RPmag", "RPlx", "PM", "epsi", "sepsi", "ruwe"),
     "`xbayes enhance`, step counterparts: Gaia"),
    (("rgeo",), "`xbayes enhance`, step counterparts: distance of Bailer-Jones"),
    (("Jmag", "Hmag", "Kmag"), "`xbayes enhance`, step counterparts: 2MASS"),
    (("W1mag", "W2mag", "W3mag"), "`xbayes enhance`, step counterparts: AllWISE"),
    (("p_any",), "`xbayes enhance`, step counterparts"),
    (("ra", "dec"), "position, degrees (ICRS)"),
)  # fmt: skip


def main(names: list[str]) -> None:
    """Make each model and say how large all are."""
    for name in names or TEXTS:
        config = ROOT / "configs" / "ready" / f"{name.replace('-', '_')}.yaml"
        run = RUNS / name
        fit = xbayes.load(run) if run.exists() else xbayes.run(config, out=run)
        shutil.rmtree(READY / name, ignore_errors=True)
        with in_precision(fit.config.precision):
            release(fit.model, READY / name, card_text(name, fit))
        largest = largest_difference(fit, xbayes.load(READY / name))
        print(f"{name}: {size_of(READY / name) / 1e6:.2f} MB, posteriors within {largest:.3f}")
        assert largest < LARGEST, "the released model does not classify as its run"
    total = size_of(READY)
    print(f"all: {total / 1e6:.2f} MB")
    assert total < LIMIT, "too large to ship; leave out patterns"


def largest_difference(run: xbayes.FittedRun, model: xbayes.FittedRun) -> float:
    """The largest difference of any posterior of the sources that the run classified."""
    files = run.config.catalog.files or (run.config.catalog,)
    found = 0.0
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xbayes.XbayesWarning)
            made = [fit.classify(os.path.expandvars(file.file)) for fit in (run, model)]
        for name in run.classes:
            a, b = (np.asarray(table[f"p_{name}"]) for table in made)
            found = float(np.maximum(found, np.abs(a - b).max()))  # keeps NaN
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def card_text(name: str, fit: xbayes.FittedRun) -> str:
    """The model card."""
    summary, known, limits = TEXTS[name]
    config, metrics = fit.config, fit.metrics
    counts = np.sum(metrics["cross_validated"]["confusion"], axis=1).astype(int)
    classes = ", ".join(f"{n} {c}" for c, n in zip(fit.classes, counts, strict=True))
    groups = ["; ".join(names) for names in group_names(fit.model)]
    without = "\n".join(f"- {names}" for names in groups) or "- none"
    parts = [
        f"# {name}",
        summary,
        f"    xbayes classify {name} FILE --out classified.fits",
        "## Data and classes",
        f"Trained by `configs/ready/{name.replace('-', '_')}.yaml` on {counts.sum():,} labelled "
        f"rows: {classes}. The model holds parameters only: no row of a catalogue, and nothing "
        "derived row by row.",
        "## Held-out scores",
        "Nested cross-validation on random folds; 90 % intervals from a bootstrap.",
        score_table(metrics["cross_validated"], fit.classes),
        harder_text(metrics),
        known,
        "## What it must not be used for",
        f"{limits}\n"
        "- A catalogue with other class proportions, without `--prior`: the posteriors are under "
        "the proportions of the training sources.",
        "## Columns",
        columns_table(config),
        "A catalogue may lack columns: `--optional NAME`. The features made of them are then not "
        "available. If all features of one of these groups are absent, the weights are those that "
        "were fitted without the group:",
        without,
        "## Features",
        markdown(
            [("feature", "expression", "meaning")]
            + [
                (key, f"`{feature.expression}`", feature.description)
                for key, feature in config.features.items()
            ]
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def score_table(scores: dict, classes: tuple[str, ...]) -> str:
    """Log loss, calibration error, and the F1 of each class."""
    rows = [("score", "value")]
    for key, title in (("log_loss", "log loss"), ("macro_f1", "macro F1"), ("ece", "ECE")):
        rows.append((title, interval(scores[key])))
    for name in classes:
        rows.append((f"F1 of {name}", interval(scores["f1"][name])))
    return markdown(rows)


def interval(score: dict) -> str:
    """A score with its interval."""
    return f"{score['value']:.3f} ({score['lo']:.3f}-{score['hi']:.3f})"


def harder_text(metrics: dict) -> str:
    """What the report says of the harder folds."""
    return metrics.get("harder", {}).get("expect", "")


def columns_table(config) -> str:
    """The columns, other names that are known, and where they come from."""
    rows = [("column", "unit", "also known as", "from")]
    roles = config.catalog
    for name in needed_columns(config):
        also = ", ".join(roles.aliases.get(name, ()))
        rows.append((f"`{name}`", roles.units.get(name, ""), also, origin_of(name)))
    return markdown(rows)


def origin_of(column: str) -> str:
    """Where a column comes from."""
    for words, origin in ORIGINS:
        if any(word in column if len(word) > 3 else word == column for word in words):
            return origin
    return ""


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown; the first row is the heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
