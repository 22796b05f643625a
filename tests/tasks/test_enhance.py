"""`xbayes enhance`, against the local server and as a command."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.table import Table

import xbayes
from tests.enhance.server.small_tables import stars
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import catalog_writer, write_catalog
from xbayes.cli.app import main
from xbayes.errors import InputError

CONFIG = {
    "name": "mine",
    "catalog": {"id": "name", "error": "err", "missing_values": {"err": [-99]}},
    "positions": {},
    "identifications": {"simbad": {"role": "label"}},
    "coverage": {"surveys": {"gaia": {"moc": "allsky", "depth": 20.7}}},
    "variability": {
        "own": {"flux": "flux", "flux_error": "flux_err", "band": [0.5, 7.0], "start": "mjd"},
    },
    "hosts": {
        **{"catalogue": "J/X/galaxies", "ra": "RA_ICRS", "dec": "DE_ICRS", "semi_major": "R1"},
        **{"name": "NAME", "distance": "D", "flux": "flux"},
    },
    "column_density": {"nh": {"file": "${XBAYES_NH_MAP}"}},
}
MADE = (
    *("gal_l", "gal_b", "position_flag", "search_radius", "simbad_id", "simbad_type"),
    *("covered_gaia", "depth_gaia", "lt_n", "lt_ratio", "host_name", "host_ulx", "nh_galactic"),
)


@pytest.fixture
def config(archive, tmp_path):
    """A config file whose services are local, and the file of a catalogue."""
    at = stars()[:10]
    archive.services["vizier"]["J/X/galaxies"] = Table(
        {"NAME": ["M 31"], "RA_ICRS": [10.68], "DE_ICRS": [41.27], "R1": [20.0], "D": [0.77]}
    )
    table = Table(
        {
            "name": [f"X{i}" for i in range(10)],
            "ra": at["RA_ICRS"],
            "dec": at["DE_ICRS"],
            "err": np.where(np.arange(10) < 9, 0.5, -99.0),
            "flux": np.full(10, 1e-13),
            "flux_err": np.full(10, 1e-14),
            "mjd": np.full(10, 55000.0),
            "note": ["keep me "] * 10,
        }
    )
    write_catalog(table, tmp_path / "field.fits")
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({**CONFIG, "services": archive.endpoints}))
    return path


def arguments(config, out, *more):
    folder = config.parent
    return [
        "enhance", str(folder / "field.fits"), "--config", str(config), "--out",
        str(folder / out), "--cache", str(folder / "cache"), *more,
    ]  # fmt: skip


def fails(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def done(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(command)
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    return printed.out + printed.err


def test_the_command_adds_columns_and_writes_light_curves(config, capsys, archive):
    text = done(arguments(config, "rich.fits"), capsys)
    assert "10 rows" in text and "rich.light_curves.fits" in text
    given, rich = (read_catalog(config.parent / f"{name}.fits") for name in ("field", "rich"))
    for name in given.colnames:
        np.testing.assert_array_equal(rich[name], given[name])  # -99 stays as it was given
    assert set(MADE) <= set(rich.colnames)
    assert rich["simbad_type"].filled("").tolist()[::2] == ["*", "AGN", "HXB", "*", "AGN"]
    assert rich["identified_class"].filled("").tolist()[:4] == ["Star", "", "AGN", ""]
    assert rich["search_radius"].tolist() == [1.5] * 9 + [1.0]
    assert rich["nh_galactic"].mask.all()
    assert [record["step"] for record in rich.meta["enhance"]] == list(CONFIG)[2:]
    records = {record["step"]: record for record in rich.meta["enhance"]}
    assert [asked["service"] for asked in records["identifications"]["services"]] == ["simbad"]
    curves = read_catalog(config.parent / "rich.light_curves.fits")
    assert len(curves) == 10 and curves["source"][0] == "X0"

    n_requests = len(archive.requests)
    again = done(["enhance", str(config.parent / "rich.fits"), *arguments(config, "b.fits")[2:]],
                 capsys)  # fmt: skip
    assert "steps: none; done before: positions, identifications" in again
    assert len(archive.requests) == n_requests
    # Nothing is lost: the light curves are written beside the new file, too.
    assert len(read_catalog(config.parent / "b.light_curves.fits")) == 10


def test_an_interrupted_run_goes_on_and_then_needs_no_network(config, capsys, archive):
    archive.fail("error", times=50, match="galaxies")
    text = fails(arguments(config, "rich.fits"), capsys)
    assert "HTTP 500: the database is away" in text and "later" in text
    assert not list(config.parent.glob("rich*"))
    archive.faults.clear()
    asked = len(archive.asked("positions"))
    done(arguments(config, "rich.fits"), capsys)
    assert len(archive.asked("positions")) == asked  # SIMBAD is not asked again
    done(arguments(config, "offline.fits", "--offline"), capsys)


def test_offline_without_an_answer_says_what_to_do(config, capsys):
    text = fails(arguments(config, "rich.fits", "--offline"), capsys)
    assert "run the same command once without --offline" in text


def test_an_output_that_exists_is_refused_first(config, capsys, archive):
    (config.parent / "rich.fits").write_text("mine")
    assert "--overwrite" in fails(arguments(config, "rich.fits"), capsys)
    assert archive.requests == []
    done(arguments(config, "rich.fits", "--overwrite"), capsys)
    archive.requests.clear()
    (config.parent / "new.light_curves.fits").write_text("mine")
    assert "new.light_curves.fits exists" in fails(arguments(config, "new.fits"), capsys)
    assert not (config.parent / "new.fits").exists() and archive.requests == []


def test_a_step_is_made_again_on_demand(config, capsys):
    done(arguments(config, "rich.fits"), capsys)
    command = ["enhance", str(config.parent / "rich.fits"), *arguments(config, "b.fits")[2:]]
    deeper = ["--set", "coverage.surveys.gaia.depth=21"]
    assert "--again coverage" in fails([*command, *deeper], capsys)
    text = done([*command, *deeper, "--again", "coverage"], capsys)
    assert "steps: coverage; done before" in text
    assert set(read_catalog(config.parent / "b.fits")["depth_gaia"]) == {21.0}


def test_archives_of_a_step_are_asked_again_on_demand(config, capsys, archive):
    done(arguments(config, "rich.fits"), capsys)
    before = read_catalog(config.parent / "rich.fits")
    archive.services["simbad"]["basic"]["otype"][0] = "QSO"
    command = ["enhance", str(config.parent / "rich.fits"), *arguments(config, "b.fits")[2:]]
    archive.requests.clear()
    text = done([*command, "--refresh", "identifications"], capsys)
    assert "steps: identifications; done before: positions, coverage" in text
    assert archive.asked("positions") and not archive.asked("galaxies")
    after = read_catalog(config.parent / "b.fits")
    assert (before["simbad_type"][0], after["simbad_type"][0]) == ("*", "QSO")
    assert after["simbad_date"][0] >= before["simbad_date"][0]
    # The cache has the new answer.
    done(arguments(config, "offline.fits", "--offline", "--again", "identifications"), capsys)
    assert read_catalog(config.parent / "offline.fits")["simbad_type"][0] == "QSO"
    assert "--offline does not" in fails([*command, "--offline", "--refresh", "hosts"], capsys)
    wrong = fails([*command, "--overwrite", "--refresh", "bright"], capsys)
    assert "--refresh bright: the config has no such step" in wrong


def test_ctrl_c_says_that_nothing_is_lost(config, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("xbayes.enhance.hosts.FindHosts.run", stop)
    with pytest.raises(SystemExit) as stopped:
        main(arguments(config, "rich.fits"))
    assert stopped.value.code == 130
    assert "finished steps are kept" in capsys.readouterr().err
    assert not list(config.parent.glob("rich*"))


def test_a_failing_write_leaves_no_file(config, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xbayes.tasks.enhance.catalog_writer", half_full(full))
    assert "No space left" in fails(arguments(config, "rich.fits"), capsys)
    left = {path.name for path in config.parent.iterdir()}
    assert left == {"field.fits", "mine.yaml", "cache", "answers"} & left


def half_full(full):
    """Writers of which that of the light curves fails."""

    @contextmanager
    def writer(path, overwrite):
        with catalog_writer(path, overwrite) as write:
            yield full if "light_curves" in path.name else write

    return writer


def test_in_python_with_a_table_in_memory(config, services):
    table = read_catalog(config.parent / "field.fits").to_pandas()
    made = xbayes.enhance(table, {**CONFIG, "hosts": None}, services=services())
    assert made.ran == ("positions", "identifications", "coverage", "variability", "column_density")
    assert len(made.tables["light_curves"]) == 10
    alone = xbayes.enhance(table[:1], {"name": "a", "positions": {}}, services=services())
    assert alone.table.colnames == [*table.columns, "gal_l", "gal_b", "position_flag"]


def test_a_column_that_would_collide_is_refused(config, services):
    table = read_catalog(config.parent / "field.fits")
    table["GAL_B"] = 1.0
    with pytest.raises(InputError, match="adds a column 'gal_b', but the catalogue has one"):
        xbayes.enhance(table, {"name": "a", "positions": {}}, services=services())


def test_the_progress_never_goes_back(config, archive):
    shares = []
    xbayes.enhance(
        config.parent / "field.fits", config, cache=config.parent / "cache",
        progress=lambda share, step: shares.append(share),
    )  # fmt: skip
    assert shares == sorted(shares) and len(shares) > 6 and max(shares) <= 1


def test_units_that_the_table_lacks_and_another_frame_are_new_inputs(services):
    table = Table({"ra": ["05:34:31.9"], "dec": ["22:00:52"]})
    config = {"name": "a", "positions": {}}
    with pytest.raises(InputError, match="sexagesimal text name its form"):
        xbayes.enhance(table, config, services=services())
    units = {"ra": "h:m:s", "dec": "d:m:s"}
    made = xbayes.enhance(table, config, units=units, services=services())
    assert made.table["gal_b"][0] == pytest.approx(-5.7845, abs=1e-4)
    degrees = Table({"ra": [10.0], "dec": [20.0]})
    first = xbayes.enhance(degrees, config, services=services())
    other = {**config, "catalog": {"frame": "fk4"}}
    again = xbayes.enhance(degrees, other, services=services())  # nothing kept is taken for it
    assert "icrs_ra" in again.table.colnames
    assert abs(again.table["gal_b"][0] - first.table["gal_b"][0]) > 0.1
