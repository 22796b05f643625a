"""A null removes an entry or section: by --set, and in a file that extends another."""

import pytest

from xbayes.config.model import ModelConfig
from xbayes.config.reader import load_config, parse_config
from xbayes.errors import InputError

TEXT = """\
name: small
catalog:
  file: sky.csv
  id: name
  missing_values: {g: [-99], k: [-99]}
  units: {f: mJy}
taxonomy:
  classes: {AGN: [AGN], Star: [Star], CV: [CV]}
  aggregated: {any: [AGN, Star, CV]}
features:
  g: {expression: g, category: optical, bounds: [0, 30]}
  k: {expression: k, category: infrared}
categories: {optical: {likelihood: kde}}
model: {starts: 3}
"""


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("features.g", ["k"]),
        ("catalog.missing_values.k", ["g"]),
        ("catalog.missing_values", []),
        ("catalog.units.f", []),
        ("taxonomy.classes.CV", ["AGN", "Star"]),
        ("categories.optical", []),
    ],
)
def test_set_null_removes_an_entry(path, left):
    extra = ["taxonomy.aggregated=null"] if "taxonomy" in path else []
    extra += ["categories=null"] if path == "features.g" else []
    config = parse_config(TEXT, overrides=[*extra, f"{path}=null"])
    for key in path.split(".")[:2]:
        config = getattr(config, key)
        if isinstance(config, dict):
            break
    assert list(config) == left


def test_set_null_gives_a_section_its_defaults_back():
    assert parse_config(TEXT).model.starts == 3
    assert parse_config(TEXT, overrides=["model=null"]).model == ModelConfig()
    assert parse_config(TEXT, overrides=["taxonomy.aggregated=null"]).taxonomy.aggregated is None


def test_a_null_that_is_a_value_stays():
    config = parse_config(TEXT, overrides=["catalog.file=null", "features.g.bounds=null"])
    assert config.catalog.file is None and config.features["g"].bounds is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("features.gg=null", "features holds no 'gg' to remove .*did you mean 'g'"),
        ("taxonomy=null", "taxonomy cannot be removed, for every config needs it"),
        ("catalog=null", r"--set catalog\.KEY=VALUE"),
        ("features=null", "features cannot be removed"),
        ("taxonomy.classes=null", "classes cannot be removed"),
        ("catalog.units.x=null", "catalog.units holds no 'x' to remove"),
        ("modle=null", "modle: unknown"),
    ],
)
def test_what_cannot_be_removed_is_said(given, says):
    with pytest.raises(InputError, match=says):
        parse_config(TEXT, overrides=[given])


def test_the_last_feature_cannot_be_removed():
    nulls = ["categories=null", "features.g=null", "features.k=null"]
    with pytest.raises(InputError, match="needs at least one feature"):
        parse_config(TEXT, overrides=nulls)


def test_a_file_above_removes_entries_of_any_section(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    above = tmp_path / "above.yaml"
    above.write_text(
        "extends: base.yaml\nname: above\ncatalog: {missing_values: {k: null}}\n"
        "features: {g: null}\ncategories: {optical: null}\n"
        "taxonomy: {classes: {CV: null}, aggregated: {any: [AGN, Star]}}\n"
    )
    config = load_config(above)
    assert list(config.catalog.missing_values) == ["g"] and list(config.features) == ["k"]
    assert list(config.taxonomy.classes) == ["AGN", "Star"] and not config.categories
