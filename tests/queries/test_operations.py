"""The latest answer for each endpoint, from the audit."""

import re

from django.db import connection
from django.db.models import OuterRef
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, Install
from dashboard.queries.operations import last_answer_of, last_answers
from tests.factories import make_endpoint


def test_newest_answer_is_one_read_of_an_index_however_long_the_audit_is(acme: Install) -> None:
    quiet, busy = make_endpoint(install=acme), make_endpoint(install=acme)
    columns = {"phase": "done", "action": "redeliver", "actor_name": "ana"}
    AuditEntry.objects.bulk_create(AuditEntry(endpoint=one, **columns) for one in [quiet] * 500 + [busy] * 2000)
    AuditEntry.objects.bulk_create([AuditEntry(endpoint=quiet, **columns | {"phase": "requested"})])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dashboard_auditentry")
    now = timezone.now()
    newest = [AuditEntry.objects.filter(endpoint=one, phase="done").last().pk for one in (quiet, busy)]
    assert last_answers(endpoint_ids=[quiet.pk, busy.pk], now=now) == {quiet.pk: newest[0], busy.pk: newest[1]}
    asked = Endpoint.objects.filter(pk=quiet.pk).values_list(last_answer_of(OuterRef("pk"), now=now))
    plan = asked.explain(analyze=True, format="json")
    read = re.findall(r'"Index Name": "(audit_\w+)".*?"Rows Removed by Filter": (\d+)', plan)
    assert read == [("audit_endpoint_last", "1")]  # and beside it a request without an answer yet
