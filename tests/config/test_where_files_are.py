"""Paths in a config start in its folder, wherever the command is typed."""

import json
import os
import warnings
from pathlib import Path

import pytest

from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.config.schema import catalog_path, target_path

TEXT = """
name: small
catalog: {file: "sky.csv", id: name, label: Class}
taxonomy: {classes: {AGN: [AGN], Star: [Star]}}
features: {a: {expression: a, category: one}}
target: {file: ../target.csv}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The path of a config, relative to a working directory above it."""
    folder = tmp_path / "work" / "configs"
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text(TEXT)
    (folder / "sky.csv").touch()
    monkeypatch.chdir(tmp_path / "work")
    return Path("configs/small.yaml")


def test_paths_start_in_the_folder_of_the_config(config, tmp_path):
    (tmp_path / "work" / "sky.csv").touch()  # not this one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_config(config)
    assert catalog_path(loaded) == tmp_path / "work" / "configs" / "sky.csv"
    assert target_path(loaded) == tmp_path / "work" / "target.csv"


def test_a_run_stores_where_the_file_was(config, tmp_path):
    stored = tmp_path / "run" / "config.yaml"
    stored.parent.mkdir()
    stored.write_text(dump_config(load_config(config)))
    for again in (load_config(stored), load_config(stored, stored=True)):
        assert catalog_path(again) == tmp_path / "work" / "configs" / "sky.csv"


def test_a_path_that_is_right_from_the_working_directory_is_found_with_a_warning(config, tmp_path):
    (tmp_path / "work" / "configs" / "sky.csv").rename(tmp_path / "work" / "sky.csv")
    with pytest.warns(FutureWarning, match=r"catalog\.file: 'sky\.csv' is relative to the working"):
        loaded = load_config(config)
    assert catalog_path(loaded) == tmp_path / "work" / "sky.csv"


def test_a_path_that_is_nowhere_is_looked_for_beside_the_config(config, tmp_path, refused):
    (tmp_path / "work" / "configs" / "sky.csv").unlink()
    looked = str(tmp_path / "work" / "configs" / "sky.csv")
    assert str(catalog_path(load_config(config))) == looked
    rule = "a relative catalog.file starts in the folder of the config"
    message = refused("run", config, says=[f"no file {looked}", rule, "or give --catalog FILE"])
    assert message.count("xbayes:") == 1


def test_options_and_mappings_start_in_the_working_directory(config, tmp_path):
    loaded = load_config(config, ["catalog.file=here.csv"])
    assert catalog_path(loaded) == Path("here.csv")
    (tmp_path / "work" / "sky.csv").touch()
    assert catalog_path(parse_config(json.dumps({**_plain(TEXT)}), "config")) == Path("sky.csv")


@pytest.mark.parametrize("path", ["/abs/sky.csv", "${FOLDER}/sky.csv", "~/sky.csv"])
def test_other_paths_stay_as_they_are(config, path, monkeypatch):
    config.write_text(TEXT.replace("sky.csv", path))
    monkeypatch.setenv("FOLDER", "/abs")
    expected = os.path.expanduser("~/sky.csv") if path[0] == "~" else "/abs/sky.csv"
    assert str(catalog_path(load_config(config))) == expected


def test_a_base_has_its_own_folder(config, tmp_path):
    (tmp_path / "work" / "upper.yaml").write_text("extends: configs/small.yaml\nname: upper\n")
    assert catalog_path(load_config("upper.yaml")) == tmp_path / "work" / "configs" / "sky.csv"


def test_a_variable_that_is_not_set_is_told_before_any_work(config, refused, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    config.write_text(TEXT.replace("sky.csv", "${NOWHERE}/sky.csv").replace("target:", "#"))
    refused("run", config, says=["NOWHERE is not set", "--catalog FILE"])


def _plain(text):
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)
