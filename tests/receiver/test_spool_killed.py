"""A receiver that is killed with kill -9 loses nothing that it reported as kept. Each process here is a real one."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from dashboard.receiver.spool import Spool

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KEY = Fernet.generate_key().decode()
ROOM = 2**30

APPENDING = """
    import os, sys
    from pathlib import Path
    from dashboard.receiver import segments
    from dashboard.receiver.spool import Spool

    folder, key, size, group = sys.argv[1:]
    segments.SEGMENT_BYTES = 3 * int(size) * int(group)
    spool = Spool(Path(folder), keys=[key], max_bytes=2**30)
    number = 0
    while True:
        spool.append([b"%d:" % one + bytes(int(size)) for one in range(number, number + int(group))])
        number += int(group)
        os.write(1, b"%d\\n" % number)
"""

DYING = """
    import os, signal, sys
    from pathlib import Path
    from dashboard.receiver import segments
    from dashboard.receiver.spool import Spool
    from tests.receiver.disks import FaultyOs

    def write(descriptor, data):
        os.write(descriptor, data[: int(written)])
        os.kill(os.getpid(), signal.SIGKILL)

    folder, key, written = sys.argv[1:]
    spool = Spool(Path(folder), keys=[key], max_bytes=2**30)
    spool.append([b"one", b"two"])
    segments.os = FaultyOs(write=write)
    spool.append([b"three", b"four"])
"""

ADOPTING = """
    import os, signal, sys
    from pathlib import Path
    from dashboard.receiver import segments, spool
    from dashboard.receiver.spool import Spool

    def rename(path, target, real=Path.rename, left=[int(sys.argv[4])]):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(path, target)

    own, dead, key = sys.argv[1:4]
    adopter = Spool(Path(own), keys=[key], max_bytes=2**30)
    Path.rename = rename
    adopter.adopt(Path(dead))
"""


def start(script: str, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "own"


def drained(spool: Spool) -> Iterator[bytes]:
    while (batch := spool.read()) is not None:
        yield from batch.records
        spool.release(batch)


def left_in(folder: Path) -> tuple[list[bytes], Spool]:
    spool = Spool(folder, keys=[KEY], max_bytes=ROOM)
    try:
        return list(drained(spool)), spool
    finally:
        spool.close()


@pytest.mark.parametrize(("size", "group"), [(300, 5), (200_000, 20)])
def test_everything_that_was_reported_as_kept_is_there_once_and_in_order(folder: Path, size: int, group: int) -> None:
    for moment_ms in (0, 1, 7, 30, 90):  # any moment must do
        with start(APPENDING, folder, KEY, size, group) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(moment_ms / 1000)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")
        assert process.returncode == -signal.SIGKILL
        reported = max(int(number) for number in [first, *rest[:-1]])
        found, spool = left_in(folder)
        numbers = [int(record.split(b":", 1)[0]) for record in found]
        assert numbers == list(range(len(found)))
        assert reported <= len(found) <= reported + group
        assert all(len(record.split(b":", 1)[1]) == size for record in found)
        assert (spool.lost, spool.lost_unknown) == (0, 0)
        assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("written", "kept", "torn"),
    [
        (0, [], 0),
        (1, [], 1),
        (44, [], 1),
        (45, [b"three"], 0),
        (46, [b"three"], 1),
        (88, [b"three"], 1),
        (89, [b"three", b"four"], 0),
    ],
)
def test_record_that_was_being_written_is_torn(folder: Path, written: int, kept: list[bytes], torn: int) -> None:
    """Of an append that nobody was told the end of, what is complete stays: those attempts were made."""
    with start(DYING, folder, KEY, written) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    found, spool = left_in(folder)
    assert found == [b"one", b"two", *kept]
    assert (spool.torn, spool.lost, spool.lost_unknown) == (torn, 0, 0)


def test_spool_of_a_killed_receiver_is_free_and_of_a_stopped_one_is_not(folder: Path, tmp_path: Path) -> None:
    with start(APPENDING, folder, KEY, 300, 5) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        adopter = Spool(tmp_path / "adopter", keys=[KEY], max_bytes=ROOM)
        try:
            assert adopter.adopt(folder) is None
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
            assert (adopter.adopt(folder) or 0) >= 5
            assert len(list(drained(adopter))) >= 5
        finally:
            adopter.close()
    assert not folder.exists()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_receiver_that_is_killed_while_it_adopts_loses_nothing(folder: Path, tmp_path: Path, moved: int) -> None:
    dead = tmp_path / "dead"
    for record in (b"one", b"two", b"three"):  # each process has a segment of its own
        spool = Spool(dead, keys=[KEY], max_bytes=ROOM)
        spool.append([record])
        spool.close()
    with start(ADOPTING, folder, dead, KEY, moved) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    found = [*left_in(folder)[0], *left_in(dead)[0]]
    assert found == [b"one", b"two", b"three"]
