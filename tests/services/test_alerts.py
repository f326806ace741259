"""Sending alerts: to a real SMTP server, to a real HTTP server, and never into our own network."""

import json
import socket
import ssl
from typing import Any

import pytest
import trustme

from dashboard.services import alerts
from dashboard.services.alerts import NO_MAIL_SERVER, NotSent
from dashboard.signatures import verify
from dashboard.vault import Secret
from tests.factories import SECRET
from tests.services.mailbox import Mailbox, mailbox
from tests.services.misbehaving import answer, closed_port, deaf, head, misbehaving, raw, silent
from tests.test_addresses import dialled, resolving

BODY = b'{"type": "test"}'


@pytest.fixture(autouse=True)
def _local(settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    settings.DEFAULT_FROM_EMAIL = "Redeliver <redeliver@example.com>"


def use(settings: Any, box: Mailbox, **more: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
    for name, value in more.items():
        setattr(settings, name, value)


def mail(**changes: str) -> str:
    given = {
        "to": "oncall@example.com",
        "subject": "Disabled: Ácme",
        "text": "Line one\n\nLine two: ✓",
        "message_id": "m1",
    }
    return alerts.mail(**given | changes)


def mail_fails(**changes: str) -> str:
    with pytest.raises(NotSent) as raised:
        mail(**changes)
    return str(raised.value)


def post(url: str, **changes: Any) -> str:
    given = {"secret": Secret(SECRET), "body": BODY, "message_id": "m1", "timestamp": 1_781_265_600}
    return alerts.post(url=Secret(url), **given | changes)


def post_fails(url: str) -> str:
    with pytest.raises(NotSent) as raised:
        post(url)
    return str(raised.value)


# --- Mail -----------------------------------------------------------------------------------------------------------


def test_mail_arrives_as_it_was_written(settings: Any) -> None:
    with mailbox() as box:
        use(settings, box)
        assert mail() == "Accepted by the mail server."
    (received,) = box.mails
    assert box.recipients == ["oncall@example.com"]
    assert (received["Subject"], received["From"], received["To"]) == (
        "Disabled: Ácme", "Redeliver <redeliver@example.com>", "oncall@example.com",
    )  # fmt: skip
    assert (received["Message-ID"], received["Auto-Submitted"]) == ("<m1@example.com>", "auto-generated")
    assert received.get_content().splitlines() == ["Line one", "", "Line two: ✓"]
    assert received.get_content_type() == "text/plain"


@pytest.mark.parametrize("name", ["to", "subject"])
def test_line_break_in_a_header_sends_nothing(settings: Any, name: str) -> None:
    with mailbox() as box:
        use(settings, box)
        words = mail_fails(**{name: "a@example.com\r\nBcc: everybody@example.com"})
    assert words == "The email has an invalid address or subject."
    assert box.mails == []


def test_mail_goes_by_starttls_with_an_account_to_a_server_of_the_companys_authority(
    settings: Any, authority: trustme.CA, ca_file: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    settings.EXTRA_CA_BUNDLE = ca_file
    with mailbox(tls=context, account=("ops", "hush")) as box:
        use(settings, box, EMAIL_USE_TLS=True, EMAIL_HOST_USER="ops", EMAIL_HOST_PASSWORD="hush")
        assert mail() == "Accepted by the mail server."
        settings.EMAIL_HOST_PASSWORD = "wrong-and-hush"
        words = mail_fails()
    assert words == "The mail server did not accept the user name and password in EMAIL_URL."
    assert len(box.mails) == 1


def test_mail_to_a_server_with_a_false_certificate_is_not_sent(settings: Any, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with misbehaving(deaf, tls=context) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_SSL = "localhost", server.port, True
        assert mail_fails() == "The mail server: the TLS connection failed."
        assert server.requests == []


def test_refused_recipient_is_told_in_the_servers_words_on_one_line(settings: Any) -> None:
    with mailbox() as box:
        use(settings, box)
        box.refuse = "550 No such\x1b[31m mailbox " + "x" * 400
        words = mail_fails()
    assert words.startswith("The mail server refused the recipient: 550 No such [31m mailbox xxx")
    assert len(words) < 400
    assert box.mails == []


def test_mail_without_a_server_says_how_to_set_one_up(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    assert mail_fails() == NO_MAIL_SERVER
    assert not alerts.can_mail()


def test_mail_to_a_server_that_is_not_there_says_so(settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", closed_port()
    assert mail_fails() == "The mail server: the connection was refused."


def test_mail_to_a_server_that_says_nothing_ends(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", listener.getsockname()[1]
        settings.EMAIL_TIMEOUT = 0.2
        assert mail_fails() == "The mail server: no response in time."


# --- Webhook --------------------------------------------------------------------------------------------------------


def test_post_is_signed_over_its_raw_body() -> None:
    with misbehaving(answer(204)) as server:
        words = post(f"{server.url}/alerts?key=hush")
    (request,) = server.requests
    assert words.startswith("Answered 204 in ")
    assert (request.method, request.target, request.body) == ("POST", "/alerts?key=hush", BODY)
    found = verify(secret=SECRET, headers=request.values("X-Redeliver-Signature"), body=request.body, now=1_781_265_600)
    assert found.ok
    assert request.values("X-Redeliver-Delivery") == ["m1"]
    assert request.values("User-Agent") == ["Redeliver-Alerts/1.0"]
    assert request.values("Content-Type") == ["application/json"]


def test_post_to_a_server_of_the_companys_authority_is_taken_if_the_operator_trusts_it(
    settings: Any, authority: trustme.CA, ca_file: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with misbehaving(answer(204), tls=context) as server:
        assert "certificate" in post_fails(server.url)
        settings.EXTRA_CA_BUNDLE = ca_file
        assert post(server.url).startswith("Answered 204 in ")


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_post_that_is_not_taken_says_the_status_and_nothing_that_was_answered(status: int) -> None:
    with misbehaving(answer(status, b"internal secrets")) as server:
        assert post_fails(server.url) == f"The webhook answered {status}."


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    with misbehaving(answer(200)) as inside:
        with misbehaving(answer(status, headers=[f"Location: {inside.url}/admin"])) as server:
            words = post_fails(server.url)
        assert words == (
            f"The webhook answered {status}: redirects are not followed. Use the address that it redirects to."
        )
        assert inside.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
def test_name_that_points_inside_is_not_called(settings: Any, monkeypatch: Any, address: str) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = False
    called = dialled(monkeypatch)
    resolving(monkeypatch, [address])
    assert "the address is not public" in post_fails("https://alerts.example.com/")
    assert called == []


def test_name_that_is_pointed_inside_between_two_messages_is_not_called(settings: Any, monkeypatch: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = False
    called = dialled(monkeypatch)
    resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"], ["8.8.8.8", "10.0.0.1"])
    post_fails("https://alerts.example.com/")
    assert called == ["93.184.215.14"]
    post_fails("https://alerts.example.com/")
    post_fails("https://alerts.example.com/")
    assert called == ["93.184.215.14", "8.8.8.8"]


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
def test_odd_spelling_of_loopback_is_not_called(settings: Any, spelling: str) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = False
    with misbehaving(answer(200)) as server:
        assert "the address is not public" in post_fails(f"http://{spelling}:{server.port}/")
        assert server.connections == 0


def test_post_that_fails_never_names_its_address_or_its_secret(monkeypatch: Any) -> None:
    monkeypatch.setattr(alerts, "DEADLINE_S", 2)
    behaviours = (silent, raw(b"not http"), raw(head(200, "Content-Length: 9") + b"cut"))
    with misbehaving(*behaviours) as server:
        words = [post_fails(f"{server.url}/T0/B0/hush") for _ in behaviours]
    words.append(post_fails(f"http://localhost:{closed_port()}/T0/B0/hush"))
    assert words == [
        "The webhook did not accept the alert: no response in time.",
        "The webhook did not accept the alert: the response is not HTTP.",
        "The webhook did not accept the alert: the response was cut off.",
        "The webhook did not accept the alert: the connection was refused (Connection refused).",
    ]


def test_failed_post_leaves_no_secret_in_its_traceback() -> None:
    with pytest.raises(NotSent) as raised:
        post(f"http://localhost:{closed_port()}/T0/B0/hush")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_answer_without_end_is_cut_off_and_is_an_answer() -> None:
    body = json.dumps({"x": "y" * 1_000_000}).encode()
    with misbehaving(answer(200, body)) as server:
        assert post(server.url).startswith("Answered 200 in ")
