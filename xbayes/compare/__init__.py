"""Variants and third-party classifiers on the same folds; also the function `xbayes.compare`."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xbayes.compare.run import Compared


class _Compare(ModuleType):
    def __call__(self, *items, **options) -> "Compared":
        """`xbayes.compare.run.compare`."""
        from xbayes.compare.run import compare

        return compare(*items, **options)


sys.modules[__name__].__class__ = _Compare
