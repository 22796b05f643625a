"""The config of `xbayes enhance`: shipped ones, files, and messages with file, line and key."""

import pytest

from xbayes.config.enhance import EnhanceConfig, step_names
from xbayes.config.enhance_reader import enhance_config_of, local_file, shipped_configs
from xbayes.config.enhance_tables import sigma_over_error
from xbayes.errors import InputError

STEPS = ("positions", "identifications", "coverage", "variability", "hosts", "column_density")


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_shipped_configs_have_every_step():
    assert shipped_configs() == ["chandra", "xmm"]
    for name in shipped_configs():
        config = enhance_config_of(name)
        assert config.name == name
        assert all(getattr(config, step) is not None for step in STEPS)
        assert len(config.identifications.references) == 11
    assert set(STEPS) <= set(step_names())


def test_paths_start_in_the_folder_of_the_config(tmp_path, monkeypatch):
    surveys = "{x: {file: m.fits}, y: {moc: allsky, depth_map: ../d.fits}}"
    text = f"{{name: a, hosts: {{file: maps/g.csv}}, coverage: {{surveys: {surveys}}}}}"
    config = enhance_config_of(written(tmp_path, text))
    assert config.hosts.file == str(tmp_path / "maps" / "g.csv")
    assert config.coverage.surveys["x"].file == str(tmp_path / "m.fits")
    assert config.coverage.surveys["y"].depth_map == str(tmp_path.parent / "d.fits")
    kept = enhance_config_of(written(tmp_path, "{name: a, hosts: {file: '${GALAXIES}/g.csv'}}"))
    assert kept.hosts.file == "${GALAXIES}/g.csv"
    with pytest.raises(InputError, match="the variable GALAXIES is not set"):
        local_file(kept.hosts.file, "hosts.file")
    (tmp_path / "g.csv").write_text("a\n1\n")
    monkeypatch.setenv("GALAXIES", str(tmp_path))
    assert local_file(kept.hosts.file, "hosts.file") == tmp_path / "g.csv"
    with pytest.raises(InputError, match=r"no file .*h.csv.*did you mean 'g.csv'"):
        local_file(str(tmp_path / "h.csv"), "hosts.file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\npositions: {}\nhosts:\n  fil: x", r"mine.yaml:4:3: hosts.fil: unknown key"),
        ("name: a", "the config has no step; add a section: positions"),
        ("[1, 2]", "is a mapping of key: value"),
        ("name: a\nhosts: {file: x, catalogue: y}", "one of them; found both"),
        ("name: a\npositions: {duplicate_arcsec: far}", "must be a number; found 'far'"),
        ("name: a\npositions: {}\ncatalog: {equinox: 1975}", "needs frame: fk4 or fk5; found icrs"),
        ("name: a\ncoverage: {surveys: {a b: {moc: allsky}}}", "a name must match"),
        ("name: a\ncoverage: {surveys: {a: {depth: 3}}}", "needs moc or file"),
        ("name: a\ncolumn_density: {}", "needs nh or ebv"),
        ("name: a\ncolumn_density: {nh: {file: a, dustmaps: sfd}}", "found file and dustmaps"),
        ("name: a\nvariability: {}", "needs own, or at least one of catalogues"),
        ("name: a\nvariability: {own: {flux: f, band: [2, 0.5]}}", r"must be \[low, high\]"),
        (
            "name: a\nvariability:\n  own: {flux: f, band: [2, 5], flux_error: a, flux_low: b, "
            "flux_high: c}",
            "give it, or flux_error_low",
        ),
        ("name: a\nvariability: {own: {flux: f, band: [2, 5], flux_low: b}}", "come in pairs"),
        (
            "name: a\nvariability: {own: {flux: f, band: [2, 5]}, "
            "limits: {x: {moc: allsky, limit: 1}}}",
            "no such catalogue",
        ),
        (
            "name: a\nidentifications: {radius_arcsec: 30}",
            "max_radius_arcsec: must be at least radius_arcsec, 30.0; found 20.0",
        ),
    ],
)  # fmt: skip
def test_wrong_configs_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        enhance_config_of(written(tmp_path, text))


def test_an_unknown_name_is_refused_with_those_that_ship():
    with pytest.raises(InputError, match=r"xmmm: no such config file.*did you mean 'xmm'"):
        enhance_config_of("xmmm")


def test_the_path_in_the_repository_works_without_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert enhance_config_of("configs/enhance/xmm.yaml") == enhance_config_of("xmm")
    with pytest.raises(InputError, match="no such config file"):
        enhance_config_of("other/xmm.yaml")


def test_settings_change_keys_and_leave_steps_out():
    changes = ["hosts=null", "catalog.ra=RA", "identifications.references.ascc=null",
               "coverage.surveys.mine.moc=allsky"]  # fmt: skip
    config = enhance_config_of("xmm", changes)
    assert config.hosts is None and config.catalog.ra == ("RA",)
    assert "ascc" not in config.identifications.references
    assert config.coverage.surveys["mine"].moc == "allsky"
    assert enhance_config_of(config, ["positions=null"]).positions is None
    with pytest.raises(InputError, match=r"--set hostz: unknown key \(did you mean 'hosts'\?\)"):
        enhance_config_of("xmm", ["hostz.file=x"])


def test_a_config_survives_its_json():
    config = enhance_config_of("chandra")
    assert EnhanceConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("kind", "right"),
    [("sigma", 1), ("rms", 0.70711), ("68", 0.66243), ("90", 0.46599), ("95", 0.40853)],
)
def test_standard_deviations_of_error_radii(kind, right):
    # 90 % of positions lie within 2.146 standard deviations per axis, 95 % within 2.448.
    assert sigma_over_error(kind) == pytest.approx(right, abs=1e-5)
