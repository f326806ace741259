"""Times in which nothing was sent: on the endpoint's page, after a run, and in the inbox, until it is proven."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.db.statement_timeout import TooSlow
from dashboard.forms import delivery_filters
from dashboard.models import Endpoint, EndpointSnapshot, Install, User
from dashboard.presenters import may_be_missing
from dashboard.presenters.may_be_missing import InboxWindows, inbox_windows, window_after, window_at, windows_of
from dashboard.queries.siblings import Window
from dashboard.rules.lost_window import Stop
from dashboard.rules.may_be_missing import IN_INBOX_FOR, ON_PAGE_FOR
from dashboard.rules.run_endings import EndingKind
from dashboard.rules.window_checks import span_text
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
    make_run,
    make_window_check,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SCOPES = ["webhooks:manage", "contracts:read", "project-links:read"]
BOTH = ["contract.started", "contract.ended"]
ALL = [*BOTH, "milestone.funded"]
NOW = NOON + 2 * HOUR


@pytest.fixture
def install(db: None) -> Install:
    """An install whose contracts were read and judged five minutes ago."""
    install, at = make_install(token_scopes=SCOPES), NOW - 5 * MINUTE
    make_reconciliation(install=install, contracts_read_at=at, links_read_at=at, judged_at=at, due_at=NOW + 5 * MINUTE)
    return install


def stopped(
    install: Install, *, since: datetime = NOON, until: datetime | None = NOON + 110 * MINUTE / 60, **columns: Any
) -> Endpoint:
    """An endpoint that was disabled from `since` until `until`."""
    status = {} if until is not None else {"status": "DISABLED", "consecutive_failures": 10}
    seen_at = until or NOW
    endpoint = make_endpoint(install=install, **{"event_types": ALL, "stopped_seen_at": seen_at} | status | columns)
    again = [(until, "ACTIVE", 0)] if until is not None else []
    for at, state, failures in ((since - DAY, "ACTIVE", 0), (since, "DISABLED", 10), *again):
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=at, not_before=at, status=state, consecutive_failures=failures
        )
    return endpoint


def words(endpoint: Endpoint, *, now: datetime = NOW) -> list[str]:
    return [one.words for one in windows_of(endpoint, now=now)]


def test_time_is_told_with_what_contracts_and_other_endpoints_tell(install: Install) -> None:
    endpoint, sibling = stopped(install), make_endpoint(install=install, receiver_key=None)
    for number in range(15):
        make_delivery(
            endpoint=sibling, event_id=f"evt_{number}", event_type="contract.ended", first_received_at=NOON + MINUTE
        )
    [found] = windows_of(endpoint, now=NOW)
    assert (
        found.words
        == "Events other than contract.started and contract.ended between 12:00 UTC and 12:01 UTC may be missing here."
    )
    assert found.why == "It was disabled then."
    [said] = found.contracts
    assert said == (
        "No contract event is missing: no event of a contract that started or ended from 12:00 UTC to 12:01 UTC is "
        "missing at the handler."
    )
    assert found.seen == "Received by the install's other endpoints from 12:00 UTC to 12:06 UTC:"
    assert found.absent == "None of them is in this endpoint's log."
    [row] = found.siblings
    assert (row.title, row.url) == (sibling.title, reverse("endpoint-detail", args=[sibling.pk]))
    assert [one.label for one in row.counts] == ["15 contract.ended"]
    assert found.remark == ""


def test_number_leads_to_the_list_of_exactly_these_deliveries(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Window] = []
    siblings_of = may_be_missing.siblings_of
    monkeypatch.setattr(may_be_missing, "siblings_of", lambda found: asked.extend(found) or siblings_of(found))
    endpoint, sibling = stopped(install), make_endpoint(install=install)
    make_delivery(endpoint=sibling, event_type="contract.ended", first_received_at=NOON + MINUTE)
    [count] = windows_of(endpoint, now=NOW)[0].siblings[0].counts
    address = urlsplit(count.url)
    assert address.path == reverse("endpoint-deliveries", args=[sibling.pk])
    params = {name: value for name, [value] in parse_qs(address.query).items()}
    criteria = delivery_filters.parse(params=params, now=NOW).criteria
    assert (criteria.event_type, criteria.received_from, criteria.received_to) == (
        "contract.ended", asked[0].since, asked[0].until,
    )  # fmt: skip


def test_proof_takes_it_away_and_nothing_else_does(install: Install) -> None:
    assert words(stopped(install, event_types=BOTH)) == []
    other = make_install(token_scopes=["webhooks:manage"])
    make_reconciliation(install=other)
    unproven = stopped(other, event_types=BOTH)
    assert words(unproven) == ["Events between 12:00 UTC and 12:01 UTC may be missing here."]
    assert words(unproven, now=NOON + ON_PAGE_FOR) != []
    assert words(unproven, now=NOON + ON_PAGE_FOR + DAY) == []


def test_time_that_lasts_says_what_contracts_do_meanwhile(install: Install) -> None:
    endpoint = stopped(install, until=None)
    [found] = windows_of(endpoint, now=NOW)
    assert found.words == "Events since 12:00 UTC may be missing here."
    assert found.contracts == (
        "No contract is known to have started or ended while nothing was sent (from 12:00 UTC).",
    )
    assert found.remark == "The install has no other endpoint whose log could show what happened then."


def test_time_that_lasts_is_told_without_any_history(install: Install) -> None:
    endpoint = make_endpoint(install=install, status="DISABLED", event_types=ALL, disabled_at=NOON)
    assert words(endpoint) == ["Events since 11:55 UTC may be missing here."]


@pytest.mark.parametrize("columns", [{"deleted_at": NOW}, {"opentrain_id": None}, {"stopped_seen_at": None}])
def test_endpoint_that_is_not_there_or_was_never_stopped_has_none(columns: dict[str, Any], install: Install) -> None:
    assert words(stopped(install, **columns)) == []


def test_several_times_are_told_newest_first(install: Install) -> None:
    endpoint = stopped(install)
    for at, state in ((NOON + HOUR, "DISABLED"), (NOON + HOUR + 5 * MINUTE, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, not_before=at, status=state)
    found = windows_of(endpoint, now=NOW)
    assert [one.stop.since for one in found] == [NOON + HOUR, NOON]
    assert len({one.id for one in found}) == 2
    assert [one.why for one in found] == ["It was paused then.", "It was disabled then."]


def test_count_that_takes_too_long_is_said(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_windows: object) -> None:
        raise TooSlow

    monkeypatch.setattr(may_be_missing, "siblings_of", slow)
    [found] = windows_of(stopped(install), now=NOW)
    assert found.remark.startswith("What the install's other endpoints received then is not counted: that takes longer")


def test_run_says_it_of_the_time_before_it(install: Install) -> None:
    endpoint = stopped(install)
    run = make_run(endpoint=endpoint, created_at=NOON + MINUTE, ended_at=NOON + 5 * MINUTE)
    found = window_after(run, EndingKind.CHECKED_AGAIN, now=NOW)
    assert found is not None
    assert found.words == "Events between 12:00 UTC and 12:01 UTC may be missing here."
    assert found.contracts == ()  # the run says that itself
    only = stopped(install, event_types=BOTH)
    run = make_run(endpoint=only, created_at=NOON + MINUTE, ended_at=NOON + 5 * MINUTE)
    assert window_after(run, EndingKind.NOTHING_MISSING, now=NOW) is None
    assert window_after(run, EndingKind.NOT_KNOWN, now=NOW) is not None
    assert window_after(run, EndingKind.MISSING, now=NOW) is None  # what contracts tell is all


def test_run_without_such_a_time_says_nothing(install: Install) -> None:
    endpoint = make_endpoint(install=install, event_types=ALL)
    assert window_after(make_run(endpoint=endpoint), EndingKind.NOT_KNOWN, now=NOW) is None
    assert window_after(make_run(endpoint=stopped(install), ended_at=None), None, now=NOW) is None


def inbox(user: User, *, now: datetime = NOW, **known: Any) -> InboxWindows:
    return inbox_windows(user=user, now=now, **{"in_need": set(), "told_installs": set()} | known)


def test_inbox_shows_the_newest_time_of_each_endpoint_for_a_week(install: Install, support: User) -> None:
    endpoint = stopped(install)
    assert [one.endpoint for one in inbox(support).shown] == [endpoint]
    assert inbox(support).words == "Events of 1 endpoint may be missing, from times in which nothing was sent."
    assert inbox(support, now=NOON + IN_INBOX_FOR).shown != ()
    assert inbox(support, now=NOON + IN_INBOX_FOR + HOUR) == InboxWindows()
    for at, state in ((NOON + HOUR, "DISABLED"), (NOON + HOUR + 5 * MINUTE, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, not_before=at, status=state)
    [one] = inbox(support).shown
    assert (one.stop.since, one.earlier) == (NOON + HOUR, 1)


def test_inbox_shows_only_what_one_may_see(install: Install, outsider: User) -> None:
    stopped(install)
    assert inbox(outsider) == InboxWindows()


def test_inbox_says_it_in_the_row_of_an_endpoint_that_is_there_anyway(install: Install, support: User) -> None:
    endpoint = stopped(install, until=None)
    found = inbox(support, in_need={endpoint.pk})
    assert (found.shown, dict(found.reasons)) == ((), {endpoint.pk: "Events since 12:00 UTC may be missing here."})
    assert (found.left, found.endpoints) == (0, 1)


def test_inbox_leaves_to_contracts_what_they_say_better(install: Install, support: User) -> None:
    endpoint = stopped(install, event_types=BOTH)
    lost = make_contract(
        install=install,
        status="ended",
        created_at=NOON - DAY,
        first_seen_at=NOON - DAY,
        end_date=NOON + MINUTE,
        active_seen_at=NOON,
        ended_seen_at=NOON + MINUTE,
    )
    make_finding(contract=lost, endpoint=endpoint, consequence="access")
    assert [one.contracts for one in inbox(support).shown] == [
        ("1 missing: the handler never took contract.ended of 1 contract.",)
    ]
    assert inbox(support, told_installs={install.pk}) == InboxWindows()
    Endpoint.objects.update(event_types=ALL)
    [found] = inbox(support, told_installs={install.pk}).shown
    assert found.contracts == ()
    assert inbox(support).shown[0].contracts != ()


def test_inbox_counts_what_it_does_not_show(install: Install, support: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(may_be_missing, "SHOWN", 1)
    monkeypatch.setattr(may_be_missing, "LOOKED_AT", 2)
    for _ in range(2):
        stopped(install)
    found = inbox(support)
    assert (len(found.shown), found.left, found.endpoints, found.more) == (1, 1, 2, False)
    stopped(install)
    assert inbox(support).words.startswith("Events of more than 2 endpoints may be missing")


def test_inbox_asks_the_database_no_more_for_more(install: Install, support: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            inbox(support)
        return len(captured)

    assert queries() == 1
    stopped(install)
    make_delivery(endpoint=make_endpoint(install=install), event_type="contract.ended", first_received_at=NOON)
    few = queries()
    for _ in range(4):
        stopped(install)
    assert queries() == few


def check(
    endpoint: Endpoint, *, since: datetime = NOON, until: datetime = NOON + 110 * MINUTE / 60, **columns: Any
) -> None:
    make_window_check(endpoint=endpoint, since=since, until=until, **{"checked_at": NOON + HOUR} | columns)


def test_checked_time_is_in_no_inbox_and_is_counted(install: Install, support: User) -> None:
    endpoint = stopped(install)
    check(endpoint)
    found = inbox(support)
    assert found == InboxWindows(checked=1)
    assert (found.words, found.checked_words) == (
        "", "1 time in which nothing was sent was checked by a person, not proven.",
    )  # fmt: skip
    [window] = windows_of(endpoint, user=support, now=NOW)
    assert window.words.endswith("may be missing here.")
    assert window.checked == "Checked by ana, 13:00 UTC."
    assert window.mark is not None
    assert window.mark.label == "Show it again"


def test_proof_is_better_than_a_check(install: Install, support: User) -> None:
    check(stopped(install, event_types=BOTH))
    assert inbox(support) == InboxWindows()


def test_earlier_time_of_an_endpoint_whose_newest_is_checked_stays(install: Install, support: User) -> None:
    endpoint = stopped(install)
    again = NOON + HOUR + 5 * MINUTE
    for at, state in ((NOON + HOUR, "DISABLED"), (again, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, not_before=at, status=state)
    Endpoint.objects.filter(pk=endpoint.pk).update(stopped_seen_at=again)
    check(endpoint, since=NOON + HOUR, until=again)
    found = inbox(support)
    assert [one.stop.since for one in found.shown] == [NOON]
    assert (found.shown[0].earlier, found.endpoints, found.checked) == (0, 1, 1)


def test_checked_endpoints_take_no_place_of_others(
    install: Install, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(may_be_missing, "LOOKED_AT", 1)
    for _ in range(3):
        check(stopped(install, stopped_seen_at=NOON + 2 * MINUTE), until=NOON + 2 * MINUTE)
    EndpointSnapshot.objects.filter(status="ACTIVE", at__gt=NOON).update(at=NOON + 2 * MINUTE)
    open_one = stopped(install)
    found = inbox(support)
    assert ([one.endpoint for one in found.shown], found.checked, found.more) == ([open_one], 3, False)


def test_row_of_an_endpoint_in_need_says_that_an_old_check_does_not_count(install: Install, support: User) -> None:
    endpoint = stopped(install)
    check(endpoint, until=NOON + MINUTE)
    found = inbox(support, in_need={endpoint.pk})
    assert found.reasons[endpoint.pk].endswith(
        "may be missing here. ana checked the events between 12:00 UTC and 12:01 UTC, at 13:00 UTC. "
        "The time has changed since then, so that check does not cover it."
    )


def test_only_who_may_repair_is_offered_to_mark(install: Install, support: User) -> None:
    endpoint = stopped(install)
    viewer = User(username="vera", role="viewer")
    assert [one.mark for one in windows_of(endpoint, user=viewer, now=NOW)] == [None]
    assert [one.mark for one in windows_of(endpoint, now=NOW)] == [None]
    [window] = windows_of(endpoint, user=support, now=NOW)
    assert window.mark is not None
    assert (window.mark.label, window.mark.called) == (
        "Mark as checked…", f"Mark as checked… {endpoint.title}, between 12:00 UTC and 12:01 UTC",
    )  # fmt: skip
    lasting = stopped(install, until=None)
    assert [one.mark for one in windows_of(lasting, user=support, now=NOW)] == [None]


def test_time_is_found_by_its_exact_ends(install: Install, support: User) -> None:
    endpoint, until = stopped(install), NOON + 110 * MINUTE / 60
    found = window_at(endpoint, (NOON, until), user=support, now=NOW)
    assert found is not None
    assert (found.is_checkable, found.is_fact, found.name) == (True, False, span_text(Stop(NOON, until)))
    assert window_at(endpoint, (NOON, until + MINUTE), user=support, now=NOW) is None
    assert window_at(endpoint, (NOON, NOW), user=support, now=NOW) is None
    proven = stopped(install, event_types=BOTH)
    assert window_at(proven, (NOON, until), user=support, now=NOW) is None


def test_run_says_who_checked(install: Install, support: User) -> None:
    endpoint = stopped(install)
    check(endpoint, note="Asked")
    run = make_run(endpoint=endpoint, created_at=NOON + MINUTE, ended_at=NOON + 5 * MINUTE)
    found = window_after(run, EndingKind.CHECKED_AGAIN, now=NOW)
    assert found is not None
    assert (found.checked, found.mark) == ("Checked by ana, 13:00 UTC: Asked.", None)
    found = window_after(run, EndingKind.MISSING, user=support, now=NOW)
    assert found is not None
    assert found.checked.endswith("A check does not cover what contracts show to be missing.")


def test_inbox_asks_the_database_no_more_for_more_checks(install: Install, support: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            inbox(support)
        return len(captured)

    stopped(install)
    check(stopped(install))
    few = queries()
    for _ in range(4):
        check(stopped(install))
    assert queries() == few
