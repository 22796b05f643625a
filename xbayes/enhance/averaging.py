"""Class posteriors that average over the candidate counterparts of a source.

    P(class | source) = sum over hypotheses h of P(h | positions, magnitudes) P(class | data of h)

The hypotheses are the rows of the table `counterpart_hypotheses`, which the step `counterparts`
makes: each association of entries, and "none". Their weights are p_any p_i and 1 - p_any.
"""

import numpy as np
from astropy.table import Table, hstack

from xbayes.catalog.columns import masked_column, subset
from xbayes.enhance.counterparts import SOURCE, WEIGHT
from xbayes.enhance.steps import AddedColumn, column_of
from xbayes.errors import InputError


def candidate_rows(catalog: Table, hypotheses: Table) -> Table:
    """The catalogue with one row per hypothesis, which has the columns of its counterpart.

    Parameters
    ----------
    catalog
        The enhanced catalogue, or the one before.
    hypotheses
        The table `counterpart_hypotheses` of the same rows.

    Raises
    ------
    InputError
        If the tables do not belong together.
    """
    source = _column(hypotheses, SOURCE).astype(np.int64)
    if len(source) and source.max() >= len(catalog):
        raise InputError(
            f"the hypotheses are of {int(source.max()) + 1} or more rows, but the catalogue has "
            f"{len(catalog)}; give the catalogue that was enhanced, in the same order"
        )
    kept = [name for name in catalog.colnames if name not in hypotheses.colnames]
    rows = subset(catalog, kept, source)
    return hstack([rows, hypotheses], join_type="exact", metadata_conflicts="silent")


def average_over_counterparts(classified: Table, hypotheses: Table) -> Table:
    """The class posteriors of each source, averaged over its hypotheses.

    Parameters
    ----------
    classified
        What `FittedRun.classify` makes of `candidate_rows`, one row per hypothesis.
    hypotheses
        The same rows.

    Returns
    -------
    Table
        One row per source that has a position: its row in the catalogue (from 0), `prediction`, the
        most probable class, p_CLASS, and the number of hypotheses.

    Raises
    ------
    InputError
        If the tables do not belong together, or `classified` names no classes.
    """
    if len(classified) != len(hypotheses):
        raise InputError(
            f"{len(classified)} rows are classified, but there are {len(hypotheses)} hypotheses; "
            "classify candidate_rows(catalog, hypotheses), and keep the order of its rows"
        )
    classes = [name for name in str((classified.meta or {}).get("CLASSES", "")).split(",") if name]
    if not classes:
        raise InputError(
            "the classified table names no classes in its metadata (CLASSES); give the table that "
            "classify makes, or a file of it in FITS, VOTable, ECSV or Parquet"
        )
    source, weight = _column(hypotheses, SOURCE).astype(np.int64), _column(hypotheses, WEIGHT)
    rows, number = np.unique(source, return_inverse=True)
    total = np.bincount(number, weight)
    posterior = np.stack(
        [np.bincount(number, weight * _column(classified, f"p_{c}")) / total for c in classes], 1
    )
    shares = {c: posterior[:, k] for k, c in enumerate(classes)}
    groups = (classified.meta or {}).get("GROUPS") or {}
    shares |= {g: np.sum([shares[c] for c in members], 0) for g, members in groups.items()}
    averaged = [
        column_of(AddedColumn(SOURCE, "Row of the source, from 0", "", "meta.id"), rows),
        column_of(
            AddedColumn("prediction", "Most probable class", "", "src.class"),
            np.array(classes)[posterior.argmax(1)] if len(rows) else np.zeros(0, "U1"),
        ),
        *[
            column_of(
                AddedColumn(f"p_{c}", f"Probability of {c}, averaged over candidate counterparts",
                            "", "stat.probability"),
                share,
            )
            for c, share in shares.items()
        ],
        column_of(
            AddedColumn("n_hypotheses", "Number of candidates, with none", "", "meta.number"),
            np.bincount(number),
        ),
    ]  # fmt: skip
    return Table(averaged, meta={"CLASSES": ",".join(classes)})


def _column(table: Table, name: str) -> np.ndarray:
    if name not in table.colnames:
        raise InputError(f"the table has no column {name!r}; give the table that xbayes makes")
    return np.asarray(np.ma.getdata(masked_column(table, name)))
