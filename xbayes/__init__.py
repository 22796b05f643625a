"""xbayes: from an X-ray catalogue to calibrated, explainable class posteriors.

fit = xbayes.run("my.yaml", catalog=table)     # or xbayes.load("runs/mine")
made = fit.classify("new.fits", prior="estimate")
fit.explain("new.fits", "SRC 42").plot()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xbayes.config.schema import Config
    from xbayes.crowd.aggregate import aggregate_votes
    from xbayes.errors import InputError, XbayesWarning
    from xbayes.tasks.fetch import fetch
    from xbayes.tasks.fitted_run import Explanation, FittedRun, classify, load
    from xbayes.tasks.learning_curve import learning_curve
    from xbayes.tasks.plan import plan
    from xbayes.tasks.pool_detections import sources
    from xbayes.tasks.run import run
    from xbayes.tasks.select_components import select_k
    from xbayes.tasks.send import send
    from xbayes.tasks.starter_config import init

__version__ = "0.1.0"

# Loaded on first use, so that `import xbayes` loads nothing heavy.
_PUBLIC = {
    "Config": "xbayes.config.schema",
    "Explanation": "xbayes.tasks.fitted_run",
    "FittedRun": "xbayes.tasks.fitted_run",
    "InputError": "xbayes.errors",
    "XbayesWarning": "xbayes.errors",
    "aggregate_votes": "xbayes.crowd.aggregate",
    "classify": "xbayes.tasks.fitted_run",
    "fetch": "xbayes.tasks.fetch",
    "init": "xbayes.tasks.starter_config",
    "learning_curve": "xbayes.tasks.learning_curve",
    "load": "xbayes.tasks.fitted_run",
    "plan": "xbayes.tasks.plan",
    "run": "xbayes.tasks.run",
    "select_k": "xbayes.tasks.select_components",
    "send": "xbayes.tasks.send",
    "sources": "xbayes.tasks.pool_detections",
}
__all__ = sorted((*_PUBLIC, "compare", "enhance", "models", "simulate"))


def __getattr__(name: str) -> Any:
    if name in ("compare", "enhance", "models", "simulate"):
        return import_module(f"xbayes.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'xbayes' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
