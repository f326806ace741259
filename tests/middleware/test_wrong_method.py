"""Opening a URL that is not a page shows an explanation, never an empty page."""

from django.urls import reverse

from dashboard.models import Endpoint
from tests.views.conftest import Browser
from tests.views.test_endpoints import words_of

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_address_of_a_button_opened_as_a_page_says_so(ana: Browser, endpoint: Endpoint) -> None:
    response = ana.client.get(reverse("endpoint-enable", args=[endpoint.pk]), headers={"Accept": PAGE})
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "This page can't be opened directly Nothing changed." in words_of(response.content.decode())


def test_wrong_method_of_a_program_is_answered_as_by_django(ana: Browser, endpoint: Endpoint) -> None:
    response = ana.client.get(reverse("endpoint-enable", args=[endpoint.pk]), headers={"Accept": "*/*"})
    assert (response.status_code, response.content) == (405, b"")
