"""The WSGI application: the console."""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
_django = get_wsgi_application()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve one request.

    Removes extended parameters of Content-Type first: Django decodes `charset*=utf-8''%00` to a NUL before any view or
    middleware can refuse it, and then fails. Legitimate clients never send them.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if "*" in content_type:
        environ["CONTENT_TYPE"] = content_type.partition(";")[0]
    return _django(environ, start_response)
