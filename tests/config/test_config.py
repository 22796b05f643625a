"""Reading configs: values, defaults, and the messages for invalid ones."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from xbayes.classifier.decision import Decision
from xbayes.classifier.recipe import decision_of
from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.config.schema import (
    Config,
    catalog_path,
    class_proportions,
    given_log_prior,
)
from xbayes.errors import InputError

TEXT = """\
name: tiny
catalog:
  id: name
  file: ${XBAYES_TEST}/x.csv
taxonomy:
  classes: {AGN: [AGN], Star: [LM-STAR, HM-STAR], XRB: [LMXB, HMXB]}
  left_out: [NS]
features:
  abs_b:
    expression: abs(galactic_b(ra, dec))
    category: location
    bounds: [0, 90]
  flux: {expression: log10(flux), category: spectrum, missing: evidence}
model:
  starts: 2
"""
CLASSES = ("AGN", "Star", "XRB")


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_config(text, "x.yaml", overrides)
    return str(caught.value)


def test_reads_a_file_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT, encoding="utf-8")
    config = load_config(path)
    assert tuple(config.taxonomy.classes) == CLASSES
    assert config.taxonomy.classes["Star"] == ("LM-STAR", "HM-STAR")
    assert (config.seed, config.precision, config.decision) == (1, "float64", None)
    assert config.features["abs_b"].bounds == (0, 90)
    assert (config.model.starts, config.model.weights, config.model.offsets) == (2, "matrix", True)
    assert (config.validation.folds, config.validation.bootstrap) == (5, 1000)
    assert config.catalog.file == "${XBAYES_TEST}/x.csv"


def test_the_decision_rule_of_a_config() -> None:
    def decision(*overrides: str) -> Decision:
        return decision_of(parse_config(TEXT, "x.yaml", overrides))

    assert decision() == Decision(kind="expected_f1")
    for kind in ("argmax", "f1", "expected_f1"):
        assert decision(f"decision={kind}") == Decision(kind=kind)
    assert decision("decision={precision: 0.9}") == Decision(kind="precision", precision=0.9)
    # A rule that the config does not ask for needs no class.
    nameless = parse_config(TEXT.replace("XRB", "CV"))
    assert decision_of(nameless) == Decision()
    assert "name the class whose F1" in refusal(TEXT.replace("XRB", "CV"), "decision=expected_f1")
    for wrong in ("{precision: 1.2}", "{precision: yes}", "{recall: 0.9}", "best", "1", "[f1]"):
        assert "decision: must be argmax, f1, expected_f1 or {precision: NUMBER}" in refusal(
            TEXT, f"decision={wrong}"
        )


def test_records_are_frozen() -> None:
    config = parse_config(TEXT)
    with pytest.raises(ValidationError):
        config.seed = 2


def sections(record: type[BaseModel]) -> set[type[BaseModel]]:
    """The record, and all records that its keys hold, in mappings and options too."""
    found, waiting = {record}, [field.annotation for field in record.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= sections(kind)
    return found


def test_every_key_has_a_description_in_whole_sentences() -> None:
    records = sections(Config)
    assert {"Config", "FeatureConfig", "CategoryConfig", "WellCharacterised"} <= {
        record.__name__ for record in records
    }
    fields = [(r.__name__, n, f) for r in records for n, f in r.model_fields.items()]
    assert [
        f"{record}.{name}"
        for record, name, field in fields
        if not re.fullmatch(r"\w.{10,}\.", field.description or "")
    ] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  starts: 2",
            "  covarience: full",
            "x.yaml:15:3: model.covarience: unknown key; keys here are density",
        ),
        (
            "  starts: 2",
            "  stats: 2",
            "x.yaml:15:3: model.stats: unknown key (did you mean 'starts'?)",
        ),
        ("  id: name\n", "", "x.yaml:2:1: catalog.id: missing key; add it: Column that names each"),
        ("name: tiny\n", "", "x.yaml:1:1: name: missing key; add it: Name of the experiment"),
        ("  starts: 2", "  starts: two", "model.starts: must be a whole number; found 'two'"),
        ("  starts: 2", "  starts: '2'", "model.starts: must be a whole number; found '2'"),
        ("  starts: 2", "  starts: true", "model.starts: must be a whole number; found True"),
        ("  starts: 2", "  starts: 0", "must be greater than or equal to 1; found 0"),
        ("  starts: 2", "", "model: must be a section of key: value; found nothing"),
        ("  starts: 2", "  penalty: none", "model.penalty: must be auto or a number above 0"),
        ("  starts: 2", "  penalty: .inf", "must be auto or a number above 0; found inf"),
        ("  starts: 2", "  offsets: 1", "model.offsets: must be true or false; found 1"),
        ("  starts: 2", "  missing_weight: 2", "must be auto or a number from 0 to 1; found 2"),
        ("  starts: 2", "  missing_weight: .nan", "found nan"),
        ("  starts: 2", "  missing_weight: auto", "auto needs optimiser: evolution"),
        ("  starts: 2", "  optimiser: evolution", "evolution needs objective: f1; found"),
        (
            "  starts: 2",
            "  weights: propety",
            "'category', 'property', 'property_class', 'matrix' or 'assignment'; found 'propety' "
            "(did you mean 'property'?)",
        ),
        (
            "  starts: 2",
            "  normalise: true",
            "x.yaml:15:3: model.normalise: true needs weights: category; found weights: matrix",
        ),
        (
            "  starts: 2",
            "  prior: {AGN: 0.5, Stars: 0.5}",
            "x.yaml:15:21: model.prior.Stars: no such class (did you mean 'Star'?)",
        ),
        ("  starts: 2", "  prior: {AGN: 0.5, Star: 0.5}", "none for 'XRB'"),
        (
            "  starts: 2",
            "  prior: {AGN: 0.5, Star: 0.3, XRB: 0.3}",
            "model.prior: proportions must sum to 1; these sum to 1.1",
        ),
        ("  starts: 2", "  prior: {AGN: 1, Star: 0, XRB: 0}", "model.prior.XRB: a proportion"),
        ("  starts: 2", "  prior: {AGN: one}", "a proportion must be a number; found 'one'"),
        ("  starts: 2", "  prior: flat", "must be training, uniform or a proportion per class"),
        ("  starts: 2", "  clusters: {components: 0}", "must be auto or a whole number from 1 to"),
        ("  starts: 2", "  clusters: {component: 4}", "unknown key (did you mean 'components'?)"),
        (
            "  starts: 2",
            "  clusters: {mixture: dirichlet, concentration: -1}",
            "concentration: must be auto or a number above 0; found -1",
        ),
        (
            "  starts: 2",
            "  clusters: {concentration: 2}",
            "concentration: needs mixture: dirichlet, stick_breaking or nuts; found mixture: em",
        ),
        (
            "  starts: 2",
            "  clusters: {mixture: nuts, components: auto}",
            "components: mixture: nuts needs a number of clusters; found components: auto",
        ),
        (
            "  starts: 2",
            "  clusters: {mixture: dirichlet, draws: 60}",
            "draws: needs mixture: nuts; found mixture: dirichlet",
        ),
        ("  starts: 2", "  clusters: {mixture: variational}", "model.clusters.mixture"),
        (
            "  starts: 2",
            "  density: published_clusters\n  clusters: {mixture: dirichlet}",
            "model.clusters.mixture: published_clusters needs em; found dirichlet",
        ),
        (
            "  starts: 2",
            "  density: clusters\n  missing_weight: 0.5",
            "model.missing_weight: needs density smooth or published; found density: clusters",
        ),
        (
            "model:\n",
            "categories: {spectre: {likelihood: mixture}}\nmodel:\n",
            "categories.spectre: no feature has this category",
        ),
        (
            "  left_out: [NS]",
            "  left_out: [NS]\n  aggregated: {All: [AGN, Star]}",
            "taxonomy.aggregated: lacks the class 'XRB'; list each class once",
        ),
        (
            "  left_out: [NS]",
            "  left_out: [NS]\n  aggregated: {All: [AGN, Star, XRB, AGN, CV]}",
            "lists 'CV', which is no class",
        ),
        ("[NS]", "[LMXB]", "taxonomy.left_out[0]: raw label 'LMXB' is listed twice, first in"),
        ("[NS]", "['']", "taxonomy.left_out[0]: an empty label is always unlabelled"),
        ("[NS]", "NS", "taxonomy.left_out: must be a list [a, b]; found 'NS'"),
        ("[NS]", "[1.5]", "taxonomy.left_out[0]: must be text; put it in quotes; found 1.5"),
        ("AGN: [AGN]", "AGN: []", "taxonomy.classes.AGN: a class needs at least one raw label"),
        ("AGN: [AGN]", "A B: [AGN]", "taxonomy.classes.A B: a class name must match"),
        ("AGN: [AGN]", "1: [AGN]", "taxonomy.classes[1]: must be text; put it in quotes; found 1"),
        ("AGN: [AGN]", "xrb: [AGN]", "class names 'xrb' and 'XRB' both give a column 'p_XRB'"),
        ("AGN: [AGN]", "XRB_lo: [AGN]", "both give a column 'p_XRB_lo'"),
        ("AGN: [AGN]", "location_XRB: [AGN]", "both give a column 'p_location_XRB'"),
        (
            "{AGN: [AGN], Star: [LM-STAR, HM-STAR], XRB: [LMXB, HMXB]}",
            "{AGN: [AGN]}",
            "x.yaml:6:3: taxonomy.classes: needs at least 2 classes; found 'AGN'",
        ),
        ("  abs_b:\n", "  abs-b:\n", "x.yaml:9:3: features.abs-b: a feature name must match"),
        ("category: location", "category: my own", "features.abs_b.category: a category must"),
        ("[0, 90]", "[90, 0]", "x.yaml:12:5: features.abs_b.bounds: low must be below high"),
        ("[0, 90]", "[0]", "must be [low, high], null for no limit; found [0]"),
        ("[0, 90]", "[low, 1]", "must be [low, high], null for no limit; found ['low', 1]"),
        ("[0, 90]", "[0, .inf]", "must be a finite number; found inf"),
        ("bounds: [0, 90]", "scale: log", "(did you mean 'log10'?)"),
        ("bounds: [0, 90]", "cosine_for: [Stars]", "no such class: 'Stars' (did you mean 'Star'?)"),
        ("    bounds: [0, 90]", "    scale: log10\n    bounds: [null, 0]", "high must be above 0"),
        ("    expression: abs(galactic_b(ra, dec))", "    expression: 5", "must be text"),
        ("  id: name", "  id: ''", "catalog.id: must not be empty"),
        ("  id: name", "  id: name\n  ra: ra", "catalog.ra: needs dec too; set catalog.dec"),
        (
            "  id: name",
            "  id: name\n  missing_values: {MW: [-99, [1]]}",
            "catalog.missing_values.MW[1]: a marker must be text or a number; found [1]",
        ),
        ("name: tiny", "name: a/b", "x.yaml:1:1: name: must match"),
        ("name: tiny", "name: tiny\nseed: -1", "seed: must be greater than or equal to 0"),
        (
            "name: tiny",
            "name: tiny\n7: x",
            "x.yaml:2:1: [7]: must be text; put the key in quotes; found 7",
        ),
    ],
)
def test_refuses_invalid_configs(old: str, new: str, message: str) -> None:
    assert message in refusal(edited(old, new))


def test_no_features_and_several_errors_at_once() -> None:
    assert "features: needs at least one" in refusal(TEXT.split("  abs_b")[0].rstrip() + " {}\n")
    text = edited("  starts: 2", "  starts: two\n  oops: 1").replace("category: spectrum, ", "")
    lines = refusal(text).splitlines()
    where = [line.split(": ")[0] for line in lines]
    assert where == ["x.yaml:13:3", "x.yaml:15:3", "x.yaml:16:3"]
    assert "features.flux.category: missing key" in lines[0]


def test_refuses_text_that_is_not_a_mapping() -> None:
    assert "is empty" in refusal("")
    assert "is empty" in refusal("# only a comment\n")
    assert "a config is a mapping of key: value; found ['a']" in refusal("- a\n")
    assert refusal("name: tiny\nseed: [1\nmodel: {\n").startswith("x.yaml:3:6: is not YAML: ")
    assert re.match(r"x\.yaml:2:1: is not YAML: found duplicate key", refusal("a: 1\na: 2\n"))
    assert "is nested deeper than 20" in refusal("a: " + "[" * 30 + "]" * 30)
    assert "is not YAML" in refusal("a: " + "[" * 3000)


def test_refuses_paths_that_are_not_configs(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "table.fits").write_bytes(b"SIMPLE\xff\xfe\x00")
    for name, message in (
        ("", "is a folder"),
        ("dem.yaml", r"no such config file \(did you mean '.*demo.yaml'"),
        ("other/x.yml", "no such config file; check the path"),
        ("table.fits", "is not YAML: not a text file"),
    ):
        with pytest.raises(InputError, match=message):
            load_config(tmp_path / name)


def test_set_overrides_the_file() -> None:
    config = parse_config(
        TEXT,
        overrides=[
            "model.weights=category",
            "model.normalise=true",
            "validation.folds=3",
            "features.flux.bounds=[null, 3]",
            "catalog.file=",
        ],
    )
    assert config.model.normalise and config.validation.folds == 3
    assert config.features["flux"].bounds == (None, 3)
    assert config.catalog.file is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.covarience=full", "--set model.covarience: unknown key; keys here are density"),
        ("model.stats=2", "--set model.stats: unknown key (did you mean 'starts'?)"),
        ("modl.starts=2", "--set modl: unknown key (did you mean 'model'?)"),
        ("model={stats: 1}", "--set model.stats: unknown key (did you mean 'starts'?)"),
        ("model.starts=two", "--set model.starts: must be a whole number; found 'two'"),
        ("features.new.scale=log10", "--set features.new.expression: missing key"),
        ("name.first=x", "--set name.first: name holds 'tiny', which has no keys; set name"),
        ("model.starts", "--set needs key=value; got 'model.starts'"),
        ("model..starts=1", "--set needs key=value; got 'model..starts=1'"),
        ("=1", "--set needs key=value; got '=1'"),
        ("seed=[1", "--set seed: '[1' is not YAML"),
        ("model.normalise=true", "--set model.normalise: true needs weights: category"),
        ("validation.proportions={AGN: 1}", "--set validation.proportions: needs a proportion"),
    ],
)
def test_refuses_a_wrong_set(override: str, message: str) -> None:
    assert message in refusal(TEXT, override)


def test_an_error_of_the_file_is_not_blamed_on_set() -> None:
    text = edited("  starts: 2", "  stats: 2")
    assert refusal(text, "model.density=published").startswith("x.yaml:15:3: model.stats")


def test_catalog_path_expands_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_config(TEXT)
    monkeypatch.delenv("XBAYES_TEST", raising=False)
    with pytest.raises(InputError, match=r"variable XBAYES_TEST is not set; set it, as in export"):
        catalog_path(config)
    monkeypatch.setenv("XBAYES_TEST", "/some/where")
    assert catalog_path(config) == Path("/some/where/x.csv")
    with pytest.raises(InputError, match="give --catalog FILE"):
        catalog_path(parse_config(TEXT, overrides=["catalog.file=null"]))


def test_proportions_become_a_vector_in_class_order() -> None:
    share = class_proportions({"XRB": 0.2, "AGN": 0.5, "Star": 0.3}, CLASSES)
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], rtol=0, atol=1e-15)
    with pytest.raises(InputError, match=r"AGM: no such class \(did you mean 'AGN'\?\)"):
        class_proportions({"AGM": 0.5, "Star": 0.3, "XRB": 0.2}, CLASSES)


def test_a_given_prior_becomes_a_log_prior_and_the_training_prior_none() -> None:
    assert given_log_prior(parse_config(TEXT)) is None
    given = parse_config(TEXT, overrides=["model.prior={XRB: 0.2, AGN: 0.5, Star: 0.3}"])
    np.testing.assert_allclose(given_log_prior(given), np.log([0.5, 0.3, 0.2]), rtol=1e-15)


def test_numbers_may_be_raw_labels() -> None:
    config = parse_config(edited("[NS]", "[0, 7]"))
    assert config.taxonomy.left_out == ("0", "7")


EXTENDING = """\
extends: base.yaml
name: other
features: {flux: null, abs_b: {missing: evidence}}
model: {stats: 2}
"""


def test_a_config_extends_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TEXT, encoding="utf-8")
    path = tmp_path / "other.yaml"
    path.write_text(EXTENDING.replace("stats", "starts"), encoding="utf-8")
    config = load_config(path, ["model.weights=property"])
    assert (config.name, config.model.starts, config.model.weights) == ("other", 2, "property")
    assert list(config.features) == ["abs_b"]
    assert config.features["abs_b"].missing == "evidence"
    assert config.features["abs_b"].bounds == (0, 90)
    path.write_text(EXTENDING, encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.yaml:4:9: model\.stats: unknown key"):
        load_config(path)
    for wrong, message in (
        ("features: {flx: null}", "features.flx: must be a section"),
        ("features: 5", "features: must be a section of key: value; found 5"),
        ("taxonomy: null", "taxonomy: must be a section of key: value; found nothing"),
        ("taxonomy: {classes: {XRB: null, Star: null}}", "needs at least 2 classes; found 'AGN'"),
    ):
        path.write_text(f"extends: base.yaml\n{wrong}\n", encoding="utf-8")
        with pytest.raises(InputError, match=re.escape(message)):
            load_config(path)
    (tmp_path / "base.yaml").write_text("extends: other.yaml\n", encoding="utf-8")
    with pytest.raises(InputError, match="break the circle"):
        load_config(path)


def test_dump_loads_back_and_keeps_the_variable() -> None:
    config = parse_config(TEXT, overrides=["catalog.missing_values={MW: ['-99', -9, 1.5]}"])
    text = dump_config(config)
    assert "${XBAYES_TEST}/x.csv" in text and "group: null" in text
    again = parse_config(text)
    assert again == config
    assert [type(marker) for marker in again.catalog.missing_values["MW"]] == [str, int, float]
    assert list(again.taxonomy.classes) == list(config.taxonomy.classes)


# YAML has no way to write control characters outside of these, nor lone surrogates.
any_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")))
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=50)
@given(
    free=st.lists(any_text, min_size=3, max_size=3),
    numbers=st.lists(finite, min_size=2, max_size=2, unique=True),
    feature=names,
    markers=st.lists(st.one_of(any_text, finite, st.integers()), max_size=4),
)
def test_dump_round_trip(
    free: list[str], numbers: list[float], feature: str, markers: list[object]
) -> None:
    values = parse_config(TEXT).model_dump()
    values["catalog"] |= {"file": free[0], "missing_values": {free[1]: markers}}
    values["features"][feature] = {
        "expression": free[1],
        "category": "no",
        "description": free[2],
        "bounds": sorted(numbers),
    }
    values["model"]["penalty"] = abs(numbers[0]) or "auto"
    config = Config.model_validate(values)
    assert parse_config(dump_config(config)) == config


yaml_bits = st.sampled_from(
    [*":-[]{}#&*!|>'\"%@`,? \n\t~", "a", "1", "name: x\n", "  ", "<<", "2020-99-99", "0x", "é"]
)


@settings(deadline=None, max_examples=50)
@given(text=st.one_of(st.text(max_size=60), st.lists(yaml_bits, max_size=20).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    for attempt in (lambda: parse_config(text), lambda: parse_config(TEXT, overrides=[text])):
        try:
            attempt()
        except InputError as error:
            assert str(error)
