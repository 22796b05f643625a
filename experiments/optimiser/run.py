"""Ways to learn the weights, held out: python experiments/optimiser/run.py [OUT]."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from xbayes.catalog.write import write_catalog
from xbayes.classifier.recipe import build_recipe
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import Config, catalog_path
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.models.naive_bayes import KINDS
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import Training, cross_validate_training, load_training

ROOT = Path(__file__).parents[2]
SEED = 21  # no choice was made on its folds
LEARNERS = {
    "log loss": ["decision=f1"],
    "gradient F1": ["model.objective=f1", "decision=f1"],
    "evolution F1": ["model.objective=f1", "model.optimiser=evolution"],
}
PLAIN = "model.calibration=none"  # calibration would hide some differences
BOOTSTRAP = 2000
SourceOf = Callable[[str, list[str]], tuple[Config, Path]]  # (kind of weights, settings)


class Row(NamedTuple):
    """One line of the table."""

    kind: str
    name: str
    held_out: Predictions
    seconds: float  # of one cross-validation, including compilation


def chandra(kind: str, settings: list[str]) -> tuple[Config, Path]:
    """The real sources."""
    extra = [f"model.weights={kind}", f"seed={SEED}", PLAIN, *settings]
    config = load_config(ROOT / "configs/chandra_sources_plain.yaml", extra)
    return config, catalog_path(config)


def simulated(kind: str, settings: list[str], out: Path) -> tuple[Config, Path]:
    """A simulated sky with about as many sources and XRB as the real catalogue."""
    path = out / "sky.parquet"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_catalog(simulate_catalog(3000, SEED), path)
    extra = [f"model.weights={kind}", f"seed={SEED}", PLAIN, "model.penalty=auto"]
    extra += ["validation.folds=5", "validation.inner_folds=5", *settings]
    return load_config(ROOT / "configs/demo.yaml", extra), path


def held_out(training: Training) -> tuple[Predictions, Predictions, float]:
    """Predictions by the most probable class and by the rule of the config, and the seconds."""
    started = time.monotonic()
    result = cross_validate_training(training, build_recipe(training.config))
    labels, posterior = training.labels.rows(result.rows), result.products[0].posterior
    most_probable = Predictions(
        truth=labels.class_index,
        posterior=posterior,
        prediction=posterior.argmax(-1),
        group=labels.group,
        weight=np.ones(len(posterior)),
    )
    by_rule = most_probable._replace(prediction=result.products[0].prediction)
    return most_probable, by_rule, time.monotonic() - started


def rows_of(
    catalogue: str, kinds: Sequence[str], source_of: SourceOf, progress: Reporter
) -> Iterator[tuple[list[Row], tuple[str, ...]]]:
    """Yield the rows so far, and the classes, after each learner and kind of weights.

    Evolution is the slowest and comes last.
    """
    rows: list[Row] = []
    for n, (name, settings) in enumerate(LEARNERS.items()):
        for k, kind in enumerate(kinds):
            done = (len(kinds) * n + k) / (len(LEARNERS) * len(kinds))
            progress(done, f"{catalogue}, {kind}, {name}")
            source = source_of(kind, settings)
            use_precision(source[0])
            training = load_training(*source)
            classes = tuple(training.config.taxonomy.classes)
            most_probable, by_rule, seconds = held_out(training)
            row = Row(kind=kind, name=name, held_out=most_probable, seconds=seconds)
            rows.append(row)
            if training.config.decision == "f1":
                rows.append(row._replace(name=f"{name}, rule", held_out=by_rule))
            jax.clear_caches()
            yield sorted(rows, key=lambda row: kinds.index(row.kind)), classes


def cell(entry: dict, sign: str = "") -> str:
    """Value and 90 % interval."""
    return f"{entry['value']:{sign}.3f} ({entry['lo']:{sign}.3f} to {entry['hi']:{sign}.3f})"


def table(rows: list[Row], classes: tuple[str, ...]) -> list[str]:
    """Markdown table; differences are against log loss without the rule, for the same weights."""
    titles = ["weights", "learned for", "XRB F1", "difference", "log loss", "difference", "s"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        first = next(r for r in rows if r.kind == row.kind)
        scores = score(row.held_out, classes, BOOTSTRAP, 0)
        change = paired_differences(first.held_out, row.held_out, classes, BOOTSTRAP, 0)
        cells = [cell(scores["f1"]["XRB"]), cell(change["f1"]["XRB"], "+")]
        cells += [cell(scores["log_loss"]), cell(change["log_loss"], "+")]
        if row is first:
            cells[1] = cells[3] = ""
        lines.append(f"| {row.kind} | {row.name} | {' | '.join(cells)} | {row.seconds:.0f} |")
    return lines


def study(out: Path, kinds: Sequence[str], sources: dict[str, SourceOf]) -> None:
    """Print one table per catalogue; `tables.md` in `out` holds the rows so far."""
    out.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    with Reporter() as progress:
        for catalogue, source_of in sources.items():
            before = text
            for rows, classes in rows_of(catalogue, kinds, source_of, progress):
                counts = np.bincount(rows[0].held_out.truth, minlength=len(classes)).tolist()
                members = json.dumps(dict(zip(classes, counts, strict=True)))
                text = [*before, f"### {catalogue}", "", *table(rows, classes), "", members + "\n"]
                (out / "tables.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/optimiser")
    study(
        folder,
        KINDS,
        {"real sources": chandra, "simulated sources": partial(simulated, out=folder)},
    )
