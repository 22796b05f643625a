"""The step `coverage`: which surveys cover each position, and how deep.

An empty counterpart is *not detected* where the survey looked, and *not available* elsewhere. The
condition `measured: covered_NAME` of a feature tells the classifier.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from xbayes.config.enhance import CoverageConfig, EnhanceCatalogConfig, SurveyConfig
from xbayes.config.enhance_reader import local_file
from xbayes.enhance.healpix_map import read_healpix
from xbayes.enhance.moc import covered, moc_files
from xbayes.enhance.pairs import Positions
from xbayes.enhance.services import Services
from xbayes.enhance.sky import flat, icrs_positions
from xbayes.enhance.steps import AddedColumn, Made, column_of


class Cover:
    """Which surveys cover each position."""

    name = "coverage"

    def __init__(self, settings: CoverageConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        return flat(self.catalog.ra, self.catalog.dec)

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        found = []
        for name, survey in self.settings.surveys.items():
            found += moc_files(survey.file, f"{_key(name)}.file")
            if survey.depth_map is not None:
                found.append(local_file(survey.depth_map, f"{_key(name)}.depth_map"))
        return found

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        made = []
        for name, survey in self.settings.surveys.items():
            text = f"Whether {name} covers the position"
            made.append(AddedColumn(f"covered_{name}", text, "", "meta.code"))
            if survey.depth is not None or survey.depth_map is not None:
                text = survey.description or f"Depth of {name}; empty where it did not look"
                made.append(AddedColumn(f"depth_{name}", text, survey.unit, "phot.mag;stat.max"))
        return made

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        position = icrs_positions(table, self.catalog)
        unknown = ~np.isfinite(position.ra)
        values: dict[str, np.ndarray] = {}
        notes = []
        for name, survey in self.settings.surveys.items():
            inside, depth = _looked(position, name, survey, services)
            values[f"covered_{name}"], values[f"depth_{name}"] = inside, depth
            notes.append(f"{name} covers {inside.sum()} of {(~unknown).sum()} positions")
        columns = {
            added.name: column_of(
                added, values[added.name], unknown if added.name.startswith("covered") else None
            )
            for added in self.columns()
        }
        return Made(columns=columns, notes=tuple(notes))


def _looked(
    position: Positions, name: str, survey: SurveyConfig, services: Services | None
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a survey covers each position, and its depth there."""
    inside = covered(position, moc=survey.moc, file=survey.file, key=_key(name), services=services)
    if survey.depth_map is None:
        depth = np.nan if survey.depth is None else survey.depth
        return inside, np.where(inside, depth, np.nan)
    path = local_file(survey.depth_map, f"{_key(name)}.depth_map")
    depth = read_healpix(path, None).at(position, interpolate=False)
    inside = inside & np.isfinite(depth)
    return inside, np.where(inside, depth, np.nan)


def _key(name: str) -> str:
    return f"coverage.surveys.{name}"
