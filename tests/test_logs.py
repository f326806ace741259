"""Log lines: complete, one for each event, with the request ID, without secrets."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from dashboard import logs
from dashboard.models.endpoints import new_receiver_key
from dashboard.services import opentrain
from dashboard.services.opentrain import Unauthorized
from dashboard.vault import Secret
from tests.services.misbehaving import answer, misbehaving

FORMS = ["text", "json"]
TOKEN = "ot_ptk_" + "k" * 30


@pytest.fixture(autouse=True)
def _between_requests() -> None:
    """Reset the request ID, which an earlier test leaves behind if it does not read its response to the end."""
    logs.request_id.set("")


@contextmanager
def logged(form: str) -> Iterator[io.StringIO]:
    """Yield what the real configuration logs in the block."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    logging.config.dictConfig(logs.config(form=form, level="INFO"))
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    try:
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def log_failure(why: str, message: str, **given: Any) -> None:
    """Log an exception whose message is `why`."""
    try:
        raise_with(why)
    except ValueError:
        logging.getLogger("dashboard.test").exception(message, **given)


def raise_with(why: str) -> None:
    raise ValueError(why)


@pytest.mark.django_db
@pytest.mark.parametrize("form", FORMS)
def test_unknown_receiver_key_is_not_logged(form: str, client: Client) -> None:
    with logged(form) as stream:
        response = client.post("/hooks/a-key-that-nobody-may-read/", b"{}", content_type="application/json")
    assert response.status_code == 404
    assert "/hooks/[key]/" in stream.getvalue()
    assert "a-key-that-nobody-may-read" not in stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2K\x1b[1G"])
def test_line_forged_with_a_newline_stays_one_line(form: str, end: str) -> None:
    forged = f"harmless{end}2026-06-12T10:00:00.000Z INFO dashboard [-] ana signed in"
    with logged(form) as stream:
        logging.getLogger("dashboard.test").warning("said: %s", forged)
    written = stream.getvalue()
    assert (written.count("\n"), len(written.splitlines())) == (1, 1)
    assert written.rstrip("\n").isprintable()


def test_traceback_with_a_forged_line_begins_no_line_of_the_log() -> None:
    with logged("text") as stream:
        log_failure("x\n2026-06-12T10:00:00.000Z INFO dashboard [-] ana signed in\x1b[2K", "it failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith(" ERROR dashboard.test [-] it failed")
    assert [line[:6] for line in rest] == ["    | "] * len(rest)
    assert "    | 2026-06-12T10:00:00.000Z INFO dashboard [-] ana signed in\\x1b[2K" in rest


def test_json_line_is_one_object_with_what_is_known_and_nothing_else() -> None:
    with logged("json") as stream:
        log_failure('a "quoted" key /hooks/abc"', "it failed", extra={"request": object(), "secret": "s"})
    line = json.loads(stream.getvalue())
    assert sorted(line) == ["exception", "level", "logger", "message", "pid", "time"]
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "dashboard.test", "it failed")
    assert line["exception"].endswith('ValueError: a "quoted" key /hooks/[key]"')


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        "whsec_" + "s" * 32,
        "rdo_" + "o" * 43,
        "/hooks/" + "r" * 43,
        "postgresql://redeliver:a-password@db/redeliver",
    ],
)
def test_secret_in_a_message_an_argument_or_an_exception_is_taken_out(form: str, secret: str) -> None:
    with logged(form) as stream:
        logging.getLogger("dashboard.test").warning(f"message {secret}")  # noqa: G004 - the case under test
        logging.getLogger("dashboard.test").warning("argument %r", {"of": secret})
        log_failure(secret, "failed")
    assert secret not in stream.getvalue()
    for tail in ("kkkk", "ssss", "oooo", "rrrr", "a-password"):
        assert tail not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"https://redeliver.example/hooks/{new_receiver_key()}/", "https://redeliver.example/hooks/[redacted]/"),
        (f"cut: https://a.example/hooks/{'k' * 30}…", "cut: https://a.example/hooks/[redacted]"),
        ("https://acme.example/hooks/opentrain?token=t0ken", "https://acme.example/hooks/opentrain?token=[redacted]"),
        ("whsec_c2VjcmV0 and ot_ptk_1", "whsec_[secret] and ot_ptk_[secret]"),
    ],
    ids=["key", "cut key", "path of a handler", "secrets"],
)
def test_readers_get_no_secret_and_keep_the_path_of_a_handler(text: str, told: str) -> None:
    assert logs.redact_for_readers(text) == told


@pytest.mark.django_db
def test_request_has_an_id_on_its_log_lines_and_its_answer(client: Client) -> None:
    with logged("json") as stream:
        response = client.get("/nothing-here/")
        logging.getLogger("dashboard.test").warning("after it")
    of_request, after = map(json.loads, stream.getvalue().splitlines())
    assert (of_request["message"], of_request["request_id"]) == ("Not Found: /nothing-here/", response["X-Request-ID"])
    assert "request_id" not in after
    assert len(response["X-Request-ID"]) == 32


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("behind_proxy", "given", "is_taken"),
    [
        (True, "3f1c-from-the-proxy.1", True),
        (False, "3f1c-from-the-proxy.1", False),
        (True, "forged\nINFO line", False),
        (True, "x" * 101, False),
        (True, "", False),
    ],
)
def test_request_id_is_the_proxys_only_where_there_is_one(
    behind_proxy: bool, given: str, is_taken: bool, client: Client, settings
) -> None:
    settings.TRUSTS_FORWARDED = behind_proxy
    response = client.get("/healthz", headers={"X-Request-ID": given})
    assert (response["X-Request-ID"] == given) is is_taken


def test_opentrains_error_is_logged_with_both_request_ids(settings) -> None:
    body = json.dumps({"error": "Revoked.", "code": "UNAUTHORIZED", "requestId": "9d1f-opentrain"}).encode()
    with misbehaving(answer(401, body, content_type="application/json")) as server, logged("json") as stream:
        settings.OPENTRAIN_BASE_URL = server.url
        held = logs.request_id.set("ours-1")
        try:
            with pytest.raises(Unauthorized):
                opentrain.get_install(token=Secret(TOKEN))
        finally:
            logs.request_id.reset(held)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["request_id"], line["opentrain_request_id"]) == ("WARNING", "ours-1", "9d1f-opentrain")
    assert line["message"].startswith("GET /installs/current: 401 in ")


def test_settings_use_the_configuration_that_is_tested() -> None:
    assert logs.config(form="text", level=settings.LOGGING["root"]["level"]) == settings.LOGGING
