"""`--prior estimate`, checked and plain: python experiments/releases/prior_shift.py

The log loss of a catalogue under the prior of the run, under the plain estimate, and under the
checked one (`evaluate.label_shift`). Label shift is made by removing sources of some classes from
random folds; each catalogue has sources of one fold, which its fit has not seen.
"""

import numpy as np
from fits import fits, held_out_sample

from xbayes.classifier.probabilities import clipped, with_prior
from xbayes.evaluate.label_shift import CheckedEstimate, checked_proportions

KEPT = {  # share of the sources of AGN, Star, XRB, CV that stay
    "a fifth of the AGN": (0.2, 1, 1, 1),
    "a fifth of the stars": (1, 0.2, 1, 1),
    "a fifth of AGN and stars": (0.2, 0.2, 1, 1),
    "a fifth of the XRB": (1, 1, 0.2, 1),
}
# Drawn again and again from the 15 XRB of a fold, which then weigh more than they can bear.
REPEATED = (0.40, 0.38, 0.20, 0.02)


def check(fit: dict[str, np.ndarray], rows: np.ndarray) -> CheckedEstimate:
    """The checked estimate for test rows of a fit."""
    log_prior = fit["log_prior"]
    return checked_proportions(
        held_out_sample(fit),
        log_prior,
        fit["posterior"][rows],
        fit["outlier_p"][rows],
        applied_log_prior=log_prior,
        seed=0,
    )


def losses(fit, rows, found: CheckedEstimate) -> np.ndarray:
    """The log loss of each row: prior of the run, plain estimate, checked estimate [3, N]."""
    posterior, truth = fit["posterior"][rows], fit["truth"][rows]
    own = np.exp(fit["log_prior"])
    made = [posterior] + [
        with_prior(posterior, own, share)
        for share in (found.estimate.proportions, found.proportions)
    ]
    return np.stack([-np.log(clipped(p)[np.arange(len(truth)), truth]) for p in made])


def line(title: str, loss: np.ndarray, found: list[CheckedEstimate]) -> str:
    """One line of the table."""
    before, plain, checked = loss.mean(1)
    change = loss[2] - loss[0]
    error = change.std() / np.sqrt(len(change))
    verdicts = [estimate.verdict for estimate in found]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    explained = np.median([estimate.test.explained for estimate in found])
    p_value = np.median([estimate.test.p_value for estimate in found])
    return (
        f"| {title} | {loss.shape[1]:,} | {before:.4f} | {plain:.4f} | {checked:.4f} | "
        f"{checked - before:+.4f} ± {error:.4f} | {counts} | {explained:.2f} | {p_value:.3f} |"
    )


def drawn_rows(rng, truth: np.ndarray, share: tuple[float, ...], n: int) -> np.ndarray:
    """Rows with these class proportions, drawn with replacement within each class."""
    classes = rng.choice(len(share), n, p=share)
    return np.array([rng.choice(np.flatnonzero(truth == c)) for c in classes])


def of_catalogues(title: str, catalogues: list[tuple[dict[str, np.ndarray], np.ndarray]]) -> str:
    """The line of several catalogues."""
    found = [check(*each) for each in catalogues]
    loss = [losses(*each, e) for each, e in zip(catalogues, found, strict=True)]
    return line(title, np.concatenate(loss, axis=1), found)


def main() -> None:
    """Print the table."""
    print(
        "| catalogue | rows | prior of the run | plain estimate | checked estimate | "
        "checked - run | verdicts | explained | p |"
    )
    print("|---" * 9 + "|")
    folds = list(fits(["sources-91", "sources-92", "sources-93"]).values())
    print(of_catalogues("random folds, no shift", [(f, np.arange(len(f["truth"]))) for f in folds]))
    rng = np.random.default_rng(1)
    for title, kept in KEPT.items():
        catalogues = [
            (fit, np.flatnonzero(rng.random(len(fit["truth"])) < np.array(kept)[fit["truth"]]))
            for fit in folds
        ]
        print(of_catalogues(f"label shift: {title}", catalogues))
    repeated = [(fit, drawn_rows(rng, fit["truth"], REPEATED, 400)) for fit in folds]
    print(of_catalogues("sources repeated: 20 % XRB", repeated))
    for name, fit in fits(["2022", "faint", "sky", "detections"]).items():
        print(of_catalogues(name, [(fit, np.arange(len(fit["truth"])))]))


if __name__ == "__main__":
    main()
