"""The report of a finished run, drawn from what the run directory holds.

load_results -> write_figures_and_report
"""

from collections.abc import Sequence
from pathlib import Path

from xbayes.classifier.fitted_model import FittedModel
from xbayes.output.report_data import load_results
from xbayes.report.build import check_formats, write_figures_and_report
from xbayes.tasks.absent_features import patterns_of


def draw_report(model: FittedModel, figures: Sequence[str] = ()) -> Path:
    """The path of the report of a run, drawn again; the old report and its figures are replaced.

    Parameters
    ----------
    model
        The fitted run.
    figures
        Formats of the figures besides PNG: "pdf", "svg".

    Raises
    ------
    InputError
        If the run was written by an earlier version, or a format of figures is not known.
    """
    check_formats(figures)
    results, provenance = load_results(model, patterns_of(model))
    write_figures_and_report(model.folder, results, provenance, figures)
    return model.folder / "report.html"
