"""The rate limit of a token: one bucket each, shared by all processes."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F

from dashboard.launch import postgres
from dashboard.partner_api import limits
from dashboard.partner_api.models import Bucket, Token
from tests.partner_api.conftest import Partner
from tests.partner_api.serving import ask, installation, serving


def earlier(seconds: float) -> None:
    """Age every bucket by `seconds` since its last count."""
    Bucket.objects.update(counted_at=F("counted_at") - timedelta(seconds=seconds))


def test_a_bucket_empties_says_how_long_to_wait_and_refills(partner: Partner) -> None:
    token = Token.objects.get().pk
    assert [limits.take(token, per_minute=3) for _ in range(4)] == [None, None, None, 20]
    earlier(15)
    assert limits.take(token, per_minute=3) == 5
    earlier(5)
    assert [limits.take(token, per_minute=3) for _ in range(2)] == [None, 20]


def test_asking_again_and_again_does_not_put_the_next_call_off(partner: Partner) -> None:
    token = Token.objects.get().pk
    assert limits.take(token, per_minute=1) is None
    for wait_s in (50, 40, 30, 20, 10):
        earlier(10)
        assert limits.take(token, per_minute=1) == wait_s
    earlier(10)
    assert limits.take(token, per_minute=1) is None


def test_a_bucket_is_never_more_than_full(partner: Partner) -> None:
    token = Token.objects.get().pk
    assert limits.take(token, per_minute=2) is None
    earlier(3600)
    assert [limits.take(token, per_minute=2) for _ in range(3)] == [None, None, 30]


@pytest.mark.urls("dashboard.partner_api.urls")
def test_a_token_that_calls_too_often_is_told_when_to_come_again(partner: Partner, outsider: Partner, settings) -> None:
    settings.PARTNER_API_CALLS_PER_MINUTE = 2
    statuses = [partner.call("GET", "/webhook-endpoints").status for _ in range(2)]
    limited = partner.call("GET", "/webhook-endpoints")
    assert (statuses, limited.status, limited.json["code"]) == ([200, 200], 429, "RATE_LIMITED")
    assert limited.headers["Retry-After"] == str(limited.json["details"]["retryAfter"]) == "30"
    assert outsider.call("GET", "/webhook-endpoints").status == 200


@pytest.mark.slow
def test_two_servers_count_a_tokens_calls_together(postgres_server: postgres.Server, tmp_path: Path) -> None:
    installed = installation(postgres_server, database="partner_api_limits")
    headers = {"Authorization": f"Bearer {installed.create_install('Acme')['token']}"}
    limit = {"PARTNER_API_CALLS_PER_MINUTE": "2"}  # the next call is free after half a minute
    with (
        serving(installed, folder=tmp_path, **limit) as one,
        serving(installed, folder=tmp_path, **limit) as other,
    ):
        answers = [ask(port, "GET", "/api/partner/v1/webhook-endpoints", headers=headers) for port in (one, other) * 2]
    statuses = [status for status, _, _ in answers]
    assert statuses == [200] * 2 + [429] * 2
    _, told, body = answers[-1]
    assert 1 <= int(told["Retry-After"]) <= 30
    assert (body["code"], body["details"]["retryAfter"]) == ("RATE_LIMITED", int(told["Retry-After"]))
