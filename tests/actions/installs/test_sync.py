"""Connecting an install, and keeping the snapshot of its endpoints up to date."""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.actions.outcome import OutcomeKind
from dashboard.models import Delivery, Endpoint, Grant, Install, User
from dashboard.rules.endpoints import AUTO_DISABLE_AT, Severity
from dashboard.services import opentrain
from dashboard.services.opentrain import types
from tests.actions.installs.conftest import connect
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_install, make_user

pytestmark = pytest.mark.django_db


def test_connect_keeps_the_token_encrypted(
    fake_opentrain: FakeOpenTrain, support: User, caplog: pytest.LogCaptureFixture
) -> None:
    token = fake_opentrain.add_install()
    with caplog.at_level(logging.DEBUG):
        outcome, install = connect(support, token)
    assert (outcome.kind, outcome.words) == (OutcomeKind.DONE, "Acme Labs is connected.")
    assert Install.objects.get(pk=install.pk).token == token
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install")
        stored = bytes(cursor.fetchone()[0])
    assert token.reveal().encode() not in stored
    assert token.reveal() not in caplog.text


def test_connect_without_the_scope_says_what_is_missing(fake_opentrain: FakeOpenTrain, support: User) -> None:
    outcome, install = connect(support, fake_opentrain.add_install(scopes=["contracts:read"]))
    assert install.can_manage is False
    assert "this token lacks webhooks:manage" in outcome.words


def test_connect_answered_with_another_status_says_it(fake_opentrain: FakeOpenTrain, support: User) -> None:
    fake_opentrain.change_answer(lambda answer: replace(answer, status="SUSPENDED"), operation="get_install")
    outcome, _ = connect(support, fake_opentrain.add_install())
    assert outcome.words == (
        "Acme Labs is connected. But OpenTrain says that this install is SUSPENDED: no events are sent."
    )


def test_connect_with_a_revoked_token_connects_nothing(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    fake_opentrain.revoke(token)
    outcome, install = connect(support, token)
    assert (outcome.kind, outcome.code, install) == (OutcomeKind.REFUSED, "UNAUTHORIZED", None)
    assert Install.objects.count() == 0


def test_connect_again_replaces_the_token_and_keeps_the_name(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    _, first = connect(support, token)
    _, again = connect(support, token, name="")
    assert (again.pk, again.name) == (first.pk, "Acme Labs")


def test_connect_by_a_partner_admin_grants_it_to_them(fake_opentrain: FakeOpenTrain) -> None:
    admin, other = make_user(role="partner_admin"), make_user(role="partner_admin")
    _, install = connect(admin, fake_opentrain.add_install())
    assert list(Grant.objects.values_list("user", "install")) == [(admin.pk, install.pk)]
    assert list(Install.objects.visible_to(other)) == []
    assert list(Install.objects.visible_to(make_user(role=""))) == []
    assert list(Install.objects.visible_to(admin)) == [install]


def test_refresh_records_deletes_and_gives_up_what_an_auto_disable_gave_up(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    made = [
        fake_opentrain.create_endpoint(token=token, url=f"https://{name}.example.com/", event_types=["contract.ended"])
        for name in ("one", "two")
    ]
    assert sync.refresh(install=install, now=timezone.now()) is None
    one, two = (Endpoint.objects.get(opentrain_id=created.endpoint.id) for created in made)
    waiting = make_delivery(endpoint=one, last_ok=False, last_attempt_at=one.created_at)
    fake_opentrain.disable(one.opentrain_id, "10 consecutive failures")
    fake_opentrain.delete_endpoint(token=token, endpoint_id=two.opentrain_id)
    now = timezone.now()
    assert sync.refresh(install=install, now=now) is None
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.status, one.consecutive_failures, one.disabled_reason) == ("DISABLED", 10, "10 consecutive failures")
    assert (one.deleted_at, two.deleted_at) == (None, now)
    assert Delivery.objects.get(pk=waiting.pk).abandoned_at == one.disabled_at


@pytest.mark.parametrize(("failures", "given_up"), [(AUTO_DISABLE_AT, True), (AUTO_DISABLE_AT - 1, False)])
def test_refresh_takes_an_endpoint_with_fewer_failures_for_paused_and_gives_nothing_up(
    fake_opentrain: FakeOpenTrain, support: User, failures: int, given_up: bool
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    made = fake_opentrain.create_endpoint(token=token, url="https://one.example.com/", event_types=["contract.ended"])
    assert sync.refresh(install=install, now=timezone.now()) is None
    endpoint = Endpoint.objects.get(opentrain_id=made.endpoint.id)
    waiting = make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=endpoint.created_at)
    fake_opentrain.disable(endpoint.opentrain_id, "")
    fake_opentrain.set_streak(endpoint.opentrain_id, failures)
    assert sync.refresh(install=install, now=timezone.now()) is None
    assert (Delivery.objects.get(pk=waiting.pk).abandoned_at is not None) == given_up
    endpoint.refresh_from_db()
    assert (endpoint.severity == Severity.DISABLED) == given_up


def test_refresh_that_fails_keeps_what_was_recorded_and_says_why(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    checked_at = install.checked_at
    fake_opentrain.fail_next(opentrain.Unavailable("OpenTrain cannot be reached.", reason=opentrain.Reason.DNS))
    now = timezone.now() + timedelta(minutes=5)
    outcome = sync.refresh(install=install, now=now)
    assert outcome.words == "OpenTrain cannot be reached."
    install.refresh_from_db()
    assert (install.checked_at, install.last_error, install.last_error_at) == (checked_at, outcome.words, now)
    assert sync.refresh(install=install, now=now) is None
    install.refresh_from_db()
    assert (install.last_error, install.checked_at) == ("", now)


@pytest.mark.parametrize(
    ("column", "most"),
    [
        (Endpoint.opentrain_id, types.ID_CHARS), (Endpoint.url, types.URL_CHARS), (Endpoint.status, types.STATUS_CHARS),
        (Install.opentrain_id, types.ID_CHARS), (Install.organization_id, types.ID_CHARS),
        (Install.status, types.STATUS_CHARS), (Install.app_id, types.ID_CHARS), (Install.app_name, types.NAME_CHARS),
        (Install.token_id, types.ID_CHARS), (Install.token_name, types.NAME_CHARS),
    ],
)  # fmt: skip
def test_no_more_is_taken_of_an_answer_than_its_column_holds(column: Any, most: int) -> None:
    assert column.field.max_length >= most


def test_items_of_a_list_fit_their_columns() -> None:
    columns = (Endpoint.event_types, Install.scopes, Install.token_scopes)
    assert [column.field.base_field.max_length for column in columns] == [types.ITEM_CHARS] * 3


def test_refresh_keeps_an_endpoint_whose_words_are_longer_than_their_columns(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    given = {
        "id": "whe_1", "url": "https://a.example.com/" + "x" * 3000, "eventTypes": ["e" * 400], "status": "S" * 400,
        "createdAt": "2026-06-12T10:00:00.000Z", "consecutiveFailures": 0, "disabledAt": None, "disabledReason": None,
    }  # fmt: skip
    read = types.endpoint({"webhookEndpoint": given})
    made = fake_opentrain.create_endpoint(token=token, url="https://one.example.com/", event_types=["contract.ended"])
    said = {"url": read.url, "event_types": read.event_types, "status": read.status}
    fake_opentrain._change(made.endpoint.id, **said)
    assert sync.refresh(install=install, now=timezone.now()) is None
    endpoint = Endpoint.objects.get(opentrain_id=made.endpoint.id)
    assert {"url": endpoint.url, "event_types": tuple(endpoint.event_types), "status": endpoint.status} == said


def test_history_of_an_install_has_a_row_for_each_status_and_when_it_was_last_seen_before(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    _, install = connect(support, fake_opentrain.add_install())
    connected_at = install.described_at
    hours = [connected_at + timedelta(hours=number) for number in (1, 2, 3)]
    sync.refresh(install=install, now=hours[0])  # nothing changes
    fake_opentrain.change_answer(lambda answer: replace(answer, status="SUSPENDED"), operation="get_install")
    for at in hours[1:]:
        install.refresh_from_db()
        sync.refresh(install=install, now=at)
    assert list(install.history.order_by("at").values_list("at", "not_before", "status")) == [
        (connected_at, None, "ACTIVE"),
        (hours[1], hours[0], "SUSPENDED"),
        (hours[2], hours[1], "ACTIVE"),
    ]


@pytest.mark.parametrize("works", [True, False])
def test_result_of_a_token_that_was_replaced_meanwhile_is_not_recorded(
    fake_opentrain: FakeOpenTrain, works: bool
) -> None:
    """A poll that began with the old token must not say that the new one is refused, nor bring back the old scopes."""
    token = fake_opentrain.add_install(scopes=["contracts:read"] if works else ["webhooks:manage"])
    install = make_install(token=token, token_id="tok_old", token_scopes=["webhooks:manage"], described_at=None)
    if not works:
        fake_opentrain.revoke(token)
    polled = Install.objects.get(pk=install.pk)
    Install.objects.filter(pk=install.pk).update(token_id="tok_new", last_error="", checked_at=NOON)
    sync.refresh(install=polled, now=NOON)
    known = Install.objects.defer("token").get(pk=install.pk)
    assert (known.last_error, known.last_error_code, known.failures) == ("", "", 0)
    assert (known.token_scopes, known.token_id, known.poll_after) == (["webhooks:manage"], "tok_new", None)


def test_list_of_a_replaced_token_is_recorded_without_its_description(
    fake_opentrain: FakeOpenTrain,
) -> None:
    """The list is the install's, whichever token reads it."""
    token = fake_opentrain.add_install(scopes=["webhooks:manage"])
    fake_opentrain.create_endpoint(token=token, url="https://acme.example.com/", event_types=["contract.ended"])
    install = make_install(token=token, token_id="tok_old", described_at=None)
    polled = Install.objects.get(pk=install.pk)
    Install.objects.filter(pk=install.pk).update(token_id="tok_new")
    assert sync.refresh(install=polled, now=NOON) is None
    known = Install.objects.defer("token").get(pk=install.pk)
    assert (known.token_id, known.listed_at, known.endpoints.count()) == ("tok_new", NOON, 1)
