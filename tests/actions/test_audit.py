"""The audit: append-only, with the source of each action, and kept when the objects it names are deleted."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions import audit
from dashboard.actions.installs import sync
from dashboard.auth import request_source
from dashboard.auth.request_source import Source
from dashboard.models import AuditEntry, Install, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint

HERE = Source("192.0.2.7", "Firefox")


def test_note_says_who_what_on_what_and_from_where(support: User, acme: Install) -> None:
    endpoint = make_endpoint(install=acme, opentrain_id="whe_1", handler_url="https://acme.example.com/hook")
    before = request_source.current.set(HERE)
    audit.note(actor=support, action="stop run", words="Recovery 7.", endpoint=endpoint)
    request_source.current.reset(before)
    assert AuditEntry.objects.values().get() | {"id": 0, "at": 0, "operation": 0} == {
        "id": 0, "at": 0, "operation": 0, "phase": "done", "action": "stop run", "words": "Recovery 7.",
        "actor_id": support.pk, "actor_name": "ana", "address": "192.0.2.7", "agent": "Firefox",
        "install_id": acme.pk, "install_name": "Acme Labs", "install_opentrain_id": acme.opentrain_id,
        "endpoint_id": endpoint.pk, "endpoint_url": "https://acme.example.com/hook",
        "endpoint_name": "acme.example.com/hook", "endpoint_opentrain_id": "whe_1",
        "delivery_id": "", "quoted": "", "code": "", "request_id": "", "requeued": None, "while_stopped": False,
        "run_id": None, "folded": False,
    }  # fmt: skip


@pytest.mark.django_db
def test_note_of_nobody_is_of_the_command_line_and_from_nowhere() -> None:
    audit.note(actor=None, action="make account", words="ada can sign in.")
    assert AuditEntry.objects.values_list("actor", "actor_name", "address", "agent").get() == (
        None, "command line", None, "",
    )  # fmt: skip


def test_note_of_an_operation_that_has_one_is_none(support: User) -> None:
    form = uuid.uuid4()
    audit.note(actor=support, action="a", words="", operation=form)
    with pytest.raises(audit.NotedBefore):
        audit.note(actor=support, action="b", words="", operation=form)
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["a"]


def test_note_keeps_no_secret(support: User, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    audit.note(actor=support, action="a", words=f"whsec_abc, ot_ptk_abc and {endpoint.url}", endpoint=endpoint)
    kept = AuditEntry.objects.values_list("words", "endpoint_url").get()
    assert kept == (
        "whsec_[secret], ot_ptk_[secret] and https://redeliver.example.com/hooks/[key]/",
        "https://redeliver.example.com/hooks/[key]/",
    )


def test_address_that_redacting_makes_longer_is_cut(support: User, acme: Install) -> None:
    address = "https://a.example.com/" + "/hooks/a" * 253
    audit.note(actor=support, action="a", words="", endpoint=make_endpoint(install=acme, handler_url=address))
    kept = AuditEntry.objects.values_list("endpoint_url", flat=True).get()
    assert (len(kept), kept[:34], kept[-1]) == (2048, "https://a.example.com//hooks/[key]", "…")


# --- Append-only -----------------------------------------------------------------------------------------------------


# --- Source ----------------------------------------------------------------------------------------------------------


# --- Entries of an operation on OpenTrain ----------------------------------------------------------------------------


def test_connected_install_is_named_by_the_answer_which_tells_a_new_token(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    token = fake_opentrain.add_install()
    for _ in range(2):
        sync.connect(actor=support, token=token, name="Acme", now=timezone.now(), operation=uuid.uuid4())
    install = Install.objects.get()
    rows = AuditEntry.objects.order_by("id").values_list("phase", "install", "install_opentrain_id", "words")
    named = (install.pk, install.opentrain_id)
    assert list(rows) == [
        ("requested", None, "", ""),
        ("done", *named, "Acme is connected."),
        ("requested", None, "", ""),
        ("done", *named, "Acme is connected. Its token was replaced."),
    ]
