"""Four crowds: accuracy and log loss of majority vote, of Dawid & Skene and of the model."""

import numpy as np

from xbayes.crowd.aggregate import aggregate_arrays
from xbayes.crowd.em import fit_point
from xbayes.crowd.model import PLAIN, CrowdOptions
from xbayes.crowd.simulate import Crowd, simulate_votes
from xbayes.crowd.votes import majority_vote

CROWDS = {
    "experts": Crowd(experts=80, novices=0, clickers=0, coordinated=0),
    "experts and novices": Crowd(experts=10, novices=70, clickers=0, coordinated=0),
    "half random clickers": Crowd(experts=5, novices=35, clickers=40, coordinated=0),
    "a coordinated group": Crowd(experts=8, novices=42, clickers=10, coordinated=20),
}
PROPORTIONS, N_SOURCES, VOTES = (0.55, 0.25, 0.12, 0.08), 2000, 6.0


def scores(posterior, truth):
    """Accuracy, and the log loss of each source."""
    own = np.maximum(posterior[np.arange(len(truth)), truth], 1e-9)
    return posterior.argmax(1) == truth, -np.log(own)


def interval(difference, rng):
    """The mean of a paired difference and its 90 % interval over sources."""
    means = [rng.choice(difference, len(difference)).mean() for _ in range(1000)]
    return difference.mean(), *np.quantile(means, [0.05, 0.95])


def groups(seeds: int = 3, first: int = 100) -> None:
    """Print a row for each crowd and method; gains are over majority vote, on the same sources."""
    print("| crowd | method | accuracy | log loss | gain in accuracy | gain in log loss |")
    print("|---|---|---|---|---|---|")
    for name, crowd in CROWDS.items():
        found: dict[str, list] = {}
        for seed in range(first, first + seeds):
            rng = np.random.default_rng(seed)
            truth = rng.choice(4, N_SOURCES, p=PROPORTIONS)
            made = simulate_votes(truth, 4, crowd, votes_per_source=VOTES, seed=seed)
            labelled = aggregate_arrays(made.votes, seed=seed)
            methods = {
                "majority vote": majority_vote(made.votes),
                "Dawid & Skene": fit_point(made.votes, options=PLAIN).posterior,
                "without merging copies": fit_point(made.votes).posterior,
                "point estimates": aggregate_arrays(made.votes, intervals=False).posterior,
                "one level, no difficulty": fit_point(
                    made.votes, options=CrowdOptions(1, False, False)
                ).posterior,
                "posterior": labelled.posterior,
            }
            for method, posterior in methods.items():
                found.setdefault(method, []).append(scores(posterior, truth))
            flagged = [int((labelled.group[made.kind == kind] > 0).sum()) for kind in range(4)]
            print(f"<!-- {name}, seed {seed}: merged by kind {flagged} -->", flush=True)
        rng = np.random.default_rng(0)
        right = {m: np.concatenate([r for r, _ in f]).astype(float) for m, f in found.items()}
        loss = {m: np.concatenate([x for _, x in f]) for m, f in found.items()}
        for method in found:
            a = interval(right[method] - right["majority vote"], rng)
            b = interval(loss["majority vote"] - loss[method], rng)
            gains = [f"{g[0]:+.3f} ({g[1]:+.3f} to {g[2]:+.3f})" for g in (a, b)]
            print(
                f"| {name} | {method} | {right[method].mean():.3f} | {loss[method].mean():.3f} | "
                f"{' | '.join(gains)} |",
                flush=True,
            )
