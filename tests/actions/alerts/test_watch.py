"""Each alert opens once and resolves once, and each channel gets one message for either."""

import threading
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection

from dashboard.actions.alerts import outbox
from dashboard.actions.alerts import watch as alerts
from dashboard.actions.alerts.watch import Watched
from dashboard.models import Alert, AlertChannel, AlertDelivery, Delivery, Endpoint, Install, ReceiverReport
from dashboard.rules.durations import clock
from dashboard.rules.installs import Trouble
from tests.factories import (
    NOON,
    make_alert,
    make_channel,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_install,
    make_user,
)

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DISABLED = {"status": "DISABLED", "consecutive_failures": 10, "disabled_reason": "10 consecutive failures"}


def watch(at: timedelta = timedelta()) -> Watched:
    return alerts.watch(now=NOON + at)


def make_disabled(install: Install | None = None, **columns: Any) -> Endpoint:
    return make_endpoint(install=install or make_install(name="Acme Labs"), **DISABLED | columns)


def told() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each message created so far: its recipient, events and alert kinds."""
    messages = AlertDelivery.objects.order_by("created_at", "channel_name")
    return [(one.channel_name, list(one.news.order_by("pk").values_list("alert__kind", "event"))) for one in messages]


def test_watch_opens_an_alert_once_and_tells_every_channel_that_wants_it() -> None:
    endpoint = make_disabled()
    make_channel(name="all")
    make_channel(name="acme", install=endpoint.install)
    make_channel(name="other install", install=make_install())
    make_channel(name="other kind", kinds=["overdue"])
    assert watch() == Watched(opened=1, messages=2)
    assert watch(MINUTE) == Watched()
    assert told() == [("acme", [("disabled", "opened")]), ("all", [("disabled", "opened")])]
    alert = Alert.objects.get()
    assert (alert.kind, alert.endpoint, alert.install_name, alert.opened_at, alert.cleared_at) == (
        "disabled", endpoint, "Acme Labs", NOON, None,
    )  # fmt: skip


def test_channel_is_told_after_whoever_set_it_up_was_deactivated() -> None:
    make_channel(name="night", made_by=make_user(is_active=False))
    make_disabled()
    watch()
    assert told() == [("night", [("disabled", "opened")])]


def test_alert_keeps_its_words_and_why() -> None:
    endpoint = make_disabled()
    failed = [make_failed_delivery(endpoint=endpoint) for _ in range(3)]
    since = clock(then=min(one.first_received_at for one in failed), now=NOON)
    watch()
    assert Alert.objects.get().words == (
        "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled. "
        f"3 deliveries failed: handler returned 503, since {since}. OpenTrain: “10 consecutive failures”"
    )


def test_all_clear_goes_to_whom_the_alert_went_and_says_how_it_is_now() -> None:
    endpoint = make_disabled()
    make_channel(name="told")
    watch()
    make_channel(name="came later")
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    assert watch(14 * MINUTE) == Watched(cleared=1, messages=1)
    assert told() == [("told", [("disabled", "opened")]), ("told", [("disabled", "cleared")])]
    alert = Alert.objects.get()
    assert alert.cleared_at == NOON + 14 * MINUTE
    assert alert.cleared_words.startswith(
        "It is no longer disabled by OpenTrain. It is now Active: No consecutive failures. Events before 12:14 UTC may "
        "be missing at this endpoint."
    )
    assert "is not known, because this token lacks contracts:read and project-links:read." in alert.cleared_words
    Endpoint.objects.update(**DISABLED)
    assert watch(20 * MINUTE) == Watched(opened=1, messages=2)
    assert list(endpoint.alerts.order_by("pk").values_list("cleared_at", flat=True)) == [NOON + 14 * MINUTE, None]


def test_at_risk_that_becomes_disabled_is_no_all_clear() -> None:
    make_endpoint(consecutive_failures=8)
    make_channel(name="all")
    watch()
    Endpoint.objects.update(**DISABLED)
    assert watch(MINUTE) == Watched(opened=1, cleared=1, messages=1)
    assert told() == [("all", [("at_risk", "opened")]), ("all", [("disabled", "opened")])]
    at_risk = Alert.objects.get(kind="at_risk")
    assert at_risk.superseded
    assert at_risk.cleared_words.startswith(
        "It is now Disabled: OpenTrain disabled it after 10 consecutive failures, so"
    )


def test_overdue_that_becomes_disabled_is_no_all_clear() -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, attempts_in_round=1, last_attempt_at=NOON - 3 * HOUR)
    Delivery.objects.update(due_by=NOON - HOUR)
    make_channel(name="all")
    watch()
    Endpoint.objects.update(**DISABLED)
    assert watch(MINUTE) == Watched(opened=1, cleared=1, messages=1)
    assert told() == [("all", [("overdue", "opened")]), ("all", [("disabled", "opened")])]
    assert Alert.objects.get(kind="overdue").superseded


def test_token_refused_and_then_no_answer_is_no_all_clear() -> None:
    make_install(last_error_code=Trouble.TOKEN_REFUSED, last_error="Refused.")
    make_channel(name="all")
    watch()
    Install.objects.update(last_error_code=Trouble.UNREACHABLE, last_error="OpenTrain did not answer.")
    assert watch(MINUTE) == Watched()
    Install.objects.update(last_error_code=Trouble.NONE, last_error="")
    assert watch(2 * MINUTE) == Watched(cleared=1, messages=1)
    ended = Alert.objects.values_list("ended_as", "cleared_words").get()
    assert ended == ("resolved", "OpenTrain responds for this install again.")


def test_deleted_endpoint_ends_its_alert_and_says_so() -> None:
    make_disabled()
    watch()
    Endpoint.objects.update(deleted_at=NOON)
    assert watch(MINUTE).cleared == 1
    assert Alert.objects.values_list("ended_as", "cleared_words").get() == ("deleted", "The endpoint was deleted.")


def test_what_is_found_at_once_is_one_message() -> None:
    for _ in range(40):
        make_install(last_error_code=Trouble.TOKEN_REFUSED, last_error="Refused.")
    make_channel(name="all")
    assert watch() == Watched(opened=40, messages=1)
    message = outbox.message_of(AlertDelivery.objects.get())
    assert (len(message.items), message.more, message.title) == (25, 15, "40 alerts")


def test_watch_asks_as_often_for_many_as_for_few(django_assert_max_num_queries) -> None:
    for _ in range(30):
        make_disabled()
    for _ in range(3):
        make_channel()
    with django_assert_max_num_queries(40):
        assert watch() == Watched(opened=30, messages=3)


# --- Quiet hours ----------------------------------------------------------------------------------------------------


def make_quiet(**columns: Any) -> AlertChannel:
    """Set quiet hours from 11:00 to 13:00 UTC; the test's time is noon."""
    return make_channel(**{"name": "quiet", "quiet_start": time(11), "quiet_end": time(13)} | columns)


def test_quiet_hours_hold_back_and_end_in_one_summary_with_nothing_lost() -> None:
    make_quiet()
    first = make_disabled()
    assert watch() == Watched(opened=1)
    Endpoint.objects.filter(pk=first.pk).update(status="ACTIVE", consecutive_failures=0)
    assert watch(10 * MINUTE) == Watched(cleared=1)
    make_disabled()
    assert watch(20 * MINUTE) == Watched(opened=1)
    assert watch(59 * MINUTE) == Watched()
    assert told() == []
    assert watch(HOUR) == Watched(messages=1)
    assert told() == [("quiet", [("disabled", "opened"), ("disabled", "cleared"), ("disabled", "opened")])]
    message = outbox.message_of(AlertDelivery.objects.get())
    assert message.title == "2 alerts from quiet hours, 1 resolved"
    assert [(item.is_over, item.lasted) for item in message.items] == [(True, "10 min"), (False, "")]
    assert watch(2 * HOUR) == Watched()


def test_quiet_channel_holds_up_no_other() -> None:
    make_quiet()
    make_channel(name="awake")
    make_disabled()
    assert watch() == Watched(opened=1, messages=1)
    assert told() == [("awake", [("disabled", "opened")])]


def test_alert_that_a_worse_one_follows_on_in_quiet_hours_is_told_as_the_worse_one() -> None:
    make_quiet()
    make_endpoint(consecutive_failures=8)
    watch()
    Endpoint.objects.update(**DISABLED)
    watch(MINUTE)
    watch(HOUR)
    assert told() == [("quiet", [("disabled", "opened")])]


def test_quiet_hours_over_midnight_in_the_channels_own_zone() -> None:
    make_quiet(quiet_start=time(21), quiet_end=time(6), time_zone="Asia/Tokyo")  # noon UTC is 21:00 there
    make_disabled()
    assert watch(-MINUTE) == Watched(opened=1, messages=1)
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    assert watch() == Watched(cleared=1)
    assert watch(9 * HOUR - MINUTE) == Watched()
    assert watch(9 * HOUR) == Watched(messages=1)


@pytest.mark.parametrize(("hours", "since"), [(11, "12:00 UTC"), (12, "12:00 UTC on 12 June")])
def test_times_in_the_words_of_a_held_message_have_their_day_if_it_is_sent_on_another(hours: int, since: str) -> None:
    make_quiet(quiet_start=time(12), quiet_end=time((12 + hours) % 24))
    make_failed_delivery(endpoint=make_disabled())
    assert watch() == Watched(opened=1)
    assert watch(hours * HOUR) == Watched(messages=1)
    [item] = outbox.message_of(AlertDelivery.objects.get()).items
    assert f"1 delivery failed: handler returned 503, since {since}. OpenTrain:" in item.words


# --- Two workers ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_open_one_alert_and_make_one_message() -> None:
    make_disabled()
    make_channel(name="all")
    together = threading.Barrier(4)
    found: list[Watched] = []

    def work() -> None:
        try:
            together.wait(60)
            found.append(watch())
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(found) == 4
    assert sum(one.opened for one in found) == 1
    assert told() == [("all", [("disabled", "opened")])]


def test_watch_leaves_it_to_the_worker_that_is_at_it() -> None:
    make_disabled()
    lock = "hashtextextended('redeliver.alerts', 0)"
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({lock})")
            assert watch() == Watched()
            cursor.execute(f"SELECT pg_advisory_unlock({lock})")  # the server sees the closed connection a moment later
    finally:
        other.close()
    assert watch() == Watched(opened=1)


# --- Retention ------------------------------------------------------------------------------------------------------


def test_forget_takes_what_is_over_and_old_and_leaves_what_is_open(settings: Any) -> None:
    settings.RETENTION_DAYS = 90
    make_channel(name="all")
    still_open = make_disabled()
    over = make_disabled()
    watch()
    AlertDelivery.objects.update(state="sent")
    Endpoint.objects.filter(pk=over.pk).update(status="ACTIVE", consecutive_failures=0)
    watch(MINUTE)
    AlertDelivery.objects.update(state="sent")
    assert alerts.forget(now=NOON + timedelta(days=89)) == 0
    alerts.forget(now=NOON + timedelta(days=91))
    assert list(Alert.objects.values_list("endpoint", flat=True)) == [still_open.pk]
    assert told() == [("all", [("disabled", "opened")])]
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    assert watch(timedelta(days=92)) == Watched(cleared=1, messages=1)


def test_forget_keeps_everything_where_retention_is_off(settings: Any) -> None:
    settings.RETENTION_DAYS = 0
    make_alert(cleared_at=NOON)
    assert alerts.forget(now=NOON + timedelta(days=9999)) == 0
    assert Alert.objects.count() == 1


def test_log_that_lags_is_told_on_channels_for_all_installs_and_seen_by_support_alone() -> None:
    install = make_install()
    make_channel(name="all")
    make_channel(name="of one", install=install)
    report = ReceiverReport.objects.create(name="web1-b", held=1204, heard_at=NOON)
    assert watch() == Watched(opened=1, messages=1)
    assert told() == [("all", [("log_lags", "opened")])]
    alert = Alert.objects.get()
    assert (alert.install, alert.install_name) == (None, "Redeliver")
    assert alert.words == (
        "Receiver web1-b holds 1,204 attempts that are not in the log yet. "
        "Until they are in the log, lists, pages and exports lack these attempts."
    )
    [item] = outbox.message_of(AlertDelivery.objects.get()).items
    assert (item.headline, item.address) == ("Log lags behind: Redeliver", "https://redeliver.example.com/alerts/")
    granted = make_user(role="partner_admin")
    make_grant(user=granted, install=install)
    assert list(Alert.objects.visible_to(granted)) == []
    assert list(Alert.objects.visible_to(make_user())) == [alert]
    report.delete()
    assert watch(MINUTE) == Watched(cleared=1, messages=1)
    assert Alert.objects.get().cleared_words == (
        "Every receiver reports, and none holds attempts that are not in the log."
    )
