"""The engine while its environment fails (clock, DNS, receiver), and with two runners that share the work."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import engine_rows
from tests.faults import engine_database as database
from tests.faults.lengths import FAULT_SECONDS
from tests.faults.receivers import Recorder, Workers, serve
from tests.partner_api import sink

HOUR_S = 3600

pytestmark = pytest.mark.xdist_group("engine_faults")


@pytest.fixture(scope="module")
def prepared() -> Iterator[tuple[object, dict[str, str]]]:
    with engine_rows.database(durable=False) as (server, environment):
        knobs = {"PARTNER_API_TIMEOUT_S": "9", "PARTNER_API_LEASE_S": "10", "PARTNER_API_DISABLE_AFTER": "1000"}
        yield server, environment | knobs


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker whose clock and DNS tests can break with files in `tmp_path`."""
    return {"PYTHONPATH": str(Path(__file__).parent / "elsewhere"), "FAULTS_FOLDER": str(tmp_path)}


def signed_at(signature: str) -> int:
    return int(signature.split(",", maxsplit=1)[0].removeprefix("t="))


def one_in_ten_fails_once(delivery_id: str, earlier: int) -> int:
    return 503 if earlier == 0 and delivery_id[-1] in "01" else 200


def test_a_clock_that_jumps_by_an_hour_and_back_loses_repeats_and_delays_nothing(
    prepared, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 1500, Recorder(one_in_ten_fails_once)
    receiver, began = serve(recorder), time.time()
    environment = environment | elsewhere | {"PARTNER_API_RETRY_DELAYS_S": "2,2,2,2"}
    database.load(url, environment, receiver.url, count=count)
    workers = Workers(environment, count=1)
    try:
        database.until_arrived(workers, recorder, count=count // 5)
        (tmp_path / "clock").write_text(str(HOUR_S))
        database.until_arrived(workers, recorder, count=count // 2)
        (tmp_path / "clock").write_text(str(-HOUR_S))
        database.finish(workers, url, expected={"DELIVERED": count}, seconds=180)
        # The previous run has ended; the next must begin although the shifted clock would make cron wait for an hour.
        engine_rows.load_deliveries(url, first=count + 1, count=100, endpoints=database.ENDPOINTS)
        database.finish(workers, url, expected={"DELIVERED": count + 100}, seconds=120)
    finally:
        workers.end()
        receiver.stop()
    facts = database.facts(url)
    assert (recorder.doubled, facts.attempts, facts.held) == (0, len(recorder.posts), 0)
    stamps = [signed_at(post.signature) for post in recorder.posts]
    assert began - 5 <= min(stamps) <= max(stamps) <= time.time() + 5


def test_two_workers_whose_clocks_are_an_hour_apart_share_the_work(
    prepared, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 1500, Recorder()
    (tmp_path / "clock").write_text(str(HOUR_S))
    receiver = serve(recorder)
    database.load(url, environment, receiver.url, count=count)
    right, ahead = Workers(environment, count=1), Workers(environment | elsewhere, count=1)
    try:
        database.finish(right, url, expected={"DELIVERED": count}, seconds=180)
    finally:
        right.end()
        ahead.end()
        receiver.stop()
    assert (recorder.doubled, len(recorder.posts)) == (0, count)


def test_names_that_cannot_be_resolved_for_a_while_get_everything_afterwards(
    prepared, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 60, Recorder()
    receiver = serve(recorder)
    (tmp_path / "no-dns").touch()
    environment = environment | elsewhere | {"PARTNER_API_RETRY_DELAYS_S": "4,4,4,4"}
    database.load(url, environment, receiver.url, count=count)
    workers = Workers(environment, count=1)
    try:
        database.until(lambda: database.causes(url).get("dns", 0) >= count, seconds=120)
        assert (recorder.posts, database.states(url)) == ([], {"PENDING": count})
        (tmp_path / "no-dns").unlink()
        database.finish(workers, url, expected={"DELIVERED": count}, seconds=120)
    finally:
        workers.end()
        receiver.stop()
    assert set(database.causes(url)) == {"dns", ""}
    assert sorted(post.delivery_id for post in recorder.posts) == sorted(database.facts(url).states)


def test_a_receiver_that_refuses_for_a_while_gets_everything_afterwards(prepared) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 60, Recorder()
    delays_s = ",".join([str(round(FAULT_SECONDS / 2))] * 4)  # four tries in twice the outage's length
    environment = environment | {"PARTNER_API_RETRY_DELAYS_S": delays_s}
    target = sink.unused_url()
    database.load(url, environment, target, count=count)
    workers = Workers(environment, count=1)
    receiver = None
    try:
        database.until(lambda: database.causes(url).get("refused", 0) >= count, seconds=120)
        time.sleep(FAULT_SECONDS)
        assert database.states(url) == {"PENDING": count}
        assert set(database.causes(url)) == {"refused"}
        receiver = serve(recorder, port=int(target.rsplit(":", 1)[1].removesuffix("/hooks")))
        database.finish(workers, url, expected={"DELIVERED": count}, seconds=120)
    finally:
        workers.end()
        if receiver is not None:
            receiver.stop()
    assert sorted(post.delivery_id for post in recorder.posts) == sorted(database.facts(url).states)


def test_two_workers_under_load_never_post_a_delivery_twice_at_once(prepared, capsys) -> None:
    server, environment = prepared
    url, recorder = server.url("partner_api"), Recorder(one_in_ten_fails_once)
    environment = environment | {"PARTNER_API_LEASE_S": "30", "PARTNER_API_RETRY_DELAYS_S": "2,2,2,2"}
    receiver = serve(recorder)
    count = 2000
    database.load(url, environment, receiver.url, count=count)
    workers, over = Workers(environment, count=2), time.monotonic() + FAULT_SECONDS
    try:
        while time.monotonic() < over:
            if database.states(url).get("PENDING", 0) < 1000:
                engine_rows.load_deliveries(url, first=count + 1, count=1000, endpoints=database.ENDPOINTS)
                count += 1000
            time.sleep(0.1)
        database.finish(workers, url, expected={"DELIVERED": count}, seconds=180)
    finally:
        workers.end()
        receiver.stop()
    facts = database.facts(url)
    with capsys.disabled():
        print(f"\n2 workers for {FAULT_SECONDS:.0f} s: {len(recorder.posts)} posts, {recorder.doubled} at once")  # noqa: T201
    assert (recorder.doubled, len(recorder.posts), facts.held) == (0, facts.attempts, 0)
