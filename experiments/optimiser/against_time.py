"""XRB F1 against the seconds spent learning: python experiments/optimiser/against_time.py [OUT].

Uses five outer folds of the real sources, precomputed likelihoods and a fixed penalty; compilation
is not counted.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows
from xbayes.figures.style import styled
from xbayes.infer.f1 import F1_WEIGHTS, fit_f1
from xbayes.infer.gradient import fit_log_loss
from xbayes.infer.out_of_fold import out_of_fold
from xbayes.models.naive_bayes import KINDS, naive_bayes
from xbayes.published.evolution import evolve_f1, f1_of
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training

ROOT = Path(__file__).parents[2]
SEED, PENALTY = 21, 10.0
BUDGETS = (2, 5, 10, 20, 40, 80, 160, 300)  # steps of the log loss
COLOURS = {"gradient": "#0072B2", "evolution": "#D55E00"}


class Fold(NamedTuple):
    """One outer fold; arrays keep the shape of the whole sample, so that JAX compiles once."""

    x: jnp.ndarray  # [N, F, C] out-of-fold log-likelihoods of the training rows
    measured: jnp.ndarray
    truth: jnp.ndarray
    training: jnp.ndarray  # row weight: 1, or 0 in the test part
    whole: jnp.ndarray  # [N, F, C] log-likelihoods from densities of the whole training part
    log_prior: jnp.ndarray


class Point(NamedTuple):
    """The state of a search after some seconds."""

    seconds: float
    training_f1: float
    chosen: np.ndarray  # test rows that are assigned to the class


def prepare() -> tuple[list[Fold], tuple[int, ...], int]:
    """The outer folds, the category of each feature, and the index of the focus class."""
    config = load_config(ROOT / "configs/chandra_sources_plain.yaml", [f"seed={SEED}"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    truth, group = labels.class_index, labels.group
    recipe = build_recipe(training.config)
    outer = stratified_folds(truth, group, 5, SEED)
    folds = []
    for k in range(5):
        is_training = outer != k
        inner = inner_folds(truth, group, is_training, recipe.n_folds, SEED + k)
        grid = jax.tree.map(jnp.asarray, recipe.density.prepare(features, is_training))
        arrays = jax.tree.map(jnp.asarray, features)
        known, fold = jnp.asarray(np.where(is_training, truth, -1)), jnp.asarray(inner)
        counts = recipe.density.statistics(grid, arrays, known, fold, recipe.n_folds)
        single = out_of_fold(recipe.density, grid, counts, arrays, fold).single
        density = recipe.density.fit(grid, jax.tree.map(lambda c: c.sum(0), counts))
        prior = jnp.log(jnp.bincount(truth[is_training], length=4) / is_training.sum())
        folds.append(
            Fold(
                x=single,
                measured=arrays.measured,
                truth=jnp.asarray(truth),
                training=jnp.asarray(is_training, single.dtype),
                whole=recipe.density.log_lik(density, arrays),
                log_prior=prior,
            )
        )
    return folds, recipe.names.category, recipe.focus


def by_gradient(model, folds: list[Fold], focus: int) -> list[list[Point]]:
    """The states of the log-loss fit with more and more steps, then of each weight of the F1."""

    def descend(fold: Fold, steps: int = BUDGETS[-1], n_weights: int = 0):
        start = model.init(jax.random.key(0), fold.x)._replace(log_prior=fold.log_prior)
        rows = (fold.truth, fold.training)
        params, _ = fit_log_loss(model, start, fold.x, *rows, penalty=PENALTY, max_steps=steps)
        if not n_weights:
            return params
        path, _ = fit_f1(
            model,
            params,
            model.design(fold.x),
            *rows,
            penalty=PENALTY,
            focus=focus,
            f1_weights=jnp.asarray(F1_WEIGHTS[1 : n_weights + 1]),
        )
        return jax.tree.map(lambda leaf: leaf[-1], path)

    searches = [partial(descend, steps=steps) for steps in BUDGETS]
    searches += [partial(descend, n_weights=n) for n in range(1, len(F1_WEIGHTS))]
    points: list[list[Point]] = [[] for _ in folds]
    for search in searches:
        compiled = jax.jit(search).lower(folds[0]).compile()
        for fold, run in zip(folds, points, strict=True):
            started = time.perf_counter()
            params = jax.block_until_ready(compiled(fold))
            run.append(point(model, fold, focus, params, time.perf_counter() - started))
    return points


def by_evolution(model, fold: Fold, focus: int) -> list[Point]:
    """The best state after each generation."""
    like = model.init(jax.random.key(0), fold.x)._replace(log_prior=fold.log_prior)
    rows = (fold.x, fold.measured, fold.truth, fold.training)
    best: list = []
    started = time.perf_counter()
    evolve_f1(
        model,
        like,
        *rows,
        focus=focus,
        seed=SEED,
        watch=lambda params, _: best.append((time.perf_counter() - started, params)),
    )
    # The first generation includes compilation, so it is replaced by the median of the others.
    per_generation = np.median(np.diff([seconds for seconds, _ in best]))
    compilation = best[0][0] - per_generation
    return [point(model, fold, focus, params, seconds - compilation) for seconds, params in best]


def point(model, fold: Fold, focus: int, params, seconds: float) -> Point:
    """The training F1 of these weights, and the test rows that they assign to the class."""
    training_f1 = f1_of(model.log_joint(params, fold.x), fold.truth, fold.training, focus)
    chosen = np.asarray(model.log_joint(params, fold.whole)).argmax(-1) == focus
    return Point(
        seconds=seconds,
        training_f1=float(training_f1),
        chosen=chosen & (np.asarray(fold.training) == 0),
    )


def pooled(runs: list[list[Point]], folds: list[Fold], focus: int) -> np.ndarray:
    """Seconds, mean training F1 and pooled held-out F1, once all folds have started."""
    is_focus = np.asarray(folds[0].truth) == focus
    times = np.unique([p.seconds for run in runs for p in run])
    rows = []
    for now in times[times >= max(run[0].seconds for run in runs)]:
        latest = [[p for p in run if p.seconds <= now][-1] for run in runs]
        chosen = np.any([p.chosen for p in latest], axis=0)  # each row is in one test part
        hit = (chosen & is_focus).sum()
        f1 = 2 * hit / (chosen.sum() + is_focus.sum())
        rows.append((now, np.mean([p.training_f1 for p in latest]), f1))
    return np.array(rows)


@styled
def draw(curves: dict[str, dict[str, np.ndarray]]) -> Figure:
    """One panel for each kind of weights."""
    figure = Figure((9.0, 6.4), layout="constrained")
    for axes, (kind, by_method) in zip(
        figure.subplots(2, 2, sharey=True).flat, curves.items(), strict=True
    ):
        for method, curve in by_method.items():
            axes.plot(curve[:, 0], curve[:, 2], color=COLOURS[method], label=f"{method}, held out")
            axes.plot(
                curve[:, 0],
                curve[:, 1],
                color=COLOURS[method],
                linestyle=(0, (4, 2)),
                label=f"{method}, on training rows",
            )
        axes.set(title=f"weights: {kind}", xlabel="seconds of learning", xscale="log")
        axes.set(ylabel="XRB F1", ylim=(0.4, 1.0))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="#E3E7EA", linewidth=0.6)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def main(out: Path) -> None:
    """Draw the figure, and print the end of each search."""
    out.mkdir(parents=True, exist_ok=True)
    folds, category, focus = prepare()
    curves: dict[str, dict[str, np.ndarray]] = {}
    print("| weights | search | s | F1 on training rows | F1 held out |\n|---|---|---|---|---|")
    for kind in KINDS:
        model = naive_bayes(category, 4, kind)
        runs = {
            "gradient": by_gradient(model, folds, focus),
            "evolution": [by_evolution(model, fold, focus) for fold in folds],
        }
        for method, points in runs.items():
            curve = pooled(points, folds, focus)
            curves.setdefault(kind, {})[method] = curve
            seconds, training_f1, held_out = curve[-1]
            print(
                f"| {kind} | {method} | {seconds:.1f} | {training_f1:.3f} | {held_out:.3f} |",
                flush=True,
            )
    draw(curves).savefig(out / "f1_against_time.png", dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/optimiser"))
