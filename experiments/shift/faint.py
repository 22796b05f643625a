"""Faint after bright, over several seeds: the best model against LightGBM, by class.

    experiments/shift/faint.py [SEED ...]

The seeds (default 91 to 95) change the inner folds and the random numbers of the fits; the training
and the test part are the same. Fits are those of run.py, kept in runs/shift. Intervals resample
cells of the sky of five degrees, because sources of one field are alike.
"""

import sys

import numpy as np
from astropy.coordinates import SkyCoord
from run import OUT, VARIANTS, load, run_variants

from xbayes.tasks.training import Training

OURS, RIVAL = "best", "lightgbm"
NAMES = (OURS, RIVAL, "lightgbm, inner blocks", "hist_gradient_boosting")
CLASSES, DRAWS, SHOWN = ("AGN", "Star", "XRB", "CV"), 4000, 4


def posteriors(name: str, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors of the faint sources [S N C], and their classes [N]."""
    found, truth = [], np.zeros(0)
    for seed in seeds:
        with np.load(OUT / f"{seed}-{name.replace(' ', '_')}-faint.npz") as arrays:
            rows = arrays["tested"]
            found.append(arrays["posterior"][rows])
            truth = arrays["truth"][rows]
    return np.stack(found), truth


def sample(seed: int) -> tuple[Training, np.ndarray]:
    """The labelled sources, and which are faint."""
    with np.load(OUT / f"{seed}-{OURS}-faint.npz") as arrays:
        return load(VARIANTS[OURS], seed), arrays["tested"]


def fields(training: Training) -> np.ndarray:
    """Square of five degrees in galactic coordinates, by its least longitude and latitude."""
    position = SkyCoord(training.table["ra"], training.table["dec"], unit="deg").galactic
    corner = np.stack([5 * np.floor(angle.deg / 5) for angle in (position.l, position.b)], 1)
    return np.array([f"l {low:.0f}, b {high:.0f}" for low, high in corner])


def losses(posterior: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log loss of each source [S N]."""
    p = np.clip(posterior, 1e-12, None)
    return -np.log(p[:, np.arange(len(truth)), truth] / p.sum(2))


def with_prior(posterior: np.ndarray, trained: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The posteriors under other class proportions."""
    joint = posterior * share / trained
    return joint / joint.sum(2, keepdims=True)


def paired(change: np.ndarray, group: np.ndarray) -> str:
    """The mean over sources, its 90 % interval, and the probability that it is below 0."""
    index, rng = np.unique(group, return_inverse=True)[1], np.random.default_rng(0)
    total, members = np.bincount(index, change), np.bincount(index)
    draws = rng.integers(0, len(total), (DRAWS, len(total)))
    drawn = total[draws].sum(1) / members[draws].sum(1)
    low, high = np.quantile(drawn, (0.05, 0.95))
    return f"{change.mean():+.4f} ({low:+.4f} to {high:+.4f}), {(drawn < 0).mean():.3f}"


def print_parts(change: np.ndarray, labels: dict[str, np.ndarray], bright: dict) -> None:
    """The labels that hold most of the mean difference, by kind of label."""
    for kind, label in labels.items():
        parts = {each: change[label == each].sum() / len(change) for each in np.unique(label)}
        print(f"\n| {kind} | faint sources | bright sources | part of the difference |")
        print("|---|---|---|---|")
        for each in sorted(parts, key=lambda name: -abs(parts[name]))[:SHOWN]:
            members = (label == each).sum(), (bright[kind] == each).sum()
            print(f"| {each} | {members[0]} | {members[1]} | {parts[each]:+.4f} |")


def main(seeds: list[int]) -> None:
    """Print the losses by seed, the paired differences, and the loss of each class."""
    for seed in seeds:
        run_variants(list(NAMES), seed, "faint")
    made = {name: posteriors(name, seeds) for name in NAMES}
    truth, (training, tested) = made[OURS][1], sample(seeds[0])
    share, trained = (
        np.bincount(training.labels.class_index[rows], minlength=len(CLASSES)) / rows.sum()
        for rows in (tested, ~tested)
    )
    label = np.asarray(training.table["Class"]).astype(str)
    both = [f"{name}, {field}" for name, field in zip(label, fields(training), strict=True)]
    labels = {"class": label, "class and field": np.array(both)}
    cell = training.labels.cell[tested]
    print(f"proportions of {', '.join(CLASSES)}: bright {trained.round(3)}, faint {share.round(3)}")
    lines = ["log loss", *map(str, seeds), "mean", f"{OURS} - this (90 %), P({OURS} better)"]
    lines += [*CLASSES, "mean under the proportions of the faint part"]
    print(f"\n| {' | '.join(lines)} |\n" + "|---" * len(lines) + "|")
    first = losses(made[OURS][0], truth)
    for name, (posterior, _) in made.items():
        loss = losses(posterior, truth)
        cells = [f"{value:.4f}" for value in (*loss.mean(1), loss.mean())]
        cells += [paired((first - loss).mean(0), cell) if name != OURS else ""]
        cells += [f"{loss[:, truth == c].sum() / loss.size:.4f}" for c in range(len(CLASSES))]
        cells += [f"{losses(with_prior(posterior, trained, share), truth).mean():.4f}"]
        print(f"| {name} | {' | '.join(cells)} |")
    change = (first - losses(made[RIVAL][0], truth)).mean(0)
    bright = {kind: label[~tested] for kind, label in labels.items()}
    print_parts(change, {kind: label[tested] for kind, label in labels.items()}, bright)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [91, 92, 93, 94, 95])
