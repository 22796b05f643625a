"""Scores of votes of simulated detections: experiments/detections_to_sources/run.py [OUT]."""

import sys
from pathlib import Path

import numpy as np
from astropy.table import Table

from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import FittedModel, load_fitted_model
from xbayes.config.reader import load_config
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.evaluate.votes import combine, effective_number, learn_rho, mean_log_odds, vote
from xbayes.simulate.catalog import simulate_catalog, simulate_detections
from xbayes.tasks.classify import classify_table
from xbayes.tasks.pool_detections import pool_detections
from xbayes.tasks.precision import use_precision
from xbayes.tasks.run import run_experiment

HERE = Path(__file__).parent
TRAINING, SKY = (4000, 31), (20_000, 32)  # sources and seed of the two simulated skies
NUMBERS = {"1": (1, 1), "2": (2, 2), "3-4": (3, 4), "5 or more": (5, 999), "all": (1, 999)}
BOOTSTRAP = 1000


def detections(n: int, seed: int) -> Table:
    """The detections of a simulated sky."""
    return simulate_detections(simulate_catalog(n, seed), seed)


def sources(
    classified: Table, model: FittedModel
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Class probabilities [N C] by vote, and the class and number of detections of each source.

    Contains only the half of the sources that rho is not fitted on. A hard vote gives shares of
    votes.
    """
    classes = tuple(classified.meta["CLASSES"].split(","))
    log_prior = np.log(classified.meta["PRIOR"])
    posterior = np.column_stack([np.asarray(classified[f"p_{c}"]) for c in classes])
    _, first, source = np.unique(classified["name"], return_index=True, return_inverse=True)
    truth = np.array([classes.index(label) for label in classified["Class"][first]])
    prediction = posterior.argmax(-1)
    learning = np.random.default_rng(SKY[1]).random(len(truth)) < 0.5
    evidence = mean_log_odds(posterior, log_prior, source)
    number = np.bincount(source)
    fit = learn_rho(evidence, number, log_prior, np.where(learning, truth, -1))
    votes = vote(posterior, prediction, source, log_prior, fit.rho)
    shares = vote(np.eye(len(classes))[prediction], prediction, source, log_prior, 1.0).mean
    effective = ", ".join(f"{n:.2f}" for n in effective_number(np.array([2, 5, 10]), fit.rho))
    print(f"rho = {fit.rho:.3f}, fitted on {fit.n_sources} sources: ", end="")
    print(f"2, 5 and 10 detections count as {effective}")
    rho = pool_detections(classified, "name", model=model).rho
    print(f"rho = {rho:.3f} from the held-out detections of the run\n")
    print(f"uniquely classified: {votes.unique.mean():.3f} of all sources; of these")
    for name, chosen in (("unique", votes.unique), ("ambiguous", ~votes.unique)):
        right = (votes.soft == truth)[chosen & (number > 1)].mean()
        print(f"{name}, two or more detections: the soft class is right for {right:.3f}")
    probabilities = {
        "hard vote": shares,
        "soft vote": votes.mean,
        "combined, independent (rho = 0)": combine(evidence, number, log_prior, 0.0),
        "combined, as one (rho = 1)": combine(evidence, number, log_prior, 1.0),
        f"combined, learned (rho = {fit.rho:.2f})": votes.combined,
    }
    # Ties of a hard vote are not always resolved in favour of the first class.
    probabilities["hard vote"] = shares + 1e-9 * np.eye(len(classes))[votes.hard]
    scored = ~learning
    return {name: p[scored] for name, p in probabilities.items()}, truth[scored], number[scored]


def predictions(posterior: np.ndarray, truth: np.ndarray) -> Predictions:
    """Predictions of the most probable class; every source is its own group."""
    n = len(truth)
    return Predictions(
        truth=truth,
        posterior=posterior,
        prediction=posterior.argmax(-1),
        group=np.arange(n),
        weight=np.ones(n),
    )


def table(
    probabilities: dict, truth: np.ndarray, number: np.ndarray, classes: tuple[str, ...]
) -> None:
    """Print accuracy, F1 of XRB and log loss by number of detections."""
    print("\n| detections | vote | accuracy | XRB F1 | log loss | mean confidence |")
    print("|---|---|---|---|---|---|")
    for title, (low, high) in NUMBERS.items():
        rows = (number >= low) & (number <= high)
        for name, posterior in probabilities.items():
            scores = score(predictions(posterior[rows], truth[rows]), classes, BOOTSTRAP, 1)
            cells = [scores["accuracy"], scores["f1"]["XRB"], scores["log_loss"]]
            text = " | ".join(f"{c['value']:.3f} ({c['lo']:.3f}-{c['hi']:.3f})" for c in cells)
            confidence = posterior[rows].max(-1).mean()
            print(f"| {title} ({rows.sum()}) | {name} | {text} | {confidence:.3f} |", flush=True)


def differences(probabilities: dict, truth: np.ndarray, classes: tuple[str, ...]) -> None:
    """Print paired differences of the learned combination and each other vote."""
    *others, best = probabilities
    print("\n| learned minus | accuracy | XRB F1 | log loss |")
    print("|---|---|---|---|")
    for name in others:
        first, second = (predictions(probabilities[vote], truth) for vote in (name, best))
        change = paired_differences(first, second, classes, BOOTSTRAP, 1)
        cells = [change["accuracy"], change["f1"]["XRB"], change["log_loss"]]
        text = " | ".join(f"{c['value']:+.3f} ({c['lo']:+.3f} to {c['hi']:+.3f})" for c in cells)
        print(f"| {name} | {text} |")


def main(out: Path) -> None:
    """Train on one sky, classify and pool another, score."""
    config = load_config(HERE / "config.yaml", ["model.penalty=auto", "validation.folds=5"])
    use_precision(config)
    out.mkdir(parents=True, exist_ok=True)
    write_catalog(detections(*TRAINING), out / "training.parquet", overwrite=True)
    run = run_experiment(config, out / "training.parquet", out=out / "run", overwrite=True)
    model = load_fitted_model(run)
    classified = classify_table(model, detections(*SKY))
    print(f"{len(classified)} detections of {SKY[0]} sources classified")
    probabilities, truth, number = sources(classified, model)
    classes = tuple(config.taxonomy.classes)
    table(probabilities, truth, number, classes)
    differences(probabilities, truth, classes)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/detections_to_sources"))
