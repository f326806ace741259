"""The forms to register, edit and delete endpoints."""

from typing import Any

import pytest
from django.http import QueryDict

from dashboard.forms.endpoints import EVENT_TYPES, DeleteForm, EditForm, RegisterForm
from dashboard.models import Endpoint
from dashboard.partner_api.models import EventType

HANDLER, DIRECT = "https://acme.example.com/hook", "https://acme.example.com/direct"


def query(**fields: Any) -> QueryDict:
    made = QueryDict(mutable=True)
    for name, value in fields.items():
        made.setlist(name, value if isinstance(value, list) else [value])
    return made


def test_event_types_are_opentrains() -> None:
    assert list(EVENT_TYPES) == EventType.values


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"path": "receiver"}, []),
        ({"path": "receiver", "handler_url": HANDLER}, []),
        ({"path": "receiver", "handler_url": "acme"}, ["handler_url"]),
        ({"path": "direct", "url": DIRECT}, []),
        ({"path": "direct"}, ["url"]),
        ({"path": "direct", "url": "http://acme.example.com"}, ["url"]),
        ({"path": "elsewhere"}, ["path"]),
        ({"path": "receiver", "event_types": []}, ["event_types"]),
        ({"path": "receiver", "event_types": ["contract.invented"]}, ["event_types"]),
        ({"path": "receiver", "handler_url": "https://a.example/" + "x" * 2048}, ["handler_url"]),
    ],
)
def test_new_endpoint_needs_what_its_path_needs(fields: dict[str, Any], wrong: list[str]) -> None:
    form = RegisterForm(query(**{"event_types": ["contract.started"], **fields}))
    assert (form.is_valid(), list(form.errors)) == (not wrong, wrong)
    assert wrong or form.through_redeliver is (fields["path"] == "receiver")


def received(**columns: Any) -> Endpoint:
    return Endpoint(**{"url": "https://r/hooks/k/", "handler_url": HANDLER, "receiver_key": "k",
                       "event_types": ["contract.started"], **columns})  # fmt: skip


def direct() -> Endpoint:
    return Endpoint(url=DIRECT, event_types=["contract.started"])


def edited(endpoint: Endpoint, *, was_asked: bool = False, **fields: Any) -> EditForm:
    form = EditForm(query(**{"event_types": ["contract.started"], **fields}), endpoint=endpoint, was_asked=was_asked)
    form.is_valid()
    return form


def test_edit_begins_with_what_the_endpoint_is() -> None:
    initial = [EditForm(None, endpoint=endpoint).initial for endpoint in (received(), direct())]
    assert [one["address"] for one in initial] == [HANDLER, DIRECT]
    assert initial[0]["event_types"] == ["contract.started"]


@pytest.mark.parametrize(
    ("endpoint", "address", "wrong"),
    [
        (received(), "", []),
        (received(), "https://new.example.com", []),
        (received(), "nonsense", ["address"]),
        (received(handler_url="nonsense of before"), "nonsense of before", []),
        (direct(), "https://new.example.com", []),
        (direct(), "", ["address"]),
        (direct(), "http://new.example.com", ["address"]),
    ],
)
def test_address_is_checked_where_it_changes(endpoint: Endpoint, address: str, wrong: list[str]) -> None:
    assert list(edited(endpoint, address=address).errors) == wrong


def test_type_that_opentrain_added_later_can_be_kept() -> None:
    endpoint = received(event_types=["contract.started", "contract.new"])
    assert not edited(endpoint, event_types=["contract.new"]).errors
    assert list(edited(received(), event_types=["contract.new"]).errors) == ["event_types"]


def test_address_that_was_cut_stays_unless_another_is_entered() -> None:
    endpoint = direct()
    endpoint.url = "https://a.example.com/" + "x" * 2025 + "…"
    assert not edited(endpoint, address=endpoint.url, event_types=["contract.ended"]).errors
    assert not edited(endpoint, address="https://new.example.com").errors
    assert list(edited(endpoint, address=endpoint.url[:-2] + "…").errors) == ["address"]


@pytest.mark.parametrize(
    ("event_types", "wrong"),
    [
        (["contract.started", "e…", "unreadable: 7…"], []),
        (["contract.started"], []),
        (["contract.started", "e…"], ["event_types"]),
        (["contract.started", "contract.ended", "e…", "unreadable: 7…"], ["event_types"]),
    ],
)
def test_event_type_that_was_cut_can_be_left_alone_or_cleared_and_never_sent(
    event_types: list[str], wrong: list[str]
) -> None:
    endpoint = received(event_types=["contract.started", "e…", "unreadable: 7…"])
    assert list(edited(endpoint, event_types=event_types).errors) == wrong


def test_change_by_someone_else_is_noticed_once() -> None:
    state = EditForm(None, endpoint=received()).state
    assert not edited(received(), seen=state).errors
    for changed in (received(handler_url=DIRECT), received(url="https://x"), received(event_types=["contract.ended"])):
        assert list(edited(changed, seen=state, address=DIRECT).errors) == ["seen"]
        assert not edited(changed, seen=state, address=DIRECT, was_asked=True).errors
    assert not edited(received(), seen="").errors


def test_state_does_not_depend_on_the_order_of_types() -> None:
    types = ["contract.started", "contract.ended"]
    states = {EditForm(None, endpoint=received(event_types=one)).state for one in (types, types[::-1])}
    assert len(states) == 1


@pytest.mark.parametrize(
    ("typed", "valid"),
    [
        ("hook (7f3a12)", True),
        (" HOOK (\u20267F3A12) ", True),
        ("", False),
        ("hook", False),
        ("hook(7f3a12)", False),
    ],
)
def test_deletion_is_confirmed_by_the_word(typed: str, valid: bool) -> None:
    form = DeleteForm(query(confirmation=typed), word="Hook (7f3a12)")
    assert (form.is_valid(), list(form.errors)) == (valid, [] if valid else ["confirmation"])


@pytest.mark.parametrize("text", [f"\u200b{DIRECT}\u00a0", f"<{DIRECT}>", f"“{DIRECT}”", DIRECT.replace("/", "\\/")])
def test_pasted_address_is_taken_from_what_is_around_it(text: str) -> None:
    form = RegisterForm(query(path="direct", url=text, handler_url=text, event_types=["contract.started"]))
    assert form.is_valid()
    assert (form.cleaned_data["url"], form.cleaned_data["handler_url"]) == (DIRECT, DIRECT)


def test_two_addresses_are_refused_with_the_reason() -> None:
    form = RegisterForm(query(path="direct", url=f"{DIRECT} {HANDLER}", event_types=["contract.started"]))
    assert form.errors == {"url": ["This contains 2 URLs. Paste only one URL."]}


def test_address_that_is_not_edited_stays_exactly_as_it_is() -> None:
    endpoint = Endpoint(url=f"{DIRECT}?list=1,", event_types=["contract.started"])
    form = EditForm(query(address=endpoint.url, event_types=["contract.started"]), endpoint=endpoint)
    assert form.is_valid()
    assert form.cleaned_data["address"] == endpoint.url
