"""How often a token may call."""

import pytest

from dashboard.partner_api import limits
from dashboard.partner_api.limits import Buckets
from tests.partner_api.conftest import Partner

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")


def test_a_bucket_empties_says_how_long_to_wait_and_refills() -> None:
    now = [0.0]
    buckets = Buckets(clock=lambda: now[0])
    assert [buckets.take("a", per_minute=3) for _ in range(4)] == [None, None, None, 20]
    assert buckets.take("b", per_minute=3) is None
    now[0] = 15.0
    assert buckets.take("a", per_minute=3) == 5
    now[0] = 20.0
    assert [buckets.take("a", per_minute=3) for _ in range(2)] == [None, 20]


def test_buckets_of_tokens_long_gone_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(limits, "KEPT", 2)
    buckets = Buckets(clock=lambda: 0.0)
    for name in ("a", "b", "c"):
        assert buckets.take(name, per_minute=1) is None
    assert [buckets.take(name, per_minute=1) for name in ("b", "a")] == [60, None]


def test_a_token_that_calls_too_often_is_told_when_to_come_again(partner: Partner, outsider: Partner, settings) -> None:
    settings.PARTNER_API_CALLS_PER_MINUTE = 2
    statuses = [partner.call("GET", "/webhook-endpoints").status for _ in range(2)]
    limited = partner.call("GET", "/webhook-endpoints")
    assert (statuses, limited.status, limited.json["code"]) == ([200, 200], 429, "RATE_LIMITED")
    assert limited.headers["Retry-After"] == str(limited.json["details"]["retryAfter"]) == "30"
    assert outsider.call("GET", "/webhook-endpoints").status == 200
