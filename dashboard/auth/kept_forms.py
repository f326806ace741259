"""What was typed into a form whose sender was signed out, until they are signed in again.

It is kept in the session that signs in next in the same browser, encrypted as all of it (encrypted_sessions.py), for
some minutes, and given only to the person whose form it was. The session that knew them may be gone, so a signed cookie
says who was signed in last in this browser, and the CSRF token proves that the form is no older: each sign-in replaces
it. So nobody without an account can have anything stored here, and nobody gets what someone else typed.

Never kept: passwords, secrets, tokens and codes (`NEVER_KEPT`, and what a view names with `secret_fields`), and files.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.signing import BadSignature
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

NEVER_KEPT = frozenset({"password", "password1", "password2", "oldpassword", "secret", "token", "code", "credential"})
"""Fields that are secret in every form, by their names."""
KEPT_FOR = timedelta(minutes=15)
CHARS = 32_768
"""How much of a form is kept, in characters of its fields' names and values; nothing of a longer one."""
FORMS = 3
"""How many forms a session keeps, one for each tab: the newest."""
_KEY = "kept_forms"
_SALT = "dashboard.auth.kept_forms"
_ALL = "*"


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was sent and not taken.

    `action` and `page` are paths with their queries: where the form goes, and where it stands. `is_whole` says that
    nothing of it was left out.
    """

    action: str
    page: str
    fields: list[list[str]]
    owner: int
    at: str
    is_whole: bool


def secret_fields(*names: str) -> Callable[[View[P]], View[P]]:
    """Mark a view's fields as secret, all of them without names: no form, error report or page repeats them."""

    def wear(view: View[P]) -> View[P]:
        @wraps(view)
        @sensitive_post_parameters(*names)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            return view(request, *args, **kwargs)

        guarded.secret_fields = frozenset(names or {_ALL})  # type: ignore[attr-defined]
        return guarded

    return wear


def fields_of(request: HttpRequest) -> list[list[str]] | None:
    """Return what the form held, as pairs of name and value; None if a part of it is secret or a file."""
    typed = _typed(request)
    filled_in = {name for name, value in typed if value}
    return None if request.FILES or _secret(request) & filled_in or _hides_all(request) else typed


def keep(request: HttpRequest, *, page: str, now: datetime) -> bool:
    """Keep the form of this request in the session, without its secrets. Return False if nobody is known to own it."""
    owner = request.user.pk if request.user.is_authenticated else _owner(request)
    if owner is None:
        return False
    whole = fields_of(request)
    fields = [] if _hides_all(request) else [one for one in _typed(request) if one[0] not in _secret(request)]
    if is_long := sum(len(name) + len(value) for name, value in fields) > CHARS:
        fields = []
    form = KeptForm(
        action=request.get_full_path(),
        page=page,
        fields=fields,
        owner=owner,
        at=now.isoformat(),
        is_whole=whole is not None and not is_long,
    )
    others = [one for one in _kept(request.session) if one.action != form.action]
    _write(request.session, [*others, form][-FORMS:])
    return True


def find(request: HttpRequest, *, now: datetime) -> KeptForm | None:
    """Return the form that was kept for this page and this user, the newest one."""
    page, owner = request.get_full_path(), request.user.pk
    found = (
        one
        for one in reversed(_kept(request.session))
        if one.page == page and one.owner == owner and now - datetime.fromisoformat(one.at) < KEPT_FOR
    )
    return next(found, None)


def forget(request: HttpRequest) -> None:
    """Forget what was kept of the form that this request sends."""
    kept = _kept(request.session)
    others = [one for one in kept if one.action != request.get_full_path()]
    if others != kept:
        _write(request.session, others)


def keep_only_of(session: SessionBase, *, owner: int) -> None:
    """Forget what others typed in this browser."""
    kept = _kept(session)
    if others := [one for one in kept if one.owner != owner]:
        _write(session, [one for one in kept if one not in others])


def remember_owner(request: HttpRequest, response: HttpResponseBase) -> None:
    """Have the browser remember who is signed in, for when the session is gone."""
    if _owner(request) != request.user.pk:
        response.set_signed_cookie(
            _cookie(),
            str(request.user.pk),
            salt=_SALT,
            max_age=settings.SESSION_COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )


def _cookie() -> str:
    return "__Host-formowner" if settings.HTTPS else "formowner"


def _owner(request: HttpRequest) -> int | None:
    try:
        return int(request.get_signed_cookie(_cookie(), salt=_SALT, max_age=settings.SESSION_COOKIE_AGE) or "")
    except (KeyError, BadSignature, ValueError):
        return None


def _typed(request: HttpRequest) -> list[list[str]]:
    lists = request.POST.lists()
    return [[name, value] for name, values in lists if name != "csrfmiddlewaretoken" for value in values]


def _secret(request: HttpRequest) -> frozenset[str]:
    view = request.resolver_match.func if request.resolver_match else None
    return NEVER_KEPT | getattr(view, "secret_fields", frozenset())


def _hides_all(request: HttpRequest) -> bool:
    return _ALL in _secret(request)


def _kept(session: SessionBase) -> list[KeptForm]:
    return [KeptForm(**one) for one in session.get(_KEY, ())]


def _write(session: SessionBase, forms: list[KeptForm]) -> None:
    stored: list[dict[str, Any]] = [asdict(one) for one in forms]
    if stored:
        session[_KEY] = stored
    else:
        session.pop(_KEY, None)
