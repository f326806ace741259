"""The pages that put endpoints behind the receiver and take Redeliver out of the path."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions import handler_checks
from dashboard.actions.alerts.watch import watch
from dashboard.actions.installs import sync
from dashboard.models import AuditEntry, Endpoint, EndpointWrite, Grant, Install, User
from dashboard.presenters.causes import cause_rows
from dashboard.rules.causes import Cause
from dashboard.rules.preflight import Preflight, from_receiver, of_answer, of_failure, reached_words
from dashboard.services import handler
from dashboard.services.handler import HandlerAnswer, HandlerFailed
from dashboard.services.opentrain import OutcomeUnknown
from dashboard.vault import Secret
from dashboard.views import endpoints as endpoint_views
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery
from tests.views.conftest import Browser, browser_of, register
from tests.views.test_endpoints import words_of as escaped_words_of
from tests.views.test_inbox import INBOX

URL = "https://acme.example.com/in?api_key=s3cr3t"
SECRET = "whsec_" + "s" * 32
DENIED = HandlerFailed(cause=Cause.DENIED, words="The handler: its address is not public.")
DOWN = HandlerFailed(cause=Cause.TLS, words="The handler: the TLS connection failed.")


def words_of(page: str) -> str:
    return unescape(escaped_words_of(page))


def page_of(endpoint: Endpoint, name: str = "endpoint-detail") -> str:
    return reverse(name, args=[endpoint.pk])


@pytest.fixture
def direct(connected: Install, support: User) -> Endpoint:
    """An endpoint that OpenTrain delivers directly."""
    return register(connected, support, url=URL)


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Handlers that answer each check with 405; the list has the URLs that were checked."""
    return probing(monkeypatch, lambda: HandlerAnswer(405, (), b"", 31))


def probing(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], HandlerAnswer]) -> list[str]:
    urls: list[str] = []

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        assert 0 < deadline_s <= 5
        urls.append(url)
        return answer()

    monkeypatch.setattr(handler, "probe", probe)
    return urls


def failing(monkeypatch: pytest.MonkeyPatch, error: HandlerFailed) -> list[str]:
    def fail() -> HandlerAnswer:
        raise error

    return probing(monkeypatch, fail)


def route(browser: Browser, endpoint: Endpoint, **given: str) -> str:
    return browser.submit(
        page_of(endpoint, "endpoint-route"), **({"operation": str(uuid.uuid4()), "secret": SECRET} | given)
    )


def test_page_says_what_will_happen_without_waiting_for_the_handler(
    ana: Browser, direct: Endpoint, probed: list[str]
) -> None:
    page = ana.read(page_of(direct, "endpoint-route"))
    assert "OpenTrain delivers to Redeliver from the next attempt on" in words_of(page)
    assert "A handler that lets in OpenTrain's addresses only will refuse Redeliver's." in words_of(page)
    assert page_of(direct, "endpoint-route-check") in page
    assert "s3cr3t" not in page
    assert probed == []
    assert reached_words(status=405, latency_ms=31) in words_of(ana.read(page_of(direct, "endpoint-route-check")))
    assert probed == [URL]


def receiving(monkeypatch: pytest.MonkeyPatch, found: Preflight) -> None:
    """Let a receiver answer each check with what it found."""
    monkeypatch.setattr(
        handler_checks, "ask", lambda endpoints: dict.fromkeys([one.pk for one in endpoints], from_receiver(found))
    )


def test_check_is_the_receivers_and_the_console_calls_no_handler(
    ana: Browser, direct: Endpoint, probed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving(monkeypatch, of_answer(status=405, latency_ms=31))
    check = ana.read(page_of(direct, "endpoint-route-check"))
    assert f"{reached_words(status=405, latency_ms=31)} Checked from the receiver." in words_of(check)
    assert "tone-ok" in check
    route(ana, direct)
    direct.refresh_from_db()
    assert (direct.is_received, probed) == (True, [])


def test_handler_that_only_the_console_reaches_asks(
    ana: Browser, direct: Endpoint, probed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving(monkeypatch, of_failure(cause=Cause.TIMEOUT, words="The handler: no response in time."))
    asked = ana.client.post(page_of(direct, "endpoint-route"), {"operation": str(uuid.uuid4()), "secret": SECRET})
    text = words_of(asked.content.decode())
    assert (asked.status_code, probed) == (422, [])
    assert "no response in time" in text
    assert "Checked from the receiver. Nothing was sent to OpenTrain." in text


def test_check_from_the_console_says_so_and_is_not_shown_as_fine(
    ana: Browser, direct: Endpoint, probed: list[str]
) -> None:
    check = ana.read(page_of(direct, "endpoint-route-check"))
    assert "The receiver did not answer, so this was checked from the console." in words_of(check)
    assert "tone-ok" not in check
    assert 'name="anyway"' not in check


@pytest.mark.parametrize(
    ("answer", "asks"),
    [(HandlerAnswer(405, (), b"", 31), False), (HandlerAnswer(403, (), b"", 31), True), (DENIED, False), (DOWN, True)],
)
def test_check_that_failed_asks_before_the_secret_is_sent(
    ana: Browser, direct: Endpoint, monkeypatch: pytest.MonkeyPatch, answer: HandlerAnswer | HandlerFailed, asks: bool
) -> None:
    if isinstance(answer, HandlerFailed):
        failing(monkeypatch, answer)
    else:
        probing(monkeypatch, lambda: answer)
    assert 'id="route-form"' in ana.read(page_of(direct, "endpoint-route"))
    check = ana.read(page_of(direct, "endpoint-route-check"))
    assert ('name="anyway" form="route-form"' in check) is asks


def test_direct_endpoint_is_routed_and_its_page_shows_the_steps(
    ana: Browser, direct: Endpoint, probed: list[str], fake_opentrain: FakeOpenTrain
) -> None:
    text = words_of(route(ana, direct))
    direct.refresh_from_db()
    assert probed == [URL]
    assert direct.is_received
    assert "OpenTrain delivers to Redeliver now, which forwards to" in text
    assert "Waiting for the first delivery." in text
    assert "The signing secret is not proven yet." in text
    assert SECRET not in text
    assert "s3cr3t" not in text


def test_without_javascript_the_page_links_it_where_nothing_is_seen(ana: Browser, direct: Endpoint) -> None:
    page = ana.read(page_of(direct))
    assert "Route through Redeliver…" in words_of(page)
    assert "route them through Redeliver" in words_of(page)


def test_steps_tell_of_no_delivery_that_the_list_below_lacks(
    ana: Browser, direct: Endpoint, probed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    route(ana, direct)

    def arriving(**given: Any) -> list[Any]:
        """A delivery arrives after the list was read."""
        now = timezone.now()
        make_delivery(endpoint=direct, first_received_at=now, last_attempt_at=now)
        return cause_rows(**given)

    monkeypatch.setattr(endpoint_views, "cause_rows", arriving)
    text = words_of(ana.read(page_of(direct)))
    assert "No deliveries yet." in text
    assert "Waiting for the first delivery." in text


@pytest.mark.parametrize(("signature", "said"), [
    ("mismatch", "The signing secret does not fit what arrives."),
    ("other_endpoint", "The signing secret is another endpoint's of this install."),
    ("missing", "What arrives is not signed as OpenTrain signs"),
    ("stale", "The signatures' times do not fit Redeliver's clock."),
])  # fmt: skip
def test_page_says_that_the_secret_does_not_fit(
    ana: Browser, direct: Endpoint, probed: list[str], signature: str, said: str
) -> None:
    route(ana, direct)
    now = timezone.now()
    make_delivery(endpoint=direct, last_signature=signature, first_received_at=now, last_attempt_at=now)
    text = words_of(ana.read(page_of(direct)))
    assert said in text
    assert "Enter signing secret…" in text
    assert "If it is wrong, deliveries are passed on unverified" in words_of(
        ana.read(page_of(direct, "endpoint-secret"))
    )
    again = words_of(
        ana.submit(page_of(direct, "endpoint-secret"), operation=str(uuid.uuid4()), secret=SECRET[:-1] + "t")
    )
    assert "The next delivery shows whether it is right." in again


def test_page_says_that_the_first_delivery_has_verified(ana: Browser, direct: Endpoint, probed: list[str]) -> None:
    route(ana, direct)
    now = timezone.now()
    make_delivery(endpoint=direct, first_received_at=now, last_attempt_at=now)
    Endpoint.objects.filter(pk=direct.pk).update(proof="proven")
    text = words_of(ana.read(page_of(direct)))
    assert "A delivery arrived." in text
    assert "The signing secret is right: a delivery verified." in text
    Endpoint.objects.filter(pk=direct.pk).update(routed_at=now - timedelta(days=2))
    assert "Routed through Redeliver" not in words_of(ana.read(page_of(direct)))


def test_secret_is_asked_for_or_its_absence_is_chosen(ana: Browser, direct: Endpoint, probed: list[str]) -> None:
    path = page_of(direct, "endpoint-route")
    refused = ana.client.post(path, {"operation": str(uuid.uuid4())})
    assert refused.status_code == 422
    assert "Paste the signing secret, or tick the box below." in words_of(refused.content.decode())
    text = words_of(route(ana, direct, secret="", without_secret="on"))
    assert "routed through Redeliver without its signing secret" in text
    assert "Enter signing secret…" in text
    install = words_of(ana.read(page_of(direct.install, "install-detail")))  # type: ignore[arg-type]
    assert "received through Redeliver, unverified: its signing secret is missing" in install


def test_handler_that_fails_the_check_is_routed_if_the_person_says_so(
    ana: Browser, direct: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, DOWN)
    path = page_of(direct, "endpoint-route")
    asked = ana.client.post(path, {"operation": str(uuid.uuid4()), "secret": SECRET})
    assert asked.status_code == 422
    assert "the TLS connection failed" in words_of(asked.content.decode())
    assert 'name="anyway"' in asked.content.decode()
    assert "Nothing was sent to OpenTrain. Paste the secret again to try again." in words_of(asked.content.decode())
    direct.refresh_from_db()
    assert not direct.is_received
    route(ana, direct, anyway="on")
    direct.refresh_from_db()
    assert direct.is_received


def test_address_that_redeliver_never_calls_is_not_routed(
    ana: Browser, direct: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, DENIED)
    refused = ana.client.post(page_of(direct, "endpoint-route"), {"secret": SECRET, "anyway": "on"})
    assert refused.status_code == 422
    assert 'name="anyway"' not in refused.content.decode()
    direct.refresh_from_db()
    assert (direct.is_received, direct.receiver_key) == (False, None)


def test_lost_answer_is_said_and_routing_is_offered_again(
    ana: Browser, direct: Endpoint, probed: list[str], fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="update_endpoint")
    answer = ana.client.post(page_of(direct, "endpoint-route"), {"operation": str(uuid.uuid4()), "secret": SECRET})
    assert "OpenTrain still shows the earlier URL." in words_of(answer.content.decode())
    text = words_of(ana.read(page_of(direct)))
    assert "OpenTrain was asked to route this endpoint through Redeliver, and its answer was lost." in text
    assert "Route through Redeliver…" in text


def test_endpoint_behind_the_receiver_is_not_routed_again(ana: Browser, endpoint: Endpoint, probed: list[str]) -> None:
    response = ana.client.get(page_of(endpoint, "endpoint-route"), follow=True)
    assert "OpenTrain delivers this endpoint to an address of Redeliver's receiver already." in words_of(
        response.content.decode()
    )


def test_redeliver_is_taken_out_and_the_log_stays(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    delivery = make_delivery(endpoint=endpoint)
    assert "Take Redeliver out of the path…" in words_of(ana.read(page_of(endpoint)))
    path = page_of(endpoint, "endpoint-bypass")
    assert "OpenTrain delivers to https://acme.example.com/hook itself" in words_of(ana.read(path))
    text = words_of(ana.submit(path, operation=str(uuid.uuid4())))
    assert "OpenTrain delivers to https://acme.example.com/hook itself now." in text
    assert "Redeliver was taken out of this endpoint's path" in text
    assert "changed outside" not in text
    assert reverse("delivery-detail", args=[delivery.pk]) in ana.read(page_of(endpoint))
    endpoint.refresh_from_db()
    assert endpoint.is_bypassed
    listed = words_of(ana.read(page_of(endpoint.install, "install-detail")))  # type: ignore[arg-type]
    assert "directly to its handler: Redeliver was taken out of the path" in listed


def test_endpoint_without_a_handler_cannot_be_taken_out(ana: Browser, connected: Install, support: User) -> None:
    endpoint = register(connected, support)
    response = ana.client.get(page_of(endpoint, "endpoint-bypass"), follow=True)
    assert "No handler is set" in words_of(response.content.decode())


# --- A whole install --------------------------------------------------------------------------------------------------


def test_install_leads_to_the_form_and_each_endpoint_has_a_line(
    ana: Browser, connected: Install, support: User, probed: list[str], fake_opentrain: FakeOpenTrain
) -> None:
    first, second, third = (register(connected, support, url=f"https://acme.example.com/{n}") for n in (1, 2, 3))
    page = ana.read(page_of(connected, "install-detail"))  # type: ignore[arg-type]
    assert "3 endpoints, none seen here" in words_of(page)
    assert "Route through Redeliver…" in words_of(page)
    path = reverse("install-route", args=[connected.pk])
    assert 'type="password"' in ana.read(path)
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="update_endpoint")
    answer = ana.client.post(
        path,
        {
            f"route_{first.pk}": "on",
            f"secret_{first.pk}": SECRET,
            f"operation_{first.pk}": str(uuid.uuid4()),
            f"route_{second.pk}": "on",
            f"secret_{second.pk}": "",
            f"operation_{second.pk}": str(uuid.uuid4()),
            "without_secret": "on",
        },
    )
    text = words_of(answer.content.decode())
    assert text.count("acme.example.com/") >= 2
    assert "OpenTrain did not answer within 15 s." in text
    assert "Without its signing secret, Redeliver passes deliveries on unverified." in text
    for one in (first, second, third):
        one.refresh_from_db()
    assert [one.is_received for one in (first, second, third)] == [False, True, False]
    assert first.secret == Secret(SECRET)
    assert SECRET not in answer.content.decode()
    assert "2 of 3 endpoints are not seen here" in words_of(ana.read(page_of(connected, "install-detail")))  # type: ignore[arg-type]


def test_install_form_asks_for_what_is_missing_and_requests_nothing(
    ana: Browser, direct: Endpoint, probed: list[str], fake_opentrain: FakeOpenTrain
) -> None:
    path, calls = reverse("install-route", args=[direct.install_id]), len(fake_opentrain.calls)
    nothing = ana.client.post(path, {"secret": SECRET})
    assert nothing.status_code == 422
    assert "Choose at least one endpoint." in words_of(nothing.content.decode())
    without = ana.client.post(path, {f"route_{direct.pk}": "on"})
    assert without.status_code == 422
    assert "Paste the signing secret, or tick “Route those without a secret too”." in words_of(without.content.decode())
    assert (len(fake_opentrain.calls), probed) == (calls, [])


def test_install_form_routes_what_it_can_and_says_why_not_the_others(
    ana: Browser, connected: Install, support: User, monkeypatch: pytest.MonkeyPatch, fake_opentrain: FakeOpenTrain
) -> None:
    urls = [f"https://acme.example.com/{name}" for name in ("routed", "closed", "lacking")]
    routed, closed, lacking = (register(connected, support, url=url) for url in urls)

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        return HandlerAnswer(403 if url.endswith("closed") else 405, (), b"", 31)

    monkeypatch.setattr(handler, "probe", probe)
    given = {f"route_{one.pk}": "on" for one in (routed, closed, lacking)}
    given |= {f"secret_{one.pk}": SECRET for one in (routed, closed)}
    answer = ana.client.post(reverse("install-route", args=[connected.pk]), given)
    text = words_of(answer.content.decode())
    assert "1 of 3 endpoints routed." in text
    assert "To route it all the same, tick “Route an endpoint even if the check of its handler fails”." in text
    assert "Not routed. Paste the signing secret, or tick “Route those without a secret too”." in text
    assert "Route the others…" in text
    for one in (routed, closed, lacking):
        one.refresh_from_db()
    assert [one.is_received for one in (routed, closed, lacking)] == [True, False, False]
    assert (closed.secret, closed.receiver_key) == (None, None)
    last = ana.client.post(
        reverse("install-route", args=[connected.pk]),
        {f"route_{one.pk}": "on" for one in (closed, lacking)} | {"without_secret": "on", "anyway": "on"},
    )
    assert "2 of 2 endpoints routed." in words_of(last.content.decode())
    assert "Route the others…" not in words_of(last.content.decode())


def test_viewer_neither_sees_the_receivers_key_nor_is_told_to_enter_a_secret(
    ana: Browser, direct: Endpoint, viewer: User, probed: list[str]
) -> None:
    route(ana, direct)
    direct.refresh_from_db()
    key = str(direct.receiver_key)
    Grant.objects.create(user=viewer, install=direct.install)
    assert key not in browser_of(viewer).read(page_of(direct))  # where others are told how to reach it
    now = timezone.now()
    make_delivery(endpoint=direct, last_signature="mismatch", first_received_at=now, last_attempt_at=now)
    asks = "You have read-only access: ask a partner admin of this install or support."
    for proof, words in (("waiting", "does not fit what arrives"), ("none", "without its signing secret")):
        Endpoint.objects.filter(pk=direct.pk).update(proof=proof, **({"secret": None} if proof == "none" else {}))
        theirs, ours = browser_of(viewer).read(page_of(direct)), ana.read(page_of(direct))
        assert words in words_of(theirs)
        assert ((asks in words_of(theirs)), (asks in words_of(ours))) == (True, False)
        assert ((key in theirs), (key in ours)) == (False, True)


def test_viewer_is_offered_neither(direct: Endpoint, viewer: User) -> None:
    Endpoint.objects.filter(pk=direct.pk).update(install=viewer.grants.get().install)
    browser = browser_of(viewer)
    text = words_of(browser.read(page_of(direct)))
    assert "Route through Redeliver…" not in text
    assert browser.client.post(page_of(direct, "endpoint-route"), {"secret": SECRET}).status_code == 403


def test_url_that_was_changed_elsewhere_is_told_on_the_page(ana: Browser, direct: Endpoint) -> None:
    Endpoint.objects.filter(pk=direct.pk).update(
        url_changed_at=timezone.now(), url_before="https://old.example.com/?api_key=s3cr3t"
    )
    page = ana.read(page_of(direct))
    assert "This endpoint's URL was changed outside Redeliver" in words_of(page)
    assert "https://old.example.com/?api_key=[redacted]" in words_of(page)
    assert "route them through Redeliver" in words_of(page)
    assert "Delivery log ." not in words_of(page)
    assert "s3cr3t" not in page


def test_url_that_was_changed_elsewhere_is_in_the_inbox_until_it_is_kept_on_the_page(
    ana: Browser, direct: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    EndpointWrite.objects.all().delete()
    fake_opentrain.update_endpoint(
        token=direct.install.token, endpoint_id=direct.opentrain_id, url="https://other.example.com/"
    )
    assert sync.refresh(install=direct.install, now=timezone.now()) is None
    watch(now=timezone.now())
    inbox = words_of(ana.read(INBOX))
    assert "URL changed elsewhere" in inbox
    assert inbox.count("https://acme.example.com/in?api_key=[redacted]") == 1
    page = ana.read(page_of(direct))
    assert words_of(page).count("URL was changed outside Redeliver") == 1
    (form,) = re.findall(r'<form method="post" action="[^"]*/keep-url/".*?</form>', page, re.DOTALL)
    fields = dict(re.findall(r'name="(operation|changed_at)" value="([^"]*)"', form))
    kept = words_of(ana.submit(page_of(direct, "endpoint-keep-url"), **fields))
    assert "The URL that was set outside Redeliver is kept: https://other.example.com/." in kept
    assert "Keep this URL" not in kept
    ana.submit(page_of(direct, "endpoint-keep-url"), **fields)
    watch(now=timezone.now())
    assert "URL changed elsewhere" not in words_of(ana.read(INBOX))
    assert AuditEntry.objects.filter(action="keep URL changed elsewhere").count() == 1
