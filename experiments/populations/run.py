"""What the unlabelled Chandra sources are: python experiments/populations/run.py [OUT].

Corrected counts, agreement of new and known sources, and the unified model of AGN on hardness. A
run that OUT has already is not made again.
"""

import sys
from pathlib import Path

import numpy as np
from agreement import Agreement, Sample, Superiority, agreement, superiority
from astropy.table import Table
from figure_agreement import draw_agreement

from xbayes.catalog.read import read_catalog, table_chunks
from xbayes.catalog.write import write_catalog
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.features.build import build_features
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.style import png_bytes
from xbayes.tasks.classify import CHUNK, classify_catalog, estimate_prior
from xbayes.tasks.count_classes import count_classes, population_table
from xbayes.tasks.run import run_experiment
from xbayes.tasks.training import load_training, use_precision

HERE = Path(__file__).parent
CONFIGS = {
    "classes": HERE.parents[1] / "configs/chandra_detections.yaml",
    "types": HERE / "types.yaml",
}
TYPE_1, TYPE_2 = ("QSO", "Seyfert1"), ("Seyfert2",)
HARDNESS = ("hard_hs", "hard_hm", "hard_ms")
LEAST_P = 0.001  # of a thousand draws


def made(name: str, out: Path) -> Path:
    """The run of a config, made where it is not there yet."""
    if not (out / name).exists():
        run_experiment(load_config(CONFIGS[name]), out=out / name)
    return out / name


def counted(run: Path, table: Table, out: Path) -> None:
    """Print corrected counts and keep them as a table."""
    found = count_classes(run, table_chunks(table, CHUNK), tell=print)
    counts = population_table(found)
    print("\n| class | predicted | by held-out confusion | by posteriors | apart |")
    print("|---|---|---|---|---|")
    for line in counts:
        cells = [
            f"{line[n]:.0f} ({line[f'{n}_lo']:.0f}-{line[f'{n}_hi']:.0f})"
            for n in ("by_confusion", "by_posterior")
        ]
        cells = [line["class"], f"{line['predicted']}", *cells, f"{line['difference']:+.1f}"]
        print(f"| {' | '.join(cells)} |")
    print("\n".join(found.doubts))
    write_catalog(counts, out / f"counts_{run.name}.csv", overwrite=True)


def posteriors(run: Path, table: Table) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes and posteriors [N C] under the proportions that the table's own sources tell."""
    classes, estimate = estimate_prior(run, table_chunks(table, CHUNK))
    prior = dict(zip(classes, estimate.proportions.tolist(), strict=True))
    classified = classify_catalog(run, table, prior)
    return classes, np.column_stack([np.asarray(classified[f"p_{c}"]) for c in classes])


def compared(run: Path, table: Table, out: Path) -> None:
    """Known against new sources; as a control, known ones against themselves by their posterior."""
    training = load_training(
        load_config(CONFIGS["classes"]), catalog_path(load_config(CONFIGS["classes"]))
    )
    labelled = training.labels.class_index >= 0
    held_out = read_catalog(run / "predictions.parquet")
    classes, posterior = posteriors(run, table)
    features, _ = build_features(table, training.config)
    truth = np.eye(len(classes))[training.labels.class_index[labelled]]
    rows = (training.features.value[labelled], training.features.measured[labelled])
    group = training.labels.group[labelled]
    known = Sample(*map(np.asarray, rows), truth, group)
    own = np.column_stack([np.asarray(held_out[f"p_{c}"]) for c in classes])
    new = Sample(
        np.asarray(features.value), np.asarray(features.measured), posterior, np.arange(len(table))
    )
    labels = [
        FeatureLabel(n, f.category, f.description, f.unit, f.scale)
        for n, f in training.config.features.items()
    ]
    found = agreement(known, new)
    tell(
        found,
        agreement(known, known._replace(weight=own)),
        classes,
        [label.name for label in labels],
    )
    (out / "agreement.png").write_bytes(
        png_bytes(draw_agreement(known, new, found, labels, classes))
    )


def tell(found: Agreement, control: Agreement, classes: tuple[str, ...], names: list[str]) -> None:
    """Distances by property; bold where they differ; behind it that of the control."""
    sizes = [
        f"{c} {np.median(found.known[i]):.0f}, {np.median(found.new[i]):.0f}"
        for i, c in enumerate(classes)
    ]
    print(f"\nEffective numbers, known and new (median over properties): {'; '.join(sizes)}\n")
    print(f"| property | {' | '.join(classes)} |\n|---|{'---|' * len(classes)}")
    for f, name in enumerate(names):
        cells = []
        for c in range(len(classes)):
            distance = f"{found.distance[c, f]:.2f}"
            bold = f"**{distance}**" if found.differs[c, f] else distance
            cells.append(f"{bold} ({found.shift[c, f]:+.2f}; control {control.distance[c, f]:.2f})")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"control: {control.differs.sum()} of {control.differs.size} differ")


def obscured(run: Path, table: Table) -> None:
    """Type 2 harder than type 1: among known AGN, and among the new ones that a run calls so."""
    known = read_catalog(catalog_path(load_config(CONFIGS["types"])))
    otype, group = np.asarray(known["otype"]).astype(str), np.asarray(known["group_id"])
    classes, posterior = posteriors(run, table)
    weight = [posterior[:, classes.index(name)] for name in ("Type1", "Type2")]
    of_new = np.arange(len(table)) + group.max() + 1
    agn = weight[0] + weight[1]
    print("\n| is harder | than | " + " | ".join(HARDNESS) + " |\n|---|---|---|---|---|")
    sides: dict[str, tuple[Table, np.ndarray, np.ndarray]] = {
        "known type 1": (known, np.isin(otype, TYPE_1), group),
        "known type 2": (known, np.isin(otype, TYPE_2), group),
        "known QSO": (known, otype == "QSO", group),
        "known Seyfert 1": (known, otype == "Seyfert1", group),
        "new AGN": (table, agn, of_new),
        "new, called type 1": (table, weight[0], of_new),
        "new, called type 2": (table, weight[1], of_new),
    }
    for harder, softer in (
        ("known type 2", "known type 1"),
        ("known type 2", "known QSO"),
        ("known type 2", "known Seyfert 1"),
        ("new AGN", "known type 1"),
        ("known type 2", "new AGN"),
        ("new, called type 2", "new, called type 1"),
    ):
        cells = [shown(above(sides[softer], sides[harder], name)) for name in HARDNESS]
        print(f"| {harder} | {softer} | {' | '.join(cells)} |")


def above(softer, harder, name: str) -> Superiority:
    """P(harder > softer) in one hardness ratio, over rows that have it and some weight."""
    parts = []
    for table, weight, group in (softer, harder):
        value = np.ma.filled(np.ma.asarray(table[name], float), np.nan)
        kept = np.isfinite(value) & (weight > 1e-3)
        parts.append((value[kept], np.asarray(weight, float)[kept], group[kept]))
    (x, w_x, g_x), (y, w_y, g_y) = parts
    return superiority(x, y, (w_x, w_y), (g_x, g_y), seed=1)


def shown(found: Superiority) -> str:
    """Value, interval and p-value."""
    low, high = found.interval
    sign = "=" if found.p_value > LEAST_P else "<="
    return f"{found.value:.2f} ({low:.2f}-{high:.2f}), p {sign} {found.p_value:.3f}"


def main() -> None:
    """All tables."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/populations")
    out.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIGS["classes"])
    use_precision(config)
    path = catalog_path(config)
    table = read_catalog(path.with_name("chandra_detections_unlabelled.csv"))
    table.rename_column("name", config.catalog.id)
    for name in CONFIGS:
        counted(made(name, out), table, out)
    compared(out / "classes", table, out)
    obscured(out / "types", table)


if __name__ == "__main__":
    main()
