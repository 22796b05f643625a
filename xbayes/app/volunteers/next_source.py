"""Which source to show next. Arrays only: the same arguments give the same source.

Unknown sources are shown in the order of their score, the most informative first. A window moves
along this order: its sources are those that still need votes, and of these the ones with the fewest
votes are shown first. So the most informative sources come first, and none of them is left out.
Known sources are mixed in, in a share, and cannot be told from the unknown ones.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.app.volunteers.tables import Kind

UNKNOWN_CLASS = -1
SPREAD = 20  # sources among which volunteers at the same time are spread
SHORTEST_READ = 1024  # of the order at a time


class QueueOptions(NamedTuple):
    """How sources are chosen."""

    known_share: float = 0.2  # of hidden known sources
    window: int = 200  # unknown sources that are shown at the same time
    enough: int = 10  # votes on an unknown source, unless it is settled before
    seed: int = 0


class Choice(NamedTuple):
    """The source to show: its row, and what the vote is for."""

    index: int
    kind: Kind


class SourceQueue:
    """The sources of a run or a campaign, with the votes that they have. Use it in one thread.

    Parameters
    ----------
    score
        How informative a label of the source would be: entropy, disagreement, outlier score. NaN
        stands last.
    true_class
        The number of the class of known sources, -1 for unknown ones.
    votes
        The votes so far.
    settled
        Sources that need no more votes.
    """

    def __init__(
        self,
        score: Float[np.ndarray, "N"],
        true_class: Int[np.ndarray, "N"],
        votes: Int[np.ndarray, "N"],
        settled: Bool[np.ndarray, "N"],
        options: QueueOptions = QueueOptions(),  # noqa: B008 -- a constant
    ) -> None:
        self.options = options
        self.true_class = true_class
        self.votes = votes.astype(np.int32)
        self.settled = settled.copy()
        self._mark = np.zeros(len(score), bool)
        unknown = np.flatnonzero(true_class == UNKNOWN_CLASS)
        order = np.argsort(-score[unknown], kind="stable")  # NaN last
        self._order = unknown[order]
        self._dropped = 0
        self._drop_done()
        rng = np.random.default_rng(options.seed)
        classes = np.unique(true_class[true_class != UNKNOWN_CLASS])
        self._known = [rng.permutation(np.flatnonzero(true_class == c)) for c in classes]

    @property
    def n_waiting(self) -> int:
        """The number of unknown sources that still need votes."""
        return int(self._needs_votes(self._order).sum())

    def count(self, index: int, number: int = 1) -> None:
        """Add votes to a source."""
        needed = bool(self._needs_votes(np.array([index]))[0])
        self.votes[index] += number
        self._note_done(index, needed)

    def settle(self, index: int) -> None:
        """Show a source no more: its label is settled."""
        needed = bool(self._needs_votes(np.array([index]))[0])
        self.settled[index] = True
        self._note_done(index, needed)

    def choose(
        self,
        seen: Int[np.ndarray, "V"],
        seen_known: Int[np.ndarray, "W"],
        user_id: int,
        number: int,
        training: bool = False,
    ) -> Choice | None:
        """The next source of a person; None if no unknown one is left, in training no known one.

        Parameters
        ----------
        seen, seen_known
            Sources that the person may not be shown: any, and known ones. The latter may have more,
            such as sources of other campaigns, whose class the person knows by now.
        user_id, number
            The person, and the number of this choice: with `seed` they fix what is drawn.
        training
            Show known sources only.
        """
        rng = np.random.default_rng((self.options.seed, user_id, number))
        hidden = rng.random() < self.options.known_share
        if training:
            known = self._choose_known(seen, seen_known, rng)
            return None if known is None else Choice(index=known, kind=Kind.TRAINING)
        unknown = self._choose_unknown(seen, rng)
        if unknown is None:  # tests alone would be work for nothing
            return None
        known = self._choose_known(seen, seen_known, rng) if hidden else None
        if known is not None:
            return Choice(index=known, kind=Kind.TEST)
        return Choice(index=unknown, kind=Kind.REAL)

    def _choose_known(
        self,
        seen: Int[np.ndarray, "V"],
        seen_known: Int[np.ndarray, "W"],
        rng: np.random.Generator,
    ) -> int | None:
        """A known source of a random class, so that skill is measured for rare classes too."""
        for which in rng.permutation(len(self._known)):
            of_class = self._known[which]
            start = int(rng.integers(len(of_class)))
            # So many in a row hold one that the person has not seen, unless all are seen.
            length = min(len(of_class), len(seen) + len(seen_known) + 1)
            several = np.take(of_class, np.arange(start, start + length), mode="wrap")
            new = several[self._is_new(several, seen) & self._is_new(several, seen_known)]
            if len(new):
                return int(new[0])
        return None

    def _choose_unknown(self, seen: Int[np.ndarray, "V"], rng: np.random.Generator) -> int | None:
        window = self._window_of(seen)
        if not len(window):
            return None
        votes = self.votes[window]
        fewest = window[votes == votes.min()][:SPREAD]
        return int(fewest[rng.integers(len(fewest))])

    def _window_of(self, seen: Int[np.ndarray, "V"]) -> Int[np.ndarray, "W"]:
        """The first sources in the order that need votes and are new to the person."""
        length = max(SHORTEST_READ, 2 * self.options.window) + len(seen)
        while True:
            part = self._order[:length]
            part = part[self._needs_votes(part)]
            new = part[self._is_new(part, seen)]
            if len(new) >= self.options.window or length >= len(self._order):
                return new[: self.options.window]
            length *= 4

    def _is_new(
        self, rows: Int[np.ndarray, "R"], seen: Int[np.ndarray, "V"]
    ) -> Bool[np.ndarray, "R"]:
        self._mark[seen] = True  # quicker than sorting both
        new = ~self._mark[rows]
        self._mark[seen] = False
        return new

    def _needs_votes(self, index: Int[np.ndarray, "V"]) -> Bool[np.ndarray, "V"]:
        return (self.votes[index] < self.options.enough) & ~self.settled[index]

    def _note_done(self, index: int, needed: bool) -> None:
        if needed and not self._needs_votes(np.array([index]))[0]:
            self._dropped += 1
            if self._dropped >= SHORTEST_READ // 2:
                self._drop_done()

    def _drop_done(self) -> None:
        self._order = self._order[self._needs_votes(self._order)]
        self._dropped = 0
