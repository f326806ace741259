"""What the console believes of a client that comes through the front: what the connection says, or a trusted proxy."""

import http.client
import re
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlencode

import pytest

from dashboard.models import AuditEntry
from tests.factories import make_user
from tests.faults.serving import PATIENCE_S, Site

pytestmark = pytest.mark.slow

SAID = {
    "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=198.51.100.1;host=evil.example;proto=https",
    "X-Real-IP": "198.51.100.1",
    "X-Request-ID": "of-the-client",
    "Connection": "keep-alive, X-Forwarded-For, X-Forwarded-Proto",
}


def sign_in_wrongly(port: int, *, host: str) -> str:
    """Fail to sign in as ana, saying everything that a proxy could say; return the ID of the request."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as console:
        console.request("GET", "/accounts/login/", headers={"Host": host})
        shown = console.getresponse()
        cookie = str(shown.getheader("Set-Cookie")).partition(";")[0]
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown.read().decode())
        assert found is not None
        form = {"login": "ana", "password": "wrong", "csrfmiddlewaretoken": found[1]}
        given = {"Host": host, "Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded", **SAID}
        console.request("POST", "/accounts/login/", urlencode(form), given)
        answered = console.getresponse()
        assert answered.status == 200, answered.read()
        assert b"evil.example" not in answered.read()
        return str(answered.getheader("X-Request-ID"))


@pytest.mark.xdist_group("faults")
def test_client_cannot_speak_for_a_proxy_through_the_front(make_server: Callable[..., Site]) -> None:
    server = make_server(HTTPS="0")
    make_user(username="ana", password="a-long-password")
    asked = sign_in_wrongly(server.port, host=f"127.0.0.1:{server.port}")
    assert AuditEntry.objects.get().address == "127.0.0.1"
    assert re.fullmatch(r"[0-9a-f]{32}", asked)


@pytest.mark.xdist_group("faults")
def test_trusted_proxys_word_reaches_the_console_through_the_front(make_server: Callable[..., Site]) -> None:
    server = make_server(HTTPS="1", BEHIND_PROXY="1", PUBLIC_URL="https://localhost")
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)) as console:
        console.request("GET", "/accounts/login/")
        plain = console.getresponse()
        assert (plain.status, plain.getheader("Location")) == (
            301, f"https://127.0.0.1:{server.port}/accounts/login/",
        )  # fmt: skip
        plain.read()
        console.request("GET", "/accounts/login/", headers=SAID)
        secure = console.getresponse()
        assert (secure.status, secure.getheader("X-Request-ID")) == (200, "of-the-client")
        assert "max-age" in str(secure.getheader("Strict-Transport-Security"))
        secure.read()
