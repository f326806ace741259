"""Tokens: which are accepted, what for, and the answers to all others."""

import pytest

from dashboard.partner_api import auth
from dashboard.partner_api.models import App, Install, Scope, Token
from tests.partner_api.conftest import THEN, Partner, make_partner
from tests.partner_api.test_errors import problem

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": "Basic b3RfcHRr"},
    ],
)
def test_a_call_without_a_token_answers_401(partner: Partner, headers: dict[str, str]) -> None:
    answer = partner.call("GET", "/webhook-endpoints", headers=headers)
    message = "No token was sent. Send the header Authorization: Bearer ot_ptk_…."
    assert problem(answer) == (401, "UNAUTHORIZED", message, {})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


INVALID = (401, "UNAUTHORIZED", "The token is not valid: it is malformed, unknown or revoked.", {})


@pytest.mark.parametrize("token", ["nonsense", "ot_ptk_" + "a" * 43, "ot_ptk_é", "ot_ptk_" + "a" * 5000])
def test_an_unknown_token_answers_401(partner: Partner, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert problem(partner.call("GET", "/installs/current", headers=headers)) == INVALID


def test_a_revoked_token_answers_401(partner: Partner) -> None:
    auth.revoke(token_id=Token.objects.get().pk, now=THEN)
    assert problem(partner.call("GET", "/installs/current")) == INVALID


def test_a_token_is_looked_up_by_its_hash_and_stored_as_nothing_else(partner: Partner) -> None:
    stored = str(Token.objects.values().get())
    assert partner.token not in stored
    assert partner.token.removeprefix("ot_ptk_") not in stored


def test_bearer_is_read_in_any_case(partner: Partner) -> None:
    answer = partner.call("GET", "/installs/current", headers={"Authorization": f"bearer {partner.token}"})
    assert answer.status == 200


def test_an_inactive_install_answers_403(partner: Partner) -> None:
    Install.objects.update(status="REVOKED")
    expected = (403, "FORBIDDEN", "The install is REVOKED, not ACTIVE.", {"installStatus": "REVOKED"})
    assert problem(partner.call("GET", "/installs/current")) == expected


def test_an_inactive_app_answers_403(partner: Partner) -> None:
    App.objects.update(status="SUSPENDED")
    expected = (403, "FORBIDDEN", "The app is SUSPENDED, not ACTIVE.", {"appStatus": "SUSPENDED"})
    assert problem(partner.call("GET", "/installs/current")) == expected


def test_a_feature_that_is_off_answers_403(partner: Partner) -> None:
    Install.objects.update(feature_enabled=False)
    expected = (403, "FORBIDDEN", "The Partner API is not enabled for this organization.", {})
    assert problem(partner.call("GET", "/installs/current")) == expected


LACKS = "This token lacks the scope webhooks:manage. Ask the customer to reconnect the app with it."


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x"), ("DELETE", "/x"), ("POST", "/x/redeliver")],
)
def test_a_token_without_webhooks_manage_answers_403_before_anything_else(db: None, method: str, suffix: str) -> None:
    reader = make_partner(scopes=["contracts:read"])
    answer = reader.call(method, f"/webhook-endpoints{suffix}", raw=b"not json")
    details = {"requiredScope": "webhooks:manage", "scopes": ["contracts:read"]}
    assert problem(answer) == (403, "FORBIDDEN", LACKS, details)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/project-links", "project-links:read"),
        ("GET", "/project-links/x", "project-links:read"),
        ("POST", "/project-links", "project-links:write"),
        ("DELETE", "/project-links/x", "project-links:write"),
        ("GET", "/contracts", "contracts:read"),
        ("GET", "/contracts/x/budget", "contracts:read"),
        ("GET", "/contracts/x/participants", "participants:read"),
        ("POST", "/contracts/x/usage", "usage:write"),
    ],
)
def test_each_operation_needs_its_scope_before_anything_else(db: None, method: str, path: str, scope: str) -> None:
    enough = {scope} | ({"project-links:write"} if scope == "project-links:read" else set())
    others = [one for one in Scope.values if one not in enough]
    answer = make_partner(scopes=others).call(method, path, raw=b"not json" if method == "POST" else b"")
    status, _, error, details = problem(answer)
    assert (status, error) == (403, LACKS.replace("webhooks:manage", scope))
    assert details == {"requiredScope": scope, "scopes": others}
    for one in enough:
        assert make_partner(scopes=[one]).call(method, path, {} if method == "POST" else None).status in {200, 400, 404}


def test_a_scope_that_the_install_lost_does_not_count(partner: Partner) -> None:
    Install.objects.update(scopes=["contracts:read"])
    status, _, error, details = problem(partner.call("GET", "/webhook-endpoints"))
    assert (status, error, details["scopes"]) == (403, LACKS, ["contracts:read"])


def test_a_token_cannot_be_issued_beyond_its_install(db: None) -> None:
    reader = make_partner(scopes=["contracts:read"])
    with pytest.raises(ValueError, match="the install does not have the scopes webhooks:manage"):
        auth.issue(install=reader.install, name="wide", scopes=["webhooks:manage"], now=THEN)


def test_last_use_is_noted_once_a_minute(partner: Partner, django_assert_num_queries) -> None:
    partner.call("GET", "/installs/current")
    first = Token.objects.get().last_used_at
    with django_assert_num_queries(2):  # for the token and its bucket
        partner.call("GET", "/installs/current")
    assert first is not None
    assert Token.objects.get().last_used_at == first
