"""What the receiver's process answers itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from dashboard.receiver.front import Front
from tests.receiver.serving import Serving, receiving
from tests.receiver.test_front import split


@pytest.fixture
def alone() -> Iterator[Serving]:
    """A receiver without a console behind it."""
    with receiving() as running:
        yield running


def asked(site: Serving, path: str) -> tuple[int, dict[str, str], bytes]:
    return split(site.say(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()))


def test_healthz_needs_nothing(alone: Serving) -> None:
    status, headers, body = asked(alone, "/healthz")
    assert (status, body) == (200, b'{"ok": true}')
    assert (headers["server"], headers["x-content-type-options"]) == ("redeliver", "nosniff")


def test_receiver_that_stands_alone_has_no_pages(alone: Serving) -> None:
    status, headers, body = asked(alone, "/accounts/login/")
    assert (status, headers["content-type"]) == (404, "application/json; charset=utf-8")
    assert body == b'{"error": "Not found."}'


def test_failure_of_ours_is_logged_with_its_request_and_without_its_path(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> web.StreamResponse:
        raise RuntimeError("broken")

    monkeypatch.setattr(Front, "pass_on", fail)
    with receiving(console=Path("/nowhere")) as site:
        status, headers, body = asked(site, "/installs/the-path/")
    assert (status, body) == (
        500, b'{"error": "Redeliver failed. The error is in its log. Try again later."}',
    )  # fmt: skip
    assert headers["x-request-id"]
    assert "RuntimeError: broken" in caplog.text
    assert "the-path" not in caplog.text
