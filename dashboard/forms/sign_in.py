"""allauth's forms for user names and codes, which people paste."""

from allauth.account.forms import LoginForm
from allauth.mfa import app_settings
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm

from dashboard.forms.pasted import cleaned
from dashboard.rules import pasted


class Login(LoginForm):  # type: ignore[misc]
    """The password is taken exactly as given."""

    def clean_login(self) -> str:
        return pasted.bare(super().clean_login())


class _Code:
    """A code's field. A text that cannot be a code is refused before it counts as a wrong one."""

    def clean_code(self) -> str:
        given: str = self.cleaned_data["code"]  # type: ignore[attr-defined]
        self.cleaned_data["code"] = cleaned(lambda text: pasted.code(text, lengths=self._lengths()), given)  # type: ignore[attr-defined]
        return super().clean_code()  # type: ignore[misc, no-any-return]

    def _lengths(self) -> tuple[int, ...]:
        return app_settings.TOTP_DIGITS, app_settings.RECOVERY_CODE_DIGITS


class Authenticate(_Code, AuthenticateForm):  # type: ignore[misc]
    pass


class Reauthenticate(_Code, ReauthenticateForm):  # type: ignore[misc]
    pass


class ActivateTotp(_Code, ActivateTOTPForm):  # type: ignore[misc]
    """Only the app's codes: recovery codes do not set up the app."""

    def _lengths(self) -> tuple[int, ...]:
        return (app_settings.TOTP_DIGITS,)
