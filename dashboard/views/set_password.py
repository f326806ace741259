"""The page of a set-password link, which a support lead gives to a member. The link works once.

The link's code comes after a #, so it is in no request line and no log. A script puts it into the form and sends it;
without scripts, the member pastes the link. The answer says whose account it is, and asks for the password.
"""

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from dashboard.actions import members
from dashboard.auth.kept_forms import secret_fields
from dashboard.forms.members import SetPasswordForm
from dashboard.forms.pasted import cleaned
from dashboard.rules import pasted
from dashboard.rules.durations import span


@never_cache
@secret_fields("code", "password", "again")
@sensitive_variables("code")
@require_http_methods(["GET", "HEAD", "POST"])
def set_password(request: HttpRequest) -> HttpResponse:
    """Set the password of the code's owner. Needs no sign-in: the code is the proof."""
    if request.method != "POST":
        return render(request, "account/set_password.html", {"form": SetPasswordForm()})
    try:
        code = _code(request.POST.get("code", ""))
    except ValidationError as error:
        form = SetPasswordForm()
        return render(request, "account/set_password.html", {"form": form, "problem": error.message}, status=422)
    owner = members.owner_of(code=code)
    if owner is None:
        return _over(request)
    form = SetPasswordForm(request.POST if "password" in request.POST else None, owner=owner)
    if not form.is_valid():
        context = {"form": form, "code": code, "owner": owner}
        return render(request, "account/set_password.html", context, status=422 if form.errors else 200)
    owner = members.set_password(code=code, password=form.cleaned_data["password"])
    if owner is None:
        return _over(request)
    logout(request)  # another user may be signed in in this browser
    messages.success(request, f"Your password is set. Sign in as {owner.username}.")
    return redirect("account_login")


def _code(text: str) -> str:
    """Return the code of a pasted link, or a code alone. Raises: ValidationError with the reason."""
    link = cleaned(lambda given: pasted.one(given, what="link"), text)
    code = link.rpartition("#")[2]
    if not members.is_code(code):
        raise ValidationError("This is not a complete link. Paste all of it, to the last character.")
    return code


def _over(request: HttpRequest) -> HttpResponse:
    context = {"over": True, "lasts": span(duration=members.link_lasts())}
    return render(request, "account/set_password.html", context, status=422)
