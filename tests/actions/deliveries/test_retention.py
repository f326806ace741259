"""Retention removes old deliveries from the log, and nothing else."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from dashboard import tasks
from dashboard.actions.deliveries import retention
from dashboard.actions.deliveries.retention import Removed
from dashboard.models import (
    Attempt,
    AuditEntry,
    Contract,
    ContractChange,
    Delivery,
    EndpointSnapshot,
    Evidence,
    Finding,
    Handover,
    Install,
    InstallSnapshot,
    ProjectLink,
    ReceiverPresence,
    RefusedAttempt,
    WindowCheck,
)
from tests.actions.deliveries.test_record import record
from tests.factories import (
    BODY,
    NOON,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_finding,
    make_handover,
    make_install,
    make_link,
    make_refused_attempt,
    make_window_check,
)

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _limits(settings) -> None:
    settings.RETENTION_DAYS, settings.BODY_RETENTION_DAYS = 90, 30


def retain(**arguments) -> Removed:
    return retention.retain(**{"now": NOON, "rest": lambda _s: None} | arguments)


def make_old(*, age, endpoint=None, attempts=1, **columns) -> Delivery:
    """Create a delivery whose last attempt was `age` before noon."""
    at = NOON - age
    delivery = make_delivery(
        endpoint=endpoint, **{"first_received_at": at, "last_attempt_at": at, "attempt_count": attempts} | columns
    )
    for number in range(1, attempts + 1):
        make_attempt(delivery=delivery, number=number, received_at=at)
    return delivery


@pytest.mark.django_db
def test_retain_removes_what_is_older_than_the_limit_and_nothing_else() -> None:
    endpoint = make_endpoint()
    make_old(endpoint=endpoint, age=90 * DAY + SECOND, attempts=3)
    make_old(endpoint=endpoint, age=400 * DAY)
    kept = [make_old(endpoint=endpoint, age=age) for age in (90 * DAY, DAY, 0 * DAY)]
    make_refused_attempt(endpoint=endpoint, received_at=NOON - 90 * DAY - SECOND)
    young = make_refused_attempt(endpoint=endpoint, received_at=NOON - 90 * DAY)
    assert retain() == Removed(deliveries=2, attempts=4, bodies=1, refused=1)
    assert list(Delivery.objects.order_by("pk")) == kept
    assert [attempt.delivery for attempt in Attempt.objects.order_by("pk")] == kept
    assert list(RefusedAttempt.objects.all()) == [young]


@pytest.mark.django_db
def test_retain_takes_hand_overs_and_their_bodies_earlier_and_leaves_the_evidence() -> None:
    endpoint, contract = make_endpoint(), make_contract()
    ages = (90 * DAY + SECOND, 90 * DAY, 30 * DAY + SECOND, 30 * DAY)
    old, fading, faded, young = (
        make_handover(contract=contract, endpoint=endpoint, asked_at=NOON - age) for age in ages
    )
    make_handover(contract=contract, endpoint=endpoint, asked_at=NOON - 60 * DAY, body=None, result="not_sent")
    make_evidence(contract=contract, endpoint=endpoint, opentrain_id=old.delivery_id)
    assert retain() == Removed(handovers=1, bodies=2)
    assert retain() == Removed()
    assert not Handover.objects.filter(pk=old.pk).exists()
    for row in (fading, faded):
        row.refresh_from_db()
        assert (row.body, row.response_head, row.body_gone_at, row.ok) == (None, None, NOON, True)
    young.refresh_from_db()
    assert (bytes(young.response_head), young.body_gone_at) == (b"thanks", None)
    assert Evidence.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "recent",
    [{"last_attempt_at": NOON - DAY}, {"requested_at": NOON - DAY}],
    ids=["attempted again lately", "asked for again lately"],
)
def test_retain_keeps_an_old_delivery_that_something_happened_to(recent) -> None:
    delivery = make_old(age=100 * DAY, **recent)
    assert retain() == Removed()
    delivery.refresh_from_db()
    assert (bytes(delivery.body), delivery.body_gone_at, delivery.attempts.count()) == (BODY, None, 1)


@pytest.mark.django_db
def test_retain_takes_bodies_and_answers_earlier_and_leaves_the_rest() -> None:
    old, young = make_old(age=30 * DAY + SECOND, attempts=2), make_old(age=30 * DAY)
    assert retain() == Removed(bodies=1)
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.body, old.body_gone_at, old.attempt_count, old.event_type) == (None, NOON, 2, "contract.started")
    assert [(one.response_head, one.answered_status) for one in old.attempts.all()] == [(None, 200), (None, 200)]
    assert (bytes(young.body), young.body_gone_at) == (BODY, None)
    assert [bytes(one.response_head) for one in young.attempts.all()] == [b'{"received": true}']
    assert retain() == Removed()


@pytest.mark.django_db
def test_retain_takes_checks_with_the_history_that_they_are_of(settings) -> None:
    endpoint = make_endpoint()
    make_window_check(endpoint=endpoint, since=NOON - 91 * DAY, until=NOON - 90 * DAY - SECOND)
    kept = make_window_check(endpoint=endpoint, since=NOON - 91 * DAY, until=NOON - 90 * DAY)
    assert retain() == Removed(snapshots=1)
    assert list(WindowCheck.objects.all()) == [kept]
    settings.RETENTION_DAYS = 0
    assert retain(now=NOON + 1000 * DAY) == Removed()


@pytest.mark.django_db
def test_retain_with_a_limit_of_0_keeps_for_ever(settings) -> None:
    settings.RETENTION_DAYS = settings.BODY_RETENTION_DAYS = 0
    make_old(age=5000 * DAY)
    make_refused_attempt(received_at=NOON - 5000 * DAY)
    assert retain() == Removed()
    assert (Delivery.objects.count(), RefusedAttempt.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_retain_keeps_who_did_what() -> None:
    endpoint = make_endpoint()
    entry = AuditEntry.objects.create(
        phase="requested", action="redeliver one", actor_name="ana", endpoint=endpoint, at=NOON - 1000 * DAY
    )
    make_old(endpoint=endpoint, age=1000 * DAY)
    assert retain() == Removed(deliveries=1, attempts=1)
    assert list(AuditEntry.objects.all()) == [entry]


@pytest.mark.django_db
def test_retain_goes_oldest_first_in_steps_and_passes_over_what_is_kept_once(monkeypatch) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    endpoint = make_endpoint()
    for number in range(7):
        lately = {"last_attempt_at": NOON} if number in {0, 3} else {}
        make_old(endpoint=endpoint, age=200 * DAY, opentrain_id=f"dlv_{number}", **lately)
    left = []
    rests = []

    def look(so_far) -> None:
        left.append((so_far.deliveries, sorted(Delivery.objects.values_list("opentrain_id", flat=True))))

    assert retain(on_step=look, rest=rests.append) == Removed(deliveries=5, attempts=5)
    assert left == [
        (2, ["dlv_0", "dlv_3", "dlv_4", "dlv_5", "dlv_6"]),
        (4, ["dlv_0", "dlv_3", "dlv_6"]),
        (5, ["dlv_0", "dlv_3"]),
    ]
    assert len(rests) == 3
    assert min(rests) >= retention.REST_S


@pytest.mark.django_db
def test_retain_ends_with_its_budget_and_the_next_run_goes_on(monkeypatch) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    endpoint = make_endpoint()
    for _ in range(5):
        make_old(endpoint=endpoint, age=200 * DAY)
    assert retain(budget=timedelta(0)) == Removed(deliveries=2, attempts=2)
    assert Delivery.objects.count() == 3
    assert retain() == Removed(deliveries=3, attempts=3)


@pytest.mark.django_db(transaction=True)
def test_retain_that_dies_in_a_step_has_lost_no_half_of_it(monkeypatch) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    endpoint = make_endpoint()
    for _ in range(4):
        make_old(endpoint=endpoint, age=200 * DAY, attempts=2)

    def cut(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        # Simulates a power cut in the second step, after its attempts are deleted and before its deliveries are.
        if sql.startswith("DELETE FROM dashboard_attempt") and Delivery.objects.count() == 2:
            raise OperationalError("gone")
        return result

    with connection.execute_wrapper(cut), pytest.raises(OperationalError):
        retain()
    assert (Delivery.objects.count(), Attempt.objects.count()) == (2, 4)
    assert retain() == Removed(deliveries=2, attempts=4)


@contextmanager
def elsewhere(work):
    """Run `work` in a thread with its own connection; yield its future."""

    def run():
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(run)


@pytest.mark.django_db(transaction=True)
def test_retain_leaves_a_delivery_that_is_being_received() -> None:
    endpoint = make_endpoint()
    busy = make_old(endpoint=endpoint, age=200 * DAY)
    make_old(endpoint=endpoint, age=200 * DAY)
    with transaction.atomic():
        record(endpoint=endpoint, delivery_id=busy.opentrain_id)
        with elsewhere(retain) as removing:
            removed = removing.result(timeout=60)
    assert removed == Removed(deliveries=1, attempts=1)
    assert list(Delivery.objects.values_list("pk", "attempt_count")) == [(busy.pk, 2)]
    assert [attempt.number for attempt in busy.attempts.all()] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_record_attempt_of_a_delivery_that_is_being_removed_waits_and_begins_it_anew() -> None:
    endpoint = make_endpoint()
    old = make_old(endpoint=endpoint, age=200 * DAY, attempts=5)
    receiving = []

    def hold(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("DELETE FROM dashboard_delivery") and not receiving:
            receiving.append(threads.submit(receive))
            wait_until_somebody_waits()
        return result

    def receive():
        try:
            return record(endpoint=endpoint, delivery_id=old.opentrain_id, status=503).number
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads, connection.execute_wrapper(hold):
        assert retain().deliveries == 1
        assert [one.result(timeout=60) for one in receiving] == [1]
    fresh = Delivery.objects.get()
    assert (fresh.pk == old.pk, fresh.opentrain_id, fresh.attempt_count) == (False, old.opentrain_id, 1)
    assert [attempt.number for attempt in fresh.attempts.all()] == [1]


def wait_until_somebody_waits() -> None:
    """Wait until a session waits for another session's lock; all sessions of this server belong to this process."""
    deadline = time.monotonic() + 60
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(query)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    pytest.fail("nobody waited")


@pytest.mark.django_db(transaction=True)
def test_retain_beside_a_busy_receiver_loses_no_attempt(monkeypatch) -> None:
    monkeypatch.setattr(retention, "STEP", 3)
    endpoint = make_endpoint()
    olds = [make_old(endpoint=endpoint, age=200 * DAY) for _ in range(60)]

    def receive(delivery) -> int:
        try:
            return record(endpoint=endpoint, delivery_id=delivery.opentrain_id).number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        numbers = threads.map(receive, reversed(olds))
        removed = retain()
        numbers = list(numbers)
    # Each arrived either before its row was removed, as its second attempt, or after, as the first of a new row.
    assert (removed.deliveries, removed.attempts) == (numbers.count(1), numbers.count(1))
    assert Delivery.objects.count() == 60
    assert Attempt.objects.count() == sum(numbers)


@pytest.mark.django_db
def test_record_attempt_of_a_delivery_without_its_body_brings_it_back() -> None:
    endpoint = make_endpoint()
    old = make_old(endpoint=endpoint, age=40 * DAY)
    retain()
    record(endpoint=endpoint, delivery_id=old.opentrain_id, body=b"again")
    old.refresh_from_db()
    assert (bytes(old.body), old.body_gone_at, old.attempt_count) == (b"again", None, 2)


@pytest.mark.django_db
def test_retain_reads_no_more_of_the_log_than_it_removes() -> None:
    """Its scans use their indexes, even if the planner would prefer another plan for a small table."""
    plans = []

    def explain(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "SKIP LOCKED" in sql:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan TO off")
                cursor.execute("SET LOCAL enable_bitmapscan TO off")
                cursor.execute("SET LOCAL enable_sort TO off")
                plans.append("\n".join(row[0] for row in explained(cursor, sql, params)))
        return execute(sql, params, many, context)

    make_old(age=200 * DAY)
    make_old(age=40 * DAY)
    make_refused_attempt(received_at=NOON - 200 * DAY)
    with connection.execute_wrapper(explain):
        retain()
    small = ("dashboard_install", "dashboard_receiverpresence")  # few rows for each install and receiver
    for plan in plans:
        assert "Sort" not in plan or any(table in plan for table in small)
    names = ["delivery_newest_of_all", "refused_of_all", "delivery_body_oldest_first"]
    assert [any(f"using {name} " in plan for plan in plans) for name in names] == [True, True, True]


def explained(cursor, sql, params):
    cursor.execute(f"EXPLAIN {sql}", params)
    return cursor.fetchall()


@pytest.mark.django_db
def test_the_task_removes_what_is_old() -> None:
    make_old(age=timezone.now() - NOON + 200 * DAY)
    tasks.retain(0)
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_retain_removes_the_old_history_of_endpoints() -> None:
    endpoint = make_endpoint()
    for age in (90 * DAY + SECOND, 90 * DAY, DAY):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON - age, status="ACTIVE")
    assert retain() == Removed(snapshots=1)
    assert [NOON - one.at for one in EndpointSnapshot.objects.order_by("at")] == [90 * DAY, DAY]


def make_old_contract(*, install: Install, days: int, **columns: object) -> Contract:
    """Create a contract that has been gone for so many days, with evidence, a finding, a change and a hand-over."""
    contract = make_contract(install=install, gone_at=NOON - days * DAY, **columns)
    endpoint = make_endpoint(install=install)
    make_evidence(contract=contract, endpoint=endpoint)
    make_finding(contract=contract, endpoint=endpoint)
    change = {"what": "gone", "not_before": NOON - days * DAY, "seen_at": NOON - days * DAY}
    ContractChange.objects.create(install=install, contract=contract, **change)
    Handover.objects.create(
        install=install, contract=contract, endpoint=endpoint, contract_opentrain_id=contract.opentrain_id,
        event_type="contract.ended", delivery_id=f"rdl_{contract.pk}", body=b"{}", actor_name="ana", asked_at=NOON,
    )  # fmt: skip
    return contract


@pytest.mark.django_db
def test_retain_removes_contracts_and_links_that_have_been_gone_for_long(monkeypatch) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    install = make_install()
    for days in (91, 95, 200):
        make_old_contract(install=install, days=days)
    kept = [make_old_contract(install=install, days=89), make_contract(install=install)]
    gone = make_link(install=install, gone_at=NOON - 91 * DAY)
    ContractChange.objects.create(install=install, link=gone, what="gone", not_before=NOON, seen_at=NOON)
    links = [make_link(install=install, gone_at=NOON - 89 * DAY), make_link(install=install)]
    assert retain() == Removed(contracts=3, links=1)
    assert list(Contract.objects.order_by("pk")) == kept
    assert list(ProjectLink.objects.order_by("pk")) == links
    for model in (Evidence, Finding, ContractChange):
        assert [row.contract for row in model.objects.all()] == kept[:1]
    assert list(Handover.objects.order_by("pk").values_list("contract", flat=True)) == [None] * 3 + [kept[0].pk]
    assert retain() == Removed()


@pytest.mark.django_db(transaction=True)
def test_retain_leaves_contracts_of_an_install_that_is_written_for_the_next_run() -> None:
    one, other = make_install(), make_install()
    held = make_contract(install=one, gone_at=NOON - 91 * DAY)
    make_contract(install=other, gone_at=NOON - 91 * DAY)
    second = connection.copy()
    try:
        with second.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM dashboard_install WHERE id = %s FOR NO KEY UPDATE", [one.pk])
            assert retain() == Removed(contracts=1)
            assert Contract.objects.get() == held
            cursor.execute("ROLLBACK")
    finally:
        second.close()
    assert retain() == Removed(contracts=1)


@pytest.mark.django_db
def test_retain_keeps_how_an_install_was_and_when_a_receiver_ran_at_the_limit() -> None:
    for install in (make_install(), make_install()):
        for days in (300, 200, 100, 10):
            InstallSnapshot.objects.create(install=install, at=NOON - days * DAY, status=f"before {days}")
    InstallSnapshot.objects.create(install=make_install(), at=NOON - 300 * DAY, status="ACTIVE")
    for name, days in (("a", 300), ("b", 200), ("a", 10)):
        began = NOON - (days + 1) * DAY
        ReceiverPresence.objects.create(name=name, began_at=began, last_at=NOON - days * DAY)
    assert retain() == Removed(snapshots=5)
    left = InstallSnapshot.objects.order_by("pk").values_list("status", flat=True)
    assert list(left) == ["before 100", "before 10"] * 2 + ["ACTIVE"]
    assert list(ReceiverPresence.objects.order_by("pk").values_list("name", flat=True)) == ["b", "a"]


@pytest.mark.django_db
def test_retain_without_a_limit_keeps_contracts_that_are_gone(settings) -> None:
    settings.RETENTION_DAYS = 0
    make_old_contract(install=make_install(), days=4000)
    assert retain() == Removed()
