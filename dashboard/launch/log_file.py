"""One log of a process in DATA_DIR: kept over restarts, private, and bounded in size.

The process writes to the file itself, through a descriptor that appends. So it never waits for the process that
started it, and its log goes on while that one hangs. To keep the file short, its end is copied aside and the file is
emptied; a line that is written in that moment may be lost.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from dashboard.launch.folder import append_private, open_private

LONGEST_BYTES = 5_000_000
"""About how long a log grows, in bytes, before it is put aside."""
KEPT = 3
"""How many of those put aside are kept: worker.log.1, the newest, to worker.log.3."""
_TAIL_BYTES = 64 * 1024


class LogFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._begins = 0

    def open(self) -> BinaryIO:
        """Open it to append what the next run writes. Raises: OSError."""
        self.shorten()
        file = append_private(self.path)
        self._begins = os.fstat(file.fileno()).st_size
        return file

    def append(self, line: str) -> None:
        """Append one line. Raises: OSError."""
        with self.open() as file:
            file.write(f"{line}\n".encode())

    def tail(self) -> str:
        """Return the end of what has been written since `open`."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                begins = self._begins if self._begins <= size else 0  # it was shortened since
                file.seek(max(begins, size - _TAIL_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def last_line(self) -> str:
        lines = self.tail().strip().splitlines()
        return lines[-1].strip()[:300] if lines else "it gave no reason"

    def shorten(self) -> None:
        """Put its end aside and empty it, if it is longer than LONGEST_BYTES. On a full disk it stays as it is."""
        try:
            if self.path.stat().st_size <= LONGEST_BYTES:
                return
            self._aside(KEPT).unlink(missing_ok=True)  # first, because the disk may be nearly full
            self._put_aside()
        except OSError:  # no log, or no room for a copy: tried again later
            return

    def _put_aside(self) -> None:
        copy = self._aside(0)
        try:
            with self.path.open("rb") as source, open_private(copy) as target:
                source.seek(-LONGEST_BYTES, os.SEEK_END)
                shutil.copyfileobj(source, target)
        except OSError:
            copy.unlink(missing_ok=True)
            raise
        for number in range(KEPT - 1, -1, -1):
            with contextlib.suppress(FileNotFoundError):
                self._aside(number).replace(self._aside(number + 1))
        os.truncate(self.path, 0)

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
