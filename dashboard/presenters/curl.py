"""A delivery as a curl command that sends the same bytes to its handler. The command is safe to paste into a shell."""

import base64
import re
import shlex
from collections.abc import Iterable

from dashboard.config.masking import masking
from dashboard.rules.headers import is_name
from dashboard.rules.invisible import is_visible
from dashboard.rules.masking import REDACTED
from dashboard.rules.outside_texts import is_whole
from dashboard.signatures import HEADER as SIGNATURE

BODY_BYTES = 32 * 1024
"""Largest body in a command, in bytes: a longer one is unreadable, and shells limit the length of a line."""
_LEFT_OUT = frozenset(
    {
        # curl and the connection set these
        "host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect",
    }
)  # fmt: skip
_URL = re.compile(r"https?://[!-~]+")


def command(*, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """Return the command; empty if no safe and equivalent command is possible.

    Secrets of the URL are masked, and headers that hold one are left out.

    Shell and curl take every value literally: "@" at the start of a value names no file, brackets in the address are no
    range, and unprintable bodies are sent through base64.
    """
    if len(body) > BODY_BYTES or not _URL.fullmatch(url):
        return ""
    url = masking().url(url)
    parts = ["curl", "--include", "--globoff", "--request POST", f"--url {shlex.quote(url)}"]
    parts += [f"--header {shlex.quote(line)}" for line in _lines(headers)]
    text = _printable(body)
    if text is not None:
        return " \\\n  ".join([*parts, f"--data-raw {shlex.quote(text)}"])
    encoded = base64.b64encode(body).decode()
    return " \\\n  ".join([f"printf %s {encoded} | base64 -d | {parts[0]}", *parts[1:], "--data-binary @-"])


SHELL_VARIABLE = "SIGNING_SECRET"
"""The shell variable that a command signs with. Redeliver shows no secret."""


def signed_command(*, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """Return a command for an event that Redeliver has not signed: it signs the body with SHELL_VARIABLE when it runs.

    Empty if no safe and equivalent command is possible. A body that ends in a line feed has none: shells drop it.
    """
    if len(body) > BODY_BYTES or body.endswith(b"\n") or not _URL.fullmatch(url):
        return ""
    text = _printable(body)
    encoded = base64.b64encode(body).decode()
    lines = [
        f"BODY={shlex.quote(text) if text is not None else f'$(printf %s {encoded} | base64 -d)'}",
        "T=$(date +%s)",
        f'V1=$(printf %s.%s "$T" "$BODY" | openssl dgst -sha256 -hmac "${SHELL_VARIABLE}" -r | cut -d \' \' -f 1)',
    ]
    parts = ["curl", "--include", "--globoff", "--request POST", f"--url {shlex.quote(masking().url(url))}"]
    parts += [f"--header {shlex.quote(line)}" for line in _lines(headers)]
    parts += [f'--header "{SIGNATURE}: t=$T,v1=$V1"', '--data-raw "$BODY"']
    return "\n".join([*lines, " \\\n  ".join(parts)])


def _lines(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the headers in curl's syntax, without those that it could misread or that the log has cut."""
    usable = [
        (name, masking().header(name, value))
        for name, value in headers
        if is_name(name) and name.lower() not in _LEFT_OUT and is_visible(value) and is_whole(value)
    ]
    # curl drops a header with an empty value unless it ends with a semicolon.
    return [f"{name}: {value}" if value.strip() else f"{name};" for name, value in usable if value != REDACTED]


def _printable(body: bytes) -> str | None:
    """Return the body as text whose every character people see; None if it contains others."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if is_visible(text.replace("\n", "")) else None
