"""Held-out scores of the sources that are known well."""

import numpy as np
from jaxtyping import Bool, Float

from xbayes.evaluate.scores import Predictions, entries, ratio, score


def score_well_characterised(
    pooled: Predictions,
    chosen: Bool[np.ndarray, "N"],
    classes: tuple[str, ...],
    n_bootstrap: int,
    seed: int,
) -> dict:
    """The scores of the `chosen` predictions, with `members`, the sources of each class.

    A class without members has None for precision, recall and F1, and is not in the macro F1: that
    nothing of it was found says nothing. Without any source there are no scores at all.
    """
    some = Predictions(*(part[chosen] for part in pooled))
    members = np.bincount(some.truth, some.weight, len(classes))
    block: dict = {"members": dict(zip(classes, members.round().astype(int).tolist(), strict=True))}
    if not len(some.truth):
        return block | {"n_sources": 0}
    block |= score(some, classes, n_bootstrap, seed)
    block["n_sources"] = round(float(some.weight.sum()))  # repeats share the weight of a source
    nothing = {"value": None, "lo": None, "hi": None}
    for name in ("precision", "recall", "f1"):
        for label, count in block["members"].items():
            if not count:
                block[name][label] = dict(nothing)
    block["macro_f1"] = _macro_f1(some, members > 0, n_bootstrap, seed)
    return block


def _macro_f1(
    some: Predictions, there: Bool[np.ndarray, "C"], n_bootstrap: int, seed: int
) -> dict[str, float | None]:
    """Mean F1 of the classes that have members."""
    n_classes = len(there)
    cells = np.eye(n_classes**2)[some.truth * n_classes + some.prediction]

    def mean_f1(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        counts = sums.reshape(-1, n_classes, n_classes)
        hit = np.einsum("scc->sc", counts)
        f1 = ratio(2 * hit, counts.sum(1) + counts.sum(2))[:, there]
        return {"macro_f1": np.nan_to_num(f1).mean(1)}

    return entries(some, cells, mean_f1, n_bootstrap, seed)["macro_f1"]
