"""The spool: records that wait, encrypted, on the receiver's own disk until they are in the log.

A spool is a folder with one lock and numbered segment files (dashboard/receiver/segments.py). Records are appended at
the end and read from the front. Nothing that was written is overwritten.

Use:
- `append` returns when the records are on the disk. Each call costs one fsync, so the caller groups what is waiting.
- `read` returns the first records that are not released; `release` says that they are in the log. Both are for one
  thread; others append meanwhile.
- A segment is deleted when all of it is released. What was released of a segment is not stored: a receiver that is
  killed reads the rest of that segment again. The log recognizes each attempt by its UUID.
- A receiver that was killed leaves its spool behind. Another one takes it over with `adopt`.

Design choices:
- A write that was cut off (kill -9, power failure) leaves a torn record at the end of a segment. Nobody was told that
  it is kept. It is ignored and counted (`torn`).
- A record that is damaged is skipped, logged and counted, and the records behind it are read. Its segment is then set
  aside (renamed to `.aside`) instead of deleted. So is one with records that the log refused.
- When the disk is full in the middle of a group, the records before that point are kept, and the rest is cut off.
- After any failed write, the next record goes to a new segment.
"""

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from dashboard.receiver.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    Damage,
    Reader,
    Record,
    Torn,
    Writer,
    parts,
    read_from,
    read_header,
)
from dashboard.receiver.spool_folder import (
    ASIDE,
    LOCK,
    LOCK_WAIT_S,
    SUFFIX,
    SpoolFailed,
    SpoolHeld,
    files,
    in_words,
    locked,
    path_of,
    sync,
)

READ_RECORDS = 500
TRIAL = "trial"
TRIAL_BYTES = 64 * 1024

_FULL = {errno.ENOSPC, errno.EDQUOT}

logger = logging.getLogger(__name__)


class SpoolFull(SpoolFailed):
    """The spool has reached its size, or its disk is full. `kept` records, from the first, are kept."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records from the front of the spool, in order, and the damage between them. `release` takes it back."""

    records: tuple[bytes, ...] = field(repr=False)
    damage: tuple[Damage, ...]
    segment: int
    start: int
    end: int
    """Offset in the segment behind what was read."""
    next_number: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment on the disk. `count` is the number of its last record plus 1, damaged ones included."""

    number: int
    path: Path
    size: int
    count: int
    is_torn: bool = False
    is_void: bool = False
    """Whether no record of it was ever complete."""


@dataclass(frozen=True, slots=True)
class _Content:
    """The segments, and where reading continues in the first. Never changed but replaced, so readers need no lock."""

    segments: tuple[_Segment, ...] = ()
    offset: int = HEADER_BYTES
    number: int = 0
    set_aside: bool = False
    """Whether the first segment has records that do not get into the log."""


class Spool:
    """A receiver's spool.

    `torn`, `lost`, `lost_unknown` and `refused` count what this object found: writes that were cut off, records that
    are lost to damage, damaged places of which the number of records is not known, and records that the log refused.
    """

    def __init__(self, folder: Path, *, keys: Sequence[str], max_bytes: int) -> None:
        """Open the folder's spool, or make it. `keys` are FIELD_KEYS; `max_bytes` limits the size of all segments.

        Reads every segment that is there, to count its records.

        Raises: SpoolHeld, UnknownFormat, SpoolFailed; ValueError if a key is not a Fernet key, or there is none.
        """
        token = MultiFernet([Fernet(key) for key in keys]).encrypt(b"")
        self.folder = folder
        self.max_bytes = max_bytes
        self.torn = self.lost = self.lost_unknown = self.refused = 0
        self._keys = tuple(keys)
        self._writing = threading.Lock()
        self._writer: Writer | None = None
        self._content = _Content()
        self._last_number = 0
        with in_words(f"The spool {folder} cannot be opened"):
            self._lock: int | None = locked(folder, wait_s=LOCK_WAIT_S, create=True)
            try:
                self._content = _Content(tuple(self._usable(_scan(folder))))
                _tell_key(self._lock, token)
            except BaseException:
                os.close(self._lock)
                raise

    def append(self, records: Sequence[bytes]) -> None:
        """Keep the records, in their order; they are on the disk when this returns.

        Raises: SpoolFull or SpoolFailed; its `kept` says how many of the records are kept nevertheless. The next call
        tries again.
        """
        with self._writing:
            self._check_open()
            kept = 0
            while kept < len(records):
                kept += self._append_some(records[kept:], before=kept)

    def try_disk(self) -> None:
        """Find out whether the disk takes something: write a file, and remove it. Raises: SpoolFailed."""
        path = self.folder / TRIAL
        with in_words(f"The spool {self.folder} cannot be written to"):
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                if os.write(descriptor, bytes(TRIAL_BYTES)) < TRIAL_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                path.unlink()

    def read(self, *, most: int = READ_RECORDS) -> Batch | None:
        """Return the first records that are not released, from one segment; None if there are none.

        The batch has no records if there is only damage: release it like any other. A segment whose key is missing
        holds up those behind it.

        Raises: KeyMissing; SpoolFailed.
        """
        content = self._content
        if not content.segments:
            return None
        first = content.segments[0]
        head = data = b""
        with in_words(f"{first.path} cannot be read"), contextlib.suppress(FileNotFoundError):  # that is damage
            head = read_from(first.path, start=0, end=HEADER_BYTES)
            data = read_from(first.path, start=content.offset, end=first.size)
        reader = Reader.of(read_header(head, name=str(first.path)), keys=self._keys, name=str(first.path))
        return _batch(content, data, reader=reader, most=most)

    def release(self, batch: Batch, *, refused: int = 0) -> None:
        """Forget the batch that `read` returned last: its records are in the log. Deletes a segment without others.

        `refused` is the number of its records that the log cannot take, now or later: their segment is set aside.

        Raises: SpoolFailed if a segment cannot be deleted. `read` then returns a batch without records, to try again.
        """
        with self._writing:
            self._check_open()
            content = self._content
            if not content.segments or (content.segments[0].number, content.offset) != (batch.segment, batch.start):
                raise ValueError("This batch was released before.")
            first = content.segments[0]
            self._count(first, batch.damage, refused=refused)
            set_aside = content.set_aside or bool(batch.damage or refused)
            self._content = _Content(content.segments, batch.end, batch.next_number, set_aside)
            if batch.end >= first.size:
                self._drop(first, set_aside=set_aside)

    def adopt(self, folder: Path) -> int | None:
        """Move another spool's segments to the end of this one and remove its folder; return the number of records.

        Returns None, and changes nothing, while a process holds the other spool. No key is needed to move it.

        Raises: SpoolFull if it does not fit; UnknownFormat; SpoolFailed, also if it is on another file system. What was
        moved until then is part of this spool.
        """
        with in_words(f"The spool {folder} cannot be adopted"):
            self._check_open()
            try:
                lock = locked(folder, wait_s=0, create=folder.is_dir())
            except SpoolHeld:
                return None
            try:
                found = _scan(folder)  # seconds for a large spool; others append meanwhile
                with self._writing:
                    self._check_open()
                    return self._take_over(folder, found)
            finally:
                os.close(lock)

    def close(self) -> None:
        """Give up the lock. What is not released stays on the disk."""
        with self._writing:
            self._seal()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    @property
    def waiting(self) -> int:
        """Number of records that are not released. A damaged one counts until the batch that reports it is released."""
        content = self._content
        return sum(segment.count for segment in content.segments) - content.number

    @property
    def is_empty(self) -> bool:
        return not self._content.segments

    @property
    def bytes_used(self) -> int:
        return sum(segment.size for segment in self._content.segments)

    def _check_open(self) -> None:
        if self._lock is None:
            raise SpoolFailed(f"The spool {self.folder} is closed.")

    def _usable(self, found: Iterable[_Segment]) -> Iterator[_Segment]:
        """Count torn records, delete segments without any record, and yield the others. Raises: OSError."""
        for segment in found:
            self.torn += segment.is_torn
            if segment.is_void:
                segment.path.unlink()
            else:
                yield segment

    def _append_some(self, records: Sequence[bytes], *, before: int) -> int:
        """Append to one segment and return how many records are kept, at least one. Raises: SpoolFull, SpoolFailed."""
        if self._writer is not None and self._writer.is_full:
            self._seal()
        room = self.max_bytes - self.bytes_used
        if room < len(records[0]) + RECORD_BYTES + (HEADER_BYTES if self._writer is None else 0):
            words = f"The spool {self.folder} is full: {self.bytes_used} of {self.max_bytes} bytes are used."
            raise SpoolFull(words, kept=before)
        kept = 0
        try:
            if self._writer is None:
                self._writer = Writer(path_of(self.folder, self._next_number()), keys=self._keys)
            kept, error = self._writer.append(records, most_bytes=self._writer.size + room)
            if kept:
                self._show(self._writer, is_new=self._writer.count == kept)
        except OSError as failed:
            kept, error = 0, failed
        if error is not None:
            self._seal()
            raise self._failure(error, kept=before + kept) from error
        return kept

    def _next_number(self) -> int:
        """Return a number that no file has or had."""
        self._last_number = max([self._last_number, *(number for number, _path in files(self.folder))]) + 1
        return self._last_number

    def _show(self, writer: Writer, *, is_new: bool) -> None:
        """Let readers see what the writer has on the disk. Raises: OSError if the name of a new file is not there."""
        segments = self._content.segments
        if is_new:
            sync(self.folder)
        own = _Segment(int(writer.path.stem), writer.path, writer.size, writer.count)
        self._content = replace(self._content, segments=(*(segments if is_new else segments[:-1]), own))

    def _seal(self) -> None:
        """Let the next record begin a new segment. A file that keeps no record is removed."""
        if self._writer is None:
            return
        path = self._writer.path
        with contextlib.suppress(OSError):  # what is kept is on the disk
            self._writer.close()
        if all(segment.path != path for segment in self._content.segments):
            with contextlib.suppress(OSError):
                path.unlink()
        self._writer = None

    def _failure(self, error: OSError, *, kept: int) -> SpoolFailed:
        if error.errno in _FULL:
            return SpoolFull(f"The disk of the spool {self.folder} is full.", kept=kept)
        return SpoolFailed(f"The spool {self.folder} cannot be written to: {error.strerror}.", kept=kept)

    def _count(self, segment: _Segment, damage: Iterable[Damage], *, refused: int) -> None:
        for one in damage:
            self.lost += one.records or 0
            self.lost_unknown += one.records is None
            lost = "an unknown number of" if one.records is None else one.records
            logger.error("%s is damaged from byte %d to %d: %s records lost", segment.path, one.start, one.end, lost)
        if refused:
            self.refused += refused
            logger.error("%s has %d records that the log refused", segment.path, refused)

    def _drop(self, first: _Segment, *, set_aside: bool) -> None:
        """Delete the first segment, or set it aside. Raises: SpoolFailed."""
        if self._writer is not None and self._writer.path == first.path:
            self._seal()
        with in_words(f"{first.path} cannot be deleted"):
            with contextlib.suppress(FileNotFoundError):
                if set_aside:
                    first.path.rename(first.path.with_suffix(ASIDE))
                else:
                    first.path.unlink()
            sync(self.folder)
        self._content = _Content(self._content.segments[1:])

    def _take_over(self, folder: Path, found: Sequence[_Segment]) -> int:
        """Move the segments that were found in a spool whose lock is held. Raises: SpoolFull, OSError."""
        size = sum(segment.size for segment in found if not segment.is_void)
        if self.bytes_used + size > self.max_bytes:
            raise SpoolFull(f"The spool {folder} does not fit into {self.folder}: it has {size} bytes.")
        self._seal()
        for segment in found:
            if segment.is_void:
                segment.path.unlink()
            else:
                number = self._next_number()
                moved = replace(segment, number=number, path=path_of(self.folder, number))
                segment.path.rename(moved.path)
                self._content = replace(self._content, segments=(*self._content.segments, moved))
            self.torn += segment.is_torn
        for _number, path in list(files(folder, ASIDE)):
            path.rename(path_of(self.folder, self._next_number(), ASIDE))
        sync(self.folder)
        sync(folder)
        (folder / LOCK).unlink()
        with contextlib.suppress(OSError):  # it may be a volume, or have other files
            folder.rmdir()
        return sum(segment.count for segment in found)


def _scan(folder: Path) -> list[_Segment]:
    """Return the segments that earlier processes wrote. Raises: UnknownFormat; OSError."""
    return [_scanned(number, path) for number, path in files(folder, SUFFIX)]


def _scanned(number: int, path: Path) -> _Segment:
    size = path.stat().st_size
    data = read_from(path, start=0, end=size)
    read_header(data[:HEADER_BYTES], name=str(path))
    found = list(parts(data[HEADER_BYTES:], start=HEADER_BYTES, number=0))
    torn = size < HEADER_BYTES or any(isinstance(part, Torn) for part in found)
    kept = [part for part in found if not isinstance(part, Torn)]
    count = 0
    for part in kept:
        count = part.number + 1 if isinstance(part, Record) else count + (part.records or 0)
    return _Segment(number, path, size, count, is_torn=torn, is_void=not kept)


def _batch(content: _Content, data: bytes, *, reader: Reader | None, most: int) -> Batch:
    """Return the next records of the first segment. Without a reader, each of them is lost."""
    first, offset, number = content.segments[0], content.offset, content.number
    records: list[bytes] = []
    damage: list[Damage] = []
    for part in parts(data, start=offset, number=number):
        if isinstance(part, Record):
            plain = reader.content(part) if reader else None
            records += [] if plain is None else [plain]
            damage += [Damage(offset, part.end, 1)] if plain is None else []
            number = part.number + 1
        elif isinstance(part, Damage):
            damage.append(part)
            number += part.records or 0
        offset = part.end
        if len(records) >= most:
            break
    else:
        # What this object counted is known to be lost, whatever stands in its place.
        if number < first.count:
            damage = [one for one in damage if one.records is not None]
            damage.append(Damage(offset if not damage else damage[-1].end, first.size, first.count - number))
        offset, number = first.size, first.count
    return Batch(tuple(records), tuple(damage), first.number, content.offset, offset, number)


def _tell_key(lock: int, token: bytes) -> None:
    """Write into the lock what only the first key decrypts (see spool_keys). A full disk is no reason not to start."""
    try:
        os.pwrite(lock, token, 0)
        os.ftruncate(lock, len(token))
    except OSError as error:
        if error.errno not in _FULL:
            raise
