"""The demo's handlers: they return 503 while broken, and only the token's owner can break them."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.demo.handler import DemoServer, Switches

TOKEN = "c4n4ry"


@pytest.fixture
def switches(tmp_path: Path) -> Switches:
    return Switches(tmp_path / "handler.json")


@pytest.fixture
def server(switches: Switches) -> Iterator[DemoServer]:
    with DemoServer(port=0, token=TOKEN, switches=switches) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: DemoServer, method: str, path: str, body: object = None, *, token: str = TOKEN) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, json.loads(read) if read else None


def test_switch_is_kept_in_its_file(switches: Switches) -> None:
    assert switches.is_broken("acme") is False
    switches.turn("acme", broken=True)
    switches.turn("beta", broken=True)
    switches.turn("beta", broken=False)
    again = Switches(switches.path)
    assert (again.is_broken("acme"), again.is_broken("beta")) == (True, False)
    assert [path.name for path in switches.path.parent.iterdir()] == ["handler.json"]


def test_handler_answers_503_while_it_is_broken_and_no_other_does(server: DemoServer) -> None:
    assert ask(server, "POST", "/acme/webhooks", {}) == (200, {"ok": True})
    assert ask(server, "PUT", "/control/acme", {"broken": True}) == (200, {"broken": True})
    assert ask(server, "GET", "/control/acme") == (200, {"broken": True})
    statuses = [ask(server, method, path, token="")[0] for method, path in (
        ("POST", "/acme/webhooks"), ("HEAD", "/acme/webhooks"), ("POST", "/beta/webhooks"), ("HEAD", "/beta/webhooks"),
    )]  # fmt: skip
    assert statuses == [503, 503, 200, 405]
    assert ask(server, "PUT", "/control/acme", {"broken": False}) == (200, {"broken": False})
    assert ask(server, "POST", "/acme/webhooks", {})[0] == 200


@pytest.mark.parametrize("token", ["", "another", TOKEN.upper(), TOKEN[:-1]])
def test_only_the_token_controls_a_handler(server: DemoServer, switches: Switches, token: str) -> None:
    assert ask(server, "PUT", "/control/acme", {"broken": True}, token=token)[0] == 401
    assert ask(server, "GET", "/control/acme", token=token)[0] == 401
    assert switches.is_broken("acme") is False


@pytest.mark.parametrize("broken", [1, "true", None, []])
def test_only_true_breaks_it(server: DemoServer, broken: object) -> None:
    assert ask(server, "PUT", "/control/acme", {"broken": broken}) == (200, {"broken": False})


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("POST", "/acme"), ("POST", "/acme/other"), ("HEAD", "/"), ("GET", "/acme")]
)
def test_there_is_nothing_elsewhere(server: DemoServer, method: str, path: str) -> None:
    assert ask(server, method, path)[0] == 404


def test_server_is_on_this_machine_alone(server: DemoServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
