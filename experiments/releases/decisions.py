"""The decision rules compared: python experiments/releases/decisions.py

Every rule is applied to the same posteriors. Intervals of 90 % and probabilities are from one
bootstrap of the test rows for all rules (paired), with groups kept together.
"""

import numpy as np
from fits import fits, held_out_sample

from xbayes.classifier.decision import (
    Decision,
    by_class_weight,
    by_threshold,
    decide,
    fit_rule,
    threshold_for,
)

N_BOOTSTRAP = 2000
ARGMAX, WEIGHT, EXPECTED, CATALOGUE = "argmax", "f1", "expected_f1", "expected_f1, catalogue"
HIGH_PRECISION = "precision 0.9"
CASES = {
    "sources, random folds (seed 91)": "sources-91",
    "sources, random folds (seed 92)": "sources-92",
    "sources, random folds (seed 93)": "sources-93",
    "sources, blocks of longitude": "sky",
    "sources, faint after bright": "faint",
    "half A of the 2022 release": "2022",
    "detections, group folds": "detections",
}


def predictions(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The predictions of each rule for the test rows of all parts."""
    focus = int(parts[0]["focus"])
    made: dict[str, list[np.ndarray]] = {}
    for part in parts:
        posterior, sample = part["posterior"], held_out_sample(part)
        n_classes = posterior.shape[1]
        rules = {
            ARGMAX: by_class_weight(np.ones(n_classes)),
            WEIGHT: by_class_weight(part["class_weight"]),
            EXPECTED: fit_rule(Decision(kind="expected_f1"), focus, sample, 0),
            HIGH_PRECISION: fit_rule(Decision("precision", 0.9), focus, sample, 0),
        }
        for name, rule in rules.items():
            made.setdefault(name, []).append(decide(posterior, rule))
    whole = np.concatenate([part["posterior"] for part in parts])
    threshold = threshold_for(Decision(kind="expected_f1"), whole[:, focus])
    of_catalogue = decide(whole, by_threshold(whole.shape[1], focus, threshold))
    return {name: np.concatenate(of) for name, of in made.items()} | {CATALOGUE: of_catalogue}


def f1_of_draws(chosen: np.ndarray, member: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """F1 in each bootstrap draw."""
    size = copies @ (chosen.astype(float) + member)
    return 2 * (copies @ (chosen & member)) / np.maximum(size, 1e-9)


def compare(title: str, parts: list[dict[str, np.ndarray]]) -> list[str]:
    """The lines of one case."""
    focus = int(parts[0]["focus"])
    truth = np.concatenate([part["truth"] for part in parts])
    group = np.unique(np.concatenate([part["group"] for part in parts]), return_inverse=True)[1]
    n = int(group.max()) + 1
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), N_BOOTSTRAP)
    copies = np.vstack(
        [np.ones(len(truth)), drawn[:, group]]
    )  # the first draw: the rows themselves
    made, member = predictions(parts), truth == focus
    f1 = {name: f1_of_draws(p == focus, member, copies) for name, p in made.items()}
    lines = []
    for name, p in made.items():
        chosen = p == focus
        precision = member[chosen].mean() if chosen.any() else float("nan")
        cells = [f"{f1[name][0]:.3f}", f"{precision:.2f}", f"{chosen[member].mean():.2f}"]
        cells.append(f"{(p == truth).mean():.4f}")
        for other in (ARGMAX, WEIGHT):
            change = f1[name][1:] - f1[other][1:]
            low, high = np.quantile(change, [0.05, 0.95])
            larger = (change > 0).mean() + 0.5 * (change == 0).mean()
            text = f"{f1[name][0] - f1[other][0]:+.3f} ({low:+.3f} to {high:+.3f}), {larger:.2f}"
            cells.append("" if name == other else text)
        lines.append(f"| {title} | {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Print the table."""
    print(
        "| case | rule | F1 of XRB | precision | recall | accuracy | F1 - argmax, P | F1 - f1, P |"
    )
    print("|---" * 8 + "|")
    for title, name in CASES.items():
        print("\n".join(compare(title, list(fits([name]).values()))))


if __name__ == "__main__":
    main()
