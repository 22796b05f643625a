"""The services and names of the shipped configs, on the network: pytest --remote-data=any."""

import pytest

from xbayes.config.enhance_reader import enhance_config_of
from xbayes.enhance.hosts import columns_of_table
from xbayes.enhance.identifications import tables_with_positions
from xbayes.enhance.services import Services

pytestmark = pytest.mark.remote_data
CONFIGS = {name: enhance_config_of(name) for name in ("xmm", "chandra")}
REFERENCES = {
    reference.catalogue
    for config in CONFIGS.values()
    for reference in config.identifications.references.values()
}
SURVEYS = {
    survey.moc
    for config in CONFIGS.values()
    for survey in (*config.coverage.surveys.values(), *config.variability.limits.values())
} - {"allsky", None}
TABLES = {
    given.catalogue: given
    for config in CONFIGS.values()
    for given in config.variability.catalogues.values()
}


@pytest.fixture
def archives(tmp_path):
    return Services(cache=tmp_path)


@pytest.mark.parametrize("catalogue", sorted(REFERENCES))
def test_references_have_tables_with_positions(archives, catalogue):
    assert tables_with_positions(catalogue, "key", archives)


@pytest.mark.parametrize("survey", sorted(SURVEYS))
def test_the_moc_server_has_the_surveys(archives, survey):
    assert len(archives.moc(survey))


@pytest.mark.parametrize("table", sorted(TABLES))
def test_vizier_has_the_columns_of_other_missions(archives, table):
    has, given = set(columns_of_table(table, archives)), TABLES[table]
    for field in ("ra", "dec", "error", "id", "flux", "flux_error", "flux_low", "flux_error_low"):
        names = getattr(given, field)
        assert names is None or set(names) & has, (field, sorted(has))


def test_vizier_has_the_columns_of_galaxies(archives):
    hosts = CONFIGS["xmm"].hosts
    has = set(columns_of_table(hosts.catalogue, archives))
    for field in ("name", "ra", "dec", "semi_major", "semi_minor", "position_angle", "distance"):
        assert set(getattr(hosts, field)) & has, (field, sorted(has))
