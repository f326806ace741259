"""Logs: kept over restarts, private, bounded in size, and written by the process itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.launch import log_file
from dashboard.launch.log_file import KEPT, LogFile


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogFile:
    monkeypatch.setattr(log_file, "LONGEST_BYTES", 1000)
    return LogFile(tmp_path / "worker.log")


def sizes(log: LogFile) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in log.path.parent.iterdir()}


def test_next_run_appends_and_its_tail_is_its_own(log: LogFile) -> None:
    for line in ("first", "second"):
        log.append(line)
        assert log.last_line() == line
    with log.open():
        assert (log.tail(), log.last_line()) == ("", "it gave no reason")
    assert log.path.read_text() == "first\nsecond\n"
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_log_that_was_readable_becomes_private_and_a_link_is_refused(log: LogFile, tmp_path: Path) -> None:
    log.path.write_text("of an earlier release\n")
    log.path.chmod(0o644)
    log.append("now")
    assert (log.path.stat().st_mode & 0o777, log.path.read_text()) == (0o600, "of an earlier release\nnow\n")
    (tmp_path / "link").symlink_to(log.path)
    with pytest.raises(OSError, match="symbolic links"):
        LogFile(tmp_path / "link").open()


def test_long_log_is_put_aside_while_its_process_writes_on(log: LogFile) -> None:
    code = "import sys\nfor line in sys.stdin: print(line.strip() * 100, flush=True)"
    with (
        log.open() as output,
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output, text=True) as process,
    ):
        assert process.stdin is not None

        def write(text: str) -> None:
            print(text, file=process.stdin, flush=True)
            while not log.path.read_text().endswith(text * 100 + "\n"):  # a line may come in two pieces
                assert process.poll() is None

        write("a" * 11)
        log.shorten()
        assert sizes(log) == {"worker.log": 0, "worker.log.1": 1000}
        write("b")
        assert log.path.read_text() == "b" * 100 + "\n"
        assert log.last_line() == "b" * 100
        process.stdin.close()
    assert log.path.with_name("worker.log.1").stat().st_mode & 0o777 == 0o600


def test_only_the_newest_are_kept_and_none_grows(log: LogFile) -> None:
    for number in range(KEPT + 3):
        log.append(str(number) * 2000)
        log.shorten()
    assert sizes(log) == {"worker.log": 0, **{f"worker.log.{number}": 1000 for number in range(1, KEPT + 1)}}
    kept = [log.path.with_name(f"worker.log.{number}").read_text()[0] for number in range(1, KEPT + 1)]
    assert kept == ["5", "4", "3"]


def test_short_log_and_none_stay_as_they_are(log: LogFile) -> None:
    log.shorten()
    assert (log.tail(), log.last_line(), sizes(log)) == ("", "it gave no reason", {})
    log.append("x" * 999)
    log.shorten()
    assert sizes(log) == {"worker.log": 1000}


def test_log_stays_whole_where_there_is_no_room_for_a_copy(log: LogFile) -> None:
    log.append("x" * 2000)
    log.path.with_name("worker.log.0").mkdir()  # the copy cannot be made
    log.shorten()
    assert log.path.stat().st_size == 2001
    assert log.last_line() == "x" * 300
