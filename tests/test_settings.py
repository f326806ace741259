"""Console and receiver from the same code, on hosts of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, reverse

from dashboard.models.endpoints import door_url
from dashboard.urls import SERVED, console, doors, probes
from dashboard.views import observation_keys
from tests.views.test_endpoints import words_of

# A process with these settings answers one request, as gunicorn would have it answered.
ANSWER = """
import sys, django
django.setup()
from django.test import Client
path, host = sys.argv[1:]
response = Client(raise_request_exception=False).get(path, headers={"Host": host})
print(response.status_code, response["Content-Type"].partition(";")[0], response.get("Location", "-"))
"""


def answered(path: str, *, host: str = "localhost", **environ: str) -> str:
    """Return status, type and redirect of one GET of a process with this environment; no database is near."""
    environ = {"SECRET_KEY": "only-for-tests", "HTTPS": "0", "STATIC_ROOT": "/nonexistent", **environ}
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "dashboard.settings", **environ}
    command = [sys.executable, "-c", ANSWER, path, host]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    return done.stdout.strip()


def names(patterns: list[URLPattern]) -> set[str | None]:
    return {getattr(pattern, "name", None) for pattern in patterns}


def test_every_address_is_the_consoles_a_door_or_a_probe_and_served_accordingly() -> None:
    assert names(doors) == {"observations", "receiver"}
    assert names(probes) == {"healthz", "readyz", "metrics"}
    assert names(SERVED["receiver"]) == names(doors) | names(probes)
    assert names(SERVED["console"]) == names(console) | names(probes)
    assert names(SERVED["all"]) == names(console) | names(doors) | names(probes)


@pytest.mark.parametrize(
    ("serve", "path", "found"),
    [
        ("receiver", "/", "404 application/json -"),
        ("receiver", "/accounts/login/", "404 application/json -"),
        ("receiver", "/healthz", "200 application/json -"),
        ("receiver", "/hooks/!/", "404 application/json -"),
        ("console", "/hooks/!/", "404 text/html -"),
        ("console", "/api/v1/observations", "404 text/html -"),
        ("console", "/healthz", "200 application/json -"),
        ("console", "/installs/", "302 text/html /accounts/login/?next=/installs/"),
    ],
)
def test_process_serves_its_own_part_and_no_other(serve: str, path: str, found: str, tmp_path) -> None:
    environ = {"SERVE": serve}
    if serve == "console":  # its 404 is a page, which needs the static files' names
        environ |= {"STATIC_ROOT": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.plain_static_settings"}
    assert answered(path, **environ) == found


URLS = {"PUBLIC_URL": "https://console.example.com", "RECEIVER_URL": "https://hooks.example.com:8443"}


@pytest.mark.parametrize(
    ("serve", "host", "status"),
    [
        ("all", "console.example.com", "200"),
        ("all", "hooks.example.com:8443", "200"),
        ("all", "evil.example.com", "400"),
        ("all", "console.example.com.evil.example", "400"),
        ("all", "localhost", "200"),
        ("console", "console.example.com", "200"),
        ("console", "hooks.example.com", "400"),
        ("receiver", "hooks.example.com", "200"),
        ("receiver", "console.example.com", "400"),
    ],
)
def test_process_answers_to_its_own_host_names_only(serve: str, host: str, status: str) -> None:
    assert answered("/healthz", host=host, SERVE=serve, **URLS).partition(" ")[0] == status


def test_allowed_hosts_of_the_operator_win() -> None:
    environ = {"ALLOWED_HOSTS": "only.example.com", **URLS}
    assert answered("/healthz", host="only.example.com", **environ).startswith("200 ")
    assert answered("/healthz", host="console.example.com", **environ).startswith("400 ")


def test_door_is_where_the_url_map_has_it() -> None:
    assert door_url(receiver_key="abc") == settings.RECEIVER_URL + reverse("receiver", args=["abc"])
    assert observation_keys.address() == settings.RECEIVER_URL + reverse("observations")


def test_probes_are_not_sent_to_https_and_everything_else_is() -> None:
    environ = {"HTTPS": "1", "PUBLIC_URL": "https://localhost"}
    assert answered("/healthz", **environ) == "200 application/json -"
    assert answered("/installs/", **environ) == "301 text/html https://localhost/installs/"
    assert answered("/healthzz", **environ) == "301 text/html https://localhost/healthzz"


# --- Headers, as each of the parts sends them by itself over https ---------------------------------------------------

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
HEADERS = """
import sys, json, django
django.setup()
from django.test import Client
response = Client(raise_request_exception=False).get(sys.argv[1], headers={"Host": sys.argv[2]}, secure=True)
cookies = [morsel.OutputString() for morsel in response.cookies.values()]
print(json.dumps({"status": response.status_code, "headers": dict(response.headers), "cookies": cookies}))
"""


@pytest.mark.parametrize(
    ("serve", "path", "status"),
    [
        ("console", "/accounts/login/", 200),
        ("console", "/nothing/", 404),
        ("console", "/installs/", 302),
        ("all", "/accounts/login/", 200),
        ("receiver", "/healthz", 200),
        ("receiver", "/nothing/", 404),
        ("receiver", "/api/v1/observations", 405),
    ],
)
def test_part_protects_its_answers_by_itself(serve: str, path: str, status: int, tmp_path: Path) -> None:
    said = over_https(path, SERVE=serve, STATIC_ROOT=str(tmp_path))
    assert said["status"] == status
    assert {name: said["headers"].get(name) for name in PROTECTING} == PROTECTING
    assert set(said["headers"]["Content-Security-Policy"].split("; ")) == POLICY
    assert set(said["headers"]["Permissions-Policy"].split(", ")) >= OFF
    assert "Server" not in said["headers"]


def test_cookies_are_for_this_host_alone_and_https_and_same_site(tmp_path: Path) -> None:
    [cookie] = over_https("/accounts/login/", STATIC_ROOT=str(tmp_path))["cookies"]
    name, _, rest = cookie.partition("=")
    attributes = set(rest.split("; ")[1:])
    assert name == "__Host-csrftoken"
    assert attributes >= {"Path=/", "SameSite=Lax", "Secure"}
    assert not any(one.startswith("Domain") for one in attributes)


def over_https(path: str, **environ: str) -> Any:
    """Return what one GET over https is answered by a process with this environment; no database is near."""
    environ = {"SECRET_KEY": "only-for-tests", "HTTPS": "1", "PUBLIC_URL": "https://localhost", **environ}
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "tests.plain_static_settings", **environ}
    command = [sys.executable, "-c", HEADERS, path, "localhost"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_request_for_another_host_is_answered_in_words(db: None) -> None:
    response = Client(headers={"Host": "elsewhere.example.com"}).get("/")
    assert response.status_code == 400
    assert "This request makes no sense to Redeliver Nothing was done." in words_of(response.content.decode())
