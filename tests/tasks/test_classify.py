"""A catalogue classified chunk by chunk equals the catalogue classified as a whole."""

import hashlib

import jax
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
from xbayes.errors import InputError
from xbayes.simulate.catalog import simulate_catalog

SIZE = 128  # rows of a chunk
CLASSES = ("AGN", "Star", "XRB", "CV")


@pytest.fixture(scope="module")
def model(demo):
    """The model of the demo, for catalogues that mark missing values of gamma by -99."""
    model = load_fitted_model(demo.folder)
    roles = model.config.catalog.model_copy(update={"missing_values": {"gamma": (-99,)}})
    return model._replace(config=model.config.model_copy(update={"catalog": roles}))


@pytest.fixture
def sky():
    """400 rows, 4 chunks; releases, and the columns that are empty in them, straddle chunks.

    g_mag: never measured in release A (rows 50 to 149), sometimes missing in B.
    w1_mag: empty in one whole chunk, but measured in other rows of that release.
    gamma: missing in the whole file, by its marker, infinity or an empty cell.
    """
    table = simulate_catalog(400, 9)
    row = np.arange(400)
    table["release"] = np.where((row >= 50) & (row < 150), "A", "B-" + "long" * 3)
    table["g_mag"].mask |= table["release"] == "A"
    table["w1_mag"].mask |= (row >= 128) & (row < 256)
    table["gamma"] = np.choose(row % 3, [np.inf, np.nan, -99.0])
    table["note"] = np.ma.array([f"n{r}" * (1 + r // 100) for r in row], mask=row >= 320)
    table["count"] = np.ma.array(row.astype(np.int16), mask=row % 3 == 0)
    return table


def classified(model, chunks, **options):
    messages = []
    tables = list(stream.classify_chunks(model, chunks, warn=messages.append, **options))
    return tables, messages


def test_chunks_are_the_whole(model, sky, tmp_path):
    write_catalog(sky, tmp_path / "sky.parquet")
    table = read_catalog(tmp_path / "sky.parquet")
    expected, messages_whole = classified(model, table_chunks(table, 400))
    write_catalog(expected[0], tmp_path / "whole.parquet")
    parts, messages = classified(model, open_chunks(tmp_path / "sky.parquet", SIZE))
    assert [len(part) for part in parts] == [SIZE] * 3 + [16]
    with catalog_writer(tmp_path / "chunks.parquet") as append:
        for part in parts:
            append(part)
    assert messages == messages_whole
    assert any("gamma" in message and "400 rows" in message for message in messages)
    a, b = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("whole", "chunks"))
    assert a.schema.equals(b.schema, check_metadata=True)
    for name in a.column_names:
        if pa.types.is_floating(a.schema.field(name).type):
            # The size of a block may change the order of sums.
            np.testing.assert_allclose(
                a[name].to_numpy(), b[name].to_numpy(), rtol=1e-9, atol=1e-13
            )
        else:
            assert a[name].to_pylist() == b[name].to_pylist(), name


def test_the_test_above_notices_blocks_judged_by_chunk(model, sky, tmp_path, monkeypatch):
    """Control: whether a column is empty in a block is wrongly judged in each chunk alone."""
    by_chunk = stream.build_features
    monkeypatch.setattr(stream, "build_features", lambda t, config, blocks: by_chunk(t, config))
    with pytest.raises(AssertionError):
        test_chunks_are_the_whole(model, sky, tmp_path)


def test_any_format_to_any_format(demo, sky, tmp_path, done, monkeypatch):
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", SIZE)
    write_catalog(sky, tmp_path / "sky.fits")
    write_catalog(sky, tmp_path / "sky.parquet")
    for source, ending in (("sky.fits", "parquet"), ("sky.parquet", "csv")):
        out = tmp_path / f"{source}.{ending}"
        options = ("--missing-values", "gamma=-99")
        done("classify", demo.folder, tmp_path / source, "--out", out, *options)
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
            ["text", "'dim'", "counted from row 129"],
        ),
    ],
    ids=["repeated", "nameless", "coordinate", "column", "text"],
)
def test_faults_far_into_the_file_are_found(
    change, says, demo, sky, tmp_path, refused, monkeypatch
):
    monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", SIZE)
    change(sky)
    path = tmp_path / "bad.parquet"
    write_catalog(sky, path)
    command = ("classify", demo.folder, path, "--out", tmp_path / "o.parquet")
    refused(*command, "--missing-values", "gamma=-99", says=says)
    assert list(tmp_path.iterdir()) == [path]


def test_ids_with_equal_hashes_are_not_repeated(model, sky, monkeypatch):
    monkeypatch.setattr(whole, "hash_ids", lambda ids: np.zeros(len(ids), np.uint64))
    tables, _ = classified(model, table_chunks(sky, 200))
    assert sum(map(len, tables)) == 400
    sky["name"][350] = sky["name"][3]
    with pytest.raises(InputError, match="repeats 'SIM 000004'"):
        classified(model, table_chunks(sky, 200))


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


def test_one_chunk_at_a_time_is_read(model, sky):
    """The next chunk is read only after the previous classified one was taken."""
    chunks, taken = table_chunks(sky, SIZE), []

    def counted(names):
        for chunk in chunks.read(names):
            taken.append(names is None)
            yield chunk

    results = stream.classify_chunks(model, chunks._replace(read=counted))
    for n in range(1, 4):
        assert isinstance(next(results), Table)
        assert sum(taken) == n


def test_chunks_of_a_file_do_not_follow_its_row_groups(sky, tmp_path):
    write_catalog(sky, tmp_path / "a.parquet")
    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "b.parquet", row_group_size=50)
    chunks = open_chunks(tmp_path / "b.parquet", SIZE)
    assert chunks.n_rows == 400
    tables = list(chunks.read(["name", "ra"]))
    assert [len(t) for t in tables] == [SIZE] * 3 + [16]
    assert [name for t in tables for name in t["name"]] == sky["name"].tolist()
    assert tables[3]["ra"].unit == "deg"


def test_a_stored_model_is_complete_and_another_format_is_refused(demo, tmp_path):
    config, _, classifier, units = load_model(demo.folder)
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
    old = record.read_text().replace('"format": 5', '"format": 1')
    record.write_text(old)
    checksum = hashlib.sha256(old.encode()).hexdigest()
    (record.parent / "SHA256").write_text(checksum + "\n")
    with pytest.raises(InputError, match=r"format 1 .* reads format 5: run again"):
        load_model(tmp_path / "again")


def test_a_prediction_set_does_not_depend_on_chunk_or_prior_but_holds_the_prediction(model, sky):
    """Its random number belongs to the row; another prior adds its own prediction only."""

    def texts(parts, name):
        return np.concatenate([np.asarray(part[name]).astype(str) for part in parts])

    expected = [stream.classify_table(model, sky)]
    parts, _ = classified(model, table_chunks(sky, 200), prior={c: 0.25 for c in CLASSES})
    sets, prediction = texts(parts, "prediction_set"), texts(parts, "prediction")
    assert all(p in s.split(" or ") for p, s in zip(prediction, sets, strict=True))
    same = prediction == texts(expected, "prediction")
    assert 0.5 < same.mean() < 1
    np.testing.assert_array_equal(sets[same], texts(expected, "prediction_set")[same])
    flag = texts(parts, "set_flag")
    np.testing.assert_array_equal(flag, texts(expected, "set_flag"))
    assert (sets[flag == "True"] == prediction[flag == "True"]).all()
    assert {"AGN", "Star"} <= set(sets) and any(" or " in name for name in sets)


def test_another_number_of_rows_compiles_nothing(model, sky, caplog):
    """Up to the smallest chunk all are padded to one size."""
    classified(model, table_chunks(sky[:100], 100))
    with jax.log_compiles(), caplog.at_level("WARNING"):
        classified(model, table_chunks(sky[:57], 57))
    assert "Compiling" not in caplog.text
