"""Probes of the Partner API: /healthz, whether this process answers, and /readyz, whether its database does.

They are answered for any Host, without a token: a supervisor asks a process by its address, such as a pod's IP.
"""

from http import HTTPStatus

from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer, to show that this process serves requests."""
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Report whether the database answers; 503 if it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (OperationalError, InterfaceError):
        database: dict[str, object] = {"ok": False, "why": "the database does not answer"}
    else:
        database = {"ok": True}
    status = HTTPStatus.OK if database["ok"] else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse({"ready": database["ok"], "checks": {"database": database}}, status=status)
