"""The steps that a config asks for, in the order in which they run."""

from xbayes.config.enhance import EnhanceConfig, step_names
from xbayes.enhance.check_positions import CheckPositions
from xbayes.enhance.column_density import ReadColumnDensity
from xbayes.enhance.counterparts import FindCounterparts
from xbayes.enhance.coverage import Cover
from xbayes.enhance.hosts import FindHosts
from xbayes.enhance.identifications import Identify
from xbayes.enhance.steps import Step
from xbayes.enhance.variability import LongTermVariability

# By the name of the section of the config.
STEPS = {
    "positions": CheckPositions,
    "identifications": Identify,
    "counterparts": FindCounterparts,
    "coverage": Cover,
    "variability": LongTermVariability,
    "hosts": FindHosts,
    "column_density": ReadColumnDensity,
}


def steps_of(config: EnhanceConfig) -> list[Step]:
    """One step for each section of the config."""
    given = {name: getattr(config, name) for name in step_names()}
    return [
        STEPS[name](settings, config.catalog)
        for name, settings in given.items()
        if settings is not None
    ]
