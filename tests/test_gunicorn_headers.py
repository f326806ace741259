"""Headers of proxies at the running servers: believed only when the operator asked for it, and probes for any host."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dashboard.launch.processes import end_with_owner
from dashboard.launch.site import gunicorn

pytestmark = pytest.mark.slow

PATIENCE_S = 60
CONSOLE = ("dashboard.wsgi:application", {"DATABASE_URL": "postgresql://nobody@localhost:9/none"})
PARTNER_API = (
    "dashboard.partner_api.wsgi:application",
    {"PARTNER_API_DATABASE_URL": "postgresql://nobody@localhost:9/none"},
)
BELIEVED_BY_DEFAULT = [
    "X-Forwarded-Proto: https", "X-Forwarded-Protocol: ssl", "X-Forwarded-Ssl: on", "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 443", "Forwarded: proto=https;host=evil.example", "Front-End-Https: on", "X-Scheme: https",
    "X-Url-Scheme: https", "SCRIPT_NAME: /evil", "Script-Name: /evil", "PATH_INFO: /evil", "Path-Info: /evil",
    "X-Script-Name: /evil", "X-Forwarded-Prefix: /evil", "X-Original-Url: /evil", "X-Rewrite-Url: /evil",
    "REMOTE_ADDR: 203.0.113.9", "wsgi.url_scheme: https", "X-HTTP-Method-Override: DELETE",
]  # fmt: skip


class Server:
    """gunicorn on a TCP port and on a Unix socket, with this project's configuration and no database."""

    def __init__(self, *, port: int, path: Path) -> None:
        self.peers: Sequence[tuple[int, object]] = (
            (socket.AF_INET, ("127.0.0.1", port)),
            (socket.AF_UNIX, str(path)),
        )

    def say(
        self, path: str, *headers: str, host: str = "localhost", peer: int = 0, method: str = "GET"
    ) -> tuple[int, str]:
        """Send one request; return the answer's status, and its headers and body without what differs each time."""
        family, address = self.peers[peer]
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        with socket.socket(family) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(address)  # type: ignore[arg-type]  # of its family
            sock.sendall("\r\n".join(lines).encode())
            heard = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        same = re.sub(r"(?m)^(Date|Expires|X-Request-I[Dd]): .*$|[0-9a-f]{8}-[0-9a-f-]{27}|value=\"\w{64}\"", "", heard)
        return int(heard.split(" ", 2)[1]), re.sub(r"csrftoken=\w+|expires=[^;]*|data-now=\"\d+\"", "", same)


@contextlib.contextmanager
def serving(folder: Path, *, application: str, **variables: str) -> Iterator[Server]:
    path, static = folder / "socket", folder / "static"
    static.mkdir(exist_ok=True)
    environment = os.environ | {
        "SECRET_KEY": "only-for-tests", "HTTPS": "0", "ALLOWED_HOSTS": "localhost", "WEB_WORKERS": "1",
        "DJANGO_SETTINGS_MODULE": "tests.plain_static_settings", "STATIC_ROOT": str(static), **variables,
    }  # fmt: skip
    command = gunicorn(application=application, bind="127.0.0.1:0", threads=4)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--bind", f"unix:{path}"], env=environment, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=end_with_owner,  # noqa: PLW1509 - it only asks the kernel for a signal
        )  # fmt: skip
    try:
        yield Server(port=_port(process, log=log), path=path)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)


def _port(process: "subprocess.Popen[bytes]", *, log: Path) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module", params=[CONSOLE, PARTNER_API], ids=["console", "partner-api"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    application, variables = request.param
    with serving(tmp_path_factory.mktemp("server"), application=application, **variables) as running:
        yield running


@pytest.mark.parametrize("peer", [0, 1], ids=["tcp", "unix"])
@pytest.mark.parametrize(
    "path", ["/healthz", "/api/partner/v1/openapi.json", "/accounts/login", "/nothing/", "/hooks/"]
)
def test_header_of_a_proxy_that_nobody_asked_for_changes_nothing(server: Server, path: str, peer: int) -> None:
    plain = server.say(path, peer=peer)
    assert plain[0] < 500
    differing = {
        header: said for header in BELIEVED_BY_DEFAULT if (said := server.say(path, header, peer=peer)) != plain
    }
    assert differing == {}
    assert server.say(path, *BELIEVED_BY_DEFAULT, peer=peer) == plain


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "path",
    [
        "/hooks/a", "//hooks/a/", "/hooks//a/", "/hooks/a//", "///hooks/a", "/hooks", "//hooks", "/hooks/a/b",
        "/hooks/%2Fa", "http://localhost//hooks/a", "/api/v1/observations/", "//api/v1/observations",
        "/api//v1/observations//", "/api/v1", "/api/partner/v1/webhook-endpoints/",
        "//api/partner/v1/webhook-endpoints", "/api/partner/v1/webhook-endpoints//", "/api/partner/v1",
        "/api/partner/v1/", "/api/partner/v1/openapi.json/",
    ],
)  # fmt: skip
def test_address_of_programs_is_answered_with_json_whatever_its_slashes(server: Server, path: str, method: str) -> None:
    status, said = server.say(path, "Accept: text/html", "Content-Length: 0", method=method)
    assert status not in {301, 302, 307, 308}
    assert "\r\nContent-Type: application/json" in said


@pytest.mark.parametrize("host", ["10.42.0.17:8000", "[fd00::17]", "pod.internal", "not a host"])
def test_probes_answer_to_any_host(server: Server, host: str) -> None:
    status, said = server.say("/healthz", host=host)
    assert (status, '{"ok": true}' in said) == (200, True)
    status, said = server.say("/readyz", host=host)
    assert (status, "the database does not answer" in said) == (503, True)


def test_scheme_is_the_proxys_word_when_asked_for_and_nothing_else_is(tmp_path: Path) -> None:
    application, variables = CONSOLE
    with serving(tmp_path, application=application, **variables | {"HTTPS": "1", "BEHIND_PROXY": "1"}) as server:
        plain = server.say("/accounts/login")
        assert (plain[0], "Location: https://localhost/accounts/login" in plain[1]) == (301, True)
        secure = server.say("/accounts/login", "X-Forwarded-Proto: https")
        assert (secure[0], "Location: /accounts/login/" in secure[1]) == (301, True)
        others = [header for header in BELIEVED_BY_DEFAULT if header != "X-Forwarded-Proto: https"]
        assert server.say("/accounts/login", *others) == plain
        assert server.say("/healthz", host="10.42.0.17")[0] == 200


def test_configuration_says_so_to_gunicorn() -> None:
    command = gunicorn(application="dashboard.partner_api.wsgi:application", bind="127.0.0.1:0", threads=1)
    told = subprocess.run(
        [*command, "--print-config"], env=os.environ | PARTNER_API[1] | {"FORWARDED_ALLOW_IPS": "*"},
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    ).stdout  # fmt: skip
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    chosen = {name.strip(): value.strip() for name, value in found.items()}
    assert (chosen["forwarded_allow_ips"], chosen["forwarder_headers"]) == ("[]", "[]")
    assert (chosen["secure_scheme_headers"], chosen["header_map"]) == ("{}", "drop")
