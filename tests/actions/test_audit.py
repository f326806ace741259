"""The audit: it can only grow, it says from where, and it outlives what it speaks of."""

import uuid

import pytest
from django.core.management.color import no_style
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from dashboard.actions import audit
from dashboard.actions.installs import sync
from dashboard.auth import request_source
from dashboard.auth.request_source import Source, source_of
from dashboard.models import AuditEntry, Endpoint, Install, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint, make_install

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
        "endpoint_id": endpoint.pk, "endpoint_url": "https://acme.example.com/hook", "endpoint_opentrain_id": "whe_1",
        "delivery_id": "", "quoted": "", "code": "", "request_id": "", "requeued": None, "while_stopped": False,
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


# --- Append-only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE dashboard_auditentry SET words = 'nothing happened'", "UPDATE"),
        ("UPDATE dashboard_auditentry SET id = id", "UPDATE"),
        ("DELETE FROM dashboard_auditentry", "DELETE"),
        ("WITH gone AS (DELETE FROM dashboard_auditentry RETURNING 1) SELECT count(*) FROM gone", "DELETE"),
        ("MERGE INTO dashboard_auditentry USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE", "DELETE"),
        (
            "INSERT INTO dashboard_auditentry TABLE dashboard_auditentry ON CONFLICT (id) DO UPDATE SET words = ''",
            "UPDATE",
        ),
        ("TRUNCATE dashboard_auditentry", "TRUNCATE"),
        ("TRUNCATE dashboard_user, dashboard_install, dashboard_auditentry CASCADE", "TRUNCATE"),
    ],
)
def test_database_refuses_whatever_does_not_add(sql: str, what: str, support: User) -> None:
    audit.note(actor=support, action="a", words="It happened.")
    kept = AuditEntry.objects.values().get()
    with (
        pytest.raises(ProgrammingError, match=f"The audit is append-only: {what} is refused"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert AuditEntry.objects.values().get() == kept


def test_django_cannot_change_it_either(support: User) -> None:
    audit.note(actor=support, action="a", words="It happened.")
    row = AuditEntry.objects.get()
    for change in (row.delete, row.save, AuditEntry.objects.all().delete):
        with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
            change()
    assert AuditEntry.objects.count() == 1


def test_entry_stays_as_it_was_when_what_it_speaks_of_is_deleted(support: User, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    audit.note(actor=support, action="a", words="It happened.", endpoint=endpoint)
    kept = AuditEntry.objects.values().get()
    endpoint.delete()
    acme.delete()
    support.delete()
    assert (Endpoint.objects.count(), Install.objects.count(), User.objects.count()) == (0, 0, 0)
    assert AuditEntry.objects.values().get() == kept
    row = AuditEntry.objects.select_related("actor", "install", "endpoint").get()
    assert (row.actor, row.install, row.endpoint) == (None, None, None)


@pytest.mark.django_db(transaction=True)
def test_flush_of_a_site_is_refused(support: User) -> None:
    """What `manage.py flush` does. That tests' own emptying is let pass, conftest.py sees to."""
    audit.note(actor=support, action="a", words="It happened.")
    tables = ["dashboard_user", "dashboard_auditentry"]
    (empty,) = connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
    with pytest.raises(ProgrammingError, match="TRUNCATE is refused"), connection.cursor() as cursor:
        cursor.execute(empty)
    assert (AuditEntry.objects.count(), User.objects.count()) == (1, 1)


def test_answer_of_an_operation_whose_endpoint_is_gone_is_still_there(support: User, acme: Install) -> None:
    from dashboard.actions.operation import Operation, earlier_outcome  # noqa: PLC0415

    form, endpoint = uuid.uuid4(), make_endpoint(install=acme)
    audit.note(actor=support, action="a", words="It happened.", endpoint=endpoint, operation=form)
    endpoint.delete()
    outcome = earlier_outcome(operation=Operation(actor=support, action="a", id=form))
    assert (outcome.words, outcome.offer_enable) == ("It happened.", False)


# --- From where ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("2001:db8::7", None, "2001:db8::7"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("", None, None),  # a socket of this machine
        ("", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "203.0.113.66, 192.0.2.9", "192.0.2.9"),  # what stands before it the client wrote
        ("10.0.0.1", "192.0.2.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_address_is_the_peers_or_what_our_proxy_says_last(peer: str, forwarded: str | None, address: str) -> None:
    assert source_of(peer=peer, forwarded_for=forwarded, agent="").address == address


def test_agent_is_one_line_of_so_much() -> None:
    assert source_of(peer="", forwarded_for=None, agent="a\r\nb\0" + "c" * 400).agent == "ab" + "c" * 298


# --- What an operation on OpenTrain leaves ---------------------------------------------------------------------------


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


def test_entries_are_visible_to_support_to_whom_the_install_is_granted_and_to_who_did_it(
    support: User, partner_admin: User, outsider: User, acme: Install
) -> None:
    audit.note(actor=support, action="on acme", words="", install=acme)
    audit.note(actor=support, action="on another", words="", install=make_install())
    audit.note(actor=support, action="on none", words="")
    audit.note(actor=partner_admin, action="own", words="")
    seen = {
        user.username: list(AuditEntry.objects.visible_to(user).order_by("id").values_list("action", flat=True))
        for user in (support, partner_admin, outsider)
    }
    assert seen == {
        "ana": ["on acme", "on another", "on none", "own"], "paul": ["on acme", "own"], "olga": [],
    }  # fmt: skip
