"""The average value of each feature of a run, computed once and kept."""

import threading

from xbayes.app.compute import computing
from xbayes.app.served_run import ServedRun
from xbayes.tasks.feature_values import FeatureValue, values_of_features

_KEPT: dict[int, dict[str, FeatureValue]] = {}
_MAKING = threading.Lock()


def feature_values(run: ServedRun) -> dict[str, FeatureValue]:
    """The value of each feature by its name; empty for a run without its training sources."""
    with _MAKING:
        if id(run) not in _KEPT:
            found: dict[str, FeatureValue] = {}
            values = values_of_features(run.fitted.model)
            while True:
                # One feature at a time, so that other pages need not wait for all of them.
                with computing(run):
                    one = next(values, None)
                if one is None:
                    break
                found[one.name] = one
            _KEPT[id(run)] = found
        return _KEPT[id(run)]
