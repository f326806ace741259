"""The log: a line an event, as text or as JSON, with the request that it belongs to and without anybody's secrets.

A line cannot be forged: what is not printable is escaped, and lines of a traceback are indented, so that only we begin
a line at its left edge. What may not be in it is taken out of the finished line, whatever brought it there.
"""

import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from dashboard.rules.secret_texts import STARTS

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that this thread is answering; empty outside of one."""

OPENTRAIN_REQUEST_ID = "opentrain_request_id"
"""A record's attribute: the request ID that OpenTrain answered with, which its support asks for."""

_SECRETS = (
    # Whoever knows a receiver's key can knock at its door.
    (re.compile(r"/hooks/[^/\s\"'?#]+"), "/hooks/[key]"),
    (re.compile(rf"\b({'|'.join(STARTS)})[A-Za-z0-9_\-+/=]+"), r"\1[secret]"),
    (re.compile(r"(postgres(?:ql)?://[^:@/\s]*):[^@/\s]+@"), r"\1:[secret]@"),
)


def redact(text: str) -> str:
    """Return the text without receiver keys, tokens, signing secrets, observation keys and database passwords."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def config(*, form: str, level: str) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes; `form` is "text" or "json".

    Raises: ValueError, for another form.
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
            "procrastinate": {"level": "WARNING"},  # it tells of every job that it starts and ends
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},  # gunicorn itself says no otherwise
            "django.server": {"handlers": [], "propagate": True},  # its own formatter would print paths as they came
        },
    }


class TextLine(logging.Formatter):
    """`2026-06-12T10:00:00.000Z WARNING dashboard.views.receiver [3f1c…] words`; "[-]" outside of a request."""

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
        record.exc_text = None  # another formatter's would be taken for ours, unindented
        return redact(super().format(record))


class JsonLine(JsonFormatter):
    """One object a line: time, level, logger, message, pid, and where there are any request_id, opentrain_request_id
    and exception. Nothing else of a record: Django's hold the whole request.
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
    """Escape what would end the line, or move the cursor of whoever reads it in a terminal."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _indented(text: str) -> str:
    return "\n".join(f"    | {_on_one_line(line)}" for line in text.splitlines())
