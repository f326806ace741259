"""`bypass` takes endpoints out of the path, says what came of each, and continues where it was stopped."""

import time
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.management.commands import bypass
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import OutcomeUnknown, RateLimited
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db


def connected(fake: FakeOpenTrain, actor: User, name: str) -> Install:
    _, install = sync.connect(
        actor=actor, token=fake.add_install(), name=name, now=timezone.now(), operation=uuid.uuid4()
    )
    assert install is not None
    return install


def received(install: Install, actor: User, name: str) -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=actor,
        install=install,
        url="",
        handler_url=f"https://{name}.example.com/hook",
        through_redeliver=True,
        event_types=["contract.started"],
        clock=timezone.now,
        operation=uuid.uuid4(),
    )
    assert endpoint is not None
    return endpoint


@pytest.fixture
def two(fake_opentrain: FakeOpenTrain, support: User) -> list[Endpoint]:
    """Two endpoints behind the receiver, each of an install of its own."""
    return [received(connected(fake_opentrain, support, name), support, name) for name in ("acme", "beta")]


def run(*arguments: str) -> str:
    said = StringIO()
    call_command("bypass", *arguments, stdout=said)
    return said.getvalue()


def are_bypassed(rows: list[Endpoint]) -> list[bool]:
    return [Endpoint.objects.get(pk=row.pk).is_bypassed for row in rows]


def test_all_are_taken_out_and_each_has_a_line(two: list[Endpoint]) -> None:
    said = run("--all").splitlines()
    assert [line.partition(": ")[0] for line in said[:2]] == [
        "acme.example.com/hook",
        "beta.example.com/hook",
    ]
    assert said[2] == "Taken out of the path: 2 of 2 behind the receiver."
    assert are_bypassed(two) == [True, True]
    audit = AuditEntry.objects.filter(action="take Redeliver out of the path", phase="done")
    assert set(audit.values_list("actor_name", flat=True)) == {"command line"}


def test_those_of_one_install_or_one_endpoint(two: list[Endpoint]) -> None:
    run("--install", two[1].install.opentrain_id)
    assert are_bypassed(two) == [False, True]
    run("--endpoint", two[0].opentrain_id or "")
    assert are_bypassed(two) == [True, True]


def test_what_failed_is_continued_by_the_same_command(two: list[Endpoint], fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="update_endpoint")
    with pytest.raises(CommandError, match="Not taken out, or not known: 1"):
        run("--all")
    assert are_bypassed(two) == [False, True]
    assert "Taken out of the path: 1 of 1 behind the receiver." in run("--all")
    assert are_bypassed(two) == [True, True]
    assert "Taken out of the path: 0 of 0 behind the receiver." in run("--all")


def test_it_waits_as_long_as_opentrain_asks(
    two: list[Endpoint], fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    fake_opentrain.fail_next(RateLimited("Too many.", retry_after_s=7), operation="update_endpoint")
    assert "OpenTrain limits the rate. Continuing in 7 s." in run("--all")
    assert waits == [7]
    assert are_bypassed(two) == [True, True]


def test_unknown_id_is_an_error(two: list[Endpoint]) -> None:
    with pytest.raises(CommandError, match="No registered endpoint with this ID has an address of"):
        run("--endpoint", "whe_unknown")
    with pytest.raises(CommandError, match="No registered endpoint of this install has an address"):
        run("--install", "ins_unknown")
    with pytest.raises(CommandError, match="one of the arguments --all --install --endpoint is required"):
        run()


def test_database_that_is_away_is_said_with_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_options: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(bypass, "_chosen", fail)
    with pytest.raises(CommandError, match="the receivers pass every delivery on to its handler anyway"):
        run("--all")
