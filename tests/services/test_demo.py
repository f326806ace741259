"""The switch of the demo's handlers, tested with the demo's own server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.demo.handler import DemoServer, Switches
from dashboard.services import demo
from dashboard.services.demo import DemoHandlerFailed
from tests.services import misbehaving as bad
from tests.services.misbehaving import misbehaving


@pytest.fixture
def handler_url(tmp_path: Path, settings: Any) -> Iterator[str]:
    settings.DEMO_HANDLER_TOKEN = "c4n4ry"
    with DemoServer(port=0, token="c4n4ry", switches=Switches(tmp_path / "handler.json")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.DEMO_HANDLER_URL = f"http://127.0.0.1:{server.server_address[1]}"
        yield f"{settings.DEMO_HANDLER_URL}/acme/webhooks"
        server.shutdown()
        thread.join()


def test_handler_is_broken_and_repaired_and_says_so(handler_url: str) -> None:
    found = [demo.is_broken(handler_url=handler_url)]
    for broken in (True, False):
        demo.set_broken(handler_url=handler_url, broken=broken)
        found.append(demo.is_broken(handler_url=handler_url))
    assert found == [False, True, False]


def test_wrong_token_is_a_failure_and_not_an_answer(handler_url: str, settings: Any) -> None:
    settings.DEMO_HANDLER_TOKEN = "another"
    assert demo.is_broken(handler_url=handler_url) is None
    with pytest.raises(DemoHandlerFailed, match="401"):
        demo.set_broken(handler_url=handler_url, broken=True)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (bad.answer(200, b"{}"), "200"),
        (bad.answer(200, b"not JSON"), "200"),
        (bad.answer(200, b"[]"), "200"),
        (bad.hanging_up, "did not answer"),
    ],
)
def test_answer_that_says_nothing_is_a_failure(behaviour: Any, words: str, settings: Any) -> None:
    with misbehaving(behaviour, behaviour) as server:
        settings.DEMO_HANDLER_URL = server.url
        with pytest.raises(DemoHandlerFailed, match=words):
            demo.set_broken(handler_url=f"{server.url}/acme/webhooks", broken=True)
        assert demo.is_broken(handler_url=f"{server.url}/acme/webhooks") is None


@pytest.mark.parametrize(
    ("root", "handler_url", "controlled"),
    [
        ("http://localhost:9001", "http://localhost:9001/acme/webhooks", True),
        ("http://localhost:9001", "http://localhost:9001", False),
        ("http://localhost:9001", "http://localhost:90012/acme/webhooks", False),
        ("http://localhost:9001", "http://localhost:9001.evil.example.com/x", False),
        ("http://localhost:9001", "", False),
        ("", "/acme/webhooks", False),
        ("", "", False),
    ],
)
def test_only_the_demos_own_handlers_are_controlled(
    settings: Any, root: str, handler_url: str, controlled: bool
) -> None:
    settings.DEMO_HANDLER_URL = root
    assert demo.controls(handler_url=handler_url) is controlled


@pytest.mark.parametrize(
    "said",
    [b"", b"[]", b"{}", b'{"broken": ', b"[" * 201 + b"]" * 201, b"9" * 641],
    ids=["empty", "list", "without it", "cut", "deep", "long number"],
)
def test_handler_that_says_nothing_usable_is_not_known_to_be_broken(said: bytes, settings: Any) -> None:
    with misbehaving(bad.answer(200, said)) as server:
        settings.DEMO_HANDLER_URL = server.url
        assert demo.is_broken(handler_url=f"{server.url}/acme/webhooks") is None
        assert server.requests[0].target == "/control/acme"


def test_handler_that_says_whether_it_is_broken_is_believed(settings: Any) -> None:
    with misbehaving(bad.answer(200, b'{"broken": true}'), bad.answer(200, b'{"broken": false}')) as server:
        settings.DEMO_HANDLER_URL = server.url
        assert demo.is_broken(handler_url=f"{server.url}/acme/webhooks") is True
        assert demo.is_broken(handler_url=f"{server.url}/acme/webhooks") is False
