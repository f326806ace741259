"""A receiver on an event loop of its own, for tests of deliveries, and what tests of journals and spools begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.models import Endpoint
from dashboard.receiver import journal
from dashboard.receiver.spool import Spool
from tests.factories import make_endpoint
from tests.receiver.delivering import receiving
from tests.receiver.journals import Database, install
from tests.receiver.spools import KEY, ROOM


@pytest.fixture
def receiver(db):
    with receiving() as running:
        yield running


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    made = install(monkeypatch)
    yield made
    made.go()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for a place."""
    monkeypatch.setattr(journal, "COMMIT_WITHIN_S", 0.2)
    monkeypatch.setattr(journal, "LAST_TRY_S", 0.1)
    monkeypatch.setattr(journal, "RETRY_EVERY_S", 0.02)
    monkeypatch.setattr(journal, "UNREADABLE_FOR_S", 0.1)


@pytest.fixture
def opened() -> Iterator[list[Spool]]:
    """Spools to close after the test."""
    spools: list[Spool] = []
    yield spools
    for spool in spools:
        spool.close()


@pytest.fixture
def spool(tmp_path: Path, opened: list[Spool]) -> Spool:
    opened.append(Spool(tmp_path / "own", keys=[KEY], max_bytes=ROOM))
    return opened[0]
