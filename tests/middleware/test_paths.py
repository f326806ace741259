"""Probes for any host, and addresses of programs with missing or extra slashes."""

import json
from typing import Any

import pytest
from django.test import Client

STRANGE_HOSTS = ["10.42.0.17:8000", "[fd00::17]:8000", "pod.internal", "a b", "_", ""]


def ask(client: Client, method: str, path: str, **options: Any) -> Any:
    """Send a request for exactly this path: Django's client takes what follows two slashes for a host."""
    return client.generic(method, "/", content_type="application/json", PATH_INFO=path, **options)


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_probes_answer_to_any_host_without_a_redirect(host: str, client: Client, db: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["redeliver.example.com"], True
    assert client.get("/healthz", headers={"Host": host}).json() == {"ok": True}
    ready = client.get("/readyz", headers={"Host": host})
    assert (ready.status_code in {200, 503}, "checks" in ready.json()) == (True, True)
    assert client.head("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE_HOSTS)
@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/accounts/login/", "/healthz/", "/hooks/none/", "/api/v1/observation"]
)
def test_other_addresses_answer_to_our_hosts_only(
    host: str, path: str, client: Client, db: None, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["redeliver.example.com"]
    assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    ["/hooks", "/hooks/", "//hooks//", "/hooks/a/b/", "/hooks/a/b", "/hooks/../a", "/api", "/api/", "/api/v1",
     "/api/v1/observation", "/api/v1/observations/1", "/api/v2/observations"],
)  # fmt: skip
def test_address_of_no_program_is_a_404_of_json(
    method: str, path: str, client: Client, db: None, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = ask(client, method, path, data=b"{}", headers={"Accept": "text/html"})
    assert (response.status_code, response["Content-Type"]) == (404, "application/json")
    assert method == "HEAD" or json.loads(response.content) == {"error": "Not found."}


def test_host_that_is_not_ours_gets_json_at_the_receiver_and_a_page_elsewhere(
    client: Client, db: None, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["redeliver.example.com"]
    for path, kind in (("/hooks/none/", "application/json"), ("//hooks/none", "application/json"), ("/", "text/html")):
        response = ask(client, "POST", path, headers={"Host": "evil.example"})
        assert (response.status_code, response["Content-Type"].partition(";")[0]) == (400, kind)


def test_page_without_its_slash_still_leads_to_it(client: Client, db: None) -> None:
    response = client.get("/accounts/login")
    assert (response.status_code, response["Location"]) == (301, "/accounts/login/")
