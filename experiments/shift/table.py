"""Tables of the scores of every variant on every shift, with paired differences."""

from pathlib import Path

import numpy as np

from xbayes.evaluate.paired import difference, shared_draws
from xbayes.evaluate.scores import Predictions

XRB, SEED, DRAWS = 2, 0, 1000
SCORES = (("log_loss", "log loss"), ("f1", "XRB F1"), ("ece", "ECE"))


def predictions_of(path: Path, estimated: bool = False) -> Predictions:
    """Predictions of a variant for the test rows, weighted by how often each source occurs."""
    with np.load(path) as arrays:
        rows = arrays["tested"]
        prefix = ("estimated", "estimated_prediction") if estimated else ("posterior", "prediction")
        posterior, prediction = (arrays[name][rows] for name in prefix)
        truth, times = arrays["truth"][rows], arrays["times"][rows].astype(float)
    return Predictions(
        truth=truth,
        posterior=posterior,
        prediction=prediction.astype(np.int64),
        group=np.arange(len(truth)),
        weight=times,
    )


def print_tables(files: dict[tuple[str, str], Path], titles: dict[str, str]) -> None:
    """Print a summary, then one table per shift with paired differences, as Markdown."""
    print_summary(files, titles)
    for key, title in titles.items():
        paths = {name: path for (name, shift), path in files.items() if shift == key}
        if not paths:
            continue
        rows = {name: predictions_of(path) for name, path in paths.items()}
        for name in ("best", "default"):
            if name in paths:
                rows[f"{name}, --prior estimate"] = predictions_of(paths[name], True)
        print_shift(title, rows)


def print_summary(files: dict[tuple[str, str], Path], titles: dict[str, str]) -> None:
    """Print log loss and XRB F1 of every variant on every shift."""
    shifts = [key for key in titles if any(shift == key for _, shift in files)]
    print("| variant |", " | ".join(shifts), "|")
    print("|---|" + "---|" * len(shifts))
    for name in dict.fromkeys(name for name, _ in files):
        for estimated in (False, True) if name in ("best", "default") else (False,):
            cells = []
            for key in shifts:
                if (name, key) not in files:
                    cells.append("")
                    continue
                rows = [predictions_of(files[name, key], estimated)]
                value = shared_draws(rows, XRB, 4, 2, SEED).value
                cells.append(f"{value['log_loss'][0]:.4f} / {value['f1'][0]:.2f}")
            print("|", " | ".join([name + ", prior estimated" * estimated, *cells]), "|")


def print_shift(title: str, rows: dict[str, Predictions]) -> None:
    """Print one table; differences are to the first row, 90 % intervals in brackets.

    P is the probability that the row is better than the first one.
    """
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
    interval = f"{change['lo']:+.4f} to {change['hi']:+.4f}"
    return f"{change['value']:+.4f} ({interval}), P {change['p_better']:.3f}"
