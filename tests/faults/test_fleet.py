"""Two consoles, two receivers and two workers on one PostgreSQL: killing one of each under load loses nothing."""

import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection

from dashboard.launch import postgres
from dashboard.launch.processes import claim_port, end_with_owner
from dashboard.launch.site import worker
from dashboard.models import Attempt, Delivery, Endpoint, Install
from tests.factories import make_endpoint, make_install
from tests.faults.lengths import FAULT_SECONDS
from tests.faults.serving import PATIENCE_S, Site, deliver

SENDERS, A_MINUTE_S = 4, 60


@dataclass
class Worker:
    """One background worker. `start` and `kill` may be called repeatedly."""

    site: Site
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with (self.site.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                worker(), env=self.site.environment, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_owner,  # noqa: PLW1509 - only asks the kernel for a signal
            )  # fmt: skip

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)


@dataclass
class Fleet:
    consoles: list[Site]
    receivers: list[Site]
    workers: list[Worker]

    @property
    def parts(self) -> list[Site | Worker]:
        return [*self.consoles, *self.receivers, *self.workers]

    @property
    def killed_at_once(self) -> list[list[Site | Worker]]:
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
                status = deliver(port=next(ports), key=self.key, delivery_id=f"dlv_{number}", timeout_s=20)
                self.sent.append((f"dlv_{number}", status))

    def look(self) -> None:
        for site in itertools.cycle(self.fleet.consoles):
            if self.done.wait(0.1):
                return
            try:
                self.pages.append(site.get("/accounts/login/"))
            except OSError:
                self.pages.append(None)

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


def site(folder: Path, *, url: str, serve: str) -> Site:
    changed = {"SERVE": serve, "WEB_WORKERS": "1", "OPENTRAIN_BASE_URL": "http://localhost:9/api/partner/v1"}
    return Site(folder, claim_port(0), url, changed=changed | {"POLL_EVERY_S": "1"})


@pytest.fixture
def fleet(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[Fleet]:
    url = postgres_server.url(str(connection.settings_dict["NAME"]))
    consoles = [site(tmp_path, url=url, serve="console") for _ in range(2)]
    receivers = [site(tmp_path, url=url, serve="receiver") for _ in range(2)]
    made = Fleet(consoles, receivers, [Worker(one) for one in consoles])
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
            if any(isinstance(part, Worker) for part in parts):
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
