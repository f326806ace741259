"""Parsing EMAIL_URL, and its errors."""

import pytest

from dashboard.config.mail_url import MailServer, NotMailUrl, parse


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("", MailServer()),
        ("smtp://localhost", MailServer(host="localhost", port=25)),
        (
            "smtp+tls://ops%40example.com:p%40ss%2Fword@mail.example.com",
            MailServer("mail.example.com", 587, "ops@example.com", "p@ss/word", starttls=True),
        ),
        ("smtps://u:p@mail.example.com:4650/", MailServer("mail.example.com", 4650, "u", "p", tls=True)),
    ],
)
def test_parse_reads_scheme_host_port_and_account(text, server) -> None:
    assert parse(text) == server


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.com",
        "http://u:hush@host",
        "smtp://",
        "smtp://u:hush@host:99999",
        "smtp://u:hush@host/x",
        "smtp://[u",
    ],
)
def test_parse_refuses_what_it_cannot_read_without_repeating_it(text) -> None:
    with pytest.raises(NotMailUrl) as raised:
        parse(text)
    assert str(raised.value).startswith("EMAIL_URL cannot be read. Write smtp+tls://user:password@host:587")
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_password_is_in_no_repr() -> None:
    assert "hush" not in repr(parse("smtp://u:hush@host"))
