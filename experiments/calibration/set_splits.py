"""Coverage of prediction sets over random splits of out-of-fold posteriors."""

import numpy as np
from jaxtyping import Float

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.conformal import fit_conformal, prediction_sets
from xbayes.types import Labels


def coverage_over_splits(
    labels: Labels, posterior: Float[np.ndarray, "N C"], n_splits: int, seed: int
) -> Float[np.ndarray, "S 2 C"]:
    """Coverage and mean size of the sets by true class, for each split.

    Each split calibrates the sets on half of the rows, stratified and with groups kept together,
    and tests them on the other half. Splits share their rows, so their scatter is only Monte Carlo
    error.
    """
    rng = np.random.default_rng(seed)
    return np.stack([_one_split(labels, posterior, rng) for _ in range(n_splits)])


def table_of_coverage(
    labels: Labels, classes: tuple[str, ...], coverage: Float[np.ndarray, "S 2 C"]
) -> list[str]:
    """Markdown table of mean coverage, its Monte Carlo error, and mean set size by class."""
    mean, error = coverage.mean(0), coverage[:, 0].std(0, ddof=1) / np.sqrt(len(coverage))
    members = np.bincount(labels.class_index, minlength=len(classes))
    lines = [
        "| class | sources | coverage (Monte Carlo error) | mean set size |",
        "|---|---|---|---|",
    ]
    for c, name in enumerate(classes):
        covered = f"{mean[0, c]:.4f} ({error[c]:.4f})"
        lines.append(f"| {name} | {members[c]} | {covered} | {mean[1, c]:.3f} |")
    size = (mean[1] * members).sum() / members.sum()
    return [*lines, f"| all | {members.sum()} | | {size:.3f} |"]


def _one_split(labels: Labels, posterior, rng) -> Float[np.ndarray, "2 C"]:
    truth, n_classes = labels.class_index, posterior.shape[1]
    half = stratified_folds(truth, labels.group, 2, int(rng.integers(2**31))) == 0
    reference = fit_conformal(posterior[half], truth[half])
    sets = prediction_sets(reference, posterior[~half], rng.random((~half).sum()))
    test = truth[~half]
    covered = sets[np.arange(len(test)), test]
    by_class = [
        (covered[test == c].mean(), sets[test == c].sum(1).mean()) for c in range(n_classes)
    ]
    return np.array(by_class).T
