"""One HTTP exchange, with limits that keep a test short."""

import threading
import time
from typing import Any

import pytest

from dashboard.services.http.client import HttpAnswer, NoAnswer, exchange

PATIENT_S = 20
"""Limits far above the duration of an answer, even on a busy machine."""
TOTAL_S = 1.5
HURRIED = {"connect_s": 0.5, "read_s": 0.4, "total_s": TOTAL_S}
"""Limits that a test waits for: for servers that never answer."""
MAX_BYTES = 1000
SLACK_S = 15
"""Allowed delay on a busy machine, in seconds. A server that hangs or drips here goes on for at least 30 s."""

AS_WRITTEN = [
    ("", "/"),
    ("?a=b", "/?a=b"),
    ("/", "/"),
    ("/a?", "/a?"),
    ("/%7Euser/%41?q=%7e", "/%7Euser/%41?q=%7e"),
    ("/./a/../b//c", "/./a/../b//c"),
    ("/a|b?c|d={e}^[f]`\\\"<>'", "/a|b?c|d={e}^[f]`\\\"<>'"),
    ("/100%", "/100%"),
    ("/a?b=1&&c;d=+%20", "/a?b=1&&c;d=+%20"),
    ("/a b/\u00e9?\u00fc", "/a%20b/%C3%A9?%C3%BC"),
    ("/a\r\nX-Smuggled: 1", "/a%0D%0AX-Smuggled:%201"),
    ("/a#fragment", "/a"),
]
"""The end of a URL, and the target of the request for it."""


def ask(url: str, **given: Any) -> HttpAnswer:
    asked = {
        "method": "GET",
        "url": url,
        "headers": [],
        "body": None,
        "connect_s": PATIENT_S,
        "read_s": PATIENT_S,
        "total_s": PATIENT_S,
        "max_bytes": MAX_BYTES,
    }
    return exchange(**(asked | given))


def fail(url: str, **given: Any) -> NoAnswer:
    """Send a request, and expect a failure in time, without a thread left behind."""
    threads = set(threading.enumerate())
    started = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        ask(url, **given)
    assert time.monotonic() - started < given.get("total_s", 0) + SLACK_S
    assert not [thread for thread in threading.enumerate() if thread not in threads and thread.name == "resolve"]
    assert abs(caught.value.elapsed_ms - (time.monotonic() - started) * 1000) < SLACK_S * 1000
    return caught.value
