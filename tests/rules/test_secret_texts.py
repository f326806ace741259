"""The prefixes of secrets; every kind of secret is kept out of logs and searches."""

import pytest

from dashboard.logs import redact
from dashboard.rules.secret_texts import STARTS, has_secret
from dashboard.templatetags.redeliver import secret_starts


def test_starts_are_those_of_tokens_signing_secrets_and_observation_keys() -> None:
    assert STARTS == ("ot_ptk_", "whsec_", "rdo_")


@pytest.mark.parametrize("start", STARTS)
def test_secret_of_each_kind_is_found_and_never_logged(start: str) -> None:
    text = f"it was {start}{'s' * 43} again"
    assert has_secret(text)
    assert redact(text) == f"it was {start}[secret] again"
    assert start in secret_starts().split(" ")


@pytest.mark.parametrize("text", ["", "acme", "dlv_1", "whe_2", "secret"])
def test_id_or_name_is_no_secret(text: str) -> None:
    assert not has_secret(text)
