"""Answers what-if questions about a source."""

from contextlib import nullcontext

from xbayes.app.compute import computing, fitting
from xbayes.app.served_run import ServedRun
from xbayes.app.source_json import Question
from xbayes.app.source_page import inputs_of, prior_of
from xbayes.errors import InputError
from xbayes.tasks.given_prior import in_proportion
from xbayes.tasks.what_if import SourceResult


def answer(run: ServedRun, source: str, question: Question) -> SourceResult:
    """The result for a source under changed circumstances.

    Raises
    ------
    InputError
        If the columns that its features read are not known, or the run cannot answer.
    """
    inputs = inputs_of(run, source)
    if not inputs:
        raise InputError(
            "the columns that the features read are not in the classified catalogue, so nothing "
            "can be changed; classify a catalogue that holds them"
        )
    prior = prior_of(run)
    if question.prior is not None:
        prior = in_proportion(question.prior, run.fitted.classes)
    takes_long = fitting() if question.without or question.not_available else nullcontext()
    with takes_long, computing(run):
        return run.fitted.track(
            inputs,
            prior=prior,
            without=(*question.without, *question.not_available),
            changes=dict(question.changes),
            distance=question.distance,
        )
