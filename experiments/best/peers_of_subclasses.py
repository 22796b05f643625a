"""Third-party classifiers fitted to subclasses: peers_of_subclasses.py [SEED [PEER ...]].

Folds, features, settings and calibration are as in run.sh. The probabilities of the subclasses of a
class are added. Prints a Markdown table.
"""

import sys
from pathlib import Path

import numpy as np

from xbayes.classifier.subclasses import class_sums
from xbayes.compare.cross_validate_peer import apply_peer, fit_peer
from xbayes.compare.peers import PEERS, Sample
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import labelled_rows, nested_splits
from xbayes.evaluate.scores import log_losses
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training

CONFIG = Path(__file__).parents[2] / "configs" / "chandra_sources.yaml"


def held_out(name: str, modelled: np.ndarray, class_of, x, labels, names, seed: int) -> np.ndarray:
    """Out-of-fold class probabilities [N, C] of each source by a third-party classifier."""
    whole = Sample(x=x, truth=modelled, n_classes=len(class_of), names=names)
    posterior = np.full((len(x), max(class_of) + 1), np.nan)
    for split in nested_splits(labels, 5, 1, 5, seed):
        fitted = fit_peer(PEERS[name], whole, labels.group, split, 0, "auto")
        p = apply_peer(PEERS[name], fitted, x[split.test], None)
        posterior[split.test] = np.asarray(class_sums(p, class_of))
    return posterior


def main(seed: int, peers: list[str]) -> None:
    """Print the losses with class labels and with subclass labels, on the same folds."""
    config = load_config(CONFIG)
    use_precision(config)
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    x = np.where(features.measured, features.value, np.nan).astype(np.float64)
    names, truth = tuple(training.config.features), labels.class_index
    subclass_of = np.array(
        [truth[labels.modelled == t][0] for t in range(labels.modelled.max() + 1)]
    )
    print(f"| seed {seed} | log loss, classes | log loss, subclasses added | difference (90 %) |")
    print("|---|---|---|---|")
    for name in peers:
        loss = []
        for modelled, class_of in ((truth, range(truth.max() + 1)), (labels.modelled, subclass_of)):
            p = held_out(name, modelled, tuple(map(int, class_of)), x, labels, names, seed)
            loss.append(log_losses(truth, p))
        difference = loss[1] - loss[0]
        rng = np.random.default_rng(seed)
        draws = [rng.choice(difference, len(difference)).mean() for _ in range(1000)]
        low, high = np.quantile(draws, [0.05, 0.95])
        change = f"{difference.mean():+.4f} ({low:+.4f} to {high:+.4f})"
        print(f"| {name} | {loss[0].mean():.4f} | {loss[1].mean():.4f} | {change} |", flush=True)


if __name__ == "__main__":
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 74
    main(seed, sys.argv[2:] or ["lightgbm", "hist_gradient_boosting"])
