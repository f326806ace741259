"""Marking a time as checked: what the page says, who may, once, and what inbox, endpoint, run and report say then."""

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, EndpointSnapshot, Install, User, WindowCheck
from dashboard.rules.lost_window import Stop
from dashboard.rules.window_checks import NOTE_CHARS, span_text
from tests.factories import (
    make_contract,
    make_endpoint,
    make_finding,
    make_reconciliation,
    make_run,
    make_user,
    make_window_check,
)
from tests.views import test_endpoints
from tests.views.conftest import A_TIME, Browser, browser_of
from tests.views.test_endpoints_missing import was_disabled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_worker")]
HOSTILE = "<img src=x onerror=alert(1)>\"'"
TYPES = ["contract.started", "contract.ended", "milestone.funded"]
OUTAGE = timedelta(seconds=110)
INBOX = reverse("home")
LEAVES = "It leaves the inbox. It proves nothing: the log still cannot show these events."


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    """A healthy endpoint that was disabled for 110 s an hour ago, of an install whose contracts are all in order."""
    now = timezone.now()
    Install.objects.filter(pk=acme.pk).update(
        token_scopes=["webhooks:manage", "contracts:read", "project-links:read"],
        checked_at=now,
        endpoint_count=1,
        fine_count=1,
    )
    make_reconciliation(install=acme, contracts_read_at=now, links_read_at=now, judged_at=now)
    endpoint = make_endpoint(install=acme, event_types=TYPES, snapshot_at=now)
    was_disabled(endpoint, at=now - timedelta(hours=1))
    return endpoint


def words_of(page: str) -> str:
    return unescape(test_endpoints.words_of(page))


def stop_of(endpoint: Endpoint) -> Stop:
    first, last = EndpointSnapshot.objects.filter(endpoint=endpoint).order_by("at")[1:3]
    return Stop(first.at, last.at)


def name_of(endpoint: Endpoint) -> str:
    return span_text(stop_of(endpoint))


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def form_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-window-check", args=[endpoint.pk])


def again_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-window-show-again", args=[endpoint.pk])


def mark(browser: Browser, endpoint: Endpoint, **fields: str) -> str:
    sent = {"window": name_of(endpoint), "operation": str(uuid.uuid4()), "note": "Asked the partner"} | fields
    return words_of(browser.submit(form_of(endpoint), **sent))


def make_check(endpoint: Endpoint, **columns: object) -> WindowCheck:
    stop = stop_of(endpoint)
    return make_window_check(endpoint=endpoint, since=stop.since, until=stop.until or stop.since, **columns)


def link_of(page: str) -> str:
    return unescape(re.search(r'href="([^"]*/missing/check/\?window=[^"]*)"', page)[1])


def test_page_says_plainly_what_a_check_does(ana: Browser, endpoint: Endpoint) -> None:
    for where in (INBOX, page_of(endpoint)):
        page = words_of(ana.read(link_of(ana.read(where))))
        assert LEAVES in page
        assert "may be missing here. It was disabled then." in page
        assert "How was it checked? (optional)" in page
    assert not WindowCheck.objects.exists()


def test_checked_time_leaves_the_inbox_and_the_endpoint_still_says_it(ana: Browser, endpoint: Endpoint) -> None:
    assert "All clear, as far as is known" in ana.read(INBOX)
    page = mark(ana, endpoint)
    assert "Marked as checked: events between" in page
    assert "The inbox does not show them, and nothing is proven. Note: “Asked the partner”" in page
    assert "may be missing here. It was disabled then." in page
    assert re.search(rf"Checked by ana, {A_TIME} ?: Asked the partner\.", page)
    inbox = ana.read(INBOX)
    assert "<h1>All clear</h1>" in inbox
    assert "may be missing" not in inbox
    assert re.search(
        r"The endpoint is healthy\.</strong>\s+1 time in which nothing was sent was checked by a person, not proven\.",
        inbox,
    )
    assert "No contract's event is known to be missing." in words_of(inbox)


def test_note_stays_as_it_was_typed_for_every_reader(ana: Browser, partner_admin: User, endpoint: Endpoint) -> None:
    note = "The handler was down, said Bo at 14:01 UTC"
    mark(ana, endpoint, note=note)
    partner_admin.time_zone = "Asia/Kolkata"
    partner_admin.save(update_fields=["time_zone"])
    page = words_of(browser_of(partner_admin).read(page_of(endpoint)))
    assert page.count(note) == 2  # beside the time, and in the activity
    assert f"Note: “{note}”" in page


def test_check_is_taken_back(ana: Browser, endpoint: Endpoint) -> None:
    mark(ana, endpoint)
    page = ana.read(page_of(endpoint))
    [form] = re.findall(r'<form method="post" action="[^"]*/missing/show-again/".*?</form>', page, re.DOTALL)
    fields = dict(re.findall(r'name="(operation|window)" value="([^"]*)"', form))
    said = words_of(ana.submit(again_of(endpoint), **fields))
    assert "No longer marked as checked: events between" in said
    assert "Mark as checked…" in said
    assert "Checked by" not in said
    assert "may be missing here" in ana.read(INBOX)
    ana.submit(again_of(endpoint), **fields)  # the second click
    assert AuditEntry.objects.filter(action="show missing window again").count() == 1
    said = words_of(ana.submit(again_of(endpoint), window=fields["window"]))
    assert "Nothing changed: this time is not marked as checked." in said
    assert "Nothing changed: this time is not marked as checked." in words_of(ana.submit(again_of(endpoint)))


def test_double_click_is_one_check(ana: Browser, endpoint: Endpoint) -> None:
    form = str(uuid.uuid4())
    pages = [mark(ana, endpoint, operation=form) for _ in range(2)]
    assert all("Marked as checked: events between" in page for page in pages)
    assert (WindowCheck.objects.count(), AuditEntry.objects.filter(action="check missing window").count()) == (1, 1)


def test_form_that_is_sent_again_never_says_what_no_longer_holds(ana: Browser, endpoint: Endpoint) -> None:
    form, back = str(uuid.uuid4()), {"window": name_of(endpoint), "operation": str(uuid.uuid4())}
    mark(ana, endpoint, operation=form)
    assert "No longer marked as checked: events between" in words_of(ana.submit(again_of(endpoint), **back))
    said = mark(ana, endpoint, operation=form)
    assert "Nothing was marked: this form was sent before, and its check was taken back since." in said
    assert "Marked as checked" not in said.partition("Activity")[0]
    mark(ana, endpoint)
    said = words_of(ana.submit(again_of(endpoint), **back))
    assert "Nothing changed: this time was marked as checked again since." in said
    assert "No longer marked as checked" not in said.partition("Activity")[0]


def test_second_person_is_told_who_was_first(ana: Browser, partner_admin: User, endpoint: Endpoint) -> None:
    mark(ana, endpoint)
    paul = browser_of(partner_admin)
    assert "Nothing changed. Checked by ana, " in mark(paul, endpoint, note="Me too")
    response = paul.client.get(f"{form_of(endpoint)}?window={name_of(endpoint)}", follow=True)
    assert "Nothing changed. Checked by ana, " in response.content.decode()
    assert WindowCheck.objects.get().note == "Asked the partner"


def test_partner_admin_may_and_viewer_sees_who_checked_without_a_button(
    viewer: User, partner_admin: User, endpoint: Endpoint
) -> None:
    vera = browser_of(viewer)
    for where in (INBOX, page_of(endpoint)):
        assert "may be missing here" in vera.read(where)
        assert "Mark as checked" not in vera.read(where)
    mark(browser_of(partner_admin), endpoint)
    page = vera.read(page_of(endpoint))
    assert "Checked by paul, " in page
    assert "Show it again" not in page
    for path in (form_of(endpoint), again_of(endpoint)):
        assert vera.client.post(path, {"window": name_of(endpoint)}).status_code == 403
    assert WindowCheck.objects.count() == 1


def test_note_is_escaped_and_a_long_one_is_refused(ana: Browser, endpoint: Endpoint) -> None:
    fields = {"window": name_of(endpoint), "note": "x" * (NOTE_CHARS + 1), "operation": str(uuid.uuid4())}
    response = ana.client.post(form_of(endpoint), fields)
    assert response.status_code == 422
    assert "Shorten the note to 300 characters." in response.content.decode()
    assert fields["operation"] in response.content.decode()
    assert not WindowCheck.objects.exists()
    page = ana.submit(form_of(endpoint), **fields | {"note": HOSTILE})
    assert "<img" not in page
    assert HOSTILE in unescape(page)


def test_time_that_grew_is_back_in_the_inbox_and_says_why(ana: Browser, endpoint: Endpoint) -> None:
    mark(ana, endpoint)
    last = EndpointSnapshot.objects.filter(endpoint=endpoint, status="ACTIVE").latest("at")
    later = last.at + timedelta(minutes=10)
    EndpointSnapshot.objects.filter(pk=last.pk).update(at=later)
    Endpoint.objects.filter(pk=endpoint.pk).update(stopped_seen_at=later)
    inbox = ana.read(INBOX)
    assert "All clear, as far as is known" in inbox
    assert "ana checked the events between" in inbox
    assert "The time has changed since then, so that check does not cover it." in inbox
    assert "checked by a person" not in inbox
    assert "Mark as checked…" in inbox
    assert "The time has changed since then" in ana.read(page_of(endpoint))


def test_new_time_is_not_covered(ana: Browser, endpoint: Endpoint) -> None:
    mark(ana, endpoint)
    was_disabled(endpoint, at=timezone.now() - timedelta(minutes=20))
    inbox = words_of(ana.read(INBOX))
    assert inbox.count("may be missing here") == 1
    assert "Checked by" not in inbox
    assert "1 time in which nothing was sent was checked by a person, not proven." in inbox
    assert "Mark as checked…" in inbox


def test_stale_page_marks_nothing(ana: Browser, endpoint: Endpoint) -> None:
    stale = span_text(Stop(stop_of(endpoint).since, timezone.now()))
    for window in (stale, "", "1-2", "nonsense", "9" * 16 + "-" + "9" * 16):
        assert "Nothing was marked: this time is not as you saw it any more" in mark(ana, endpoint, window=window)
        assert ana.client.get(form_of(endpoint), {"window": window}).status_code == 302
    assert not WindowCheck.objects.exists()


def test_what_contracts_show_to_be_missing_is_not_checked_away(ana: Browser, acme: Install, endpoint: Endpoint) -> None:
    stop, old = stop_of(endpoint), timezone.now() - timedelta(days=2)
    lost = make_contract(
        install=acme,
        status="ended",
        created_at=old,
        first_seen_at=old,
        end_date=stop.since + OUTAGE / 2,
        active_seen_at=stop.since,
        ended_seen_at=stop.since + OUTAGE / 2,
    )
    make_finding(contract=lost, endpoint=endpoint)
    page = ana.read(page_of(endpoint))
    assert "1 missing: the handler never took contract.ended of 1 contract." in page
    assert "Mark as checked…" not in page
    said = "Nothing was marked: contracts show what is missing from this time"
    assert said in mark(ana, endpoint)
    assert said in words_of(ana.client.get(link(endpoint), follow=True).content.decode())
    assert not WindowCheck.objects.exists()
    make_check(endpoint)
    assert "A check does not cover what contracts show to be missing." in ana.read(page_of(endpoint))
    inbox = words_of(ana.read(INBOX))
    assert "may be missing here" in inbox
    assert "checked by a person" not in inbox


def link(endpoint: Endpoint) -> str:
    return f"{form_of(endpoint)}?window={name_of(endpoint)}"


def test_run_and_report_say_who_checked(ana: Browser, endpoint: Endpoint) -> None:
    at = stop_of(endpoint).until or timezone.now()
    run = make_run(endpoint=endpoint, created_at=at - OUTAGE / 2, ended_at=at + OUTAGE)
    run.steps.create(name="watch", began_at=run.created_at, ended_at=run.ended_at, words="6 of 6 delivered.")
    page, report = reverse("run-detail", args=[run.pk]), reverse("run-report", args=[run.pk])
    assert "Mark as checked…" in ana.read(page)
    mark(ana, endpoint)
    for where in (page, report, reverse("endpoint-report", args=[endpoint.pk])):
        said = words_of(ana.read(where))
        assert "may be missing here" in said
        assert "Checked by ana, " in said
        assert ": Asked the partner." in said
        assert "proven that" not in said
    assert "Show it again" in ana.read(page)
    assert ": Asked the partner." in ana.read(f"{report}?format=text")


def test_time_that_lasts_has_no_button(ana: Browser, endpoint: Endpoint) -> None:
    EndpointSnapshot.objects.create(endpoint=endpoint, at=timezone.now(), status="DISABLED", consecutive_failures=0)
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED", stopped_seen_at=timezone.now())
    make_check(endpoint)
    page = words_of(ana.read(page_of(endpoint)))
    assert page.count("may be missing here") == 2
    assert "Mark as checked…" not in page


def test_others_do_not_learn_of_it(outsider: User, endpoint: Endpoint) -> None:
    olga = browser_of(outsider)
    assert olga.client.get(link(endpoint)).status_code == 404
    assert olga.client.post(again_of(endpoint), {"window": name_of(endpoint)}).status_code == 404
    make_check(endpoint)
    assert "checked by a person" not in olga.read(INBOX)


def test_deleted_endpoint_has_no_checks_to_make(ana: Browser, endpoint: Endpoint) -> None:
    make_check(endpoint)
    path = link(endpoint)
    Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=timezone.now())
    assert ana.client.get(path).status_code == 404
    assert "Checked by" not in ana.read(page_of(endpoint))
    assert "checked by a person" not in ana.read(INBOX)


def test_disconnected_install_is_in_no_count(ana: Browser, acme: Install, endpoint: Endpoint) -> None:
    make_check(endpoint)
    assert "1 time in which nothing was sent was checked by a person" in ana.read(INBOX)
    Install.objects.filter(pk=acme.pk).update(disconnected_at=timezone.now())
    assert "checked by a person" not in ana.read(INBOX)


def test_viewer_without_an_account_is_asked_to_sign_in(client, endpoint: Endpoint) -> None:
    assert client.get(link(endpoint)).status_code == 302
    nobody = browser_of(make_user(role=""))
    assert nobody.client.get(link(endpoint)).status_code == 403
