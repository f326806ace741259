"""Generates audit entries inside the database: a year of 1,000 installs, with the usual mix of people and actions."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from dashboard.models import Endpoint, Install, User
from tests.bench.site import make_installs
from tests.factories import make_grant, make_user

INSTALLS = 1000
GONE = 990
"""Installs from this number on have been deleted, so only the audit still names them."""
STAFF = ("ana", "ben", "cem", "dora", "eva", "finn", "gus", "hal")
ADMINS = 40
NOW = datetime.now(UTC).replace(microsecond=0)
YEAR_S = 365 * 86_400

# Each operation derives from one number n; `hashint4` is the random source, so every run creates the same rows. A third
# of the operations are local (sign-ins, exports, notes) and have one entry. The others call OpenTrain and have two, but
# a few in ten thousand never got a response. One operation in five is on the first install: the busiest customer.
OPERATIONS = """
    CREATE TEMPORARY TABLE operations AS
    SELECT n, gen_random_uuid() AS operation, at, action, calls, failed, who, whose, which
    FROM generate_series(1, %(operations)s) n
    CROSS JOIN LATERAL (SELECT abs(hashint4(n)::bigint) AS a, abs(hashint4(n + 7)::bigint) AS b,
        abs(hashint4(n + 13)::bigint) AS c, abs(hashint4(n + 29)::bigint) AS d) dice
    CROSS JOIN LATERAL (SELECT
        %(now)s::timestamptz - (%(year)s::float8 * (1 - n::float8 / %(operations)s)) * interval '1 second' AS at,
        CASE WHEN a %% 100 < 20 THEN 'sign in' WHEN a %% 100 < 27 THEN 'sign out' WHEN a %% 100 < 30
            THEN 'export deliveries' WHEN a %% 100 < 33 THEN 'grant install' WHEN a %% 100 < 60 THEN 'redeliver'
            WHEN a %% 100 < 75 THEN 'redeliver all failed' WHEN a %% 100 < 90 THEN 're-enable endpoint'
            WHEN a %% 100 < 95 THEN 'edit endpoint' WHEN a %% 1000 < 990 THEN 'pause endpoint'
            ELSE 'delete endpoint' END AS action,
        a %% 100 >= 33 AS calls, b %% 10000 AS failed,
        CASE WHEN c %% 10 < 6 THEN (c / 10) %% 8 ELSE 8 + (c / 10) %% %(admins)s END AS who,
        CASE WHEN d %% 5 = 0 THEN 1 ELSE 1 + (d / 5) %% %(installs)s END AS whose,
        (d / 7) %% 2 AS which) one
"""
ENTRIES = """
    INSERT INTO dashboard_auditentry (at, operation, phase, action, actor_id, actor_name, address, agent,
        install_id, install_name, install_opentrain_id, endpoint_id, endpoint_url, endpoint_opentrain_id, delivery_id,
        words, quoted, code, request_id, while_stopped)
    SELECT at + asked * interval '300 milliseconds', operation,
        CASE WHEN calls AND asked = 0 THEN 'requested' WHEN failed < 300 THEN 'refused' WHEN failed < 500
            THEN 'unavailable' WHEN failed < 600 THEN 'unknown' ELSE 'done' END,
        action, people.id, people.name, '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101',
        CASE WHEN spoken THEN installs.id END, CASE WHEN spoken THEN installs.name ELSE '' END,
        CASE WHEN spoken THEN installs.opentrain_id ELSE '' END, CASE WHEN calls THEN endpoints.id END,
        CASE WHEN calls THEN endpoints.url ELSE '' END, CASE WHEN calls THEN endpoints.opentrain_id ELSE '' END,
        CASE WHEN action = 'redeliver' THEN 'dlv_' || lpad(n::text, 12, '0') ELSE '' END,
        CASE WHEN asked = 0 AND calls THEN '' ELSE 'Requeued deliveries will be attempted on the next run.' END,
        '', '', CASE WHEN calls AND asked = 1 THEN 'req_' || n ELSE '' END, false
    FROM operations JOIN people ON people.number = who JOIN installs ON installs.number = whose
        JOIN endpoints ON endpoints.install = whose AND endpoints.number = which
        CROSS JOIN LATERAL (SELECT calls OR action IN ('export deliveries', 'grant install') AS spoken) of
        CROSS JOIN generate_series(CASE WHEN calls THEN 0 ELSE 1 END,
            CASE WHEN calls AND failed = 9999 THEN 0 ELSE 1 END) asked
    ORDER BY n, asked
"""


@dataclass(frozen=True, slots=True)
class Places:
    """The users who request the pages, and the filters' objects; `large` is the install with a fifth of all entries."""

    lead: User
    admin: User
    viewer: User
    large: Install
    small: Install
    gone: str
    endpoint: Endpoint


def fill(*, entries: int) -> Places:
    """Create about `entries` entries in the empty database and update PostgreSQL's statistics."""
    make_installs(first=1, count=INSTALLS, at=NOW)
    installs = list(Install.objects.order_by("pk"))
    endpoints = Endpoint.objects.bulk_create(
        Endpoint(
            install=install, opentrain_id=f"whe_{install.pk}_{number}", status="ACTIVE", snapshot_at=NOW,
            event_types=["contract.started"], url=f"https://r.example.com/hooks/key-{install.pk}-{number}/",
            receiver_key=f"key-{install.pk}-{number}",
        )
        for install in installs
        for number in range(2)
    )  # fmt: skip
    people = [make_user(username=name, role="support") for name in STAFF]
    people += [make_user(username=f"admin-{number}", role="partner_admin") for number in range(ADMINS)]
    for number, admin in enumerate(people[len(STAFF) :]):
        for install in installs[number * 20 : number * 20 + 20]:
            make_grant(user=admin, install=install)
    viewer = make_user(username="vera", role="viewer")
    make_grant(user=viewer, install=installs[300])
    _write(entries=entries, people=people, installs=installs, endpoints=endpoints)
    Install.objects.filter(pk__gt=installs[GONE - 1].pk).delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    lead = make_user(username="lea", role="support_lead")
    gone = installs[-1].opentrain_id
    return Places(lead, people[len(STAFF)], viewer, installs[0], installs[300], gone, endpoints[600])


def _write(*, entries: int, people: list[User], installs: list[Install], endpoints: list[Endpoint]) -> None:
    numbers = {"operations": int(entries / 1.67), "now": NOW, "year": YEAR_S, "admins": ADMINS, "installs": INSTALLS}
    tables = {
        "people (number int, id bigint, name text)": [(at, one.pk, one.username) for at, one in enumerate(people)],
        "installs (number int, id bigint, name text, opentrain_id text)": [
            (at + 1, one.pk, one.name, one.opentrain_id) for at, one in enumerate(installs)
        ],
        "endpoints (install int, number int, id bigint, url text, opentrain_id text)": [
            (at // 2 + 1, at % 2, one.pk, one.url, one.opentrain_id) for at, one in enumerate(endpoints)
        ],
    }
    with connection.cursor() as cursor:
        for table, rows in tables.items():
            cursor.execute(f"CREATE TEMPORARY TABLE {table}")
            with cursor.copy(f"COPY {table.partition(' ')[0]} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute(OPERATIONS, numbers)
        cursor.execute("ANALYZE people, installs, endpoints, operations")
        cursor.execute(ENTRIES)
