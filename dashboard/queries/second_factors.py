"""A user's second factors, as stored by allauth. Counting them needs no decryption."""

from dataclasses import dataclass

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator

from dashboard.models.members import User


@dataclass(frozen=True, slots=True)
class Factors:
    """A user's second factors. `codes_left` is None without recovery codes, which come with the first other factor."""

    app: Authenticator | None
    passkeys: int
    codes_left: int | None

    @property
    def any(self) -> bool:
        return self.app is not None or self.passkeys > 0 or self.codes_left is not None

    def __str__(self) -> str:
        """List them: "authenticator app, 2 passkeys, recovery codes left: 8", or "none"."""
        passkeys = "1 passkey" if self.passkeys == 1 else f"{self.passkeys} passkeys"
        parts = ["authenticator app"] if self.app is not None else []
        parts += [passkeys] if self.passkeys else []
        parts += [f"recovery codes left: {self.codes_left}"] if self.codes_left is not None else []
        return ", ".join(parts) or "none"


def factors_of(*, user: User) -> Factors:
    """Return the user's second factors."""
    kept = list(Authenticator.objects.filter(user=user))
    one_each = {factor.type: factor for factor in kept}
    codes = one_each.get(Authenticator.Type.RECOVERY_CODES)
    return Factors(
        app=one_each.get(Authenticator.Type.TOTP),
        passkeys=sum(factor.type == Authenticator.Type.WEBAUTHN for factor in kept),
        codes_left=None if codes is None else app_settings.RECOVERY_CODE_COUNT - codes.data["used_mask"].bit_count(),
    )
