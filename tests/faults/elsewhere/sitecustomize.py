"""Faults in the clock and in DNS, for a worker started with this folder on its PYTHONPATH.

Python imports this module by its name at each start. FAULTS_FOLDER describes the current faults: the file `clock` holds
the wall clock's offset in seconds (the monotonic clock is always right), and a file `no-dns` makes every look-up fail.
"""

import os
import socket
import time
from datetime import timedelta
from pathlib import Path

from django.utils import timezone
from procrastinate import utils

_FOLDER = Path(os.environ["FAULTS_FOLDER"])
_real_time, _real_now, _real_utcnow, _real_lookup = time.time, timezone.now, utils.utcnow, socket.getaddrinfo


def _off_s() -> float:
    try:
        return float((_FOLDER / "clock").read_text())
    except (OSError, ValueError):
        return 0.0


def _lookup(host, *arguments, **named):
    if (_FOLDER / "no-dns").exists():
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _real_lookup(host, *arguments, **named)


time.time = lambda: _real_time() + _off_s()
timezone.now = lambda: _real_now() + timedelta(seconds=_off_s())
utils.utcnow = lambda: _real_utcnow() + timedelta(seconds=_off_s())
socket.getaddrinfo = _lookup
