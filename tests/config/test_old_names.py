"""Old names of keys are read for one release, with a warning; both names at once are refused."""

import re
import warnings

import pytest

from xbayes.config.checks import RENAMED_KEYS
from xbayes.config.reader import dump_config, load_config, parse_config, swept
from xbayes.config.schema import Config
from xbayes.errors import InputError

BASE = """\
name: tiny
catalog: {id: name}
taxonomy: {classes: {AGN: [AGN], XRB: [XRB]}}
features:
  flux: {expression: log10(flux), category: spectrum}
"""
SECTION = {
    "model.clusters.strength": "model:\n  clusters:\n    strength: 30\n",
    "posterior.kept": "posterior:\n  kept: 30\n",
}
OLD_KEYS = pytest.mark.parametrize("old", list(RENAMED_KEYS))


def value_at(config: Config, dotted: str) -> object:
    value = config
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def place_of(text: str, key: str) -> str:
    """line:column, from 1, of a key in the text."""
    before = text[: text.index(f"{key}: ")]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@OLD_KEYS
def test_an_old_name_in_a_file_is_read_and_warns_with_its_place(tmp_path, old):
    new, path = RENAMED_KEYS[old], tmp_path / "old.yaml"
    text = BASE + SECTION[old]
    path.write_text(text, encoding="utf-8")
    place = place_of(text, old.split(".")[-1])
    with pytest.warns(FutureWarning) as caught:
        config = load_config(path)
    assert value_at(config, new) == 30
    (warning,) = caught
    assert str(warning.message).startswith(f"{path}:{place}: {old}: is now called {new}; rename")
    with warnings.catch_warnings(action="error"):
        assert parse_config(dump_config(config)) == config  # a resolved config has the new name
        assert load_config(path, stored=True) == config


@OLD_KEYS
def test_an_old_name_in_set_is_read_and_warns(old):
    new = RENAMED_KEYS[old]
    section, name = old.rsplit(".", 1)
    for override in (f"{old}=40", f"{section}={{{name}: 40}}"):
        with pytest.warns(FutureWarning, match=f"^--set {re.escape(old)}: is now called {new}"):
            assert value_at(parse_config(BASE, overrides=[override]), new) == 40
    newer = BASE + SECTION[old].replace(name, new.split(".")[-1])
    with pytest.warns(FutureWarning, match="is now called"):
        assert value_at(parse_config(newer, overrides=[f"{old}=40"]), new) == 40


@OLD_KEYS
def test_an_old_name_in_a_sweep_is_read_and_warns(old):
    text = BASE + f"sweep: {{{old}: [40, 50]}}\n"
    with pytest.warns(FutureWarning, match=f"is now called {RENAMED_KEYS[old]}"):
        variants = swept(parse_config(text))
    assert [value_at(config, RENAMED_KEYS[old]) for config in variants.values()] == [40, 50]


@OLD_KEYS
def test_both_names_together_are_refused(old):
    new = RENAMED_KEYS[old]
    name, new_name = old.split(".")[-1], new.split(".")[-1]
    lines = SECTION[old].splitlines()
    text = BASE + "\n".join([*lines, lines[-1].replace(name, new_name)]) + "\n"
    message = f"x.yaml:{place_of(text, name)}: {old}: is the old name of {new}, which is given too"
    with pytest.raises(InputError, match=re.escape(message)):
        parse_config(text, "x.yaml")
    both = f"{old.rsplit('.', 1)[0]}={{{name}: 40, {new_name}: 40}}"
    with pytest.raises(InputError, match=f"^--set {old}: is the old name of {new}"):
        parse_config(BASE, overrides=[both])


def test_a_wrong_value_under_an_old_name_is_refused_at_its_place():
    with (
        pytest.warns(FutureWarning),
        pytest.raises(InputError, match=r"^x\.yaml:7:3: posterior\.samples: must be greater"),
    ):
        parse_config(BASE + "posterior:\n  kept: 3\n", "x.yaml")


def test_a_base_file_may_have_the_old_name(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE + SECTION["posterior.kept"], encoding="utf-8")
    path = tmp_path / "other.yaml"
    path.write_text("extends: base.yaml\nposterior: {samples: 50}\n", encoding="utf-8")
    with pytest.warns(FutureWarning, match=r"base\.yaml:7:3: posterior\.kept: is now called"):
        assert load_config(path).posterior.samples == 50
