"""A form whose sender was signed out is back after sign-in, with what was typed, and nothing was started.

Views redirect strangers to sign-in, and people who change how they sign in to prove again who they are. If such a
request sent a form, the form is kept (auth/kept_forms.py), and signing in leads to its page. There the form holds what
was typed, and a banner says that nothing was started. The person sends it again. The operation's ID is in the form too,
so a second press is still one operation.

The page is rewritten, as in visible_text.py, so that this holds for every form and no view has to remember it.
"""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from dashboard.auth import kept_forms
from dashboard.auth.kept_forms import KeptForm
from dashboard.rules.filled_forms import fill

Answering = Callable[[HttpRequest], HttpResponseBase]

PLACE = "kept-form"
"""The banner's ID: signing in leads to it."""
SIGN_IN = frozenset({"account_login", "mfa_login_webauthn", "mfa_authenticate", "openid_connect_login"})
"""URL names of the forms that sign in."""
WILL_BE_BACK = "Nothing was started: you were signed out. Sign in, and your form is back with what you entered."
TO_PROVE = "Nothing was started. Confirm who you are, and your form is back with what you entered."
IS_NOT_KEPT = "Nothing was started: you were signed out. Sign in and try again."
_MAIN = re.compile(r'<main id="main"[^>]*>')
_NO_VALUE = re.compile(r"[0-9a-f-]{36}|")
"""An ID that people cannot read, or nothing."""


class KeptForms:
    """Keeps forms that signed-out people send, and puts them back after sign-in."""

    def __init__(self, get_response: Answering) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        was_signed_in = getattr(request, "was_signed_in", None)  # None: no view was reached
        if was_signed_in is False and request.method == "POST":
            return _kept(request) if _asks_to_sign_in(request, response) else response
        if not was_signed_in or not request.user.is_authenticated:
            return response
        if request.method == "POST" and _was_suspended(request, response):
            response = _kept_to_prove(request, response)
        elif request.method == "POST":
            kept_forms.forget(request)
        elif _is_page(response):
            _put_back(request, response)
        kept_forms.remember_owner(request, response)
        return response

    def process_view(self, request: HttpRequest, *_: object) -> None:
        has_session = settings.SESSION_COOKIE_NAME in request.COOKIES  # without it, this costs no query
        request.was_signed_in = has_session and request.user.is_authenticated  # type: ignore[attr-defined]


def lead_back(request: HttpRequest, *, page: str) -> HttpResponse:
    """Redirect to the page where the kept form is back. For htmx by header, or the page would land in a part."""
    address = f"{page.partition('#')[0]}#{PLACE}"
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(address, status=200)
    return HttpResponseRedirect(address)


def page_of(request: HttpRequest, *, unknown: str | None = None) -> str:
    """Return the path of the page that sent the form, or `unknown`, by default the form's own."""
    htmx = getattr(request, "htmx", None)
    sent_from = (htmx.current_url if htmx else "") or request.headers.get("Referer", "")
    parts = urlsplit(sent_from)
    is_here = (parts.scheme, parts.netloc) == (request.scheme, request.get_host())
    if not is_here or not parts.path or parts.path.startswith("//"):  # a path of two slashes is another host's address
        return request.get_full_path() if unknown is None else unknown
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _asks_to_sign_in(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether the response sends a stranger to sign in, and then on."""
    if request.resolver_match is not None and request.resolver_match.url_name in SIGN_IN:
        return False
    to = urlsplit(response.headers.get("HX-Redirect") or response.headers.get("Location") or "")
    return to.path == resolve_url(settings.LOGIN_URL) and REDIRECT_FIELD_NAME in parse_qs(to.query)


def _kept(request: HttpRequest) -> HttpResponse:
    page = page_of(request)
    is_kept = kept_forms.keep(request, page=page, now=timezone.now())
    messages.info(request, WILL_BE_BACK if is_kept else IS_NOT_KEPT)
    address = redirect_to_login(f"{page}#{PLACE}" if is_kept else page_of(request, unknown="/")).url
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(address, status=200)
    return HttpResponseRedirect(address)


def _was_suspended(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Return whether allauth keeps the form, all of it, to send it itself once the user has proven who they are.

    It may do so for the button that connects an identity: that one has no page and holds nothing.
    """
    is_button = request.resolver_match is not None and request.resolver_match.url_name in SIGN_IN
    return response.has_header("Location") and "request" in request.session.get(STATE_SESSION_KEY, {}) and not is_button


def _kept_to_prove(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    del request.session[STATE_SESSION_KEY]
    page = page_of(request)
    kept_forms.keep(request, page=page, now=timezone.now())
    messages.info(request, TO_PROVE)
    asks = urlsplit(response.headers["Location"]).path
    return HttpResponseRedirect(f"{asks}?{urlencode({REDIRECT_FIELD_NAME: f'{page}#{PLACE}'})}")


def _is_page(response: HttpResponseBase) -> bool:
    return isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html")


def _put_back(request: HttpRequest, response: HttpResponseBase) -> None:
    """Fill the page's form, and say above it what happened."""
    kept = kept_forms.find(request, now=timezone.now())
    if kept is None or getattr(request, "htmx", False):
        return
    page = response.content.decode()  # type: ignore[attr-defined]
    filled = fill(page, action=kept.action, fields=((name, value) for name, value in kept.fields))
    banner = render_to_string("components/_kept_form.html", _told(kept) | {"filled": filled, "place": PLACE})
    html = page if filled is None else filled.html
    response.content = _MAIN.sub(lambda main: main[0] + banner, html, count=1).encode()  # type: ignore[attr-defined]


def _told(kept: KeptForm) -> dict[str, object]:
    shown = [(name, value) for name, value in kept.fields if not _NO_VALUE.fullmatch(value)]
    return {"is_whole": kept.is_whole, "shown": shown}
