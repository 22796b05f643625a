"""Coverage of the 90 % intervals with weights by Laplace and by NUTS.

    python experiments/bench_bayes/methods.py

Sources of three classes have four independent normal features, so the true p(class | source) is
known. Both methods see the same sources and draw the same samples of the densities.
"""

import time

import jax
import numpy as np
from scipy import stats

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

SKIES, SOURCES, NEW, SAMPLES = 8, 400, 400, 60
SHARE = np.array([0.6, 0.3, 0.1])
CENTRE = np.array([[-0.6, -0.4, 0.0, 0.5], [0.6, 0.4, -0.3, 0.0], [0.0, 0.9, 0.8, -0.6]])
CHAINS = PosteriorOptions(
    method="nuts",
    chains=2,
    warmup=200,
    draws=150,
    thin=2,
    samples=SAMPLES,
    densities=True,
    weights="matrix",
    offsets=True,
)


def sources(rng: np.random.Generator, n: int) -> tuple[Features, np.ndarray]:
    """Features and classes of n sources."""
    truth = rng.choice(3, n, p=SHARE)
    value = CENTRE[truth] + rng.normal(size=(n, 4))
    every = np.ones(value.shape, bool)
    one, zero = np.ones_like(value), np.zeros_like(value)
    return Features(value=value, measured=every, available=every, weight=one, error=zero), truth


def recipe_of(method: str) -> Recipe:
    """A weight matrix per feature, learned on five inner folds."""
    names = tuple("abcd")
    return Recipe(
        density=smooth_density(np.tile([-6.0, 6.0], (4, 1)), np.zeros(4, bool), 3),
        model=naive_bayes((0, 0, 1, 1), 3, "matrix"),
        names=Names(
            features=names,
            categories=("x", "y"),
            category=(0, 0, 1, 1),
            classes=("A", "B", "C"),
        ),
        penalties=(3.0, 30.0),
        n_starts=1,
        n_folds=5,
        posterior=CHAINS._replace(method=method),
    )


def main() -> None:
    """Print coverage, width and log loss of both methods, and their paired difference."""
    jax.config.update("jax_enable_x64", True)
    recipes = {method: recipe_of(method) for method in ("laplace", "nuts")}
    found: dict[str, list[np.ndarray]] = {method: [] for method in recipes}
    for sky in range(SKIES):
        rng = np.random.default_rng(sky)
        features, truth = sources(rng, SOURCES)
        new, actual = sources(rng, NEW)
        score = np.log(SHARE) + stats.norm.logpdf(new.value[:, None], CENTRE).sum(-1)
        exact = np.asarray(jax.nn.softmax(score, axis=1))
        labels = Labels(class_index=truth, group=np.arange(SOURCES))
        fold = inner_folds(truth, labels.group, truth >= 0, 5, sky)
        for method, recipe in recipes.items():
            began = time.process_time()
            learned, _ = fit_classifier(recipe, features, labels, fold, jax.random.key(sky))
            made = classify(recipe, learned, new)
            low, high = np.moveaxis(made.posterior_interval, -1, 0)
            loss = -np.log(made.posterior[np.arange(NEW), actual])
            inside, seconds = (low <= exact) & (exact <= high), time.process_time() - began
            row = [inside.mean(), np.median(high - low), loss.mean(), seconds]
            found[method].append(np.array(row))
    print("| weights | coverage (one standard error) | median width | log loss | s of CPU |")
    print("|---|---|---|---|---|")
    for method, rows in found.items():
        mean, error = np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(SKIES - 1)
        print(
            f"| {method} | {mean[0]:.3f} ({error[0]:.3f}) | {mean[1]:.4f} | {mean[2]:.4f} | "
            f"{np.median([row[3] for row in rows]):.0f} |"
        )
    change = np.array(found["laplace"]) - np.array(found["nuts"])
    error = change.std(0) / np.sqrt(SKIES - 1)
    print(f"\nlaplace less nuts: coverage {change[:, 0].mean():+.4f} ({error[0]:.4f}), ", end="")
    print(f"log loss {change[:, 2].mean():+.5f} ({error[2]:.5f})")


if __name__ == "__main__":
    main()
