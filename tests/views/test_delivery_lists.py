"""Lists of deliveries as pages: visibility, filters, paging both ways, causes, refused requests, and queries."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import Endpoint, User
from dashboard.views import delivery_lists as views
from tests.factories import (
    NOON,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_refused_attempt,
)
from tests.views.conftest import Browser, browser_of

HOSTILE = "<img src=x onerror=alert(1)>\"'"
PAGES = ("delivery-list", "install-deliveries", "endpoint-deliveries")
QUERIES = 8
"""Maximum number of queries of a view for any number of rows, without savepoints and the like."""


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def rows_of(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="delivery-(\d+)"', page)]


def address(name: str, endpoint: Endpoint, *, what: str = "") -> str:
    args = {"delivery-list": [], "install-deliveries": [endpoint.install_id], "endpoint-deliveries": [endpoint.pk]}
    return reverse(f"{name}{what}", args=args[name])


@pytest.fixture
def other_endpoint(outsider: User) -> Endpoint:
    return make_endpoint(install=outsider.grants.get().install)


@pytest.mark.parametrize("name", PAGES)
def test_list_shows_its_deliveries_newest_first_with_their_number(
    ana: Browser, acme_endpoint: Endpoint, name: str
) -> None:
    old = make_delivery(endpoint=acme_endpoint, first_received_at=NOON - timedelta(hours=1))
    new = make_failed_delivery(endpoint=acme_endpoint)
    page = ana.read(address(name, acme_endpoint))
    assert rows_of(page) == [new.pk, old.pk]
    assert "2 deliveries" in words_of(page)
    assert rows_of(ana.read(address(name, acme_endpoint, what="-live"))) == [new.pk, old.pk]


@pytest.mark.parametrize("what", ["", "-live", "-export"])
@pytest.mark.parametrize("name", PAGES[1:])
def test_list_of_somebody_elses_is_not_there(
    partner_admin: User, other_endpoint: Endpoint, name: str, what: str
) -> None:
    browser_of(partner_admin).read(address(name, other_endpoint, what=what), status=404)


@pytest.mark.parametrize("what", ["", "-live", "-export"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "delivery=theirs",
        "resource=con_x",
        "event_id=evt_x",
        "state=failed",
        "cause=503",
        "older=2030-01-01T00:00:00Z_9",
    ],
)
def test_list_of_all_never_shows_what_somebody_may_not_see(
    partner_admin: User, acme_endpoint: Endpoint, other_endpoint: Endpoint, query: str, what: str
) -> None:
    for endpoint, name in ((acme_endpoint, "ours"), (other_endpoint, "theirs")):
        make_failed_delivery(endpoint=endpoint, opentrain_id=name, event_id="evt_x", resource_id="con_x")
    client = browser_of(partner_admin).client
    response = client.get(f"{address('delivery-list', acme_endpoint, what=what)}?{query}")
    text = response.getvalue().decode()
    shown = [name for name in ("ours", "theirs") if re.search(rf'title="{name}"|^failed,{name},', text, re.MULTILINE)]
    assert (response.status_code, shown) == (200, [] if query == "delivery=theirs" else ["ours"])


@pytest.mark.parametrize("by", ["pk", "opentrain_id", "name"])
def test_filter_by_install_narrows_the_list_its_file_and_the_redelivery_to_what_somebody_may_see(
    partner_admin: User, acme_endpoint: Endpoint, other_endpoint: Endpoint, by: str
) -> None:
    beta = make_endpoint()
    make_grant(user=partner_admin, install=beta.install)
    ours, betas, _ = (make_failed_delivery(endpoint=endpoint) for endpoint in (acme_endpoint, beta, other_endpoint))
    browser = browser_of(partner_admin)
    assert rows_of(browser.read(reverse("delivery-list"))) == [betas.pk, ours.pk]
    for endpoint, shown in ((acme_endpoint, [ours]), (other_endpoint, [])):
        query = urlencode({"install": getattr(endpoint.install, by)})
        page = browser.read(f"{reverse('delivery-list')}?{query}")
        assert rows_of(page) == [one.pk for one in shown]
        export = browser.client.get(f"{reverse('delivery-list-export')}?{query}").getvalue().decode("utf-8-sig")
        assert [line.split(",")[1] for line in export.splitlines()[1:]] == [one.opentrain_id for one in shown]
        preview = words_of(browser.read(f"{reverse('delivery-list-redeliver')}?{query}"))
        assert ("Redeliver 1 delivery" in preview) == bool(shown), preview


def test_names_of_installs_are_suggested_to_who_may_see_them(
    partner_admin: User, acme_endpoint: Endpoint, other_endpoint: Endpoint
) -> None:
    browser = browser_of(partner_admin)
    [suggested] = re.findall(r'name="install"[^>]* hx-get="([^"]+)"', browser.read(reverse("delivery-list")))
    assert browser.read(suggested).strip() == '<option value="Acme Labs"></option>'
    assert other_endpoint.install != acme_endpoint.install
    assert 'name="install"' not in browser.read(address("install-deliveries", acme_endpoint))


def test_list_of_refused_requests_keeps_to_who_may_see_them(
    partner_admin: User, acme_endpoint: Endpoint, other_endpoint: Endpoint
) -> None:
    refused = make_refused_attempt(endpoint=acme_endpoint, explanation="It is 412 s old.")
    make_refused_attempt(endpoint=other_endpoint, explanation="It is of somebody else.")
    browser = browser_of(partner_admin)
    page = browser.read(reverse("delivery-list") + "?signature=refused&state=failed")
    assert f'href="/endpoints/{acme_endpoint.pk}/doctor/?refused={refused.pk}"' in page
    text = words_of(page)
    assert "1 refused request" in text
    assert "It is 412 s old." in text
    assert "It is of somebody else." not in text
    assert "Refused requests have no State." in text
    export = browser.client.get(reverse("delivery-list-export") + "?signature=refused").getvalue().decode("utf-8-sig")
    assert export.splitlines()[0].startswith("received_at,install,endpoint_id,endpoint_name,endpoint_url,reason,")
    assert [line.split(",")[6] for line in export.splitlines()[1:]] == ["It is 412 s old."]


def test_pages_go_both_ways_and_show_every_row_once(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 10)
    made = [
        make_delivery(endpoint=acme_endpoint, first_received_at=NOON + timedelta(seconds=n // 3)).pk for n in range(35)
    ]
    path = address("endpoint-deliveries", acme_endpoint)
    shown, pages, query = [], [], "?state=delivered"
    while query is not None:
        page = ana.read(path + query)
        shown, pages = shown + rows_of(page), [*pages, rows_of(page)]
        assert ("data-poll" in page) == (len(pages) == 1)
        query = link_of(page, "next")
        make_delivery(endpoint=acme_endpoint, first_received_at=NOON + timedelta(hours=1))
    assert shown == made[::-1]
    back = ana.read(path + (link_of(page, "prev") or ""))
    assert rows_of(back) == pages[-2]


def link_of(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="[^"?]*(\?[^"]*)"', page)
    return found[1].replace("&amp;", "&") if found else None


def test_filter_that_makes_no_sense_is_said_and_left_out(ana: Browser, acme_endpoint: Endpoint) -> None:
    one = make_delivery(endpoint=acme_endpoint)
    page = ana.read(
        reverse("delivery-list") + "?from=yesterdy&state=borken&cause=%00gremlins&attempts_min=-1&newer=x&x=y"
    )
    text = words_of(page)
    assert (
        "“yesterdy” is not a time: use 03:12, yesterday 3pm or 2026-06-12 03:12 (UTC), 2026-06-12T05:12+02:00, or"
        in text
    )
    assert "“borken” is not a state: use delivered, retrying, requested_again, overdue, failed." in text
    assert "“gremlins” is not a cause" in text
    assert "“-1” is not a number of attempts" in text
    assert rows_of(page) == [one.pk]


def test_form_holds_what_is_filtered_by(ana: Browser, acme_endpoint: Endpoint) -> None:
    page = ana.read(reverse("delivery-list") + "?state=failed&cause=5XX&attempts_min=2&from=yesterdy")
    states = re.findall(r'<option value="(\w*)"( selected)?>', page)[:6]
    names = ["", "delivered", "retrying", "requested_again", "overdue", "failed"]
    assert states == [(name, " selected" if name == "failed" else "") for name in names]
    given = dict(re.findall(r'<input class="form-control" name="(\w+)"[^>]* value="([^"]+)"', page))
    assert given == {"cause": "5XX", "attempts_min": "2", "from": "yesterdy"}
    assert '<details class="filters-more" open>' in page


def test_filter_chips_each_remove_one_filter(ana: Browser, acme_endpoint: Endpoint) -> None:
    page = ana.read(reverse("delivery-list") + "?cause=5XX&state=Failed&event=contract.started&nonsense=1")
    chips = re.findall(r'<li><a href="([^"]+)" aria-label="Remove the filter ([^"]+)"', page)
    assert [(href.replace("&amp;", "&"), words) for href, words in chips] == [
        ("/deliveries/?event=contract.started&cause=status%3A5xx", "State: Failed"),
        ("/deliveries/?state=failed&cause=status%3A5xx", "Event type: contract.started"),
        ("/deliveries/?state=failed&event=contract.started", "Cause: handler returned 5xx"),
    ]


@pytest.mark.parametrize("column", ["pk", "opentrain_id", "name"])
def test_chip_of_an_install_says_its_name(ana: Browser, acme_endpoint: Endpoint, column: str) -> None:
    install = acme_endpoint.install
    page = ana.read(f"{reverse('delivery-list')}?{urlencode({'install': getattr(install, column)})}")
    assert f'aria-label="Remove the filter Install: {install.name}"' in page


def test_chip_of_an_install_that_the_user_may_not_see_says_what_was_asked_for(
    partner_admin: User, other_endpoint: Endpoint
) -> None:
    pk = other_endpoint.install_id
    page = browser_of(partner_admin).read(f"{reverse('delivery-list')}?install={pk}")
    assert f'aria-label="Remove the filter Install: {pk}"' in page
    assert other_endpoint.install.name not in page


@pytest.mark.parametrize("state", ["refused", "Refused"])
def test_refused_is_read_among_the_states_as_its_tab_is(ana: Browser, acme_endpoint: Endpoint, state: str) -> None:
    refused, _delivery = make_refused_attempt(endpoint=acme_endpoint), make_delivery(endpoint=acme_endpoint)
    page = ana.read(f"{reverse('delivery-list')}?state={state}")
    assert "Ignored filters" not in page
    assert '<a href="/deliveries/?signature=refused" aria-current="page">Refused</a>' in page
    assert f'id="refused-{refused.pk}"' in page
    assert not rows_of(page)


def test_filter_with_hostile_words_is_shown_as_words(ana: Browser, acme_endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=acme_endpoint, event_type=HOSTILE, resource_id=HOSTILE, last_cause="<b>")
    for name in ("event", "resource", "from", "cause", "delivery", "older"):
        page = ana.client.get(reverse("delivery-list"), {name: HOSTILE * 300}).content.decode()
        assert "<img src=x" not in page
    page = ana.client.get(address("install-deliveries", acme_endpoint), {"event": HOSTILE}).content.decode()
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert len(rows_of(page)) == 1


def test_causes_stand_on_top_with_advice_and_lead_to_their_list(ana: Browser, acme_endpoint: Endpoint) -> None:
    for _ in range(2):
        make_failed_delivery(endpoint=acme_endpoint)
    slow = make_failed_delivery(endpoint=acme_endpoint, last_cause="timeout", last_status=504)
    page = ana.read(address("install-deliveries", acme_endpoint))
    text = words_of(page)
    assert "2 deliveries failed: handler returned 503 ; last" in text
    assert "Check the handler&#x27;s logs for this period." in text
    links = re.findall(r'<li><a href="([^"]+)"><strong>', page)
    assert rows_of(ana.read(links[1].replace("&amp;", "&"))) == [slow.pk]


@pytest.mark.parametrize("name", ["install-deliveries", "endpoint-deliveries", "endpoint-detail"])
def test_refused_signatures_are_among_the_causes_and_lead_to_their_list(
    ana: Browser, acme_endpoint: Endpoint, other_endpoint: Endpoint, name: str
) -> None:
    make_failed_delivery(endpoint=acme_endpoint)
    for reason in ("mismatch", "mismatch", "too_large", "<b>new</b>"):
        make_refused_attempt(endpoint=acme_endpoint, reason=reason)
    make_refused_attempt(endpoint=other_endpoint, reason="missing")
    page = ana.read(reverse(name, args=[acme_endpoint.install_id if "install" in name else acme_endpoint.pk]))
    found = re.findall(r'<li><a href="([^"?]*)\?([^"]*)"><strong>(\d+)</strong> ([^<]*)</a>', page)
    where = address(name if "deliveries" in name else "endpoint-deliveries", acme_endpoint)
    assert {path for path, *_ in found} == {where}
    assert [rest for _, *rest in found] == [
        ["state=failed&amp;cause=status%3A503", "1", "delivery failed: handler returned 503"],
        ["signature=refused", "2", "requests were refused: the receiver found that the signature does not fit"],
        ["signature=refused", "1", "request was refused: &lt;b&gt;new&lt;/b&gt;"],
        ["signature=refused", "1", "request was refused: the request was too large"],
    ]


def test_causes_stand_above_the_first_page_only(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 2)
    for minute in range(5):
        make_failed_delivery(endpoint=acme_endpoint, first_received_at=NOON + timedelta(minutes=minute))
    first = ana.read(address("endpoint-deliveries", acme_endpoint))
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    assert "What went wrong" in first
    assert "What went wrong" not in ana.read(older[1].replace("&amp;", "&"))


@pytest.mark.parametrize(
    ("query", "shown", "chip"),
    [
        ("verified", ["by us", "by its handler"], "Signature: verified"),
        ("mismatch", ["of none"], "Signature: does not fit"),
        ("unsaid", ["unsaid"], "Signature: not reported by the handler"),
        ("stale", [], "Signature: too old"),
    ],
)
def test_list_by_signature_shows_what_was_found_of_the_last_attempts(
    ana: Browser, acme_endpoint: Endpoint, query: str, shown: list[str], chip: str
) -> None:
    reports = {"by us": "verified", "by its handler": "verified", "of none": "mismatch", "unsaid": ""}
    for minute, (name, signature) in enumerate(reports.items()):
        at = NOON - timedelta(minutes=minute)
        make_delivery(endpoint=acme_endpoint, opentrain_id=name, last_signature=signature, first_received_at=at)
    page = ana.read(address("endpoint-deliveries", acme_endpoint) + f"?signature={query}")
    assert re.findall(r'<code title="([^"]+)">', page) == shown
    assert chip in words_of(page)
    assert f'<option value="{query}" selected>' in page


def test_list_without_deliveries_says_what_comes_and_with_a_filter_what_to_do(
    ana: Browser, acme_endpoint: Endpoint
) -> None:
    assert "No deliveries yet." in words_of(ana.read(reverse("delivery-list")))
    assert "No deliveries match these filters." in words_of(ana.read(reverse("delivery-list") + "?state=failed"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("delivery", "DLV_7A"), ("delivery", "did “dlv_7a” fail?"), ("event_id", "Evt_7a"), ("resource", "CON_7A")],
)
def test_list_finds_an_id_however_it_is_pasted(ana: Browser, acme_endpoint: Endpoint, name: str, text: str) -> None:
    one = make_delivery(endpoint=acme_endpoint, opentrain_id="dlv_7a", event_id="evt_7a", resource_id="con_7a")
    make_delivery(endpoint=acme_endpoint)
    page = ana.read(f"{reverse('delivery-list')}?{urlencode({name: text})}")
    assert re.findall(r'href="/deliveries/(\d+)/"', page)[:1] == [str(one.pk)]
    assert "1 delivery" in words_of(page)


def test_list_without_the_delivery_leads_to_refused_requests_that_claimed_it(
    ana: Browser, acme_endpoint: Endpoint
) -> None:
    make_refused_attempt(endpoint=acme_endpoint, claimed_delivery_id="dlv_7a")
    path = reverse("endpoint-deliveries", args=[acme_endpoint.pk])
    page = ana.read(f"{path}?delivery=DLV_7A&state=failed")
    assert "1 refused request claimed this delivery ID." in words_of(page)
    refused = f"{path}?delivery=DLV_7A&amp;signature=refused"
    assert f'href="{refused}"' in page
    assert "The signature does not match." in ana.read(refused.replace("&amp;", "&"))
    assert 'href="/search/?q=DLV_7A"' in page
    assert 'href="/why/?q=DLV_7A"' in page
    assert "Ask why it didn't come" not in ana.read(f"{path}?state=failed")
    assert "claimed this delivery ID" not in ana.read(f"{path}?delivery=dlv_8")


def test_list_without_deliveries_never_calls_what_it_cannot_see_none(ana: Browser, acme_endpoint: Endpoint) -> None:
    straight = make_endpoint(install=acme_endpoint.install, receiver_key=None)
    observed = make_endpoint(install=acme_endpoint.install, receiver_key=None, observation_key_sha256="0" * 64)
    for endpoint, query, heading in (
        (acme_endpoint, "", "Waiting for the first delivery"),
        (acme_endpoint, "?state=failed", "No matches"),
        (observed, "", "Waiting for the first delivery"),
        (straight, "", "Not visible to Redeliver"),
    ):
        page = ana.read(address("endpoint-deliveries", endpoint) + query)
        assert f'<h2 id="list-heading">{heading}</h2>' in page


def test_list_says_that_what_makes_no_sense_does_not_filter(ana: Browser, acme_endpoint: Endpoint) -> None:
    make_delivery(endpoint=acme_endpoint)
    text = words_of(ana.read(f"{reverse('delivery-list')}?state=broken"))
    assert "Ignored filters: “broken” is not a state" in text
    assert "1 delivery" in text


@pytest.mark.parametrize(
    "query", ["", "?state=failed", "?cause=503&event=contract.started", "?signature=refused", "?from=24h"]
)
@pytest.mark.parametrize("name", PAGES)
def test_list_never_takes_more_queries_for_more_rows(
    partner_admin: User, acme_endpoint: Endpoint, name: str, query: str
) -> None:
    browser = browser_of(partner_admin)
    for number in range(20):
        endpoint = make_endpoint(install=acme_endpoint.install)
        delivery = make_failed_delivery(endpoint=endpoint if number % 2 else acme_endpoint)
        make_attempt(delivery=delivery)
        make_refused_attempt(endpoint=endpoint)
    for path in (address(name, acme_endpoint), address(name, acme_endpoint, what="-live")):
        with CaptureQueriesContext(connection) as captured:
            browser.read(path + query)
        asked = [
            one["sql"] for one in captured if not one["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))
        ]
        assert len(asked) <= QUERIES, "\n".join(asked)


def test_refused_requests_name_their_install_only_among_those_of_several(ana: Browser, acme_endpoint: Endpoint) -> None:
    make_refused_attempt(endpoint=acme_endpoint)
    name = f'<span class="of-endpoint"><bdi>{acme_endpoint.install.name}</bdi>'
    assert name in ana.read(f"{reverse('delivery-list')}?signature=refused")
    assert name not in ana.read(f"{address('install-deliveries', acme_endpoint)}?signature=refused")
