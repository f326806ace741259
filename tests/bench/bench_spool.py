"""`make bench-spool`: throughput of the receiver's spool on a real disk, with attempts of the usual size.

Appends are measured in groups of several sizes, each group with its own fsync, and beside them the fsync alone: it is
what limits small groups. Reading decrypts and decodes each attempt and releases it, as the replay does. The last line
is one JSON object; each figure is the median of REPEATS slices, in alternation.
"""

import dataclasses
import json
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet

from dashboard.receiver.spool import Spool
from dashboard.rules.attempt_codec import from_bytes, to_bytes
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt

RECORDS = int(os.environ.get("RECORDS", "100000"))
REPEATS = int(os.environ.get("REPEATS", "3"))
SLICE_S = float(os.environ.get("SLICE_S", "2"))
GROUPS = (1, 10, 100, 500)
KEY = Fernet.generate_key().decode()

ATTEMPT = RecordedAttempt(
    id=uuid.uuid4(),
    endpoint_id=7,
    event=Event(
        delivery_id="dlv_01JXM3E5T7Z2V9Q8K4W6Y0ABCD",
        event_id="evt_01JXM3E5T7Z2V9Q8K4W6Y0ABCD",
        event_type="contract.created",
        resource_id="ctr_01JXM3E5T7Z2V9Q8K4W6Y0ABCD",
        body=os.urandom(400),
        created_at=datetime(2026, 6, 12, 12, tzinfo=UTC),
    ),
    result=AttemptResult(
        received_at=datetime(2026, 6, 12, 12, tzinfo=UTC),
        request_headers=[[f"X-OpenTrain-Header-{number}", "value " * 6] for number in range(14)],
        answered_status=200,
        cause="",
        handler_url="https://handler.example/hooks/opentrain",
        handler_status=200,
        latency_ms=120,
        response_headers=[[f"Header-{number}", "value " * 6] for number in range(8)],
        response_head=os.urandom(200),
    ),
)


def main() -> None:
    """Run the benchmark and print its results."""
    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        print(json.dumps(_measured(Path(name))))


def _measured(folder: Path) -> dict[str, float]:
    record = to_bytes(ATTEMPT)
    sides: dict[str, Callable[[], float]] = {
        "encoded_per_s": lambda: _rate(lambda: to_bytes(dataclasses.replace(ATTEMPT, endpoint_id=8))),
        "decoded_per_s": lambda: _rate(lambda: from_bytes(record)),
        "fsyncs_per_s": lambda: _bare_fsyncs(folder / "bare", record),
    }
    for group in GROUPS:
        sides[f"appended_per_s_{group}"] = lambda group=group: _appended(folder / "group", [record] * group)
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _number in range(REPEATS):
        for name, side in sides.items():
            found[name].append(side())
    return {"record_bytes": len(record), **{name: _rounded(values) for name, values in found.items()}} | _replayed(
        folder
    )


def _rounded(values: list[float]) -> float:
    return round(statistics.median(values))


def _rate(call: Callable[[], object], *, of: int = 1) -> float:
    calls, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < SLICE_S:
        call()
        calls += 1
    return calls * of / took


def _bare_fsyncs(path: Path, record: bytes) -> float:
    with path.open("wb", buffering=0) as file:

        def write() -> None:
            file.write(record)
            os.fsync(file.fileno())

        rate = _rate(write)
    path.unlink()
    return rate


def _appended(folder: Path, records: list[bytes]) -> float:
    spool = Spool(folder, keys=[KEY], max_bytes=2**40)
    rate = _rate(lambda: spool.append(records), of=len(records))
    spool.close()
    for path in folder.iterdir():
        path.unlink()
    return rate


def _replayed(folder: Path) -> dict[str, float]:
    """Fill a spool, open it anew, and empty it: alone, and while another thread appends."""
    spool = Spool(folder / "replay", keys=[KEY], max_bytes=2**40)
    record = to_bytes(ATTEMPT)
    for _number in range(0, RECORDS, 500):
        spool.append([record] * 500)
    size = spool.bytes_used
    spool.close()
    begun = time.perf_counter()
    spool = Spool(folder / "replay", keys=[KEY], max_bytes=2**40)
    opened_s = time.perf_counter() - begun
    alone = _drained(spool, most=RECORDS // 2)
    stop, appended = threading.Event(), [0]

    def append() -> None:
        while not stop.is_set():
            spool.append([record] * 20)
            appended[0] += 20
            stop.wait(0.02)  # about 1,000 a second, as new deliveries come

    thread = threading.Thread(target=append)
    begun = time.perf_counter()
    thread.start()
    beside = _drained(spool, most=RECORDS // 2)
    stop.set()
    thread.join()
    took = time.perf_counter() - begun
    spool.close()
    return {
        "spool_mb": round(size / 1e6),
        "open_s": round(opened_s, 2),
        "read_per_s": round(alone),
        "read_beside_appends_per_s": round(beside),
        "appended_beside_reads_per_s": round(appended[0] / took),
    }


def _drained(spool: Spool, *, most: int) -> float:
    count, begun = 0, time.perf_counter()
    while count < most and (batch := spool.read()) is not None:
        count += len([from_bytes(record) for record in batch.records])
        spool.release(batch)
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
