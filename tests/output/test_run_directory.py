"""A full or read-only disk, or an interruption, leaves nothing half-written and loses no run."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

import xbayes as package
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import check_output, write_catalog
from xbayes.compare.run import prepare_folder
from xbayes.config.reader import config_of
from xbayes.errors import InputError
from xbayes.output.files import write_whole
from xbayes.output.run_directory import check_run_directory, new_run_directory
from xbayes.tasks.training import load_training

READ_ONLY = ["/proc/here", "/sys/here"]  # root may not write there either


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def made(out, text="new", overwrite=False):
    with new_run_directory(out, overwrite) as folder:
        (folder / "model").mkdir()
        (folder / "model" / "text").write_text(text)


def test_a_full_disk_while_a_run_is_written(tmp_path):
    out = tmp_path / "runs" / "mine"
    match = f"cannot write {out}: No space.*nothing was left.*room"
    with pytest.raises(InputError, match=match), new_run_directory(out, False) as folder:
        (folder / "config.yaml").write_text("half")
        full()
    assert list(out.parent.iterdir()) == []


def test_the_message_names_the_run_and_not_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError) as error, new_run_directory(tmp_path / "mine", False) as folder:
        write_catalog(Table({"a": [1]}), folder / "catalog.fits")
    assert str(error.value).startswith(f"cannot write {tmp_path / 'mine'}: No space")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_keep_their_text(tmp_path):
    out = tmp_path / "mine"
    with pytest.raises(FileNotFoundError, match=r"sky\.fits"), new_run_directory(out, False):
        (tmp_path / "sky.fits").read_text()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_an_earlier_run_stays_until_the_new_one_is_in_its_place(error, tmp_path, monkeypatch):
    out = tmp_path / "mine"
    made(out, "old")
    rename = Path.rename

    def fails(path, target):
        if "partial" in path.name and "earlier" not in path.name:
            raise error
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(type(error)):
            made(out, overwrite=True)
    assert (out / "model" / "text").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    made(out, overwrite=True)
    assert (out / "model" / "text").read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("place", READ_ONLY)
def test_a_read_only_place_is_found_before_the_work(place):
    if not Path(place).parent.is_dir():
        pytest.skip(f"this machine has no {Path(place).parent}")
    for out in (Path(place), Path(place) / "deeper"):
        with pytest.raises(InputError, match=f"cannot write {out}: .*; choose a place"):
            check_run_directory(out, overwrite=False)
        with pytest.raises(InputError, match=f"cannot write {out}: .*; choose a place"):
            prepare_folder(out, overwrite=False, resume=False)
    with pytest.raises(InputError, match=f"cannot write {place}.fits: .*; choose a place"):
        check_output(f"{place}.fits")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=f"{tmp_path / 'file'} is a file, no folder"):
        check_run_directory(tmp_path / "file" / "deeper" / "run", overwrite=False)
    with pytest.raises(InputError, match="no folder"):
        check_output(tmp_path / "file" / "a.fits")


def test_a_check_leaves_nothing(tmp_path):
    check_run_directory(tmp_path / "a" / "run", overwrite=False)
    check_output(tmp_path / "a.fits")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_a_figure_is_written(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.png: No space"):
        write_whole(tmp_path / "a.png", b"new")
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["run", "classify"])
def test_a_disk_that_fills_up(task, small, tmp_path):
    """Files of at most 20 kB, so that writing stops in the middle of a file."""

    arguments = ["run", small.config, "--catalog", small.catalog]
    if task == "classify":
        arguments = ["classify", small.folder, small.catalog]
    target = tmp_path / ("mine" if task == "run" else "mine.fits")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        "from xbayes.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments), "--out", str(target)]
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2, done.stderr
    assert f"xbayes: cannot write {target}: " in done.stderr
    assert "nothing was left there; make room" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_out_of_fold_predictions_are_written_as_fits_too(small):
    parquet = read_catalog(small.folder / "predictions.parquet")
    found = read_catalog(small.folder / "predictions.fits")
    assert found.colnames == parquet.colnames and len(found) == len(parquet)
    for name in found.colnames:
        assert found[name].tolist() == parquet[name].tolist(), name
        assert found[name].description == parquet[name].description
    header = fits.getheader(small.folder / "predictions.fits", 1)
    assert "posterior probability" in " ".join(str(header[k]) for k in header if "TCOMM" in k)


def test_users_get_plain_columns_where_nothing_is_masked(small):
    fitted = package.load(small.folder)
    classes = [f"p_{name}" for name in fitted.classes]
    table = read_catalog(small.catalog)
    simulated = package.simulate(50)
    assert not any(isinstance(simulated[name], MaskedColumn) for name in ("ra", "flux_soft"))
    for made_table in (fitted.predictions, fitted.classify(table[:40])):
        for name in made_table.colnames:
            column = made_table[name]
            masked = bool(np.any(getattr(column, "mask", False)))
            assert type(column) is (MaskedColumn if masked else Column), name
        posterior = np.column_stack([made_table[name] for name in classes])
        np.testing.assert_allclose(posterior.sum(1), 1.0)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_file_cannot_hold_is_told_once_before_the_work(
    streamed, small, tmp_path, monkeypatch, done
):
    """A column that nobody needs never stops the work."""
    table = read_catalog(small.catalog)[:90]
    table["R"], table["r"] = np.arange(90.0), -np.arange(90.0)
    table["curve"] = np.arange(270.0).reshape(90, 3)
    table["Größe"] = ["α", "b", "c"] * 30
    source = tmp_path / "sky.parquet"
    write_catalog(table, source)
    if streamed:
        monkeypatch.setattr("xbayes.tasks.fitted_run.CHUNK_IN_MEMORY", 40)
    told = done("classify", small.folder, source, "--out", tmp_path / "a.fits")
    assert told.count("'r' as 'r_2', 'Größe' as 'Gro_e'") == 1
    assert told.count("under other names") == told.count("are written as escapes") == 1
    found = read_catalog(tmp_path / "a.fits")
    assert found["r_2"].tolist() == table["r"].tolist()
    assert found["R"].tolist() == table["R"].tolist()
    assert np.asarray(found["curve"]).tolist() == table["curve"].tolist()
    told = done("classify", small.folder, source, "--out", tmp_path / "a.csv")
    assert told.count("left out of the CSV file, which cannot hold 'curve'") == 1
    assert "r" in read_catalog(tmp_path / "a.csv").colnames


@pytest.mark.parametrize("ending", ["fits", "parquet"])
def test_columns_with_the_name_of_an_output_pass_under_other_names(small, tmp_path, done, ending):
    """As those of a catalogue that was classified before."""
    table = read_catalog(small.catalog)[:40]
    table["P_agn"], table["prediction"], table["margin_2"], table["margin"] = 0.5, "?", 1, 2
    source, out = tmp_path / f"sky.{ending}", tmp_path / f"a.{ending}"
    write_catalog(table, source)
    told = done("classify", small.folder, source, "--out", out)
    pairs = "'P_agn' as 'P_agn_2', 'prediction' as 'prediction_2', 'margin' as 'margin_3'"
    assert told.count(pairs) == 1
    found = read_catalog(out)
    assert set(found["P_agn_2"]) == {0.5} and set(found["prediction_2"]) == {"?"}
    assert set(found["margin_2"]) == {1} and set(found["margin_3"]) == {2}
    assert "?" not in set(found["prediction"])
    told = done("classify", small.folder, out, "--out", tmp_path / f"b.{ending}")
    assert "'prediction' as 'prediction_3'" in told
    assert read_catalog(tmp_path / f"b.{ending}")["p_AGN"].tolist() == found["p_AGN"].tolist()


def test_a_run_tells_before_the_work_what_its_catalogues_will_not_hold(small):
    """Complex numbers pass to catalog.fits, but not to catalog.parquet."""
    table = read_catalog(small.catalog)
    table["curve"] = np.ones(len(table)) + 2j
    table["Flag"] = table["flag"]
    keep = "catalog.keep=[ra, dec, star, curve, flag, Flag]"
    training = load_training(config_of(small.config, [keep]), table)
    told = [text for text in training.warnings if "written" in text or "left out" in text]
    assert told == [
        "columns are written under other names: 'Flag' as 'Flag_2' (FITS names are ASCII, and "
        "upper and lower case count as the same)",
        "left out of the Parquet file, which cannot hold 'curve' (complex numbers)",
    ]
