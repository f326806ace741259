"""MASKED_NAMES."""

import pytest

from dashboard.config.masking import masking
from dashboard.rules.masking import REDACTED


def test_patterns_of_the_operator_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKED_NAMES", raising=False)
    assert masking().header("X-Partner-Ref", "s") == "s"
    monkeypatch.setenv("MASKED_NAMES", "x-partner-*, tenant")
    assert masking().header("X-Partner-Ref", "s") == masking().header("Tenant", "s") == REDACTED
    assert masking() is masking()
