"""EMAIL_URL: the mail server as one variable."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


class NotMailUrl(ValueError):
    """EMAIL_URL cannot be read. Its text says how it is written, and never what was in it."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """What Django's EMAIL_* settings hold. `starttls` and `tls` are never both set."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    starttls: bool = False
    tls: bool = False


def parse(text: str) -> MailServer:
    """Read `smtp+tls://user:password@host:port`; empty means that there is no mail server.

    smtp is plain, smtp+tls begins plain and goes on under TLS (STARTTLS), smtps is TLS from the start.

    Raises: NotMailUrl.
    """
    if not text:
        return MailServer()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise NotMailUrl(_how()) from None  # its text holds what was written, the password with it
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise NotMailUrl(_how())
    return MailServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=parts.scheme == "smtp+tls",
        tls=parts.scheme == "smtps",
    )


def _how() -> str:
    return (
        "EMAIL_URL cannot be read. Write smtp+tls://user:password@host:587 (STARTTLS), smtps:// for TLS from the "
        "start, or smtp:// for neither; signs such as @, : and / in a password as %40, %3A and %2F."
    )
