"""Exports: the file's contents, safe to open in a spreadsheet, produced with constant memory."""

import csv
import io
import json
import resource
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import AuditEntry, Delivery, Endpoint, Install
from dashboard.views import delivery_export
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery
from tests.views.conftest import Browser

ROWS = 200_000
FLAT_BYTES = 30 * 2**20
"""Maximum memory of an export in bytes, for any number of rows."""


def export(browser: Browser, query: str = "") -> str:
    response = browser.client.get(reverse("delivery-list-export") + query)
    assert response.status_code == 200
    return response.getvalue().decode()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_csv_holds_what_the_filter_shows_newest_first(ana: Browser, acme: Install) -> None:
    endpoint = make_endpoint(
        install=acme, opentrain_id="whe_1", name="Billing", handler_url="https://ana:pw@acme.example.com/hook?token=x"
    )
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, opentrain_id="old", first_received_at=NOON - timedelta(hours=1))
    make_failed_delivery(endpoint=endpoint, opentrain_id="new", event_id="evt_1", resource_id="con_1")
    rows = table(export(ana, "?state=failed&format=csv"))
    assert [row["delivery_id"] for row in rows] == ["new", "old"]
    assert rows[0] == {
        "state": "failed", "delivery_id": "new", "event_id": "evt_1", "event_type": "contract.started",
        "resource_id": "con_1", "install": "Acme Labs", "endpoint_id": "whe_1", "attempts": "5", "last_status": "503",
        "last_cause": "status", "last_latency_ms": "12", "signature": "verified",
        "first_received_at": "2026-06-12T12:00:00.000Z",
        "last_attempt_at": "2026-06-12T12:00:00.000Z", "requested_at": "", "last_answer": "handler returned 503",
        "endpoint_name": "Billing", "endpoint_url": "https://[redacted]@acme.example.com/hook?token=[redacted]",
    }  # fmt: skip


def test_export_names_each_endpoint_in_one_query_for_all_rows(
    ana: Browser, acme: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_export, "CHUNK", 3)
    named = {one.opentrain_id: one.title for one in (make_endpoint(install=acme, name=name) for name in "AB")}
    for endpoint in Endpoint.objects.all():
        for _ in range(4):
            make_delivery(endpoint=endpoint)
    with CaptureQueriesContext(connection) as asked:
        rows = table(export(ana))
    assert {row["endpoint_id"]: row["endpoint_name"] for row in rows} == named
    assert sum('FROM "dashboard_endpoint" WHERE' in one["sql"] for one in asked) <= len(named)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_csv_cell_that_a_spreadsheet_would_run_is_text(ana: Browser, start: str) -> None:
    make_delivery(opentrain_id=f"{start}cmd|' /C calc'!A0", resource_id=f"a{start}")
    row = table(export(ana))[0]
    assert row["delivery_id"] == f"'{start}cmd|' /C calc'!A0"
    assert row["resource_id"] == f"a{start}"


def test_ndjson_is_a_line_each_with_bodies_only_when_asked_for(ana: Browser) -> None:
    make_delivery(
        opentrain_id="text", body='{"name": "Zoë\u2028"}'.encode(), first_received_at=NOON + timedelta(hours=2)
    )
    make_delivery(opentrain_id="bytes", body=b"\xff\x00", first_received_at=NOON + timedelta(hours=1))
    make_delivery(opentrain_id="gone", body=None, body_gone_at=NOON)
    plain = [json.loads(line) for line in export(ana, "?format=ndjson").splitlines()]
    assert [(row["delivery_id"], row["attempts"], "body" in row) for row in plain] == [
        ("text", 1, False), ("bytes", 1, False), ("gone", 1, False),
    ]  # fmt: skip
    with_bodies = [json.loads(line) for line in export(ana, "?format=ndjson&bodies=1").splitlines()]
    assert [row.get("body", row.get("body_base64")) for row in with_bodies] == ['{"name": "Zoë\u2028"}', "/wA=", None]


def test_export_goes_on_over_its_steps_without_losing_or_repeating_a_row(
    ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_export, "CHUNK", 7)
    endpoint = make_endpoint()
    made = [
        make_delivery(endpoint=endpoint, first_received_at=NOON + timedelta(seconds=n // 5)).opentrain_id
        for n in range(28)
    ]
    assert [row["delivery_id"] for row in table(export(ana))] == made[::-1]


def test_export_is_a_download_that_names_whose_it_is_and_when(ana: Browser, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    response = ana.client.get(reverse("endpoint-deliveries-export", args=[endpoint.pk]))
    name = response["Content-Disposition"]
    assert name.startswith(f'attachment; filename="deliveries-acme-labs-endpoint-{endpoint.pk}-2')
    assert name.endswith('Z.csv"')
    assert (response["Content-Type"], response["Cache-Control"]) == ("text/csv; charset=utf-8", "private, no-store")
    assert response.streaming


@pytest.mark.parametrize(
    ("query", "words"),
    [("?format=xlsx", "Unknown format"), ("?from=yesterdy", "“yesterdy” is not a time")],
)
def test_export_of_nonsense_is_refused_in_words(ana: Browser, query: str, words: str) -> None:
    response = ana.client.get(reverse("delivery-list-export") + query)
    assert (response.status_code, words in response.content.decode()) == (400, True)


@pytest.mark.slow
def test_export_of_many_rows_begins_at_once_and_its_memory_stays_flat(ana: Browser) -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint)
    copy_rows(endpoint_id=endpoint.pk, number=ROWS - 1)
    response = ana.client.get(reverse("delivery-list-export"))
    parts = iter(response)
    with CaptureQueriesContext(connection) as before_first_byte:
        lines = next(parts).count(b"\n")
    assert (lines, len(before_first_byte)) == (1, 0)
    for _ in range(20):  # the first steps also allocate what is needed once
        lines += next(parts).count(b"\n")
    idle, most = resident_bytes(), 0
    for number, part in enumerate(parts):
        lines += part.count(b"\n")
        most = max(most, resident_bytes()) if number % 50 == 0 else most
    assert lines == ROWS + 1
    assert most - idle < FLAT_BYTES


def resident_bytes() -> int:
    """Return this process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def copy_rows(*, endpoint_id: int, number: int) -> None:
    """Make `number` copies of the endpoint's one delivery, each a second older than the one before."""
    names = [
        column.column
        for column in Delivery._meta.concrete_fields
        if column.column not in {"id", "opentrain_id", "first_received_at", "attempts_class"}
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO dashboard_delivery (opentrain_id, first_received_at, {columns}) "  # noqa: S608 - the model's own names
            f"SELECT 'dlv_many_' || n, first_received_at - n * interval '1 second', {columns} "
            "FROM dashboard_delivery, generate_series(1, %s) n WHERE endpoint_id = %s",
            [number, endpoint_id],
        )
        cursor.execute("ANALYZE dashboard_delivery")


def test_export_is_in_the_audit_with_what_it_was_of(ana: Browser, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    path = reverse("endpoint-deliveries-export", args=[endpoint.pk])
    for query in ("?state=failed", "?format=ndjson&bodies=1", "?format=xml", "?state=nonsense"):
        ana.client.get(path + query).getvalue()
    ana.client.head(path)
    rows = AuditEntry.objects.order_by("id").values_list("action", "actor_name", "install", "endpoint", "words")
    whose = ("export deliveries", "ana", acme.pk, endpoint.pk)
    assert list(rows) == [
        (*whose, "CSV: State: Failed."),
        (*whose, "NDJSON, with bodies: no filter: all deliveries."),
    ]


def test_export_is_in_the_audit_with_the_name_of_the_install_that_it_was_filtered_by(
    ana: Browser, acme: Install
) -> None:
    ana.client.get(f"{reverse('delivery-list-export')}?install={acme.pk}").getvalue()
    assert AuditEntry.objects.get().words == "CSV: Install: Acme Labs."
