"""Mixtures and class densities fitted to the partitions of a HATS catalogue.

Only sufficient statistics leave a worker: those of EM under the present parameters, or the counts
of the class densities. They add, so that the result is that of the whole catalogue in memory, and
memory does not depend on the number of sources.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
from astropy.table import Table
from distributed import Client, as_completed
from jaxtyping import Bool, Int

from xbayes.catalog.columns import masked_column, subset, to_table
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.taxonomy import class_indices, subclass_indices
from xbayes.errors import InputError
from xbayes.features.conditions import conditions_of_classes
from xbayes.hats.partitions import HatsTable, Partition, bad_partitions_text, local_file, open_hats
from xbayes.hats.workers import ONE_AT_A_TIME, Work, dask_client, run_on_worker, sent_run
from xbayes.infer.em import EMInfo, fit_sums, pad_rows
from xbayes.models.base import DensityStatistics, Params, Prepared, Statistics
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.models.measured import Measured
from xbayes.tasks.classify import rows_of
from xbayes.tasks.classify_parts import columns_to_read
from xbayes.tasks.fitted_run import FittedRun
from xbayes.tasks.precision import in_precision
from xbayes.tasks.survey import SAMPLE_SIZE, uniform_chunk
from xbayes.types import UNLABELLED, Features

Result = TypeVar("Result")


class MixtureSpec(NamedTuple):
    """The mixture that is fitted, and when its fit ends; see `gaussian_mixture` and `fit_em`."""

    n_components: int
    covariance_type: str = "full"
    reg_covar: float = 1e-6
    tol: float = 1e-4
    max_steps: int = 200


class FittedMixture(NamedTuple):
    """A mixture fitted to every row of a catalogue."""

    params: Params
    info: EMInfo


class FittedDensities(NamedTuple):
    """Class densities fitted to every labelled row of a catalogue."""

    params: Params
    prepared: Prepared
    n_rows: int  # with a class


def fit_mixture(
    run: FittedRun,
    catalog: str | Path,
    spec: MixtureSpec,
    *,
    start: Params | None = None,
    seed: int = 1,
    work: Work | None = None,
) -> FittedMixture:
    """A Gaussian mixture of the features of a run, fitted by EM to all rows of a HATS catalogue.

    Each iteration reads the partitions once. Labels play no part, so that sources without a label
    shape the clusters.

    Parameters
    ----------
    run
        Its config defines the features.
    start
        The first parameters; None: from up to 50,000 rows that are spread over the catalogue.

    Raises
    ------
    InputError
        For a partition that cannot be read: its rows would be missing from the fit.
    """
    with in_precision(run.config.precision), _Fit(run, catalog, work) as fit:
        model = gaussian_mixture(spec.n_components, spec.covariance_type, spec.reg_covar)
        if start is None:
            rows = _measured(_joined(fit.each(partial(_spaced, spacing=fit.spacing))))
            weight = jnp.ones(len(rows.value), rows.value.dtype)
            start = model.init(jax.random.key(seed), rows, weight)

        def statistics_of(params: Params) -> Statistics:
            here = jax.device_get(params)
            parts = fit.each(partial(_mixture_statistics, spec=spec, params=here))
            return jax.tree.map(jnp.asarray, _sum(parts))

        params, info = fit_sums(model, start, statistics_of, spec.tol, spec.max_steps)
    return FittedMixture(params=params, info=info)


def fit_densities(
    run: FittedRun, catalog: str | Path, *, work: Work | None = None
) -> FittedDensities:
    """The class densities of a run, fitted to all labelled rows of a HATS catalogue.

    The grids are laid over the range of all labelled values. Their medians, of weights and errors,
    are taken from up to 50,000 labelled rows.
    """
    with in_precision(run.config.precision), _Fit(run, catalog, work) as fit:
        density = run.model.recipe.scoring.density
        spread = _joined(fit.each(partial(_labelled_spread, spacing=fit.spacing)))
        prepared = density.prepare(spread, np.ones(len(spread.value), bool))
        sent = jax.device_get(prepared)
        totals = fit.each(partial(_density_statistics, prepared=sent))
        statistics = _sum([total for total, _ in totals])
        whole = jax.tree.map(lambda leaf: leaf[0], statistics)  # of the one fold
        n_rows = sum(n for _, n in totals)
        return FittedDensities(
            params=density.fit(prepared, whole), prepared=prepared, n_rows=n_rows
        )


class _Fit:
    """The partitions of a catalogue, and the workers that have the run."""

    def __init__(self, run: FittedRun, catalog: str | Path, work: Work | None) -> None:
        self.run, self.work = run, work or Work()
        self.table: HatsTable = open_hats(catalog).main
        if self.table.bad:
            raise InputError(f"{bad_partitions_text(self.table)}; a fit needs all of them")
        names = list(self.table.schema.names)
        self.needed = columns_to_read(run.model, names, ColumnOptions())
        label = run.config.catalog.label
        if label in names and label not in self.needed:
            self.needed.append(str(label))
        self.spacing = -(-self.table.n_rows // SAMPLE_SIZE)

    def __enter__(self) -> "_Fit":
        self._dask = dask_client(self.work, lambda message: None)
        self.client: Client = self._dask.__enter__()
        self._sent = sent_run(self.client, self.run)
        self.name = self._sent.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._sent.__exit__(None, None, None)
        self._dask.__exit__(None, None, None)

    def each(self, make: Callable[["_Rows"], Result]) -> list[Result]:
        """What `make` makes of each partition, in their order."""
        futures = {
            self.client.submit(_with_rows, make, self.name, self.needed, partition, pure=False): n
            for n, partition in enumerate(self.table.partitions)
        }
        made: list[Result | None] = [None] * len(futures)
        for future, result in as_completed(futures, with_results=True):
            made[futures[future]] = result
        return made  # type: ignore[return-value]


class _Rows(NamedTuple):
    """The rows of a partition."""

    run: FittedRun
    features: Features
    class_index: Int[np.ndarray, "N"]


def _with_rows(
    make: Callable[[_Rows], Result], name: str, needed: Sequence[str], partition: Partition
) -> Result:
    """On a worker: the features of a partition, and what `make` makes of them."""
    with ONE_AT_A_TIME:
        run = run_on_worker(name).run
        with local_file(partition.file) as path, pq.ParquetFile(path) as file:
            table = to_table(columns_of_arrow(file.read(columns=list(needed)), None), {})
        try:
            table = uniform_chunk(run.model, table)
            features = jax.tree.map(np.asarray, rows_of(run.model, table, 0).features)
            return make(_Rows(run=run, features=features, class_index=_classes(run, table)))
        except InputError as error:
            raise InputError(f"{partition.name}: {error}") from None


def _classes(run: FittedRun, table: Table) -> Int[np.ndarray, "N"]:
    """The class of each row, or its subclass if the densities are those of subclasses."""
    label, class_index = run.config.catalog.label, np.full(len(table), UNLABELLED)
    if label is None or label not in table.colnames:
        return class_index
    known = np.flatnonzero(~np.ma.getmaskarray(masked_column(table, label)))
    if len(known):
        part, taxonomy = subset(table, None, known), run.config.taxonomy
        given, conditions = masked_column(part, label), conditions_of_classes(part, run.config)
        own = subclass_indices(given, taxonomy, conditions)
        found = class_indices(given, taxonomy, conditions)[0] if own is None else own
        class_index[known] = found
    return class_index


def _spaced(rows: _Rows, spacing: int) -> Features:
    return rows.features.rows(slice(None, None, spacing))


def _labelled_spread(rows: _Rows, spacing: int) -> Features:
    """Evenly spaced labelled rows, and those with the least and the largest value of a feature."""
    labelled = np.flatnonzero(rows.class_index != UNLABELLED)
    features = rows.features.rows(labelled)
    chosen = np.zeros(len(labelled), bool)
    chosen[::spacing] = True
    for value, measured in zip(features.value.T, features.measured.T, strict=True):
        known = np.flatnonzero(measured)
        if len(known):
            chosen[known[np.argmin(value[known])]] = True
            chosen[known[np.argmax(value[known])]] = True
    return features.rows(chosen)


def _mixture_statistics(rows: _Rows, spec: MixtureSpec, params: Params) -> Statistics:
    model = gaussian_mixture(spec.n_components, spec.covariance_type, spec.reg_covar)
    if model.statistics is None:
        raise TypeError("a mixture gives statistics")
    x = _measured(rows.features)
    weight = np.ones(len(x.value), x.value.dtype)
    x, weight = pad_rows((x, weight), 1 << (len(weight) - 1).bit_length())  # few sizes to compile
    return jax.device_get(model.statistics(params, x, weight))


def _density_statistics(rows: _Rows, prepared: Prepared) -> tuple[DensityStatistics, int]:
    density = rows.run.model.recipe.scoring.density
    labelled: Bool[np.ndarray, N] = rows.class_index != UNLABELLED
    size = 1 << max(len(labelled) - 1, 1).bit_length()
    fill = size - len(labelled)
    made = density.statistics(
        prepared,
        rows.features.padded(size),
        jnp.asarray(np.pad(rows.class_index, (0, fill), constant_values=UNLABELLED)),
        jnp.zeros(size, int),
        1,
    )
    return jax.device_get(made), int(labelled.sum())


def _measured(features: Features) -> Measured:
    return Measured(value=np.asarray(features.value), observed=np.asarray(features.measured))


def _joined(parts: list[Features]) -> Features:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _sum(parts: list[Result]) -> Result:
    """The sum, in the order of the partitions: the result does not depend on who was first."""
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *parts)
