"""Segment files of a spool: their format, written once and read in pieces.

A segment is a header and records behind it:

- Header: two equal blocks, so that one damaged bit does not cost the segment. Each has the mark, the format version,
  the segment's key encrypted under FIELD_KEYS, and a checksum. In every version, a file begins with mark and version.
- Record: the mark, the length of its ciphertext, its number within the segment from 0, the ciphertext's checksum, the
  checksum of these fields, and the ciphertext (AES-256-GCM).

Design choices:
- A segment has a key of its own, and the nonce of a record is its number. So a segment is never continued after a
  failed write: a number that might have been used is not used again, and a new segment has a new key.
- The checksums need no key: records can be counted, and damage found, by who cannot read them.
- The mark and the numbers find the next good record behind a damaged one, and say how many are missing between.
- A record that ends beyond the file is torn: its write was cut off, so nobody was told that it is kept.
"""

import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
"""The format version that this release writes and reads."""
SEGMENT_BYTES = 8 * 1024 * 1024
"""Size from which on a segment takes no more records. A segment is read and deleted as a whole."""

_FILE_MARK = b"RDLSPOOL"
_RECORD_MARK = b"\xd7RD\xd8"
_START = struct.Struct(">8sH")
_BLOCK = struct.Struct(">8sHH160sI")
_RECORD = struct.Struct(">4sIQII")
_TAG = 16
HEADER_BYTES = 2 * _BLOCK.size
RECORD_BYTES = _RECORD.size + _TAG
"""Bytes that a record takes beyond its content."""
_SECTOR = 4096


class UnknownFormat(Exception):
    """A segment has a format version that this release cannot read. The message says what to do."""


class KeyMissing(Exception):
    """None of FIELD_KEYS can decrypt a segment's key. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in the file: its number, the offset of its end, and its ciphertext."""

    number: int
    end: int
    fields: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where records are lost: its offset, the offset behind it, and the number of records (None: not known)."""

    start: int
    end: int
    records: int | None


@dataclass(frozen=True, slots=True)
class Torn:
    """The rest of a file is an unfinished write. Nothing that was reported as kept is lost."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment's header says. `wrapped_key` is None if both blocks are damaged or were never finished."""

    wrapped_key: bytes | None = field(repr=False)


def read_header(data: bytes, *, name: str) -> Header:
    """Return the header of a segment from its first bytes. `name` is the file's, for messages.

    Raises: UnknownFormat.
    """
    versions = set()
    for at in (0, _BLOCK.size):
        block = data[at : at + _BLOCK.size]
        if len(block) >= _START.size and block.startswith(_FILE_MARK):
            versions.add(_START.unpack_from(block)[1])
        if (wrapped := _wrapped_key(block)) is not None:
            return Header(wrapped)
    versions.discard(0)  # a header that was never finished
    if versions and VERSION not in versions:
        raise UnknownFormat(
            f"{name} has format version {min(versions)}; this release of Redeliver reads version {VERSION}. Start the "
            "release that wrote it and let it empty the spool, or move the file away."
        )
    return Header(None)


def _wrapped_key(block: bytes) -> bytes | None:
    """Return the encrypted key in an undamaged block of this version."""
    if len(block) < _BLOCK.size:
        return None
    mark, version, length, padded, checksum = _BLOCK.unpack(block)
    if mark != _FILE_MARK or version != VERSION or checksum != zlib.crc32(block[:-4]):
        return None
    return bytes(padded[:length])


def _header(wrapped: bytes) -> bytes:
    block = _BLOCK.pack(_FILE_MARK, VERSION, len(wrapped), wrapped, 0)[:-4]
    return 2 * (block + struct.pack(">I", zlib.crc32(block)))


def parts(data: bytes, *, start: int, number: int) -> Iterator[Record | Damage | Torn]:
    """Yield the records of a segment in order, and what stands between and behind them.

    `data` is the whole file from `start` on; `number` is that of the record that begins there.
    """
    at = 0
    while at < len(data):
        found = _record_at(data, at, least=number)
        if found is None:
            behind = _next_record(data, at + 1, least=number)
            if behind is None:
                yield _end(data, at=at, start=start)
                return
            yield Damage(start + at, start + behind[0], behind[1] - number)
            at, number = behind
            continue
        length, own, checksum = found
        if own > number:
            yield Damage(start + at, start + at, own - number)
        begin, end = at + _RECORD.size, at + _RECORD.size + length
        if end > len(data):
            yield Torn(start + at, start + len(data))
            return
        ciphertext = data[begin:end]
        whole = zlib.crc32(ciphertext) == checksum
        yield Record(own, start + end, data[at:begin], ciphertext) if whole else Damage(start + at, start + end, 1)
        at, number = end, own + 1


def _end(data: bytes, *, at: int, start: int) -> Torn | Damage:
    """Return what the rest of a file is in which no record begins: after a power failure, it can be zeros."""
    rest = data[at:]
    unfinished = len(rest) < _RECORD.size + _TAG or not rest.strip(b"\0")
    return Torn(start + at, start + len(data)) if unfinished else Damage(start + at, start + len(data), None)


def _record_at(data: bytes, at: int, *, least: int) -> tuple[int, int, int] | None:
    """Return the length, number and checksum of a record if one begins here whose number is at least `least`."""
    if len(data) - at < _RECORD.size:
        return None
    mark, length, number, checksum, own = _RECORD.unpack_from(data, at)
    if mark != _RECORD_MARK or number < least or own != zlib.crc32(data[at : at + _RECORD.size - 4]):
        return None
    return length, number, checksum


def _next_record(data: bytes, at: int, *, least: int) -> tuple[int, int] | None:
    """Return the offset and the number of the first record that begins at `at` or behind."""
    while (at := data.find(_RECORD_MARK, at)) >= 0:
        if found := _record_at(data, at, least=least):
            return at, found[1]
        at += 1
    return None


def read_from(path: Path, *, start: int, end: int) -> bytes:
    """Return the bytes of a file between two offsets, fewer if it is shorter.

    Sectors that the disk cannot read are replaced: `parts` finds the damage.

    Raises: OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        pieces = []
        while start < end and (piece := _piece(descriptor, end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _piece(descriptor: int, size: int, at: int) -> bytes:
    try:
        return os.pread(descriptor, min(size, SEGMENT_BYTES), at)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    sector = min(size, _SECTOR - at % _SECTOR)
    try:
        return os.pread(descriptor, sector, at)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return b"\xff" * sector  # zeros would look like an unfinished write


@dataclass(frozen=True, slots=True)
class Reader:
    """Decrypts the records of one segment."""

    _key: AESGCM = field(repr=False)

    @classmethod
    def of(cls, header: Header, *, keys: Sequence[str], name: str) -> "Reader | None":
        """Return the reader of a segment; None if its header is damaged. Raises: KeyMissing."""
        if header.wrapped_key is None:
            return None
        try:
            return cls(AESGCM(_fernet(keys).decrypt(header.wrapped_key)))
        except InvalidToken:
            raise KeyMissing(
                f"{name} cannot be read with the keys in FIELD_KEYS. Append the key that encrypted it to FIELD_KEYS."
            ) from None

    def content(self, record: Record) -> bytes | None:
        """Return what was appended; None if it was changed since."""
        try:
            return self._key.decrypt(_nonce(record.number), record.ciphertext, record.fields[:16])
        except InvalidTag:
            return None


class Writer:
    """Appends records to a new segment. One thread at a time.

    `size` and `count` are the bytes and the records that are on the disk. After an OSError, nothing more is appended.
    """

    def __init__(self, path: Path, *, keys: Sequence[str]) -> None:
        """Create the file, which must not exist; the first `append` writes its header. Raises: OSError."""
        key = AESGCM.generate_key(bit_length=256)
        self._key = AESGCM(key)
        self._unwritten = _header(_fernet(keys).encrypt(key))
        self.path = path
        self.size = 0
        self.count = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    @property
    def is_full(self) -> bool:
        return self.size >= SEGMENT_BYTES

    def append(self, records: Iterable[bytes], *, most_bytes: int) -> tuple[int, OSError | None]:
        """Append records until the segment is full or has `most_bytes`, and return how many are on the disk.

        With an error, those are the records before it; what was written behind them is removed from the file.
        """
        ends, pieces = self._framed(records, most_bytes=most_bytes)
        if not ends:
            return 0, None
        written, error = self._write(b"".join(pieces))
        ends = [end for end in ends if end <= self.size + written]
        kept_to = ends[-1] if ends else self.size
        if error is not None:
            self._cut(kept_to)
        try:
            os.fsync(self._file)
        except OSError as failed:
            # What the disk has now is not known. Nothing of it is reported as kept.
            self._cut(self.size)
            return 0, failed
        if ends:
            self.size, self.count, self._unwritten = kept_to, self.count + len(ends), b""
        return len(ends), error

    def close(self) -> None:
        os.close(self._file)

    def _framed(self, records: Iterable[bytes], *, most_bytes: int) -> tuple[list[int], list[bytes]]:
        """Return the offsets behind the records, and the bytes to write."""
        pieces, ends = [self._unwritten], list[int]()
        at = self.size + len(self._unwritten)
        for number, content in enumerate(records, start=self.count):
            at += RECORD_BYTES + len(content)
            if at > most_bytes or (ends and ends[-1] >= SEGMENT_BYTES):
                break
            pieces += self._frame(number, content)
            ends.append(at)
        return ends, pieces

    def _frame(self, number: int, content: bytes) -> tuple[bytes, bytes]:
        fields = _RECORD.pack(_RECORD_MARK, len(content) + _TAG, number, 0, 0)[:16]
        ciphertext = self._key.encrypt(_nonce(number), content, fields)
        fields += struct.pack(">I", zlib.crc32(ciphertext))
        return fields + struct.pack(">I", zlib.crc32(fields)), ciphertext

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        """Return the number of bytes written, and the error that came before the end."""
        written, view = 0, memoryview(data)
        try:
            while written < len(data):
                written += os.write(self._file, view[written:])
        except OSError as error:
            return written, error
        return written, None

    def _cut(self, size: int) -> None:
        # If this fails too, readers find a torn record there.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, size)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _fernet(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
