"""No question that the description of the JSON interface allows makes the server fail."""

import pytest

from tests.app.clients import program_of

pytestmark = pytest.mark.slow
schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = 25  # of each operation


def test_nothing_that_the_description_allows_fails(site):
    from hypothesis import HealthCheck, given, seed, settings

    client = program_of(site)
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 8
    for operation in operations:
        if operation.path.startswith("/tap"):
            continue  # TAP has its own fuzzing

        @seed(1)
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case):
            options = case.as_transport_kwargs(base_url="http://testserver")
            options.pop("cookies", None)  # the interface reads none
            answer = client.request(**options)
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)

        ask()
