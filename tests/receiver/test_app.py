"""What the receiver's process answers itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from dashboard.receiver.front import Front
from tests.receiver.serving import Console, Serving, heard, receiving
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


@pytest.mark.parametrize("path", ["/hooks/a", "//hooks/a/", "/hooks/a//?x=1", "/hooks/%61/"])
def test_delivery_is_taken_whatever_the_slashes(alone: Serving, path: str) -> None:
    assert asked(alone, path)[2] == b'{"key": "a"}'


@pytest.mark.parametrize("target", ["http://localhost/hooks/a/", "HTTPS://any.example:81/hooks/a?x"])
def test_delivery_is_taken_for_an_absolute_target(alone: Serving, target: str) -> None:
    assert asked(alone, target)[2] == b'{"key": "a"}'


@pytest.mark.parametrize("target", ["ftp://localhost/hooks/a/", "http://user@localhost/hooks/a/", "*"])
def test_target_that_no_server_takes_is_refused(alone: Serving, target: str) -> None:
    status, headers, body = asked(alone, target)
    assert (status, headers["connection"], body) == (400, "close", b'{"error": "Bad request."}')


@pytest.mark.parametrize("path", ["/hooks/a/", "/healthz", "/hooks/a/b", "/installs/", "/api/v1/observations/"])
def test_any_host_is_answered_and_gets_into_no_answer_and_no_log(
    alone: Serving, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sent = f"GET {path} HTTP/1.1\r\nHost: strange.example\r\nConnection: close\r\n\r\n".encode()
    answer = alone.say(sent)
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
    assert b"strange" not in answer
    assert "strange" not in caplog.text


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/a/b", "/api", "/api/v1/observation"])
def test_address_of_no_program_is_a_404_of_json_with_a_console_too(path: str) -> None:
    with receiving(console=Path("/nowhere")) as site:
        status, _, body = asked(site, path)
    assert (status, body) == (404, b'{"error": "Not found."}')


def test_console_tells_whether_it_is_ready_through_the_front(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    with console.up(), receiving(console=console.path) as site:
        assert asked(site, "/readyz/console")[0] == 200
    assert console.asked[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_each_answer_of_a_receiver_that_ends_is_the_last_of_its_connection(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    with console.up(), receiving(console=console.path) as site:
        site.server.request_handler.is_draining = True
        for path in ("/healthz", "/hooks/a/", "/installs/"):
            with site.connect() as one:
                one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                status, headers, _ = split(heard(one))
            assert (status, headers["connection"]) == (200, "close"), path


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
