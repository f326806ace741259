"""kill -9 of every process, in `make run` and of a receiver that stands alone: deliveries go on, and none is lost."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboard.launch.site import gunicorn, worker
from dashboard.rules.restarts import wait_s
from tests.faults.cluster import KEY, Cluster
from tests.faults.lengths import FAULT_SECONDS, fitting
from tests.faults.opentrain import Handler, OpenTrain, check_log, handling, log_of, out_of_order, told_late
from tests.faults.serving import PATIENCE_S, RECEIVER, Site
from tests.launch.test_processes_deliver_on import OWN, environment, registered
from tests.launch.test_processes_stay_up import Started, command_line, place, started, until

pytestmark = pytest.mark.xdist_group("receiver_faults")
__all__ = ["place"]

ROUNDS = fitting(3, least=1)
BETWEEN = 50
"""How many deliveries succeed before and after a kill."""
SHARED = 3 if FAULT_SECONDS < 60 else 1
"""In the suite, other tests use the same cores, and what is started again takes longer."""
WITHOUT_S, WITHOUT_RECEIVER_S = 2 * SHARED, 5 * SHARED
"""The longest time without a success that is allowed."""
RESTART_S = 1
"""How long the units' supervisor waits before it starts something again."""

Kill = Callable[[], None]


def kill_each(
    opentrain: OpenTrain, kills: dict[str, Kill], *, waits_s: Callable[[int], float] = lambda _endings: RESTART_S
) -> None:
    """Kill one after the other under load, and assert that only a receiver's death costs an answer.

    `waits_s` is how long the receiver's supervisor waits after this many endings. One wait of 1 s is allowed for.
    """
    gaps: dict[str, list[float]] = {name: [] for name in kills}
    with opentrain.sending():
        for _ in range(ROUNDS):
            for name, kill in kills.items():
                opentrain.until_more(BETWEEN)
                since, before = time.monotonic(), len(opentrain.tries)
                kill()
                opentrain.until_more(BETWEEN)
                gaps[name].append(opentrain.longest_gap_s(since=since))
                unanswered = [one for one in opentrain.tries[before:] if one.answer[0] is None]
                assert name == "receiver" or unanswered == [], name
    print(", ".join(f"{name} {max(those):.2f} s" for name, those in gaps.items()), "without a 2xx")  # noqa: T201
    of_receiver = gaps.pop("receiver")
    assert {name: those for name, those in gaps.items() if max(those) > WITHOUT_S} == {}
    allowed = [WITHOUT_RECEIVER_S + max(waits_s(endings) - RESTART_S, 0) for endings in range(1, ROUNDS + 1)]
    assert all(gap < most for gap, most in zip(of_receiver, allowed, strict=True)), of_receiver


def check(opentrain: OpenTrain, handler: Handler, *, url: str, spools: Path) -> None:
    until(lambda: not list(spools.rglob("*.spool")))
    answers = [one.answer for one in opentrain.tries if one.answer[0] is not None]
    assert set(answers) <= {one for calls in handler.calls.values() for one in calls}
    check_log(opentrain, handler, log_of(url))
    assert out_of_order(url) == told_late(url) == 0


def child_of(pid: int, *, named: str = "") -> int:
    """Return the newest child whose command line has this name in it."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return max(child for child in found if named in " ".join(command_line(child)))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_make_run_delivers_on_whatever_is_killed(place: Path, tmp_path: Path) -> None:
    def part(running: Started, name: str) -> Kill:
        def kill_it() -> None:
            until(lambda: name in running.parts())  # a worker without its database ends too
            old = running.parts()[name]
            kill(old)
            until(lambda: running.parts().get(name, old) != old)

        return kill_it

    with (
        handling() as (handler, handler_url),
        started("run", folder=place, output=tmp_path / "printed", **OWN) as running,
    ):
        port = int(running.url.rpartition(":")[2])
        opentrain = OpenTrain([port], registered(running, handler_url=handler_url))
        kill_each(
            opentrain,
            {
                "worker": part(running, "worker"),
                "console's process": lambda: kill(child_of(running.parts()["console"])),
                "console": part(running, "console"),
                "PostgreSQL's process": lambda: kill(child_of(running.parts()["postgres"], named="redeliver")),
                "postgres": part(running, "postgres"),
                "receiver": part(running, "receiver"),
            },
            waits_s=wait_s,
        )
        until(lambda: running.console("/readyz")[0] == 200)
        check(opentrain, handler, url=environment(running)["DATABASE_URL"], spools=place)


class Unit:
    """A process that is started again a moment after it has ended, as the systemd units say."""

    def __init__(self, start: "Callable[[], subprocess.Popen[bytes]]") -> None:
        self._start = start
        self.process = start()

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        time.sleep(RESTART_S)
        self.process = self._start()


@contextlib.contextmanager
def units(site: Site, listening: socket.socket) -> Iterator[dict[str, Unit]]:
    """Run a receiver, a console and a worker as units do: the receiver stands alone, on a socket that outlives it."""
    passed = (listening.fileno(),)
    console = gunicorn(application=site.application, bind=f"unix:{site.private}", threads=4)
    running = {
        "receiver": Unit(lambda: site._run(RECEIVER, passed=passed)),
        "console": Unit(lambda: site._run(console)),
        "worker": Unit(lambda: site._run(worker())),
    }
    try:
        yield running
    finally:
        for unit in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(unit.process.pid, signal.SIGKILL)
            unit.process.wait(PATIENCE_S)


def test_receiver_that_stands_alone_delivers_on_whatever_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    def kill_cluster() -> None:
        cluster.kill()
        time.sleep(RESTART_S)
        cluster.start()

    with handling() as (handler, handler_url), socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        cluster.renew(handler_url=handler_url)
        given = {"RECEIVER_BIND": f"fd://{listening.fileno()}", "RECEIVER_CONSOLE": ""}
        site = Site(folder=tmp_path, port=0, database_url=cluster.url, changed=given)
        with units(site, listening) as running:
            opentrain = OpenTrain([listening.getsockname()[1]], KEY)
            kill_each(
                opentrain,
                {
                    "worker": running["worker"].kill,
                    "console's process": lambda: kill(child_of(running["console"].process.pid)),
                    "console": running["console"].kill,
                    "PostgreSQL's process": lambda: kill(child_of(cluster.server.process.pid, named="redeliver")),
                    "postgres": kill_cluster,
                    "receiver": running["receiver"].kill,
                },
            )
            check(opentrain, handler, url=cluster.url, spools=tmp_path)
