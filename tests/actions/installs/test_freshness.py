"""A page's freshness, and its refresh requests: one per install, regardless of the number of viewers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from dashboard.actions.installs import freshness, snapshots, sync
from dashboard.actions.installs.freshness import LATE, NO_WORKER, Freshness, Staleness, freshen, look, refresh
from dashboard.models import Endpoint, Install
from dashboard.rules.installs import Trouble
from dashboard.services import opentrain
from dashboard.services.opentrain import RateLimited, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_entry, make_install
from tests.refreshes import queued, run_queued

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
DOWN = Unavailable("OpenTrain cannot be reached.", reason=Reason.REFUSED)


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain) -> Install:
    """An install with an endpoint, last synced a minute before noon."""
    token = fake_opentrain.add_install()
    fake_opentrain.create_endpoint(token=token, url="https://acme.example.com/", event_types=["contract.ended"])
    install = make_install(token=token, described_at=NOON)
    sync.refresh(install=install, now=NOON - timedelta(minutes=1))
    fake_opentrain.calls.clear()
    return install


@pytest.fixture
def _worker(db: None) -> None:
    """A worker that is alive at noon and long after."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [NOON])


def reload(install: Install) -> Install:
    return Install.objects.defer("token").get(pk=install.pk)


def operations(fake: FakeOpenTrain) -> list[str]:
    return [call.operation for call in fake.calls]


@pytest.mark.usefixtures("_worker")
def test_look_at_an_old_list_requests_a_refresh_and_calls_nobody(
    install: Install, fake_opentrain: FakeOpenTrain
) -> None:
    assert look(install=install, now=NOON) == Freshness(refreshing=True)
    assert (fake_opentrain.calls, queued()) == ([], [install.pk])


def test_many_looks_request_one_refresh(install: Install) -> None:
    for tab in range(20):
        look(install=reload(install), now=NOON + SECOND * tab / 10)
    assert queued() == [install.pk]


def test_looks_that_read_the_row_at_the_same_moment_request_one_refresh(install: Install) -> None:
    first, second = reload(install), reload(install)
    look(install=first, now=NOON)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = %s", [freshness.REFRESH])
    look(install=second, now=NOON)
    assert queued() == []


def test_look_after_the_refresh_is_fresh_and_requests_nothing(install: Install, fake_opentrain: FakeOpenTrain) -> None:
    look(install=install, now=NOON)
    refresh(install_id=install.pk, now=NOON)
    assert operations(fake_opentrain) == ["list_endpoints"]
    known = reload(install)
    assert (known.listed_at, known.refresh_requested_at) == (NOON, None)
    run_queued()
    assert look(install=known, now=NOON + SECOND) == Freshness()
    assert queued() == []


def test_look_between_two_polls_requests_the_next_refresh_and_mentions_none(install: Install) -> None:
    sync.refresh(install=install, now=NOON)
    assert look(install=reload(install), now=NOON + SECOND * 3) == Freshness()
    assert queued() == [install.pk]


def test_refresh_that_brought_nothing_is_requested_again_though_its_job_is_still_begun(install: Install) -> None:
    """Its worker was killed: Procrastinate keeps the job as started until the job is found to be stalled."""
    look(install=install, now=NOON)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = %s", [freshness.REFRESH])
    look(install=reload(install), now=NOON + SECOND * 9)
    assert queued() == []
    look(install=reload(install), now=NOON + SECOND * 10)
    assert queued() == [install.pk]


def test_looks_while_no_worker_comes_leave_one_job(install: Install) -> None:
    for seconds in range(0, 120, 3):
        look(install=reload(install), now=NOON + SECOND * seconds)
    assert queued() == [install.pk]


def test_operation_on_an_endpoint_makes_a_young_list_old(install: Install) -> None:
    sync.refresh(install=install, now=NOON)
    make_entry(endpoint=install.endpoints.get(), install=install, at=NOON + SECOND / 2)
    look(install=reload(install), now=NOON + SECOND)
    assert queued() == [install.pk]


@pytest.mark.parametrize("phase", ["unknown", "unavailable"])
def test_write_without_an_answer_is_followed_by_a_pause(
    install: Install, fake_opentrain: FakeOpenTrain, phase: str
) -> None:
    make_entry(endpoint=install.endpoints.get(), at=NOON, phase=phase)
    assert look(install=reload(install), now=NOON + SECOND) == Freshness()
    assert freshen(install=reload(install), now=NOON + SECOND) == Staleness(freshness.JUST_FAILED)
    refresh(install_id=install.pk, now=NOON + SECOND)
    assert (fake_opentrain.calls, queued()) == ([], [])
    look(install=reload(install), now=NOON + SECOND * 10)
    assert queued() == [install.pk]


@pytest.mark.parametrize("phase", ["unknown", "unavailable"])
def test_handler_that_does_not_take_an_event_stops_no_read(install: Install, phase: str) -> None:
    make_entry(endpoint=install.endpoints.get(), at=NOON, phase=phase, action="hand over event")
    look(install=reload(install), now=NOON + SECOND)
    assert queued() == [install.pk]


def test_write_that_was_refused_is_followed_by_a_read_at_once(install: Install) -> None:
    make_entry(endpoint=install.endpoints.get(), at=NOON, phase="refused")
    look(install=reload(install), now=NOON + SECOND)
    assert queued() == [install.pk]


@pytest.mark.usefixtures("_worker")
def test_look_after_a_failure_says_why_and_leaves_opentrain_alone(
    install: Install, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(DOWN)
    refresh(install_id=install.pk, now=NOON)
    known = reload(install)
    assert look(install=known, now=NOON + SECOND * 9) == Freshness(Staleness("OpenTrain cannot be reached."))
    assert queued() == []
    again = look(install=known, now=NOON + SECOND * 10)
    assert again == Freshness(Staleness("OpenTrain cannot be reached."), refreshing=True)
    assert queued() == [install.pk]


@pytest.mark.parametrize("trouble", [Trouble.RATE_LIMITED, Trouble.TOKEN_REFUSED])
def test_nobody_asks_before_the_pause_is_over_that_opentrain_asked_for(
    install: Install, fake_opentrain: FakeOpenTrain, trouble: Trouble
) -> None:
    Install.objects.update(last_error="No.", last_error_code=trouble, last_error_at=NOON, poll_after=NOON + SECOND * 40)
    for ask in (look, freshen):
        ask(install=reload(install), now=NOON + SECOND * 39)
    refresh(install_id=install.pk, now=NOON + SECOND * 39)
    assert (fake_opentrain.calls, queued()) == ([], [])
    look(install=reload(install), now=NOON + SECOND * 40)
    assert queued() == [install.pk]


def test_retry_after_is_kept_by_pages(install: Install, fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.fail_next(RateLimited("Too many.", retry_after_s=7200))
    refresh(install_id=install.pk, now=NOON)
    assert look(install=reload(install), now=NOON + timedelta(minutes=119)).stale == Staleness("Too many.")
    assert queued() == []


def test_look_without_a_worker_says_so_and_not_that_it_is_being_refreshed(install: Install) -> None:
    assert look(install=install, now=NOON) == Freshness(Staleness(NO_WORKER))


@pytest.mark.usefixtures("_worker")
def test_look_when_the_worker_fell_silent_says_so(install: Install) -> None:
    assert look(install=install, now=NOON + SECOND * 60) == Freshness(refreshing=True)
    assert look(install=reload(install), now=NOON + SECOND * 61) == Freshness(Staleness(NO_WORKER))


@pytest.mark.usefixtures("_worker")
def test_look_at_a_list_that_is_older_than_the_poller_allows_says_that_it_is_late(install: Install) -> None:
    Install.objects.update(listed_at=NOON - timedelta(seconds=181))
    assert look(install=reload(install), now=NOON) == Freshness(Staleness(LATE), refreshing=True)


@pytest.mark.usefixtures("_worker")
def test_install_that_was_never_listed_is_never_synced_until_it_is(fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token=fake_opentrain.add_install(), described_at=NOON)
    assert (install.is_never_synced, install.synced_at) == (True, None)
    assert look(install=install, now=NOON) == Freshness(refreshing=True)
    refresh(install_id=install.pk, now=NOON)
    known = reload(install)
    assert (known.is_never_synced, known.synced_at) == (False, NOON)


def test_install_that_was_listed_before_this_was_recorded_is_as_old_as_the_last_answer() -> None:
    install = make_endpoint().install
    assert (reload(install).is_never_synced, reload(install).synced_at) == (False, NOON)


def test_token_without_the_scope_is_never_asked_for(fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token_scopes=["contracts:read"])
    assert look(install=install, now=NOON + SECOND * 60) == Freshness()
    refresh(install_id=install.pk, now=NOON)
    assert (fake_opentrain.calls, queued(), reload(install).synced_at) == ([], [], NOON)


def test_refresh_that_is_no_longer_due_calls_nobody_and_lets_the_next_be_requested(
    install: Install, fake_opentrain: FakeOpenTrain
) -> None:
    Install.objects.update(listed_at=NOON, refresh_requested_at=NOON)
    refresh(install_id=install.pk, now=NOON + SECOND)
    assert (fake_opentrain.calls, reload(install).refresh_requested_at) == ([], None)


def test_refresh_of_an_install_that_is_gone_does_nothing(fake_opentrain: FakeOpenTrain) -> None:
    refresh(install_id=999_999_999, now=NOON)
    assert fake_opentrain.calls == []


def test_button_asks_at_once_and_requests_nothing(install: Install, fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.set_streak(install.endpoints.get().opentrain_id, 3)
    assert freshen(install=reload(install), now=NOON) is None
    assert (operations(fake_opentrain), queued()) == (["list_endpoints"], [])
    assert Endpoint.objects.get().consecutive_failures == 3
    fake_opentrain.fail_next(DOWN)
    assert freshen(install=reload(install), now=NOON + SECOND * 2) == Staleness("OpenTrain cannot be reached.")


# --- Concurrency: each thread with its own connection ----------------------------------------------------------------


@pytest.fixture
def _no_jobs(transactional_db: None) -> Any:
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


def elsewhere(pool: ThreadPoolExecutor, call: Any, **arguments: Any) -> Any:
    def done() -> Any:
        try:
            return call(**arguments)
        finally:
            connection.close()

    return pool.submit(done)


@pytest.mark.usefixtures("_no_jobs")
def test_tabs_at_once_request_one_refresh(install: Install) -> None:
    rows = [reload(install) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        asked = [elsewhere(pool, look, install=row, now=NOON) for row in rows]
        assert {one.result(timeout=60).refreshing for one in asked} == {False}  # no worker runs here
    assert queued() == [install.pk]


@pytest.mark.usefixtures("_no_jobs")
def test_look_does_not_wait_for_a_row_that_is_being_written(install: Install) -> None:
    row = reload(install)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        snapshots.hold(install_id=install.pk)
        assert elsewhere(pool, look, install=row, now=NOON).result(timeout=60) == Freshness(Staleness(NO_WORKER))
    assert queued() == []


@pytest.mark.usefixtures("_no_jobs")
def test_workers_at_once_make_one_call_for_an_install(
    install: Install, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, let_go = threading.Event(), threading.Event()
    real = opentrain.list_endpoints

    def list_endpoints(**arguments: Any) -> Any:
        asked.set()
        assert let_go.wait(60)
        return real(**arguments)

    monkeypatch.setattr(opentrain, "list_endpoints", list_endpoints)
    now: datetime = NOON + SECOND
    with ThreadPoolExecutor(2) as pool:
        first = elsewhere(pool, refresh, install_id=install.pk, now=now)
        assert asked.wait(60)
        elsewhere(pool, refresh, install_id=install.pk, now=now).result(timeout=60)
        assert fake_opentrain.calls == []  # the second has ended, the first still waits
        let_go.set()
        first.result(timeout=60)
    assert operations(fake_opentrain) == ["list_endpoints"]


@pytest.mark.parametrize(("endpoints", "seconds"), [(25, 2), (500, 2), (4000, 16), (1_000_000, 60)])
def test_longer_list_is_requested_less_often_by_pages_but_not_by_buttons(
    install: Install, fake_opentrain: FakeOpenTrain, endpoints: int, seconds: int
) -> None:
    Install.objects.update(endpoint_count=endpoints, listed_at=NOON)
    look(install=reload(install), now=NOON + SECOND * seconds - SECOND / 10)
    assert queued() == []
    look(install=reload(install), now=NOON + SECOND * seconds)
    assert queued() == [install.pk]
    assert freshen(install=reload(install), now=NOON + SECOND * 2) is None
    assert operations(fake_opentrain) == ["list_endpoints"]


def test_long_list_is_requested_at_once_after_an_operation(install: Install) -> None:
    Install.objects.update(endpoint_count=4000, listed_at=NOON)
    make_entry(endpoint=install.endpoints.get(), at=NOON + SECOND)
    look(install=reload(install), now=NOON + SECOND * 2)
    assert queued() == [install.pk]
