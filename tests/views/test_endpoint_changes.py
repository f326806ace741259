"""The pages behind an endpoint's menu: their text before a change, and protection from accidents."""

import re
import uuid

import pytest
from django.urls import reverse

from dashboard.models import AuditEntry, Endpoint, Install, Run, User
from dashboard.services.opentrain import OutcomeUnknown
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint, make_failed_delivery, make_run
from tests.views.conftest import Browser, browser_of, register
from tests.views.test_endpoints import HOSTILE, words_of


def url(name: str, endpoint: Endpoint) -> str:
    return reverse(f"endpoint-{name}", args=[endpoint.pk])


def refused(browser: Browser, path: str, **form: object) -> str:
    response = browser.client.post(path, form)
    assert response.status_code == 422
    return words_of(response.content.decode())


def said_again(browser: Browser, path: str, **form: object) -> str:
    response = browser.client.post(path, form)
    assert response.status_code == 200
    return words_of(response.content.decode())


def changes(fake: FakeOpenTrain) -> list[str]:
    return [call.operation for call in fake.calls if call.operation in {"update_endpoint", "delete_endpoint"}]


def test_menu_leads_to_the_pages_and_a_stopped_endpoint_cannot_be_paused(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    page = ana.read(url("detail", endpoint))
    assert [name for name in ("edit", "pause", "delete") if url(name, endpoint) in page] == ["edit", "pause", "delete"]
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    Endpoint.objects.update(snapshot_at=None)
    page = ana.read_refreshed(url("detail", endpoint))
    assert [name for name in ("edit", "pause", "delete") if url(name, endpoint) in page] == ["edit", "delete"]


def test_edit_changes_event_types_and_says_so_on_the_endpoints_page(ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(url("edit", endpoint))
    assert 'value="contract.started" checked' in page
    assert 'value="https://acme.example.com/hook"' in page
    form = {"address": "https://acme.example.com/hook", "event_types": ["contract.ended"], "operation": uuid.uuid4()}
    text = words_of(ana.submit(url("edit", endpoint), **form))
    assert "Changed: added contract.ended; removed contract.started." in text
    endpoint.refresh_from_db()
    assert endpoint.event_types == ["contract.ended"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"address": "https://a.example.com/"}, "Choose at least one event type."),
        ({"address": "ftp://a.example.com/", "event_types": ["contract.ended"]}, "beginning with https://"),
        ({"address": HOSTILE, "event_types": ["contract.ended"]}, "plain characters only"),
        (
            {"address": "https://me:pw@a.example.com/", "event_types": ["contract.ended"]},
            "Remove the user name and password",
        ),
        ({"address": "", "event_types": ["nonsense"]}, "nonsense is not one of the available choices"),
    ],
)
def test_edit_with_something_wrong_changes_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain, form: dict, words: str
) -> None:
    assert words in refused(ana, url("edit", endpoint), **form)
    assert changes(fake_opentrain) == []


def test_edit_of_a_direct_endpoint_needs_an_address_that_opentrain_takes(
    ana: Browser, connected: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = register(connected, support, url="https://acme.example.com/hook")
    text = refused(ana, url("edit", direct), address="http://acme.example.com/", event_types=["contract.ended"])
    assert "OpenTrain delivers to https:// only" in text
    assert "Enter the address for OpenTrain to deliver to." in refused(
        ana, url("edit", direct), address="", event_types=["contract.ended"]
    )
    assert changes(fake_opentrain) == []


def test_edit_keeps_an_event_type_that_is_newer_than_redeliver(ana: Browser, endpoint: Endpoint) -> None:
    Endpoint.objects.update(event_types=["contract.started", "contract.renamed"])
    assert 'value="contract.renamed" checked' in ana.read(url("edit", endpoint))


def test_edit_without_an_answer_is_said_above_the_form_which_is_a_new_operation(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    operation = str(uuid.uuid4())
    form = {"address": "", "event_types": ["contract.ended"], "operation": operation}
    response = ana.client.post(url("edit", endpoint), form)
    assert "OpenTrain did not answer within 15 s." in words_of(response.content.decode())
    assert f'value="{operation}"' not in response.content.decode()
    assert 'value="contract.ended" checked' in response.content.decode()


def seen_by(browser: Browser, endpoint: Endpoint) -> str:
    return re.search(r'name="seen" value="(\w+)"', browser.read(url("edit", endpoint)))[1]


def test_edit_of_what_somebody_changed_meanwhile_is_asked_for_again(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"address": "", "event_types": ["contract.ended"], "seen": seen_by(ana, endpoint)}
    Endpoint.objects.update(event_types=["milestone.funded"])
    text = refused(ana, url("edit", endpoint), **form)
    assert "Someone changed this endpoint after you opened this page." in text
    assert ": milestone.funded. Your changes are below but not saved" in text
    assert changes(fake_opentrain) == []
    form["seen"] = seen_by(ana, endpoint)
    assert "added contract.ended; removed milestone.funded" in words_of(ana.submit(url("edit", endpoint), **form))


def test_edit_sent_twice_is_one_call_and_one_answer(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"address": "", "event_types": ["contract.ended"], "seen": seen_by(ana, endpoint)}
    form["operation"] = str(uuid.uuid4())
    for _ in range(2):
        assert "Changed: the handler is now not set" in words_of(ana.submit(url("edit", endpoint), **form))
    assert changes(fake_opentrain) == ["update_endpoint"]


def test_pause_says_what_it_means_then_offers_re_enable(ana: Browser, endpoint: Endpoint) -> None:
    assert "While the endpoint is paused, deliveries are stopped" in words_of(ana.read(url("pause", endpoint)))
    page = ana.submit(url("pause", endpoint), operation=str(uuid.uuid4()))
    assert "Paused. OpenTrain attempts no deliveries until the endpoint is re-enabled." in words_of(page)
    assert url("enable", endpoint) in page


def test_pause_sent_twice_is_one_call(ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    operation = str(uuid.uuid4())
    for _ in range(2):
        assert "Paused." in words_of(ana.submit(url("pause", endpoint), operation=operation))
    assert changes(fake_opentrain) == ["update_endpoint"]


def test_delete_says_what_is_lost_and_needs_the_typed_title(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    text = words_of(ana.read(url("delete", disabled)))
    assert "2 failed deliveries : can never be redelivered after this." in text
    assert "To confirm, type acme.example.com/hook" in text
    for typed in ("", "delete", "acme.example.com", HOSTILE):
        assert "Nothing was deleted." in refused(ana, url("delete", disabled), confirmation=typed)
    assert changes(fake_opentrain) == []


def test_delete_with_the_typed_title_deletes_once_and_the_log_stays(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"confirmation": " Acme.Example.com/hook ", "operation": str(uuid.uuid4())}
    for _ in range(2):
        text = words_of(ana.submit(url("delete", disabled), **form))
        assert "Deleted. OpenTrain no longer sends to this endpoint." in text
        assert "Re-enable" not in text  # there is nothing left to re-enable
        assert "handler returned 503" in text
    assert changes(fake_opentrain) == ["delete_endpoint"]
    ana.read(url("edit", disabled), status=404)
    ana.read(url("delete", disabled), status=302)


def test_delete_without_an_answer_says_to_look_before_repeating(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer. Look at the list before you repeat it."))
    text = said_again(ana, url("delete", endpoint), confirmation="acme.example.com/hook")
    assert "Look at the list before you repeat it." in text
    assert Endpoint.objects.get(pk=endpoint.pk).deleted_at is None


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"name": "Billing"}, "Billing"),
        ({}, "redeliver.example.com/hooks/"),
        ({"handler_url": "https://A.example/x"}, "A.example/x"),
        ({"handler_url": "http://localhost:8080/hook"}, "localhost:8080/hook"),
        ({"handler_url": "https://user:s3cr3t@b.example/x?token=s3cr3t"}, "b.example/x"),
        ({"handler_url": "https://a.example/\u202ex"}, "delete"),
    ],
)
def test_word_to_type_is_the_title_where_it_can_be_typed(ana: Browser, columns: dict[str, str], word: str) -> None:
    endpoint = make_endpoint(**columns)
    make_failed_delivery(endpoint=endpoint)
    assert f"To confirm, type {word} Copied" in words_of(ana.read(url("delete", endpoint)))


def test_word_to_type_tells_endpoints_with_one_url_apart(ana: Browser, endpoint: Endpoint) -> None:
    twin = make_endpoint(
        install=endpoint.install, handler_url="https://acme.example.com/hook", opentrain_id="whe_abcdef"
    )
    assert twin.title == "acme.example.com/hook (…abcdef)"
    assert "To confirm, type acme.example.com/hook (abcdef)" in words_of(ana.read(url("delete", twin)))
    refused(ana, url("delete", twin), confirmation="acme.example.com/hook")


def test_endpoint_is_renamed_and_its_page_says_so(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    assert url("rename", endpoint) in ana.read(url("detail", endpoint))
    form = {"name": "Billing", "operation": str(uuid.uuid4())}
    for _ in range(2):
        page = ana.submit(url("rename", endpoint), **form)
        assert '<h1 id="endpoint-title" class="url"><bdi>Billing</bdi></h1>' in page
        assert "The endpoint is called “Billing” now. It was called “acme.example.com/hook” before." in words_of(page)
    assert changes(fake_opentrain) == []
    assert 'value="Billing"' in ana.read(url("rename", endpoint))


def test_name_that_another_endpoint_has_is_refused_and_kept_in_the_form(ana: Browser, endpoint: Endpoint) -> None:
    make_endpoint(install=endpoint.install, name="Billing")
    page = refused(ana, url("rename", endpoint), name="billing")
    assert "Nothing was saved. Fix the error below." in page
    assert "Another endpoint of this install is called Billing. Choose a name that differs." in page


def test_partner_admin_edits_the_endpoints_that_were_granted(
    fake_opentrain: FakeOpenTrain, acme: Install, partner_admin: User
) -> None:
    Install.objects.update(token=fake_opentrain.add_install())
    paul = browser_of(partner_admin)
    endpoint = register(Install.objects.get(), partner_admin, handler_url="https://acme.example.com/hook")
    form = {"address": "", "event_types": ["contract.started"], "operation": str(uuid.uuid4())}
    assert "your handler is now not set" in words_of(paul.submit(url("edit", endpoint), **form))


@pytest.mark.parametrize("name", ["edit", "pause", "delete"])
def test_outsider_changes_nothing(name: str, endpoint: Endpoint, outsider: User, fake_opentrain: FakeOpenTrain) -> None:
    form = {"confirmation": "acme.example.com/hook", "event_types": ["contract.ended"]}
    assert browser_of(outsider).client.post(url(name, endpoint), form).status_code == 404
    assert changes(fake_opentrain) == []


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        (
            "endpoint-delete",
            "bulk",
            "Deleting the endpoint stops the run. Its unrequested deliveries are never requested",
        ),
        ("endpoint-pause", "bulk", "Pausing the endpoint pauses the run too. To continue, re-enable the endpoint"),
        ("endpoint-pause", "recovery", "Pausing the endpoint stops the run. To continue, start a recovery again"),
        ("rotation-detail", "bulk", "Step 3 deletes this endpoint and stops the run: let it end first."),
    ],
)
def test_page_warns_of_an_active_run_and_says_what_will_happen_to_it(
    ana: Browser, endpoint: Endpoint, name: str, kind: str, said: str
) -> None:
    page = reverse(name, args=[endpoint.pk])
    run = make_run(endpoint=endpoint, kind=kind)
    assert "A run is active on this endpoint" not in ana.read(page)
    Run.objects.update(state="running", ended_at=None)
    text = ana.read(page)
    assert said in words_of(text)
    assert f'href="{reverse("run-detail", args=[run.pk])}"' in text


@pytest.mark.parametrize("name", ["pause", "delete"])
def test_confirmation_in_a_second_tab_says_who_did_it_and_writes_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain, name: str
) -> None:
    form = {"confirmation": "acme.example.com/hook"} if name == "delete" else {}
    ana.submit(url(name, endpoint), operation=str(uuid.uuid4()), **form)
    calls, entries = len(fake_opentrain.calls), AuditEntry.objects.count()
    page = words_of(ana.submit(url(name, endpoint), operation=str(uuid.uuid4()), **form))
    assert re.search(rf"Nothing changed: ana {name}d this endpoint at \d\d:\d\d UTC", page)
    assert (len(fake_opentrain.calls), AuditEntry.objects.count()) == (calls, entries)


def test_edit_says_that_an_address_was_cut_and_sends_only_the_event_types(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    cut = "https://a.example.com/" + "x" * 2025 + "…"
    Endpoint.objects.update(url=cut, receiver_key=None, handler_url="")
    assert "This is only the beginning of the address" in words_of(ana.read(url("edit", endpoint)))
    assert 'data-copy="https://a.example' not in ana.read(url("detail", endpoint))
    fake_opentrain.calls.clear()
    ana.submit(url("edit", endpoint), address=cut, event_types=["contract.ended"], operation=uuid.uuid4())
    [call] = [call for call in fake_opentrain.calls if call.operation == "update_endpoint"]
    assert (call.arguments["url"], call.arguments["event_types"]) == (None, ["contract.ended"])


def test_secret_of_the_handlers_url_is_kept_used_and_shown_nowhere(ana: Browser, endpoint: Endpoint) -> None:
    secret = "https://h.example.com/in?tenant=acme&api_key=s3cr3t"
    shown = "https://h.example.com/in?tenant=acme&amp;api_key=[redacted]"
    Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=secret)
    edit, types = url("edit", endpoint), ["contract.started", "contract.ended"]
    page = ana.client.get(edit).content.decode()
    assert (f'value="{shown}"' in page, "s3cr3t" in page) == (True, False)
    as_shown = shown.replace("&amp;", "&")
    ana.client.post(edit, {"address": as_shown, "event_types": types})
    endpoint.refresh_from_db()
    assert (endpoint.handler_url, sorted(endpoint.event_types)) == (secret, sorted(types))
    half = ana.client.post(edit, {"address": as_shown.replace("h.example", "new.example"), "event_types": types})
    assert half.status_code == 422
    assert "Replace [redacted] with the value that it hides" in half.content.decode()
    ana.client.post(edit, {"address": secret.replace("s3cr3t", "n3w"), "event_types": types})
    endpoint.refresh_from_db()
    assert endpoint.handler_url == secret.replace("s3cr3t", "n3w")
    said = AuditEntry.objects.latest("id").words
    assert said == (f"Changed: the handler is now {as_shown}, with another secret (it was {as_shown}).")
    for name in ("edit", "pause", "delete", "detail"):
        text = ana.client.get(reverse(f"endpoint-{name}", args=[endpoint.pk])).content.decode()
        assert [secret for secret in ("s3cr3t", "n3w") if secret in text] == [], name


def test_edit_that_gives_a_handler_events_twice_asks_first(
    ana: Browser, endpoint: Endpoint, connected: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    other = register(connected, support, handler_url="https://other.example.com/hook")
    form = {"address": endpoint.handler_url, "event_types": ["contract.started"]}
    page = refused(ana, url("edit", other), **form)
    assert "this handler has an endpoint already" in page
    assert "acme.example.com/hook : contract.started" in page
    assert f"the handler is now {endpoint.handler_url}" in words_of(
        ana.submit(url("edit", other), **form, twice=endpoint.handler_url)
    )
    # Saved once, it is asked no more: another event type that only one of them has comes once.
    form["event_types"] = ["contract.started", "contract.ended"]
    assert "added contract.ended" in words_of(ana.submit(url("edit", other), **form))


def test_edit_that_adds_an_event_of_the_other_endpoint_asks_first(
    ana: Browser, endpoint: Endpoint, connected: Install, support: User
) -> None:
    other = register(connected, support, handler_url="https://other.example.com/hook")
    Endpoint.objects.filter(pk=other.pk).update(handler_url=endpoint.handler_url, event_types=["contract.ended"])
    form = {"address": endpoint.handler_url, "event_types": ["contract.started", "contract.ended"]}
    assert "acme.example.com/hook : contract.ended" in refused(ana, url("edit", endpoint), **form)
