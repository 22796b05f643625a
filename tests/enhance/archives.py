"""Fixtures of the local archives. Every worker imports this file, so its imports are inside."""

import pytest


@pytest.fixture
def archive(monkeypatch):
    """A local server of VizieR, SIMBAD, CSC, the cross-match and Sesame over small tables."""
    from tests.enhance.server.archive import Archive, serving
    from tests.enhance.server.small_tables import small_archive

    monkeypatch.setattr("xbayes.enhance.retries.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("xbayes.enhance.clients.FIRST_POLL_S", 0.01)
    with serving(Archive(**small_archive())) as running:
        yield running


@pytest.fixture
def services(archive, tmp_path):
    """Services that ask the local server."""
    from xbayes.enhance.services import Services

    def make(**options):
        options = {"cache": tmp_path / "answers", "timeout": 10.0, "retries": 3, **options}
        return Services(endpoints=archive.endpoints, **options)

    return make
