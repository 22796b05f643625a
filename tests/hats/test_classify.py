"""`xbayes classify` on HATS catalogues: values, format, faults, resuming, killed workers."""

import os
import signal
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import lsdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from hats.io.validation import is_valid_collection

import xbayes
from xbayes.classifier import predict
from xbayes.errors import InputError
from xbayes.hats.classify import STATE, Reports, classify_hats
from xbayes.hats.workers import Work

pytestmark = pytest.mark.slow


def rows_of(folder, part="sky"):
    """The rows of a catalogue as they stand in its partitions, in the order of these."""
    files = (folder / part / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet")
    ordered = sorted(files, key=lambda file: int(file.stem.partition("=")[2]))
    return pa.concat_tables([pq.ParquetFile(file).read() for file in ordered])


@pytest.fixture(scope="module")
def made(sky, small, cluster, tmp_path_factory):
    """The catalogue, classified; read only."""
    out, told = tmp_path_factory.mktemp("made") / "out.hats", []
    fit = xbayes.load(small.folder)
    outcome = classify_hats(
        fit,
        sky,
        out,
        work=Work(scheduler=cluster.scheduler_address),
        reports=Reports(say=told.append, progress=lambda share, step: told.append(step)),
    )
    return SimpleNamespace(out=out, fit=fit, told=told, outcome=outcome)


def test_the_posteriors_are_those_of_a_table_in_memory(made, sky):
    there, here = rows_of(made.out), made.fit.classify(rows_of(sky))
    assert there.num_rows == made.outcome.n_rows == 2000
    for name in here.colnames:
        values = np.asarray(here[name])
        found = there[name].to_numpy()
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found.astype(float), values, rtol=0, atol=1e-12)
        elif name in ("prediction", "prediction_set", "alternative", "n_missing"):
            assert found.astype(values.dtype).tolist() == values.tolist()
    assert made.outcome.failed == {} and made.outcome.n_before == 0


def test_lsdb_and_pyarrow_read_the_result(made, sky):
    assert is_valid_collection(made.out, strict=True, verbose=False)
    opened = lsdb.open_catalog(made.out)
    assert len(opened.compute()) == 2000
    assert len(opened.margin.compute()) == rows_of(sky, "sky_3600arcs").num_rows
    assert pq.read_table(made.out / "sky" / "dataset", columns=["p_XRB"]).num_rows == 2000
    assert "p_XRB" in opened.columns and not (made.out / STATE).exists()


def test_columns_keep_units_descriptions_and_types(made, sky):
    before = rows_of(sky).schema
    files = [*(made.out / "sky" / "dataset").rglob("Npix=*.parquet")]
    common = pq.read_schema(made.out / "sky" / "dataset" / "_common_metadata")
    for schema in (common, pq.read_schema(files[0])):
        assert schema.field("a").metadata == {b"unit": b"mag", b"description": b"a magnitude"}
        assert schema.field("p_AGN").metadata[b"ucd"] == b"stat.probability;src.class"
        for field in before:
            assert schema.field(field.name).type == field.type


def test_progress_has_a_rate_and_the_time_left(made):
    assert any("dashboard: http" in text for text in made.told)
    assert any("sources/s" in text and "s left" in text for text in made.told)


def test_what_the_catalogue_teaches_is_that_of_the_whole(sky, small, cluster, tmp_path):
    fit, found = xbayes.load(small.folder), {}
    asked = {"prior": "estimate", "decision": "catalogue"}
    classify_hats(
        fit,
        sky,
        tmp_path / "out.hats",
        work=Work(scheduler=cluster.scheduler_address),
        reports=Reports(estimated=lambda e: found.update(there=e)),
        **asked,
    )
    here = fit.classify(rows_of(sky), estimated=lambda e: found.update(here=e), **asked)
    there = rows_of(tmp_path / "out.hats")
    np.testing.assert_allclose(there["p_XRB"].to_numpy(), here["p_XRB"], rtol=0, atol=1e-12)
    assert there["prediction"].to_pylist() == here["prediction"].tolist()
    np.testing.assert_array_equal(found["there"].proportions, found["here"].proportions)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def address(sky):
    """The small catalogue behind an address."""
    handler = partial(QuietHandler, directory=str(sky.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{sky.name}"
        server.shutdown()


def test_a_catalogue_at_an_address_gives_the_same(made, address, cluster, tmp_path):
    out = tmp_path / "out.hats"
    classify_hats(made.fit, address, out, work=Work(scheduler=cluster.scheduler_address))
    assert rows_of(out).equals(rows_of(made.out))


def damaged(files):
    """Four partitions, each with another fault; the reasons."""
    pq.write_table(pq.ParquetFile(files[1]).read().drop_columns(["b"]), files[1])
    table = pq.ParquetFile(files[3]).read()
    text = table["c"].cast(pa.string())
    pq.write_table(table.set_column(table.column_names.index("c"), "c", text), files[3])
    pq.write_table(pq.ParquetFile(files[5]).read().slice(0, 0), files[5])
    files[7].write_bytes(files[7].read_bytes()[:500])
    return ("lacks column 'b'", "'c' holds string, not double", "empty", "unreadable")


def test_bad_partitions_are_named_and_the_rest_goes_on(fresh, small, cluster, xbayes, tmp_path):
    kept = {file: file.read_bytes() for file in fresh.files}
    reasons, out = damaged(fresh.files), tmp_path / "out.hats"
    line = ("classify", small.folder, fresh.folder, "--out", out)
    line = (*line, "--scheduler", cluster.scheduler_address)
    code, _, err = xbayes(*line)
    assert code == 2 and "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert "4 partitions could not be used" in last and "Norder=0/Npix=" in last
    assert all(reason in last for reason in reasons), last
    assert len([*(out / "sky" / "dataset").rglob("Npix=*.parquet")]) == 8
    assert is_valid_collection(out, strict=True, verbose=False)
    # Mended, the same command classifies only what is missing.
    for file, content in kept.items():
        file.write_bytes(content)
    code, _, err = xbayes(*line)
    assert code == 0, err
    assert "partitions were there from a run that was stopped" in err
    assert "2000 sources classified" in err
    assert lsdb.open_catalog(out).compute()["p_AGN"].notna().all()


def test_a_partition_with_wrong_values_is_named(fresh, small, cluster, refused, tmp_path):
    table = pq.ParquetFile(fresh.files[2]).read()
    wrong = pa.array(np.full(len(table), 400.0))
    pq.write_table(table.set_column(table.column_names.index("ra"), "ra", wrong), fresh.files[2])
    refused(
        "classify", small.folder, fresh.folder, "--out", tmp_path / "out.hats",
        "--scheduler", cluster.scheduler_address,
        says=("1 partitions could not be used", "Npix=", "'ra' must lie in [0, 360]"),
    )  # fmt: skip


def test_a_killed_worker_is_replaced(sky, small, tmp_path):
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as own:
        with Client(own) as client:
            (process,) = client.run(os.getpid).values()
        alive = [process]

        def progress(share, step):
            if alive:
                os.kill(alive.pop(), signal.SIGKILL)

        outcome = classify_hats(
            xbayes.load(small.folder),
            sky,
            tmp_path / "out.hats",
            work=Work(scheduler=own.scheduler_address),
            reports=Reports(progress=progress),
        )
    assert outcome.n_rows == 2000 and outcome.failed == {} and not alive


def test_a_killed_command_is_completed_by_the_next(made, sky, small, cluster, tmp_path):
    out, done = tmp_path / "out.hats", []

    def stop_at_the_third(share, step):
        done.append(step)
        if len(done) == 3:
            raise KeyboardInterrupt

    def again(**reports):
        work = Work(scheduler=cluster.scheduler_address)
        return classify_hats(made.fit, sky, out, work=work, reports=Reports(**reports))

    with pytest.raises(KeyboardInterrupt):
        again(progress=stop_at_the_third)
    assert (out / STATE).is_file()
    (out / "sky" / "dataset" / "Norder=0" / "Dir=0" / ".Npix=3.parquet.1").write_bytes(b"PAR1")
    written = len([*out.rglob("Npix=*.parquet")])
    outcome = again()
    assert 3 <= written <= outcome.n_before < 24 and outcome.n_rows == 2000
    assert rows_of(out).equals(rows_of(made.out)) and not [*out.rglob(".Npix=*")]


def test_a_worker_compiles_once_whatever_the_size_of_the_partitions(made, sky, cluster):
    sizes = {pq.read_metadata(file).num_rows for file in (sky / "sky").rglob("Npix=*.parquet")}
    with Client(cluster) as client:
        compiled = client.run(_number_of_compiled_scores)
    # A further run on the same workers, of another test, has arrays of the same shapes.
    assert len(sizes) > 5 and all(1 <= n <= 2 for n in compiled.values()), compiled


def _number_of_compiled_scores():
    return predict._score._cache_size()


def test_faults_that_are_found_before_the_work(fresh, small, refused, tmp_path, monkeypatch):
    out, run = tmp_path / "out.hats", small.folder

    def check(*words, catalog=fresh.folder, out=out, more=()):
        refused("classify", run, catalog, "--out", out, *more, says=words)
        assert not out.exists() or out == run

    check("cannot be opened as a HATS catalogue", catalog=tmp_path / "none.hats")
    address = "http://127.0.0.1:9/sky.hats"
    check("cannot be opened as a HATS catalogue", "127.0.0.1", catalog=address)
    check("no column 'nope'", more=("--map", "a=nope"))
    check("rows are not numbered across the partitions", more=("--id", "row"))
    check("is a folder, and", out=tmp_path / "out.fits")
    check("give --workers", "not both", more=("--workers", 1, "--scheduler", "tcp://127.0.0.1:9"))
    check("--workers is for HATS catalogues", catalog=small.catalog, more=("--workers", 1))
    check("exists; choose another folder", out=run)
    first, second = (pq.ParquetFile(file).read() for file in fresh.files[:2])
    column = second.column_names.index("name")
    names = pa.array([first["name"][0].as_py(), *second["name"].to_pylist()[1:]])
    pq.write_table(second.set_column(column, "name", names), fresh.files[1])
    check("ids must be unique", repr(first["name"][0].as_py()))


def test_no_scheduler_and_another_unfinished_catalogue(sky, small, refused, tmp_path, monkeypatch):
    monkeypatch.setattr("xbayes.hats.workers.WAIT", 1)
    out = tmp_path / "out.hats"
    line = ("classify", small.folder, sky, "--out", out)
    refused(*line, "--scheduler", "tcp://127.0.0.1:9", says=("no Dask scheduler answers",))
    assert not out.exists()
    out.mkdir()
    (out / STATE).write_text("another command")
    refused(*line, "--prior", "AGN=0.5,Star=0.3,XRB=0.2", says=("unfinished catalogue of another",))
    with pytest.raises(InputError, match="--workers must be at least 1"):
        classify_hats(
            xbayes.load(small.folder), sky, tmp_path / "other.hats", work=Work(n_workers=0)
        )
