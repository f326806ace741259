"""A real SMTP server on a free loopback port, with a mailbox."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """The mails received and the server's settings; `refuse`, if set, is its answer to every recipient.

    Without slots: aiosmtpd reads every attribute of its handler, and before Python 3.11.3 a dataclass with slots has
    a `__weakref__` that cannot be read.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuse: str = ""
    account: tuple[str, str] | None = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(BytesParser(policy=SMTP_POLICY).parsebytes(envelope.original_content))
        self.recipients += envelope.rcpt_tos
        return "250 Taken"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, given: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=(given.login.decode(), given.password.decode()) == self.account, handled=False)


@contextlib.contextmanager
def mailbox(*, tls: ssl.SSLContext | None = None, account: tuple[str, str] | None = None) -> Iterator[Mailbox]:
    """Serve until the block ends: plain, or requiring STARTTLS, and with an account if one is given."""
    box = Mailbox(account=account)
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True} if tls else {}
    if account:
        options |= {"authenticator": box.authenticate, "auth_required": True, "auth_require_tls": tls is not None}
    controller = _OnAnyPort(box, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        box.port = controller.server.sockets[0].getsockname()[1]
        yield box
    finally:
        controller.stop()


class _OnAnyPort(Controller):
    def _trigger_server(self) -> None:
        """Connect to the port actually bound; aiosmtpd's own check would use the requested one, which is 0."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
