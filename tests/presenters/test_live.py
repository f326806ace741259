"""The polled part of a page: 304 while it is unchanged."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from dashboard.presenters import live as module
from dashboard.presenters.live import live

PART = '<b>{}</b><time data-ago>{}</time><input name="csrfmiddlewaretoken" value="{}">'


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    def ask(*, state: str = "Failing", ago: str = "1 s ago", csrf: str = "a", **headers: str) -> Any:
        monkeypatch.setattr(module, "render", lambda *_arguments: HttpResponse(PART.format(state, ago, csrf)))
        return live(RequestFactory().get("/", headers=headers), template="part.html", context={})

    return ask


def test_part_is_sent_with_its_etag_and_kept_by_the_browser_alone(ask: Any) -> None:
    response = ask()
    assert (response.status_code, b"Failing" in response.content) == (200, True)
    assert response["Cache-Control"] == "private, no-cache"
    assert response["ETag"].startswith('"')


@pytest.mark.parametrize("same", [{}, {"ago": "2 min ago"}, {"csrf": "b"}])
def test_part_that_says_the_same_is_304(ask: Any, same: dict[str, str]) -> None:
    response = ask(**same, **{"If-None-Match": ask()["ETag"]})
    assert (response.status_code, response.content) == (304, b"")


def test_part_that_says_something_else_is_sent(ask: Any) -> None:
    response = ask(state="Active", **{"If-None-Match": ask()["ETag"]})
    assert (response.status_code, b"Active" in response.content) == (200, True)


def test_condition_that_cannot_be_met_is_answered() -> None:
    request = RequestFactory().get("/", headers={"If-Match": '"another"'})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "render", lambda *_arguments: HttpResponse("x"))
        assert live(request, template="part.html", context={}).status_code == 412
