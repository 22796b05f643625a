"""Fetch, enhance, classify: on local archives, and from recorded answers. They take seconds."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.enhance.bare_list import skies
from xbayes.catalog.read import read_catalog
from xbayes.enhance.services import ENDPOINTS

ROOT = Path(__file__).parents[2]
PLACE = (10.68, 41.27)
N_SOURCES = 150


@pytest.mark.slow
def test_fetch_enhance_classify(archive, tmp_path, monkeypatch, exit_code, capsys):
    truth, archive.services["vizier"] = skies(PLACE, N_SOURCES)
    for name, address in archive.endpoints.items():
        monkeypatch.setitem(ENDPOINTS, name, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    cone = f"{PLACE[0]} {PLACE[1]} 0.5"
    assert exit_code("fetch", "4xmm", "--cone", cone, "--out", "field.fits") == 0
    steps = ("identifications", "coverage", "variability", "hosts", "column_density")
    without = [word for step in steps for word in ("--set", f"{step}=null")]
    few = ("--set", "counterparts.catalogues=[gaia, twomass, allwise]")
    assert exit_code(
        "enhance", "field.fits", "--config", "xmm", "--out", "rich.fits", *without, *few
    ) == 0, capsys.readouterr().err  # fmt: skip
    capsys.readouterr()
    assert exit_code("classify", "xmm", "rich.fits", "--out", "classified.fits") == 0
    made = read_catalog(tmp_path / "classified.fits")
    order = np.array([int(name[1:]) for name in made["4XMM"]])
    right = np.asarray(made["prediction"]) == np.asarray(truth["Class"])[order]
    assert len(made) == N_SOURCES
    # The simulated population is not that of the training sources, so some are wrong.
    assert right.mean() > 0.75
    assert np.asarray(made["p_Star"])[np.asarray(truth["Class"])[order] == "Star"].mean() > 0.6


def steps_of(page):
    """The commands and the Python code of a page in their order, and the output that it shows."""
    found = re.findall(r"^```(sh|python|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = [line for kind, text in found if kind == "text" for line in text.splitlines()]
    return [(kind, text) for kind, text in found if kind != "text"], shown


@pytest.mark.slow
def test_the_tutorial_without_network_word_by_word(tmp_path, monkeypatch, exit_code, capsys):
    """After a change of what archives are asked: python -m tests.enhance.record_answers."""
    for name in ("docs", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XBAYES_ENDPOINTS", " ".join(f"{n}=http://127.0.0.1:9" for n in ENDPOINTS))
    monkeypatch.delenv("XBAYES_NH_MAP", raising=False)
    steps, shown = steps_of((ROOT / "docs/tutorial_archives.md").read_text())
    assert len(steps) == 6 and len(shown) > 5
    printed = ""
    for kind, text in steps:
        if kind == "python":
            exec(compile(text, "tutorial", "exec"), {})
        elif text.startswith(".venv/bin/python "):
            subprocess.run([sys.executable, *shlex.split(text)[1:]], check=True)
        else:
            assert text.startswith(".venv/bin/xbayes ")
            assert exit_code(*shlex.split(text)[1:]) == 0, capsys.readouterr().err
        printed += "".join(capsys.readouterr())
    assert [line for line in shown if line not in printed.splitlines()] == []
    made = read_catalog("runs/classified.fits")
    known = made[~made["identified_class"].mask]
    assert len(made) == 80 and len(known) > 20
    assert (known["identified_class"] == known["prediction"]).all()
    assert (tmp_path / "runs/J0001.pdf").stat().st_size > 1000
