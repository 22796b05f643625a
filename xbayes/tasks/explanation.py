"""`Explanation`: what `FittedRun.explain` returns."""

from typing import TYPE_CHECKING

from astropy.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xbayes.figures.track_record import Track


class Explanation:
    """The explanation of one prediction: the contribution of each feature to the log-odds."""

    def __init__(self, track: "Track") -> None:
        self.track = track

    @property
    def table(self) -> Table:
        """One row per term; the columns `ln_odds_<CLASS>` sum to the reported log-odds."""
        from xbayes.report.track_table import track_table

        return track_table(self.track)

    def plot(self) -> "Figure":
        """The probability track as a matplotlib figure."""
        from xbayes.figures.track import draw_track

        return draw_track(self.track)

    def __repr__(self) -> str:
        track = self.track
        p = track.posterior[track.prediction]
        return f"<Explanation of {track.name}: {track.classes[track.prediction]}, p = {p:.3f}>"
