"""Added to every request: an ID, security headers on the response, and a source for the audit."""

import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from dashboard import logs
from dashboard.auth import request_source
from dashboard.auth.request_source import NOWHERE, Source
from dashboard.middleware.request import permissions_policy, request_ids, sources

OURS = re.compile(r"[0-9a-f]{32}")


def asked(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.7")


def test_request_has_an_id_in_its_log_lines_and_its_answer_until_it_is_over() -> None:
    during: list[str] = []

    def view(_request: HttpRequest) -> HttpResponse:
        during.append(logs.request_id.get())
        return HttpResponse()

    response = request_ids(view)(asked())
    assert OURS.fullmatch(response["X-Request-ID"])
    assert during == [response["X-Request-ID"]] == [logs.request_id.get()]
    assert request_ids(view)(asked())["X-Request-ID"] != response["X-Request-ID"]


def test_id_is_forgotten_when_the_request_is_over(client: Client) -> None:
    assert OURS.fullmatch(client.get("/healthz")["X-Request-ID"])
    assert logs.request_id.get() == ""


@pytest.mark.parametrize(
    ("behind", "given", "taken"),
    [
        (True, "of-the-proxy.7_A", True),
        (True, "x" * 100, True),
        (True, "x" * 101, False),
        (True, "two\twords", False),
        (True, "", False),
        (False, "of-a-stranger", False),
    ],
)
def test_id_is_taken_from_our_proxy_alone_and_only_if_it_looks_like_one(
    settings: Any, behind: bool, given: str, taken: bool
) -> None:
    settings.TRUSTS_FORWARDED = behind
    response = request_ids(lambda _request: HttpResponse())(asked(**{"X-Request-ID": given}))
    assert (response["X-Request-ID"] == given) is taken
    assert taken or OURS.fullmatch(response["X-Request-ID"])


def test_browser_features_are_off_and_answers_are_for_our_own_pages() -> None:
    response = permissions_policy(lambda _request: HttpResponse())(asked())
    policy = response["Permissions-Policy"].split(", ")
    assert {"camera=()", "microphone=()", "geolocation=()", "payment=()"} <= set(policy)
    assert [one for one in policy if not one.endswith("=()") or "clipboard" in one] == []
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(("behind", "address"), [(True, "198.51.100.9"), (False, "192.0.2.7")])
def test_source_is_known_while_the_view_runs_and_no_longer(settings: Any, behind: bool, address: str) -> None:
    settings.TRUSTS_FORWARDED = behind
    during: list[Source] = []

    def view(_request: HttpRequest) -> HttpResponse:
        during.append(request_source.current.get())
        return HttpResponse()

    sources(view)(asked(**{"X-Forwarded-For": "203.0.113.1, 198.51.100.9", "User-Agent": "Browser/1"}))
    assert during == [Source(address, "Browser/1")]
    assert request_source.current.get() == NOWHERE


def test_source_is_forgotten_after_a_view_that_fails() -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sources(view)(asked())
    assert request_source.current.get() == NOWHERE
