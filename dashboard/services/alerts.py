"""Send an alert: by mail through the operator's mail server, or by one signed POST to a URL that somebody chose.

The URL is called with guarded egress (addresses.py): only public addresses, unless ALERT_PRIVATE_ADDRESSES allows
all, checked on the address that is really dialled; no redirect is followed. What it answers is never shown, only its
status: an address inside must not be read through Redeliver.
"""

import contextlib
import smtplib
import socket
import ssl

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

from dashboard.rules.alert_messages import plain
from dashboard.rules.causes import Cause, cause_of_answer, no_answer_words
from dashboard.services.http.client import NoAnswer, exchange
from dashboard.signatures import sign
from dashboard.vault import Secret

DEADLINE_S = 10.0
ANSWER_LIMIT = 16 * 1024
"""An answer's body is read so far and thrown away."""
USER_AGENT = "Redeliver-Alerts/1.0"
NO_MAIL_SERVER = "No mail server is set up. Ask your administrator to configure email (EMAIL_URL)."
_WORDS_CHARS = 300


class NotSent(Exception):
    """The message was not taken, or it is not known that it was. The exception's text says why, for a person."""


def can_mail() -> bool:
    """Whether a mail server is set up at all."""
    return bool(settings.EMAIL_HOST)


def mail(*, to: str, subject: str, text: str, message_id: str) -> str:
    """Send a mail; return what the server said, in words. `message_id` is the same on every attempt.

    Each answer of the mail server is waited for settings.EMAIL_TIMEOUT seconds.

    Raises: NotSent.
    """
    if not can_mail():
        raise NotSent(NO_MAIL_SERVER)
    headers = {
        "Message-ID": f"<{message_id}@{_domain()}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no holiday notes in answer
    }
    server = EmailBackend()
    message = EmailMessage(subject=subject, body=text, to=[to], headers=headers, connection=server)
    try:
        message.send()
    except (OSError, ValueError) as error:  # smtplib's are OSErrors; a header with a line break is a ValueError
        raise NotSent(_mail_words(error)) from error
    finally:
        with contextlib.suppress(OSError):
            server.close()  # after a refused sign-in it would stay open
    return "Taken by the mail server."


def post(*, url: Secret, secret: Secret, body: bytes, message_id: str, timestamp: int) -> str:
    """POST a message, signed as OpenTrain signs its deliveries; return what came of it, in words.

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
            public_only=not settings.ALERT_PRIVATE_ADDRESSES,
        )
    except NoAnswer as error:
        raise NotSent(f"The webhook did not take it: {error}.") from None  # its frames hold the URL
    if cause_of_answer(status=answer.status) is Cause.STATUS:
        raise NotSent(_refusal(answer.status))
    return f"Answered {answer.status} in {answer.elapsed_ms} ms."


def _refusal(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004
        return f"The webhook answered {status}: redirects are not followed. Use the address that it redirects to."
    return f"The webhook answered {status}."


def _mail_words(error: Exception) -> str:
    """Say why in words; of what the mail server wrote only its answer, on one line and cut."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "The mail server did not take the user name and password in EMAIL_URL."
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
        return f"The mail server refused the recipient: {_said(code, said)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The mail server refused it: {_said(error.smtp_code, error.smtp_error)}"
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a false certificate is both
        return "The mail's address or subject cannot be sent as it is."
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
        return "it does not offer what EMAIL_URL asks for"
    return no_answer_words(Cause.CONNECTION)


def _domain() -> str:
    """Return the host of the sender's address: what a Message-ID ends in."""
    return plain(settings.DEFAULT_FROM_EMAIL, limit=_WORDS_CHARS).rpartition("@")[2].rstrip(">") or "localhost"
