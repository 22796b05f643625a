"""The tables: scores of every variant on every shift, and paired differences to the first one."""

from pathlib import Path

import numpy as np

from xbayes.evaluate.paired import difference, shared_draws
from xbayes.evaluate.scores import Predictions

XRB, SEED, DRAWS = 2, 0, 1000
SCORES = (("log_loss", "log loss"), ("f1", "XRB F1"), ("ece", "ECE"))


def predictions_of(path: Path, estimated: bool = False) -> Predictions:
    """What a variant said of the test rows; a source that is there four times weighs four."""
    with np.load(path) as found:
        rows = found["tested"]
        prefix = ("estimated", "estimated_prediction") if estimated else ("posterior", "prediction")
        posterior, prediction = (found[name][rows] for name in prefix)
        truth, times = found["truth"][rows], found["times"][rows].astype(float)
    order = np.arange(len(truth))
    return Predictions(truth, posterior, prediction.astype(np.int64), order, times)


def print_tables(found: dict[tuple[str, str], Path], titles: dict[str, str]) -> None:
    """All at a glance, then a table a shift with paired differences; as Markdown."""
    print_summary(found, titles)
    for key, title in titles.items():
        paths = {name: path for (name, shift), path in found.items() if shift == key}
        if not paths:
            continue
        rows = {name: predictions_of(path) for name, path in paths.items()}
        for name in ("best", "default"):
            if name in paths:
                rows[f"{name}, --prior estimate"] = predictions_of(paths[name], True)
        print_shift(title, rows)


def print_summary(found: dict[tuple[str, str], Path], titles: dict[str, str]) -> None:
    """Log loss and XRB F1 of every variant on every shift."""
    shifts = [key for key in titles if any(shift == key for _, shift in found)]
    print("| variant |", " | ".join(shifts), "|")
    print("|---|" + "---|" * len(shifts))
    for name in dict.fromkeys(name for name, _ in found):
        for estimated in (False, True) if name in ("best", "default") else (False,):
            cells = []
            for key in shifts:
                if (name, key) not in found:
                    cells.append("")
                    continue
                rows = [predictions_of(found[name, key], estimated)]
                value = shared_draws(rows, XRB, 4, 2, SEED).value
                cells.append(f"{value['log_loss'][0]:.4f} / {value['f1'][0]:.2f}")
            print("|", " | ".join([name + ", prior estimated" * estimated, *cells]), "|")


def print_shift(title: str, rows: dict[str, Predictions]) -> None:
    """One table; differences are to the first row, 90 % intervals in brackets."""
    draws = shared_draws(list(rows.values()), XRB, 4, DRAWS, SEED)
    first = next(iter(rows.values()))
    n_xrb = int((first.truth == XRB).sum())
    print(f"\n### {title}\n\n{len(first.truth)} sources tested, {n_xrb} XRB.\n")
    print("| variant | log loss | XRB F1 | ECE | log loss - first | XRB F1 - first |")
    print("|---|---|---|---|---|---|")
    for v, name in enumerate(rows):
        cells = [f"{draws.value[score][v]:.{3 if score == 'f1' else 4}f}" for score, _ in SCORES]
        cells += [
            _change(difference(draws, score, 0, v)) if v else "" for score in ("log_loss", "f1")
        ]
        print("|", " | ".join([name, *cells]), "|", flush=True)


def _change(change: dict) -> str:
    return f"{change['value']:+.4f} ({change['lo']:+.4f} to {change['hi']:+.4f})"
