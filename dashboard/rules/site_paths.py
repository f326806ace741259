"""What a request's path is for: the receiver, the observations API, a probe, or the console."""

import re

HEALTHZ, READYZ, METRICS = "/healthz", "/readyz", "/metrics"
PROBES = frozenset({HEALTHZ, READYZ})
"""Probes are sent to a process by its address, such as a pod's IP, so they are answered for any Host."""

_FOR_PROGRAMS = re.compile(r"/+(?:hooks|api)(?:/|$)")
_RECEIVER = re.compile(r"/+hooks/+([^/]+)/*")
_OBSERVATIONS = re.compile(r"/+api/+v1/+observations/*")


def is_for_programs(path: str) -> bool:
    """Return whether the receiver or the observations API answers this path: with JSON, never with a page."""
    return _FOR_PROGRAMS.match(path) is not None


def receiver_key(path: str) -> str | None:
    """Return the key in a path of the receiver, with missing or extra slashes; None for any other path.

    OpenTrain follows no redirect, and a client that follows one to the right address sends a GET without the body.
    """
    found = _RECEIVER.fullmatch(path)
    return found[1] if found else None


def is_observations(path: str) -> bool:
    """Return whether it is the path of the observations API, with missing or extra slashes."""
    return _OBSERVATIONS.fullmatch(path) is not None
