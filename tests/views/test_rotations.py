"""A rotation as users go through it: left, resumed, cancelled, and never ahead of confirmed facts."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.installs import freshness
from dashboard.models import Endpoint, EndpointWrite, Install, Rotation, User
from dashboard.rules.snapshots import LAG
from dashboard.services.opentrain import OutcomeUnknown, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_failed_delivery, make_refused_attempt
from tests.views.conftest import Browser, browser_of, register
from tests.views.test_endpoints import HOSTILE, words_of


def url(name: str, endpoint: Endpoint) -> str:
    return reverse(f"rotation-{name}", args=[endpoint.pk])


def start(browser: Browser, endpoint: Endpoint) -> str:
    """Create the new endpoint; return the page that shows its secret."""
    return browser.client.post(
        url("start", endpoint), {"operation": name_of(browser, endpoint, "start")}
    ).content.decode()


def name_of(browser: Browser, endpoint: Endpoint, button: str) -> str:
    page = browser.read(url("detail", endpoint))
    return re.search(rf'action="{url(button, endpoint)}".*?name="operation" value="([^"]+)"', page, re.DOTALL)[1]


def press(browser: Browser, endpoint: Endpoint, button: str, **form: str) -> str:
    return words_of(browser.submit(url(button, endpoint), operation=name_of(browser, endpoint, button), **form))


@pytest.fixture
def _pause_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pause after a failed call be over at once."""
    monkeypatch.setattr(freshness, "PAUSE_AFTER_FAILURE", timedelta())


def new_of(endpoint: Endpoint) -> Endpoint:
    return Rotation.objects.get(old=endpoint).new


def test_rotation_goes_from_start_to_end(ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    assert "OpenTrain can't change a secret, so a new endpoint replaces this one." in words_of(
        ana.read(url("detail", endpoint))
    )
    page = start(ana, endpoint)
    secret = re.search(r"whsec_\w+", page)[0]
    text = words_of(ana.read(url("detail", endpoint)))
    assert "Nothing has arrived yet at either endpoint." in text
    assert secret not in ana.read(url("detail", endpoint))
    assert ("(new secret)" in text, "(old secret)" in text) == (True, True)
    make_delivery(endpoint=new_of(endpoint))
    assert "It receives." in words_of(ana.read(url("live", endpoint)))
    assert "The new endpoint receives deliveries." in press(ana, endpoint, "continue")
    text = press(ana, endpoint, "finish")
    assert "The old endpoint is deleted. The new one has replaced it." in text
    assert "Done Finished by ana" in text
    endpoint.refresh_from_db()
    assert endpoint.deleted_at is not None
    assert [call.operation for call in fake_opentrain.calls].count("create_endpoint") == 2


def test_new_endpoint_that_is_not_as_the_old_one_is_said_beside_its_secret(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.change_answer(
        lambda made: replace(made, endpoint=replace(made.endpoint, status="DISABLED")), operation="create_endpoint"
    )
    page = start(ana, endpoint)
    assert "not as requested. OpenTrain answered that it is DISABLED, so nothing is sent until it is" in page
    assert 'id="secret">whsec_' in page


def test_rotation_that_was_left_is_found_on_both_endpoints(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    for one in (endpoint, new_of(endpoint)):
        page = ana.read(reverse("endpoint-detail", args=[one.pk]))
        assert f'<a href="{url("detail", endpoint)}">Continue the rotation</a>' in page
    response = ana.client.get(url("detail", new_of(endpoint)))
    assert (response.status_code, response["Location"]) == (302, url("detail", endpoint))


def test_start_pressed_twice_makes_one_endpoint_and_shows_the_secret_once(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    operation = name_of(ana, endpoint, "start")
    first = ana.client.post(url("start", endpoint), {"operation": operation})
    again = ana.client.post(url("start", endpoint), {"operation": operation}, follow=True)
    assert re.search(r"whsec_\w", first.content.decode())
    assert not re.search(r"whsec_\w", again.content.decode())  # the search form names the prefixes of secrets
    assert [call.operation for call in fake_opentrain.calls].count("create_endpoint") == 2
    assert "no-store" in first["Cache-Control"]


def test_start_on_an_endpoint_that_was_deleted_since_makes_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """The page may be outdated, so OpenTrain is asked before anything is created."""
    operation = name_of(ana, endpoint, "start")
    EndpointWrite.objects.update(at=timezone.now() - LAG)
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    assert ana.client.post(url("start", endpoint), {"operation": operation}).status_code == 404
    assert Rotation.objects.count() == 0
    assert [call.operation for call in fake_opentrain.calls].count("create_endpoint") == 1


def test_waiting_says_what_came_and_did_not_succeed(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    make_delivery(endpoint=endpoint, first_received_at=timezone.now() + timedelta(seconds=1))
    assert "Nothing has reached the new endpoint, but 1 delivery has reached the old one since." in words_of(
        ana.read(url("detail", endpoint))
    )
    make_refused_attempt(endpoint=new_of(endpoint))
    assert "1 request reached its URL and was refused." in words_of(ana.read(url("detail", endpoint)))
    make_failed_delivery(endpoint=new_of(endpoint), last_status=401)
    text = words_of(ana.read(url("detail", endpoint)))
    assert "A delivery arrived, but failed: handler returned 401" in text
    assert "It receives." not in text


def test_first_delivery_with_hostile_words_is_shown_and_not_obeyed(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    make_delivery(endpoint=new_of(endpoint), event_type=HOSTILE)
    page = ana.read(url("detail", endpoint))
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_going_on_without_proof_is_warned_of_and_written_down(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    press(ana, endpoint, "continue")
    assert Rotation.objects.get().step == "prove"
    text = press(ana, endpoint, "continue", unproven="yes")
    assert "You continued without confirming that the new endpoint receives" in text


def test_deleting_the_old_one_says_what_is_lost(ana: Browser, disabled: Endpoint) -> None:
    start(ana, disabled)
    text = press(ana, disabled, "continue", unproven="yes")
    assert "2 failed deliveries : can never be redelivered after this. Redeliver the ones you need first" in text


def test_finish_without_an_answer_stays_at_its_step(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    start(ana, endpoint)
    press(ana, endpoint, "continue", unproven="yes")
    name = name_of(ana, endpoint, "finish")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer. Look at the list before you repeat it."))
    text = words_of(ana.submit(url("finish", endpoint), operation=name))
    assert "Look at the list before you repeat it." in text
    assert Rotation.objects.get().step == "delete"
    assert "Done Finished by ana" in press(ana, endpoint, "finish")


def test_button_of_an_old_page_does_nothing(ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    start(ana, endpoint)
    ana.submit(url("finish", endpoint))
    assert Rotation.objects.get().step == "prove"
    assert [call.operation for call in fake_opentrain.calls].count("delete_endpoint") == 0


def test_abort_deletes_the_new_endpoint_and_says_so(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    text = press(ana, endpoint, "abort")
    assert "Rotation cancelled: the new endpoint is deleted. This endpoint and its secret stay as they are." in text
    assert "OpenTrain no longer sends to this endpoint" not in text
    assert "ana cancelled the last rotation" in text
    assert Endpoint.objects.get(pk=endpoint.pk).deleted_at is None
    assert new_of(endpoint).deleted_at is not None


@pytest.mark.usefixtures("_pause_is_over")
def test_start_without_an_answer_waits_two_minutes_then_can_be_given_up(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    name = name_of(ana, endpoint, "start")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="create_endpoint")
    text = words_of(ana.submit(url("start", endpoint), operation=name))
    assert "OpenTrain did not answer within 15 s." in text
    assert "Wait two minutes" in text
    ana.submit(url("abort", endpoint))
    assert Rotation.objects.count() == 1
    Rotation.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    assert "it was not created. Cancel this rotation and start again." in words_of(ana.read(url("detail", endpoint)))
    assert "so it was not created. The old one stays in use." in press(ana, endpoint, "abort")


@pytest.mark.usefixtures("_pause_is_over")
def test_new_endpoint_is_not_called_unmade_before_a_list_says_so(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """A list read before OpenTrain could have created the endpoint proves nothing."""
    name = name_of(ana, endpoint, "start")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="create_endpoint")
    ana.submit(url("start", endpoint), operation=name)
    Rotation.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    for listed_at in (None, timezone.now() - timedelta(minutes=2)):
        Install.objects.update(listed_at=listed_at)
        text = words_of(ana.read(url("detail", endpoint)))
        assert "The next sync with OpenTrain shows whether it was created." in text
        assert "it was not created" not in text
    assert "it was not created. Cancel this rotation and start again." in words_of(
        ana.read_refreshed(url("detail", endpoint))
    )


@pytest.mark.usefixtures("_pause_is_over")
def test_give_up_before_opentrain_can_tell_forgets_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    name = name_of(ana, endpoint, "start")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="create_endpoint")
    ana.submit(url("start", endpoint), operation=name)
    Rotation.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    Install.objects.update(listed_at=None)
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached.", reason=Reason.REFUSED))
    page = words_of(ana.client.post(url("abort", endpoint)).content.decode())
    assert "Nothing was requested: Redeliver first reads the endpoints, and that failed. OpenTrain cannot be" in page
    assert Rotation.objects.get().step == "create"


def test_start_requests_nothing_after_a_read_without_an_answer(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """Both would take their full time, and the secret would be lost with the answer of the second."""
    Install.objects.update(listed_at=timezone.now() - timedelta(minutes=1))
    name = name_of(ana, endpoint, "start")
    fake_opentrain.calls.clear()
    fake_opentrain.fail_next(Unavailable("OpenTrain did not answer within 15 s.", reason=Reason.TIMEOUT))
    page = words_of(ana.client.post(url("start", endpoint), {"operation": name}).content.decode())
    assert "Nothing was requested: Redeliver first reads the endpoints, and that failed. OpenTrain did not" in page
    assert [call.operation for call in fake_opentrain.calls] == ["list_endpoints"]
    assert Rotation.objects.count() == 0


def test_button_right_after_a_lost_answer_asks_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    name = name_of(ana, endpoint, "start")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="create_endpoint")
    ana.submit(url("start", endpoint), operation=name)
    fake_opentrain.calls.clear()
    page = words_of(ana.client.post(url("abort", endpoint)).content.decode())
    assert "A request to OpenTrain failed a moment ago. Try again in 10 s." in page
    assert fake_opentrain.calls == []


@pytest.mark.usefixtures("_pause_is_over")
def test_secret_that_was_lost_with_the_answer_is_said(
    ana: Browser, endpoint: Endpoint, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    name = name_of(ana, endpoint, "start")
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."), operation="create_endpoint")
    ana.submit(url("start", endpoint), operation=name)
    fake_opentrain.create_endpoint(token=connected.token, url=new_of(endpoint).url, event_types=["contract.started"])
    Install.objects.update(checked_at=timezone.now() - timedelta(minutes=1))
    assert "its answer was lost, and its secret may be lost with it" in words_of(
        ana.read_refreshed(url("detail", endpoint))
    )


def test_direct_endpoint_is_rotated_on_somebodys_word(ana: Browser, connected: Install, support: User) -> None:
    direct = register(connected, support, url="https://acme.example.com/hook")
    assert "whsec_" in start(ana, direct)
    assert "Redeliver can't see them. Check your handler" in words_of(ana.read(url("detail", direct)))
    press(ana, direct, "continue", unproven="yes")
    assert "Done Finished by ana" in press(ana, direct, "finish")


def test_live_answers_304_while_nothing_changes(ana: Browser, endpoint: Endpoint) -> None:
    start(ana, endpoint)
    first = ana.client.get(url("live", endpoint))
    again = ana.client.get(url("live", endpoint), headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304


def test_deleted_endpoint_has_no_secret_to_rotate(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.update(deleted_at=timezone.now())
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    assert "This endpoint is deleted" in words_of(ana.read(url("detail", endpoint)))
    assert ana.client.post(url("start", endpoint)).status_code == 404


@pytest.mark.parametrize("button", ["start", "continue", "finish", "abort"])
def test_outsider_moves_nothing(
    button: str, ana: Browser, endpoint: Endpoint, outsider: User, fake_opentrain: FakeOpenTrain
) -> None:
    start(ana, endpoint)
    calls = len(fake_opentrain.calls)
    assert browser_of(outsider).client.post(url(button, endpoint), {"unproven": "yes"}).status_code == 404
    assert (Rotation.objects.get().step, len(fake_opentrain.calls)) == ("prove", calls)


def test_answer_with_the_id_of_another_endpoint_shows_its_secret_and_can_be_cancelled(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """OpenTrain may answer with the old endpoint, and a new secret for it: then the handler needs that secret."""
    fake_opentrain.create_again(endpoint.opentrain_id)
    page = start(ana, endpoint)
    assert "It is unknown whether a new endpoint exists" in page
    assert re.search(r"whsec_\w+", page)
    assert "OpenTrain answered with the ID of an endpoint that Redeliver already has" in words_of(page)
    text = words_of(ana.read(url("detail", endpoint)))
    assert "it is unknown whether it created the new one" in text
    assert "Rotation cancelled. OpenTrain answered it with the ID" in press(ana, endpoint, "abort")
    assert not Rotation.objects.under_way().exists()
    assert Endpoint.objects.registered().get() == endpoint
    assert [call.operation for call in fake_opentrain.calls].count("delete_endpoint") == 0
