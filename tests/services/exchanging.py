"""One exchange with limits that keep a test short."""

import threading
import time
from typing import Any

import pytest

from dashboard.services.http.client import HttpAnswer, NoAnswer, exchange

CONNECT_S, READ_S, TOTAL_S = 0.5, 0.4, 0.8
MAX_BYTES = 1000
SLACK_S = 2
"""How late a busy machine may make us."""


def ask(url: str, **given: Any) -> HttpAnswer:
    asked = {
        "method": "GET",
        "url": url,
        "headers": [],
        "body": None,
        "connect_s": CONNECT_S,
        "read_s": READ_S,
        "total_s": TOTAL_S,
        "max_bytes": MAX_BYTES,
    }
    return exchange(**(asked | given))


def fail(url: str, **given: Any) -> NoAnswer:
    """Ask, expect no answer, and expect it in time and without a thread left behind."""
    threads = set(threading.enumerate())
    started = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        ask(url, **given)
    assert time.monotonic() - started < TOTAL_S + SLACK_S
    assert not [thread for thread in threading.enumerate() if thread not in threads and thread.name == "resolve"]
    assert abs(caught.value.elapsed_ms - (time.monotonic() - started) * 1000) < SLACK_S * 1000
    return caught.value
