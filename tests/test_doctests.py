"""Every public function and method has an example in its docstring, and it runs."""

import doctest
import inspect
import os
import warnings

import pytest

import xbayes
from xbayes.compare.run import compare
from xbayes.estimators import AlphaBayesClassifier, BayesianGaussianMixture, GaussianMixture
from xbayes.simulate.catalog import simulate
from xbayes.tasks.enhance import enhance
from xbayes.tasks.ready_made import models

# Packages that are functions too.
PACKAGES = {"compare": compare, "enhance": enhance, "models": models, "simulate": simulate}
NO_EXAMPLE = {"InputError", "XbayesWarning", "Config", "Explanation"}


def documented():
    """The public functions, and the methods of the public classes, by their full names."""
    for name in sorted(set(xbayes.__all__) - NO_EXAMPLE):
        thing = getattr(xbayes, name)
        thing = PACKAGES.get(name, thing)
        yield name, thing
        if inspect.isclass(thing):
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_"):
                    yield f"{name}.{method}", function
    yield "AlphaBayesClassifier", AlphaBayesClassifier
    yield "GaussianMixture", GaussianMixture
    yield "BayesianGaussianMixture", BayesianGaussianMixture


THINGS = dict(documented())
SLOW = {"run", "learning_curve", "select_k", "compare", "FittedRun.counts"}  # fits of their own


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in sorted(THINGS)],
)
def test_the_example_runs(name, demo, tmp_path, monkeypatch):
    """In a folder with runs/demo, the repository's configs, and `fit`, the demo run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for link, target in (
        ("runs/demo", demo.folder),
        ("runs/demo-catalog.fits", demo.catalog),
        ("configs", demo.configs),
    ):
        os.symlink(target, tmp_path / link)
    names = {"xbayes": xbayes, "fit": xbayes.load("runs/demo")}
    found = doctest.DocTestFinder(recurse=False).find(THINGS[name], name, globs=names)
    assert sum(len(test.examples) for test in found) > 0, f"{name} has no example"
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(optionflags=flags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xbayes.XbayesWarning)
        for test in found:
            runner.run(test)
    assert runner.failures == 0
