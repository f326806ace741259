"""An operation on OpenTrain: one call between two audit rows, and the same result each time it is submitted."""

import uuid
from typing import Any

import pytest
from django.db import connection

from dashboard.actions.operation import SLOW_DOWN_S, UNRECORDED, Operation, failed, outcome_of, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, User
from dashboard.services.opentrain import OpenTrainError, OutcomeUnknown, RateLimited, Reason, Unauthorized, Unavailable
from dashboard.services.opentrain.errors import Refusal
from dashboard.vault import Unreadable
from tests.factories import make_endpoint, make_entry, make_run, make_user

DONE = Outcome(kind=OutcomeKind.DONE, words="Re-enabled.", quoted="ok", requeued=3)


@pytest.mark.parametrize(
    ("error", "kind", "slow_down_s"),
    [
        (OutcomeUnknown("?"), OutcomeKind.UNKNOWN, None),
        (Unavailable("?", reason=Reason.DNS), OutcomeKind.UNAVAILABLE, None),
        (RateLimited("?", retry_after_s=7), OutcomeKind.UNAVAILABLE, 7),
        (RateLimited("?", retry_after_s=0), OutcomeKind.UNAVAILABLE, 0),
        (RateLimited("?", retry_after_s=None), OutcomeKind.UNAVAILABLE, SLOW_DOWN_S),
        (Unreadable("?"), OutcomeKind.UNAVAILABLE, None),
    ],
)
def test_failure_is_of_its_kind(error: OpenTrainError, kind: OutcomeKind, slow_down_s: int | None) -> None:
    found = failed(error)
    assert (found.kind, found.slow_down_s, bool(found.words)) == (kind, slow_down_s, True)


def operation(actor: User, **columns: Any) -> Operation:
    return Operation(actor=actor, action="re-enable endpoint", **columns)


def rows() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("phase", "words"))


@pytest.mark.django_db(transaction=True)
def test_call_is_made_once_outside_any_transaction_between_its_two_rows(support: User) -> None:
    seen: list[Any] = []

    def call() -> str:
        seen.append((connection.in_atomic_block, rows()))
        return "answer"

    def record(answer: str) -> Outcome:
        seen.append((connection.in_atomic_block, answer))
        return DONE

    assert perform(operation=operation(support), call=call, record=record) == DONE
    assert seen == [(False, [("requested", "")]), (True, "answer")]
    assert rows() == [("requested", ""), ("done", "Re-enabled.")]


@pytest.mark.django_db
def test_same_form_again_calls_nobody_and_tells_the_first_answer(support: User) -> None:
    calls: list[int] = []
    same = operation(support, endpoint=make_endpoint(), id=uuid.uuid4())
    first, second = (perform(operation=same, call=lambda: calls.append(1), record=lambda _: DONE) for _ in range(2))
    assert (len(calls), first, second) == (1, DONE, DONE)
    assert (first.told_before, second.told_before) == (False, True)


@pytest.mark.django_db
def test_form_whose_answer_is_not_in_yet_is_of_unknown_outcome(support: User) -> None:
    same = operation(support)
    make_entry(phase="requested", operation=same.id, actor=support)
    found = perform(operation=same, call=pytest.fail, record=pytest.fail)
    assert (found.kind, found.told_before) == (OutcomeKind.UNKNOWN, False)


@pytest.mark.django_db
def test_answer_of_someone_elses_operation_is_not_told(support: User) -> None:
    other = operation(make_user())
    perform(operation=other, call=lambda: None, record=lambda _: DONE)
    found = perform(operation=operation(support, id=other.id), call=pytest.fail, record=pytest.fail)
    assert found.kind is OutcomeKind.UNKNOWN


@pytest.mark.django_db
def test_refusal_is_in_the_audit_with_its_code_and_without_secrets(support: User) -> None:
    def call() -> None:
        refusal = Refusal(status=401, code="UNAUTHORIZED", said="", details={}, request_id="9d1f")
        raise Unauthorized("Not valid: ot_ptk_" + "c4n4ry" * 7, refusal=refusal)

    found = perform(operation=operation(support), call=call, record=pytest.fail)
    assert (found.kind, found.code, found.request_id) == (OutcomeKind.REFUSED, "UNAUTHORIZED", "9d1f")
    row = AuditEntry.objects.get(phase="refused")
    assert (row.code, row.request_id, "c4n4ry" in row.words) == ("UNAUTHORIZED", "9d1f", False)


@pytest.mark.django_db(transaction=True)
def test_answer_that_cannot_be_recorded_is_of_unknown_outcome_and_in_the_log(
    support: User, caplog: pytest.LogCaptureFixture
) -> None:
    def record(_answer: None) -> Outcome:
        make_endpoint()
        raise ZeroDivisionError

    found = perform(operation=operation(support), call=lambda: None, record=record)
    assert (found.kind, found.words) == (OutcomeKind.UNKNOWN, UNRECORDED)
    assert rows() == [("requested", ""), ("unknown", UNRECORDED)]
    assert not Endpoint.objects.exists()
    assert [(entry.levelname, entry.exc_info and entry.exc_info[0]) for entry in caplog.records] == [
        ("ERROR", ZeroDivisionError)
    ]


@pytest.mark.django_db(transaction=True)
def test_connection_that_breaks_while_an_answer_is_recorded_leaves_no_request_open(support: User) -> None:
    def record(_answer: None) -> Outcome:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return DONE

    assert perform(operation=operation(support), call=lambda: None, record=record).kind is OutcomeKind.UNKNOWN
    assert rows() == [("requested", ""), ("unknown", UNRECORDED)]


@pytest.mark.django_db(transaction=True)
def test_call_that_breaks_unexpectedly_is_of_unknown_outcome(support: User) -> None:
    def call() -> None:
        raise ZeroDivisionError

    assert perform(operation=operation(support), call=call, record=pytest.fail).kind is OutcomeKind.UNKNOWN
    assert rows() == [("requested", ""), ("unknown", UNRECORDED)]


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "offered"), [("DISABLED", True), ("ACTIVE", False)])
def test_closing_row_tells_the_outcome_and_offers_to_re_enable_what_is_disabled(status: str, offered: bool) -> None:
    row = make_entry(endpoint=make_endpoint(status=status), quoted="q", code="c", request_id="r", requeued=2)
    assert outcome_of(row) == Outcome(
        kind=OutcomeKind.DONE, words=row.words, quoted="q", code="c", request_id="r", requeued=2, offer_enable=offered
    )


@pytest.mark.django_db
def test_call_of_a_run_is_folded_into_an_entry_of_the_run_if_there_is_one(support: User) -> None:
    run = make_run()  # started by a release whose entries name no run

    def call() -> None:
        perform(operation=operation(support, run=run), call=lambda: None, record=lambda _answer: DONE)

    call()
    call()
    make_entry(action="start run", run=run)
    call()
    calls = AuditEntry.objects.filter(action="re-enable endpoint").order_by("id")
    assert list(calls.values_list("run", "folded")) == [(run.pk, False)] * 4 + [(run.pk, True)] * 2
