"""No page is stored; polled parts are revalidated; responses to OpenTrain carry only what the handler sent."""

import pytest
from django.test import Client

from dashboard.models import User
from tests.attacks.test_requests import read
from tests.attacks.walking import addresses
from tests.factories import make_endpoint

POLLED = "private, no-cache"


@pytest.mark.parametrize("signed_in", [True, False])
def test_no_page_is_stored_and_polled_parts_are_revalidated(support: User, client: Client, signed_in: bool) -> None:
    endpoint = make_endpoint()
    if signed_in:
        client.force_login(support)
    found = {}
    for one in addresses(endpoint=endpoint):
        response = client.get(one.path)
        read(response)  # a download keeps its connection until it is read
        found[one.name] = response["Cache-Control"]
        if "ETag" in response:
            assert found.pop(one.name) == POLLED, one.name
    assert {name for name, said in found.items() if "no-store" not in said} == set()
    assert found["home"] == "private, no-store"
    assert ("endpoint-live" in found) is not signed_in


def test_pages_that_say_no_are_not_stored_either(support: User, client: Client) -> None:
    client.force_login(support)
    assert client.get("/no/such/page/")["Cache-Control"] == "private, no-store"
    assert client.get("/endpoints/999999/")["Cache-Control"] == "private, no-store"
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/accounts/login/")["Cache-Control"] == "private, no-store"
    assert client.get("/api/v1/nothing")["Cache-Control"] == "private, no-store"
