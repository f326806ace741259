"""EMAIL_URL: the mail server in one variable."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}


class NotMailUrl(ValueError):
    """EMAIL_URL is malformed. The message describes the format and never contains the value."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Values for Django's EMAIL_* settings. At most one of `starttls` and `tls` is set."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = field(default="", repr=False)
    starttls: bool = False
    tls: bool = False


def parse(text: str) -> MailServer:
    """Parse `smtp+tls://user:password@host:port`; an empty text means no mail server.

    smtp is unencrypted, smtp+tls upgrades to TLS (STARTTLS), smtps uses TLS from the start.

    Raises: NotMailUrl.
    """
    if not text:
        return MailServer()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise NotMailUrl(_how()) from None  # its message contains the value, password included
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
