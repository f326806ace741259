"""The poller: it polls every install in turn and at its own pace, and no install's failure delays another."""

import threading
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import poller, rounds, snapshots, sync
from dashboard.actions.installs.rounds import Done
from dashboard.models import Endpoint, EndpointSnapshot, Install
from dashboard.rules.installs import Trouble
from dashboard.services import opentrain
from dashboard.vault import Secret
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_endpoint, make_install, make_user

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
URL = "https://acme.example.com/"


def poll(at: datetime = NOON) -> Done:
    return poller.poll(clock=lambda: at, budget=MINUTE)


def make_polled(fake: FakeOpenTrain, **columns) -> Install:
    """Create an install that the fake knows, with one endpoint that Redeliver has not seen yet."""
    token = fake.add_install()
    fake.create_endpoint(token=token, url=URL, event_types=["contract.ended"])
    return make_install(**{"token": token, "described_at": NOON} | columns)


def reload(install: Install) -> Install:
    return Install.objects.get(pk=install.pk)


def test_poll_keeps_the_endpoints_of_every_install(fake_opentrain: FakeOpenTrain) -> None:
    several = [make_polled(fake_opentrain) for _ in range(40)]
    assert poll() == Done(installs=40, failed=0)
    assert sorted(Endpoint.objects.values_list("install", flat=True)) == [install.pk for install in several]
    assert set(Install.objects.values_list("checked_at", "poll_after", "endpoint_count", "fine_count")) == {
        (NOON, NOON + MINUTE, 1, 1)
    }


def test_poll_asks_no_install_before_its_time(fake_opentrain: FakeOpenTrain) -> None:
    make_polled(fake_opentrain)
    poll()
    assert poll(NOON + MINUTE - timedelta(seconds=1)) == Done()
    assert poll(NOON + MINUTE) == Done(installs=1)


def test_look_of_a_page_counts_for_the_budget(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    assert sync.refresh(install=install, now=NOON) is None
    assert poll(NOON + timedelta(seconds=59)) == Done()


@pytest.mark.parametrize("retry_after_s", [None, 7200])
def test_poll_after_429_waits_as_long_as_opentrain_says(fake_opentrain: FakeOpenTrain, retry_after_s) -> None:
    install = make_polled(fake_opentrain)
    fake_opentrain.fail_next(opentrain.RateLimited("Too many.", retry_after_s=retry_after_s))
    assert poll() == Done(installs=1, failed=1)
    install = reload(install)
    assert (install.last_error_code, install.failures) == (Trouble.RATE_LIMITED, 1)
    if retry_after_s is None:
        assert NOON + MINUTE <= install.poll_after <= NOON + 2 * MINUTE
    else:
        assert install.poll_after == NOON + timedelta(hours=2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (opentrain.Unavailable("No answer.", reason=opentrain.Reason.TIMEOUT), Trouble.UNREACHABLE),
        (opentrain.Unavailable("Broken.", reason=opentrain.Reason.SERVER_ERROR, status=500), Trouble.UNREACHABLE),
        (opentrain.BadResponse("OpenTrain's answer is HTML.", status=200), Trouble.BAD_ANSWER),
    ],
    ids=["time-out", "500", "HTML"],
)
def test_poll_that_fails_keeps_the_cause_and_backs_off_until_it_works(
    fake_opentrain: FakeOpenTrain, error, code
) -> None:
    install = make_polled(fake_opentrain)
    fake_opentrain.fail_next(error)
    poll()
    failed = reload(install)
    assert (failed.last_error, failed.last_error_code, failed.trouble_since) == (str(error), code, NOON)
    assert failed.poll_after >= NOON + MINUTE
    later = failed.poll_after
    fake_opentrain.fail_next(error)
    poll(later)
    again = reload(install)
    assert (again.failures, again.trouble_since, again.last_error_at) == (2, NOON, later)
    assert again.poll_after - later >= 2 * MINUTE
    poll(again.poll_after)
    works = reload(install)
    assert (works.last_error, works.last_error_code, works.failures, works.trouble_since) == ("", "", 0, None)


def test_poll_with_a_revoked_token_says_that_it_was_refused(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    fake_opentrain.revoke(install.token)
    poll()
    install = reload(install)
    assert (install.last_error_code, install.rank, install.needs_person) == (Trouble.TOKEN_REFUSED, 0, True)
    assert "OpenTrain refused: “The token is not valid" in install.last_error


def test_poll_of_an_install_that_is_not_active_says_so(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    fake_opentrain.set_status(install.token, "SUSPENDED")
    poll()
    assert reload(install).last_error_code == Trouble.NOT_ACTIVE


def test_poll_learns_that_a_scope_was_taken_away_and_given_back(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    install = make_polled(fake_opentrain)
    given = dict(fake_opentrain._installs)
    token = install.token
    poorer = fake_opentrain.add_install(scopes=["contracts:read"])
    fake_opentrain._installs[token] = fake_opentrain._installs[poorer]
    poll()
    install = reload(install)
    assert (install.last_error_code, install.token_scopes) == (Trouble.SCOPE_MISSING, ["contracts:read"])
    fake_opentrain._installs[token] = given[token]
    poll(install.poll_after)
    install = reload(install)
    assert (install.last_error_code, install.can_manage, install.endpoint_count) == ("", True, 1)


def test_poll_with_a_token_that_cannot_be_read_asks_nobody_and_goes_on(fake_opentrain: FakeOpenTrain, settings) -> None:
    lost = make_polled(fake_opentrain)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    fine = make_polled(fake_opentrain)
    assert poll() == Done(installs=2, failed=1)
    codes = dict(Install.objects.values_list("pk", "last_error_code"))
    assert codes == {lost.pk: Trouble.TOKEN_UNREADABLE, fine.pk: ""}


def test_install_with_a_new_token_is_asked_at_once(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain, failures=9, poll_after=NOON + 60 * MINUTE, last_error="refused")
    token = fake_opentrain.add_install()
    Install.objects.update(opentrain_id=fake_opentrain._installs[token].id)
    sync.connect(actor=make_user(), token=token, name="", now=NOON, operation=uuid.uuid4())
    install = reload(install)
    assert (install.failures, install.poll_after, install.last_error) == (0, None, "")


def test_poll_of_one_install_that_breaks_us_goes_on_with_the_others(
    fake_opentrain: FakeOpenTrain, monkeypatch, caplog
) -> None:
    several = [make_polled(fake_opentrain) for _ in range(3)]
    real = opentrain.list_endpoints

    def broken_for_one(*, token: Secret) -> tuple:
        if token == several[0].token:
            raise RuntimeError("a mistake of ours")
        return real(token=token)

    monkeypatch.setattr(opentrain, "list_endpoints", broken_for_one)
    assert poll() == Done(installs=3, failed=1)
    assert Endpoint.objects.count() == 2
    assert "poll: an install could not be read" in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        {"status": "S" * 300},
        {"disabled_reason": "a\0b"},
    ],
    ids=["too long", "NUL"],
)
def test_answer_that_cannot_be_stored_is_said_in_words_and_the_others_are_polled(
    fake_opentrain: FakeOpenTrain, caplog: pytest.LogCaptureFixture, said: dict[str, Any]
) -> None:
    several = [make_polled(fake_opentrain) for _ in range(3)]
    assert poll() == Done(installs=3, failed=0)
    [odd] = fake_opentrain.list_endpoints(token=several[0].token)
    make_delivery(endpoint=Endpoint.objects.get(opentrain_id=odd.id), last_ok=False)
    fake_opentrain._change(odd.id, **said)  # past the limits of the client
    assert poll(NOON + MINUTE) == Done(installs=3, failed=1)
    first, *others = (reload(install) for install in several)
    assert (first.last_error_code, first.failures, first.needs_person) == (Trouble.BAD_ANSWER, 1, True)
    assert sync.NOT_STORED in first.last_error
    assert [one.last_error for one in others] == ["", ""]
    assert "OpenTrain's response could not be stored" in caplog.text


def test_installs_that_hang_do_not_delay_the_others(fake_opentrain: FakeOpenTrain, monkeypatch, settings) -> None:
    """More installs hang than there are slots; all others are recorded long before the first hanging call ends."""
    settings.POLL_CONCURRENCY = 2
    monkeypatch.setattr(rounds, "SLOW_AFTER_MOST_S", 0.05)
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.01)
    hanging = {make_polled(fake_opentrain).token for _ in range(6)}
    fine = [make_polled(fake_opentrain).pk for _ in range(20)]
    let_go = threading.Event()
    real, recorded = opentrain.list_endpoints, []

    def list_endpoints(*, token: Secret) -> tuple:
        if token in hanging:
            assert let_go.wait(60)
            raise opentrain.Unavailable("No answer.", reason=opentrain.Reason.TIMEOUT)
        return real(token=token)

    def record(answer) -> object:
        recorded.append(answer.install.pk)
        if len(recorded) == len(fine):
            let_go.set()
        return real_record(answer)

    real_record = sync.record
    monkeypatch.setattr(opentrain, "list_endpoints", list_endpoints)
    monkeypatch.setattr(sync, "record", record)
    assert poll() == Done(installs=26, failed=6)
    assert sorted(recorded[: len(fine)]) == fine  # the hanging ones are released after these


def test_poll_of_failing_installs_uses_only_slots_of_their_own(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    under_way, most = 0, 0
    lock, real = threading.Lock(), opentrain.list_endpoints

    def list_endpoints(*, token: Secret) -> tuple:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.005)
        with lock:
            under_way -= 1
        return real(token=token)

    monkeypatch.setattr(opentrain, "list_endpoints", list_endpoints)
    for _ in range(30):
        make_polled(fake_opentrain, failures=1)
    assert poll() == Done(installs=30)
    assert most <= poller.FAILING_SLOTS


def test_poll_ends_with_its_budget_and_the_next_one_goes_on(fake_opentrain: FakeOpenTrain) -> None:
    make_polled(fake_opentrain)
    assert poller.poll(clock=lambda: NOON, budget=timedelta(0)) == Done()
    assert poll() == Done(installs=1)


def test_what_a_killed_poller_had_taken_is_due_again(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    assert poller.take(now=NOON, failing=False) == [install]
    assert poll(NOON + poller.LEASE - timedelta(seconds=1)) == Done()
    assert poll(NOON + poller.LEASE) == Done(installs=1)


def test_threads_that_ask_have_no_database(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    make_polled(fake_opentrain)
    real, seen = opentrain.list_endpoints, []

    def list_endpoints(*, token: Secret) -> tuple:
        seen.append((threading.current_thread() is threading.main_thread(), connection.connection))
        return real(token=token)

    monkeypatch.setattr(opentrain, "list_endpoints", list_endpoints)
    poll()
    assert seen == [(False, None)]


def test_history_has_a_row_for_each_change_and_one_an_hour(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    poll()
    endpoint = Endpoint.objects.get(install=install)
    for minutes in (1, 2, 59):
        poll(NOON + minutes * MINUTE)
    fake_opentrain.set_streak(endpoint.opentrain_id, 3)
    poll(NOON + 60 * MINUTE)
    poll(NOON + 61 * MINUTE)
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    poll(NOON + 62 * MINUTE)
    poll(NOON + 122 * MINUTE)
    history = EndpointSnapshot.objects.order_by("at").values_list("at", "status", "consecutive_failures", "severity")
    assert [((at - NOON) // MINUTE, *rest) for at, *rest in history] == [
        (0, "ACTIVE", 0, 6),
        (60, "ACTIVE", 3, 3),
        (62, "DISABLED", 10, 1),
        (122, "DISABLED", 10, 1),
    ]
    endpoint.refresh_from_db()
    assert endpoint.snapshot_at == NOON + 122 * MINUTE


def test_unchanged_endpoints_cost_no_query_each(fake_opentrain: FakeOpenTrain, django_assert_num_queries) -> None:
    token = fake_opentrain.add_install()
    install = make_install(token=token, described_at=NOON)
    for _ in range(20):
        fake_opentrain.create_endpoint(token=token, url=URL, event_types=["contract.ended"])
    poll()
    remote = opentrain.list_endpoints(token=token)
    with django_assert_num_queries(3):  # read, mark as seen, sums
        snapshots.record_endpoints(install=install, remote=remote, at=NOON + MINUTE)
    assert set(Endpoint.objects.values_list("snapshot_at", flat=True)) == {NOON + MINUTE}


def test_sums_of_an_install_follow_its_endpoints(fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    install = make_install(token=token, described_at=NOON)
    made = [
        fake_opentrain.create_endpoint(token=token, url=URL, event_types=["contract.ended"]).endpoint for _ in range(4)
    ]
    fake_opentrain.set_streak(made[0].id, 8)
    fake_opentrain.disable(made[1].id, "10 consecutive failures")
    fake_opentrain.update_endpoint(token=token, endpoint_id=made[2].id, status="DISABLED")

    def sums() -> tuple:
        known = reload(install)
        return known.endpoint_count, known.needing_count, known.fine_count, known.worst, known.rank

    poll()
    assert sums() == (4, 2, 1, 1, 1)
    enabled = fake_opentrain.update_endpoint(token=token, endpoint_id=made[1].id, status="ACTIVE")
    snapshots.record_endpoint(install=install, remote=enabled, at=timezone.now())
    assert sums() == (4, 1, 2, 2, 2)
    fake_opentrain.delete_endpoint(token=token, endpoint_id=made[0].id)
    poll(timezone.now())
    assert sums() == (3, 0, 2, 5, 5)


def test_rank_of_an_install_without_endpoints_is_last() -> None:
    assert reload(make_install()).rank == 7
    assert reload(make_install(status="SUSPENDED")).rank == 0
    assert reload(make_install(token_scopes=[])).rank == 0
    assert reload(make_endpoint().install).can_manage is True


def test_poll_of_a_list_that_lags_behind_a_change_changes_nothing(fake_opentrain: FakeOpenTrain) -> None:
    install = make_polled(fake_opentrain)
    poll(timezone.now() - 5 * MINUTE)
    endpoint = Endpoint.objects.select_related("install").get(install=install)
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    poll(timezone.now() - 3 * MINUTE)
    endpoint.refresh_from_db()
    fake_opentrain.fall_behind()
    outcome = endpoints.enable(actor=make_user(), endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.ok
    assert poll(timezone.now()) == Done(installs=1)
    assert reload(install).needing_count == 0
    assert Endpoint.objects.get().status == "ACTIVE"
    fake_opentrain.catch_up()
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    Install.objects.update(poll_after=None)
    assert poll(timezone.now()) == Done(installs=1)
    assert reload(install).needing_count == 1
