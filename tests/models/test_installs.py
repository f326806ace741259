"""Installs: their rank, who sees them, and the remedy for each problem."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Install, User
from dashboard.models.installs import NEEDS_ATTENTION, NO_ENDPOINT, RANK_OF_TROUBLE
from dashboard.rules.endpoints import Severity
from dashboard.rules.installs import NEEDS_PERSON, Trouble
from tests.factories import make_endpoint, make_install, make_user

ILL: list[dict[str, Any]] = [
    {"token_scopes": []},
    {"status": "REVOKED"},
    *({"last_error_code": trouble.value} for trouble in sorted(NEEDS_PERSON)),
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "is_in_inbox"),
    [
        ({}, False),
        ({"unread_entries": "An entry cannot be read."}, True),
        ({"last_error_code": Trouble.TOKEN_REFUSED}, True),
        ({"last_error_code": Trouble.UNREACHABLE}, False),
    ],
)
def test_install_that_needs_attention_is_found_by_its_columns(columns: dict[str, str], is_in_inbox: bool) -> None:
    install = make_install(**columns)
    install.refresh_from_db()
    assert install.needs_attention == is_in_inbox
    assert Install.objects.filter(NEEDS_ATTENTION).exists() == is_in_inbox


@pytest.mark.django_db
@pytest.mark.parametrize("columns", ILL)
def test_install_that_needs_a_person_is_ranked_first(columns: dict[str, Any]) -> None:
    endpoint = make_endpoint(install=make_install(**columns))
    install = Install.objects.get(pk=endpoint.install_id)
    assert (install.rank, install.needs_person) == (RANK_OF_TROUBLE, True)


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", sorted(set(Trouble) - NEEDS_PERSON))
def test_other_installs_are_ranked_by_their_worst_endpoint(trouble: Trouble) -> None:
    install = make_install(last_error_code=trouble)
    assert Install.objects.get().rank == NO_ENDPOINT
    make_endpoint(install=install)
    make_endpoint(install=install, consecutive_failures=7)
    found = Install.objects.get()
    assert (found.rank, found.needs_person) == (Severity.AT_RISK, False)


@pytest.mark.django_db
def test_install_is_visible_to_support_and_to_whom_it_is_granted(
    support: User, support_lead: User, partner_admin: User, viewer: User, outsider: User, acme: Install
) -> None:
    everyone = (support, support_lead, partner_admin, viewer, outsider, make_user(role=""))
    sees = [acme in Install.objects.visible_to(user) for user in everyone]
    assert sees == [True, True, True, True, False, False]


@pytest.mark.django_db
def test_grant_without_a_role_shows_nothing(viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(role="")
    assert not Install.objects.visible_to(User.objects.get(pk=viewer.pk)).exists()


SCOPE = ["webhooks:manage"]


@pytest.mark.parametrize(
    ("columns", "helps"),
    [
        ({"token_scopes": [], "status": "REVOKED"}, True),
        ({"token_scopes": SCOPE, "status": "ACTIVE", "last_error_code": "token_refused"}, True),
        ({"token_scopes": SCOPE, "status": "ACTIVE", "last_error_code": "token_unreadable"}, True),
        ({"token_scopes": SCOPE, "status": "REVOKED", "last_error_code": "token_refused"}, False),
        ({"token_scopes": SCOPE, "status": "ACTIVE", "last_error_code": "not_active"}, False),
        ({"token_scopes": SCOPE, "status": "ACTIVE", "last_error_code": ""}, False),
    ],
)
def test_new_token_helps_where_the_token_is_what_is_wrong(columns: dict[str, Any], helps: bool) -> None:
    assert Install(**columns).new_token_helps is helps


def test_trouble_is_told_by_its_cause() -> None:
    error = "OpenTrain said 500."
    lacking = Install(token_scopes=[], status="ACTIVE", last_error=error).trouble_words
    revoked = Install(token_scopes=SCOPE, status="REVOKED", last_error=error).trouble_words
    inactive = Install(token_scopes=SCOPE, status="ACTIVE", last_error_code="not_active", last_error="").trouble_words
    assert "webhooks:manage" in lacking
    assert error not in lacking
    assert "REVOKED" in revoked
    assert revoked.endswith(error)
    assert "not active" in inactive
    assert Install(token_scopes=SCOPE, status="ACTIVE", last_error=error).trouble_words == error


@pytest.mark.django_db
def test_connected_installs_are_counted_from_an_index() -> None:
    make_install()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    with CaptureQueriesContext(connection) as asked:
        Install.objects.connected().count()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {asked[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using install_connected" in plan, plan
