"""`make bench-action`: time from a click on Redeliver to its partial, compared with the same API call made directly.

It runs the real console and the real Partner API, each under gunicorn as `launch/site.py` starts it, on a separate
PostgreSQL with durable commits. Clicks and calls alternate, so that other load on the machine affects both equally. The
last line is one JSON object; overhead_ms and ratio compare the two 95th percentiles. The medians beside them show
whether the program or a busy machine is slow.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import requests

ROUNDS = int(os.environ.get("ROUNDS", "400"))
WARM_UP = 40
DELIVERIES = 50
UP_S = 60


def main() -> None:
    """Run the benchmark and print its results."""
    from dashboard.launch import postgres

    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
        server = postgres.start(folder=folder)
        try:
            server.create_database("redeliver")
            server.create_database("partner_api")
            print(json.dumps(_measured(folder, server=server)))
        finally:
            server.stop()


def _measured(folder: Path, *, server: Any) -> dict[str, float]:
    from cryptography.fernet import Fernet

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "DATABASE_URL": server.url("redeliver"),
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "SECRET_KEY": "only-for-tests",
        "HTTPS": "0",
        "PARTNER_API_DATABASE_URL": server.url("partner_api"),
        "PARTNER_API_KEYS": Fernet.generate_key().decode(),
        "PARTNER_API_CALLS_PER_MINUTE": "1000000",
    }
    import django

    django.setup()
    from tests.faults.serving import serving

    with _partner_api(folder) as api, serving(folder, database_url=server.url("redeliver"), **api.settings) as site:
        site.manage("migrate", "--noinput")
        site.start()
        click = _clicks(site_url=f"http://127.0.0.1:{site.port}", api=api)
        figures = _figures(click=click, call=_calls(api))
        from django.db import connection

        connection.close()
        connection.close_pool()
    return figures


class _Api:
    """A running Partner API, with an install, its endpoint and the endpoint's deliveries."""

    def __init__(self, url: str) -> None:
        self.url = url
        granted = json.loads(_papi("create_install", "--organization", "Acme").splitlines()[-1])
        self.install, self.token = granted["install"], granted["token"]
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.token}"
        body = {"url": "http://localhost:9/hooks", "eventTypes": ["contract.started"]}
        answer = self.session.post(f"{url}/webhook-endpoints", json=body, timeout=10)
        self.endpoint = answer.json()["webhookEndpoint"]["id"]
        _papi("emit", "--install", self.install, "--type", "contract.started", "--count", str(DELIVERIES))
        told = _papi("deliveries", "--install", self.install, "--limit", str(DELIVERIES)).splitlines()
        self.deliveries = [json.loads(line)["delivery"] for line in told if line.startswith("{")]
        assert len(self.deliveries) == DELIVERIES

    @property
    def settings(self) -> dict[str, str]:
        return {"OPENTRAIN_BASE_URL": self.url}


def _papi(command: str, *arguments: str) -> str:
    from dashboard.launch.site import manage_partner_api

    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.partner_api.settings"}
    ran = subprocess.run(
        manage_partner_api(command, *arguments), env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout


@contextlib.contextmanager
def _partner_api(folder: Path) -> Iterator[_Api]:
    """Serve the Partner API without its engine, so that nothing is attempted during the benchmark."""
    from dashboard.launch.processes import claim_port, end_with_owner
    from dashboard.launch.site import gunicorn

    _papi("migrate", "--noinput")
    port = claim_port(0)
    command = gunicorn(application="dashboard.partner_api.wsgi:application", bind=f"127.0.0.1:{port}", threads=8)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.partner_api.settings"}
    with (folder / "partner-api.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=end_with_owner)  # noqa: PLW1509
    try:
        url = f"http://127.0.0.1:{port}/api/partner/v1"
        deadline = time.monotonic() + UP_S
        while True:
            try:
                requests.get(f"{url}/openapi.json", timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    sys.exit("the Partner API did not come up")
                time.sleep(0.1)
        yield _Api(url)
    finally:
        process.terminate()
        process.wait(30)


def _clicks(*, site_url: str, api: _Api) -> Callable[[], None]:
    """Return a function that presses Redeliver on the next delivery as a browser does, each time as a new operation."""
    pks = _rows(api)
    session = requests.Session()
    _sign_in(session, site_url)
    headers = {"HX-Request": "true", "X-CSRFToken": session.cookies["csrftoken"], "Referer": site_url}

    def click() -> None:
        pks.append(pks.pop(0))
        form = {"operation": str(uuid.uuid4())}
        answer = session.post(f"{site_url}/deliveries/{pks[-1]}/redeliver/", form, headers=headers, timeout=30)
        if "1 requeued." not in answer.text:
            sys.exit(f"not redelivered: {answer.status_code}")

    return click


def _rows(api: _Api) -> list[int]:
    """Store the install and its deliveries in the console's database, all failed, as the receiver would store them."""
    from django.utils import timezone

    from dashboard.models import User
    from dashboard.vault import Secret
    from tests.factories import make_endpoint, make_failed_delivery, make_install

    now = timezone.now()
    install = make_install(opentrain_id=api.install, token=Secret(api.token), checked_at=now)
    endpoint = make_endpoint(install=install, opentrain_id=api.endpoint, snapshot_at=now)
    User.objects.create_user("ana", password="a-long-password", role="support")
    an_hour_ago = now - timedelta(hours=1)
    return [
        make_failed_delivery(
            endpoint=endpoint, opentrain_id=one, first_received_at=an_hour_ago, last_attempt_at=an_hour_ago
        ).pk
        for one in api.deliveries
    ]


def _sign_in(session: requests.Session, site_url: str) -> None:
    page = f"{site_url}/accounts/login/"
    session.get(page, timeout=30)
    form = {"login": "ana", "password": "a-long-password", "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    session.post(page, form, headers={"Referer": page}, timeout=30)
    if "sessionid" not in session.cookies:
        sys.exit("could not sign in")


def _calls(api: _Api) -> Callable[[], None]:
    """Return a function that makes the same call directly, as a one-off script would: each on a new connection."""
    ids, address = list(api.deliveries), f"{api.url}/webhook-endpoints/{api.endpoint}/redeliver"
    headers = {"Authorization": f"Bearer {api.token}"}

    def call() -> None:
        ids.append(ids.pop(0))
        answer = requests.post(address, json={"deliveryId": ids[-1]}, headers=headers, timeout=30)
        if answer.json()["requeued"] != 1:
            sys.exit(f"not requeued: {answer.status_code}")

    return call


def _figures(*, click: Callable[[], None], call: Callable[[], None]) -> dict[str, float]:
    times: dict[Callable[[], None], list[float]] = {click: [], call: []}
    for turn in range(WARM_UP + ROUNDS):
        for act, taken_ms in times.items():
            started = time.perf_counter()
            act()
            if turn >= WARM_UP:
                taken_ms.append((time.perf_counter() - started) * 1000)
    p95_ms, api_p95_ms = (_percentile_95(taken_ms) for taken_ms in times.values())
    return {
        "p95_ms": round(p95_ms, 1),
        "api_p95_ms": round(api_p95_ms, 1),
        "overhead_ms": round(p95_ms - api_p95_ms, 1),
        "ratio": round(p95_ms / api_p95_ms, 2),
        "median_ms": round(median(times[click]), 1),
        "api_median_ms": round(median(times[call]), 1),
    }


def _percentile_95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
