"""Where two classifiers of the detections differ: by cut, block and class.

    experiments/best/by_block.py [FOLDER [OTHER]]

FOLDER is a comparison by detections.sh, OTHER a third-party classifier in it.
"""

import sys
from pathlib import Path

import numpy as np

from xbayes.catalog.read import read_catalog
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path

OURS, CLASSES, DRAWS = "chandra_detections", ("AGN", "XRB", "YSO"), 4000
CONFIG = Path(__file__).parents[2] / "configs" / "chandra_detections.yaml"


def paired(change: np.ndarray, group: np.ndarray) -> str:
    """Mean, 90 % interval by resampling of groups, and the probability that it is below 0."""
    index, rng = np.unique(group, return_inverse=True)[1], np.random.default_rng(0)
    total, members = np.bincount(index, change), np.bincount(index)
    draws = rng.integers(0, len(total), (DRAWS, len(total)))
    drawn = total[draws].sum(1) / members[draws].sum(1)
    low, high = np.quantile(drawn, (0.05, 0.95))
    return f"{change.mean():+.4f} ({low:+.4f} to {high:+.4f}), {(drawn < 0).mean():.3f}"


def main(folder: str = "runs/detections_blocks", other: str = "random_forest") -> None:
    """Print one table."""
    made = read_catalog(Path(folder) / "predictions.parquet")
    catalogue = read_catalog(catalog_path(load_config(CONFIG)))
    ids = (np.asarray(table["detection_id"]).astype(str) for table in (catalogue, made))
    of_catalogue, rows = ids
    group_of = dict(zip(of_catalogue, np.asarray(catalogue["group_id"]), strict=True))
    group = np.array([group_of[each] for each in rows])
    truth = np.array([CLASSES.index(name) for name in np.asarray(made["true_class"]).astype(str)])
    loss = {}
    for name in (OURS, other):
        p = np.stack([np.asarray(made[f"{name}:p_{label}"]) for label in CLASSES], 1)
        loss[name] = -np.log(np.clip(p[np.arange(len(p)), truth], 1e-12, None))
    cut, block = (np.asarray(made[name]) for name in ("repeat", "fold"))
    parts = {f"cut {c + 1}": cut == c for c in np.unique(cut)}
    parts |= {f"class {name}, all cuts": truth == k for k, name in enumerate(CLASSES)}
    parts |= {
        f"cut {c + 1}, block {b + 1}": (cut == c) & (block == b)
        for c in np.unique(cut)
        for b in np.unique(block)
    }
    print(f"| part | {', '.join(CLASSES)} | {OURS} | {other} | difference (90 %), P |")
    print("|" + "---|" * 5)
    for name, part in parts.items():
        members = ", ".join(str((truth[part] == k).sum()) for k in range(len(CLASSES)))
        means = " | ".join(f"{each[part].mean():.4f}" for each in loss.values())
        change = paired((loss[OURS] - loss[other])[part], group[part])
        print(f"| {name} | {members} | {means} | {change} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
