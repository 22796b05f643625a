"""Classes of the unlabelled Chandra sources: python experiments/populations/run.py [OUT].

Prints corrected counts, the agreement of new and known sources, and a test of the unified model of
AGN by hardness. Existing runs in OUT are used again.
"""

import sys
from pathlib import Path

import numpy as np
from agreement import Agreement, Sample, Superiority, agreement, superiority
from astropy.table import Table
from figure_agreement import draw_agreement

from xbayes.catalog.read import read_catalog, table_chunks
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fitted_model import FittedModel, load_fitted_model
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import labelled_rows
from xbayes.features.build import build_features
from xbayes.figures.labels import FeatureLabel
from xbayes.figures.style import png_bytes
from xbayes.tasks.classify import CHUNK_IN_MEMORY, classify_table
from xbayes.tasks.count_classes import count_classes, population_table
from xbayes.tasks.precision import use_precision
from xbayes.tasks.run import run_experiment
from xbayes.tasks.training import load_training

HERE = Path(__file__).parent
CONFIGS = {
    "classes": HERE.parents[1] / "configs/chandra_detections_plain.yaml",
    "types": HERE / "types.yaml",
}
TYPE_1, TYPE_2 = ("QSO", "Seyfert1"), ("Seyfert2",)
HARDNESS = ("hard_hs", "hard_hm", "hard_ms")
LEAST_P = 0.001  # the smallest p-value with a thousand draws


def fitted(name: str, out: Path) -> FittedModel:
    """The model of a config; the run is made if it does not exist."""
    if not (out / name).exists():
        run_experiment(load_config(CONFIGS[name]), out=out / name)
    return load_fitted_model(out / name)


def print_counts(model: FittedModel, table: Table, out: Path) -> None:
    """Print corrected counts and write them as a table."""
    population = count_classes(model, table_chunks(table, CHUNK_IN_MEMORY), warn=print)
    counts = population_table(population)
    print("\n| class | predicted | by held-out confusion | by posteriors | difference (sigma) |")
    print("|---|---|---|---|---|")
    for line in counts:
        cells = [
            f"{line[n]:.0f} ({line[f'{n}_lo']:.0f}-{line[f'{n}_hi']:.0f})"
            for n in ("by_confusion", "by_posterior")
        ]
        cells = [line["class"], f"{line['predicted']}", *cells, f"{line['difference']:+.1f}"]
        print(f"| {' | '.join(cells)} |")
    print("\n".join(population.doubts))
    write_catalog(counts, out / f"counts_{model.folder.name}.csv", overwrite=True)


def posteriors(model: FittedModel, table: Table) -> np.ndarray:
    """Posteriors [N C] under the class proportions estimated from the table itself."""
    return posterior_columns(classify_table(model, table, prior="estimate"), model.classes)


def posterior_columns(table: Table, classes: tuple[str, ...]) -> np.ndarray:
    """The class posteriors [N C] of a classified table."""
    return np.column_stack([np.asarray(table[f"p_{name}"]) for name in classes])


def compare_known_and_new(model: FittedModel, table: Table, out: Path) -> None:
    """Compare known and new sources; as a control, known sources by label and by posterior."""
    config = load_config(CONFIGS["classes"])
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    known = Sample(
        value=np.asarray(features.value),
        measured=np.asarray(features.measured),
        weight=np.eye(len(model.classes))[labels.class_index],
        group=labels.group,
    )
    held_out = posterior_columns(read_catalog(model.folder / "predictions.parquet"), model.classes)
    features, _ = build_features(table, training.config)
    new = Sample(
        value=np.asarray(features.value),
        measured=np.asarray(features.measured),
        weight=posteriors(model, table),
        group=np.arange(len(table)),
    )
    feature_labels = [
        FeatureLabel(
            name=name,
            category=feature.category,
            description=feature.description,
            unit=feature.unit,
            scale=feature.scale,
        )
        for name, feature in training.config.features.items()
    ]
    result = agreement(known, new)
    control = agreement(known, known._replace(weight=held_out))
    print_agreement(result, control, model.classes, list(training.config.features))
    figure = draw_agreement(known, new, result, feature_labels, model.classes)
    (out / "agreement.png").write_bytes(png_bytes(figure))


def print_agreement(
    result: Agreement, control: Agreement, classes: tuple[str, ...], names: list[str]
) -> None:
    """Print distances by feature, bold if significant, followed by those of the control."""
    sizes = [
        f"{c} {np.median(result.known[i]):.0f}, {np.median(result.new[i]):.0f}"
        for i, c in enumerate(classes)
    ]
    print(f"\nEffective numbers, known and new (median over features): {'; '.join(sizes)}\n")
    print(f"| feature | {' | '.join(classes)} |\n|---|{'---|' * len(classes)}")
    for f, name in enumerate(names):
        cells = []
        for c in range(len(classes)):
            distance = f"{result.distance[c, f]:.2f}"
            bold = f"**{distance}**" if result.differs[c, f] else distance
            cells.append(
                f"{bold} ({result.shift[c, f]:+.2f}; control {control.distance[c, f]:.2f})"
            )
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"control: {control.differs.sum()} of {control.differs.size} differ")


def compare_hardness(model: FittedModel, table: Table) -> None:
    """Compare the hardness of type 2 and type 1 AGN, known and newly classified."""
    known = read_catalog(catalog_path(load_config(CONFIGS["types"])))
    otype, group = np.asarray(known["otype"]).astype(str), np.asarray(known["group_id"])
    posterior = posteriors(model, table)
    type_1, type_2 = (posterior[:, model.classes.index(name)] for name in ("Type1", "Type2"))
    new_group = np.arange(len(table)) + group.max() + 1
    print(
        "\n| harder sample | softer sample | " + " | ".join(HARDNESS) + " |\n|---|---|---|---|---|"
    )
    samples: dict[str, tuple[Table, np.ndarray, np.ndarray]] = {
        "known type 1": (known, np.isin(otype, TYPE_1), group),
        "known type 2": (known, np.isin(otype, TYPE_2), group),
        "known QSO": (known, otype == "QSO", group),
        "known Seyfert 1": (known, otype == "Seyfert1", group),
        "new AGN": (table, type_1 + type_2, new_group),
        "new, classified as type 1": (table, type_1, new_group),
        "new, classified as type 2": (table, type_2, new_group),
    }
    for harder, softer in (
        ("known type 2", "known type 1"),
        ("known type 2", "known QSO"),
        ("known type 2", "known Seyfert 1"),
        ("new AGN", "known type 1"),
        ("known type 2", "new AGN"),
        ("new, classified as type 2", "new, classified as type 1"),
    ):
        cells = [shown(hardness(samples[softer], samples[harder], name)) for name in HARDNESS]
        print(f"| {harder} | {softer} | {' | '.join(cells)} |")


def hardness(softer, harder, name: str) -> Superiority:
    """P(harder > softer) in one hardness ratio, over rows with a value and some weight."""
    parts = []
    for table, weight, group in (softer, harder):
        value = np.ma.filled(np.ma.asarray(table[name], float), np.nan)
        rows = np.isfinite(value) & (weight > 1e-3)
        parts.append((value[rows], np.asarray(weight, float)[rows], group[rows]))
    (x, w_x, g_x), (y, w_y, g_y) = parts
    return superiority(x, y, (w_x, w_y), (g_x, g_y), seed=1)


def shown(result: Superiority) -> str:
    """Value, interval and p-value."""
    low, high = result.interval
    sign = "=" if result.p_value > LEAST_P else "<="
    return f"{result.value:.2f} ({low:.2f}-{high:.2f}), p {sign} {result.p_value:.3f}"


def main() -> None:
    """Print all tables."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/populations")
    out.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIGS["classes"])
    use_precision(config)
    path = catalog_path(config)
    table = read_catalog(path.with_name("chandra_detections_unlabelled.csv"))
    table.rename_column("name", config.catalog.id)
    models = {name: fitted(name, out) for name in CONFIGS}
    for model in models.values():
        print_counts(model, table, out)
    compare_known_and_new(models["classes"], table, out)
    compare_hardness(models["types"], table)


if __name__ == "__main__":
    main()
