"""Titles of tabs: each names what its page is of, so that tabs can be told apart."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from dashboard.models import Install
from dashboard.urls import console
from tests.factories import make_delivery, make_endpoint, make_run, make_user

OF_ENDPOINT, OF_INSTALL = "endpoints/<int:pk>/", ("installs/<int:pk>/", "installs/<int:install_pk>/")


def title_of(page: str) -> str:
    return unescape(" ".join(re.search(r"<title>(.*?)</title>", page, re.DOTALL)[1].split()))


def titles(client: Client, begin: str | tuple[str, ...], pk: int) -> Iterator[tuple[str, str]]:
    """Yield the path and the title of each page below an address."""
    for one in console:
        if isinstance(one, URLPattern) and one.pattern._route.startswith(begin) and len(one.pattern.converters) == 1:
            path = reverse(one.name, args=[pk])
            response = client.get(path)
            page = "" if response.status_code != 200 or response.streaming else response.content.decode()
            if "<title>" in page:
                yield path, title_of(page)


@pytest.mark.django_db
def test_tab_of_a_page_names_its_endpoint_or_install(acme: Install, client: Client) -> None:
    endpoint = make_endpoint(install=acme, name="Billing", handler_url="https://acme.example.com/hook")
    client.force_login(make_user(role="support_lead"))
    of_endpoint, of_install = (list(titles(client, *of)) for of in ((OF_ENDPOINT, endpoint.pk), (OF_INSTALL, acme.pk)))
    assert (len(of_endpoint) > 10, len(of_install) > 5) == (True, True)
    assert [one for one in of_endpoint if "Billing" not in one[1]] == []
    assert [one for one in of_install if "Acme Labs" not in one[1]] == []
    run, delivery = make_run(endpoint=endpoint), make_delivery(endpoint=endpoint, event_type="contract.ended")
    for path, named in ((f"/runs/{run.pk}/", f"Recovery {run.pk}"), (f"/deliveries/{delivery.pk}/", "contract.ended")):
        title = title_of(client.get(path).content.decode())
        assert (named in title, "Billing" in title) == (True, True), title
