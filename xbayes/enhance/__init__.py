"""A catalogue gets richer: answers of archives, identifications, counterparts, long-term flux.

The package is also the function `xbayes.enhance`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xbayes.enhance.steps import Enhanced


class _Enhance(ModuleType):
    def __call__(self, *given, **options) -> "Enhanced":
        """`xbayes.tasks.enhance.enhance`."""
        return import_module("xbayes.tasks.enhance").enhance(*given, **options)


sys.modules[__name__].__class__ = _Enhance
