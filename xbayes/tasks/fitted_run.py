"""`FittedRun`: what `xbayes.run` and `xbayes.load` return, one method per task.

Every method works in the precision of the run's config and leaves JAX's own setting as it was.
Imports inside methods keep `xbayes classify --row` quick: it needs neither matplotlib nor optax.
"""

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from astropy.table import Table

from xbayes.catalog.columns import plain_columns
from xbayes.catalog.inputs import as_chunks, as_table
from xbayes.catalog.match import ColumnKeywords, column_options, only_given
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import check_output
from xbayes.classifier.fitted_model import FittedModel, load_fitted_model
from xbayes.config.schema import Config
from xbayes.errors import XbayesWarning
from xbayes.evaluate.applied_rule import AppliedRule, Asked
from xbayes.evaluate.label_shift import CheckedEstimate
from xbayes.output.report_data import refuse_ready_made
from xbayes.tasks.classify import CHUNK_IN_MEMORY, classify_table, classify_to_file
from xbayes.tasks.explanation import Explanation
from xbayes.tasks.given_catalogue import Row, reading_of, table_of
from xbayes.tasks.precision import in_precision
from xbayes.tasks.ready_made import card_text, folder_of
from xbayes.tasks.source_tasks import SourceTasks
from xbayes.tasks.whole_catalogue import Prior

if TYPE_CHECKING:
    import arviz

    from xbayes.catalog.inputs import CatalogLike


class FittedRun(SourceTasks):
    """A fitted run: its scores, and its classifier applied to any catalogue.

    Catalogues are given as a path (FITS, VOTable, ECSV, CSV, Parquet) or as a table of astropy,
    pandas or pyarrow. Suspicious values raise the warning `xbayes.XbayesWarning`; wrong input
    raises `xbayes.InputError`.

    Examples
    --------
    >>> import xbayes
    >>> fit = xbayes.load("runs/demo")
    >>> fit.config.name
    'demo'
    """

    def __init__(self, model: FittedModel) -> None:
        self.model = model

    @property
    def folder(self) -> Path:
        """The run directory."""
        return self.model.folder

    @property
    def config(self) -> Config:
        """The resolved config of the run."""
        return self.model.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.model.classes

    @property
    def metrics(self) -> dict:
        """The content of `metrics.json`: scores in sample, out of fold and reweighted."""
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def provenance(self) -> dict:
        """The content of `provenance.json`: versions, checksum, seed, device, warnings."""
        return json.loads((self.folder / "provenance.json").read_text())

    @property
    def predictions(self) -> Table:
        """The out-of-fold predictions: one row per labelled source.

        Raises InputError for a ready-made model, which comes without its training sources.
        """
        refuse_ready_made(self.folder, "held-out predictions")
        return plain_columns(read_catalog(self.folder / "predictions.parquet"))

    @property
    def card(self) -> str | None:
        """The model card of a ready-made model: data, classes, features, scores, limits."""
        return card_text(self.folder)

    @property
    def posterior(self) -> "arviz.InferenceData | None":
        """The posterior samples of the weights; None unless the run has `variant: bayes`."""
        path = self.folder / "posterior.nc"
        if not path.is_file():
            return None
        from xbayes.output.posterior_file import read_posterior

        return read_posterior(path)

    def classify(
        self,
        catalog: "CatalogLike | Row",
        *,
        prior: Prior = None,
        estimated: Callable[[CheckedEstimate], None] = lambda estimate: None,
        decision: Asked | None = None,
        decided: Callable[[AppliedRule], None] = lambda rule: None,
        **columns: Unpack[ColumnKeywords],
    ) -> Table:
        """The catalogue with the class posteriors and all other products added.

        Parameters
        ----------
        catalog
            The catalogue, or one source as a mapping from column to value. For a single source,
            omitted columns are not available, and None marks a value that was not detected.
        prior
            Class proportions expected in this catalogue, such as ``{"AGN": 0.7, "Star": 0.3}``;
            ``"estimate"`` estimates them from its sources; None keeps those of the run.
        estimated
            Called with the estimated class proportions and their intervals.
        decision
            The decision rule: ``"argmax"``, ``"f1"``, ``"expected_f1"``, ``{"precision": 0.9}``,
            learned on the out-of-fold posteriors of the run; ``"catalogue"`` learns the threshold
            on the posteriors of this catalogue; None keeps the rule of the run.
        decided
            Called with the decision rule, its description and the scores to expect of it.
        id
            The column that holds the ids; ``"row"`` numbers the rows of a catalogue without ids.
        map
            The names that columns of the run have in this catalogue, such as
            ``{"g_mag": "phot_g_mean_mag"}``. The output keeps the names of the catalogue.
        optional
            Columns of the run that this catalogue lacks: their values are not available.
        units
            Units of columns of this catalogue, such as ``{"flux_soft": "mW/m2"}``, where the file
            names none or a wrong one. The values are converted to the units of the run.
        missing_values
            Values that stand for an empty cell in this catalogue, such as ``{"g_mag": [-99]}``;
            those in the config of the run hold too.
        measured_values
            Values that look like stand-ins for no value, but were measured.
        table
            Name or number of the table, if a FITS file or VOTable holds several.

        Raises
        ------
        InputError
            For a catalogue without the needed columns, or with faulty ids or coordinates.

        Examples
        --------
        >>> made = fit.classify("runs/demo-catalog.fits", prior={"AGN": 0.6, "Star": 0.2,
        ...                                                      "XRB": 0.1, "CV": 0.1})
        >>> made["prediction"].description
        'class under the decision rule'
        """
        options = column_options(**columns)
        table, absent = table_of(self.config, catalog, options)
        if absent is not None:
            options = only_given(options, table.colnames)
        with in_precision(self.config.precision):
            return classify_table(
                self.model,
                table,
                prior=prior,
                columns=options,
                not_available=absent,
                warn=_warn,
                estimated=estimated,
                decision=decision,
                decided=decided,
            )

    def classify_file(
        self,
        catalog: "CatalogLike",
        out: str | os.PathLike[str],
        *,
        prior: Prior = None,
        overwrite: bool = False,
        estimated: Callable[[CheckedEstimate], None] = lambda estimate: None,
        decision: Asked | None = None,
        decided: Callable[[AppliedRule], None] = lambda rule: None,
        **columns: Unpack[ColumnKeywords],
    ) -> int:
        """Write what `classify` returns to a file, and return the number of sources.

        Keyword options as of `classify`.

        From Parquet to Parquet the catalogue is streamed, so it may be larger than memory.

        Examples
        --------
        >>> fit.classify_file("runs/demo-catalog.fits", "runs/classified.parquet")
        3000
        """
        path, options = Path(out), column_options(**columns)
        check_output(path, overwrite)
        chunks = as_chunks(catalog, CHUNK_IN_MEMORY, **reading_of(self.config, options))
        with in_precision(self.config.precision):
            classify_to_file(
                self.model, chunks, path, overwrite=overwrite, prior=prior, columns=options,
                warn=_warn, estimated=estimated, decision=decision, decided=decided,
            )  # fmt: skip
        return chunks.n_rows

    def explain(
        self,
        catalog: "CatalogLike",
        name: str,
        *,
        prior: Mapping[str, float] | None = None,
        **columns: Unpack[ColumnKeywords],
    ) -> Explanation:
        """The explanation of the prediction for the source `name`, as `.table` and `.plot()`.

        Parameters
        ----------
        catalog
            The catalogue that holds the source. All of it is classified, so that the numbers
            equal those of `classify`.
        name
            The id of the source.
        prior
            Class proportions; the other options too are as in `classify`.

        Examples
        --------
        >>> explained = fit.explain("runs/demo-catalog.fits", "SIM 000007")
        >>> explained.table.colnames[:2]
        ['category', 'property']
        """
        from xbayes.tasks.explain import explain_source

        options = column_options(**columns)
        table = as_table(catalog, **reading_of(self.config, options))
        with in_precision(self.config.precision):
            model = self.model.under(prior)
            return Explanation(explain_source(model, table, name, columns=options, warn=_warn))

    def counts(
        self,
        catalog: "CatalogLike",
        *,
        all: bool = False,
        **columns: Unpack[ColumnKeywords],
    ) -> Table:
        """The number of sources of each class, corrected for misclassification.

        One row per class: the count of predictions, and two corrected counts with 90 % intervals,
        by the out-of-fold confusion matrix and by the posteriors. A warning names the classes for
        which the two disagree.

        Parameters
        ----------
        catalog
            The catalogue.
        all
            Count every source, not only those without a label.
            The other options are as in `classify`.

        Examples
        --------
        >>> fit.counts("runs/demo-catalog.fits", all=True)["class"].tolist()
        ['AGN', 'Star', 'XRB', 'CV']
        """
        from xbayes.tasks.count_classes import count_classes, population_table

        options = column_options(**columns)
        chunks = as_chunks(catalog, CHUNK_IN_MEMORY, **reading_of(self.config, options))
        with in_precision(self.config.precision):
            population = count_classes(
                self.model, chunks, everything=all, columns=options, warn=_warn
            )
        for message in population.doubts:
            _warn(message)
        return population_table(population)

    def suggest(
        self, catalog: "CatalogLike", *, n: int = 100, **columns: Unpack[ColumnKeywords]
    ) -> Table:
        """The `n` sources whose labels together are most informative, best first.

        The run needs posterior samples (`variant: bayes`). Sources with a label and training
        sources are excluded. The options on columns are as in `classify`.

        Examples
        --------
        >>> fit.suggest("runs/demo-catalog.fits", n=10)
        Traceback (most recent call last):
        xbayes.errors.InputError: runs/demo has no posterior samples, so the information of a \
label is not known; make a run that has them: xbayes run CONFIG --set variant=bayes
        """
        from xbayes.tasks.suggest_labels import suggest_labels

        options = column_options(**columns)
        table = as_table(catalog, **reading_of(self.config, options))
        with in_precision(self.config.precision):
            return suggest_labels(self.model, table, n, columns=options, warn=_warn)

    def report(self, figures: Sequence[str] = ()) -> Path:
        """The path of the report, drawn again from what the run directory holds.

        Parameters
        ----------
        figures
            Formats of the figures besides PNG: "pdf", "svg".

        Examples
        --------
        >>> fit.report(figures=["pdf"]).name
        'report.html'
        """
        from xbayes.tasks.draw_report import draw_report

        with in_precision(self.config.precision):
            return draw_report(self.model, figures)

    def __repr__(self) -> str:
        return f"<FittedRun {self.config.name}: {', '.join(self.classes)}; {self.folder}>"


def load(run: str | os.PathLike[str]) -> FittedRun:
    """The run of a run directory, or the model that `xbayes.models` lists; executes nothing.

    Raises
    ------
    InputError
        If the folder holds no run, or a run that was altered or written in another format.

    Examples
    --------
    >>> xbayes.load("runs/demo").classes
    ('AGN', 'Star', 'XRB', 'CV')
    """
    folder = folder_of(run)
    with in_precision("float64"):  # arrays of a float32 run keep their precision
        return FittedRun(load_fitted_model(folder))


def classify(run: str | os.PathLike[str] | FittedRun, catalog: "CatalogLike", **options) -> Table:
    """The catalogue classified by a run; options as of `FittedRun.classify`.

    Examples
    --------
    >>> len(xbayes.classify("runs/demo", "runs/demo-catalog.fits"))
    3000
    """
    fitted = run if isinstance(run, FittedRun) else load(run)
    return fitted.classify(catalog, **options)


def _warn(message: str) -> None:
    warnings.warn(message, XbayesWarning, stacklevel=3)
