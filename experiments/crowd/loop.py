"""The closed loop on the simulated sky: votes on informative sources against random ones."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.stats import t

import xbayes
from xbayes.catalog.write import write_catalog
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.crowd.simulate import Crowd, simulate_votes
from xbayes.crowd.votes import OTHER, UNKNOWN
from xbayes.features.build import build_features
from xbayes.tasks.training import fit_training, load_training

DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
CLASSES = ("AGN", "Star", "XRB", "CV")
LABELLED, POOL, TEST = 300, 3000, 6000
CHOSEN, VOTES = 300, 6  # sources voted on, and votes for each
CROWD = Crowd(experts=5, novices=40, clickers=5, coordinated=0)


def fitted(table, settings):
    """A classifier learned from a table, and a function that gives its products for another."""
    config = load_config(DEMO, settings)
    training = load_training(config, table)
    recipe = build_recipe(training.config)
    classifier, _ = fit_training(training, recipe)

    def products(other, log_prior):
        features, _ = build_features(other, training.config)
        return classify(recipe, classifier, features, log_prior)

    return products


def f1_of(prediction, truth, c):
    """The F1 of one class."""
    both = (prediction == c) & (truth == c)
    return 2 * both.sum() / max((prediction == c).sum() + (truth == c).sum(), 1)


def loop(seeds: int = 5) -> None:
    """Print the XRB F1 on new sources before and after, by choice of the sources voted on."""
    found: dict[str, list] = {}
    for seed in range(seeds):
        for name, (f1, loss) in one_sky(seed).items():
            found.setdefault(name, []).append((f1, loss))
            print(f"seed {seed} {name}: XRB F1 {f1:.3f}, log loss {loss:.3f}", flush=True)
    values = {name: np.array(pairs) for name, pairs in found.items()}
    for name, pairs in values.items():
        mean, error = pairs.mean(0), pairs.std(0, ddof=1) / np.sqrt(len(pairs))
        print(f"{name}: XRB F1 {mean[0]:.3f} +- {error[0]:.3f}, log loss {mean[1]:.4f}")
    for one, other in (("informative", "before"), ("random", "before"), ("informative", "random")):
        difference = values[one] - values[other]
        mean = difference.mean(0)
        half = (
            t.ppf(0.95, len(difference) - 1) * difference.std(0, ddof=1) / np.sqrt(len(difference))
        )
        print(
            f"{one} - {other}: XRB F1 {mean[0]:+.3f} (90 % {mean[0] - half[0]:+.3f} to "
            f"{mean[0] + half[0]:+.3f}), log loss {mean[1]:+.4f} ({mean[1] - half[1]:+.4f} to "
            f"{mean[1] + half[1]:+.4f})"
        )


def one_sky(seed: int) -> dict[str, tuple[float, float]]:
    """XRB F1 and log loss of each choice, on one simulated sky."""
    sky = xbayes.simulate(LABELLED + POOL + TEST, seed=100 + seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sky))
    truth = np.array([CLASSES.index(name) for name in sky["Class"]])
    known, pool, test = np.split(order, [LABELLED, LABELLED + POOL])
    share = np.bincount(truth, minlength=4) / len(truth)
    log_prior = np.log(share)
    training = sky[np.concatenate([known, pool])]
    labels = np.array(training["Class"]).astype("U8")
    labels[LABELLED:] = ""
    training["Class"] = labels
    products = fitted(training, ())
    of_pool = products(sky[pool], log_prior)
    made = {"before": score(products(sky[test], log_prior), truth[test])}
    choices = {
        "informative": np.argsort(-of_pool.entropy)[:CHOSEN],
        "random": rng.choice(POOL, CHOSEN, replace=False),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in choices.items():
            rows = pool[chosen]
            file = Path(folder) / f"{name}.csv"
            write_catalog(labels_from_votes(sky, rows, truth, seed), file)
            settings = [f"catalog.crowd={file}", "taxonomy.labels=[reference, crowd]"]
            after = fitted(training, settings)
            made[name] = score(after(sky[test], log_prior), truth[test])
        exact = training.copy()
        exact["Class"][LABELLED + choices["informative"]] = np.array(sky["Class"])[
            pool[choices["informative"]]
        ]
        after = fitted(exact, ())
        made["informative, true labels"] = score(after(sky[test], log_prior), truth[test])
    return made


def labels_from_votes(sky: Table, rows, truth, seed: int) -> Table:
    """The labels that a crowd gives to the sources in these rows."""
    votes = simulate_votes(
        truth[rows], 4, CROWD, votes_per_source=np.full(len(rows), VOTES), seed=seed
    ).votes
    answers = np.array([*CLASSES, OTHER, UNKNOWN])[votes.answer]
    names = np.array(sky["name"])[rows][votes.source]
    table = Table({"source": names, "user": votes.user.astype(str), "answer": answers})
    return xbayes.aggregate_votes(table, classes=CLASSES, intervals=False).labels


def score(products, truth):
    """XRB F1 and log loss."""
    own = np.maximum(products.posterior[np.arange(len(truth)), truth], 1e-9)
    return f1_of(products.prediction, truth, CLASSES.index("XRB")), float(-np.log(own).mean())
