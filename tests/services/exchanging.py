"""One exchange with limits that keep a test short."""

import threading
import time
from typing import Any

import pytest

from dashboard.services.http.client import HttpAnswer, NoAnswer, exchange

PATIENT_S = 20
"""Limits far above what an answer takes, on a busy machine too."""
TOTAL_S = 1.5
HURRIED = {"connect_s": 0.5, "read_s": 0.4, "total_s": TOTAL_S}
"""For servers that never answer: the test waits for these limits."""
MAX_BYTES = 1000
SLACK_S = 15
"""How late a busy machine may make us. A server that hangs or drips here goes on for 30 s and more."""


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
    """Ask, expect no answer, and expect it in time and without a thread left behind."""
    threads = set(threading.enumerate())
    started = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        ask(url, **given)
    assert time.monotonic() - started < given.get("total_s", 0) + SLACK_S
    assert not [thread for thread in threading.enumerate() if thread not in threads and thread.name == "resolve"]
    assert abs(caught.value.elapsed_ms - (time.monotonic() - started) * 1000) < SLACK_S * 1000
    return caught.value
