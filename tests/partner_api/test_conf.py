"""Settings of the Partner API: OpenTrain's values by default, and a clear message for an invalid one."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import conf
from dashboard.partner_api.conf import Knobs


def test_knobs_are_opentrains_when_nothing_is_set() -> None:
    assert conf.knobs() == Knobs(
        run_interval=timedelta(minutes=5),
        retry_delays=(timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)),
        timeout=timedelta(seconds=10),
        disable_after=10,
        lease=timedelta(seconds=60),
        allow_http_localhost=True,
        max_in_flight=400,
        max_per_endpoint=10,
        run_budget=timedelta(seconds=60),
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PARTNER_API_LEASE_S", 10, "PARTNER_API_LEASE_S must be greater than PARTNER_API_TIMEOUT_S"),
        ("PARTNER_API_TIMEOUT_S", 0, "PARTNER_API_TIMEOUT_S must be more than 0"),
        ("PARTNER_API_DISABLE_AFTER", 0, "PARTNER_API_DISABLE_AFTER must be at least 1"),
    ],
)
def test_knobs_that_cannot_work_are_named(settings, name: str, value: int, words: str) -> None:
    setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured, match=words):
        conf.knobs()


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (1, "* * * * * */1"), (5, "* * * * * */5"), (30, "* * * * * */30"), (60, "*/1 * * * *"),
        (300, "*/5 * * * *"), (3600, "0 * * * *"),
    ],
)  # fmt: skip
def test_cron_says_the_interval(seconds: int, line: str) -> None:
    assert conf.cron(interval=timedelta(seconds=seconds)) == line


@pytest.mark.parametrize("seconds", [0, 7, 0.5, 90, 420, 7200])
def test_cron_refuses_what_it_cannot_say(seconds: float) -> None:
    with pytest.raises(ImproperlyConfigured, match="PARTNER_API_RUN_INTERVAL_S"):
        conf.cron(interval=timedelta(seconds=seconds))


def test_from_environment_reads_every_kind() -> None:
    read = conf.from_environment(
        {
            "PARTNER_API_RETRY_DELAYS_S": "2,4, 6,8",
            "PARTNER_API_RUN_INTERVAL_S": "5",
            "PARTNER_API_ALLOW_HTTP_LOCALHOST": "no",
            "PARTNER_API_KEYS": "a, b,",
        }
    )
    assert read == conf.DEFAULTS | {
        "PARTNER_API_RETRY_DELAYS_S": (2, 4, 6, 8),
        "PARTNER_API_RUN_INTERVAL_S": 5,
        "PARTNER_API_ALLOW_HTTP_LOCALHOST": False,
        "PARTNER_API_KEYS": ("a", "b"),
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PARTNER_API_RUN_INTERVAL_S", "soon"),
        ("PARTNER_API_RETRY_DELAYS_S", "1;2"),
        ("PARTNER_API_ALLOW_HTTP_LOCALHOST", "perhaps"),
    ],
)
def test_from_environment_names_the_variable_and_not_its_value(name: str, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as refusal:
        conf.from_environment({name: text})
    assert text not in str(refusal.value)


@pytest.mark.slow
def test_settings_without_a_database_end_with_one_clear_line() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL")}
    done = subprocess.run(
        [sys.executable, "-c", "import dashboard.partner_api.settings"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: The Partner API needs a PostgreSQL database: set "
        "PARTNER_API_DATABASE_URL (or DATABASE_URL) to postgresql://user:password@host/name."
    )
