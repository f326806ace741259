"""Two consoles, two receivers and two workers on one PostgreSQL: killing one of each under load loses nothing."""

import contextlib
import http.client
import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection

from dashboard.launch import postgres
from dashboard.launch.processes import claim_port, end_with_owner
from dashboard.launch.site import gunicorn, worker
from dashboard.models import Attempt, Delivery, Endpoint, Install
from tests.factories import make_endpoint, make_install
from tests.faults.lengths import FAULT_SECONDS
from tests.faults.serving import PATIENCE_S, RECEIVER, Site, deliver

SENDERS, A_MINUTE_S = 4, 60


@dataclass
class Part:
    """One console, receiver or worker. `start` and `kill` may be called repeatedly. A worker has no port."""

    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    port: int | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_owner,  # noqa: PLW1509 - only asks the kernel for a signal
            )  # fmt: skip
        if self.port is not None:
            await_(f"{self.log.name} answers", lambda: self.get("/healthz") == 200)

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    def get(self, path: str) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            with contextlib.closing(connection):
                connection.request("GET", path)
                return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


@dataclass
class Fleet:
    consoles: list[Part]
    receivers: list[Part]
    workers: list[Part]

    @property
    def parts(self) -> list[Part]:
        return [*self.consoles, *self.receivers, *self.workers]

    @property
    def killed_at_once(self) -> list[list[Part]]:
        """Groups to kill at once: in a run of a minute each part alone, else the first of each kind and the second."""
        if FAULT_SECONDS >= A_MINUTE_S:
            return [[part] for part in self.parts]
        return [list(one) for one in zip(self.consoles, self.receivers, self.workers, strict=True)]


@dataclass
class Load:
    """Deliveries to either receiver, retried at the other if one does not respond, like OpenTrain's retries."""

    fleet: Fleet
    key: str
    sent: list[tuple[str, int | None]] = field(default_factory=list)
    pages: list[int | None] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self) -> None:
        while not self.done.is_set():
            number = next(self.numbers)
            status, ports = None, itertools.cycle([one.port for one in self.fleet.receivers][:: 1 - 2 * (number % 2)])
            while status != 200 and not self.done.is_set():
                status = deliver(port=next(ports) or 0, key=self.key, delivery_id=f"dlv_{number}", timeout_s=20)
                self.sent.append((f"dlv_{number}", status))

    def look(self) -> None:
        for console in itertools.cycle(self.fleet.consoles):
            if self.done.wait(0.1):
                return
            self.pages.append(console.get("/accounts/login/"))

    @property
    def taken(self) -> int:
        return sum(status == 200 for _, status in self.sent)


def await_(what: str, check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(0.05)
    pytest.fail(f"in vain: {what}")


def fleet_of(folder: Path, *, database_url: str) -> Fleet:
    """Return a fleet that is not started. The receivers stand alone, and share the folder of their spools."""
    own = {"WEB_WORKERS": "1", "OPENTRAIN_BASE_URL": "http://localhost:9/api/partner/v1", "POLL_EVERY_S": "1"}
    given = Site(folder, 0, database_url, changed=own | {"RECEIVER_CONSOLE": ""}).environment

    def part(name: str, command: Sequence[str], port: int | None = None) -> Part:
        return Part(command, given | {"RECEIVER_BIND": f"127.0.0.1:{port}"}, folder / f"{name}.log", port)

    def console(name: str, port: int) -> Part:
        web = gunicorn(application="dashboard.wsgi:application", bind=f"127.0.0.1:{port}", threads=16)
        return part(name, web, port)

    return Fleet(
        consoles=[console(f"console-{letter}", claim_port(0)) for letter in "ab"],
        receivers=[part(f"receiver-{letter}", RECEIVER, claim_port(0)) for letter in "ab"],
        workers=[part(f"worker-{letter}", worker()) for letter in "ab"],
    )


@pytest.fixture
def fleet(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[Fleet]:
    made = fleet_of(tmp_path, database_url=postgres_server.url(str(connection.settings_dict["NAME"])))
    try:
        for part in made.parts:  # in this thread: a process ends with the thread that started it (`end_with_owner`)
            part.start()
        yield made
    finally:
        for part in made.parts:
            part.kill()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [connection.settings_dict["NAME"]],
            )
            cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


def asked_anew(install: Install) -> Callable[[], bool]:
    """Return a check that a worker has polled the install since this call: OpenTrain is down, so failures increase."""
    before = Install.objects.values_list("failures", flat=True).get(pk=install.pk)
    Install.objects.filter(pk=install.pk).update(poll_after=None)
    return lambda: Install.objects.values_list("failures", flat=True).get(pk=install.pk) > before


@contextlib.contextmanager
def loaded(fleet: Fleet, endpoint: Endpoint) -> Iterator[Load]:
    load = Load(fleet, str(endpoint.receiver_key))
    with ThreadPoolExecutor(SENDERS + 1) as threads:
        running = [threads.submit(load.send) for _ in range(SENDERS)] + [threads.submit(load.look)]
        try:
            yield load
        finally:
            load.done.set()
    for one in running:
        one.result()


@pytest.mark.xdist_group("faults")
def test_any_one_of_a_fleet_is_killed_under_load_and_nothing_is_lost(fleet: Fleet) -> None:
    install = make_install()
    endpoint = make_endpoint(install=install)
    with loaded(fleet, endpoint) as load:
        for parts in fleet.killed_at_once:
            goes_on(load, "before a kill")
            for part in parts:
                part.kill()
            goes_on(load, "with one of them killed")
            if any(part in fleet.workers for part in parts):
                await_("the other worker asks", asked_anew(install))
            for part in parts:
                part.start()
        goes_on(load, "with all of them back")
        await_("a worker asks", asked_anew(install))
    received = {delivery_id for delivery_id, status in load.sent if status == 200}
    asked = Counter(delivery_id for delivery_id, _ in load.sent)
    logged = dict(Delivery.objects.values_list("opentrain_id", "attempt_count"))
    assert received - set(logged) == set()
    assert [one for one, attempts in logged.items() if attempts > asked[one]] == []
    assert Attempt.objects.count() == sum(logged.values())
    assert {status for _, status in load.sent} <= {200, 503, None}
    assert set(load.pages) <= {200, None}


def goes_on(load: Load, when: str) -> None:
    taken, seen = load.taken, len([page for page in load.pages if page == 200])
    await_(f"deliveries {when}", lambda: load.taken >= taken + 20)
    await_(f"pages {when}", lambda: len([page for page in load.pages if page == 200]) >= seen + 2)
