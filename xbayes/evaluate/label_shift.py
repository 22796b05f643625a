"""Class proportions of a catalogue, if they alone explain how it differs from training.

Under prior (label) shift the sources of each class look like its labelled sources, so that the
products of a catalogue are distributed as a mixture of those of the classes:

    share of sources in bin b  =  sum over classes of  pi_c * (share of the held-out members of c)

The bins are those of the posterior of each class and of the outlier p-value, all under the training
prior. The misfit of proportions pi is the Kullback-Leibler divergence of the mixture from the
catalogue, a mean over these distributions, in nats. It is compared with the misfit of bootstrap
catalogues that are drawn from the mixture, with the held-out sample drawn again too, in groups.
The test is of the assumption of `evaluate.proportions`, not of the class proportions.

`checked_proportions` acts on it: it uses the estimate, shrinks it, or keeps the prior of the run.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.held_out import HeldOutSample, reweighted
from xbayes.evaluate.proportions import Estimate, estimate_proportions

P_EDGES = np.array([0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99])  # of the posterior of a class
OUTLIER_EDGES = np.array([0.01, 0.05, 0.2, 0.5])
N_BOOTSTRAP = 200
EM_STEPS = 300
# Of each class: half spread like the mean over classes, half evenly. No bin is impossible.
PSEUDO_MEMBERS = 1.0


ACCEPTED, SHRUNK, UNCHANGED, DECLINED = "accepted", "shrunk", "unchanged", "declined"
LEAST_P = 0.1  # of a misfit that is ordinary
# For a shrunk estimate. Random folds of the Chandra sources have an excess of up to 0.011 nats over
# bootstrap catalogues, because new sources are classified by densities of more sources.
LEAST_EXPLAINED, LARGEST_EXCESS = 0.9, 0.012
# In a catalogue of few sources the test has little power, so that its estimate counts less: as much
# as that of these many sources. Half at 200 sources, 0.91 at 2,000.
PSEUDO_SOURCES = 200


class ShiftTest(NamedTuple):
    """How well class proportions explain a catalogue."""

    p_value: float  # of the best proportions: small if no proportions explain the catalogue
    p_of_given: float  # of the given proportions: small if the catalogue has others
    excess: float  # of the misfit of the best proportions over that of bootstrap catalogues, nats
    explained: float  # share of the misfit of the given proportions that the best ones remove
    outliers: float  # share of sources with an outlier p-value of at most 0.05
    outliers_expected: float  # the same, of held-out sources of these proportions


class CheckedEstimate(NamedTuple):
    """The class proportions to apply to a catalogue, and why."""

    proportions: Float[np.ndarray, "C"]  # to apply: the estimate, shrunk, or those of the run
    verdict: str  # accepted, shrunk, unchanged (those of the run explain it as well) or declined
    estimate: Estimate  # from the posteriors; not to be trusted if declined
    test: ShiftTest
    weight: float  # of the estimate in the proportions to apply, in log odds

    def interval(self) -> Float[np.ndarray, "2 C"]:
        """The 90 % interval of the proportions of each class."""
        return self.estimate.interval()

    def text(self, classes: Sequence[str]) -> str:
        """What was found, and what is applied."""
        if self.verdict == DECLINED:
            return self._why_declined()
        (low, high), estimate = self.interval(), self.estimate.proportions
        named = zip(classes, estimate, low, high, strict=True)
        found = ", ".join(f"{c} {p:.3f} ({lo:.3f}-{hi:.3f})" for c, p, lo, hi in named)
        found = f"class proportions estimated from the catalogue (90 % intervals): {found}"
        if self.verdict == UNCHANGED:
            return (
                f"{found}; the prior of the run explains the catalogue as well "
                f"(p = {self.test.p_of_given:.2g}) and is kept"
            )
        pairs = zip(classes, self.proportions, strict=True)
        applied = ", ".join(f"{c} {p:.3f}" for c, p in pairs)
        wider = ""
        if self.verdict == SHRUNK:
            wider = (
                f"; proportions explain {self.test.explained:.0%} of the difference to the "
                "training sample, so the intervals reach to the prior of the run"
            )
        return (
            f"{found}; applied, with weight {self.weight:.2f} against the prior of the run: "
            f"{applied}{wider}"
        )

    def _why_declined(self) -> str:
        test = self.test
        return (
            "prior 'estimate' is declined: class proportions alone do not explain the difference "
            f"between this catalogue and the training sample (they explain {test.explained:.0%} of "
            f"it, p = {test.p_value:.2g}; {test.outliers:.0%} of the sources have an outlier_p of "
            f"at most 0.05, {test.outliers_expected:.0%} expected), so an estimate would be wrong; "
            "the prior of the run is kept. If you know the proportions, give them as prior; a run "
            "trained for this catalogue may help: xbayes run CONFIG --target FILE"
        )


def checked_proportions(
    sample: HeldOutSample,
    log_prior: Float[np.ndarray, "C"],
    posterior: Float[np.ndarray, "N C"],
    outlier_p: Float[np.ndarray, "N"],
    *,
    applied_log_prior: Float[np.ndarray, "*R C"],
    seed: int,
) -> CheckedEstimate:
    """The proportions to apply to a catalogue, from the posteriors of its sources.

    Parameters
    ----------
    sample
        The labelled sources, under the training prior `log_prior`.
    posterior, outlier_p
        Of the catalogue, under `applied_log_prior`, the prior of the run, or of each source.
    """
    ordinary, _ = reweighted(posterior, applied_log_prior, log_prior)
    own = np.exp(np.asarray(applied_log_prior, np.float64))
    own = own if own.ndim == 1 else own.mean(0)
    test = label_shift_test(sample, ordinary, outlier_p, own, seed)
    estimate = estimate_proportions(posterior, applied_log_prior, jax.random.key(seed))
    weight = test.explained * len(posterior) / (len(posterior) + PSEUDO_SOURCES)
    if test.p_value > LEAST_P and test.p_of_given > LEAST_P:
        verdict, weight = UNCHANGED, 0.0
    elif test.p_value > LEAST_P:
        verdict = ACCEPTED
    elif test.explained >= LEAST_EXPLAINED and test.excess <= LARGEST_EXCESS:
        verdict = SHRUNK
    else:
        verdict, weight = DECLINED, 0.0
    if verdict == SHRUNK:
        # The true proportions may lie anywhere from those of the run to the estimate.
        part = np.random.default_rng(seed).random((len(estimate.draws), 1))
        estimate = estimate._replace(draws=_between(own, estimate.draws, part))
    return CheckedEstimate(
        proportions=_between(own, estimate.proportions, weight),
        verdict=verdict,
        estimate=estimate,
        test=test,
        weight=weight,
    )


def _between(
    own: Float[np.ndarray, "C"],
    other: Float[np.ndarray, "*S C"],
    weight: float | Float[np.ndarray, "S 1"],
) -> Float[np.ndarray, "*S C"]:
    """Proportions between two, by the weight of the other one in log odds."""
    share = np.exp((1 - weight) * np.log(own) + weight * np.log(np.maximum(other, 1e-300)))
    return share / share.sum(-1, keepdims=True)


def label_shift_test(
    sample: HeldOutSample,
    posterior: Float[np.ndarray, "N C"],
    outlier_p: Float[np.ndarray, "N"],
    proportions: Float[np.ndarray, "C"],
    seed: int,
) -> ShiftTest:
    """The test for a catalogue with these posteriors under the training prior.

    `proportions` are those that the catalogue is compared with, such as those of the run.
    """
    member = np.eye(posterior.shape[1])[np.asarray(sample.class_index)]  # [L, C]
    held_out = _binned(np.asarray(sample.posterior), np.asarray(sample.outlier_p))  # [L, M]
    found = _binned(posterior, outlier_p).mean(0)[None]
    of_class = _class_shares(np.ones((1, len(member))), member, held_out)
    best = _best_proportions(found, of_class)
    misfit = _misfit(found, of_class, best)[0]
    before = _misfit(found, of_class, np.asarray(proportions)[None])[0]

    copies = _copies_of_groups(np.random.default_rng(seed), np.asarray(sample.group))
    shares = _class_shares(copies, member, held_out)

    def bootstrap(proportions: Float[np.ndarray, "C"]) -> Float[np.ndarray, "R M"]:
        """The shares of sources in each bin, of catalogues with these proportions."""
        chance = member @ (proportions / np.maximum(member.sum(0), 1.0))
        rng = np.random.default_rng(seed + 1)
        drawn = rng.multinomial(len(posterior), chance / chance.sum(), N_BOOTSTRAP)
        return drawn @ held_out / len(posterior)

    of_best, of_given = bootstrap(best[0]), bootstrap(np.asarray(proportions, np.float64))
    ordinary = _misfit(of_best, shares, _best_proportions(of_best, shares))
    ordinary_before = _misfit(of_given, shares, np.tile(proportions, (N_BOOTSTRAP, 1)))
    excess, difference = (max(m - np.median(ordinary), 0.0) for m in (misfit, before))
    low = [slice(None), slice(-len(OUTLIER_EDGES) - 1, -len(OUTLIER_EDGES) + 1)]
    return ShiftTest(
        p_value=float((1 + (ordinary >= misfit).sum()) / (N_BOOTSTRAP + 1)),
        p_of_given=float((1 + (ordinary_before >= before).sum()) / (N_BOOTSTRAP + 1)),
        excess=float(excess),
        explained=1.0 if excess == 0 else float(max(0.0, 1.0 - excess / difference)),
        outliers=float(found[tuple(low)].sum()),
        outliers_expected=float((best @ of_class[0])[tuple(low)].sum()),
    )


def _binned(
    posterior: Float[np.ndarray, "N C"], outlier_p: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N M"]:
    """1 in the bin of each class's posterior and in that of the outlier p-value, else 0."""
    bins = [np.eye(len(P_EDGES) + 1)[np.searchsorted(P_EDGES, p, "right")] for p in posterior.T]
    of_outlier = np.searchsorted(OUTLIER_EDGES, outlier_p, "left")  # p of at most the edge
    return np.concatenate([*bins, np.eye(len(OUTLIER_EDGES) + 1)[of_outlier]], axis=1)


def _class_shares(
    copies: Float[np.ndarray, "R L"],
    member: Float[np.ndarray, "L C"],
    binned: Float[np.ndarray, "L M"],
) -> Float[np.ndarray, "R C M"]:
    """The share of the held-out members of each class in each bin, for R numbers of copies."""
    size = copies @ member
    counts = np.stack([(copies * of_class) @ binned for of_class in member.T], axis=1)
    like_classes = (member / np.maximum(member.sum(0), 1.0)).mean(1) @ binned
    prior = 0.5 * (like_classes + _evenly(member.shape[1]))
    return (counts + PSEUDO_MEMBERS * prior) / (size + PSEUDO_MEMBERS)[..., None]


def _evenly(n_classes: int) -> Float[np.ndarray, "M"]:
    """The same share in each bin of a distribution."""
    n_bins = [len(P_EDGES) + 1] * n_classes + [len(OUTLIER_EDGES) + 1]
    return np.concatenate([np.full(n, 1 / n) for n in n_bins])


def _best_proportions(
    found: Float[np.ndarray, "R M"], of_class: Float[np.ndarray, "R C M"]
) -> Float[np.ndarray, "R C"]:
    """The proportions of least misfit, by expectation and maximisation."""
    share = np.full(of_class.shape[:2], 1 / of_class.shape[1])
    for _ in range(EM_STEPS):
        mixture = np.einsum("rc,rcm->rm", share, of_class)
        share = share * np.einsum("rm,rcm->rc", found / mixture, of_class)
        share /= share.sum(1, keepdims=True)
    return share


def _misfit(
    found: Float[np.ndarray, "R M"],
    of_class: Float[np.ndarray, "R C M"],
    proportions: Float[np.ndarray, "R C"],
) -> Float[np.ndarray, "R"]:
    """The mean divergence over the distributions of the bins, in nats."""
    mixture = np.einsum("rc,rcm->rm", proportions, of_class)
    n_distributions = found.sum(1)  # the bins of each distribution sum to 1
    ratio = np.where(found > 0, found / mixture, 1.0)
    return (found * np.log(ratio)).sum(1) / n_distributions


def _copies_of_groups(
    rng: np.random.Generator, group: Int[np.ndarray, "L"]
) -> Float[np.ndarray, "R L"]:
    """Copies of each row in bootstrap samples, in which groups are kept together."""
    _, member = np.unique(group, return_inverse=True)
    n = int(member.max()) + 1
    return rng.multinomial(n, np.full(n, 1 / n), N_BOOTSTRAP)[:, member].astype(float)
