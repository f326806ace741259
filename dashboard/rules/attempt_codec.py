"""Recorded attempts as bytes, for what keeps them outside the database.

Layout: the version (1 byte); the lengths of the three parts that follow (4 bytes each); the fields as JSON; the body of
the event; the head of the response. Bytes stay bytes, so a body costs no more than its size.

Fields are stored by name. A field that a later release adds needs no new version: bytes of the release before lack the
name, and the field takes its default. Bytes that name an unknown field are refused, because a newer release wrote them
and leaving the field out would lose it. A new version is needed for a new layout or a new meaning of a field; then
`from_bytes` keeps reading the old one.
"""

import dataclasses
import json
import struct
import uuid
from datetime import datetime
from typing import Any

from dashboard.rules import json_limits
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt

VERSION = 1

BYTES = {Event: "body", AttemptResult: "response_head"}
"""The field of each class that is stored as bytes; None is stored as no bytes."""
TIMES = frozenset({"created_at", "received_at"})
"""The fields that are times."""

_LENGTHS = struct.Struct(">BIII")
_NONE = 0xFFFFFFFF
"""Length that stands for None."""


class Undecodable(Exception):
    """Bytes cannot be read as an attempt. The message says why: another release wrote them, or they are damaged."""


def to_bytes(attempt: RecordedAttempt) -> bytes:
    """Return the attempt as bytes; `from_bytes` returns an equal one.

    Raises: ValueError if a time has no time zone: its moment is not known.
    """
    fields = {
        "id": attempt.id.hex,
        "endpoint_id": attempt.endpoint_id,
        "event": _plain(attempt.event),
        "result": _plain(attempt.result),
    }
    # Half a character (a lone surrogate) can be in a header, and the log must see what was sent.
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    body, head = attempt.event.body, attempt.result.response_head
    lengths = _LENGTHS.pack(VERSION, len(text), _NONE if body is None else len(body), len(head))
    return b"".join((lengths, text, body or b"", head))


def from_bytes(data: bytes) -> RecordedAttempt:
    """Return the attempt that `to_bytes` returned the bytes of, of this release or an earlier one.

    Raises: Undecodable; never an attempt that lacks something.
    """
    text, body, head = _parts(data)
    try:
        fields = json_limits.loads(text.decode("utf-8", "surrogatepass"))
        return RecordedAttempt(
            id=uuid.UUID(hex=fields["id"]),
            endpoint_id=fields["endpoint_id"],
            event=Event(**_fields(Event, fields["event"]), body=body),
            result=AttemptResult(**_fields(AttemptResult, fields["result"]), response_head=head or b""),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # The error's own message may quote what was sent.
        raise Undecodable(f"The attempt is damaged ({type(error).__name__}).") from None


def _plain(values: Event | AttemptResult) -> dict[str, Any]:
    """Return the fields that are not bytes, as values that JSON has."""
    found = {}
    for field in dataclasses.fields(values):
        if field.name != BYTES[type(values)]:
            value = getattr(values, field.name)
            found[field.name] = _written(value) if field.name in TIMES else value
    return found


def _written(at: datetime | None) -> str | None:
    if at is not None and at.utcoffset() is None:
        raise ValueError("A time without a time zone cannot be stored.")
    return None if at is None else at.isoformat()


def _parts(data: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    """Return the JSON and the two fields of bytes. Raises: Undecodable."""
    if data[:1] != bytes([VERSION]):
        version = data[0] if data else "none"
        raise Undecodable(
            f"The attempt has format version {version}; this release of Redeliver reads version {VERSION}. "
            "A newer release wrote it: start that release to read it."
        )
    if len(data) < _LENGTHS.size:
        raise Undecodable("The attempt is damaged: it is cut off.")
    _version, *lengths = _LENGTHS.unpack_from(data)
    parts: list[bytes | None] = []
    at = _LENGTHS.size
    for length in lengths:
        size = 0 if length == _NONE else length
        parts.append(None if length == _NONE else data[at : at + size])
        at += size
    if at != len(data):
        raise Undecodable("The attempt is damaged: its parts have other lengths than it says.")
    text, body, head = parts
    return text or b"", body, head


def _fields(of: type[Event | AttemptResult], given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for a class, times as times. Raises: Undecodable if a field is unknown to this release."""
    unknown = sorted(given.keys() - {field.name for field in dataclasses.fields(of)})
    if unknown:
        raise Undecodable(
            f"The attempt has fields that this release of Redeliver does not know ({', '.join(unknown)}). "
            "A newer release wrote it: start that release to read it."
        )
    return {name: datetime.fromisoformat(value) if name in TIMES and value else value for name, value in given.items()}
