"""A delivery as a curl command that sends the same bytes to its handler again: safe to paste into a shell."""

import base64
import re
import shlex
from collections.abc import Iterable

from dashboard.rules.headers import CREDENTIALS, REDACTED, is_name

BODY_BYTES = 32 * 1024
"""A larger body makes no command: nobody could read it, and a shell's line has an end."""
_LEFT_OUT = frozenset(
    {
        # curl and the connection say these themselves
        "host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect",
        *CREDENTIALS,  # redacted in the log or not
    }
)  # fmt: skip
_URL = re.compile(r"https?://[!-~]+")


def command(*, url: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """Return the command; empty where none can be made that is safe and does the same.

    Nothing in it is read by the shell or by curl as anything but itself: a value that begins with "@" names no file,
    brackets in the address name no range, and what cannot be printed travels as base64.
    """
    if len(body) > BODY_BYTES or not _URL.fullmatch(url):
        return ""
    parts = ["curl", "--include", "--globoff", "--request POST", f"--url {shlex.quote(url)}"]
    parts += [f"--header {shlex.quote(line)}" for line in _lines(headers)]
    text = _printable(body)
    if text is not None:
        return " \\\n  ".join([*parts, f"--data-raw {shlex.quote(text)}"])
    encoded = base64.b64encode(body).decode()
    return " \\\n  ".join([f"printf %s {encoded} | base64 -d | {parts[0]}", *parts[1:], "--data-binary @-"])


def _lines(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the headers as curl takes them, without those that it could take for something else."""
    usable = [
        (name, value)
        for name, value in headers
        if is_name(name) and name.lower() not in _LEFT_OUT and value.isprintable()
    ]
    # curl drops a header without a value, unless it is written so.
    return [f"{name}: {value}" if value.strip() else f"{name};" for name, value in usable if value != REDACTED]


def _printable(body: bytes) -> str | None:
    """Return the body as text that a terminal shows and a shell keeps; None where it has other bytes in it."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char == "\n" for char in text) else None
