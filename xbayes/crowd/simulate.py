"""Simulated votes with known truth: experts, novices, random clickers and a coordinated group."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.crowd.votes import Votes, last_votes, sorted_votes

KINDS = ("expert", "novice", "clicker", "coordinated")


class Crowd(NamedTuple):
    """How many volunteers of each kind there are."""

    experts: int = 10
    novices: int = 60
    clickers: int = 10
    coordinated: int = 0  # all give the same random answer to a source

    @property
    def kind(self) -> Int[np.ndarray, "U"]:
        """The kind of each volunteer, an index into KINDS."""
        return np.repeat(np.arange(len(KINDS)), tuple(self))


class SimulatedVotes(NamedTuple):
    """Votes, and the truth behind them."""

    votes: Votes
    kind: Int[np.ndarray, "U"]
    matrix: Float[np.ndarray, "U C A"]  # of the coordinated group: its frequencies
    hard: Bool[np.ndarray, "N"]


def simulate_votes(
    truth: Int[np.ndarray, "N"],
    n_classes: int,
    crowd: Crowd,
    *,
    votes_per_source: float | Int[np.ndarray, "N"] = 10.0,
    hard_share: float = 0.1,
    seed: int = 0,
) -> SimulatedVotes:
    """Votes of a crowd on sources of known class.

    Args:
        truth: Class of each source.
        n_classes: Number of classes.
        crowd: Numbers of volunteers.
        votes_per_source: Mean number of votes, or the number for each source.
        hard_share: Share of sources on which 70 % of the votes are guesses.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    n_sources, kind = len(truth), crowd.kind
    matrix = _matrices(rng, kind, n_classes)
    hard = rng.random(n_sources) < hard_share
    number = np.broadcast_to(np.asarray(votes_per_source), n_sources)
    number = number if number.dtype.kind == "i" else rng.poisson(number)
    source = np.repeat(np.arange(n_sources), number)
    user = rng.integers(0, len(kind), len(source))
    answer = _drawn(rng, matrix[user, truth[source]])
    guess = _drawn(rng, np.tile(np.full(n_classes + 2, 1 / (n_classes + 2)), (len(source), 1)))
    answer = np.where(hard[source] & (rng.random(len(source)) < 0.7), guess, answer)
    agreed = rng.integers(0, n_classes, n_sources)
    answer = np.where(kind[user] == KINDS.index("coordinated"), agreed[source], answer)
    keep = last_votes(source, user)
    votes = Votes(
        source=source[keep],
        user=user[keep],
        answer=answer[keep],
        n_sources=n_sources,
        n_users=len(kind),
        n_classes=n_classes,
    )
    return SimulatedVotes(votes=sorted_votes(votes), kind=kind, matrix=matrix, hard=hard)


def _matrices(
    rng: np.random.Generator, kind: Int[np.ndarray, "U"], n_classes: int
) -> Float[np.ndarray, "U C A"]:
    n_answers = n_classes + 2
    right = np.select(
        [kind == 0, kind == 1], [rng.beta(45, 5, len(kind)), rng.beta(12, 8, len(kind))]
    )
    # Novices take rare classes for the first one, and often do not know.
    mistakes = rng.dirichlet(np.ones(n_answers), (len(kind), n_classes))
    mistakes[:, :, 0] += np.where(kind == 1, 0.6, 0.0)[:, None]
    mistakes[:, :, -1] += np.where(kind == 1, 0.3, 0.0)[:, None]
    at = np.arange(n_classes)
    mistakes[:, at, at] = 0
    mistakes /= mistakes.sum(-1, keepdims=True)
    matrix = (1 - right)[:, None, None] * mistakes
    matrix[:, at, at] = right[:, None]
    clicks = rng.dirichlet(np.full(n_answers, 2.0), len(kind))
    matrix = np.where((kind == 2)[:, None, None], clicks[:, None, :], matrix)
    alike = np.append(np.full(n_classes, 1 / n_classes), [0.0, 0.0])
    return np.where((kind == 3)[:, None, None], alike, matrix)


def _drawn(rng: np.random.Generator, prob: Float[np.ndarray, "V A"]) -> Int[np.ndarray, "V"]:
    return np.minimum((rng.random(len(prob))[:, None] > prob.cumsum(1)).sum(1), prob.shape[1] - 1)
