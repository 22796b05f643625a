"""The methods of `FittedRun` for one source given by its columns, and for its features."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict, Unpack

from xbayes.classifier.fitted_model import FittedModel
from xbayes.tasks.given_catalogue import Row

if TYPE_CHECKING:
    from xbayes.figures.track_record import Track
    from xbayes.tasks.feature_densities import FeatureDensity
    from xbayes.tasks.what_if import OneSource, SourceResult


class Assumed(TypedDict, total=False):
    """The keyword options that say what is assumed of a source."""

    prior: Mapping[str, float] | None
    without: Sequence[str]
    changes: Row
    distance: float | None


class SourceTasks:
    """What a fitted run says of one source, in milliseconds after the first call."""

    model: FittedModel

    @cached_property
    def _one_source(self) -> "OneSource":
        from xbayes.tasks.what_if import OneSource

        return OneSource(self.model)

    def track(self, row: Row, **assumed: Unpack[Assumed]) -> "SourceResult":
        """One source given by its columns: its track, products, scaled values and warnings.

        The numbers equal those of `classify` and `explain`.

        Parameters
        ----------
        row
            Column to value, as `classify` takes it. Omitted columns are not available, and None is
            an empty cell.
        assumed
            The options of `what_if`.

        Raises
        ------
        InputError
            If a column is not known, or a value cannot be read.

        Examples
        --------
        >>> row = {
        ...     "ra": 10.0, "dec": 41.0, "flux_soft": 2e-14, "flux_medium": 3e-14,
        ...     "flux_hard": 4e-14, "g_mag": 20.1, "j_mag": 18.9, "k_mag": 17.4, "w1_mag": 16.8,
        ...     "w2_mag": 15.8, "parallax_snr": 1.2, "var_intra_prob": 0.3,
        ... }
        >>> found = fit.track(row)
        >>> found.products["prediction"], found.track.classes[found.track.prediction]
        ('AGN', 'AGN')
        """
        return self._one_source.result(row, **assumed)

    def what_if(self, row: Row, **assumed: Unpack[Assumed]) -> "Track":
        """The track of one source under an assumption, exactly as `classify` would give it.

        Parameters
        ----------
        row
            Column to value, as `classify` takes it.
        prior
            Class proportions.
        without
            Categories, features or columns that count as not available. As in `classify`, the
            weights are those learned without these features. They are fitted when they are first
            needed, which takes as long as one fold of the run, and then kept in its folder.
        changes
            Other values of columns; None is an empty cell.
        distance
            In pc. The columns of distances and luminosities that features read follow it.

        Raises
        ------
        InputError
            As `track`; also for an unknown class, category or feature, and for a distance if no
            feature depends on one.

        Examples
        --------
        >>> row = {
        ...     "ra": 10.0, "dec": 41.0, "flux_soft": 2e-14, "flux_medium": 3e-14,
        ...     "flux_hard": 4e-14, "g_mag": 20.1, "j_mag": 18.9, "k_mag": 17.4, "w1_mag": 16.8,
        ...     "w2_mag": 15.8, "parallax_snr": 1.2, "var_intra_prob": 0.3,
        ... }
        >>> far = fit.what_if(row, prior={"AGN": 0.01, "Star": 0.01, "XRB": 0.97, "CV": 0.01})
        >>> bool(far.posterior[2] > fit.what_if(row).posterior[2])
        True
        """
        return self.track(row, **assumed).track

    def densities(
        self, names: Sequence[str] | None = None, points: int = 200
    ) -> "list[FeatureDensity]":
        """The class densities of features, as numbers for a plot.

        Parameters
        ----------
        names
            Names of features; None: all.
        points
            Number of values of each feature.

        Examples
        --------
        >>> (density,) = fit.densities(["gamma"])
        >>> density.density.shape
        (4, 200)
        """
        from xbayes.tasks.feature_densities import feature_densities

        return feature_densities(self.model, names, points)
