"""Out-of-fold scores of the well-characterised sources."""

import numpy as np
from jaxtyping import Bool, Float

from xbayes.evaluate.scores import Entry, Predictions, entries, ratio, score


def score_well_characterised(
    pooled: Predictions,
    chosen: Bool[np.ndarray, "N"],
    classes: tuple[str, ...],
    n_bootstrap: int,
    seed: int,
) -> dict:
    """The scores of the `chosen` predictions, with `members`, the number of sources of each class.

    A class without members has None for precision, recall and F1 and does not enter the macro F1.
    If no source is chosen, there are no scores.
    """
    subset = Predictions._make(part[chosen] for part in pooled)
    members = np.bincount(subset.truth, subset.weight, len(classes))
    block: dict = {"members": dict(zip(classes, members.round().astype(int).tolist(), strict=True))}
    if not len(subset.truth):
        return block | {"n_sources": 0}
    block |= score(subset, classes, n_bootstrap, seed)
    block["n_sources"] = round(float(subset.weight.sum()))  # repeats share the weight of a source
    for name in ("precision", "recall", "f1"):
        for label, count in block["members"].items():
            if not count:
                block[name][label] = {"value": None, "lo": None, "hi": None}
    block["macro_f1"] = _macro_f1(subset, members > 0, n_bootstrap, seed)
    return block


def _macro_f1(
    subset: Predictions, has_members: Bool[np.ndarray, "C"], n_bootstrap: int, seed: int
) -> Entry:
    """Mean F1 of the classes that have members."""
    n_classes = len(has_members)
    cells = np.eye(n_classes**2)[subset.truth * n_classes + subset.prediction]

    def scores_of(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        counts = sums.reshape(-1, n_classes, n_classes)
        hit = np.einsum("scc->sc", counts)
        f1 = ratio(2 * hit, counts.sum(1) + counts.sum(2))[:, has_members]
        return {"macro_f1": np.nan_to_num(f1).mean(1)}

    return entries(subset, cells, scores_of, n_bootstrap, seed)["macro_f1"]
