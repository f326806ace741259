"""The sender's admin under the Partner API's own settings: staff only, read-only, without secrets."""

import re
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from dashboard.launch import postgres
from tests.bench import engine_rows
from tests.partner_api.serving import Installation, ask, installation, serving

PASSWORD = "correct horse battery staple"
DELIVERY = f"dlv_{1:012x}c4ca4238a0b923820dcc"
ATTEMPT = """
INSERT INTO partner_api_attempt
       (delivery_id, number, started_at, duration_ms, status_code, cause, detail, response_head)
VALUES (%s, 1, now(), 41, 503, 'status', '', %s)
"""


@pytest.fixture(scope="module")
def installed(postgres_server: postgres.Server) -> Installation:
    made = installation(postgres_server, database="partner_api_admin")
    keys = made.environment["PARTNER_API_KEYS"]
    engine_rows.load_endpoints(made.url, target="http://localhost:9/hooks", keys=keys, count=1)
    engine_rows.load_deliveries(made.url, first=1, count=1, endpoints=1)
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute(ATTEMPT, [DELIVERY, b"<script>alert(1)</script>"])
    made.manage(
        "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.com",
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )  # fmt: skip
    return made


def cookie(headers: dict[str, str], name: str) -> str:
    found = re.search(rf"{name}=[^;]+", headers["Set-Cookie"])
    assert found is not None
    return found[0]


def sign_in(port: int) -> dict[str, str]:
    """Sign in with the form; return the session's Cookie header."""
    _, headers, page = ask(port, "GET", "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    form = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie(headers, "partner_api_csrf")}
    status, answered, _ = ask(port, "POST", "/admin/login/", body=urlencode(form).encode(), headers=sent)
    assert (status, answered["Location"]) == (302, "/admin/")
    return {"Cookie": cookie(answered, "partner_api_session")}


@pytest.mark.slow
def test_the_senders_view_shows_attempts_to_staff_and_nothing_to_others(
    installed: Installation, tmp_path: Path
) -> None:
    path = f"/admin/partner_api/delivery/{DELIVERY}/change/"
    with serving(installed, folder=tmp_path) as port:
        refused, told, _ = ask(port, "GET", path)
        signed_in = sign_in(port)
        shown, _, page = ask(port, "GET", path, headers=signed_in)
        listed, _, rows = ask(port, "GET", f"/admin/partner_api/delivery/?q={DELIVERY}", headers=signed_in)
        endpoint, _, endpoint_page = ask(
            port, "GET", f"/admin/partner_api/endpoint/whe_{1:032x}/change/", headers=signed_in
        )
        added = [
            ask(port, "GET", f"/admin/partner_api/{kind}/add/", headers=signed_in)[0]
            for kind in ("delivery", "endpoint")
        ]
        deleted = ask(port, "GET", path.replace("change", "delete"), headers=signed_in)[0]
    assert (refused, told["Location"].split("?")[0]) == (302, "/admin/login/")
    assert (shown, listed, endpoint, added, deleted) == (200, 200, 200, [403, 403], 403)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert [text in page for text in ("503", "41", "contract.started", "Pending")] == [True] * 4
    assert 'name="_save"' not in page
    assert DELIVERY in rows
    assert "localhost:9" in endpoint_page
    with psycopg.connect(installed.url) as connection:
        sealed = connection.execute("SELECT secret_sealed FROM partner_api_endpoint").fetchone()
    assert sealed is not None
    assert [sealed[0] in text or "whsec_" in text for text in (page, rows, endpoint_page)] == [False] * 3
