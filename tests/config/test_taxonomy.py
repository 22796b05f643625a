"""Classes by label and condition, groups of classes, subclasses of shared labels, in a config."""

import pytest

from xbayes.config.reader import dump_config, parse_config
from xbayes.errors import InputError

TEXT = """
name: a
catalog: {id: id, file: a.csv, label: Class}
taxonomy:
  classes:
    AGN: [AGN]
    gal_XRB: {labels: [LMXB, HMXB], where: not detected(host)}
    ex_XRB: {labels: [LMXB, HMXB], where: detected(host)}
  groups: {XRB: [gal_XRB, ex_XRB]}
features: {x: {expression: x, category: k}}
"""


def test_classes_by_label_and_condition_survive_a_file():
    config = parse_config(TEXT)
    assert config.taxonomy.labels_of["ex_XRB"] == ("LMXB", "HMXB")
    assert config.taxonomy.conditions == {
        "gal_XRB": "not detected(host)",
        "ex_XRB": "detected(host)",
    }
    assert config.taxonomy.coarse_classes == {"AGN": ("AGN",), "XRB": ("gal_XRB", "ex_XRB")}
    assert parse_config(dump_config(config)) == config


def test_a_class_without_condition_is_written_as_a_list():
    assert "AGN:\n    - AGN\n" in dump_config(parse_config(TEXT))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("where: detected(host)", "wher: x", "ex_XRB.wher: unknown key (did you mean 'where'?)"),
        ("labels: [LMXB, HMXB], where: not", "where: not", "gal_XRB.labels: missing key"),
        ("{labels: [LMXB, HMXB], where: detected(host)}", "7", "ex_XRB: must be a list [a, b]"),
        (", where: detected(host)", ", where: 3", "ex_XRB.where: must be text"),
        ("AGN: [AGN]", "AGN: [AGN, AGN]", "'AGN' is listed twice"),
        (
            "labels: [LMXB, HMXB], where: not detected(host)",
            "labels: ['']",
            "gal_XRB.labels[0]: an empty label",
        ),
        ("  groups", "  left_out: [HMXB]\n  groups", "'HMXB' is listed twice, first in classes."),
        ("[gal_XRB, ex_XRB]", "[gal_XRB, ex_XRBs]", "groups.XRB[1]: no such class: 'ex_XRBs'"),
        ("{XRB: [gal", "{AGN: [gal", "groups.AGN: is also the name of a class"),
        ("ex_XRB]}", "ex_XRB], B: [ex_XRB]}", "class 'ex_XRB' is listed twice, first in groups.X"),
        ("{XRB: [gal_XRB, ex_XRB]}", "{XRB: []}", "groups.XRB: a group needs at least one class"),
        ("{XRB: [gal", "{agn: [gal", "group 'agn' and 'AGN' both give a column p_agn"),
        ("{XRB: [gal", "{k_AGN: [gal", "group 'k_AGN' and 'AGN' both give a column p_k_AGN"),
        (
            "  groups",
            "  subclasses: {L: [LMXB]}\n  groups",
            "subclasses.L[0]: raw label 'LMXB' is of the classes 'gal_XRB', 'ex_XRB'; say which: "
            "L: {labels: [...], of: gal_XRB}",
        ),
        (
            "  groups",
            "  subclasses: {L: {labels: [LMXB], of: XRBs}}\n  groups",
            "subclasses.L.labels[0]: no such class: 'XRBs'",
        ),
        (
            "  groups",
            "  subclasses: {L: {labels: [LMXB], of: AGN}}\n  groups",
            "raw label 'LMXB' is of class gal_XRB, not of AGN",
        ),
    ],
)
def test_wrong_taxonomies_are_refused_at_their_place(old, new, says):
    assert old in TEXT
    with pytest.raises(InputError) as error:
        parse_config(TEXT.replace(old, new), "x.yaml")
    assert says in str(error.value) and "x.yaml:" in str(error.value)


def test_a_label_may_be_in_two_classes_only_with_a_condition():
    without = TEXT.replace(", where: not detected(host)", "").replace(", where: detected(host)", "")
    with pytest.raises(InputError, match=r"listed twice, first in classes\.gal_XRB"):
        parse_config(without)


def test_a_condition_by_set():
    config = parse_config(TEXT, overrides=["taxonomy.classes.ex_XRB.where=sep < 1"])
    assert config.taxonomy.conditions["ex_XRB"] == "sep < 1"


PRIOR = """
model:
  prior: {AGN: host_area, gal_XRB: 0, ex_XRB: sfr / 2}
  constant_prior: {AGN: 0.5, gal_XRB: 0.25, ex_XRB: 0.25}
"""


def test_a_prior_of_expressions():
    model = parse_config(TEXT + PRIOR).model
    assert model.expressions_of_prior == {"AGN": "host_area", "gal_XRB": 0, "ex_XRB": "sfr / 2"}
    plain = parse_config(TEXT + "model: {prior: {AGN: 0.5, gal_XRB: 0.2, ex_XRB: 0.3}}")
    assert plain.model.expressions_of_prior == {}
    assert parse_config(dump_config(parse_config(TEXT + PRIOR))).model == model


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("gal_XRB: 0", "gal_XRB: -1", "prior.gal_XRB: a number must be at least 0; found -1"),
        ("gal_XRB: 0", "gal: 0", "prior.gal: no such class"),
        ("gal_XRB: 0, ", "", "an expression for every class: none for 'gal_XRB'"),
        ("gal_XRB: 0", "gal_XRB: [1]", "a proportion must be a number or an expression"),
        ("AGN: 0.5, g", "AGN: 0.7, g", "constant_prior: proportions must sum to 1"),
        ("AGN: 0.5, g", "AGN: x, g", "constant_prior.AGN: a proportion must be a number; found"),
        ("host_area", "1", "x.yaml"),
    ],
)
def test_wrong_priors_are_refused(old, new, says):
    text = PRIOR.replace(old, new, 1)
    if old == "host_area":  # numbers only: then they are proportions, and there is no other prior
        text, says = text.replace("sfr / 2", "2"), "needs an expression in model.prior"
    with pytest.raises(InputError) as error:
        parse_config(TEXT + text, "x.yaml")
    assert says in str(error.value)
