"""What happens to the receiver's database under load is not OpenTrain's concern: what the handler takes is a 2xx.

Afterwards the log has each attempt once, in order, with the answer that OpenTrain got.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.faults.cluster import KEY, Cluster, moved
from tests.faults.lengths import FAULT_SECONDS, fitting
from tests.faults.opentrain import (
    SENDERS,
    WAITS_S,
    OpenTrain,
    answered_in_time,
    await_log,
    handling,
    out_of_order,
    told_late,
)
from tests.faults.receiver_process import receiving
from tests.faults.serving import answer_to
from tests.launch.test_processes_stay_up import fill, fill_log, place, small_disk, until

pytestmark = pytest.mark.xdist_group("receiver_faults")
__all__ = ["place", "small_disk"]

FAULTS = fitting(3, least=1)
AWAY_S = max(FAULT_SECONDS / 5, 2)
"""Length of a fault: longer than an attempt waits for its commit, and in the long run longer than OpenTrain waits."""
COMMIT_S = 2
AGAIN = 2
LATE_S = 9.2


def frozen(cluster: Cluster) -> None:
    cluster.freeze()
    time.sleep(AWAY_S)
    cluster.thaw()


def killed(cluster: Cluster) -> None:
    cluster.kill()
    time.sleep(AWAY_S)
    cluster.start()


def killed_while_the_spool_is_replayed(cluster: Cluster) -> None:
    cluster.kill()
    time.sleep(AWAY_S)
    for _ in range(AGAIN):
        cluster.start()
        time.sleep(0.3)
        cluster.kill()
    cluster.start()


def restarted(cluster: Cluster) -> None:
    cluster.stop()
    time.sleep(AWAY_S)
    cluster.start()


def read_only(cluster: Cluster) -> None:
    cluster.set("default_transaction_read_only = on")
    time.sleep(AWAY_S)
    cluster.set("default_transaction_read_only = off")


def slow(cluster: Cluster) -> None:
    cluster.slow_down(COMMIT_S)
    time.sleep(2 * AWAY_S)
    cluster.slow_down(0)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (frozen, "it does not commit"),
        (killed, ""),
        (killed_while_the_spool_is_replayed, ""),
        (restarted, ""),
        (read_only, "ReadOnlySqlTransaction"),
        (slow, "it does not commit"),
    ],
)
def test_no_delivery_fails_and_the_log_has_each_attempt_once_and_in_order(
    cluster: Cluster, fault: Callable[[Cluster], None], why: str, tmp_path: Path
) -> None:
    check(cluster, fault, tmp_path, why=why)


def test_no_delivery_fails_while_the_disk_of_the_database_is_full(
    cluster: Cluster, small_disk: Path, tmp_path: Path
) -> None:
    def full(copy: Cluster) -> None:
        fill(small_disk / "filler")
        time.sleep(AWAY_S / 2)
        with pytest.raises(psycopg.OperationalError):  # either its write-ahead log is full too, or it panics
            fill_log(copy.url)
        time.sleep(AWAY_S / 2)
        (small_disk / "filler").unlink()
        copy.revive()

    with moved(cluster, to=small_disk) as copy:
        copy.set("max_wal_size = '64MB'")
        check(copy, full, tmp_path, why="")


def test_answer_in_the_last_second_gets_through_while_the_database_is_stopped(cluster: Cluster, tmp_path: Path) -> None:
    with handling() as (handler, handler_url), ThreadPoolExecutor(SENDERS) as threads:
        cluster.renew(handler_url=handler_url)
        with receiving(tmp_path, environment=cluster.environment(tmp_path)) as receiver:
            handler.takes_s = LATE_S
            given = {"port": receiver.port, "key": KEY, "timeout_s": WAITS_S}
            begun = [threads.submit(answer_to, delivery_id=f"dlv_{n}1", **given) for n in range(SENDERS)]
            time.sleep(LATE_S - 1)
            cluster.freeze()
            answers = {f"dlv_{n}1": [one.result()] for n, one in enumerate(begun)}
            cluster.thaw()
            assert answers == handler.calls
            assert await_log(cluster.url, attempts=SENDERS) == handler.calls
            until(lambda: answered_in_time(cluster.url) == SENDERS)


def check(cluster: Cluster, fault: Callable[[Cluster], None], folder: Path, *, why: str) -> None:
    """Have the fault while OpenTrain delivers. `why` is what the receiver's log says of it."""
    gaps = []
    with handling() as (handler, handler_url):
        cluster.renew(handler_url=handler_url)
        with receiving(folder, environment=cluster.environment(folder)) as receiver:
            opentrain = OpenTrain([receiver.port], KEY)
            with opentrain.sending():
                opentrain.until_more()
                for _ in range(FAULTS):
                    assert receiver.keeps_in() == "database"
                    since = time.monotonic()
                    fault(cluster)
                    opentrain.until_more()
                    until(lambda: receiver.keeps_in() == "database")
                    opentrain.until_more()
                    gaps.append(opentrain.longest_gap_s(since=since))
            assert opentrain.answers() == handler.calls
            assert await_log(cluster.url, attempts=len(opentrain.tries)) == handler.calls
            assert out_of_order(cluster.url) == told_late(cluster.url) == 0
            assert f"the database counts as away: {why}" in receiver.log.read_text()
            assert " ERROR " not in receiver.log.read_text()
            assert "psycopg [" not in receiver.log.read_text()
            assert [path.name for path in receiver.spool.rglob("*") if path.suffix in {".spool", ".aside"}] == []
    print(  # noqa: T201
        f"{fault.__name__} {FAULTS} times: {len(opentrain.tries)} tries of {len(handler.calls)} deliveries, "
        f"at most {max(gaps):.2f} s without a 2xx"
    )
