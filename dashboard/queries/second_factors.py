"""The second factors that somebody has. allauth keeps them; nothing here has to be decrypted to be counted."""

from dataclasses import dataclass

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator

from dashboard.models.members import User


@dataclass(frozen=True, slots=True)
class Factors:
    """`codes_left` is None where there are no recovery codes: they come with the first of the others."""

    app: Authenticator | None
    passkeys: int
    codes_left: int | None

    @property
    def any(self) -> bool:
        return self.app is not None or self.passkeys > 0 or self.codes_left is not None

    def __str__(self) -> str:
        """Say which: "authenticator app, 2 passkeys, recovery codes left: 8", or "none"."""
        passkeys = "1 passkey" if self.passkeys == 1 else f"{self.passkeys} passkeys"
        parts = ["authenticator app"] if self.app is not None else []
        parts += [passkeys] if self.passkeys else []
        parts += [f"recovery codes left: {self.codes_left}"] if self.codes_left is not None else []
        return ", ".join(parts) or "none"


def factors_of(*, user: User) -> Factors:
    """Return what the person has set up."""
    kept = list(Authenticator.objects.filter(user=user))
    one_each = {factor.type: factor for factor in kept}
    codes = one_each.get(Authenticator.Type.RECOVERY_CODES)
    return Factors(
        app=one_each.get(Authenticator.Type.TOTP),
        passkeys=sum(factor.type == Authenticator.Type.WEBAUTHN for factor in kept),
        codes_left=None if codes is None else app_settings.RECOVERY_CODE_COUNT - codes.data["used_mask"].bit_count(),
    )
