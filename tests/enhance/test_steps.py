"""Steps: what is done is skipped, existing columns stay, finished steps are kept."""

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.config.checks import Number, Record
from xbayes.enhance.provenance import KeptSteps
from xbayes.enhance.steps import META, AddedColumn, Made, column_of, run_steps, step_hash
from xbayes.errors import InputError


class Factor(Record):
    factor: Number = 2.0


class Times:
    """A step that multiplies a column, and counts its runs."""

    def __init__(self, name="times", column="x", factor=2.0, made="y", files=()):
        self.name, self.column, self.made = name, column, made
        self.settings, self.catalog = Factor(factor=factor), Factor(factor=0.0)
        self.paths = files
        self.runs = 0

    def reads(self):
        return [self.column]

    def files(self):
        return self.paths

    def columns(self):
        return [AddedColumn(self.made, "x times a factor", "s", "time.duration")]

    def run(self, table, services):
        self.runs += 1
        values = self.settings.factor * np.ma.filled(table[self.column], np.nan)
        column = column_of(self.columns()[0], values)
        return Made(columns={self.made: column}, tables={"more": Table({"a": [1, 2]})})


class Fails(Times):
    def run(self, table, services):
        raise InputError("the service is down")


def catalogue():
    x = np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])
    return Table({"x": x, "name": ["a", "b", "c"], "n": np.array([1, 2, 3], np.int16)}, masked=True)


def test_columns_have_units_ucds_and_descriptions_and_others_stay():
    table = catalogue()
    made = run_steps(table, [Times()], None)
    assert made.ran == ("times",) and made.skipped == ()
    assert table.colnames == ["x", "name", "n"]  # the user's table is not altered
    np.testing.assert_array_equal(made.table["y"].filled(-1), [2, -1, 6])
    column = made.table["y"]
    assert (str(column.unit), column.meta["ucd"]) == ("s", "time.duration")
    assert column.description == "x times a factor"
    np.testing.assert_array_equal(made.table["x"].filled(-1), table["x"].filled(-1))
    (record,) = made.table.meta[META]
    assert record["step"] == "times" and record["rows"] == 3 and record["columns"] == ["y"]
    assert record["versions"]["astropy"] and record["date"].endswith("+00:00")


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet"])
def test_a_second_run_skips_what_is_done_whatever_the_format(tmp_path, ending):
    path = tmp_path / f"rich.{ending}"
    write_catalog(run_steps(catalogue(), [Times()], None).table, path)
    step = Times()
    again = run_steps(read_catalog(path), [step], None)
    assert (again.ran, again.skipped, step.runs) == ((), ("times",), 0)
    assert again.table.colnames == ["x", "name", "n", "y"]


def test_a_new_step_runs_beside_those_that_are_done():
    first = run_steps(catalogue(), [Times()], None).table
    old, new = Times(), Times(name="thrice", factor=3.0, made="z")
    both = run_steps(first, [old, new], None)
    assert (both.ran, both.skipped, old.runs) == (("thrice",), ("times",), 0)
    assert [record["step"] for record in both.table.meta[META]] == ["times", "thrice"]


@pytest.mark.parametrize("change", ["settings", "catalog", "input", "unit", "file"])
def test_a_changed_step_asks_before_it_replaces(change, tmp_path):
    file = tmp_path / "map.txt"
    file.write_text("1")
    first = run_steps(catalogue(), [Times(files=[file])], None).table
    step = Times(factor=5.0 if change == "settings" else 2.0, files=[file])
    if change == "input":
        first["x"][2] = 7.0
    elif change == "catalog":
        step.catalog = Factor(factor=1.0)
    elif change == "unit":
        first["x"].unit = "m"
    elif change == "file":
        file.write_text("2")
    with pytest.raises(InputError, match="--again times"):
        run_steps(first, [step], None)
    made = run_steps(first, [step], None, again=["times"])
    assert made.ran == ("times",) and made.table.colnames.count("y") == 1
    assert made.table["y"][0] == (5.0 if change == "settings" else 2.0)


def test_another_column_may_change():
    first = run_steps(catalogue(), [Times()], None).table
    first["name"] = ["d", "e", "f"]
    assert run_steps(first, [Times()], None).skipped == ("times",)


@pytest.mark.parametrize("name", ["y", "Y"])  # FITS ignores case
def test_an_existing_column_is_refused_before_any_step_runs(name):
    table, step = catalogue(), Times(name="first", made="w")
    table[name] = [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match=r"never replaced; rename or remove it.*--set times=null"):
        run_steps(table, [step, Times()], None)
    assert step.runs == 0


def test_two_steps_with_one_column_are_refused():
    with pytest.raises(InputError, match="first and times both add a column 'y'"):
        run_steps(catalogue(), [Times(name="first"), Times()], None)


def test_an_unknown_step_cannot_be_made_again():
    with pytest.raises(InputError, match="--again hosts: the config has no such step"):
        run_steps(catalogue(), [Times()], None, again=["hosts"])


def test_finished_steps_are_kept_when_a_later_one_fails(tmp_path):
    kept, step = KeptSteps(tmp_path), Times()
    with pytest.raises(InputError, match="the service is down"):
        run_steps(catalogue(), [step, Fails(name="fails", made="z")], None, kept=kept)
    later, other = Times(), Times(name="fails", made="z", factor=4.0)
    made = run_steps(catalogue(), [later, other], None, kept=kept)
    assert (step.runs, later.runs, other.runs) == (1, 0, 1)
    np.testing.assert_array_equal(made.table["y"].filled(-1), [2, -1, 6])
    assert made.table["y"].meta["ucd"] == "time.duration"
    assert list(made.tables["more"]["a"]) == [1, 2]


def test_a_damaged_kept_step_runs_again(tmp_path):
    kept, step = KeptSteps(tmp_path), Times()
    run_steps(catalogue(), [Times()], None, kept=kept)
    data = [path for path in tmp_path.rglob("*.*") if path.suffix != ".json"]
    assert data
    for path in data:
        path.write_bytes(path.read_bytes()[:-20])
    run_steps(catalogue(), [step], None, kept=kept)
    assert step.runs == 1


def test_skipped_steps_give_their_further_tables_too(tmp_path):
    kept = KeptSteps(tmp_path)
    first = run_steps(catalogue(), [Times()], None, kept=kept)
    assert list(run_steps(first.table, [Times()], None, kept=kept).tables) == ["more"]


def test_the_hash_does_not_depend_on_the_width_of_numbers_or_blanks():
    table, step = catalogue(), Times(column="n")
    wide = table.copy()
    wide["n"] = wide["n"].astype(np.int64)
    assert step_hash(step, table) == step_hash(step, wide)
    text = Times(column="name")
    padded = table.copy()
    padded["name"] = ["a ", "b", "c"]
    assert step_hash(text, table) == step_hash(text, padded)
    padded["name"] = ["a", "b", "d"]
    assert step_hash(text, table) != step_hash(text, padded)


def test_damaged_records_are_passed_over():
    table = catalogue()
    table.meta[META] = [{"step": "times"}, "nonsense", None]
    assert run_steps(table, [Times()], None).ran == ("times",)
