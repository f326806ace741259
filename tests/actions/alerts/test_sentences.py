"""The text of an alert when it opens and when it resolves."""

from datetime import timedelta

import pytest

from dashboard.models import Alert, AlertNews, Endpoint, EndpointSnapshot, Install
from dashboard.rules.alerts import AlertKind
from dashboard.rules.installs import Trouble
from dashboard.rules.time_zones import read_in, zone_named
from tests.actions.alerts.test_watch import make_disabled, watch
from tests.factories import (
    NOON,
    make_alert,
    make_contract,
    make_delivery,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
    make_refused_attempt,
)

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)

DISABLED = {"status": "DISABLED", "consecutive_failures": 10, "disabled_reason": "10 consecutive failures"}

HOSTILE = "<!channel>\r\nBcc: all@example.com \u202e" + "x" * 500


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"last_error_code": Trouble.TOKEN_REFUSED, "last_error": "OpenTrain refused this install's token (401)."},
            "OpenTrain refused this install's token (401).",
        ),
        ({"status": "REVOKED"}, "OpenTrain says that the install or its platform app is REVOKED: no events are sent."),
        (
            {"token_scopes": []},
            (
                "This token lacks webhooks:manage, so the install's endpoints cannot be read or changed. "
                "Ask the customer to reconnect with that scope, then paste the new token."
            ),
        ),
    ],
)
def test_alert_of_an_install_says_what_the_inbox_says(columns, words) -> None:
    make_install(**columns)
    watch()
    alert = Alert.objects.get()
    assert (alert.kind, alert.endpoint, alert.words) == ("no_access", None, words)


def test_alert_of_refused_signatures_counts_them() -> None:
    endpoint = make_endpoint()
    for _ in range(4):
        make_refused_attempt(endpoint=endpoint, received_at=NOON - MINUTE)
    watch()
    assert Alert.objects.get().words == (
        "Redeliver refused 4 requests in 15 minutes, the first at 11:59 UTC: The signature does not match. "
        "To find out why, open the endpoint and examine one with the signature doctor."
    )


def test_times_in_the_words_of_an_alert_are_in_utc_whoever_it_is_made_for() -> None:
    make_refused_attempt(endpoint=make_endpoint(), received_at=NOON - MINUTE)
    for _ in range(3):
        make_refused_attempt(endpoint=Endpoint.objects.get(), received_at=NOON)
    with read_in(zone_named("Asia/Kolkata")):
        watch()
    assert "the first at 11:59 UTC" in Alert.objects.get().words


def test_outside_text_is_one_line_and_capped() -> None:
    endpoint = make_disabled(
        make_install(name=HOSTILE[:200]), handler_url=HOSTILE, name=HOSTILE[:80], disabled_reason=HOSTILE
    )
    watch()
    alert = Alert.objects.get()
    for text in (alert.install_name, alert.endpoint_name, alert.endpoint_url, alert.words):
        assert text.isprintable()
        assert "<!channel> Bcc: all@example.com" in text
    assert (len(alert.install_name), len(alert.endpoint_url)) == (120, 120)
    assert len(alert.words) <= 1200
    assert endpoint.disabled_reason == HOSTILE


def test_every_kind_can_be_told_and_is_of_its_column(acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    for kind in AlertKind:
        make_alert(endpoint=endpoint, kind=kind)
    assert AlertNews.objects.count() == 0
    assert sorted(Alert.objects.values_list("kind", flat=True)) == sorted(AlertKind)


def test_end_of_a_disable_says_when_it_is_checked_again_what_is_missing() -> None:
    install = make_install(token_scopes=["webhooks:manage", "contracts:read", "project-links:read"])
    make_reconciliation(install=install, due_at=NOON + 24 * MINUTE)
    endpoint = make_disabled(install=install)
    for at, status in ((NOON - MINUTE, "ACTIVE"), (NOON, "DISABLED")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status=status)
    watch()
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON + 14 * MINUTE, status="ACTIVE")
    watch(14 * MINUTE)
    assert Alert.objects.get().cleared_words.endswith(
        "No consecutive failures. Events between 11:59 UTC and 12:14 UTC may be missing at this endpoint. The install "
        "has no other endpoint whose log could show what happened then. Whether an event of a contract is missing will "
        "be checked again at 12:24 UTC: contracts are read then."
    )


def test_end_of_a_disable_names_what_the_handler_never_took() -> None:
    endpoint = make_disabled()
    for at, status in ((NOON - MINUTE, "ACTIVE"), (NOON, "DISABLED")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status=status)
    watch()
    lost = make_contract(install=endpoint.install, status="ended", first_seen_at=NOON + MINUTE, end_date=NOON + MINUTE)
    columns = {"event_type": "contract.started", "reason": "disabled", "consequence": "provision"}
    make_finding(contract=lost, endpoint=endpoint, **columns)
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON + 14 * MINUTE, status="ACTIVE")
    watch(14 * MINUTE)
    assert Alert.objects.get().cleared_words.endswith(
        "has no other endpoint whose log could show what happened then. "
        "1 missing: the handler never took contract.started of 1 contract."
    )


def test_end_of_a_disable_says_what_other_endpoints_of_the_install_received_meanwhile() -> None:
    endpoint = make_disabled(event_types=["milestone.funded"])
    sibling = make_endpoint(install=endpoint.install, event_types=["milestone.funded"])
    for at, status in ((NOON - MINUTE, "ACTIVE"), (NOON, "DISABLED")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status=status)
    for minutes in (-2, 1, 2):
        make_delivery(endpoint=sibling, event_type="milestone.funded", first_received_at=NOON + minutes * MINUTE)
    watch()
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON + 14 * MINUTE, status="ACTIVE")
    watch(14 * MINUTE)
    assert Alert.objects.get().cleared_words.endswith(
        "Events between 11:59 UTC and 12:14 UTC may be missing at this endpoint. The install's other endpoints "
        "received 2 milestone.funded then. None of them is in this endpoint's log."
    )


def test_end_of_a_disable_that_is_not_in_the_history_is_no_all_clear() -> None:
    make_disabled(event_types=["milestone.funded"])
    watch()
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    watch(3 * MINUTE)
    assert "Events before 12:03 UTC may be missing at this endpoint." in Alert.objects.get().cleared_words


def test_end_of_another_alert_says_nothing_of_what_may_be_missing() -> None:
    make_endpoint(consecutive_failures=8)
    watch()
    Endpoint.objects.update(consecutive_failures=0, event_types=["contract.ended"])
    watch(MINUTE)
    assert Alert.objects.get().cleared_words == (
        "It is no longer about to be disabled. It is now Active: No consecutive failures."
    )
