"""Objectives of the weights, held out: python experiments/optimiser/run.py [OUT]."""

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
from xbayes.classifier.assignment import weight_learning_recipe
from xbayes.classifier.decision import Decision, by_threshold, decide, threshold_for
from xbayes.classifier.f1_weight import learn_for_f1
from xbayes.classifier.probabilities import class_posterior
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.classifier.training_part import TrainingPart, training_part
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import Config, catalog_path
from xbayes.evaluate.cross_validate import Split, labelled_rows, nested_splits
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.infer.gradient import fit_from_starts
from xbayes.infer.out_of_fold import OutOfFold, out_of_fold
from xbayes.infer.select_penalty import select_penalty
from xbayes.models.naive_bayes import KINDS
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training
from xbayes.types import Features, Labels

ROOT = Path(__file__).parents[2]
SEED = 22  # the objective was developed on the folds of seed 21
LOG_LOSS, WITH_F1 = "log loss", "log loss + F1"
DECISIONS = ("argmax", "expected F1")
BOOTSTRAP = 2000


class Row(NamedTuple):
    """One line of the table."""

    kind: str
    name: str
    decision: str
    held_out: Predictions
    chosen: tuple[float, ...]  # lambda in each outer fold
    seconds: float  # of both objectives in all outer folds, including compilation


class Fold(NamedTuple):
    """One outer fold: what the weights are learned on, and log-likelihoods of its test rows."""

    test: np.ndarray
    training: TrainingPart
    log_lik: OutOfFold
    whole: jax.Array  # [N, F, C] from densities of the whole training part


class Scores(NamedTuple):
    """Posteriors of the training rows, out of fold, and of all rows by the final weights."""

    held_out: np.ndarray
    final: np.ndarray
    f1_weight: float


KindsOf = dict[str, list[str]]  # settings of each kind of weights
SourceOf = Callable[[list[str]], tuple[Config, Path]]


def chandra(settings: list[str]) -> tuple[Config, Path]:
    """The real sources."""
    config = load_config(ROOT / "configs/chandra_sources_plain.yaml", [f"seed={SEED}", *settings])
    return config, catalog_path(config)


def detections(settings: list[str]) -> tuple[Config, Path]:
    """The real detections, in folds of whole groups."""
    config = load_config(
        ROOT / "configs/chandra_detections_plain.yaml", [f"seed={SEED}", *settings]
    )
    return config, catalog_path(config)


def simulated(settings: list[str], out: Path) -> tuple[Config, Path]:
    """A simulated sky with about as many sources and XRB as the real catalogue."""
    path = out / "sky.parquet"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_catalog(simulate_catalog(3000, SEED), path)
    extra = [f"seed={SEED}", "model.penalty=auto", "validation.folds=5"]
    extra += ["validation.inner_folds=5", *settings]
    return load_config(ROOT / "configs/demo.yaml", extra), path


def fold_of(recipe: Recipe, features: Features, labels: Labels, split: Split) -> Fold:
    """The out-of-fold log-likelihoods of one outer fold."""
    density = recipe.density
    training = training_part(recipe, features, labels, split.inner, None)
    rows = training.features, training.truth, training.fold
    statistics = density.statistics(training.prepared, *rows, recipe.n_folds)
    whole = density.fit(training.prepared, jax.tree.map(lambda s: s.sum(0), statistics))
    learner = weight_learning_recipe(recipe).density
    return Fold(
        test=split.test,
        training=training,
        log_lik=out_of_fold(learner, training.prepared, statistics, rows[0], rows[2]),
        whole=learner.log_lik(whole, training.features),
    )


def learn(learner: Recipe, fold: Fold) -> dict[str, Scores]:
    """Posteriors by log loss and with the F1 term."""
    training, log_lik, model = fold.training, fold.log_lik, learner.model
    given = {"log_prior": training.log_prior}
    selection = select_penalty(
        model,
        jax.random.key(0),
        log_lik.nested,
        training.truth,
        training.fold,
        penalties=learner.penalties,
        **given,
    )
    by_loss, info = fit_from_starts(
        model,
        jax.random.key(1),
        log_lik.single,
        training.truth,
        (training.fold >= 0).astype(log_lik.single.dtype),
        penalty=selection.penalty,
        n_starts=learner.n_starts,
        **given,
    )
    by_f1, _, chosen = learn_for_f1(learner, training, log_lik, selection, by_loss, info, seed=SEED)

    def scores(weights, selection) -> Scores:
        final = jax.jit(model.log_joint)(weights, fold.whole)
        return Scores(
            held_out=class_posterior(np.asarray(selection.log_joint)),
            final=class_posterior(np.asarray(final)),
            f1_weight=selection.f1_weight,
        )

    return {LOG_LOSS: scores(by_loss, selection), WITH_F1: scores(by_f1, chosen)}


def rows_of(kind: str, recipe: Recipe, labels: Labels, folds: Sequence[Fold]) -> list[Row]:
    """The rows of one kind of weights: two objectives, two decisions."""
    started, learner = time.monotonic(), weight_learning_recipe(recipe)
    learned = [learn(learner, fold) for fold in folds]
    seconds = time.monotonic() - started
    rows = []
    for name in (LOG_LOSS, WITH_F1):
        posterior = np.zeros((len(labels.class_index), len(recipe.names.classes)))
        predictions = {decision: np.zeros(len(posterior), int) for decision in DECISIONS}
        for fold, of_fold in zip(folds, learned, strict=True):
            test, scores = fold.test, of_fold[name]
            posterior[test] = scores.final[test]
            p = scores.held_out[fold.training.rows, recipe.focus]
            threshold = threshold_for(Decision(kind="expected_f1"), p)
            rule = by_threshold(posterior.shape[1], recipe.focus, threshold)
            predictions["argmax"][test] = posterior[test].argmax(1)
            predictions["expected F1"][test] = decide(posterior[test], rule)
        for decision, prediction in predictions.items():
            held_out = Predictions(
                truth=labels.class_index,
                posterior=posterior,
                prediction=prediction,
                group=labels.group,
                weight=np.ones(len(posterior)),
            )
            row = Row(
                kind=kind,
                name=name,
                decision=decision,
                held_out=held_out,
                chosen=tuple(of_fold[name].f1_weight for of_fold in learned),
                seconds=seconds,
            )
            rows.append(row)
    return rows


def study_catalogue(
    kinds: KindsOf, source_of: SourceOf, progress: Callable[[float, str], None]
) -> Iterator[tuple[list[Row], tuple[str, ...]]]:
    """Yield the rows so far, and the classes, after each kind of weights."""
    rows: list[Row] = []
    folds, density = [], None
    for k, (kind, settings) in enumerate(kinds.items()):
        progress(k / len(kinds), kind)
        config, path = source_of(settings)
        use_precision(config)
        training = load_training(config, path)
        recipe, validation = build_recipe(training.config), training.config.validation
        _, features, labels = labelled_rows(training.features, training.labels)
        if recipe.density is not density:  # kinds of weights may share the densities
            splits = nested_splits(labels, validation.folds, 1, recipe.n_folds, SEED)
            folds = [fold_of(recipe, features, labels, split) for split in splits]
            density = recipe.density
        rows += rows_of(kind, recipe, labels, folds)
        yield rows, tuple(training.config.taxonomy.classes)


def cell(entry: dict, sign: str = "") -> str:
    """Value and 90 % interval."""
    return f"{entry['value']:{sign}.3f} ({entry['lo']:{sign}.3f} to {entry['hi']:{sign}.3f})"


def table(rows: list[Row], classes: tuple[str, ...]) -> list[str]:
    """Markdown table; differences are against log loss, for the same weights and decision."""
    titles = ["weights", "decision", "XRB F1, log loss", "with F1 term", "difference"]
    titles += ["log loss", "difference", "lambda", "s"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    by_loss = {(row.kind, row.decision): row.held_out for row in rows if row.name == LOG_LOSS}
    for row in (row for row in rows if row.name == WITH_F1):
        first = by_loss[row.kind, row.decision]
        before, after = (score(p, classes, BOOTSTRAP, 0) for p in (first, row.held_out))
        change = paired_differences(first, row.held_out, classes, BOOTSTRAP, 0)
        cells = [row.kind, row.decision, cell(before["f1"]["XRB"]), cell(after["f1"]["XRB"])]
        cells += [cell(change["f1"]["XRB"], "+"), f"{before['log_loss']['value']:.3f}"]
        cells += [cell(change["log_loss"], "+"), ", ".join(f"{f1:g}" for f1 in row.chosen)]
        lines.append(f"| {' | '.join([*cells, f'{row.seconds:.0f}'])} |")
    return lines


def study(out: Path, catalogues: dict[str, tuple[KindsOf, SourceOf]]) -> None:
    """Print one table per catalogue; `tables.md` in `out` holds the rows so far."""
    out.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    with Reporter() as progress:
        for catalogue, (kinds, source_of) in catalogues.items():
            before = text

            def say(done, kind, catalogue=catalogue):
                progress(done, f"{catalogue}, {kind}")

            for rows, classes in study_catalogue(kinds, source_of, say):
                counts = np.bincount(rows[0].held_out.truth, minlength=len(classes)).tolist()
                members = json.dumps(dict(zip(classes, counts, strict=True)))
                text = [*before, f"### {catalogue}", "", *table(rows, classes), "", members + "\n"]
                (out / "tables.md").write_text("\n".join(text))
            jax.clear_caches()
    print("\n".join(text))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/optimiser")
    weights = {kind: [f"model.weights={kind}"] for kind in KINDS}
    study(
        folder,
        {
            "real sources": (weights, chandra),
            "real detections": (weights, detections),
            "simulated sources": (weights, partial(simulated, out=folder)),
        },
    )
