"""A simulated X-ray sky with known classes; the package is also the function `xbayes.simulate`."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.table import Table


class _Simulate(ModuleType):
    def __call__(self, *given, **options) -> "Table":
        """`xbayes.simulate.catalog.simulate`."""
        from xbayes.simulate.catalog import simulate

        return simulate(*given, **options)


sys.modules[__name__].__class__ = _Simulate
