"""A run of hundreds of deliveries whose worker and server are killed midway: real processes and Partner API."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.runs import commands, items
from dashboard.models import AuditEntry, Endpoint, Run, RunItem, User
from dashboard.partner_api.models import Delivery as Sent
from tests.faults.failed import deliver_requested, failed_deliveries, session_of, wait_until
from tests.faults.lengths import fitting
from tests.faults.serving import Site, serving

pytestmark = [
    pytest.mark.urls("dashboard.partner_api.urls"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("faults"),
]
COUNT = fitting(1000, least=150)


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Endpoint]:
    with failed_deliveries(count=COUNT, settings=settings) as endpoint:
        yield endpoint


@pytest.fixture
def console(endpoint: Endpoint, postgres_server: Any, settings: Any, tmp_path: Path) -> Iterator[Site]:
    """The running server and worker, with the Partner API as OpenTrain."""
    given = {"OPENTRAIN_BASE_URL": settings.OPENTRAIN_BASE_URL, "OPENTRAIN_RUN_INTERVAL_S": "2"}
    url = postgres_server.url(str(connection.settings_dict["NAME"]))
    with serving(tmp_path, database_url=url, **given) as site:
        site.start()
        site.start_worker()
        yield site
    print((tmp_path / "site.log").read_text()[-4000:])  # noqa: T201 - pytest shows it with a failure


def test_killed_worker_and_server_leave_one_in_doubt_at_most_and_the_run_goes_on(
    endpoint: Endpoint, console: Site
) -> None:
    ana = User.objects.get()
    run = commands.start_bulk(
        actor=ana,
        endpoint=endpoint,
        deliveries=endpoint.deliveries.all(),
        filter_text="all failed",
        note="",
        now=timezone.now(),
        operation=uuid.uuid4(),
    )
    Run.objects.update(pace_ms=0)
    asked = run.items.exclude(state="waiting")
    wait_until(lambda: asked.count() >= COUNT // 5)
    wait_until(lambda: asked.filter(state="asking").exists(), every_s=0.01)
    console.kill()
    assert run.items.filter(state="waiting").count() > COUNT // 5
    in_flight = list(run.items.filter(state="asking").values_list("opentrain_id", flat=True))

    console.start()
    page, session = f"/runs/{run.pk}/", session_of(ana)
    assert "Running" in console.read(page, session=session)
    console.start_worker()
    wait_until(lambda: not run.items.filter(state__in=["waiting", "asking"]).exists())
    doubtful = list(run.items.filter(state=RunItem.State.UNKNOWN).values_list("opentrain_id", "words"))
    deliver_requested()
    wait_until(lambda: Run.objects.get().state == "done")

    tally = items.count(run=run)
    assert (tally.total, tally.delivered + tally.unknown, tally.settled) == (COUNT, COUNT, COUNT)
    assert len(in_flight) <= 1
    assert doubtful == [(one, items.INTERRUPTED) for one in in_flight]
    # A call that OpenTrain had carried out before the kill is in doubt only until its delivery arrives, unless the run
    # ends before.
    assert tally.unknown <= len(doubtful)
    said = "Partly done" if tally.unknown else "Done"
    assert f"{said}: {tally.delivered} of {COUNT} delivered" in console.read(page, session=session)
    # OpenTrain counts the requeues of each delivery: one, or none or one for the delivery in flight.
    assert set(Sent.objects.exclude(pk__in=in_flight).values_list("round", flat=True)) == {2}
    assert Sent.objects.filter(round__gt=2).count() == 0
    calls = AuditEntry.objects.filter(action=endpoints.IN_A_RUN, phase="requested")
    audited = set(calls.values_list("delivery_id", flat=True))
    assert calls.count() == len(audited)
    # The audit is written before the call: what was killed before that was never asked for.
    unaudited = Sent.objects.exclude(pk__in=audited)
    assert set(unaudited.values_list("pk", flat=True)) <= set(in_flight)
    assert set(unaudited.values_list("round", flat=True)) <= {1}
    assert Sent.objects.count() == COUNT
