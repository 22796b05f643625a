"""Units and descriptions of features that a catalogue gives and the config does not."""

from astropy.table import Table

from xbayes.catalog.columns import masked_column
from xbayes.config.schema import Config, FeatureConfig


def described(config: Config, table: Table) -> Config:
    """The config, in which a feature that is a single column has its unit and description.

    What the config says stays as it is.
    """
    features = {name: _of_column(feature, table) for name, feature in config.features.items()}
    return config.model_copy(update={"features": features})


def _of_column(feature: FeatureConfig, table: Table) -> FeatureConfig:
    name = feature.expression.strip()
    if name not in table.colnames:
        return feature
    column = masked_column(table, name)
    unit = "" if column.unit is None else column.unit.to_string()
    given = {"unit": unit, "description": " ".join((column.description or "").split())}
    lacking = {key: text for key, text in given.items() if text and not getattr(feature, key)}
    return feature.model_copy(update=lacking)
