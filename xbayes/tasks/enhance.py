"""`xbayes enhance`: a catalogue with further columns, from archives and from local files."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from xbayes.catalog.formats import ENDINGS
from xbayes.catalog.inputs import as_table
from xbayes.catalog.roles import uniform_catalog
from xbayes.catalog.write import catalog_writer, check_output
from xbayes.config.catalog import CatalogConfig
from xbayes.config.enhance import EnhanceConfig
from xbayes.config.enhance_reader import enhance_config_of
from xbayes.enhance.cache import default_cache
from xbayes.enhance.every_step import steps_of
from xbayes.enhance.provenance import KeptSteps
from xbayes.enhance.services import Progress, Services
from xbayes.enhance.steps import Enhanced, Step, run_steps
from xbayes.enhance.variability import TABLE as LIGHT_CURVES
from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike


def enhance(
    catalog: "CatalogLike",
    config: str | os.PathLike[str] | Mapping[str, object] | EnhanceConfig,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Sequence[str] = (),
    again: Collection[str] = (),
    refresh: Collection[str] = (),
    table: str | None = None,
    units: Mapping[str, str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    offline: bool = False,
    allow_partial: bool = False,
    services: Services | None = None,
    progress: Progress | None = None,
) -> Enhanced:
    """The catalogue with the columns of every step of the config.

    Existing columns stay as they are. A step whose columns are in the catalogue, by its record in
    the metadata, is skipped if its settings and inputs have not changed. Finished steps are kept
    beside the cache: after an interruption the same call goes on from there.

    Parameters
    ----------
    catalog
        A path, or a table of astropy, pandas or pyarrow.
    config
        The steps: a path, the name of a config that ships with xbayes (xmm, chandra), or a mapping.
    out
        File to write; further tables go beside it, such as NAME.light_curves.fits.
    overwrite
        Replace files that exist.
    settings
        Texts key=value that change the config, as of --set.
    again
        Names of steps whose columns are made anew.
    refresh
        Names of steps whose archives are asked again. The new answers replace those in the cache,
        and the columns are made anew.
    table
        Name or number of the table, if a file holds several.
    units
        Units of columns, where the table names none; they add to `catalog.units` of the config.
    cache
        Folder of the answers of archives; that of the user by default.
    offline
        Read only the cache.
    allow_partial
        Take an answer that a service cut off, with a warning.
    services
        Archives to ask, instead of those that cache, offline and allow_partial describe.
    progress
        Called with the completed share and the step that begins.

    Returns
    -------
    Enhanced
        The table, further tables by name, and which steps ran. `table.meta["enhance"]` has the
        record of each step.

    Raises
    ------
    InputError
        For a wrong config or catalogue, a column to be added that exists, and a service or an
        answer that is not to be had.

    Examples
    --------
    >>> made = xbayes.enhance("field.fits", "xmm", out="rich.fits")  # doctest: +SKIP

    Steps without archives need no network:

    >>> surveys = {"gaia": {"moc": "allsky"}}
    >>> steps = {"name": "mine", "positions": {}, "coverage": {"surveys": surveys}}
    >>> made = xbayes.enhance("runs/demo-catalog.fits", steps, cache="answers")
    >>> made.ran
    ('positions', 'coverage')
    >>> made.table.colnames[-4:]
    ['gal_l', 'gal_b', 'position_flag', 'covered_gaia']
    """
    if offline and refresh:
        raise InputError("--refresh asks archives and --offline does not; leave one of them out")
    asked = enhance_config_of(config, settings)
    catalog_units = {**asked.catalog.units, **(units or {})}
    roles = asked.catalog.model_copy(update={"units": catalog_units})
    asked = asked.model_copy(update={"catalog": roles})
    steps = steps_of(asked)
    place = None if out is None else Path(out).expanduser()
    if place is not None:
        check_output(place, overwrite)
        if asked.variability is not None:
            check_output(further_path(place, LIGHT_CURVES), overwrite)
    folder = default_cache() if cache is None else Path(cache).expanduser()
    begin, within = (None, None) if progress is None else _nested(progress, len(steps))
    if services is None:
        services = Services(
            cache=folder, offline=offline, allow_partial=allow_partial, progress=within,
            endpoints=asked.services,
        )  # fmt: skip
    given = as_table(catalog, table=table)
    try:
        enhanced = run_steps(
            _as_read(given, asked, steps), steps, services, original=given, again=again,
            refresh=refresh, kept=KeptSteps(folder / "steps"), progress=begin,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"finished steps are kept in {folder / 'steps'}: run the same command again, and it "
            "goes on from there"
        ) from None
    if place is not None:
        _write(enhanced, place, overwrite)
    return enhanced


def further_path(out: Path, name: str) -> Path:
    """The file of a further table, beside the catalogue: NAME.light_curves.fits."""
    ending = next(e for e in sorted(ENDINGS, key=len, reverse=True) if out.name.lower().endswith(e))
    return out.with_name(f"{out.name[: -len(ending)]}.{name}{out.name[-len(ending) :]}")


def _nested(progress: Progress, n_steps: int) -> tuple[Progress, Progress]:
    """What shows the steps, and what shows the parts of a request within the step that runs."""
    begun = 0.0

    def begin(share: float, step: str) -> None:
        nonlocal begun
        begun = share
        progress(share, step)

    def within(share: float, step: str) -> None:
        progress(begun + share / n_steps, step)

    return begin, within


def _as_read(table: Table, config: EnhanceConfig, steps: Sequence[Step]) -> Table:
    """The table as the steps read it: missing values masked, units stated."""
    reads = [name for step in steps for name in step.reads()]
    roles = CatalogConfig(
        id=table.colnames[0],  # some id is needed; none is read
        missing_values=config.catalog.missing_values,
        units=config.catalog.units,
    )
    return uniform_catalog(table, roles, (), "classify", numbers=reads)


def _write(enhanced: Enhanced, out: Path, overwrite: bool) -> None:
    """Write the catalogue and the further tables; each appears when all are written."""
    tables = {further_path(out, name): t for name, t in enhanced.tables.items() if len(t)}
    with ExitStack() as files:
        writers = [
            (files.enter_context(catalog_writer(path, overwrite)), part)
            for path, part in {out: enhanced.table, **tables}.items()
        ]
        for write, part in writers:
            write(part)
