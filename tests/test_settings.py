"""The console and the receiver, run from the same code on separate hosts."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
from django.conf import settings
from django.test import Client

from dashboard.models.endpoints import receiver_url
from dashboard.rules.site_paths import is_observations, receiver_key
from dashboard.views import observation_keys
from tests.views.test_endpoints import words_of

pytestmark = pytest.mark.slow

Ask = Callable[..., dict[str, Any]]

# A process with these settings: it reads one request a line and answers each as it would under gunicorn.
ANSWER = """
import json, sys, django
django.setup()
from django.test import Client
for line in sys.stdin:
    path, host, secure = json.loads(line)
    response = Client(raise_request_exception=False).get(path, headers={"Host": host}, secure=secure)
    cookies = [morsel.OutputString() for morsel in response.cookies.values()]
    answer = {"status": response.status_code, "headers": dict(response.headers), "cookies": cookies}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Send one GET to a process with this environment, shared by equal environments. It has no database."""
    collected = str(tmp_path_factory.mktemp("static"))
    defaults = {"SECRET_KEY": "only-for-tests", "HTTPS": "0", "STATIC_ROOT": collected}
    defaults |= {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    command, pipe = [sys.executable, "-c", ANSWER], subprocess.PIPE
    with contextlib.ExitStack() as stack:

        @functools.cache
        def process(given: frozenset[tuple[str, str]]) -> "tuple[subprocess.Popen[str], IO[str]]":
            environ = defaults | dict(given)
            log = stack.enter_context(tempfile.TemporaryFile("w+"))  # a pipe that nobody reads would fill up
            started = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=log, text=True)
            stack.enter_context(started)
            stack.callback(started.kill)
            return started, log

        def ask(path: str, *, host: str = "localhost", secure: bool = False, **environ: str) -> dict[str, Any]:
            asked, log = process(frozenset(environ.items()))
            asked.stdin.write(json.dumps([path, host, secure]) + "\n")
            asked.stdin.flush()
            said = asked.stdout.readline()
            assert said, (log.seek(0), log.read())
            answer: dict[str, Any] = json.loads(said)
            return answer

        yield ask


def words(answer: dict[str, Any]) -> str:
    """Return an answer's status, content type and redirect."""
    headers = answer["headers"]
    return f"{answer['status']} {headers['Content-Type'].partition(';')[0]} {headers.get('Location', '-')}"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/hooks/!/", "404 application/json -"),
        ("/api/v1/observations", "404 application/json -"),
        ("/nothing/", "404 text/html -"),
        ("/healthz", "200 application/json -"),
        ("/installs/", "302 text/html /accounts/login/?next=/installs/"),
    ],
)
def test_console_serves_pages_and_nothing_of_the_receiver(path: str, found: str, ask: Ask) -> None:
    # Its 404 is a page, which needs the names of the static files.
    assert words(ask(path, DJANGO_SETTINGS_MODULE="tests.plain_static_settings")) == found


URLS = {"PUBLIC_URL": "https://console.example.com", "RECEIVER_URL": "https://hooks.example.com:8443"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("console.example.com", "401"),
        ("localhost", "401"),
        ("hooks.example.com", "400"),
        ("evil.example.com", "400"),
        ("console.example.com.evil.example", "400"),
    ],
)
def test_console_answers_to_its_own_host_names_only(host: str, status: str, ask: Ask) -> None:
    answer = ask("/metrics", host=host, METRICS_TOKEN="a-token", **URLS)
    assert str(answer["status"]) == status


def test_console_answers_its_probes_for_any_host_without_a_redirect(ask: Ask) -> None:
    answer = ask("/healthz", host="10.42.0.17:8000", HTTPS="1", **URLS)
    assert words(answer) == "200 application/json -"


def test_allowed_hosts_of_the_operator_win(ask: Ask) -> None:
    # The 400 is a page, which needs the names of the static files.
    environ = {"ALLOWED_HOSTS": "only.example.com", "DJANGO_SETTINGS_MODULE": "tests.plain_static_settings", **URLS}
    assert ask("/accounts/login", host="only.example.com", **environ)["status"] == 301
    assert ask("/accounts/login", host="console.example.com", **environ)["status"] == 400


def test_doors_are_where_the_receiver_has_them() -> None:
    assert receiver_key(receiver_url(receiver_key="abc").removeprefix(settings.RECEIVER_URL)) == "abc"
    path = observation_keys.address().removeprefix(settings.RECEIVER_URL)
    assert is_observations(path)


def test_probes_are_not_sent_to_https_and_everything_else_is(ask: Ask) -> None:
    environ = {"HTTPS": "1", "PUBLIC_URL": "https://localhost"}
    assert words(ask("/healthz", **environ)) == "200 application/json -"
    assert words(ask("/installs/", **environ)) == "301 text/html https://localhost/installs/"
    assert words(ask("/healthzz", **environ)) == "301 text/html https://localhost/healthzz"


# --- Headers that each part sends over https without a proxy ----------------------------------------------------------

PROTECTING = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
    "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
}  # fmt: skip
OFF = {"camera=()", "geolocation=()", "microphone=()", "payment=()", "usb=()", "display-capture=()"}
OVER_HTTPS = {
    "HTTPS": "1", "PUBLIC_URL": "https://localhost", "DJANGO_SETTINGS_MODULE": "tests.plain_static_settings",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status"),
    [("/accounts/login/", 200), ("/nothing/", 404), ("/installs/", 302), ("/healthz", 200), ("/hooks/!/", 404)],
)
def test_console_protects_its_answers_by_itself(path: str, status: int, ask: Ask) -> None:
    said = ask(path, secure=True, **OVER_HTTPS)
    assert said["status"] == status
    assert {name: said["headers"].get(name) for name in PROTECTING} == PROTECTING
    assert set(said["headers"]["Content-Security-Policy"].split("; ")) == POLICY
    assert set(said["headers"]["Permissions-Policy"].split(", ")) >= OFF
    assert "Server" not in said["headers"]


def test_cookies_are_for_this_host_alone_and_https_and_same_site(ask: Ask) -> None:
    [cookie] = ask("/accounts/login/", secure=True, **OVER_HTTPS)["cookies"]
    name, _, rest = cookie.partition("=")
    attributes = set(rest.split("; ")[1:])
    assert name == "__Host-csrftoken"
    assert attributes >= {"Path=/", "SameSite=Lax", "Secure"}
    assert not any(one.startswith("Domain") for one in attributes)


def test_request_for_another_host_is_answered_in_words(db: None) -> None:
    response = Client(headers={"Host": "elsewhere.example.com"}).get("/")
    assert response.status_code == 400
    assert "Redeliver couldn't understand this request Nothing changed." in words_of(response.content.decode())
