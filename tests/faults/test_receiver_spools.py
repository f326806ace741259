"""Spools of real receivers: one dies and another takes over, a full disk, another format, and what stands in the files.

In each case the database is away, so what OpenTrain is told depends on the spool alone.
"""

import base64
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from dashboard.receiver.own_spool import name_of
from dashboard.receiver.segments import HEADER_BYTES
from tests.factories import BODY, SECRET
from tests.faults.cluster import KEY, Cluster
from tests.faults.lengths import FAULT_SECONDS, fitting
from tests.faults.opentrain import (
    SENDERS,
    Handler,
    OpenTrain,
    check_log,
    handling,
    log_of,
    out_of_order,
    told_late,
    unkept,
)
from tests.faults.receiver_process import Receiver, receiving
from tests.faults.serving import answer_to
from tests.launch.test_processes_stay_up import fill, until
from tests.small_disk import mounted

pytestmark = pytest.mark.xdist_group("receiver_faults")

AWAY_S = max(FAULT_SECONDS / 5, 2)
DEATHS = fitting(3, least=1)
NAME = "web1"


@pytest.fixture
def environment(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    return cluster.environment(tmp_path) | {"RECEIVER_NAME": NAME}


@pytest.fixture
def handler(cluster: Cluster) -> Iterator[Handler]:
    """The handler of the endpoint of a fresh database."""
    with handling() as (one, url):
        cluster.renew(handler_url=url)
        yield one


@pytest.fixture
def away(cluster: Cluster, handler: Handler) -> Iterator[Cluster]:
    """The database, which runs again at the end."""
    yield cluster
    if cluster.server.process.poll() is not None:
        cluster.start()


def check(opentrain: OpenTrain, handler: Handler, receiver: Receiver, *, url: str) -> None:
    """Let everything enter the log, and hold it against what the handler did and OpenTrain was told."""
    until(lambda: receiver.segments() == [])
    check_log(opentrain, handler, log_of(url))


def test_receiver_that_dies_leaves_its_spool_to_the_other(
    environment: dict[str, str], handler: Handler, away: Cluster, tmp_path: Path
) -> None:
    with receiving(tmp_path, environment=environment) as first, receiving(tmp_path, environment=environment) as second:
        opentrain = OpenTrain([first.port, second.port], KEY)
        with opentrain.sending():
            opentrain.until_more()
            away.kill()
            until(lambda: {first.keeps_in(), second.keeps_in()} == {"spool"})
            time.sleep(AWAY_S)
            opentrain.until_more()
            assert {path.parent.name for path in first.segments()} == {name_of(NAME, "a"), name_of(NAME, "b")}
            first.kill()
            opentrain.until_more()
            away.start()
            opentrain.until_more()
        check(opentrain, handler, second, url=away.url)
        assert not (first.spool / name_of(NAME)).exists()
        until(lambda: reports(away.url) == {name_of(NAME, "b"): 0})
    assert told_late(away.url) == 0


def reports(url: str) -> dict[str, int]:
    """Return what receivers have reported last: how many attempts each holds."""
    with psycopg.connect(url) as database:
        return dict(database.execute("SELECT name, held FROM dashboard_receiverreport").fetchall())


def test_receiver_that_is_killed_and_started_without_its_database_goes_on(
    environment: dict[str, str], handler: Handler, away: Cluster, tmp_path: Path
) -> None:
    with receiving(tmp_path, environment=environment) as receiver:
        opentrain = OpenTrain([receiver.port], KEY)
        with opentrain.sending():
            opentrain.until_more()
            away.kill()
            for _ in range(DEATHS):
                opentrain.until_more()
                receiver.kill()
                receiver.start()
            opentrain.until_more()
            away.start()
            opentrain.until_more()
            until(lambda: receiver.keeps_in() == "database")
        check(opentrain, handler, receiver, url=away.url)
    assert {one.answer[0] for one in opentrain.tries} == {200, 503, None}
    assert out_of_order(away.url) == told_late(away.url) == 0


UNAVAILABLE = b'"reason": "unavailable"'


def is_unavailable(opentrain: OpenTrain) -> bool:
    """Return whether OpenTrain was told at last that nothing can keep the attempt."""
    status, body = opentrain.tries[-1].answer
    return status == 503 and UNAVAILABLE in body


def test_full_spool_tells_opentrain_to_try_again_and_loses_nothing(
    environment: dict[str, str], handler: Handler, away: Cluster, tmp_path: Path
) -> None:
    with receiving(tmp_path, environment=environment, RECEIVER_SPOOL_MAX_MB="1") as receiver:
        opentrain = OpenTrain([receiver.port], KEY)
        with opentrain.sending():
            opentrain.until_more()
            away.kill()
            until(lambda: is_unavailable(opentrain))
            assert receiver.keeps_in() == "nothing"
            time.sleep(AWAY_S)
            away.start()
            opentrain.until_more()
            until(lambda: receiver.keeps_in() == "database")
            opentrain.until_more()
        check(opentrain, handler, receiver, url=away.url)
        check_refusals(opentrain, handler, url=away.url)
    # What the full spool cannot keep has half a second, so it enters the log before what waits there. OpenTrain sends
    # the next delivery of a sender once that is answered, and of the next one nothing waits.
    assert out_of_order(away.url) <= SENDERS


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "size=8m,mode=0700") as place:
        yield place


def test_spool_on_a_full_disk_matters_only_without_the_database_and_goes_on_when_there_is_room(
    environment: dict[str, str], handler: Handler, away: Cluster, small_disk: Path, tmp_path: Path
) -> None:
    fill(small_disk / "filler")
    with receiving(tmp_path, environment=environment, RECEIVER_SPOOL_DIR=str(small_disk)) as receiver:
        opentrain = OpenTrain([receiver.port], KEY)
        with opentrain.sending():
            opentrain.until_more()
            assert receiver.keeps_in() == "database"
            assert all(one.answer in handler.calls[one.delivery_id] for one in list(opentrain.tries))
            away.kill()
            until(lambda: is_unavailable(opentrain))
            assert receiver.keeps_in() == "nothing"
            time.sleep(AWAY_S)
            (small_disk / "filler").unlink()
            opentrain.until_more()
            assert receiver.keeps_in() == "spool"
            away.start()
            until(lambda: receiver.keeps_in() == "database")
            opentrain.until_more()
        check(opentrain, handler, receiver, url=away.url)
        check_refusals(opentrain, handler, url=away.url)
    assert out_of_order(away.url) == 0


def check_refusals(opentrain: OpenTrain, handler: Handler, *, url: str) -> None:
    """Assert that OpenTrain got the handler's answer or was told that nothing keeps it, and that the log says which."""
    answers, log = opentrain.answers(), log_of(url)
    assert answers.keys() == handler.calls.keys()
    refused = set[bytes]()
    for name, calls in handler.calls.items():
        for told, call in zip(answers[name], calls, strict=True):
            if told != call:
                assert told[0] == 503, name
                assert UNAVAILABLE in told[1], name
                refused.add(call[1])
    assert refused
    logged = {body for attempts in log.values() for _, body in attempts}
    failed = {body for attempts in log.values() for status, body in attempts if status != 200}
    until(lambda: (refused & logged) - failed <= unkept(url) <= refused)


def test_spool_of_another_format_is_left_alone_until_its_release_reads_it(
    environment: dict[str, str], handler: Handler, away: Cluster, tmp_path: Path
) -> None:
    with receiving(tmp_path, environment=environment) as receiver:
        earlier = spooled(receiver, away)
        receiver.kill()
        files = {path: path.read_bytes() for path in receiver.segments()}
        for path, data in files.items():
            path.write_bytes(of_version(data, 2))
        receiver.start()
        later = spooled(receiver, away)
        away.start()
        until(lambda: [path.parent.name for path in receiver.segments()] == [name_of(NAME)] * len(files))
        assert log_of(away.url).keys() == later
        assert {path: path.read_bytes() for path in receiver.segments()} == {
            path: of_version(data, 2) for path, data in files.items()
        }
        assert "has format version 2; this release of Redeliver reads version 1" in receiver.log.read_text()
        for path, data in files.items():  # what the release does that can read it
            path.write_bytes(data)
        until(lambda: receiver.segments() == [])
    assert log_of(away.url) == handler.calls
    assert log_of(away.url).keys() == earlier | later


def spooled(receiver: Receiver, away: Cluster) -> set[str]:
    """Deliver while the database is away; return the deliveries' IDs."""
    if away.server.process.poll() is None:
        away.kill()
    ids = {f"dlv_{time.monotonic_ns()}1" for _ in range(10)}
    for delivery_id in ids:
        assert answer_to(port=receiver.port, key=KEY, delivery_id=delivery_id)[0] == 200
    return ids


def of_version(data: bytes, version: int) -> bytes:
    """Return a segment whose header says that it has this format version."""
    half = HEADER_BYTES // 2
    blocks = [data[:half], data[half:HEADER_BYTES]]
    return b"".join(block[:8] + version.to_bytes(2) + block[10:] for block in blocks) + data[HEADER_BYTES:]


def test_nothing_of_a_secret_or_a_body_is_in_clear_in_the_files(
    environment: dict[str, str], handler: Handler, away: Cluster, tmp_path: Path
) -> None:
    body = BODY.replace(b'"id"', b'"note": "a customer\'s own words", "id"', 1)
    with psycopg.connect(away.url) as database:
        row = database.execute("SELECT handler_url FROM dashboard_endpoint").fetchone()
        database.execute("UPDATE dashboard_endpoint SET handler_url = handler_url || '?token=handlers-own-token'")
    assert row is not None
    with receiving(tmp_path, environment=environment) as receiver:
        until((receiver.spool / "routes").exists)
        away.kill()
        for number in range(1, 10):
            answer = answer_to(port=receiver.port, key=KEY, delivery_id=f"dlv_{number}", body=body)
            assert answer in handler.calls[f"dlv_{number}"]
        receiver.kill()
        found = [path for path in receiver.spool.rglob("*") if path.is_file()]
        assert {path.name for path in found} == {"routes", "lock", "0000000001.spool"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in receiver.spool.rglob("*") if path.is_dir()} == {0o700}
        clear = b"\n".join(path.read_bytes() for path in [*found, receiver.log])
        private = [SECRET, KEY, "handlers-own-token", row[0], "a customer's own words", "X-OpenTrain", "dlv_1"]
        private += ["contract.started", '{"call"', settings.FIELD_KEYS[0], "whsec_", "ot_ptk_", "v1=", "signature"]
        assert [word for word in private if any(form in clear for form in forms(word.encode()))] == []
        away.start()
        receiver.start()
        until(lambda: receiver.segments() == [])
    assert log_of(away.url) == handler.calls
    with psycopg.connect(away.url) as database:
        assert database.execute("SELECT DISTINCT body FROM dashboard_delivery").fetchall() == [(body,)]


def forms(word: bytes) -> set[bytes]:
    """Return what a word looks like in clear, and in the middle of base64 or hex."""
    inner = {base64.b64encode(b"\0" * shift + word)[4:-4] for shift in range(3)}
    return {word, word.hex().encode(), *(form for form in inner if len(form) > 4)}
