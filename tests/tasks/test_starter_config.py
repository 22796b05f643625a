"""`xbayes init`: roles, labels, stand-ins and features of a starter config, and that it runs."""

import re

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import example, given, settings
from hypothesis import strategies as st

import xbayes as package
from xbayes.catalog.inputs import as_table
from xbayes.catalog.write import write_catalog
from xbayes.config.reader import config_of, parse_config
from xbayes.errors import InputError
from xbayes.features.build import build_features, needed_columns
from xbayes.features.expression import parse
from xbayes.simulate.catalog import simulate
from xbayes.tasks.starter_config import init
from xbayes.tasks.starter_features import reference
from xbayes.tasks.starter_roles import column_facts, guess_roles
from xbayes.tasks.training import load_training

TWO = {"A": ["a"], "B": ["b"]}
N = 60


def catalogue(*columns: str, **more) -> Table:
    """Rows with an id, coordinates, labels, and positive numbers in the named columns."""
    rng = np.random.default_rng(0)
    table = Table({"name": [f"S{i}" for i in range(N)]})
    table["ra"], table["dec"] = rng.uniform(0, 360, N), rng.uniform(-90, 90, N)
    table["Class"] = np.where(rng.random(N) < 0.5, "a", "b")
    for name in columns:
        table[name] = rng.uniform(0.1, 0.9, N)
    for name, values in more.items():
        table[name] = values
    return Table(table, masked=True)


def filled(table: Table, classes=TWO):
    """The starter config of a table, with classes, as a config; and the features it builds."""
    starter = init(table)
    config = config_of(starter.with_classes(classes))
    build_features(table, config)
    return starter, config


def words(text: str) -> list[str]:
    return text.split()


def uncommented(text: str) -> str:
    """The text with the comment signs of all proposals removed, as an editor would do it."""
    proposal = re.compile(r'^(\s+)#(?=["A-Za-z_][\w+"-]*: ?[\[{])', re.MULTILINE)
    return proposal.sub(r"\1", text)


ARCHIVE = words(
    "phot_g_mean_mag phot_bp_mean_mag phot_rp_mean_mag parallax parallax_error pmra pmra_error "
    "pmdec pmdec_error ruwe j_m j_msigcom h_m h_msigcom k_m k_msigcom w1mpro w1sigmpro w2mpro "
    "w2sigmpro w3mpro w3sigmpro"
)
VIZIER = words(
    "Gmag BPmag RPmag Plx e_Plx pmRA e_pmRA pmDE e_pmDE RUWE Jmag e_Jmag Hmag e_Hmag Kmag e_Kmag "
    "W1mag e_W1mag W2mag e_W2mag W3mag e_W3mag"
)
COLOURS = {"bp_rp", "g_j", "g_w1", "j_h", "h_k", "j_k", "k_w1", "w1_w2", "w2_w3"}
ASTROMETRY = {"parallax_snr", "pm_snr", "proper_motion", "ruwe"}
XMM_SLIM = words(
    "SC_EP_1_FLUX SC_EP_2_FLUX SC_EP_3_FLUX SC_EP_4_FLUX SC_EP_5_FLUX SC_EP_8_FLUX "
    "SC_EP_8_FLUX_ERR SC_EP_8_FMIN SC_EP_8_FMAX SC_HR1 SC_HR1_ERR SC_HR2 SC_HR2_ERR SC_HR3 "
    "SC_HR3_ERR SC_HR4 SC_HR4_ERR SC_CHI2PROB SC_FVAR SC_DET_ML SC_EXTENT"
)
XMM = [name.replace("SC_", "") for name in XMM_SLIM if "FLUX" in name] + [
    f"EP_HR{n}{end}" for n in (1, 2, 3, 4) for end in ("", "_ERR")
]
CSC = words(
    "significance flux_aper_b flux_aper_lolim_b flux_aper_hilim_b flux_aper_s flux_aper_m "
    "flux_aper_h hard_hm hard_hm_lolim hard_hm_hilim hard_hs hard_hs_lolim hard_hs_hilim hard_ms "
    "hard_ms_lolim hard_ms_hilim var_intra_prob_b var_inter_prob_b var_inter_sigma_b powlaw_gamma "
    "powlaw_gamma_lolim powlaw_gamma_hilim bb_kt apec_kt powlaw_nh"
)
SXPS = words(
    "HR1 HR1_pos HR1_neg HR2 HR2_pos HR2_neg Rate_band0 Rate_band0_pos Rate_band0_neg "
    "PeakRate_band0 FixedPowFlux PvarPchiSnapshot_band0 PvarPchiObsID_band0"
)
ERASS = ["ML_FLUX_1", "ML_FLUX_ERR_1", "DET_LIKE_0", "EXT_LIKE"] + [
    f"ML_RATE{error}_P{n}" for error in ("", "_ERR") for n in range(1, 6)
]


@pytest.mark.parametrize(
    ("columns", "wanted", "flux"),
    [
        (
            XMM_SLIM,
            {"hr_1", "hr_2", "hr_3", "hr_4", "var_chi2", "var_f", "flux_range"},
            "SC_EP_8_FLUX",
        ),
        (XMM, {"hr_1", "hr_2", "hr_3", "hr_4"}, "EP_8_FLUX"),
        ([name.lower() for name in XMM_SLIM], {"hr_1", "hr_4", "var_chi2"}, "sc_ep_8_flux"),
        (
            CSC,
            {"hr_ms", "hr_hm", "hr_hs", "gamma", "kt_bb", "nh", "var_intra", "var_inter"},
            "flux_aper_b",
        ),
        (SXPS, {"hr_1", "hr_2", "var_snapshot", "var_obs", "peak_ratio"}, "FixedPowFlux"),
        (ERASS, {"hr_1", "hr_2", "hr_3", "hr_4"}, "ML_FLUX_1"),
    ],
    ids=["4XMM slim", "4XMM", "4XMM lower case", "CSC 2.1", "2SXPS", "eRASS1"],
)
def test_the_features_of_common_catalogues(columns, wanted, flux):
    starter, config = filled(catalogue(*columns, *(ARCHIVE if flux < "G" else VIZIER)))
    common = {"abs_b", "flux", "fx_g", "fx_j", "fx_w1", "g"} | COLOURS | ASTROMETRY
    assert wanted | common <= set(starter.features)
    assert config.features["flux"].expression == flux and config.features["flux"].scale == "log10"
    assert flux in parse(config.features["fx_g"].expression).columns
    for name in ("hr_1", "hr_hm"):
        if name in config.features:
            assert config.features[name].bounds == (-1, 1)
            assert config.features[name].error is not None
    assert config.features["bp_rp"].category == "counterparts"


def test_both_names_of_a_survey_give_the_same_features():
    archive, vizier = (filled(catalogue(*names))[1].features for names in (ARCHIVE, VIZIER))
    assert list(archive) == list(vizier)
    same = dict(zip(ARCHIVE, VIZIER, strict=True))
    for name, feature in archive.items():
        expression = re.sub(r"\w+", lambda word: same.get(word[0], word[0]), feature.expression)
        assert expression == vizier[name].expression


def test_the_numbers_of_the_expressions():
    """log10(X-ray flux / optical flux), a hardness error to first order, asinh of a parallax."""
    table = catalogue(*XMM_SLIM, *ERASS, *VIZIER, "e_Gmag")
    columns = {"SC_EP_8_FLUX": 1e-13, "Gmag": 17.5, "ML_RATE_P1": 3.0, "ML_RATE_P2": 1.0}
    columns |= {"ML_RATE_ERR_P1": 0.3, "ML_RATE_ERR_P2": 0.2, "Plx": -6.0, "e_Plx": 2.0}
    columns |= {"pmRA": 3.0, "e_pmRA": 1.0, "pmDE": -8.0, "e_pmDE": 2.0}
    columns |= {"e_Gmag": 0.03, "e_Jmag": 0.04, "Jmag": 16.0}
    for name, value in columns.items():
        table[name][0] = value
    starter = init(table)
    features = config_of(starter.with_classes(TWO)).features

    def first(text):
        return parse(text).evaluate(table).value[0]

    assert first(features["fx_g"].expression) == pytest.approx(-13 + 17.5 / 2.5)
    assert first(features["g_j"].expression) == pytest.approx(1.5)
    assert first(features["g_j"].error) == pytest.approx(0.05)
    assert first(features["pm_snr"].expression) == pytest.approx(5.0)
    assert first(features["parallax_snr"].expression) == pytest.approx(np.arcsinh(-3) / np.log(10))
    (erass,) = (f for f in [config_of(init(catalogue(*ERASS)).with_classes(TWO)).features["hr_1"]])
    a, b, step = 3.0, 1.0, 1e-6
    slope_a = ((b - a - step) / (b + a + step) - (b - a) / (b + a)) / step
    slope_b = ((b + step - a) / (b + step + a) - (b - a) / (b + a)) / step
    assert first(erass.expression) == pytest.approx(-0.5)
    assert first(erass.error) == pytest.approx(np.hypot(0.3 * slope_a, 0.2 * slope_b), rel=1e-4)


def test_gmag_of_pan_starrs_is_not_gmag_of_gaia():
    starter = init(catalogue("gmag", "rmag", "Jmag"))
    assert "g_j" not in starter.features
    assert "gmag" in starter.text  # as a comment


def test_columns_of_a_cross_match_are_known():
    starter = init(catalogue("gaia_phot_g_mean_mag", "Jmag_2", "xmm_SC_EP_8_FLUX"))
    assert {"g_j", "fx_g", "flux"} <= set(starter.features)


def test_evidence_is_counted_once_a_survey_and_only_where_values_are_lacking():
    table = catalogue("SC_EP_8_FLUX", *VIZIER)
    for name in ("Gmag", "BPmag", "W1mag"):
        table[name] = MaskedColumn(table[name], mask=np.arange(N) < 7)
    _, config = filled(table)
    told = [name for name, feature in config.features.items() if feature.missing == "evidence"]
    assert told == ["fx_g", "fx_w1"]


def test_without_an_x_ray_flux_a_magnitude_tells_the_non_detection():
    table = catalogue(*VIZIER)
    table["Gmag"] = MaskedColumn(table["Gmag"], mask=np.arange(N) < 7)
    _, config = filled(table)
    assert [n for n, f in config.features.items() if f.missing == "evidence"] == ["g"]


def test_roles_by_name_ucd_and_content():
    table = catalogue("flux")
    table.rename_columns(["name", "ra", "dec", "Class"], ["object", "x", "y", "kind"])
    table["x"].meta["ucd"], table["y"].meta["ucd"] = "pos.eq.ra;meta.main", "pos.eq.dec;meta.main"
    table["run_flag"] = np.where(np.arange(N) % 2 == 0, "good", "bad")
    roles = guess_roles(table, column_facts(table))
    assert (roles.id, roles.ra, roles.dec, roles.label) == ("object", "x", "y", "kind")
    table["kind"].name = "morphology"
    table["type_no"] = np.arange(N) % 3
    table["type_no"].meta["ucd"] = "src.class"
    roles = guess_roles(table, column_facts(table))
    assert roles.label == "type_no" and roles.others["label"] == ("morphology",)


def test_detections_have_a_source_and_releases_a_block():
    table = catalogue("flux")
    table["SRCID"] = np.arange(N) // 2
    table["field"] = np.arange(N) // 2
    table["release"] = np.arange(N) % 2
    roles = guess_roles(table, column_facts(table))
    assert (roles.source, roles.group, roles.block) == ("SRCID", "field", "release")
    table["field"] = (np.arange(N) + 1) // 2  # splits the sources
    assert guess_roles(table, column_facts(table)).group is None


def test_coordinates_out_of_range_have_no_role():
    table = catalogue("flux")
    table["dec"][3] = 95.0
    starter = init(table)
    assert "galactic_b" not in starter.text and "#ra:" in starter.text


def test_sexagesimal_coordinates_get_their_form():
    table = catalogue("flux")
    table["ra"] = [f"{i % 24:02d}:{i % 60:02d}:07.5" for i in range(N)]
    table["dec"] = [f"{'+-'[i % 2]}{i:02d} 30 00" for i in range(N)]
    table = Table(table, masked=True)
    starter = init(table)
    config = config_of(starter.with_classes(TWO))
    assert config.catalog.units == {"ra": "h:m:s", "dec": "d:m:s"}
    assert {"abs_b", "abs_l"} <= set(starter.features)


def test_units_that_a_file_does_not_name_are_proposed():
    table = catalogue("SC_EP_8_FLUX", "Gmag", "Jmag")
    table["Jmag"].unit = "mag"
    text = init(table).text
    assert "#units: {SC_EP_8_FLUX: erg/s/cm2, Gmag: mag, ra: deg, dec: deg}" in text
    config = parse_config(uncommented(text))
    assert config.catalog.units["SC_EP_8_FLUX"] == "erg/s/cm2"


def test_coordinates_in_other_angles_are_coordinates():
    table = catalogue("flux")
    for name in ("ra", "dec"):
        table[name] = np.radians(table[name])
        table[name].unit = "rad"
    assert {"abs_b", "abs_l"} <= set(init(table).features)


def test_stand_ins_are_listed_and_no_feature_sees_them():
    text = ["--" if i % 7 == 0 else f"{15 + i / 10}" for i in range(N)]
    number = np.where(np.arange(N) % 5 == 0, -99.0, 14 + np.arange(N) / 10)
    table = catalogue(Jmag=text, Gmag=number, BPmag=number + 1, RPmag=14 + np.arange(N) / 9)
    starter = init(table)
    config = config_of(starter.with_classes(TWO))
    assert config.catalog.missing_values["Gmag"] == (-99.0,)
    assert config.catalog.missing_values["Jmag"] == ("--",)
    assert "g_j" in starter.features


@pytest.mark.parametrize("form", ["e_{}", "{}_err", "{}_ERROR", "err_{}", "sigma_{}"])
def test_the_error_of_any_column_is_found(form):
    error = form.format("zeta")
    text = init(catalogue("zeta", error)).text
    assert re.search(rf"#zeta: {{expression: zeta, .*error: {error}}}", text)
    assert f"#{error.lower()}:" not in text  # an error is no feature
    config = parse_config(uncommented(text))
    assert config.features["zeta"].error == error


def test_labels_and_ids_are_no_stand_ins():
    number = np.where(np.arange(N) % 5 == 0, -99, np.arange(N) % 2)
    starter = init(catalogue("flux", Class=number, field=np.arange(N) % 25))
    assert starter.labels == {"0": 24, "1": 24, "-99": 12}
    assert '["-99"]' in starter.text and "#missing_values:" in starter.text


def test_coordinates_with_stand_ins_keep_their_role():
    table = catalogue("flux")
    table["ra"][:5], table["dec"][:5] = -999.0, -999.0
    starter = init(table)
    assert "ra: [-999]" in starter.text and "abs_b" in starter.features


def test_what_does_not_vary_is_a_comment():
    starter = init(catalogue("Jmag", Gmag=np.full(N, 15.0), Hmag=np.full(N, np.nan)))
    assert "g" not in starter.features and "#g:" in starter.text
    assert "always 15" in starter.text


def test_a_catalogue_without_id_or_labels_says_what_to_do():
    table = Table({"flux": np.linspace(1, 2, 50), "n": np.arange(50) % 7}, masked=True)
    starter = init(table)
    assert any("catalog.id" in step for step in starter.steps)
    assert any("catalog.label" in step for step in starter.steps)
    with pytest.raises(InputError, match=r"starter:\d+:3: catalog.id: must be text"):
        parse_config(starter.text, "starter")
    with pytest.raises(InputError, match=r"taxonomy.classes: needs at least 2 classes; found none"):
        parse_config(starter.text, "starter")


def test_every_proposal_is_valid_when_its_comment_sign_is_removed():
    table = catalogue(*CSC, *VIZIER, "odd name", "n_obs", "zeta", "1e5", "null")
    starter = init(table)
    config = parse_config(uncommented(starter.text))
    assert dict(config.taxonomy.classes) == {"a": ("a",), "b": ("b",)}
    assert {"odd_name", "zeta", "null"} <= set(config.features)
    assert config.taxonomy.unlabelled == "*"
    build_features(table, config)


def test_odd_names_and_labels_give_valid_yaml():
    """A few of the kinds of the test below."""
    table = catalogue(Class=np.resize(["*", "null", "a: b", "#1", "é", "'"], N))
    for name in ("odd: name #1", "lambda", "null", "a'b\"", "tab\tname", "{x}", "log10", "été"):
        table[name] = np.linspace(1, 2, N)
        table[name].description = f"{name} \x00 \n - end"
    config = parse_config(uncommented(init(table).text))
    labels = {label for listed in config.taxonomy.classes.values() for label in listed}
    assert labels == {"*", "null", "a: b", "#1", "é", "'"}
    assert {"odd: name #1", "lambda", "log10", "{x}"} <= set(needed_columns(config))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
        unique_by=lambda name: name.strip(),
    ),
    labels=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=6),
        min_size=2,
        max_size=4,
        unique=True,
    ),
)
@example(names=["odd: name #1", "lambda"], labels=["*", "null"])
def test_any_names_and_labels_give_valid_yaml(names, labels):
    """YAML signs, Python words, other scripts, control characters in names, units and labels."""
    table = catalogue()
    table["Class"] = np.resize(labels, N)
    for name in names:
        if name not in table.colnames:
            table[name] = np.linspace(1, 2, N)
            table[name].description = name
    starter = init(table)
    assert list(starter.labels) == sorted(starter.labels, key=lambda t: (-starter.labels[t], t))
    config = parse_config(uncommented(starter.text).replace("folds: 5", "folds: 3"))
    given_labels = {label for listed in config.taxonomy.classes.values() for label in listed}
    assert given_labels == set(starter.labels)
    columns = set(needed_columns(config))
    # Blank and unprintable names are read under others.
    assert columns <= {*table.colnames, *as_table(table).colnames}


@pytest.mark.parametrize("name", ["flux", "odd name", "lambda", "log10", "pi", "é", "a'b", 'a"b'])
def test_a_reference_reads_its_column(name):
    assert parse(f"{reference(name)} + 1").columns == {name}


def test_the_file_is_written_whole_and_only_where_nothing_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog, out = tmp_path / "my sky.fits", tmp_path / "my.yaml"
    write_catalog(catalogue("Gmag", "Jmag"), catalog)
    starter = package.init(catalog, out=out)
    assert out.read_text() == starter.text
    assert 'file: "my sky.fits"' in starter.text and "name: my_sky" in starter.text
    with pytest.raises(InputError, match=r"my.yaml exists; give another name or --overwrite"):
        package.init(catalog, out=out)
    package.init(catalog, out=out, overwrite=True)
    with pytest.raises(InputError, match="no file"):
        package.init(tmp_path / "absent.fits", out=tmp_path / "b.yaml")
    assert not (tmp_path / "b.yaml").exists()
    elsewhere = package.init(catalog, out=tmp_path.parent / f"{tmp_path.name}.yaml")
    assert f"{tmp_path.name}/my sky.fits" in elsewhere.text


def test_the_units_of_the_columns_are_told():
    table = catalogue("SC_EP_8_FLUX")
    table["SC_EP_8_FLUX"].unit = "mW/m2"
    starter, config = filled(table)
    assert config.features["flux"].unit == "mW / m2"
    assert re.search(r"# SC_EP_8_FLUX +mW / m2 +- +0\.1\d* to 0\.8", starter.text)


def test_the_command_writes_a_config_that_training_takes(tmp_path, xbayes, monkeypatch):
    """With the comment signs of the classes removed, and nothing else changed."""
    monkeypatch.chdir(tmp_path)
    write_catalog(simulate(240, seed=3), tmp_path / "sky.fits")
    code, out, err = xbayes("init", "sky.fits")
    assert (code, out) == (0, "")
    for part in (
        "written: sky.yaml (4 labels, 29 features)",
        "name the classes",
        "xbayes run sky.yaml --dry-run",
    ):
        assert part in err
    assert xbayes("init", "sky.fits")[0] == 2
    text = uncommented((tmp_path / "sky.yaml").read_text()).replace("folds: 5", "folds: 2")
    training = load_training(parse_config(text, overrides=["validation.inner_folds=2"]), "sky.fits")
    assert {"fx_g", "hr_ms", "abs_b"} <= set(training.config.features)
    assert (training.labels.class_index >= 0).all()


@pytest.mark.slow
def test_the_command_runs_what_it_wrote(tmp_path, exit_code, monkeypatch):
    """init, then the classes, then run: on a small simulated catalogue."""
    monkeypatch.chdir(tmp_path)
    write_catalog(simulate(240, seed=3), tmp_path / "sky.fits")
    assert exit_code("init", "sky.fits", "--out", "my.yaml") == 0
    classes = "taxonomy.classes={AGN: [AGN], Star: [Star]}"
    quick = ["model.weights=category", "model.penalty=10", "model.starts=1"]
    quick += ["validation.folds=2", "validation.inner_folds=2", "validation.bootstrap=20"]
    options = [part for key in (classes, *quick) for part in ("--set", key)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xbayes.tasks.run.write_figures_and_report", lambda *_: None)
        assert exit_code("run", "my.yaml", *options, "--out", "run") == 0
    metrics = package.load(tmp_path / "run").metrics["cross_validated"]
    assert metrics["macro_f1"]["value"] > 0.9


@pytest.fixture
def no_report(monkeypatch):
    """Runs without figures and report, which no test of the scores reads."""
    monkeypatch.setattr("xbayes.tasks.run.write_figures_and_report", lambda *_: None)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_the_simulated_sky_is_classified_as_by_the_shipped_config(tmp_path, demo, no_report):
    starter = package.init(demo.catalog)
    classes = {name: [name] for name in starter.labels}
    fit = package.run(
        starter.with_classes(classes),
        catalog=demo.catalog,
        out=tmp_path / "run",
        set=["validation.bootstrap=20"],  # no interval is compared
    )
    ours, shipped = (f.metrics["cross_validated"] for f in (fit, package.load(demo.folder)))
    assert ours["log_loss"]["value"] < shipped["log_loss"]["value"] + 0.02
    assert ours["macro_f1"]["value"] > shipped["macro_f1"]["value"] - 0.05


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
@pytest.mark.parametrize(
    ("file", "classes", "least"),
    [
        (
            "chandra_sources.csv",
            {"AGN": ["AGN"], "Star": ["LM-STAR", "HM-STAR", "YSO"], "XRB": ["LMXB", "HMXB"],
             "CV": ["CV"]},
            0.75,
        ),
        (
            "chandra_detections.csv",
            {"AGN": ["QSO", "AGN", "Seyfert1", "Seyfert2"],
             "XRB": ["HighMassXBin", "LowMassXBin", "XrayBin"],
             "YSO": ["YSO", "TTauri*", "OrionV*"]},
            0.6,
        ),
    ],
)  # fmt: skip
def test_real_catalogues_are_classified(file, classes, least, tmp_path, data_folder, no_report):
    """With three folds: a smaller training sample makes the score harder to reach."""
    starter = package.init(data_folder / file)
    quick = [f"validation.{key}" for key in ("folds=3", "inner_folds=3", "bootstrap=20")]
    fit = package.run(starter.with_classes(classes), out=tmp_path / "run", set=quick)
    assert fit.metrics["cross_validated"]["macro_f1"]["value"] > least
