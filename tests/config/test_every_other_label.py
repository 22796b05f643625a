"""`"*"` in taxonomy.unlabelled or taxonomy.left_out: how it is written, read and refused."""

import pytest

from xbayes.config.reader import dump_config, parse_config
from xbayes.errors import InputError

TEXT = """
name: x
catalog: {id: name, label: otype}
taxonomy:
  classes: {A: [a], B: [b]}
  unlabelled: "*"
features:
  f: {expression: f, category: one}
"""


def test_the_star_is_read_and_written():
    config = parse_config(TEXT)
    assert config.taxonomy.unlabelled == "*"
    assert parse_config(dump_config(config)) == config
    listed = parse_config(TEXT.replace('"*"', '["*", "**"]'))
    assert listed.taxonomy.unlabelled == ("*", "**")
    assert parse_config(dump_config(listed)) == listed


@pytest.mark.parametrize("text", ["taxonomy.unlabelled=*", 'taxonomy.unlabelled="*"'])
def test_the_star_is_set_on_the_command_line(text):
    plain = TEXT.replace('  unlabelled: "*"\n', "")
    assert parse_config(plain, overrides=[text]).taxonomy.unlabelled == "*"


def test_only_one_list_can_have_it():
    both = TEXT.replace("  unlabelled", '  left_out: "*"\n  unlabelled')
    with pytest.raises(InputError, match=r'x:6:3: taxonomy.left_out: .* are both "\*"'):
        parse_config(both, "x")


@pytest.mark.parametrize("wrong", ["X", "3", "{X: 1}", "[1.5]"])
def test_other_values_are_refused(wrong):
    with pytest.raises(InputError, match=r"taxonomy.unlabelled(\[0\])?: must be "):
        parse_config(TEXT.replace('"*"', wrong))


def test_a_config_that_extends_another_may_replace_the_list(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT.replace('"*"', "[X]"))
    (tmp_path / "own.yaml").write_text('extends: base.yaml\ntaxonomy: {unlabelled: "*"}\n')
    text = (tmp_path / "own.yaml").read_text()
    assert parse_config(text, str(tmp_path / "own.yaml")).taxonomy.unlabelled == "*"
