"""A catalogue classified chunk by chunk is the catalogue classified whole."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

import xbayes.catalog.whole_check as whole
import xbayes.tasks.classify as stream
from xbayes.catalog.read import open_chunks, read_catalog, table_chunks
from xbayes.catalog.write import catalog_writer, write_catalog
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.classifier.store import load_model, save_model
from xbayes.config.reader import load_config
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.run import fit_classifier
from xbayes.tasks.training import load_training
from xbayes.types import InputError

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
SIZE = 64  # rows of a chunk
CLASSES = ("AGN", "Star", "XRB", "CV")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A fitted model, without the rest of a run directory."""
    from jax import random

    from xbayes.classifier.recipe import build_recipe

    folder = tmp_path_factory.mktemp("fitted")
    write_catalog(simulate_catalog(800, 5), folder / "training.parquet")
    config = load_config(CONFIG, ["model.weights=category", "catalog.missing_values={pm: [-99]}"])
    training = load_training(config, folder / "training.parquet")
    recipe, fold = build_recipe(training.config), np.arange(800) % recipe_folds(config)
    classifier, _ = fit_classifier(recipe, training.features, training.labels, fold, random.key(0))
    save_model(folder / "run" / "model", training.config, classifier, {})
    return folder / "run"


def recipe_folds(config):
    return config.validation.inner_folds


@pytest.fixture
def sky():
    """400 rows, 7 chunks; releases straddle chunks, and so does what they lack.

    g_mag: never measured in release A (rows 50 to 149), missing here and there in B.
    w1_mag: empty in one whole chunk, though measured elsewhere in that release.
    gamma: missing in the whole file, by its marker, infinity or an empty cell.
    """
    table = simulate_catalog(400, 9)
    row = np.arange(400)
    table["release"] = np.where((row >= 50) & (row < 150), "A", "B-" + "long" * 3)
    table["g_mag"].mask |= table["release"] == "A"
    table["w1_mag"].mask |= (row >= 192) & (row < 256)
    table["gamma"] = np.where(row % 2, np.inf, np.nan)
    table["note"] = np.ma.array([f"n{r}" * (1 + r // 100) for r in row], mask=row >= 320)
    table["count"] = np.ma.array(row.astype(np.int16), mask=row % 3 == 0)
    return table


def classified(run, chunks, **options):
    told = []
    tables = list(
        stream.classify_chunks(load_fitted_model(run), chunks, tell=told.append, **options)
    )
    return tables, told


def test_chunks_are_the_whole(run, sky, tmp_path):
    write_catalog(sky, tmp_path / "sky.parquet")
    expected, told_whole = classified(
        run, table_chunks(read_catalog(tmp_path / "sky.parquet"), 400)
    )
    write_catalog(expected[0], tmp_path / "whole.parquet")
    parts, told = classified(run, open_chunks(tmp_path / "sky.parquet", SIZE))
    assert [len(part) for part in parts] == [SIZE] * 6 + [16]
    with catalog_writer(tmp_path / "chunks.parquet") as append:
        for part in parts:
            append(part)
    assert told == told_whole
    assert any("gamma" in warning and "400 rows" in warning for warning in told)
    a, b = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("whole", "chunks"))
    assert a.schema.equals(b.schema, check_metadata=True)
    for name in a.column_names:
        if pa.types.is_floating(a.schema.field(name).type):
            # Blocks of another size may add up in another order.
            np.testing.assert_allclose(
                a[name].to_numpy(), b[name].to_numpy(), rtol=1e-9, atol=1e-13
            )
        else:
            assert a[name].to_pylist() == b[name].to_pylist(), name


def test_the_test_above_sees_a_block_rule_by_chunk(run, sky, tmp_path, monkeypatch):
    """What it guards against: what a block lacks, judged in each chunk by itself."""
    by_chunk = stream.build_features
    monkeypatch.setattr(stream, "build_features", lambda t, config, blocks: by_chunk(t, config))
    with pytest.raises(AssertionError):
        test_chunks_are_the_whole(run, sky, tmp_path)


def test_any_format_to_any_format(run, sky, tmp_path, done, monkeypatch):
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK", SIZE)
    write_catalog(sky, tmp_path / "sky.fits")
    for source, ending in (
        ("sky.fits", "parquet"),
        ("sky.parquet", "fits"),
        ("sky.parquet", "csv"),
    ):
        if not (tmp_path / source).exists():
            write_catalog(sky, tmp_path / source)
        out = tmp_path / f"{source}.{ending}"
        done("classify", run, tmp_path / source, "--out", out)
        got = read_catalog(out)
        assert got["name"].tolist() == sky["name"].tolist()
        assert got["count"].tolist() == sky["count"].tolist()


def set_cell(column, row, value):
    def change(table):
        table[column][row] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_cell("name", 399, "SIM 000001"), ["'SIM 000001'", "repeats"]),
        (set_cell("name", 300, ""), ["1 rows have no id", "row 301"]),
        (set_cell("dec", 390, 95.0), ["found 95 in row SIM 000391 and 0 more"]),
        (lambda t: t.rename_column("g_mag", "gmag"), ["g_mag", "did you mean 'gmag'"]),
        (
            lambda t: t.replace_column("w2_mag", [""] * 200 + ["dim"] * 200),
            ["text", "'dim'", "counted from row 193"],
        ),
    ],
    ids=["repeated", "nameless", "coordinate", "column", "text"],
)
def test_what_is_wrong_far_into_the_file(change, says, run, sky, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK", SIZE)
    change(sky)
    path = tmp_path / "bad.parquet"
    write_catalog(sky, path)
    refused("classify", run, path, "--out", tmp_path / "o.parquet", says=says)
    assert list(tmp_path.iterdir()) == [path]


def test_ids_of_one_hash_are_not_repeated(run, sky, monkeypatch):
    monkeypatch.setattr(whole, "hash_ids", lambda ids: np.zeros(len(ids), np.uint64))
    tables, _ = classified(run, table_chunks(sky, SIZE))
    assert sum(map(len, tables)) == 400
    sky["name"][350] = sky["name"][3]
    with pytest.raises(InputError, match="repeats 'SIM 000004'"):
        classified(run, table_chunks(sky, SIZE))


def test_a_hash_does_not_depend_on_the_width_of_the_column():
    ids = np.array(["a", "bb", "ccc"])
    np.testing.assert_array_equal(whole.hash_ids(ids), whole.hash_ids(ids.astype("U20")))
    assert len(set(whole.hash_ids(np.array([f"{n}" for n in range(5000)])).tolist())) == 5000


@pytest.mark.parametrize("ending", ["parquet", "fits"])
def test_an_interruption_leaves_nothing(sky, tmp_path, ending):
    with pytest.raises(KeyboardInterrupt), catalog_writer(tmp_path / f"o.{ending}") as append:
        append(sky)
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_one_chunk_at_a_time_is_read(run, sky, tmp_path):
    """The next chunk is read only when the classified one before it was taken."""
    chunks, taken = table_chunks(sky, SIZE), []

    def counted(names):
        for chunk in chunks.read(names):
            taken.append(names is None)
            yield chunk

    results = stream.classify_chunks(load_fitted_model(run), chunks._replace(read=counted))
    for n in range(1, 4):
        assert isinstance(next(results), Table)
        assert sum(taken) == n


def test_chunks_of_a_file_do_not_follow_its_row_groups(sky, tmp_path):
    write_catalog(sky, tmp_path / "a.parquet")
    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "b.parquet", row_group_size=50)
    chunks = open_chunks(tmp_path / "b.parquet", SIZE)
    assert chunks.n_rows == 400
    tables = list(chunks.read(["name", "ra"]))
    assert [len(t) for t in tables] == [SIZE] * 6 + [16]
    assert [name for t in tables for name in t["name"]] == sky["name"].tolist()
    assert tables[3]["ra"].unit == "deg"


def test_a_stored_model_keeps_calibrator_and_sets_and_refuses_another_format(run, tmp_path):
    """What is read is what was written; a model of an older release is named as such."""
    config, _, classifier, units = load_model(run)
    matrix = np.arange(16.0).reshape(4, 4) / 10
    calibrator = classifier.calibrator._replace(matrix=matrix, offset=np.arange(4.0))
    written = classifier._replace(calibrator=calibrator)
    save_model(tmp_path / "again" / "model", config, written, units)
    _, _, read, _ = load_model(tmp_path / "again")
    np.testing.assert_array_equal(read.calibrator.matrix, matrix)
    np.testing.assert_array_equal(read.calibrator.offset, np.arange(4.0))
    np.testing.assert_array_equal(read.conformal.score, classifier.conformal.score)
    assert np.isfinite(np.asarray(read.conformal.score)).any(axis=1).all()
    record = tmp_path / "again" / "model" / "model.json"
    old = record.read_text().replace('"format": 3', '"format": 1')
    record.write_text(old)
    checksum = hashlib.sha256(old.encode()).hexdigest()
    (record.parent / "SHA256").write_text(checksum + "\n")
    with pytest.raises(InputError, match=r"format 1 .* reads format 3: run again"):
        load_model(tmp_path / "again")


def test_the_set_of_a_source_is_that_of_any_chunk_and_any_prior(run, sky):
    """The chance in it belongs to the row; the prior of the sky does not enter."""
    whole = stream.classify_table(load_fitted_model(run), sky)
    parts = stream.classify_chunks(
        load_fitted_model(run), table_chunks(sky, SIZE), prior={c: 0.25 for c in CLASSES}
    )
    sets = np.concatenate([np.asarray(part["prediction_set"]).astype(str) for part in parts])
    np.testing.assert_array_equal(sets, np.asarray(whole["prediction_set"]).astype(str))
    assert {"AGN", "Star"} <= set(sets) and any(" or " in name for name in sets)
