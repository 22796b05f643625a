"""A run is never lost by its report, which can be drawn again; a plan writes nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings

import pytest

import xbayes
from xbayes.errors import InputError, XbayesWarning
from xbayes.tasks import run as run_module


@pytest.fixture(params=["small", "bayes"])
def copied(request, tmp_path):
    """A copy of a run without its report, and the text of that report."""
    made = request.getfixturevalue(request.param)
    folder = tmp_path / "run"
    shutil.copytree(made.folder, folder)
    text = (folder / "report.html").read_text().replace(str(made.folder), str(folder))
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "figures")
    return folder, text


def test_the_report_drawn_again_is_the_same(copied):
    folder, text = copied
    path = xbayes.load(folder).report()
    assert path == folder / "report.html" and path.read_text() == text
    assert len(list((folder / "figures").glob("*.png"))) > 5
    assert not list(folder.glob(".report*"))


@pytest.fixture
def quick(small, small_config, tmp_path):
    """The arguments of a run on the small sky."""
    (tmp_path / "small.yaml").write_text(small_config)
    return {"config": tmp_path / "small.yaml", "catalog": small.catalog, "out": tmp_path / "out"}


def test_a_run_is_kept_if_its_report_fails(quick, monkeypatch, exit_code, capsys):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "write_figures_and_report", broken)
    arguments = ("--catalog", quick["catalog"], "--out", quick["out"])
    assert exit_code("run", quick["config"], *arguments) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"the run is complete in {quick['out']}" in told and "No space left" in told
    assert f"xbayes report {quick['out']}" in told
    assert not (quick["out"] / "report.html").exists()
    monkeypatch.undo()
    assert exit_code("report", quick["out"], "--figures", "pdf") == 0
    assert (quick["out"] / "report.html").is_file()
    pdf = (quick["out"] / "figures" / "confusion.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf


def test_what_can_fail_is_found_before_the_work(quick, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the work began")

    monkeypatch.setattr(run_module, "load_training", never)
    with pytest.raises(InputError, match="cannot be written as 'gif'; PNG is always written"):
        xbayes.run(**quick, figures=["gif"])
    quick["out"].mkdir()
    (quick["out"] / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="holds no run"):
        xbayes.run(**quick, overwrite=True)


def test_a_plan_says_what_would_be_done_and_writes_nothing(quick, exit_code, capsys):
    before = sorted(quick["out"].parent.rglob("*"))
    arguments = ("--catalog", quick["catalog"], "--out", quick["out"], "--dry-run")
    assert exit_code("run", quick["config"], *arguments) == 0
    told = capsys.readouterr().out
    assert "2 outer folds (random), each with 2 inner folds" in told and str(quick["out"]) in told
    planned = xbayes.plan(**quick)
    assert sum(planned.labelled.values()) <= planned.n_sources and str(planned) in told
    assert [counts.name for counts in planned.features] == ["a", "b", "c"]
    assert sorted(quick["out"].parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("catalog.label=Nothing", "Nothing"),
        ("features.a.expression=nowhere + 1", "nowhere"),
        ("validation.folds=5000", "5,?000"),
    ],
)
def test_a_plan_refuses_what_a_run_refuses(quick, change, message):
    refused = []
    for task in (xbayes.plan, xbayes.run):
        with pytest.raises(InputError, match=message) as error, warnings.catch_warnings():
            warnings.simplefilter("ignore", XbayesWarning)
            task(**quick, set=[change])
        refused.append(str(error.value))
    assert refused[0] == refused[1] and not quick["out"].exists()


def test_a_run_without_report_data_says_what_to_do(copied):
    folder, _ = copied
    shutil.rmtree(folder / "report")
    with pytest.raises(InputError, match="make the run again"):
        xbayes.load(folder).report()
    with pytest.raises(InputError, match="cannot be written as 'bmp'"):
        xbayes.load(folder).report(figures=["bmp"])


@pytest.mark.slow
def test_the_config_may_name_an_unset_variable_if_a_catalogue_is_given(quick, monkeypatch):
    monkeypatch.delenv("XBAYES_NOWHERE", raising=False)
    xbayes.run(**quick, set=["catalog.file=${XBAYES_NOWHERE}/sky.fits"])
    assert "--catalog" in (quick["out"] / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "left"), [("outer fold 2", "nothing was written"), ("drawing", "xbayes report")]
)
def test_ctrl_c_says_that_it_stopped_and_what_is_left(quick, step, left):
    code = "from xbayes.cli.app import main; main()"
    command = [sys.executable, "-c", code, "run", quick["config"], "--out", quick["out"]]
    with subprocess.Popen(
        [*map(str, command), "--catalog", str(quick["catalog"])],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if step in line:
                time.sleep(0.05)
                started.send_signal(signal.SIGINT)
                break
        told = started.stderr.read()
    assert started.returncode == 130 and "Traceback" not in told, told
    assert "xbayes: stopped;" in told and left in told
    assert quick["out"].exists() == (step == "drawing")
    assert not list(quick["out"].parent.glob(".out*"))
