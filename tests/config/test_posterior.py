"""The config keys `variant` and `posterior`: valid and invalid combinations."""

from pathlib import Path

import pytest

from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.errors import InputError

TEXT = """\
name: tiny
catalog: {id: name}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}}
features:
  flux: {expression: log10(flux), category: spectrum}
"""


def refusal(*overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_config(TEXT, overrides=overrides)
    return str(caught.value)


BAYES = ["variant=bayes", "model.weights=property"]


def test_defaults_and_overrides_of_the_posterior() -> None:
    assert parse_config(TEXT).variant == "point"
    config = parse_config(
        TEXT, overrides=[*BAYES, "posterior.method=laplace", "posterior.samples=20"]
    )
    sampled = config.posterior
    assert (config.variant, sampled.method, sampled.samples) == ("bayes", "laplace", 20)
    assert (sampled.chains, sampled.warmup, sampled.draws, sampled.densities) == (4, 500, 500, True)
    assert parse_config(dump_config(config)) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("variant=bayesian", "variant: must be 'point' or 'bayes'; found 'bayesian'"),
        ("posterior.methd=nuts", "posterior.methd: unknown key (did you mean 'method'?)"),
        ("posterior.method=hmc", "'nuts', 'svi' or 'laplace'; found 'hmc'"),
        ("posterior.chains=0", "posterior.chains: must be greater than or equal to 1; found 0"),
        ("posterior.draws=1.5", "posterior.draws: must be a whole number; found 1.5"),
        ("posterior.samples=5", "posterior.samples: must be greater than or equal to 20; found 5"),
        (
            "posterior.samples=9999",
            "posterior.samples: must be less than or equal to 2000; found 9999",
        ),
        ("posterior.densities=1", "posterior.densities: must be true or false; found 1"),
        ("model.objective=f1", "variant: bayes needs model.objective: log_loss; found f1"),
        (
            "model={weights: category, normalise: true}",
            "variant: bayes needs model.normalise: false",
        ),
        (
            "model={weights: none, offsets: false}",
            "variant: bayes needs something to learn: model.weights, or model.offsets: true",
        ),
        (
            "model.density=published",
            "posterior.densities: true needs model.density: smooth or clusters; found published; "
            "set it to false",
        ),
        ("model.density=published_clusters", "smooth or clusters; found published_clusters"),
    ],
)
def test_refuses_settings_that_exclude_a_posterior(override: str, message: str) -> None:
    assert message in refusal(*BAYES, override)


def test_settings_without_a_posterior_are_valid_for_variant_point() -> None:
    for override in ("model.objective=f1", "model.density=published"):
        parse_config(TEXT, overrides=["variant=point", override])
    without = ["model.density=published", "posterior.densities=false"]
    assert not parse_config(TEXT, overrides=[*BAYES, *without]).posterior.densities


def test_the_configs_of_the_repository_are_valid() -> None:
    configs = sorted(Path(__file__).parents[2].glob("configs/*.yaml"))
    variants = {path.stem: load_config(path).variant for path in configs}
    assert {name for name in variants if name.endswith("_bayes")} == {
        name for name, variant in variants.items() if variant == "bayes"
    }
    assert "chandra_sources_bayes" in variants
