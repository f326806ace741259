"""The activity page: who sees which entries, its filters, details and downloads, and its number of queries."""

import csv
import io
import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, Install, Run, User
from dashboard.views import activity
from tests.factories import NOON, make_endpoint, make_entry, make_install, make_run
from tests.queries.test_audit import fill
from tests.views.conftest import Browser, browser_of, stop_clock

PAGE, LIVE, EXPORT = reverse("activity"), reverse("activity-live"), reverse("activity-export")
QUERIES = 8
"""Maximum number of queries for any number of rows, without savepoints and the like."""


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, opentrain_id="whe_1", handler_url="https://acme.example.com/hook")


@pytest.fixture
def paul(partner_admin: User) -> Browser:
    return browser_of(partner_admin)


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", "")).split())


def rows_of(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'class="row-link" href="/activity/(\d+)/"', page)]


def detail_of(entry: AuditEntry) -> str:
    return reverse("activity-detail", args=[entry.pk])


def table(browser: Browser, query: str = "") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.client.get(EXPORT + query).getvalue().decode("utf-8-sig"))))


@pytest.mark.parametrize(
    ("now", "clock"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "23:54 UTC"),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), "23:55 UTC on 31 December 2026"),
    ],
)
def test_page_says_who_did_what_on_what_and_what_came_of_it(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, now: datetime, clock: str
) -> None:
    stop_clock(monkeypatch, activity, at=now)
    at = now - timedelta(minutes=5)
    entry = make_entry(endpoint=endpoint, phase="refused", words="OpenTrain refused.", address="192.0.2.7", at=at)
    for path in (PAGE, LIVE):
        text = words_of(ana.read(path))
        assert f"5 min ago ana tried to re-enable acme.example.com/hook of Acme Labs at {clock}" in text
        assert f"at {clock}: OpenTrain refused. Refused 192.0.2.7" in text
        assert rows_of(ana.read(path)) == [entry.pk]


def test_page_and_detail_say_that_the_endpoint_was_disabled(ana: Browser, endpoint: Endpoint) -> None:
    words = "disabled: OpenTrain attempts nothing until it is re-enabled"
    entry = make_entry(endpoint=endpoint, while_stopped=True)
    assert f"The endpoint was {words}." in words_of(ana.read(PAGE))
    assert f"Endpoint at that time {words}" in words_of(ana.read(detail_of(entry)))
    other = make_entry(endpoint=endpoint)
    assert "Endpoint at that time" not in ana.read(detail_of(other))


def test_page_quotes_what_opentrain_said(ana: Browser, endpoint: Endpoint) -> None:
    make_entry(endpoint=endpoint, quoted="It is <active> now.", words="Re-enabled.", at=timezone.now())
    text = words_of(ana.read(PAGE))
    assert "ana re-enabled acme.example.com/hook of Acme Labs at" in text
    assert "; OpenTrain: It is &lt;active&gt; now." in text


# --- Runs -------------------------------------------------------------------------------------------------------------


def make_run_entries(endpoint: Endpoint, *, count: int, at: datetime = NOON) -> Run:
    """The entries of a run: its start, redeliveries of which one was refused, and its stop."""
    run = make_run(endpoint=endpoint)
    here = {"endpoint": endpoint, "run": run}
    make_entry(action="start run", words=f"Recovery #{run.pk}.", at=at, **here)
    for number in range(count):
        one = {
            "action": "redeliver in a run",
            "operation": uuid.uuid4(),
            "folded": True,
            "delivery_id": f"dlv_{number}",
        }
        moment = at + timedelta(seconds=1 + number)
        make_entry(phase="requested", at=moment, **one, **here)
        make_entry(phase="refused" if number == 0 else "done", at=moment, **one, **here)
    make_entry(action="stop run", words=f"Recovery #{run.pk}.", at=at + timedelta(seconds=count + 1), **here)
    return run


def test_run_is_one_row_that_opens_what_it_requested(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run_entries(endpoint, count=activity.PAGE)
    other = make_entry(endpoint=endpoint, at=NOON - timedelta(hours=1))
    page = ana.read(PAGE)
    text = words_of(page)
    assert len(rows_of(page)) == 3  # the stop, the start and the other: all of them on one page
    assert rows_of(page)[-1] == other.pk
    assert 'rel="next"' not in page
    assert f"{activity.PAGE} redeliveries, 1 not confirmed" in text
    assert f'href="/activity/?run={run.pk}"' in page
    opened = ana.read(f"{PAGE}?run={run.pk}")
    assert len(rows_of(opened)) == activity.PAGE
    assert f"Run: {run.pk}" in words_of(opened)
    rest = re.search(r'rel="next" href="([^"]+)"', opened)
    assert rest is not None
    assert len(rows_of(ana.read(rest[1].replace("&amp;", "&")))) == 2


def test_request_of_a_run_that_was_never_answered_is_not_confirmed(ana: Browser, endpoint: Endpoint) -> None:
    run, now = make_run_entries(endpoint, count=3), timezone.now()
    of_run = {"phase": "requested", "action": "redeliver in a run", "folded": True, "endpoint": endpoint, "run": run}
    make_entry(at=now, operation=uuid.uuid4(), **of_run)  # it may still be answered
    assert "4 redeliveries, 1 not confirmed" in words_of(ana.read(PAGE))
    make_entry(at=now - timedelta(minutes=2), operation=uuid.uuid4(), **of_run)
    for page in (PAGE, reverse("endpoint-detail", args=[endpoint.pk])):
        assert "5 redeliveries, 2 not confirmed" in words_of(ana.read(page))


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 2),
        ("?who=ana", 2),
        ("?what=redeliver+in+a+run", 3),
        ("?outcome=refused", 1),
        ("?delivery=dlv_1", 1),
        ("?from=2026-06-12T12:00Z", 2),
        ("?from=2026-06-12T12:00:01Z", 1),  # the stop, with all of them
        ("?to=2026-06-12T12:00:03Z", 1),
        ("?from=2026-06-12T12:00:02Z&to=2026-06-12T12:00:03Z", 2),  # no other entry of the run is in it
    ],
)
def test_filters_lose_nothing_of_a_run(ana: Browser, endpoint: Endpoint, query: str, rows: int) -> None:
    make_run_entries(endpoint, count=3)
    assert len(rows_of(ana.read(PAGE + query))) == rows


def test_requests_of_a_run_are_rows_where_its_entries_are_of_somebody_else(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run_entries(endpoint, count=3)
    make_entry(action="pause run", actor_name="paul", at=NOON + timedelta(seconds=2), endpoint=endpoint, run=run)
    span = "from=2026-06-12T12:00:01Z&to=2026-06-12T12:00:03Z"
    assert len(rows_of(ana.read(f"{PAGE}?{span}"))) == 1
    assert len(rows_of(ana.read(f"{PAGE}?who=ana&{span}"))) == 3


def test_file_has_everything_that_a_run_requested(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run_entries(endpoint, count=3)
    rows = table(ana, "?from=2026-06-12&to=2026-06-12")
    assert len(rows) == 8
    assert {row["run"] for row in rows} == {str(run.pk)}


def test_run_of_others_is_not_opened(paul: Browser) -> None:
    run = make_run_entries(make_endpoint(), count=2)
    assert rows_of(paul.read(PAGE)) == rows_of(paul.read(f"{PAGE}?run={run.pk}")) == []


def test_detail_has_the_answer_its_request_id_to_copy_and_from_where(
    ana: Browser, endpoint: Endpoint, support: User
) -> None:
    form = uuid.uuid4()
    make_entry(endpoint=endpoint, operation=form, phase="requested", actor=support)
    entry = make_entry(
        endpoint=endpoint, operation=form, phase="refused", words="OpenTrain refused.", quoted="Not you.",
        code="FORBIDDEN", request_id="9d1f-4c", address="2001:db8::7", agent="Firefox", at=NOON + timedelta(seconds=3),
        delivery_id="dlv_1",
    )  # fmt: skip
    page = ana.read(detail_of(entry))
    text = words_of(page)
    assert "Refused by ana" in text
    assert "OpenTrain refused. OpenTrain: Not you." in text
    assert "OpenTrain error code FORBIDDEN OpenTrain request ID 9d1f-4c" in text
    assert 'data-copy="9d1f-4c"' in page
    assert "Requested 2026-06-12 12:00:00 UTC Answered 2026-06-12 12:00:03 UTC (3 s later)" in text
    assert "From 2001:db8::7 Browser Firefox" in text
    assert f'href="/endpoints/{endpoint.pk}/"' in page


def test_detail_of_a_request_is_of_its_operation_and_says_that_no_answer_came(ana: Browser, endpoint: Endpoint) -> None:
    form = uuid.uuid4()
    asked = make_entry(endpoint=endpoint, operation=form, phase="requested", words="")
    assert "No answer by ana" in words_of(ana.read(detail_of(asked)))
    assert "No response recorded." in words_of(ana.read(detail_of(asked)))
    make_entry(endpoint=endpoint, operation=form)
    assert "Done by ana" in words_of(ana.read(detail_of(asked)))


def test_chips_name_what_a_number_means_also_where_nothing_is_found(
    ana: Browser, paul: Browser, endpoint: Endpoint
) -> None:
    other = make_endpoint(name="Payroll")
    query = f"{PAGE}?install={other.install_id}&endpoint={other.pk}&outcome=refused"
    found = re.findall(r'aria-label="Remove the filter ([^"]+)"', ana.read(query))
    assert found[1:] == [f"Install: {other.install.name}", "Endpoint: Payroll"]
    found = re.findall(r'aria-label="Remove the filter ([^"]+)"', paul.read(query))
    assert found[1:] == [f"Install: {other.install_id}", f"Endpoint: {other.pk}"]


def test_entry_of_what_is_gone_names_it_without_a_link(ana: Browser, acme: Install, endpoint: Endpoint) -> None:
    entry = make_entry(endpoint=endpoint)
    acme.delete()
    for path in (PAGE, detail_of(entry)):
        page = ana.read(path)
        assert "Acme Labs (removed)" in words_of(page)
        assert "acme.example.com/hook (removed)" in words_of(page)
        assert "/installs/" not in page.replace('href="/installs/"', "")
        assert "/endpoints/" not in page


# --- Visibility ------------------------------------------------------------------------------------------------------


def test_partner_admin_sees_their_installs_and_their_own_doings_alone(
    paul: Browser, partner_admin: User, acme: Install, support: User
) -> None:
    granted = make_entry(install=acme, actor=support)
    other = make_entry(install=make_install(), actor=support)
    own = make_entry(actor=partner_admin, actor_name="paul", action="sign in", at=NOON + timedelta(seconds=1))
    nobodys = make_entry(action="make account")
    assert rows_of(paul.read(PAGE)) == rows_of(paul.read(LIVE)) == [own.pk, granted.pk]
    assert [row["action"] for row in table(paul, "?to=2026-06-13")] == ["sign in", "re-enable endpoint"]
    for entry, status in ((granted, 200), (own, 200), (other, 404), (nobodys, 404)):
        paul.read(detail_of(entry), status=status)
    for query in (f"?install={other.install_id}", "?who=ana&what=make+account", f"?install={other.install_name}"):
        assert rows_of(paul.read(PAGE + query)) == []
    assert str(other.install_name) not in paul.read(f"{PAGE}?install={other.install_id}")


def test_address_of_others_is_for_support_alone(
    ana: Browser, paul: Browser, partner_admin: User, support: User, acme: Install
) -> None:
    theirs = make_entry(install=acme, actor=support, address="192.0.2.7", agent="Firefox of ana")
    own = make_entry(install=acme, actor=partner_admin, address="192.0.2.8", agent="Firefox of paul")
    pages = [PAGE, LIVE, detail_of(theirs), detail_of(own)]
    files = [f"{EXPORT}?format=csv&to=2026-06-13", f"{EXPORT}?format=ndjson&to=2026-06-13"]

    def seen(browser: Browser) -> str:
        return "".join(browser.read(path) for path in pages) + "".join(
            browser.client.get(path).getvalue().decode() for path in files
        )

    assert [text in seen(ana) for text in ("192.0.2.7", "of ana", "192.0.2.8", "of paul")] == [True] * 4
    assert [text in seen(paul) for text in ("192.0.2.7", "of ana", "192.0.2.8", "of paul")] == [
        False, False, True, True,
    ]  # fmt: skip
    assert "From visible to support only" in words_of(paul.read(detail_of(theirs)))


def test_viewer_sees_what_was_done_to_their_install_and_not_from_where(
    viewer: User, support: User, acme: Install
) -> None:
    entry = make_entry(install=viewer.grants.get().install, actor=support, address="192.0.2.7")
    make_entry(install=make_install(), actor=support)
    browser = browser_of(viewer)
    assert rows_of(browser.read(PAGE)) == [entry.pk]
    assert "192.0.2.7" not in browser.read(PAGE) + browser.read(detail_of(entry))


def test_names_of_who_acts_are_suggested_to_support_alone(ana: Browser, paul: Browser, acme: Install) -> None:
    make_entry(actor_name="zoe")
    assert [('<option value="zoe">' in browser.read(PAGE)) for browser in (ana, paul)] == [True, False]


# --- Filters in the URL ----------------------------------------------------------------------------------------------


def test_filter_is_in_the_url_of_every_link_of_its_page(ana: Browser, endpoint: Endpoint) -> None:
    for number in range(activity.PAGE + 1):
        make_entry(endpoint=endpoint, at=NOON + timedelta(seconds=number))
    make_entry()
    query = f"install={endpoint.install_id}&amp;from=2026-06-12T00%3A00Z"
    page = ana.read(f"{PAGE}?install={endpoint.install_id}&from=2026-06-12T00:00Z&who=")
    assert len(rows_of(page)) == activity.PAGE
    assert f'hx-get="/activity/live/?{query}"' in page
    assert f'href="/activity/export/?{query}&amp;format=csv"' in page
    assert f'href="/activity/?{query}&amp;older=2026-06-12T12%3A00%3A01.000000Z_' in page
    assert "Install: Acme Labs" in words_of(page)
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    page = ana.read(older[1].replace("&amp;", "&"))
    assert len(rows_of(page)) == 1
    assert "data-poll" not in page
    newer = re.search(r'rel="prev" href="([^"]+)"', page)
    assert newer is not None
    assert len(rows_of(ana.read(newer[1].replace("&amp;", "&")))) == activity.PAGE


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "No activity yet. Start by connecting an install"),
        ("?who=nobody", "No activity matches these filters."),
        ("?older=2026-06-12T12:00:00.000000Z_1", "No more activity."),
        ("?outcome=bad", "“bad” is not an outcome"),
        ("?from=%00&install=%F0%9F%92%A9&older=nonsense", "No activity matches these filters."),
    ],
)
def test_empty_page_says_why_and_what_to_do(query: str, said: str, ana: Browser) -> None:
    assert said in words_of(ana.read(PAGE + query))


def test_filter_that_takes_too_long_is_told_so_and_shows_no_false_nothing(
    ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(**_: object) -> list[AuditEntry]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return []

    monkeypatch.setattr(activity, "READ_MS", 20)
    monkeypatch.setattr(activity.audit_lists, "page", slow)
    text = words_of(ana.read(PAGE))
    assert "This search takes longer than 0.02 s. Add a time range or an install." in text
    assert "No activity yet" not in text


def test_live_part_is_sent_again_only_when_something_happened(ana: Browser, acme: Install) -> None:
    make_entry(install=acme)
    etag = ana.client.get(LIVE)["ETag"]
    assert ana.client.get(LIVE, headers={"If-None-Match": etag}).status_code == 304
    make_entry(install=acme)
    assert ana.client.get(LIVE, headers={"If-None-Match": etag}).status_code == 200


def test_pages_of_an_install_and_an_endpoint_lead_to_their_activity(ana: Browser, endpoint: Endpoint) -> None:
    endpoint.install.last_error_at = timezone.now()  # after an error, pages do not request a refresh for a while
    endpoint.install.save()
    assert f'href="/activity/?install={endpoint.install_id}"' in ana.read(f"/installs/{endpoint.install_id}/")
    assert f'href="/activity/?endpoint={endpoint.pk}"' in ana.read(f"/endpoints/{endpoint.pk}/")


# --- Downloads -------------------------------------------------------------------------------------------------------


def test_file_has_every_row_of_the_filter_and_is_itself_in_the_audit(ana: Browser, endpoint: Endpoint) -> None:
    form = uuid.uuid4()
    make_entry(endpoint=endpoint, operation=form, phase="requested", words="")
    make_entry(endpoint=endpoint, operation=form, requeued=3, request_id="9d1f", address="192.0.2.7")
    make_entry(actor_name="paul")
    rows = table(ana, "?who=ana&to=2026-06-13")
    assert [row["phase"] for row in rows] == ["done", "requested"]
    assert rows[0] == {
        "at": "2026-06-12T12:00:00.000Z", "operation": str(form), "phase": "done", "action": "re-enable endpoint",
        "who": "ana", "address": "192.0.2.7", "agent": "", "install": "Acme Labs",
        "install_id": endpoint.install.opentrain_id, "endpoint": "https://acme.example.com/hook",
        "endpoint_name": "acme.example.com/hook", "endpoint_id": "whe_1", "delivery_id": "", "words": "Re-enabled.",
        "quoted": "", "code": "",
        "request_id": "9d1f", "requeued": "3", "run": "",
    }  # fmt: skip
    lines = ana.client.get(f"{EXPORT}?format=ndjson&who=ana&to=2026-06-13").getvalue().decode().splitlines()
    assert [json.loads(line)["requeued"] for line in lines] == [3, None]
    said = AuditEntry.objects.filter(action="export activity").order_by("id").values_list("words", flat=True)
    assert list(said) == [f"{kind}: Who: ana, To: 2026-06-13 23:59 UTC." for kind in ("CSV", "NDJSON")]


def test_file_goes_on_over_chunks(ana: Browser, support: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "CHUNK", 7)
    fill(30, actor=support, install=None)
    found = [row["operation"] for row in table(ana, "?what=a")]
    newest_first = AuditEntry.objects.filter(action="a").newest_first().values_list("operation", flat=True)
    assert found == [str(one) for one in newest_first]


@pytest.mark.parametrize("query", ["?format=xml", "?outcome=bad", "?from=never&format=ndjson"])
def test_file_of_nonsense_is_refused_in_words_and_not_in_the_audit(query: str, ana: Browser) -> None:
    response = ana.client.get(EXPORT + query)
    assert (response.status_code, response["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert AuditEntry.objects.count() == 0


# --- Queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "paul"])
@pytest.mark.parametrize(
    "query", ["", "?install={install}&endpoint={endpoint}", "?install=Acme+Labs&endpoint=whe_1&who=ana"]
)
def test_page_runs_few_queries_whatever_the_rows(
    who: str, query: str, request: pytest.FixtureRequest, endpoint: Endpoint, support: User
) -> None:
    browser = request.getfixturevalue(who)
    for _ in range(activity.PAGE):
        make_entry(endpoint=make_endpoint(install=endpoint.install), actor=support)
    fill(500, actor=support, install=endpoint.install)
    with CaptureQueriesContext(connection) as asked:
        browser.read(PAGE + query.format(install=endpoint.install_id, endpoint=endpoint.pk))
    counted = [one["sql"] for one in asked if not re.match(r"SAVEPOINT|RELEASE|SELECT set_config", one["sql"])]
    assert len(counted) <= QUERIES, counted
