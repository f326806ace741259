"""Search by word prefixes, using an index."""

import json

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.db.word_search import beginning_with, words_in
from dashboard.models import Install, User
from tests.factories import make_install


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


@pytest.mark.parametrize("text", ["", "  ", "-", "://", "\x00", "''", "&|!()"])
def test_text_without_words_is_no_search(text: str) -> None:
    assert beginning_with(text) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("acm", True),
        ("ACME lab", True),
        ("lab acme", True),
        ("hooks.acme", True),
        ("cme", False),
        ("acme nobody", False),
        ("acme & !labs", True),
        ("'); DROP TABLE", False),
    ],
)
def test_every_word_of_the_text_begins_a_word_of_the_columns(text: str, found: bool) -> None:
    make_install(name="Acme Labs (https://hooks.acme.example.com/labs)")
    rows = Install.objects.annotate(words=words_in("name")).filter(words=beginning_with(text))
    assert rows.exists() is found


@pytest.mark.django_db
def test_words_beyond_the_limit_are_left_out() -> None:
    make_install(name="a b c d e f g h")
    search = beginning_with("a b c d e f g h " + "beyond " * 5)
    assert Install.objects.annotate(words=words_in("name")).filter(words=search).exists()
