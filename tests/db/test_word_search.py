"""Words are found by their beginnings, through an index."""

import json

from django.db import connection
from django.utils import timezone

from dashboard.db.word_search import beginning_with, words_in
from dashboard.models import Install, User


def test_words_are_looked_up_in_the_index(support: User) -> None:
    Install.objects.bulk_create([make_unsaved(number) for number in range(3000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dashboard_install")
    rows = Install.objects.annotate(words=words_in("name")).filter(words=beginning_with("special"))
    plan = json.loads(rows.values("pk").explain(format="json"))
    assert "install_words" in json.dumps(plan)


def make_unsaved(number: int) -> Install:
    now = timezone.now()
    return Install(
        opentrain_id=f"ins_many_{number}", name=f"Customer {number}", organization_id=f"org_{number}", app_id="app_1",
        app_name="Annotator", status="ACTIVE", created_at=now, token_id="tok", token_name="main", checked_at=now,
    )  # fmt: skip
