"""Bulk creation of deliveries by COPY: 1,000 installs, a third of all rows at one endpoint, failures of an outage."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.db import connection

from dashboard.models import Endpoint, Install, User
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.rules.deliveries import Standing
from dashboard.vault import Secret
from tests.factories import BODY, make_grant, make_user

INSTALLS = 1000
EVENTS = (
    "contract.started",
    "contract.ended",
    "milestone.funded",
    "project_link.created",
    "project_link.removed",
    "milestone.budget_low",
    "milestone.budget_depleted",
    "install.revoked",
)
EVENT_WEIGHTS = (50, 20, 10, 8, 6, 3, 2, 1)
CAUSES = (("status", 503), ("status", 500), ("timeout", 504), ("status", 401), ("tls", 502), ("dns", 502))
CAUSE_WEIGHTS = (60, 20, 10, 6, 3, 1)
SIGNATURES = ("verified", "", "mismatch")
SIGNATURE_WEIGHTS = (94, 5, 1)
NOW = datetime.now(UTC).replace(microsecond=0)
MONTH_S = 30 * 86_400
OLD_FROM = 1_000_000_000
HEADERS = json.dumps([["Content-Type", "application/json"], ["X-OpenTrain-Event", "contract.started"]])
DELIVERY_COLUMNS = (
    "id",
    "endpoint_id",
    "opentrain_id",
    "event_id",
    "event_type",
    "resource_id",
    "body",
    "first_received_at",
    "last_attempt_at",
    "attempt_count",
    "attempts_in_round",
    "last_ok",
    "last_status",
    "last_cause",
    "last_latency_ms",
    "last_signature",
    "requested_at",
    "standing",
    "due_by",
)
ATTEMPT_COLUMNS = (
    "delivery_id",
    "number",
    "received_at",
    "request_headers",
    "answered_status",
    "ok",
    "cause",
    "handler_url",
    "latency_ms",
    "response_headers",
    "response_head",
    "source",
    "signature",
)


@dataclass(frozen=True, slots=True)
class World:
    """Users and the objects they view: `big` is the endpoint with a third of the rows, `small` one of the others."""

    support: User
    partner_admin: User
    big: Endpoint
    small: Endpoint


def fill(*, rows: int) -> World:
    """Create the rows in the empty database and update PostgreSQL's statistics."""
    endpoints = _endpoints()
    _copy("dashboard_delivery", DELIVERY_COLUMNS, _deliveries(_kinds(rows), endpoints, rows=rows))
    _copy("dashboard_attempt", ATTEMPT_COLUMNS, _attempts(_kinds(rows)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('dashboard_delivery_id_seq', %s)", [rows])
        cursor.execute("VACUUM ANALYZE")
    support = make_user(role="support", is_staff=True, is_superuser=True)
    partner_admin = make_user(role="partner_admin")
    for install in Install.objects.order_by("id")[:20]:
        make_grant(user=partner_admin, install=install)
    return World(support, partner_admin, endpoints[0], endpoints[5])


def fill_old(*, endpoint: Endpoint, rows: int, days: int) -> None:
    """Add deliveries older than `days` to one endpoint, in addition to the existing rows."""
    older = timedelta(days=days)
    # Far from any ID that the sequence has assigned or will assign.
    made = _deliveries(_kinds(rows, older=older), [endpoint], rows=rows, first=OLD_FROM)
    _copy("dashboard_delivery", DELIVERY_COLUMNS, made)
    _copy("dashboard_attempt", ATTEMPT_COLUMNS, _attempts(_kinds(rows, older=older), first=OLD_FROM))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE dashboard_delivery, dashboard_attempt")


def _endpoints() -> list[Endpoint]:
    made = Install.objects.bulk_create(
        Install(
            opentrain_id=f"ins_{number}",
            name=f"Customer {number}",
            organization_id=f"org_{number}",
            app_id="app_1",
            app_name="Annotator",
            status="ACTIVE",
            created_at=NOW,
            token=Secret(f"ot_ptk_{number}"),
            token_id="tok",
            token_name="main",
            token_scopes=[MANAGE_SCOPE],
            checked_at=NOW,
        )
        for number in range(INSTALLS)
    )
    return Endpoint.objects.bulk_create(
        Endpoint(
            install=install,
            opentrain_id=f"whe_{install.pk}_{number}",
            url=f"https://customer{install.pk}.example.com/hooks/key-{install.pk}-{number}/",
            event_types=list(EVENTS),
            status="DISABLED" if install.pk % 50 == 0 else "ACTIVE",
            created_at=NOW,
            snapshot_at=NOW,
            receiver_key=f"key-{install.pk}-{number}",
        )
        for install in made
        for number in range(1 + install.pk % 3)
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    received_at: datetime
    attempts: int
    standing: Standing
    cause: str
    status: int


def _kind(dice: random.Random, number: int, rows: int) -> _Kind:
    """Nine in ten succeed at once; an outage in the second week fails half of that week's deliveries."""
    passed = number / rows
    at = NOW - timedelta(seconds=MONTH_S * (1 - passed))
    failing = 0.5 if 0.4 < passed < 0.45 else 0.03
    luck = dice.random()
    cause, status = dice.choices(CAUSES, CAUSE_WEIGHTS)[0]
    if luck < failing:
        return _Kind(at, 5, Standing.FAILED, cause, status)
    if luck < failing + 0.005:
        return _Kind(at, dice.choice([1, 2, 3, 4]), Standing.RETRYING, cause, status)
    if luck < failing + 0.01:
        return _Kind(at, dice.choice([5, 6, 10]), Standing.REQUESTED_AGAIN, cause, status)
    return _Kind(at, 1 if luck < 0.96 else dice.choice([2, 3, 4, 5]), Standing.DELIVERED, "", 200)


def _kinds(rows: int, *, older: timedelta = timedelta()) -> Iterator[_Kind]:
    """Yield `rows` kinds, the same on each call. A generator, because ten million at once would fill the memory."""
    dice = random.Random(1)  # noqa: S311 - rows, not secrets
    for number in range(rows):
        kind = _kind(dice, number, rows)
        yield replace(kind, received_at=kind.received_at - older) if older else kind


def _deliveries(
    kinds: Iterator[_Kind], endpoints: list[Endpoint], *, rows: int, first: int = 1
) -> Iterator[tuple[object, ...]]:
    dice = random.Random(2)  # noqa: S311 - rows, not secrets
    for number, one in enumerate(kinds, start=first):
        endpoint = endpoints[0] if number % 3 == 0 else dice.choice(endpoints)
        ok = one.standing is Standing.DELIVERED
        waits = one.standing in {Standing.RETRYING, Standing.REQUESTED_AGAIN}
        signature = dice.choices(SIGNATURES, SIGNATURE_WEIGHTS)[0]
        yield (
            number,
            endpoint.pk,
            f"dlv_{number:012}",
            f"evt_{number // 2:012}",
            dice.choices(EVENTS, EVENT_WEIGHTS)[0],
            f"con_{dice.randrange(max(rows // 20, 1))}",
            BODY,
            one.received_at,
            one.received_at,
            one.attempts,
            min(one.attempts, 5),
            ok,
            one.status,
            one.cause,
            42,
            signature,
            one.received_at if one.standing is Standing.REQUESTED_AGAIN else None,
            int(one.standing),
            one.received_at + timedelta(minutes=12) if waits else None,
        )


def _attempts(kinds: Iterator[_Kind], *, first: int = 1) -> Iterator[tuple[object, ...]]:
    for number, one in enumerate(kinds, start=first):
        for attempt in range(1, one.attempts + 1):
            ok = one.standing is Standing.DELIVERED and attempt == one.attempts
            status = one.status if ok or one.cause else 503
            yield (
                number,
                attempt,
                one.received_at,
                HEADERS,
                status,
                ok,
                "" if ok else one.cause or "status",
                "",
                42,
                "[]",
                b"",
                "receiver",
                "verified",
            )


def _copy(table: str, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
