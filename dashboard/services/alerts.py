"""Sending alerts: by email through the operator's mail server, or by one signed POST to a channel's URL.

Calls to the URL use guarded egress (addresses.py): only public addresses, unless ALERT_PRIVATE_ADDRESSES allows all,
checked on the address that is actually connected to, without following redirects. Only the response's status is shown,
never its body, so that Redeliver cannot be used to read internal servers.
"""

import contextlib
import smtplib
import socket
import ssl

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.utils.functional import cached_property

from dashboard.rules.alert_messages import plain
from dashboard.rules.causes import Cause, cause_of_answer, no_answer_words
from dashboard.services.http.client import NoAnswer, exchange
from dashboard.signatures import sign
from dashboard.vault import Secret

DEADLINE_S = 10.0
ANSWER_LIMIT = 16 * 1024
"""Maximum number of bytes of a response's body to read; the body is discarded."""
USER_AGENT = "Redeliver-Alerts/1.0"
NO_MAIL_SERVER = "No mail server is set up. Ask your administrator to configure email (EMAIL_URL)."
_WORDS_CHARS = 300


class NotSent(Exception):
    """The message was not accepted, or it is unknown whether it was. The exception's message says why."""


class _MailServer(EmailBackend):
    """Django's, which trusts the system's certificate authorities; here those of EXTRA_CA_BUNDLE too."""

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if settings.EXTRA_CA_BUNDLE:
            context.load_verify_locations(cafile=settings.EXTRA_CA_BUNDLE)
        return context


def can_mail() -> bool:
    """Return whether a mail server is configured."""
    return bool(settings.EMAIL_HOST)


def mail(*, to: str, subject: str, text: str, message_id: str) -> str:
    """Send an email; return the outcome in words. `message_id` is the same on every attempt.

    Each response of the mail server may take settings.EMAIL_TIMEOUT seconds.

    Raises: NotSent.
    """
    if not can_mail():
        raise NotSent(NO_MAIL_SERVER)
    headers = {
        "Message-ID": f"<{message_id}@{_domain()}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: prevents automatic replies
    }
    server = _MailServer()
    message = EmailMessage(subject=subject, body=text, to=[to], headers=headers, connection=server)
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors; a header with a line break is a ValueError
        raise NotSent(_mail_words(error)) from error
    finally:
        with contextlib.suppress(OSError):
            server.close()  # a refused sign-in leaves it open
    return "Accepted by the mail server."


def post(*, url: Secret, secret: Secret, body: bytes, message_id: str, timestamp: int) -> str:
    """POST a message, signed as OpenTrain signs its deliveries; return the outcome in words.

    `timestamp` is in Unix seconds. Success is any 2xx within DEADLINE_S.

    Raises: NotSent.
    """
    headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("X-Redeliver-Delivery", message_id),
        ("X-Redeliver-Signature", sign(secret=secret.reveal(), body=body, timestamp=timestamp)),
    ]
    try:
        answer = exchange(
            method="POST",
            url=url.reveal(),
            headers=headers,
            body=body,
            connect_s=DEADLINE_S,
            read_s=DEADLINE_S,
            total_s=DEADLINE_S,
            max_bytes=ANSWER_LIMIT,
            cap=True,
            extra_ca_file=settings.EXTRA_CA_BUNDLE,
            public_only=not settings.ALERT_PRIVATE_ADDRESSES,
        )
    except NoAnswer as error:
        raise NotSent(f"The webhook did not accept the alert: {error}.") from None  # the cause's frames hold the URL
    if cause_of_answer(status=answer.status) is Cause.STATUS:
        raise NotSent(_refusal(answer.status))
    return f"Answered {answer.status} in {answer.elapsed_ms} ms."


def _refusal(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004
        return f"The webhook answered {status}: redirects are not followed. Use the address that it redirects to."
    return f"The webhook answered {status}."


def _mail_words(error: Exception) -> str:
    """Explain the error. Only the mail server's reply is quoted, on one line and cut."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "The mail server did not accept the user name and password in EMAIL_URL."
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        return f"The mail server refused the recipient: {_said(code, said)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The mail server refused the email: {_said(error.smtp_code, error.smtp_error)}"
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a certificate error is both
        return "The email has an invalid address or subject."
    return f"The mail server: {_reason(error)}."


def _said(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return plain(f"{code} {text}", limit=_WORDS_CHARS)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):  # smtplib calls it a disconnect
        return no_answer_words(Cause.TIMEOUT)
    if isinstance(error, socket.gaierror):
        return "its name was not found"
    if isinstance(error, ConnectionRefusedError):
        return no_answer_words(Cause.REFUSED)
    if isinstance(error, ssl.SSLError):
        return no_answer_words(Cause.TLS)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it does not support what EMAIL_URL requires"
    return no_answer_words(Cause.CONNECTION)


def _domain() -> str:
    """Return the domain of the sender's address, which ends a Message-ID."""
    return plain(settings.DEFAULT_FROM_EMAIL, limit=_WORDS_CHARS).rpartition("@")[2].rstrip(">") or "localhost"
