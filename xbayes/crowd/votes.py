"""Votes as arrays: the indices of sources, volunteers and answers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

OTHER, UNKNOWN = "other", "unknown"  # the answers that name no class


class Votes(NamedTuple):
    """The votes, sorted by source."""

    source: Int[np.ndarray, "V"]
    user: Int[np.ndarray, "V"]
    answer: Int[np.ndarray, "V"]  # the classes, then `other`, then `unknown`
    n_sources: int
    n_users: int
    n_classes: int

    @property
    def n_answers(self) -> int:
        """The number of possible answers."""
        return self.n_classes + 2

    def rows(self, chosen: Bool[np.ndarray, "V"] | Int[np.ndarray, "M"]) -> "Votes":
        """Some of the votes: a mask or their indices; sources and volunteers keep their numbers."""
        return self._replace(
            source=self.source[chosen], user=self.user[chosen], answer=self.answer[chosen]
        )


def sorted_votes(votes: Votes) -> Votes:
    """The votes in the order of their sources, then of their volunteers."""
    order = np.lexsort((votes.user, votes.source))
    return votes._replace(
        source=votes.source[order], user=votes.user[order], answer=votes.answer[order]
    )


def last_votes(
    source: Int[np.ndarray, "V"],
    user: Int[np.ndarray, "V"],
    time: Float[np.ndarray, "V"] | None = None,
) -> Bool[np.ndarray, "V"]:
    """Which votes count: the last one of each source and volunteer.

    Without times, and for equal times, that is the last one in the order of the rows. A vote
    without a time (NaN) is before all others.
    """
    n_rows = len(source)
    when = np.zeros(n_rows) if time is None else np.nan_to_num(time, nan=-np.inf)
    order = np.lexsort((np.arange(n_rows), when, user, source))
    same = (np.diff(source[order]) == 0) & (np.diff(user[order]) == 0)
    last = np.ones(n_rows, bool)
    last[order[:-1]] = ~same
    return last


def vote_counts(votes: Votes) -> Int[np.ndarray, "N A"]:
    """The number of votes for each answer of each source."""
    cell = votes.source * votes.n_answers + votes.answer
    counts = np.bincount(cell, minlength=votes.n_sources * votes.n_answers)
    return counts.reshape(votes.n_sources, votes.n_answers)


def majority_vote(votes: Votes) -> Float[np.ndarray, "N C"]:
    """The share of the votes for each class, which the model is compared with.

    One vote for each class is added in total, so that no share is zero.
    """
    counts = vote_counts(votes)[:, : votes.n_classes] + 1.0 / votes.n_classes
    return counts / counts.sum(1, keepdims=True)
