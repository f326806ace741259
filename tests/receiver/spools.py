"""Spools with a key of their own: what the next process sees of one, and what it holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.fernet import Fernet

from dashboard.receiver.spool import Batch, Spool

KEY = Fernet.generate_key().decode()
OTHER = Fernet.generate_key().decode()
ROOM = 2**30
TEN = [f"record {number}".encode() for number in range(10)]


def again(spool: Spool, opened: list[Spool], **options: object) -> Spool:
    """Return what the next process sees."""
    spool.close()
    opened.append(Spool(spool.folder, **{"keys": [KEY], "max_bytes": ROOM, **options}))  # type: ignore[arg-type]
    return opened[-1]


def batches(spool: Spool, *, most: int = 500) -> Iterator[Batch]:
    """Yield batches until the spool is empty, and release each."""
    while (batch := spool.read(most=most)) is not None:
        yield batch
        spool.release(batch)


def drained(spool: Spool, *, most: int = 500) -> list[bytes]:
    return [record for batch in batches(spool, most=most) for record in batch.records]


def files(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir())


def make_dead(folder: Path, records: Sequence[bytes] = TEN, *, keys: Sequence[str] = (KEY,)) -> Path:
    """Make the spool of a receiver that ended with records in it."""
    dead = Spool(folder, keys=keys, max_bytes=ROOM)
    dead.append(records)
    dead.close()
    return folder
