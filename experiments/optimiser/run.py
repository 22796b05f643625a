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
from xbayes.classifier.decision import decide
from xbayes.classifier.recipe import build_recipe
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import Config, catalog_path
from xbayes.evaluate.cross_validate import cross_validate
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.models.naive_bayes import KINDS
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.training import Training, load_training, use_precision

ROOT = Path(__file__).parents[2]
SEED = 21  # folds that no choice was made on
LEARNERS = {
    "log loss": ["decision=f1"],
    "gradient F1": ["model.objective=f1", "decision=f1"],
    "evolution F1": ["model.objective=f1", "model.optimiser=evolution"],
}
PLAIN = "model.calibration=none"  # scores as learned; calibration would hide some differences
BOOTSTRAP = 2000
SourceOf = Callable[[str, list[str]], tuple[Config, Path]]  # of a kind of weights and a learner


class Row(NamedTuple):
    """One line of the table."""

    kind: str
    name: str
    held_out: Predictions
    seconds: float  # of one cross-validation, compilation included


def chandra(kind: str, settings: list[str]) -> tuple[Config, Path]:
    """The real sources."""
    extra = [f"model.weights={kind}", f"seed={SEED}", PLAIN, *settings]
    config = load_config(ROOT / "configs/chandra_sources.yaml", extra)
    return config, catalog_path(config)


def simulated(kind: str, settings: list[str], out: Path) -> tuple[Config, Path]:
    """The simulated sky, as large and as rare in XRB as the real sources are."""
    path = out / "sky.parquet"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_catalog(simulate_catalog(3000, SEED), path)
    own = [f"model.weights={kind}", f"seed={SEED}", PLAIN, "model.penalty=auto"]
    own += ["validation.folds=5", "validation.inner_folds=5", *settings]
    return load_config(ROOT / "configs/demo.yaml", own), path


def held_out(training: Training) -> tuple[Predictions, Predictions, float]:
    """Predictions by the most probable class and by the rule of the config, and the seconds."""
    started = time.monotonic()
    labels, validation = training.labels, training.config.validation
    recipe = build_recipe(training.config)
    key = jax.random.fold_in(jax.random.key(training.config.seed), 0)
    result = cross_validate(
        recipe, training.features, labels, key, validation.folds, seed=training.config.seed
    )
    truth, group = labels.class_index[result.rows], labels.group[result.rows]
    posterior = result.products[0].posterior
    chosen = (posterior.argmax(-1), decide(posterior, result.factor[0]))
    both = [Predictions(truth, posterior, c, group, np.ones(len(truth))) for c in chosen]
    return both[0], both[1], time.monotonic() - started


def rows_of(
    catalogue: str, kinds: Sequence[str], source_of: SourceOf, progress: Reporter
) -> Iterator[tuple[list[Row], tuple[str, ...]]]:
    """Every learner for every kind of weights on one catalogue: the rows so far, and the classes.

    Evolution, the slowest, comes last.
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
            plain, ruled, seconds = held_out(training)
            rows.append(Row(kind, name, plain, seconds))
            if training.config.decision == "f1":
                rows.append(Row(kind, f"{name}, rule", ruled, seconds))
            jax.clear_caches()
            yield sorted(rows, key=lambda row: kinds.index(row.kind)), classes


def cell(entry: dict, sign: str = "") -> str:
    """Value and 90 % interval."""
    return f"{entry['value']:{sign}.3f} ({entry['lo']:{sign}.3f} to {entry['hi']:{sign}.3f})"


def table(rows: list[Row], classes: tuple[str, ...]) -> list[str]:
    """Markdown; differences are against log loss without the rule, of the same kind of weights."""
    titles = ["weights", "learned for", "XRB F1", "difference", "log loss", "difference", "s"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        first = next(r for r in rows if r.kind == row.kind)
        own = score(row.held_out, classes, BOOTSTRAP, 0)
        change = paired_differences(first.held_out, row.held_out, classes, BOOTSTRAP, 0)
        cells = [cell(own["f1"]["XRB"]), cell(change["f1"]["XRB"], "+")]
        cells += [cell(own["log_loss"]), cell(change["log_loss"], "+")]
        if row is first:
            cells[1] = cells[3] = ""
        lines.append(f"| {row.kind} | {row.name} | {' | '.join(cells)} | {row.seconds:.0f} |")
    return lines


def study(out: Path, kinds: Sequence[str], sources: dict[str, SourceOf]) -> None:
    """Print a table a catalogue; `tables.md` in `out` holds what is there so far."""
    out.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    with Reporter() as progress:
        for catalogue, source_of in sources.items():
            before = text
            for rows, classes in rows_of(catalogue, kinds, source_of, progress):
                counts = np.bincount(rows[0].held_out.truth, minlength=len(classes)).tolist()
                found = json.dumps(dict(zip(classes, counts, strict=True)))
                text = [*before, f"### {catalogue}", "", *table(rows, classes), "", found + "\n"]
                (out / "tables.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/optimiser")
    study(
        folder,
        KINDS,
        {"real sources": chandra, "simulated sources": partial(simulated, out=folder)},
    )
