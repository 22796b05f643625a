"""The section `counterparts` of the config of `xbayes enhance`."""

import pytest
from pydantic import ValidationError

from xbayes.config.counterparts import CounterpartsConfig
from xbayes.config.known_counterparts import KNOWN_COUNTERPARTS

SETTINGS = {"catalogues": ["gaia", "allwise"], "radius_arcsec": 5.0}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"catalogues": ["gia"]}, "did you mean 'gaia'"),
        ({"catalogues": [{"name": "own", "band": "optical"}]}, "its catalogue or file"),
        ({"catalogues": ["gaia", "gaia"]}, "there twice"),
        ({"catalogues": []}, "1 to 12 catalogues"),
        ({"catalogues": [{"name": "gaia", "priors": ["u"]}]}, "no magnitude 'u'"),
        ({"catalogues": [{"name": "gaia", "epoch": None}]}, "proper motion"),
        ({"catalogues": [{"name": "gaia", "log_flux": None}]}, "come in pairs"),
        ({"completeness": 1.5}, "between 0 and 1"),
        ({"shift_arcsec": 14.0}, "at least 3 times"),
        ({"error_angle": "pa"}, "needs error_minor"),
        ({"false_match_rate": 0.0}, "greater than 0"),
    ],
)
def test_a_wrong_config_is_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        CounterpartsConfig(**{**SETTINGS, **settings})


def test_a_known_catalogue_can_be_changed():
    config = CounterpartsConfig(catalogues=["gaia", {"name": "allwise", "priors": ["w1"]}])
    assert config.catalogues[1].priors == ("w1",)
    assert config.catalogues[1].catalogue == "II/328/allwise"
    assert CounterpartsConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_known_catalogue_stands_by_its_name():
    config = CounterpartsConfig(catalogues=[*KNOWN_COUNTERPARTS])
    assert [c.name for c in config.catalogues] == [*KNOWN_COUNTERPARTS]
    assert all(c.catalogue and c.priors and c.epoch for c in config.catalogues)
    local = CounterpartsConfig(catalogues=[{"name": "gaia", "file": "gaia.fits"}]).catalogues[0]
    assert local.catalogue is None and local.distances is None and local.pm_ra
