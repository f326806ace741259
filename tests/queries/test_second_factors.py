"""A user's second factors, counted without decrypting anything."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator

from dashboard.queries.second_factors import Factors, factors_of
from tests.factories import make_user


def of(*, app: Any = None, passkeys: int = 0, codes_left: int | None = None) -> Factors:
    return Factors(app=app, passkeys=passkeys, codes_left=codes_left)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (of(), "none"),
        (of(passkeys=1), "1 passkey"),
        (of(app=Authenticator(), passkeys=2, codes_left=8), "authenticator app, 2 passkeys, recovery codes left: 8"),
        (of(codes_left=0), "recovery codes left: 0"),
    ],
)
def test_factors_in_words(factors: Factors, words: str) -> None:
    assert (str(factors), factors.any) == (words, words != "none")


@pytest.mark.django_db
def test_factors_of_a_person_are_theirs_alone(django_assert_num_queries, settings) -> None:
    settings.MFA_RECOVERY_CODE_COUNT = 6
    vera, other = make_user(), make_user()
    unreadable = {"secret": "not to be decrypted", "seed": "nor this"}
    for user, kind, data in (
        (vera, "totp", {}),
        (vera, "webauthn", {"n": 1}),
        (vera, "webauthn", {"n": 2}),
        (vera, "recovery_codes", {"used_mask": 0b101}),
        (other, "webauthn", {}),
    ):
        Authenticator.objects.create(user=user, type=kind, data=unreadable | data)
    with django_assert_num_queries(1):
        found = factors_of(user=vera)
    assert (found.app.user, found.passkeys, found.codes_left) == (vera, 2, 4)
    assert (factors_of(user=other).app, factors_of(user=other).codes_left) == (None, None)
    assert factors_of(user=make_user()) == of()
