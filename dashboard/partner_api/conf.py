"""The engine's options, with OpenTrain's values as defaults, read from Django's settings when needed.

`settings.py` sets them from environment variables of the same names. A project that hosts this app under other settings
sets the names below, or leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULTS: dict[str, Any] = {
    "PARTNER_API_RUN_INTERVAL_S": 300,
    "PARTNER_API_RETRY_DELAYS_S": (60, 300, 1800, 7200),
    "PARTNER_API_TIMEOUT_S": 10,
    "PARTNER_API_DISABLE_AFTER": 10,
    "PARTNER_API_LEASE_S": 60,
    "PARTNER_API_ALLOW_HTTP_LOCALHOST": True,
    "PARTNER_API_MAX_IN_FLIGHT": 400,
    "PARTNER_API_MAX_PER_ENDPOINT": 10,
    "PARTNER_API_RUN_BUDGET_S": 60,
    "PARTNER_API_KEYS": (),
    "PARTNER_API_CALLS_PER_MINUTE": 600,
}
"""The default of each setting. Source: partner-api, "Deliveries"; the last six are ours."""

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """A consistent snapshot of the settings. `max_in_flight` and `max_per_endpoint` apply to each delivery run."""

    run_interval: timedelta
    retry_delays: tuple[timedelta, ...]
    timeout: timedelta
    disable_after: int
    lease: timedelta
    allow_http_localhost: bool
    max_in_flight: int
    max_per_endpoint: int
    run_budget: timedelta


def knobs() -> Knobs:
    """Read the settings.

    Raises: ImproperlyConfigured, naming the setting, if a value cannot work.
    """
    lease, timeout = _seconds("PARTNER_API_LEASE_S"), _seconds("PARTNER_API_TIMEOUT_S")
    if lease <= timeout:
        raise ImproperlyConfigured(
            "PARTNER_API_LEASE_S must be greater than PARTNER_API_TIMEOUT_S, or a delivery in flight is sent twice."
        )
    return Knobs(
        run_interval=_seconds("PARTNER_API_RUN_INTERVAL_S"),
        retry_delays=tuple(timedelta(seconds=delay) for delay in _get("PARTNER_API_RETRY_DELAYS_S")),
        timeout=timeout,
        disable_after=_at_least_one("PARTNER_API_DISABLE_AFTER"),
        lease=lease,
        allow_http_localhost=bool(_get("PARTNER_API_ALLOW_HTTP_LOCALHOST")),
        max_in_flight=_at_least_one("PARTNER_API_MAX_IN_FLIGHT"),
        max_per_endpoint=_at_least_one("PARTNER_API_MAX_PER_ENDPOINT"),
        run_budget=_seconds("PARTNER_API_RUN_BUDGET_S"),
    )


def encryption_keys() -> tuple[str, ...]:
    """Return the Fernet keys for secrets, the newest first."""
    return tuple(_get("PARTNER_API_KEYS"))


def calls_per_minute() -> int:
    """Return how many calls per minute a token may make, across all server processes."""
    return _at_least_one("PARTNER_API_CALLS_PER_MINUTE")


def cron(*, interval: timedelta) -> str:
    """Return the cron line for `interval`. Below a minute it has Procrastinate's sixth field, the seconds.

    Raises: ImproperlyConfigured if cron cannot express the interval, which must divide a minute or an hour.
    """
    seconds = int(interval.total_seconds())
    if interval == timedelta(seconds=seconds) > timedelta():
        if interval < _MINUTE and 60 % seconds == 0:
            return f"* * * * * */{seconds}"
        if interval < _HOUR and interval % _MINUTE == timedelta() and 60 % (seconds // 60) == 0:
            return f"*/{seconds // 60} * * * *"
        if interval == _HOUR:
            return "0 * * * *"
    raise ImproperlyConfigured(
        f"PARTNER_API_RUN_INTERVAL_S is {seconds}; it must be a whole number of seconds that divides a minute (5, 30), "
        "or of minutes that divides an hour (60, 300, 3600)."
    )


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return every setting of `DEFAULTS`, from `environ` where it is set.

    Raises: ImproperlyConfigured, naming the variable, if its text cannot be parsed.
    """
    return {name: _parse(name, environ[name]) if environ.get(name) else DEFAULTS[name] for name in DEFAULTS}


def _parse(name: str, text: str) -> Any:  # noqa: ANN401 - settings have different types
    default = DEFAULTS[name]
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.strip().lower()]
        if name == "PARTNER_API_KEYS":
            return tuple(key.strip() for key in text.split(",") if key.strip())
        if isinstance(default, tuple):
            return tuple(int(part) for part in text.split(","))
        return int(text)
    except (KeyError, ValueError) as error:
        kind = "yes or no" if isinstance(default, bool) else "a whole number, or several separated by commas"
        # Without the value: it may be a secret that was pasted into the wrong variable.
        raise ImproperlyConfigured(f"{name} cannot be read: it must be {kind}.") from error


def _get(name: str) -> Any:  # noqa: ANN401 - settings have different types
    return getattr(settings, name, DEFAULTS[name])


def _seconds(name: str) -> timedelta:
    value = timedelta(seconds=_get(name))
    if value <= timedelta():
        raise ImproperlyConfigured(f"{name} must be more than 0.")
    return value


def _at_least_one(name: str) -> int:
    value = int(_get(name))
    if value < 1:
        raise ImproperlyConfigured(f"{name} must be at least 1.")
    return value
