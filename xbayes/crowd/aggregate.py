"""From votes to labels: the posterior class of each source, and the skill of each volunteer.

read votes -> one vote per source and volunteer -> merge copies -> point estimates
-> posterior samples -> labels, skills
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Float, Int

from xbayes.catalog.inputs import as_table
from xbayes.crowd.copies import Merged, merge_copies
from xbayes.crowd.em import PointFit, fit_point
from xbayes.crowd.gibbs import USUAL_PLAN, Draws, SweepPlan, sample_posterior
from xbayes.crowd.model import FULL, CrowdOptions
from xbayes.crowd.read_votes import Ballots, ballots_of, class_names
from xbayes.crowd.run_prior import RunPrior, run_prior
from xbayes.crowd.skill import INTERVAL, Skill, over_difficulty, point_skill, sampled_skill
from xbayes.crowd.votes import Votes
from xbayes.crowd.zooniverse import votes_of_export
from xbayes.errors import InputError
from xbayes.tasks.precision import in_precision

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike
    from xbayes.tasks.fitted_run import FittedRun

LARGE = 200_000  # votes; beyond it, fewer sweeps are as precise and take less time
SETTLED, LEAST_VOTES = 0.95, 2


class SettleRule(NamedTuple):
    """When a source needs no more votes."""

    probability: float = SETTLED  # of the most probable class: the lower end of its interval
    least_votes: int = LEAST_VOTES


USUAL_RULE = SettleRule()


class Aggregated(NamedTuple):
    """What the votes say."""

    labels: Table  # one row per source
    users: Table  # one row per volunteer
    messages: tuple[str, ...]


class Labelled(NamedTuple):
    """The result for arrays of votes."""

    posterior: Float[np.ndarray, "N C"]
    interval: Float[np.ndarray, "N C 2"]  # 90 %; both ends are the posterior without samples
    skill: Skill  # of the U volunteers, before copies were merged
    guesses: Float[np.ndarray, "U"]  # probability that the volunteer guesses
    group: Int[np.ndarray, "U"]  # number of the group of copies; 0: independent
    hard: Float[np.ndarray, "N"]  # probability that the source is hard
    n_votes: Int[np.ndarray, "N"]  # votes that count: a group of copies has one
    fit: PointFit
    draws: Draws | None


def aggregate_arrays(
    votes: Votes,
    log_prior: Float[np.ndarray, "N C"] | None = None,
    *,
    intervals: bool = True,
    copies: bool = True,
    options: CrowdOptions = FULL,
    plan: SweepPlan | None = None,
    seed: int = 0,
) -> Labelled:
    """The posterior class of each source and the skill of each volunteer.

    Args:
        votes: One vote per source and volunteer, sorted by source.
        log_prior: Log prior of the class of each source; None: the class proportions are learned.
        intervals: Whether to draw posterior samples; else these are point estimates.
        copies: Whether volunteers who copy each other are merged.
        options: Parts of the model.
        plan: Number of sweeps; None: by the number of votes.
        seed: Of the random numbers.
    """
    unmerged = np.arange(votes.n_users)
    merged = Merged(votes=votes, voice=unmerged, group=np.zeros(votes.n_users, int))
    if copies:
        merged = merge_copies(votes, seed)
    counted = merged.votes
    with in_precision("float64"):
        fit = fit_point(counted, log_prior, options)
        draws = None
        if intervals:
            plan = plan or plan_for(len(counted.source))
            draws = sample_posterior(
                counted, fit, seed, log_prior=log_prior, options=options, plan=plan
            )
    if draws is None:
        posterior = np.asarray(fit.posterior)
        interval = np.stack([posterior, posterior], axis=-1)
        average = over_difficulty(np.asarray(fit.matrix), fit.population)
        skill, guesses = point_skill(average, posterior.mean(0)), np.asarray(fit.kinds)[:, -1]
        hard = np.asarray(fit.hard)
    else:
        posterior = draws.posterior.mean(0, dtype=np.float64)
        interval = _quantiles(draws.posterior)
        skill = sampled_skill(draws.right, draws.answers, draws.proportions)
        guesses, hard = draws.guesses, draws.hard
    return Labelled(
        posterior=posterior / posterior.sum(1, keepdims=True),
        interval=interval,
        skill=jax.tree.map(lambda part: part[merged.voice], skill),
        guesses=guesses[merged.voice],
        group=merged.group,
        hard=hard,
        n_votes=np.bincount(counted.source, minlength=counted.n_sources),
        fit=fit,
        draws=draws,
    )


def plan_for(n_votes: int) -> SweepPlan:
    """The number of sweeps for so many votes."""
    return SweepPlan(warmup=60, draws=160, thin=2) if n_votes > LARGE else USUAL_PLAN


def _quantiles(posterior: Float[np.ndarray, "S N C"]) -> Float[np.ndarray, "N C 2"]:
    # In parts, because the quantiles need a copy in double precision.
    size = 20_000
    parts = [
        np.quantile(posterior[:, first : first + size], INTERVAL, axis=0)
        for first in range(0, posterior.shape[1], size)
    ]
    return np.moveaxis(np.concatenate(parts, axis=1), 0, -1)


def is_settled(labelled: Labelled, rule: SettleRule) -> Bool[np.ndarray, "N"]:
    """Sources whose most probable class is certain enough, with enough votes."""
    best = labelled.posterior.argmax(1)
    low = labelled.interval[np.arange(len(best)), best, 0]
    return (low >= rule.probability) & (labelled.n_votes >= rule.least_votes)


def aggregate_votes(
    votes: "CatalogLike",
    *,
    run: "str | os.PathLike[str] | FittedRun | None" = None,
    catalog: "CatalogLike | None" = None,
    prior: bool = False,
    classes: Sequence[str] = (),
    zooniverse: str | None = None,
    subject_key: str = "source",
    answers: Mapping[str, str] | None = None,
    intervals: bool = True,
    copies: bool = True,
    settle: SettleRule = USUAL_RULE,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda share, step: None,
) -> Aggregated:
    """Labels with a posterior for each source, and the skill of each volunteer.

    Parameters
    ----------
    votes
        A table with the columns source, user, answer (a class, ``other`` or ``unknown``) and
        optionally time, as a file or in memory. Of several votes of a volunteer on a source the
        last one counts.
    run
        The run whose classes the answers name, and whose sources they are about.
    catalog
        The catalogue that holds the sources; None: the catalogue of the run.
    prior
        Use the run's posterior of each source as the prior of its class. Out-of-fold posteriors are
        used for training sources, and class proportions for those that votes labelled.
    classes
        The classes, if there is no run; empty: the answers that were given.
    zooniverse
        The task, such as ``"T0"``, if the votes are a Zooniverse classification export.
    subject_key
        The key of the subject metadata that holds the id of the source, for such an export.
    answers
        What answers of other names mean, such as ``{"X-ray binary": "XRB"}``.
    intervals
        Draw posterior samples, which give the intervals; False is quicker.
    copies
        Merge volunteers who copy each other into one.
    settle
        When a source is settled.
    seed
        Of the random numbers.
    progress
        Called with the completed share, in [0, 1], and the step that begins.

    Raises
    ------
    InputError
        For votes that cannot be read, unknown answers, or sources that are not in the run.

    Examples
    --------
    >>> from astropy.table import Table
    >>> votes = Table({"source": ["A", "A", "B", "B"], "user": ["u", "v", "u", "v"],
    ...                "answer": ["AGN", "AGN", "XRB", "unknown"]})
    >>> made = xbayes.aggregate_votes(votes, intervals=False)
    >>> made.labels.colnames[:4]
    ['source', 'p_AGN', 'p_XRB', 'entropy']
    """
    progress(0.0, "reading the votes")
    if zooniverse is not None:
        table, about_file = votes_of_export(votes, zooniverse, subject_key)
    else:
        table, about_file = as_table(votes, text=["source", "user", "answer"]), ()
    of_run: RunPrior | None = None
    names = class_names(table, classes, answers or {})
    if run is not None:
        of_run = run_prior(run, catalog, classify=prior)
        names = of_run.classes
    ballots = ballots_of(table, names, answers or {}, known=None if of_run is None else of_run.ids)
    log_prior = None
    if prior:
        log_prior = _prior_of(ballots, of_run)
    progress(0.1, "fitting the model of votes")
    labelled = aggregate_arrays(
        ballots.votes, log_prior, intervals=intervals, copies=copies, seed=seed
    )
    messages = (*about_file, *ballots.messages, *_about(labelled))
    if of_run is not None and prior:
        messages += of_run.messages
    id_ = "source" if of_run is None else of_run.id_column
    labels = label_table(ballots, labelled, settle, id_column=id_, log_prior=log_prior)
    return Aggregated(labels=labels, users=user_table(ballots, labelled), messages=messages)


def _prior_of(ballots: Ballots, of_run: RunPrior | None) -> Float[np.ndarray, "N C"]:
    if of_run is None or of_run.log_prior is None:
        raise InputError("--prior (prior=True) needs a run that gives the posteriors; give --run")
    at = {name: row for row, name in enumerate(of_run.ids.tolist())}
    return of_run.log_prior[[at[name] for name in ballots.sources.tolist()]]


def _about(labelled: Labelled) -> list[str]:
    messages = []
    for number in range(1, int(labelled.group.max(initial=0)) + 1):
        size = int((labelled.group == number).sum())
        messages.append(
            f"{size} volunteers copy each other and count as one (group {number} in the table of "
            "volunteers)"
        )
    guessing = int((labelled.guesses > 0.5).sum())
    if guessing:
        messages.append(f"{guessing} volunteers answer without regard to the source (p_guesses)")
    return messages


def label_table(
    ballots: Ballots,
    labelled: Labelled,
    rule: SettleRule,
    *,
    id_column: str = "source",
    log_prior: Float[np.ndarray, "N C"] | None = None,
) -> Table:
    """The table of the sources that have votes."""
    posterior = labelled.posterior
    entropy = -(posterior * np.log(np.maximum(posterior, 1e-300))).sum(1)
    table = Table()
    table[id_column] = Column(ballots.sources, description="source")
    for c, name in enumerate(ballots.classes):
        table[f"p_{name}"] = Column(posterior[:, c], description=f"probability of {name}")
    table["entropy"] = Column(entropy, unit="nat", description="entropy of these probabilities")
    table["n_votes"] = Column(labelled.n_votes, description="votes that count")
    table["settled"] = Column(is_settled(labelled, rule), description="needs no more votes")
    table["p_hard"] = Column(labelled.hard, description="probability that votes on it are guesses")
    if labelled.draws is not None:
        for c, name in enumerate(ballots.classes):
            for end, which in enumerate(("lo", "hi")):
                text = f"{'lower' if end == 0 else 'upper'} end of the 90 % interval of p_{name}"
                table[f"p_{name}_{which}"] = Column(labelled.interval[:, c, end], description=text)
    if log_prior is not None:
        for c, name in enumerate(ballots.classes):
            text = f"probability of {name} before the votes, from the run"
            table[f"prior_{name}"] = Column(np.exp(log_prior[:, c]), description=text)
    return table


def user_table(ballots: Ballots, labelled: Labelled) -> Table:
    """The table of the volunteers with their skill."""
    skill, votes = labelled.skill, ballots.votes
    size = np.bincount(votes.user, minlength=votes.n_users)
    unknown = np.bincount(votes.user, votes.answer == votes.n_classes + 1, minlength=votes.n_users)
    table = Table()
    columns = {
        "user": (ballots.users, "volunteer"),
        "n_votes": (size, "number of votes"),
        "skill": (skill.right, "probability of the right answer"),
        "skill_lo": (skill.right_interval[:, 0], "lower end of its 90 % interval"),
        "skill_hi": (skill.right_interval[:, 1], "upper end of its 90 % interval"),
        "corrected": (skill.corrected, "skill corrected for chance: 0 by chance, 1 always right"),
        "corrected_lo": (skill.corrected_interval[:, 0], "lower end of its 90 % interval"),
        "corrected_hi": (skill.corrected_interval[:, 1], "upper end of its 90 % interval"),
        "share_unknown": (unknown / np.maximum(size, 1), "share of the answer unknown"),
        "p_guesses": (labelled.guesses, "probability that the answers ignore the source"),
        "group": (labelled.group, "number of the group of volunteers who copy; 0: independent"),
    }
    for name, (values, text) in columns.items():
        table[name] = Column(values, description=text)
    return table
