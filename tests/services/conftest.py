"""A fake OpenTrain server whose behaviour each test chooses, and limits that keep these tests short."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from dashboard.services.opentrain import call
from tests.services.misbehaving import Behaviour, Server, misbehaving
from tests.services.opentrain_samples import PATIENT, QUICK


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "LIMITS", PATIENT)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Shorten the limits, for a server that never answers."""
    return lambda: monkeypatch.setattr(call, "LIMITS", QUICK)


@pytest.fixture
def serve(settings: Any) -> Callable[..., Any]:
    """Run a server as OpenTrain for the block, with these behaviours."""

    @contextmanager
    def serve(*behaviours: Behaviour, **given: Any) -> Iterator[Server]:
        with misbehaving(*behaviours, **given) as server:
            settings.OPENTRAIN_BASE_URL = f"{server.url}/api/partner/v1/"
            yield server

    return serve


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)
