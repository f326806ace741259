"""Logging: one line per event, as text or JSON, with the request ID and without secrets.

Lines cannot be forged: unprintable characters are escaped and traceback lines indented, so only Redeliver starts a line
at the left edge. Secrets are removed from the finished line, wherever they came from.
"""

import logging
import re
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from dashboard.config.masking import masking
from dashboard.rules.secret_texts import STARTS

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""ID of the request that this thread handles; empty outside of a request."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

OPENTRAIN_REQUEST_ID = "opentrain_request_id"
"""Attribute of a log record: the request ID of OpenTrain's response, which its support asks for."""

_KEY = re.compile(r"/hooks/+[^/\s\"'?#]+")
"""A receiver's key, which is a credential, or what might be one."""
_SECRETS = (
    (re.compile(rf"\b({'|'.join(STARTS)})[A-Za-z0-9_\-+/=]+"), r"\1[secret]"),
    (re.compile(r"(postgres(?:ql)?://[^:@/\s]*):[^@/\s]+@"), r"\1:[secret]@"),
)


def begin_request(given: str) -> str:
    """Set and return the ID of the request that begins: the given one if it is well formed, else a new one.

    Give what a trusted proxy says, else an empty text: clients could write into the log and impersonate other requests.
    """
    chosen = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    request_id.set(chosen)
    return chosen


def redact(text: str) -> str:
    """Remove receiver keys, tokens, signing secrets, observation keys, and passwords and secret parameters of URLs."""
    return redact_for_readers(_KEY.sub("/hooks/[key]", text))


def redact_for_readers(text: str) -> str:
    """Remove the same from a text that proves something, but leave a handler's path, such as /hooks/opentrain.

    Partners know their handler by its path. What is a receiver's key, the rule of masking decides.
    """
    text = masking().text(text)
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def config(*, form: str, level: str) -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig`. `form` is "text" or "json".

    Raises: ValueError for any other form.
    """
    if form not in _FORMATTERS:
        raise ValueError(f"LOG_FORMAT is {form!r}; it must be text or json.")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _FORMATTERS[form]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "procrastinate": {"level": "WARNING"},  # at INFO it logs the start and end of every job
            # It warns of what follows from an error that it raises: three lines a second while a database is read-only.
            "psycopg": {"level": "ERROR"},
            "psycopg.pool": {"level": "WARNING"},
            "gunicorn.error": {
                "level": "INFO",
                "handlers": [],
                "propagate": True,
            },  # gunicorn's default does not propagate
            "django.server": {"handlers": [], "propagate": True},  # its own formatter prints raw paths
        },
    }


class TextLine(logging.Formatter):
    """`2026-06-12T10:00:00.000Z WARNING dashboard.receiver.app [3f1c…] message`; "[-]" outside of a request."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} [{request_id}] {message}", style="{")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        return _stamp(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.request_id = request_id.get() or "-"
        return _on_one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        return _indented(super().formatStack(stack_info))

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # cached by another formatter, without our indentation
        return redact(super().format(record))


class JsonLine(JsonFormatter):
    """One object per line: time, level, logger, message, pid, and if present request_id, opentrain_request_id and
    exception. No other attributes of a record: Django's contain the whole request.
    """

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        fields = {
            "time": _stamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            "request_id": request_id.get(),
            OPENTRAIN_REQUEST_ID: getattr(record, OPENTRAIN_REQUEST_ID, None),
            "exception": message_dict.get("exc_info"),
        }
        log_data.update(
            {name: redact(value) if isinstance(value, str) else value for name, value in fields.items() if value}
        )

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None
        return super().format(record)


_FORMATTERS = {"text": TextLine, "json": JsonLine}


def _stamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _on_one_line(text: str) -> str:
    """Escape characters that would end the line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _indented(text: str) -> str:
    return "\n".join(f"    | {_on_one_line(line)}" for line in text.splitlines())
