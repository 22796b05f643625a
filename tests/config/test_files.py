"""`catalog.files`: several files in place of one, and the messages of wrong sections."""

from pathlib import Path

import pytest

from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.config.schema import catalog_path, catalog_source
from xbayes.errors import InputError

TEXT = """
name: x
catalog: {id: n, files: [{file: a.csv, release: 2023}, {file: "${X}/b.fits", table: SRC}]}
taxonomy: {classes: {A: [a], B: [b]}}
features: {g: {expression: g, category: s}}
"""


def with_keys(text):
    return TEXT.replace("{id: n,", "{id: n, " + text)


def test_the_releases_are_the_blocks_and_have_names():
    config = parse_config(TEXT, "/where/x.yaml")
    assert config.catalog.block == "release"
    assert [file.release_name for file in config.catalog.files] == ["2023", "b"]
    assert [file.file for file in config.catalog.files] == ["/where/a.csv", "${X}/b.fits"]
    assert parse_config(dump_config(config)) == config
    assert parse_config(with_keys("release: dr, ")).catalog.block == "dr"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_keys("file: z.csv, "), "catalog.files: the config gives both file and files; keep"),
        (with_keys("block: q, "), "catalog.block: must be 'release' .* found 'q'"),
        (with_keys("release: n, "), "catalog.release: 'n' is also catalog.id; name another"),
        (with_keys("keep: [release], "), "catalog.release: 'release' is also catalog.keep; name"),
        (with_keys("table: 1, "), "catalog.table: with catalog.files, name the table of each"),
        (with_keys("repeated_ids: drop, "), "catalog.repeated_ids: must be"),
        (with_keys("same_source: -1, "), "catalog.same_source: .*0"),
        (TEXT.replace("2023", "2.3"), r"files\[0\].release.str: must be text; put it in quotes"),
        (TEXT.replace("2023", '""'), r"files\[0\].release: needs a name; found none"),
        (TEXT.replace("2023", "b"), r"files\[1\].release: two files are of release 'b'; give each"),
        (TEXT.replace("table: SRC", "columns: {release: dr}"), r"files\[1\].columns.release: "),
        (TEXT.replace("table: SRC", "colums: {g: h}"), r"files\[1\].colums: .*did you mean"),
        (TEXT.replace("table: SRC", "missing_values: {g: [[1]]}"), "missing_values.g"),
        (TEXT.replace("file: a.csv, ", ""), r"files\[0\].file: "),
    ],
)
def test_wrong_sections_are_refused_with_their_place(text, says):
    with pytest.raises(InputError, match=says):
        parse_config(text)


def test_the_source_is_the_path_of_each_release(tmp_path, monkeypatch):
    for name in ("a.csv", "b.fits"):
        (tmp_path / name).touch()
    monkeypatch.setenv("X", str(tmp_path))
    config = parse_config(TEXT, str(tmp_path / "x.yaml"))
    assert catalog_source(config) == {"2023": tmp_path / "a.csv", "b": tmp_path / "b.fits"}
    with pytest.raises(InputError, match=r"names several catalogues.*--catalog"):
        catalog_path(config)
    (tmp_path / "b.fits").unlink()
    with pytest.raises(InputError, match=r"no file .*b.fits"):
        catalog_source(config)
    monkeypatch.delenv("X")
    with pytest.raises(InputError, match=r"catalog.files\[1\].file is '\$\{X\}/b.fits'"):
        catalog_source(config)
    memory = parse_config(TEXT.replace("file: a.csv", "file: null"))
    with pytest.raises(InputError, match=r"files\[0\].file is null: release '2023' was a table"):
        catalog_source(memory)


def test_a_config_may_replace_the_file_of_another_by_several_and_back(tmp_path):
    one = TEXT.replace("files: [{file: a.csv, release: 2023}, ", "file: a.csv, block: q}\n#")
    (tmp_path / "one.yaml").write_text(one)
    files = "catalog: {files: [{file: c.csv}, {file: d.csv}]}"
    (tmp_path / "two.yaml").write_text(f"extends: one.yaml\nname: two\n{files}\n")
    (tmp_path / "back.yaml").write_text("extends: two.yaml\nname: b\ncatalog: {file: e.csv}\n")
    two, back = load_config(tmp_path / "two.yaml"), load_config(tmp_path / "back.yaml")
    assert two.catalog.file is None and two.catalog.block == "release"
    assert [Path(str(file.file)).name for file in two.catalog.files] == ["c.csv", "d.csv"]
    assert back.catalog.files == () and back.catalog.file == str(tmp_path / "e.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "validation: {well_characterised: {off: [a], at_least: 1}}\n",
            r"well_characterised.off: unknown key \(did you mean 'of'\?\)",
        ),
        (
            "validation: {well_characterised: {at_least: 1}}\n",
            "well_characterised.of: missing key; add it: Conditions over columns",
        ),
    ],
)
def test_a_section_that_may_be_null_names_its_keys(text, says):
    with pytest.raises(InputError, match=says):
        parse_config(TEXT + text)
