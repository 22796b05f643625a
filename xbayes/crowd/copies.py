"""Volunteers who copy each other, found by their agreement and merged into one voice.

Two steps, both on pairs of votes on the same source.

1. Candidates: a group grows from the pair with the largest log ratio of two probabilities of its
   agreements: of copies, which agree with probability COPY, and of usual volunteers, who agree as
   often as all pairs do where one of them gave that answer. Volunteers join while their ratio with
   the whole group is large.
2. Test: excellent volunteers agree with each other too, because they are right. But then they also
   agree with everybody else. If answers are independent given the class, the chance-corrected
   agreement of two volunteers is about the product of their skills, t_u t_v (Joglekar,
   Garcia-Molina & Parameswaran 2013, KDD, 686). So the skill t of a group follows from its
   agreement with outsiders, and an agreement inside the group above t^2 by more than EXCESS is
   not explained by skill.

A group that passes counts as one volunteer with one vote for each source. If copies give most of
the votes, outsiders are the minority, and nothing in the votes tells which side is right.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import coo_array, csr_array

from xbayes.crowd.votes import Votes, sorted_votes

COPY = 0.96  # probability that copies agree
EXCESS = 0.3  # agreement that skill does not explain
EVIDENCE = 3.0  # nats beyond the logarithm of the number of pairs of volunteers
SEEDS = 200  # pairs from which a group may grow
NOTHING = 10.0  # pairs of votes with the agreement of chance, added to each rate
MOST_OF_SOURCE = 40  # votes on a source that are compared; a random part of more


class Merged(NamedTuple):
    """Votes in which each group of copies is one volunteer."""

    votes: Votes
    voice: Int[np.ndarray, "U"]  # the volunteer of `votes` that each one became
    group: Int[np.ndarray, "U"]  # number of the group, from 1; 0 for independent volunteers


class _Pairs(NamedTuple):
    """Pairs of votes by different volunteers on the same source."""

    left: Int[np.ndarray, "P"]  # volunteers
    right: Int[np.ndarray, "P"]
    agree: Bool[np.ndarray, "P"]


def merge_copies(votes: Votes, seed: int = 0) -> Merged:
    """The votes with each group of copies as one volunteer; `votes` are sorted by source.

    A group's answer for a source is that of most of its members, or of its first member.
    """
    group = np.zeros(votes.n_users, int)
    for number, members in enumerate(find_groups(votes, seed), start=1):
        group[members] = number
    first = np.arange(votes.n_users)
    for number in range(1, group.max() + 1):
        first[group == number] = np.flatnonzero(group == number)[0]
    _, voice = np.unique(first, return_inverse=True)
    merged = votes if not group.any() else _joined(votes, voice)
    return Merged(votes=merged, voice=voice, group=group)


def find_groups(votes: Votes, seed: int = 0) -> list[Int[np.ndarray, "M"]]:
    """The volunteers of each group of copies; `votes` are sorted by source."""
    compared = _at_most(votes, MOST_OF_SOURCE, seed)
    left, right = _pairs_of_votes(compared.source)
    if not len(left):
        return []
    answers = compared.answer[left], compared.answer[right]
    pairs = _Pairs(compared.user[left], compared.user[right], answers[0] == answers[1])
    ratio = _log_ratios(pairs, *answers, votes.n_users)
    own = np.bincount(
        votes.user * votes.n_answers + votes.answer, minlength=votes.n_users * votes.n_answers
    ).reshape(votes.n_users, votes.n_answers)
    upper = ratio.tocoo()
    once = upper.row < upper.col
    row, col, strength = upper.row[once], upper.col[once], upper.data[once]
    best = np.argsort(strength, kind="stable")[::-1][:SEEDS]
    free, candidates = np.ones(votes.n_users, bool), []
    for pair in best[strength[best] > 0]:
        if free[row[pair]] and free[col[pair]]:
            member = _grown(ratio, free, int(row[pair]), int(col[pair]))
            candidates += [member] if member.any() else []
            free &= ~member
    # The largest first: its members are no outsiders to the others.
    honest, groups = np.ones(votes.n_users, bool), []
    for member in sorted(candidates, key=lambda member: -member.sum()):
        if unexplained_agreement(pairs, own, member, honest & ~member) > EXCESS:
            groups.append(np.flatnonzero(member))
            honest &= ~member
    return groups


def _log_ratios(
    pairs: _Pairs, of_left: Int[np.ndarray, "P"], of_right: Int[np.ndarray, "P"], n_users: int
) -> csr_array:
    """The summed log ratio of each pair of volunteers, symmetric."""
    n_answers = int(max(of_left.max(), of_right.max())) + 1
    given = np.bincount(of_left, minlength=n_answers) + np.bincount(of_right, minlength=n_answers)
    same = 2.0 * np.bincount(of_left[pairs.agree], minlength=n_answers)
    usual = (same + 1.0) / (given + 2.0)  # agreement where one of the two gave this answer
    usual = np.clip(usual, 0.01, COPY - 0.01)
    expected = (usual[of_left] + usual[of_right]) / 2
    ratio = np.where(pairs.agree, np.log(COPY / expected), np.log((1 - COPY) / (1 - expected)))
    once = coo_array((ratio, (pairs.left, pairs.right)), shape=(n_users, n_users)).tocsr()
    return csr_array(once + once.T)


def _grown(
    ratio: csr_array, free: Bool[np.ndarray, "U"], first: int, second: int
) -> Bool[np.ndarray, "U"]:
    """The group that grows from a pair; each member has a large ratio with the others."""
    member = np.zeros(len(free), bool)
    member[[first, second]] = True
    least = 2 * np.log(len(free)) + EVIDENCE
    # Small groups have few votes in common: the first members need less evidence.
    for size in range(2, len(free)):
        score = np.where(free & ~member, ratio @ member.astype(float), -np.inf)
        best = int(score.argmax())
        if score[best] < min(least, 2.0 * size):
            break
        member[best] = True
    while True:
        weak = member & (ratio @ member.astype(float) < least)
        if not weak.any():
            return member
        member &= ~weak


def unexplained_agreement(
    pairs: _Pairs,
    own: Int[np.ndarray, "U A"],
    member: Bool[np.ndarray, "U"],
    outsider: Bool[np.ndarray, "U"],
) -> float:
    """Chance-corrected agreement in a group minus the square of its skill.

    `own` are the counts of the answers of each volunteer.
    """
    inside = member[pairs.left], member[pairs.right]
    outside = outsider[pairs.left], outsider[pairs.right]
    answers = [own[part].sum(0) / max(own[part].sum(), 1) for part in (outsider, member)]

    def corrected(rows: Bool[np.ndarray, "P"], one: int, other: int) -> float:
        chance = float(answers[one] @ answers[other])
        # Pairs of votes that say nothing are added, so that few pairs are no evidence.
        rate = (pairs.agree[rows].sum() + NOTHING * chance) / (rows.sum() + NOTHING)
        return float((rate - chance) / max(1 - chance, 1e-9))

    skill_outside = max(corrected(outside[0] & outside[1], 0, 0), 0.01) ** 0.5
    across = (inside[0] & outside[1]) | (outside[0] & inside[1])
    skill = np.clip(corrected(across, 0, 1) / skill_outside, 0, 1)
    return corrected(inside[0] & inside[1], 1, 1) - skill**2


def _joined(votes: Votes, voice: Int[np.ndarray, "U"]) -> Votes:
    """One vote of each voice for each source: its most frequent answer there."""
    of_vote = voice[votes.user]
    n_voices = int(voice.max()) + 1
    pair, earliest, at = np.unique(
        votes.source * n_voices + of_vote, return_index=True, return_inverse=True
    )
    cell = at * votes.n_answers + votes.answer
    counts = np.bincount(cell, minlength=len(pair) * votes.n_answers).astype(np.float64)
    counts[np.arange(len(pair)) * votes.n_answers + votes.answer[earliest]] += 0.5
    answer = counts.reshape(-1, votes.n_answers).argmax(1)
    joined = votes._replace(
        source=pair // n_voices, user=pair % n_voices, answer=answer, n_users=n_voices
    )
    return sorted_votes(joined)


def _at_most(votes: Votes, most: int, seed: int) -> Votes:
    """At most so many votes of each source, chosen at random."""
    order = np.lexsort((np.random.default_rng(seed).random(len(votes.source)), votes.source))
    begin = np.searchsorted(votes.source[order], np.arange(votes.n_sources))
    rank = np.arange(len(order)) - begin[votes.source[order]]
    chosen = np.zeros(len(order), bool)
    chosen[order[rank < most]] = True
    return votes.rows(chosen)


def _pairs_of_votes(
    source: Int[np.ndarray, "V"],
) -> tuple[Int[np.ndarray, "P"], Int[np.ndarray, "P"]]:
    """Each pair of votes on the same source, once; `source` is sorted."""
    n_votes = len(source)
    end = np.searchsorted(source, source, side="right")
    later = end - np.arange(n_votes) - 1  # votes on the same source after each
    left = np.repeat(np.arange(n_votes), later)
    begin = np.cumsum(later) - later
    right = left + 1 + np.arange(len(left)) - np.repeat(begin, later)
    return left, right
